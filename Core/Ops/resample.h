/* Doubling the resolution, and moving pixels into channels and back.
 *
 *  UPSAMPLE, factor 2, mode (vdni_upsample_mode):
 *    NEAREST   y[i,j] = x[i/2, j/2], division rounding down
 *    BILINEAR  y[i,j] = x at row (i + 1/2)/2 - 1/2, column likewise, clamped to the edge (the
 *              convention align_corners = 0): along one axis, with x[-1] = x[0] and x[h] = x[h-1],
 *                  y[2i] = 1/4 x[i-1] + 3/4 x[i],      y[2i+1] = 3/4 x[i] + 1/4 x[i+1]
 *              in  x (n,h,w,c), skip? (n,2h,2w,s)        out y (n,2h,2w,c+s)
 *            skip follows as channels c .. c+s-1, as CONCAT would put it: then y has no gradient here
 *  UPSAMPLE_BACKWARD  the adjoint, gathered, + addend. NEAREST: the sum of the 2 x 2 pixels.
 *    BILINEAR, along one axis: dx[i] = 1/4 g[2i-1] + 3/4 g[2i] + 3/4 g[2i+1] + 1/4 g[2i+2], where
 *    the indices -1 and 2h mean 0 and 2h-1
 *              in  g (n,2h,2w,c), addend? (n,h,w,c)      out dx (n,h,w,c)
 *  UNSHUFFLE, factor r: y[i, j, c r^2 + a r + b] = x[i r + a, j r + b, c]
 *              in  x (n,h,w,c), r divides h and w        out y (n,h/r,w/r,c r^2)
 *  SHUFFLE, factor r: the inverse. Each is the other's gradient.
 *              in  x (n,h,w,c r^2)                       out y (n,h r,w r,c)
 *
 * Tensors f32 or bf16 each on its own. No slot works in place. */
#ifndef VDNI_OPS_RESAMPLE_H
#define VDNI_OPS_RESAMPLE_H

#include "Ops/op.h"

#endif
