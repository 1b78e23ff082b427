/* Sinusoidal embedding of the time step. Vaswani et al. 2017, arXiv:1706.03762, section 3.5, in the
 * order cosines, sines (model.md 2.5).
 *
 *     y[n, i]       = cos((t[n] - 1) w_i)
 *     y[n, B/2 + i] = sin((t[n] - 1) w_i),      w_i = 10000^(-i / (B/2)),  i = 0 .. B/2 - 1
 *
 *  TIME_EMBEDDING  in t (n,1,1,1) f32, 1 <= t    out y (n,1,1,B) f32, B even
 *
 * Angles in double. No gradient. */
#ifndef VDNI_TIME_EMBEDDING_H
#define VDNI_TIME_EMBEDDING_H

#include "Ops/op.h"

#endif
