/* Depthwise 2-D convolution: every channel has its own window; stride 1, zero padding.
 * The large kernels of the noise semantic adapter: model.md 2.6; Guo et al. 2022, arXiv:2202.09741
 * (decomposed 5x5 and dilated 7x7 attention kernels).
 *
 *     y[n,oh,ow,c] = b[c] + sum over kh, kw of x[n, oh + kh*d - p, ow + kw*d - p, c] * w[kh,kw,c]
 *     oh = h + 2p - d(k-1),     ow likewise
 *
 * Backward, g = dL/dy:
 *
 *     dx[n,ih,iw,c]  = addend + sum over kh, kw of g[n, ih - kh*d + p, iw - kw*d + p, c] * w[kh,kw,c]
 *     dw[kh,kw,c]   += sum over n, oh, ow of g[n,oh,ow,c] * x[n, oh + kh*d - p, ow + kw*d - p, c]
 *     db[c]         += sum over n, oh, ow of g[n,oh,ow,c]
 *
 *  DEPTHWISE     in  x (n,h,w,c), w (1,k,k,c) f32, b? (1,1,1,c) f32      out y (n,oh,ow,c)
 *  DEPTHWISE_DX  in  g (n,oh,ow,c), w, addend? (n,h,w,c)                 out dx (n,h,w,c)
 *  DEPTHWISE_DW  in  x, g                             out dw (1,k,k,c) f32, db? (1,1,1,c) f32
 *
 * Activations may be f32 or bf16, each on its own; sums run in f32. Attributes: kernel >= 1,
 * dilation >= 1, pad >= 0, stride 1. No slot works in place. */
#ifndef VDNI_DEPTHWISE_H
#define VDNI_DEPTHWISE_H

#include "Ops/conv.h"

#endif
