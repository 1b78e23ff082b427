/* Rows of activation functions, shared by ACTIVATION and NORM; the functions are in
 * Ops/activation.h. */
#ifndef VDNI_CPU_ACTIVATION_H
#define VDNI_CPU_ACTIVATION_H

#include "Ops/op.h"

/* x[i] = y(x[i]) */
void vdni_cpu_activate(vdni_activation act, float *x, int64_t count);

/* g[i] *= y'(x[i]); the rows do not overlap. */
void vdni_cpu_activate_backward(vdni_activation act, float *g, const float *x, int64_t count);

#endif
