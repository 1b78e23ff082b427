/* Pooling over pixels and over channels.
 *
 *  MAX_POOL      y[i,j] = max over dy, dx in {0, 1} of x[2i + dy, 2j + dx]; argmax = 2 dy + dx of the
 *                first that reaches it. An odd last row or column is left out. NaN wins.
 *                With kernel 3 and pad 1: dy, dx in {0, 1, 2} of x[2i + dy - 1, 2j + dx - 1], elements
 *                outside x not taken; argmax = 3 dy + dx.
 *                in  x (n,h,w,c)        out y (n,vdni_pool_extent(h),..(w),c), argmax? u8 like y
 *  MAX_POOL_BACKWARD      dx = sum of the g whose argmax it is, + addend
 *                in  g like y, argmax, addend? (n,h,w,c)                 out dx (n,h,w,c)
 *  AVERAGE_POOL  y[i,j] = 1/k^2 sum over dy, dx in 0..k-1 of x[s i + dy - p, s j + dx - p], zero
 *                outside x: the divisor is k^2 at the border too. No gradient: the gate pyramid that
 *                uses it is detached.
 *                in  x (n,h,w,c)        out y (n,(h+2p-k)/s+1,(w+2p-k)/s+1,c), division rounding down
 *  GLOBAL_POOL   y[n,c] = 1/(hw) sum over i, j of x[n,i,j,c]
 *                in  x (n,h,w,c)                          out y (n,1,1,c) f32
 *  GLOBAL_POOL_BACKWARD   dx = g / (hw) + addend
 *                in  g (n,1,1,c) f32, addend? (n,h,w,c)   out dx (n,h,w,c)
 *  CHANNEL_STATS y[..,0] = mean over c of x, y[..,1] = max over c of x; argmax = lowest channel that
 *                reaches the maximum (0 when x has NaN)
 *                in  x (n,h,w,c)                          out y (n,h,w,2), argmax? u16 (n,h,w,1)
 *  CHANNEL_STATS_BACKWARD dx[c] = g[0] / c + (c == argmax) g[1] + addend
 *                in  g (n,h,w,2), argmax, addend? (n,h,w,c)              out dx (n,h,w,c)
 *
 * Activations f32 or bf16 each on its own; sums in f32 or better. c <= 65536 for CHANNEL_STATS.
 * No slot works in place. Attributes: kernel, stride, pad: 2, 2, 0 or 3, 2, 1 for the max
 * pools; for AVERAGE_POOL kernel >= 1, stride >= 1, 0 <= pad < kernel; scale = gain: 0 gives the mean, otherwise
 * min(1, gain * mean), the saturating gate of the NSA, or with mode VDNI_POOL_STEP 1 where
 * gain * mean >= 1 and 0 elsewhere. */
#ifndef VDNI_POOL_H
#define VDNI_POOL_H

#include "Ops/op.h"

/* AVERAGE_POOL with a gain. */
typedef enum { VDNI_POOL_SATURATE = 0, VDNI_POOL_STEP } vdni_pool_mode;

/* Output extent of MAX_POOL and AVERAGE_POOL; below 1 when the window does not fit. */
static inline int64_t vdni_pool_extent(int64_t extent, const vdni_attr *a)
{
    const int64_t room = extent + 2 * (int64_t)a->pad - a->kernel;
    return room < 0 ? 0 : room / a->stride + 1;
}

#endif
