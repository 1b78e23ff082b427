/* Tensor: a dense block of numbers in NHWC order, or a description of one that has no memory yet.
 *
 *   activation       (n, h, w, c)
 *   vector per image (n, 1, 1, c)
 *   dense weight     (co, kh, kw, ci)       depthwise weight (1, kh, kw, c)
 *   linear weight    (co, 1, 1, ci)         per-channel vector (1, 1, 1, c)
 *
 * Element (n, h, w, c) is at ((n*H + h)*W + w)*C + c. Nothing is padded. */
#ifndef VDNI_TENSOR_H
#define VDNI_TENSOR_H

#include "Base/context.h"

typedef enum { VDNI_F32 = 0, VDNI_BF16, VDNI_U8, VDNI_U16, VDNI_I32, VDNI_F16 } vdni_dtype;

typedef struct vdni_tensor {
    int64_t n, h, w, c;
    vdni_dtype dtype;
    void *data;              /* on the device; NULL while only described */
    const uint64_t *version; /* weights: changes whenever the values do; NULL = unknown */
} vdni_tensor;

/* Bytes of one element: 4, 2, 1, 2, 4, 2. */
int64_t vdni_dtype_bytes(vdni_dtype dtype);

/* "f32", "bf16", ...; never NULL. */
const char *vdni_dtype_name(vdni_dtype dtype);

static inline int64_t vdni_tensor_count(const vdni_tensor *t) { return t->n * t->h * t->w * t->c; }

static inline int64_t vdni_tensor_bytes(const vdni_tensor *t)
{
    return vdni_tensor_count(t) * vdni_dtype_bytes(t->dtype);
}

static inline int vdni_same_shape(const vdni_tensor *a, const vdni_tensor *b)
{
    return a->n == b->n && a->h == b->h && a->w == b->w && a->c == b->c;
}

/* "(2, 16, 12, 8) bf16" into @p text; returns @p text. */
const char *vdni_tensor_print(const vdni_tensor *t, char *text, size_t text_bytes);

/* VDN_OK when every extent is 1 or more and the product of bytes fits int64_t. */
VDN_MUST_USE vdn_status vdni_tensor_check(vdn_ctx *ctx, const vdni_tensor *t, const char *name);

#endif
