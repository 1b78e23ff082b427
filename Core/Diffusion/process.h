/* The shifted diffusion process as coefficients of the COMBINE operator (model.md 1.2 to 1.7).
 *
 * Every update is linear in at most four tensors. Each function below writes the row of coefficients of
 * one image, in the order of tensors it names; a coefficient of 0 stands where a tensor is not used.
 * All are computed in double and rounded once. f is the coded prior, n standard normal noise. */
#ifndef VDNI_PROCESS_H
#define VDNI_PROCESS_H

#include "Diffusion/schedule.h"

/* Order of tensors of the reverse steps: network output, state, prior, noise. */
enum { VDNI_TERM_X0 = 0, VDNI_TERM_X, VDNI_TERM_F, VDNI_TERM_NOISE, VDNI_TERMS };

/* x_t from (x0, -, f, n): sqrt(abar) x0 + (1 - sqrt abar) f + sqrt(1 - abar) n. Terms as above; the
 * state has coefficient 0. 1 <= t <= T. */
void vdni_process_noise(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t);

/* Start at t: the noised prior x_t = f + sqrt(1 - abar_t) n. 1 <= t <= T. */
void vdni_process_start(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t);

/* DDPM, t to t-1: gamma0 x0 + gamma1 x + gamma2 f + sigma n; at t = 1 it is x0. */
void vdni_process_ddpm(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t);

/* DDIM (Song, Meng and Ermon 2021, arXiv:2010.02502, equation 12, on x - f), t to s < t:
 *
 *     e = (x - f - sqrt(abar_t) (x0 - f)) / sqrt(1 - abar_t)
 *     sigma = eta sqrt((1 - abar_s) / (1 - abar_t)) sqrt(1 - abar_t / abar_s)
 *     f + sqrt(abar_s) (x0 - f) + sqrt(1 - abar_s - sigma^2) e + sigma n;      at s = 0 it is x0.
 *
 * 0 <= s < t <= T, 0 <= eta <= 1. */
void vdni_process_ddim(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t, int64_t s,
                       double eta);

/* Algorithm 2 of the paper as printed (mode paper_literal), the network output being the noise z:
 * (x - (1 - alpha_t) / sqrt(1 - abar_t) z) / sqrt(alpha_t) + sigma_t n. Its mean lacks
 * (1 - 1/sqrt(alpha_t)) f: it samples a biased law and is kept for comparison only. */
void vdni_process_literal(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t);

/* The mask that a noise estimate means, from terms as above with the estimate in place of x0:
 * x0 = f + (x - f - sqrt(1 - abar) eps) / sqrt(abar). 1 <= t <= T, abar_t > 0. */
void vdni_process_decode(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t);

/* What the network reads of the state with norm_in, x / sqrt(rho^2 + 1 - abar_t): about as large at
 * every t (model.md 1.5). One term, the first. */
void vdni_process_input(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t, double rho);

/* The process without a shift (f = 0 in every equation) from a row of the shifted one: f drops out. */
void vdni_process_unshift(float row[VDNI_TERMS]);
/* Its start: the prior is noised as a mask would be. */
void vdni_process_start_unshifted(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t);

/* Learned variance of a step from t to s < t: sigma = exp(row[0] v + row[1]), v = -1 the posterior's
 * and v = 1 the forward process's; exp() is 0 at s = 0. */
void vdni_process_sigma(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t, int64_t s);

/* Flips (process bernoulli): x_t = 1 with probability abar x0 + (1 - abar) f, from terms of
 * vdni_process_noise; and a step from t to s: probability kappa x + (abar_s - kappa abar_t) x0 with
 * kappa = (1 - abar_s) / (1 - abar_t), whose marginals are those of the process. */
void vdni_process_flip_noise(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t);
void vdni_process_flip_step(float row[VDNI_TERMS], const vdni_schedule *schedule, int64_t t,
                            int64_t s);

/* The weights of EPSILON_LOSS (Ops/process_loss.h) at t for a code of +-rho. clip as below: the squared
 * error's weight is min(S, clip) / S. The cross entropy's weight is abar_t, which takes back the gain
 * of the estimate; at t = 1 the posterior's variance is that of t = 2. */
void vdni_process_epsilon_weights(float weights[8], const vdni_schedule *schedule, int64_t t,
                                  double rho, double clip);

/* Weight of the squared error on probabilities, min(S_t, clip) with S_t = rho^2 abar_t / (1 - abar_t):
 * Hang et al. 2023, arXiv:2303.09556. clip may be INFINITY (equation 8 of the paper). */
float vdni_process_snr_weight(const vdni_schedule *schedule, int64_t t, double rho, double clip);

/* Grid of a sampler of S steps from start t0: grid[i] = round(i t0 / S), i = 0..S.
 * VDN_ERR_ARGUMENT unless 1 <= S <= t0 <= T. */
VDN_MUST_USE vdn_status vdni_process_grid(vdn_ctx *ctx, int64_t *grid,
                                          const vdni_schedule *schedule, int64_t S, int64_t t0);

#endif
