/* Minimal filtering for 3x3 convolutions of stride 1: 36 products per 4x4 outputs instead of 144.
 * Winograd 1980; Lavin and Gray 2016, arXiv:1509.09308, F(4x4, 3x3), with the evaluation points
 * 0, +-a, +-b, infinity:
 *
 *     y = A' [ (G w G') * (B' x B) ] A         x: a 6x6 patch of the input, y: 4x4 outputs
 *
 *          1  0 -5/2  0  1  0            1   0   0             1  1  1  1  1  0
 *          0 -2a -2   a  1  0          -2/3(1  a 1/2)          0  a -a  b -b  0
 *     B' = 0  2a -2  -a  1  0      G = -2/3(1 -a 1/2)     A' = 0 1/2 1/2 2  2  0
 *          0 -b/2 -1/2 b 1  0           1/6(1  b  2 )          0 a/2 -a/2 2b -2b 1
 *          0  b/2 -1/2 -b 1 0           1/6(1 -b  2 )
 *          0  1  0 -5/2  0  1            0   0   1
 *
 * a = sqrt(1/2), b = sqrt(2) keep the entries near 1: the error is 8e-7 of the output's rms over 64
 * channels, against 1.6e-7 of the direct sum and 1.7e-6 of the usual points 1, 2. Backward to the
 * input is the same with the kernel turned. Backward to the weight is the transposed algorithm,
 *
 *     dw = G' [ sum over tiles of (A g A') * (B' x B) ] G. */
#ifndef VDNI_WINOGRAD_H
#define VDNI_WINOGRAD_H

#include "CPU/conv.h"

enum { VDNI_WINOGRAD_IN = 6, VDNI_WINOGRAD_OUT = 4, VDNI_WINOGRAD_POINTS = 36 };

/* Non-zero when the operator is one this file computes faster than the direct sum; never on a device
 * that was opened for plain C. */
int vdni_winograd_fits(const vdni_device *device, const vdni_op *op);
int vdni_winograd_weights_fit(const vdni_device *device, const vdni_op *op);

/* CONV_DW; winograd_weights.c. */
vdn_status vdni_winograd_weights_run(vdni_device *device, const vdni_op *op, void *workspace);
int64_t vdni_winograd_weights_workspace(const vdni_device *device, const vdni_op *op);

/* CONV and CONV_DX; winograd.c. */
vdn_status vdni_winograd_run(vdni_device *device, const vdni_op *op, void *workspace);
int64_t vdni_winograd_workspace(const vdni_device *device, const vdni_op *op);

#endif
