/* Probabilities and codes of a mask, on the host. Design: model.md 1.1, 1.6. */
#ifndef VDNI_PRIOR_H
#define VDNI_PRIOR_H

#include "Net/config.h"

/* Prior probabilities -> what the diffusion net is given, on the host. All (pixels, K) but
 * foreground, which is (pixels): f = rho(2p-1) (or p where masks are coded 0 and 1), skip = logit(p) clipped to
 * +-4 (K > 1: log p clipped to +-4), foreground = p (K > 1: 1 - p of class 0). With prior_hard p is the
 * mask of p. */
typedef struct vdni_prior_planes {
    float *code, *skip, *foreground;
} vdni_prior_planes;
void vdni_prior_inputs(const vdni_prior_planes *out, const float *p, int64_t pixels,
                       const vdni_config *config, int32_t threads);

/* Logits (pixels, K) -> probabilities in place: sigmoid for K = 1, softmax otherwise. */
void vdni_logits_to_probabilities(float *p, int64_t pixels, int32_t k, int32_t threads);

/* Codes of a mask, or channels that were estimated apart, to probabilities in place: cut to [0, 1];
 * several classes are made to sum to 1 (all alike when none is above 0). */
void vdni_codes_to_probabilities(float *p, int64_t pixels, const vdni_config *config);

#endif
