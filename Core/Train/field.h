/* A smooth field over the pixels of a slice: the uniform cubic B-spline of coarse control values.
 *
 *     f(y, x) = sum_j sum_k  B_j(y/cell - floor) B_k(x/cell - floor)  control[floor(y/cell) + j][..+ k]
 *
 *     B_0 = (1-u)^3/6   B_1 = (3u^3 - 6u^2 + 4)/6   B_2 = (-3u^3 + 3u^2 + 3u + 1)/6   B_3 = u^3/6
 *
 * The B are >= 0 and sum to 1, so a field never leaves the convex hull of its control values: a
 * displacement bounded at the control points is bounded everywhere. */
#ifndef VDNI_FIELD_H
#define VDNI_FIELD_H

#include <stdint.h>

typedef struct vdni_field {
    int64_t h, w;          /* pixels */
    double cell;           /* pixels between control points, >= 1 */
    int64_t rows, columns; /* control points per component */
    int32_t components;
    float *control; /* (components, rows, columns): the caller fills it */
    float *basis;   /* (4, w) */
    float *line;    /* (columns) */
} vdni_field;

/* Floats of @p memory that vdni_field_init needs. */
int64_t vdni_field_floats(int64_t h, int64_t w, double cell, int32_t components);

/* Lay a field out in @p memory, which stays the caller's; the control values are not touched. */
void vdni_field_init(vdni_field *field, float *memory, const int64_t size[2], double cell,
                     int32_t components);

/* Values of one component at row @p y, columns @p x .. @p x + count - 1, all inside the field. */
void vdni_field_row(float *out, const vdni_field *field, int32_t component, int64_t y, int64_t x,
                    int64_t count);

#endif
