/* bfloat16 <-> float. The upper half of a float; rounding to nearest, ties to even, as the hardware
 * does; NaN stays NaN. */
#ifndef VDNI_BF16_H
#define VDNI_BF16_H

#include <stdint.h>
#include <string.h>

typedef uint16_t vdni_bf16;

static inline float vdni_bf16_to_f32(vdni_bf16 x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline vdni_bf16 vdni_f32_to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    const uint32_t quiet = bits | 0x400000u;
    return (vdni_bf16)(((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded) >> 16);
}

#endif
