/* How far the difference of two methods could be chance: a paired bootstrap by subject.
 *
 * Both methods are scored on the same images, so each image gives one difference. Images of one
 * subject resemble each other, so whole subjects are drawn, with replacement, as many as there are;
 * the statistic is the mean over the images of those drawn. The interval holds the middle 95 % of 2000
 * such means (percentile method: Efron and Tibshirani 1993, "An introduction to the bootstrap", 13.3;
 * drawing clusters: Field and Welsh 2007, doi 10.1111/j.1467-9868.2007.00593.x). Draws are keyed by a
 * fixed seed: the same scores give the same interval. Fewer than about ten subjects give an interval
 * that is too narrow, and one subject none. */
#ifndef VDNI_BOOTSTRAP_H
#define VDNI_BOOTSTRAP_H

#include "Base/context.h"

enum { VDNI_BOOTSTRAP_DRAWS = 2000, VDNI_BOOTSTRAP_SEED = 35 };

typedef struct vdni_interval {
    double mean, low, high; /* low and high NaN for fewer than two subjects */
    int64_t subjects;
} vdni_interval;

/* @p difference of @p count images, image i of subject number @p subject[i], 0 .. subjects - 1, each of
 * which has an image. VDN_ERR_ARGUMENT; VDN_ERR_MEMORY. */
VDN_MUST_USE vdn_status vdni_bootstrap(vdn_ctx *ctx, vdni_interval *out, const double *difference,
                                       const int64_t *subject, int64_t count, int64_t subjects);

#endif
