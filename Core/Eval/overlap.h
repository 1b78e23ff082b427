/* Overlap of two masks. Design: model.md 6; Dice is equation 17 of the paper, IoU equation 18.
 *
 *     Dice = 2 TP / (2 TP + FP + FN)        IoU = TP / (TP + FP + FN)
 *
 * Both masks empty: 1. One empty: 0. IoU comes from the counts, never from a mean Dice. */
#ifndef VDNI_OVERLAP_H
#define VDNI_OVERLAP_H

#include "Base/context.h"

typedef struct vdni_overlap {
    int64_t true_positive, false_positive, false_negative;
} vdni_overlap;

double vdni_dice(const vdni_overlap *o);
double vdni_iou(const vdni_overlap *o);

/* Add the counts of another region, for pooling slices into a subject. */
void vdni_overlap_add(vdni_overlap *sum, const vdni_overlap *part);

/* Count where @p reference == @p label against where @p prediction == @p label; reference 255 is not
 * counted. Both hold @p count class indices. */
void vdni_overlap_labels(vdni_overlap *out, const uint8_t *reference, const uint8_t *prediction,
                         int64_t count, uint8_t label);

/* Class index of each pixel from (count, k) probabilities: k = 1: p > 1/2; otherwise the largest, the
 * lower class on ties. */
void vdni_argmax(uint8_t *out, const float *p, int64_t count, int32_t k);

/* Mean Dice over the foreground classes of (count, k) probabilities against class indices (255 is not
 * counted). */
double vdni_mean_dice(const float *p, const uint8_t *reference, int64_t count, int32_t k);

/* Mean and standard deviation (n - 1; 0 for n < 2) of @p count >= 1 values. */
void vdni_mean_sd(double *mean, double *sd, const double *values, int64_t count);

#endif
