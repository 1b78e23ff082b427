/* What changes from step to step by rule: learning rate, memory of the moving average, and the time
 * step of each image. Loshchilov and Hutter 2017, arXiv:1608.03983, for the cosine. */
#ifndef VDNI_LR_H
#define VDNI_LR_H

#include <stdint.h>

typedef enum {
    VDNI_LR_CONSTANT = 0,
    VDNI_LR_COSINE, /* linear warm-up, then half a cosine down to the floor */
    VDNI_LR_POLY    /* nnU-Net's: falls with the power 0.9 of what is left */
} vdni_lr_kind;

typedef struct vdni_lr {
    vdni_lr_kind kind;
    double base;
    double floor;   /* COSINE: the rate of the last step; 1e-6 */
    int64_t warmup; /* COSINE: steps of the rise; 200. A run of fewer steps only rises */
    int64_t steps;  /* COSINE, POLY: steps of the whole run */
} vdni_lr;

/* Rate of step @p step, counted from 1:
 *     step <= warmup   base * step / warmup
 *     else             floor + (base - floor) (1 + cos(pi (step - warmup) / (steps - warmup))) / 2
 * and floor after the last. POLY: base * (1 - (step - 1) / steps)^0.9, after the last as at the last. */
double vdni_lr_at(const vdni_lr *lr, int64_t step);

/* Decay of the moving average at its @p n-th update, counted from 0: min(limit, (1+n) / (10+n)). */
double vdni_ema_decay(double limit, int64_t n);

/* Time step in 1..t_max of image @p j of the @p strata images of one optimiser step: uniform in the
 * j-th of as many equal parts, @p uniform being a number in [0, 1). One stratum is plain uniform. */
int32_t vdni_stratified_time(int32_t t_max, int64_t j, int64_t strata, double uniform);

#endif
