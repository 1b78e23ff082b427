/* Standard normal noise named by keys. The function is Base/philox.h's vdni_philox_normal().
 *
 *     y[n,h,w,c] = normal(keys[n], (h*W + w)*C + c)
 *
 * so an image's noise does not depend on the batch it is in.
 *
 *  NOISE   in  keys (n,1,1,8) i32: seed low half, seed high half, purpose, case, slice, step,
 * sample, 0 (rows of vdni_noise_key_pack()) out y (n,h,w,c) f32
 *
 * No attributes, no gradient. At most 2^34 values per image. */
#ifndef VDNI_NOISE_H
#define VDNI_NOISE_H

#include "Ops/op.h"

#endif
