/* Convolution, host side: what the libraries' forms take from the own kernels. */
#ifndef VDNI_CUDA_CONV_H
#define VDNI_CUDA_CONV_H

#include "CUDA/device.h"

/* CONV, CONV_DX or CONV_DW with the own kernels, whatever was prepared. */
vdn_status vdni_cuda_conv_own(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                              void *workspace);
int64_t vdni_cuda_conv_own_workspace(const vdni_device *device, const vdni_op *op);

/* db += sums of g over its pixels. */
vdn_status vdni_cuda_conv_bias(vdn_ctx *ctx, vdni_device *device, const vdni_tensor *db,
                               const vdni_tensor *g, void *workspace);
int64_t vdni_cuda_conv_bias_workspace(const vdni_tensor *g);

/* Values of one type as another; from NULL: zeros. */
struct vdni_cuda_conversion {
    void *to;
    const void *from;
    vdni_dtype to_type, from_type;
    int64_t count;
};
/* One or two of them, in one kernel. */
vdn_status vdni_cuda_convert(vdn_ctx *ctx, vdni_device *device, const vdni_cuda_conversion *items,
                             int32_t item_count);
/* to[i] += from[i]. */
vdn_status vdni_cuda_accumulate(vdn_ctx *ctx, vdni_device *device, float *to, const void *from,
                                vdni_dtype from_type, int64_t count);
/* y = addend + bias, each of which may be NULL: what a convolution then adds to. */
vdn_status vdni_cuda_conv_prime(vdn_ctx *ctx, vdni_device *device, const vdni_tensor *y,
                                const vdni_tensor *addend, const vdni_tensor *bias);

#endif
