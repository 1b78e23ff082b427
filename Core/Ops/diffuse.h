/* The data side of the diffusion process: every update of model.md 1.2 to 1.7 is one weighted sum with
 * coefficients per image, computed in double by Core/Diffusion/process and rounded to float.
 *
 * COMBINE      y[n,..] = q[n,0] a[n,..] + q[n,1] b[n,..] + q[n,2] c[n,..] + q[n,3] d[n,..]
 *
 *              with scale > 0 cut to [-scale, scale] (NaN stays)
 *
 *  in   a (n,h,w,k) f32, coefficients q (n,1,1,4) f32, b?, c?, d? like a; a term without its tensor is 0
 *  out  y like a; may be any of a, b, c, d (in place)
 *  attribute: scale, 0 (no bound) or above
 *
 * ENCODE       p = sigmoid(s) (k = 1) or softmax over the k channels of s
 *              y = rho (2 p - 1)  (mode 0: code +-rho)     y = p  (mode 1: code {0, 1})
 *
 *  in   s (n,h,w,k) f32
 *  out  y like s, p? like s; neither may be s
 *  attributes: scale = rho, above 0 and finite in mode 0; mode
 *
 * No gradients: this is data to the network, the prior is detached. */
#ifndef VDNI_DIFFUSE_H
#define VDNI_DIFFUSE_H

#include "Ops/op.h"

typedef enum { VDNI_CODE_PLUS_MINUS = 0, VDNI_CODE_ZERO_ONE } vdni_mask_code;

enum { VDNI_COMBINE_TERMS = 4 };

#endif
