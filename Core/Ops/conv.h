/* Dense 2-D convolution with zero padding (a correlation, as every network library calls it).
 *
 *     y[n,oh,ow,o] = b[o] + residual[n,oh,ow,o]
 *                  + sum over kh, kw, i of x[n, oh*s + kh*d - p, ow*s + kw*d - p, i] * w[o,kh,kw,i]
 *
 * with kernel k, stride s, dilation d and pad p; elements outside x are 0, and
 *
 *     oh = floor((h + 2p - d(k-1) - 1) / s) + 1,     ow likewise.
 *
 * Backward, g = dL/dy:
 *
 *     dx[n,ih,iw,i]    = addend + sum over (o, kh, kw) with oh*s + kh*d - p = ih, ow likewise,
 *                        of g[n,oh,ow,o] * w[o,kh,kw,i]
 *     dw[o,kh,kw,i]   += sum over n, oh, ow of g[n,oh,ow,o] * x[n, oh*s + kh*d - p, .., i]
 *     db[o]           += sum over n, oh, ow of g[n,oh,ow,o]
 *     dresidual        = g
 *
 *  CONV     in  x (n,h,w,ci), w (co,k,k,ci) f32, b? (1,1,1,co) f32, residual? (n,oh,ow,co)
 *           out y (n,oh,ow,co)
 *  CONV_DX  in  g (n,oh,ow,co), w, addend? (n,h,w,ci)        out dx (n,h,w,ci)
 *  CONV_DW  in  x (n,h,w,ci), g (n,oh,ow,co)                 out dw (co,k,k,ci) f32, db? (1,1,1,co) f32
 *
 * Activations may be f32 or bf16, each on its own; the sum runs in f32 and is rounded once.
 * Attributes: kernel 1..15, stride 1 or 2, dilation >= 1, pad >= 0. dx has the shape the caller gives
 * it: with stride 2 two input sizes give the same output size. No slot works in place. */
#ifndef VDNI_CONV_H
#define VDNI_CONV_H

#include "Ops/op.h"

/* Kernels keep one record per tap on the stack. */
enum { VDNI_MAX_KERNEL = 15 };

/* Output extent of a window of attributes @p a over an input extent; below 1 when it does not fit. */
static inline int64_t vdni_window_extent(int64_t extent, const vdni_attr *a)
{
    const int64_t room = extent + 2 * (int64_t)a->pad - (int64_t)a->dilation * (a->kernel - 1) - 1;
    return room < 0 ? 0 : room / a->stride + 1;
}

/* The tensors of a convolution of any kind by their role; b, add and db may be NULL. wide is the
 * input side (x or dx), narrow the output side (y or g). */
typedef struct vdni_conv_roles {
    vdni_tensor *wide, *narrow, *w, *b, *add;
} vdni_conv_roles;

/* Sort the slots of CONV, CONV_DX, CONV_DW or the DEPTHWISE kinds; for _DW kinds w is dw, b is db. */
vdni_conv_roles vdni_conv_get_roles(const vdni_op *op);

/* Kernel, stride, dilation and pad in their ranges, and the extents of wide and narrow agreeing;
 * shared with the depthwise kinds. */
VDN_MUST_USE vdn_status vdni_window_check(vdn_ctx *ctx, const vdni_op *op,
                                          const vdni_conv_roles *roles);

#endif
