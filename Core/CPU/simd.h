/* The inner loops that decide the speed of convolutions, compiled once per instruction set from one
 * text (Core/CPU/simd) and chosen when the device is opened. They know lanes, rows and tiles; the
 * stems around them know images. */
#ifndef VDNI_SIMD_H
#define VDNI_SIMD_H

#include "CPU/lanes.h"
#include "Tensor/tensor.h"

/* The inner product all dense convolutions come down to:
 *
 *     out[p][l] = init[p][l] + sum over segments, i of x[p * pixel_step + i * item_step] * w[i][l]
 *
 * for lanes l and as many p ("pixels") as fit the register file. Forward and backward-data have
 * image columns as p and (tap, channel) as i; backward-weights has (tap, channel) as p and image
 * columns as i. */
typedef struct vdni_tile_segment {
    const float *x, *w; /* w: (length, VDNI_LANES) */
    int64_t length;
} vdni_tile_segment;

typedef struct vdni_tile_job {
    const vdni_tile_segment *segments;
    int64_t segment_count;
    int64_t pixel_step, item_step; /* in x, floats */
    int64_t w_block;               /* from one lane block of w to the next, floats */
    float *out;
    int64_t out_pixel, out_block;
    const float *init; /* may be out */
    int64_t init_pixel, init_block;
    int64_t pixels, blocks;
} vdni_tile_job;

/* Pixels are computed in whole tiles: x must be readable and out writable for this many more than
 * asked. */
enum { VDNI_TILE_SLACK = 10 };

/* The 6x6 patches of one tensor that F(4x4, 3x3) works on (winograd.h), with their origins at
 * (4 row - pad, 4 column - pad); also the 4x4 tiles of an output or its gradient, pad 0. */
typedef struct vdni_winograd_grid {
    const vdni_tensor *t;
    int64_t rows, columns, pad; /* tiles per image */
} vdni_winograd_grid;

/* Where transformed outputs go. m is (36, m_point): (tiles, lanes of all channels). */
typedef struct vdni_winograd_output {
    vdni_winograd_grid grid;
    vdni_tensor *y;
    const vdni_tensor *add; /* or NULL */
    const float *bias;      /* (lanes of all channels) */
    int64_t m_point;
} vdni_winograd_output;

/* Rows of a depthwise convolution: (column, lanes) floats, of which one block is used. */
typedef struct vdni_depthwise_rows {
    int64_t kernel, dilation, width; /* width: of the output */
    int64_t lanes;                   /* floats from one column to the next */
} vdni_depthwise_rows;

/* Output columns are computed in groups; lines must be this many times dilation columns longer. */
enum { VDNI_DEPTHWISE_SLACK = 8 };

typedef struct vdni_simd {
    const char *name; /* "avx512", "avx2", "baseline" */

    void (*tile)(const vdni_tile_job *job);

    /* B' x B of tiles first .. first + count - 1 into v (36, point): (room, lanes of channels). */
    void (*winograd_input)(float *v, int64_t room, const vdni_winograd_grid *grid, int64_t first,
                           int64_t count);
    /* A' m A, plus bias and addend, into y. */
    void (*winograd_output)(const vdni_winograd_output *o, const float *m, int64_t first,
                            int64_t count);
    /* G w G' of one (9, LANES) kernel; point p goes to to + p * point. */
    void (*winograd_weight)(float *to, int64_t point, const float w[9][VDNI_LANES]);
    /* A g A' into q (36, point): (blocks, room, LANES); the sums over pixels are added to bias. */
    void (*winograd_gradient)(float *q, int64_t room, float *bias, const vdni_winograd_grid *grid,
                              int64_t first, int64_t count);
    /* w = G' s G of one block; s: points @p point apart, @p chunks of them @p chunk apart, added. */
    void (*winograd_taps)(float w[9][VDNI_LANES], const float *s, int64_t point, int64_t chunks,
                          int64_t chunk);

    /* One output row of one block. in[kh] points at what output column 0 reads under tap 0, or is
     * NULL: all zero. w: (k * k + 1, LANES), the last one the bias. */
    void (*depthwise_row)(float *line, const vdni_depthwise_rows *rows, const float *const *in,
                          const float *w);
    /* sum[kw] += sum over columns of g * x, (k, LANES); both zero beyond the row. */
    void (*depthwise_gradient)(float *sum, const vdni_depthwise_rows *rows, const float *g,
                               const float *x);

    /* sum[l] += sum over columns of g[column * lanes + l]. */
    void (*sum_columns)(float *sum, const float *g, int64_t columns, int64_t lanes);
    float (*dot)(const float *a, const float *b, int64_t count);
} vdni_simd;

/* Floats from one point to the next of transformed tiles: room for @p room tiles of @p c channels,
 * each rounded up to lanes, and an odd number of cache lines so that the points do not meet in the
 * same cache sets. */
static inline int64_t vdni_winograd_point(int64_t room, int64_t c)
{
    return ((room * vdni_lane_blocks(c)) | 1) * VDNI_LANES;
}

/* The @p index-th table this processor can run, best first; NULL beyond the last. */
const vdni_simd *vdni_simd_get(int index);

#endif
