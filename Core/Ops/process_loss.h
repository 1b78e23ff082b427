/* Losses on what a diffusion process added, for networks that do not give the mask itself
 * (model.md 1.6). Means run over the N pixels of an image that count and its k channels; m is the
 * target as 0 or 1 (k = 1: the label; k > 1: one-hot).
 *
 * EPSILON_LOSS: z estimates the normal noise eps of x_t (param eps, eps_bce; learn_sigma).
 *
 *     mse = mean of w (eps - z)^2                                          equation 8 of the paper
 *     bce = mean of a BCE(m, p),   p = m + g (eps - z) cut to [1e-4, 1 - 1e-4]: the mask that z means;
 *           where it is cut it has no slope
 *     vlb = mean of (L + (B + d^2) exp(-L) + C) / 2,   d = c (eps - z) without a slope,
 *           L = lo + (v + 1)/2 (hi - lo) the learned log variance;  B = exp(lo), C = -lo - 1: the
 *           divergence from the true posterior;  at the first time B = 0, C = log 2 pi: the likelihood
 *     total = lambda[0] mse + lambda[1] bce + lambda[2] vlb;  a term whose lambda is 0 is 0
 *
 *  in   z (n,h,w,k), or (n,h,w,2k) with v behind it: then lambda[2] may be above 0;
 *       eps (n,h,w,k) f32, target (n,h,w,1) u8,
 *       weights (n,1,1,8) f32 = [w, scale of the gradient, g, a, hi, lo, c, 1 at the first time else 0]
 *  out  dz like z, terms (n,1,1,4) f32 = [total, mse, bce, vlb], not scaled
 *  attributes: lambda
 *
 * BERNOULLI_LOSS: z are logits of the flips between the clean mask m and x (process bernoulli). With
 * e = |x - m|, s = sigmoid(z), y = |x - s| the estimated mask, and for any y
 *
 *     mu = A y + (1 - A) f,   q(y) = A1 mu / (A1 mu + A0 (1 - mu)),
 *     A1 = alpha x + (1 - alpha) r,  A0 = alpha (1 - x) + (1 - alpha) r,  r = |1 - x - f|
 *
 *     kl = mean of KL(q(m) || q(y))     bce = mean of -e log s - (1 - e) log(1 - s)
 *     total = lambda[0] kl + lambda[1] bce
 *
 *  in   z, x in {0, 1}, f in [0, 1] (n,h,w,k) f32, target (n,h,w,1) u8,
 *       weights (n,1,1,4) f32 = [1 - alpha, A, scale of the gradient, 1 - A]: as differences of 1
 *       both would lose digits
 *  out  dz like z, terms (n,1,1,4) f32 = [total, kl, bce, 0]
 *  attributes: lambda
 *
 * A pixel counts when its label is below max(k, 2). Sums run in double over fixed pieces of each
 * image. Nothing works in place. */
#ifndef VDNI_PROCESS_LOSS_H
#define VDNI_PROCESS_LOSS_H

#include "Ops/op.h"

enum { VDNI_EPSILON_WEIGHTS = 8, VDNI_BERNOULLI_WEIGHTS = 4 };

#endif
