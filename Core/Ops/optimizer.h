/* AdamW, Adam and SGD over flat parameter blocks, with global gradient clipping and a moving average.
 * Kingma and Ba 2015, arXiv:1412.6980, algorithm 1; Loshchilov and Hutter 2019, arXiv:1711.05101;
 * Nesterov's momentum in the form of Sutskever et al. 2013 (ICML) that PyTorch has.
 *
 *     c  = clip > 0 and |g| > clip ?  clip / |g|  :  1          |g| over all count values, in double
 * ADAMW:
 *     m  = b1 m + (1-b1) c g          v = b2 v + (1-b2) (c g)^2
 *     p  = p - lr * wd * p  - lr * (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)
 * ADAM: the same with s = c g + wd p in the place of c g, and no lr * wd * p
 * SGD:  m = b1 m + s                  p = p - lr * (s + b1 m)          v stays
 *     e  = d e + (1-d) p
 *
 * t = step, from 1. wd applies to values whose decay_mask byte is not 0 (all when NULL). After the
 * step the gradient block is zero. Sums run over VDNI_CHUNKS fixed chunks in order: the thread count
 * changes no bit. */
#ifndef VDNI_OPTIMIZER_H
#define VDNI_OPTIMIZER_H

#include "Ops/backend.h"

typedef enum {
    VDNI_OPTIMIZER_ADAMW = 0,
    VDNI_OPTIMIZER_ADAM,
    VDNI_OPTIMIZER_SGD, /* beta1 is the momentum; beta2 and eps are not used */
    VDNI_OPTIMIZERS
} vdni_optimizer_kind;

typedef struct vdni_optimizer_step {
    vdni_optimizer_kind kind;
    int64_t count;
    float *parameters, *moment1, *moment2, *gradient; /* (count) each, device memory */
    float *average;                                   /* (count) EMA, NULL = none */
    const uint8_t *decay_mask;                        /* (count) or NULL */
    int64_t step;                                     /* from 1 */
    double lr, beta1, beta2, eps, weight_decay, clip, average_decay;
    double *gradient_norm;                            /* host, out: |g| before clipping; may be NULL */
} vdni_optimizer_step;

/* VDN_ERR_ARGUMENT: no such kind, count or step below 1, a beta outside [0, 1), lr or eps not positive.
 * VDN_ERR_NUMERIC: the gradient norm is NaN or infinite; nothing was changed. */
VDN_MUST_USE vdn_status vdni_optimizer_check(vdn_ctx *ctx, const vdni_optimizer_step *step);

#endif
