/* The loops of CPU/norm.c written for AVX-512 with bf16 conversions: what a compiler does not find by
 * itself is the fast reciprocal in place of a division, scaling by 2^n in one instruction, and the
 * rounding to bf16. Equations as in norm.c; differences from plain C are roundings. */
#ifndef VDNI_NORM_AVX512_H
#define VDNI_NORM_AVX512_H

#include "Ops/op.h"

/* One block of at most VDNI_LANES elements; rows of coefficients as in norm.c. */
typedef struct vdni_norm_row {
    vdni_activation act;
    vdni_dtype dtype;           /* of x, g, addend and out: f32 or bf16 */
    const void *x, *g, *addend; /* addend may be NULL */
    void *out;                  /* y or dx */
    const float *mean, *slope, *offset, *even, *odd;
    float *sums[2];
    int64_t count;
} vdni_norm_row;

/* Non-zero when this processor and build can run them and they know the activation. */
int vdni_norm_avx512_usable(vdni_activation act);

/* out = act((x - mean) slope + offset) */
void vdni_norm_avx512_forward(const vdni_norm_row *row);

/* sums[0] += h, sums[1] += h (x - mean), h = g act'(u) */
void vdni_norm_avx512_sums(const vdni_norm_row *row);

/* out = slope h - even - odd (x - mean) + addend */
void vdni_norm_avx512_backward(const vdni_norm_row *row);

#endif
