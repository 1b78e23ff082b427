/* float <-> bf16 and half, to nearest even, as the device converts. */
#ifndef VERDIFF_EMULATION_HALF_BITS_H
#define VERDIFF_EMULATION_HALF_BITS_H

#include "device_functions.h"

namespace emulation
{

static inline uint16_t to_bf16(float x)
{
    const uint32_t bits = __float_as_uint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static inline float of_bf16(uint16_t x) { return __uint_as_float((uint32_t)x << 16); }

static inline uint16_t to_half(float x)
{
    uint32_t bits = __float_as_uint(x);
    const uint32_t sign = bits >> 16 & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) return 0x7fff;
    if (bits >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and more */
    if (bits < 0x38800000u) /* subnormal: the unit of 0.5f's last place is the half's */
        return (uint16_t)(sign | (__float_as_uint(__uint_as_float(bits) + 0.5f) - 0x3f000000u));
    bits += 0xfffu + (bits >> 13 & 1u) - (112u << 23);
    return (uint16_t)(sign | bits >> 13);
}

static inline float of_half(uint16_t x)
{
    const uint32_t sign = (uint32_t)(x & 0x8000u) << 16, rest = x & 0x7fffu;
    if (rest >= 0x7c00u) return __uint_as_float(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    return __uint_as_float(sign | __float_as_uint(__uint_as_float(rest << 13) * 0x1p112f));
}

} // namespace emulation

#endif
