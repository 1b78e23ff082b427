/* Channels are computed in blocks of 16 floats, whatever the machine's vectors are: one AVX-512
 * register, two AVX, four SSE or NEON. */
#ifndef VDNI_LANES_H
#define VDNI_LANES_H

#include <stdint.h>

enum { VDNI_LANES = 16 };

/* Blocks that cover @p count values. */
static inline int64_t vdni_lane_blocks(int64_t count)
{
    return (count + VDNI_LANES - 1) / VDNI_LANES;
}

/* Values of @p count in block @p block: VDNI_LANES but for the last. */
static inline int64_t vdni_block_lanes(int64_t count, int64_t block)
{
    const int64_t left = count - block * VDNI_LANES;
    return left < VDNI_LANES ? left : VDNI_LANES;
}

#endif
