/* Layer norm over the channels of every pixel. Ba, Kiros and Hinton 2016, arXiv:1607.06450.
 *
 *     xhat[i,c] = (x[i,c] - mean[i]) * rstd[i],     rstd = 1 / sqrt(variance + eps)
 *     y[i,c]    = xhat * gamma[c] + beta[c]
 *
 * mean and variance (biased) of the channels of pixel i. Backward, g = dL/dy, d = g * gamma, E[] the
 * mean over the channels of a pixel:
 *
 *     dx = rstd * (d - E[d] - xhat * E[d * xhat]) + addend
 *     dgamma += sum over pixels of g xhat       dbeta += sum over pixels of g
 *
 *  LAYER_NORM           in  x (n,h,w,c), gamma, beta (1,1,1,c)       out y (n,h,w,c), stats (n,h,w,2)
 *  LAYER_NORM_BACKWARD  in  g (n,h,w,c), x, stats, gamma, addend? (n,h,w,c)
 *                       out dx (n,h,w,c), dgamma? dbeta? (1,1,1,c)
 *
 * stats: mean, rstd. Activations f32 or bf16 each on its own, everything else f32; sums in f32 or better,
 * in an order that neither threads nor batch change. No slot works in place. Attributes: eps in (0, 1].
 * c at most VDNI_LAYER_NORM_CHANNELS. */
#ifndef VDNI_LAYER_NORM_H
#define VDNI_LAYER_NORM_H

#include "Ops/op.h"

enum { VDNI_LAYER_NORM_CHANNELS = 8192 };

#endif
