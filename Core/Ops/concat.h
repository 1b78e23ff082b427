/* Joining tensors along the channels, and its gradient.
 *
 *  CONCAT  y[..., o_k + c] = x_k[..., c],  o_k = sum of the channels of the inputs before k
 *          in  x0..x5? (n,h,w,c_k), x0 required                out y (n,h,w,sum of c_k)
 *  SPLIT   dx_k[..., c] = g[..., o_k + c]
 *          in  g (n,h,w,sum of c_k)                            out dx0?..dx5? (n,h,w,c_k)
 *
 * Unused slots are skipped. SPLIT reads the layout from its outputs: all that have channels in g must
 * be described, but one whose data is NULL is not written. Tensors f32 or bf16 each on its own, so
 * that CONCAT of one input is a cast. No slot works in place. No attributes. */
#ifndef VDNI_CONCAT_H
#define VDNI_CONCAT_H

#include "Ops/op.h"

#endif
