/* Whether probabilities mean what they say, and whether uncertainty finds the failures.
 * Design: model.md 1.8, 6.
 *
 * Reliability. Of a pixel with K probabilities (K = 1: p and 1 - p) the predicted class is the most
 * probable one and its probability is the confidence. Pixels are put into M = 15 bins of confidence
 * of equal width, ((m - 1) / M, m / M]; bin m holds n_m of all n pixels, mean confidence conf_m and a
 * share acc_m that is right:
 *
 *     ECE = sum over m of n_m / n |acc_m - conf_m|
 *
 * (Naeini, Cooper and Hauskrecht 2015, AAAI 29; Guo et al. 2017, arXiv:1706.04599, equation 5), and
 *
 *     Brier = 1/n sum over pixels of 1/2 sum over classes of (p_c - [c is the reference])^2
 *
 * (Brier 1950, Monthly Weather Review 78:1; half of his sum, so that two classes give (p - y)^2
 * whether they are written as one number or two). Each is taken over all pixels that have a reference
 * and over the band around its boundary only: far from the spine everything is right and sure, which
 * makes any method look calibrated.
 *
 * Band. A pixel is on a boundary when a face neighbour has another class; the band is what lies within
 * 5 px (Euclidean, between centres) of such a pixel.
 *
 * Uncertainty score of an image: the mean of its uncertainty map over the band around the boundary of
 * the predicted mask, so that no reference is needed; over the whole image when nothing (or everything)
 * was predicted.
 *
 * Selection. Of N images with a risk (1 - Dice) and a score, sorted by rising score, the risk at
 * coverage c is the mean risk of the first ceil(c N); images of one score share their mean risk, so
 * that their order does not matter. AURC is the mean over n = 1..N of the risk of the first n (El-Yaniv
 * and Wiener 2010, JMLR 11:1605; Geifman, Uziel and El-Yaniv 2019, arXiv:1805.08206); sorting by the
 * risk itself gives the least AURC that a score can reach, a score that knows nothing the mean risk. */
#ifndef VDNI_CALIBRATION_H
#define VDNI_CALIBRATION_H

#include "Base/context.h"

#define VDNI_BAND_PIXELS 5.0

/* Add @p count pixels: @p p (count, k), @p reference their class (255 = none, not counted), @p region
 * which of them count (not 0), NULL = all. */
void vdni_calibration_add(vdn_calibration *sum, const float *p, int32_t k, const uint8_t *reference,
                          const uint8_t *region, int64_t count);

/* Add the pixels of another image. */
void vdni_calibration_pool(vdn_calibration *sum, const vdn_calibration *part);

/* NaN without pixels. */
double vdni_calibration_ece(const vdn_calibration *c);
double vdni_calibration_brier(const vdn_calibration *c);

/* 1 where a voxel of @p classes (size[0] * size[1] * size[2], the last axis fastest) lies within
 * @p reach voxels (along each axis: an ellipsoid) of a boundary, else 0. Class 255 bounds nothing. An
 * axis of one voxel has no neighbours. Returns how many are 1. */
int64_t vdni_band(uint8_t *out, const uint8_t *classes, const int64_t size[3],
                  const double reach[3]);

/* Mean of @p values over @p region; over all of them when it is empty. @p count >= 1. */
double vdni_mean_in(const float *values, const uint8_t *region, int64_t count);

/* Correlation of @p count pairs, Pearson's of the values or Spearman's of their ranks (ties share
 * their mean rank), and the risk-coverage curve. NaN where a correlation has no meaning: fewer than
 * two pairs, or one of the two never changes. VDN_ERR_ARGUMENT: no pairs; VDN_ERR_NUMERIC: a value
 * that is no number; VDN_ERR_MEMORY. */
VDN_MUST_USE vdn_status vdni_selection(vdn_ctx *ctx, vdn_selection *out, const double *uncertainty,
                                       const double *risk, int64_t count);

#endif
