/* Noise schedule in double: how much signal is left after t of T steps (model.md 1.3, 1.5).
 *
 *     linear  beta_t = linspace(0.1/T, 20/T, T)          Ho, Jain and Abbeel 2020, arXiv:2006.11239
 *     cosine  beta_t = min(0.999, 1 - g(t/T) / g((t-1)/T)),  g(u) = cos^2((u + 0.008)/1.008 pi/2)
 *                                                        Nichol and Dhariwal 2021, arXiv:2102.09672
 *
 *     alpha = 1 - beta,  abar_t = alpha_1 ... alpha_t,  abar_0 = 1
 *
 * and of the exact posterior q(x_{t-1} | x_t, x_0, f) of the process shifted by the prior f
 * (Han, Zheng and Zhou 2022, arXiv:2206.07275, in the cancellation-free form of gamma2):
 *
 *     gamma0 = sqrt(abar_{t-1}) (1 - alpha_t) / (1 - abar_t)
 *     gamma1 = sqrt(alpha_t) (1 - abar_{t-1}) / (1 - abar_t)
 *     gamma2 = (1 - sqrt alpha_t) (1 - sqrt abar_{t-1}) / (1 + sqrt abar_t)     the three sum to 1
 *     sigma^2 = (1 - alpha_t) (1 - abar_{t-1}) / (1 - abar_t)
 *
 * t runs 1..T everywhere; entry 0 of every array is t = 0. */
#ifndef VDNI_SCHEDULE_H
#define VDNI_SCHEDULE_H

#include "Net/config.h" /* vdni_schedule_kind */

enum { VDNI_MAX_TIME_STEPS = 100000 };

typedef struct vdni_schedule {
    vdni_schedule_kind kind;
    int64_t T;
    double *alpha, *abar;                     /* (T + 1) each; alpha[0] = abar[0] = 1 */
    double *gamma0, *gamma1, *gamma2, *sigma; /* (T + 1) each; gamma0[1] = 1, sigma[1] = 0 */
} vdni_schedule;

/* VDN_ERR_ARGUMENT: T outside 1..VDNI_MAX_TIME_STEPS, an unknown kind, or a linear schedule of 20 or
 * fewer steps, whose last beta would not be below 1. VDN_ERR_MEMORY. */
VDN_MUST_USE vdn_status vdni_schedule_create(vdn_ctx *ctx, vdni_schedule **out,
                                             vdni_schedule_kind kind, int64_t T);
void vdni_schedule_free(vdn_ctx *ctx, vdni_schedule *schedule);

#endif
