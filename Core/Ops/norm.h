/* Normalisation with affine, modulation and activation in one operator.
 *
 *     xhat[i,c] = (x[i,c] - mean) * rstd,     rstd = 1 / sqrt(variance + eps)
 *     u[i,c]    = (xhat * gamma[c] + beta[c]) * (1 + scale[n,c]) + shift[n,c]
 *     y         = act(u)
 *
 * where i runs over the pixels; mode (vdni_norm_kind) says what mean and variance (biased) cover:
 *   GROUP        image n and the c/groups neighbouring channels of a group: group norm (Wu and He
 *                2018, arXiv:1803.08494); groups = c is instance norm; groups = 1 with h = w = 1 is
 *                layer norm of a vector. One element per group is legal: xhat = 0.
 *   BATCH_TRAIN  channel c over all images (Ioffe and Szegedy 2015, arXiv:1502.03167). Updates
 *                running += 0.1 * (batch - running), with the unbiased variance, as PyTorch does.
 *   BATCH_EVAL   mean and variance are running.
 * Statistics never come from a float E[x^2] - E[x]^2.
 *
 * Backward, g = dL/dy, h = g * act'(u), s = 1 + scale, d = h * gamma * s = dL/dxhat, and E[] the
 * mean over what the statistics covered (0 in mode BATCH_EVAL):
 *
 *     dx     = rstd * (d - E[d] - xhat * E[d * xhat]) + addend
 *     dgamma += sum over n, i of h s xhat           dbeta  += sum over n, i of h s
 *     dscale  = sum over i of h (gamma xhat + beta) dshift  = sum over i of h
 *
 *  NORM           in  x (n,h,w,c), gamma (1,1,1,c), beta (1,1,1,c), mod? (n,1,1,2c),
 *                     running? (1,1,1,2c)
 *                 out y (n,h,w,c), stats
 *  NORM_BACKWARD  in  g (n,h,w,c), x, stats, gamma, beta, mod?, addend? (n,h,w,c)
 *                 out dx (n,h,w,c), dgamma? dbeta? (1,1,1,c), dmod? (n,1,1,2c)
 *
 * stats: (n,1,1,2 groups), in the batch modes (1,1,1,2c); pairs mean, rstd one group after another.
 * mod and dmod: the c scales, then the c shifts; dmod is overwritten. running: the c means, then
 * the c variances; read and written by BATCH_TRAIN, required by BATCH_EVAL, absent in mode GROUP.
 * Activations f32 or bf16 each on its own, everything else f32. In place: y may be x, with its type.
 * Attributes: mode, groups (mode GROUP), eps > 0, act. */
#ifndef VDNI_NORM_H
#define VDNI_NORM_H

#include "Ops/op.h"

/* Groups of one image's statistics: a.groups, or c in the batch modes. */
static inline int64_t vdni_norm_groups(const vdni_op *op, int64_t c)
{
    return op->a.mode == VDNI_NORM_GROUP ? op->a.groups : c;
}

#endif
