/* The only door to oneDNN: everything that calls dnnl_ is in primitive.c, for versions 2 and 3 of its C
 * interface. Activations are plain NHWC; packed weights are in whatever order the library likes. */
#ifndef VDNI_ONEDNN_PRIMITIVE_H
#define VDNI_ONEDNN_PRIMITIVE_H

#include "Tensor/tensor.h"

/* Engine and stream. */
typedef struct vdni_dnnl vdni_dnnl;

vdn_status vdni_dnnl_open(vdn_ctx *ctx, vdni_dnnl **out);
void vdni_dnnl_close(vdn_ctx *ctx, vdni_dnnl *dnnl);

/* Non-zero when the library may use the bf16 matrix unit of this processor. */
int vdni_dnnl_has_amx(void);

typedef enum { VDNI_DNNL_FORWARD, VDNI_DNNL_TO_INPUT, VDNI_DNNL_TO_WEIGHT } vdni_dnnl_direction;

/* One convolution on a dense piece of memory. wide is the input side (n, h, w, ci), narrow the
 * output side (n, oh, ow, co); pad is top, left, bottom, right and may differ per side. */
typedef struct vdni_dnnl_shape {
    vdni_dnnl_direction direction;
    int64_t n, h, w, ci, oh, ow, co;
    int64_t kernel, stride, dilation, pad[4];
    vdni_dtype wide, narrow, packed; /* storage types; packed: of the weights as computed with */
    vdni_dtype add;                  /* FORWARD with has_add: type of the tensor added to narrow */
    int32_t has_bias, has_add;
} vdni_dnnl_shape;

typedef struct vdni_dnnl_conv vdni_dnnl_conv;

/* Compile one convolution for the calling thread's current OpenMP team size, which must be the same
 * when it runs. *out is NULL, with VDN_OK, when the library has no fast implementation. */
vdn_status vdni_dnnl_create(vdn_ctx *ctx, vdni_dnnl *dnnl, vdni_dnnl_conv **out,
                            const vdni_dnnl_shape *shape);
void vdni_dnnl_free(vdn_ctx *ctx, vdni_dnnl_conv *conv);

int64_t vdni_dnnl_packed_bytes(const vdni_dnnl_conv *conv);  /* weights in the library's order */
int64_t vdni_dnnl_scratch_bytes(const vdni_dnnl_conv *conv); /* for run and for pack */

/* Non-zero when both keep their weights in the same order. */
int vdni_dnnl_same_packing(const vdni_dnnl_conv *a, const vdni_dnnl_conv *b);

/* "brgconv:avx512_core_bf16" and the like. */
const char *vdni_dnnl_name(const vdni_dnnl_conv *conv);

/* Addresses of one call; 64-byte alignment of packed and scratch. In the FORWARD and TO_INPUT
 * directions packed, bias and add are read; TO_WEIGHT overwrites packed and bias (sums of this call
 * alone). */
typedef struct vdni_dnnl_pointers {
    void *wide, *narrow, *packed, *bias, *add, *scratch;
} vdni_dnnl_pointers;

vdn_status vdni_dnnl_run(vdn_ctx *ctx, vdni_dnnl *dnnl, const vdni_dnnl_conv *conv,
                         const vdni_dnnl_pointers *at);

/* Weights (co, k, k, ci) f32 into the library's order, and back (TO_WEIGHT). */
vdn_status vdni_dnnl_pack(vdn_ctx *ctx, vdni_dnnl *dnnl, const vdni_dnnl_conv *conv, void *packed,
                          const void *plain, void *scratch);
vdn_status vdni_dnnl_unpack(vdn_ctx *ctx, vdni_dnnl *dnnl, const vdni_dnnl_conv *conv, void *plain,
                            const void *packed, void *scratch);

#endif
