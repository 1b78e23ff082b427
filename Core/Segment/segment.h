/* Slices in, probabilities out: normalise, pad, condition, sample, average, crop. The work behind
 * vdn_segment() of vdn.h. */
#ifndef VDNI_SEGMENT_H
#define VDNI_SEGMENT_H

#include "Base/context.h"
#include "Net/model.h"

/* As vdn_segment(); the plans of the last size and options stay in ctx for the next call. */
VDN_MUST_USE vdn_status vdni_segment(vdn_ctx *ctx, float *probability, float *uncertainty,
                                     const vdn_slices *slices, const vdn_model *model,
                                     const vdn_segment_options *options);

#endif
