/* Intensities of one slice to the scale the network was trained on.
 *
 *   MR, X-ray   lo, hi = 0.5 and 99.5 percentile; z = (clip(x, lo, hi) - mean) / sd, mean and sd of
 *               the clipped slice, each channel on its own: scanners have no common unit
 *   CT          z = (clip(x, -200, 1000) - 50) / 165: Hounsfield units mean the same everywhere
 *
 * The CT window keeps what tells bone from its neighbours: fat (-100), discs and muscle (30..120),
 * spongy bone (100..400), and the bulk of cortical bone; lung and air fall together below it, metal
 * above. 50 and 165 are mean and standard deviation in the window, rounded, of a lumbar spine with
 * the soft tissue around it (48 and 165 measured), so that tissue is near 0 as in MR.
 *
 * Percentiles are numpy's default: linear between the order statistics at q (n - 1). A channel that
 * is constant after clipping becomes 0. */
#ifndef VDNI_NORMALIZE_H
#define VDNI_NORMALIZE_H

#include "Base/context.h"

#define VDNI_CT_LOW_HU    (-200.0f)
#define VDNI_CT_HIGH_HU   1000.0f
#define VDNI_CT_CENTRE_HU 50.0
#define VDNI_CT_SCALE_HU  165.0

/* @p out and @p in: (size[0], size[1], size[2]) = (h, w, channels); @p out may be @p in.
 * @p slice is named in the message. Allocates nothing.
 * VDN_ERR_NUMERIC naming slice, row, column and channel of the first NaN or infinity; then nothing
 * was written. VDN_ERR_ARGUMENT: a modality outside vdn_modality. */
VDN_MUST_USE vdn_status vdni_normalize_slice(vdn_ctx *ctx, float *out, const float *in,
                                             const int64_t size[3], vdn_modality modality,
                                             int64_t slice);

/* Percentile @p percent (0..100) of n = @p count >= 1 finite values that lie @p stride apart. */
double vdni_percentile(const float *values, int64_t count, int64_t stride, double percent);

#endif
