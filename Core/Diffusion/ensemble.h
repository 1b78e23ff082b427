/* Several samples of one image: mean and disagreement. Design: model.md 1.8.
 *
 *     mean p = 1/N sum p_n      total H = H(mean p)      expected E = 1/N sum H(p_n)
 *     mutual information = H - E >= 0      variance = 1/N sum p_n^2 - (mean p)^2
 *
 * H in nats: over the K channels, or binary when K = 1. Samples are added in order, so an ensemble
 * can be extended later and gives what all at once would have given. */
#ifndef VDNI_ENSEMBLE_H
#define VDNI_ENSEMBLE_H

#include "Base/context.h"

typedef struct vdni_ensemble {
    int64_t pixels;
    int32_t channels; /* K */
    int32_t samples;
    int32_t threads; /* of the context it was made with */
    float *sum, *sum_squares; /* (pixels, K) */
    float *sum_entropy;       /* (pixels) */
} vdni_ensemble;

VDN_MUST_USE vdn_status vdni_ensemble_create(vdn_ctx *ctx, vdni_ensemble *out, int64_t pixels,
                                             int32_t channels);
void vdni_ensemble_free(vdn_ctx *ctx, vdni_ensemble *ensemble);

/* Forget all samples. */
void vdni_ensemble_clear(vdni_ensemble *ensemble);
/* Add probabilities (pixels, K). */
void vdni_ensemble_add(vdni_ensemble *ensemble, const float *p);

/* Any output may be NULL: mean and variance (pixels, K), entropy, expected and information
 * (pixels). Needs one sample or more. */
typedef struct vdni_ensemble_maps {
    float *mean, *variance, *entropy, *expected, *information;
} vdni_ensemble_maps;
void vdni_ensemble_get(const vdni_ensemble_maps *out, const vdni_ensemble *ensemble);

/* Entropy in nats of one pixel's K probabilities (binary when K = 1). */
double vdni_entropy(const float *p, int32_t channels);

#endif
