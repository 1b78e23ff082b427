/* One plane to another pixel grid over the same field of view, axis by axis.
 *
 * Pixel i of m covers [i, i+1) * n/m of the n input pixels. Along an axis
 *   m >= n  bilinear: position s = (i + 1/2) n/m - 1/2, edges repeated
 *               y = a + frac(s) (b - a)                    a, b the pixels at floor(s), floor(s)+1
 *   m <  n  area average over the covered interval
 *               y = x_0 + sum_k w_k (x_k - x_0)            w_k = covered part of pixel k * m/n
 * Positions and parts come from integer arithmetic, so n == m copies the values bit for bit, and the
 * difference form keeps a constant plane constant bit for bit. */
#ifndef VDNI_RESAMPLE_H
#define VDNI_RESAMPLE_H

#include "Base/context.h"

/* Resample @p in, (size[0], size[1], size[2]) = (h, w, channels), to @p out, (out_size[0],
 * out_size[1], channels). A NaN or infinity reaches only the pixels it has a part in.
 * Allocates (workspace freed on return); runs on ctx->threads threads, same bits for any number.
 * VDN_ERR_ARGUMENT: an extent below 1 or above INT32_MAX. VDN_ERR_MEMORY. */
VDN_MUST_USE vdn_status vdni_resample_plane(vdn_ctx *ctx, float *out, const int64_t out_size[2],
                                            const float *in, const int64_t size[3]);

/* max(1, round(count * spacing / target)), at most INT32_MAX; @p count itself when a spacing is not
 * a positive number (0 = unknown or native). */
int64_t vdni_resampled_size(int64_t count, double spacing_mm, double target_mm);

#endif
