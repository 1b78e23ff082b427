/* Gaussian blur of a plane, separable, for augmentation and prior corruption.
 *
 * Weights exp(-d^2 / (2 sd^2)) for |d| <= ceil(3 sd), normalised. Edges are mirrored with the edge
 * pixel (…b a | a b c…): with a symmetric kernel every pixel then gives away exactly what it has,
 * so the sum of the plane does not change. */
#ifndef VDNI_BLUR_H
#define VDNI_BLUR_H

#include <stdint.h>

#define VDNI_BLUR_MAX_SD 10.0

/* Floats of scratch for planes up to (h, w, channels) and deviations up to @p max_sd. */
int64_t vdni_blur_floats(int64_t h, int64_t w, int64_t channels, double max_sd);

/* Blur (size[0], size[1], size[2]) = (h, w, channels) in place; rows are @p stride pixels apart.
 * 0 < sd <= VDNI_BLUR_MAX_SD pixels. */
void vdni_blur_plane(float *plane, const int64_t size[3], int64_t stride, double sd,
                     float *scratch);

#endif
