/* Element-wise activation functions.
 *
 *     NONE        y = x                            y' = 1
 *     RELU        y = max(x, 0)                    y' = x > 0
 *     LEAKY_RELU  y = x > 0 ? x : 0.01 x           y' = x > 0 ? 1 : 0.01
 *     ELU         y = x > 0 ? x : exp(x) - 1       y' = x > 0 ? 1 : exp(x)
 *     SILU        y = x s(x)                       y' = s (1 + x (1 - s)),  s = s(x)
 *     SIGMOID     y = s(x) = 1 / (1 + exp(-x))     y' = s (1 - s)
 *     SOFTPLUS    y = log(1 + exp(x))              y' = s
 *     GELU        y = x Phi(x)                     y' = Phi(x) + x phi(x)
 *
 * Phi and phi: distribution function and density of the standard normal (Hendrycks and Gimpel 2016,
 * arXiv:1606.08415, the exact form); SILU: the same paper; ELU with alpha 1: Clevert et al. 2015,
 * arXiv:1511.07289. Backward, g = dL/dy: dx = g y'(x) + addend; at x = 0 the side of x < 0 counts.
 *
 *  ACTIVATION           in  x (n,h,w,c)                  out y (n,h,w,c); in place: y may be x
 *  ACTIVATION_BACKWARD  in  g, x, addend? (n,h,w,c)      out dx (n,h,w,c)
 *
 * Every tensor f32 or bf16 on its own, but in place y has the type of x. Attribute: act. */
#ifndef VDNI_ACTIVATION_H
#define VDNI_ACTIVATION_H

#include "Ops/op.h"

/* VDN_ERR_ARGUMENT unless op->a.act is a vdni_activation; shared with NORM. */
VDN_MUST_USE vdn_status vdni_act_check(vdn_ctx *ctx, const vdni_op *op);

#endif
