/* Resampling of a slice and its labels through one map: an affine part and a smooth displacement.
 *
 *     source(p) = M p + o + d(p)          p = (row, column) of the result, in pixels
 *
 * Image: bilinear, edges repeated outwards. Labels: every class is resampled bilinearly as its own
 * 0/1 image and the largest wins (the smaller label on a tie), which moves outlines by less than
 * the nearest pixel would; pixels outside the slice have the label `outside`. */
#ifndef VDNI_WARP_H
#define VDNI_WARP_H

#include "Train/field.h"

typedef struct vdni_warp {
    double matrix[2][2], offset[2]; /* (row, column) */
    const vdni_field *field;        /* components (row, column) of d in source pixels, or NULL */
} vdni_warp;

/* Source positions of the pixels @p x .. @p x + count - 1 of row @p y. */
void vdni_warp_row(float *source_y, float *source_x, const vdni_warp *warp, int64_t y, int64_t x,
                   int64_t count);

/* @p out: (count, channels); @p in: (size[0], size[1], size[2]) = (h, w, channels). */
void vdni_warp_image_row(float *out, const float *in, const int64_t size[3], const float *source_y,
                         const float *source_x, int64_t count);

/* @p out: (count); @p in: (size[0], size[1]). */
void vdni_warp_label_row(uint8_t *out, const uint8_t *in, const int64_t size[2],
                         const float *source_y, const float *source_x, int64_t count,
                         uint8_t outside);

#endif
