/* How the element-wise and reducing kernels of Core/CPU pass over an activation.
 *
 * An activation is cut into blocks of at most VDNI_WALK_LANES floats that begin at a pixel and hold
 * whole pixels; with more than VDNI_WALK_LANES channels a block is a part of one pixel instead. Element
 * i of a block is "lane" i: its channel is (lane + i) % c, the same for every block with the same
 * `lane`. So per-channel coefficients, repeated to the length of a block once, turn every kernel
 * into a flat loop over x[i], a[i], b[i] that the compiler vectorises for any number of channels.
 *
 * Blocks are handed out in chunks, whose number depends on the shape only; sums are kept in float
 * for at most VDNI_RUN blocks, then in double per chunk, and chunks are added in order: the bits do
 * not depend on the number of threads. */
#ifndef VDNI_WALK_H
#define VDNI_WALK_H

#include "CPU/cpu.h"

enum { VDNI_WALK_LANES = 1024, VDNI_RUN = 16, VDNI_WALK_SUMS = 3 };

typedef struct vdni_walk {
    int64_t n, pixels, c;
    int64_t chunks; /* per image */
    int64_t width;  /* floats of a row of repeated coefficients */
} vdni_walk;

typedef struct vdni_block {
    int64_t n;     /* image */
    int64_t at;    /* flat position of the first element in the tensor */
    int64_t pixel; /* n * h * w + position of the first pixel in the image */
    int64_t lane;  /* where in a row of repeated coefficients the block begins */
    int64_t count;
    float *sums[VDNI_WALK_SUMS]; /* one lane per element, to be added to; of vdni_walk_sum only */
} vdni_block;

typedef void vdni_block_body(void *user, const vdni_block *block);

vdni_walk vdni_walk_of(const vdni_tensor *t);

/* Call @p body for every block, chunks in parallel. */
void vdni_walk_run(int32_t threads, const vdni_walk *walk, vdni_block_body *body, void *user);

/* The same with @p kinds sums per image and channel. @p sums has vdni_walk_sum_count() doubles;
 * afterwards the sum of kind k, image n, channel c is vdni_walk_total(..., k, n)[c]. */
void vdni_walk_sum(int32_t threads, const vdni_walk *walk, int64_t kinds, double *sums,
                   vdni_block_body *body, void *user);

/* Plain sum and sum of squares (kinds 0 and 1) of @p t, accurate whatever the mean: inside a run
 * they are taken about the run's own first elements, and moved to 0 in double. */
void vdni_walk_moments(int32_t threads, const vdni_walk *walk, double *sums, const vdni_tensor *t);

static inline int64_t vdni_walk_sum_count(const vdni_walk *walk, int64_t kinds)
{
    return walk->n * walk->chunks * kinds * walk->c;
}

static inline const double *vdni_walk_total(const vdni_walk *walk, int64_t kinds,
                                            const double *sums, int64_t k, int64_t n)
{
    return sums + (n * walk->chunks * kinds + k) * walk->c;
}

/* Repeat the first c floats of @p row to walk->width. */
void vdni_walk_repeat(const vdni_walk *walk, float *row);

/* The floats of @p count elements of @p t from @p at: the tensor's own memory if it is f32, else
 * widened into @p buffer. */
static inline const float *vdni_row_read(float *buffer, const vdni_tensor *t, int64_t at,
                                         int64_t count)
{
    if (t->dtype == VDNI_F32) return (const float *)t->data + at;
    vdni_cpu_read(buffer, t, at, count);
    return buffer;
}

/* Where to put the floats for @p t from @p at, and the call that finishes it. */
static inline float *vdni_row_open(float *buffer, const vdni_tensor *t, int64_t at)
{
    return t->dtype == VDNI_F32 ? (float *)t->data + at : buffer;
}

static inline void vdni_row_close(vdni_tensor *t, int64_t at, const float *row, int64_t count)
{
    if (t->dtype != VDNI_F32) vdni_cpu_write(t, at, row, count);
}

/* row += t[at..]; nothing when t is NULL. */
void vdni_row_add(float *row, const vdni_tensor *t, int64_t at, int64_t count);

#endif
