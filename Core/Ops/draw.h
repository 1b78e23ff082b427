/* The steps of a diffusion process that COMBINE (diffuse.h) cannot make, being no weighted sums.
 * Design: model.md 1.6, learn_sigma and process bernoulli. e is standard normal noise.
 *
 * ANCESTRAL  y = m + exp(q[n,0] v + q[n,1]) e     learned variance (Nichol and Dhariwal 2021,
 *            arXiv:2102.09672, equation 15): v interpolates between two logarithms
 *            in  m, v, e (n,h,w,k) f32, q (n,1,1,4) f32 (two values of it)         out y like m
 * DRAW       y = 1 where Phi(e) < p, else 0: a coin of probability p; Phi the normal distribution
 *            function, so that Phi(e) is uniform. NaN stays NaN
 *            in  p, e (n,h,w,k) f32                                                out y like p
 * FLIP       y = |x - sigmoid(z)|, with x in {0, 1} the probability of 1 before the flips that z gives
 *            in  z, x (n,h,w,k) f32                                                out y like z
 *
 * Data side only: no gradients. No attributes. No slot works in place. */
#ifndef VDNI_DRAW_H
#define VDNI_DRAW_H

#include "Ops/op.h"

#endif
