/* Probabilities of a whole volume against a reference: the work behind vdn_score_probability() of
 * vdn.h; what is measured is said in Eval/calibration.h. */
#ifndef VDNI_PROBABILITY_H
#define VDNI_PROBABILITY_H

#include "Base/context.h"

typedef struct vdni_probability_volume {
    const uint16_t *reference;
    const float *probability;
    const float *uncertainty; /* NULL = entropy of the probability */
    const int64_t *size;      /* 3, the last axis fastest */
    const double *spacing_mm; /* 3 */
} vdni_probability_volume;

VDN_MUST_USE vdn_status vdni_probability_score(vdn_ctx *ctx, vdn_probability_score *out,
                                               const vdni_probability_volume *volume);

#endif
