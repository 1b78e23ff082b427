/* FCN-8s on VGG-16 (Long, Shelhamer and Darrell 2015, arXiv:1411.4038; Simonyan and Zisserman 2015,
 * arXiv:1409.1556), a baseline: five stages of 3x3 convolutions and max pools, fc6 and fc7 as
 * convolutions, scores of stages 3 and 4 added on the way up.
 *
 * As published but for: fc6 is padded, so that sizes stay (the original pads the image by 100); the two
 * doublings of the scores are learned, the last factor of 8 is bilinear, to which the original
 * initialises it; no dropout. condition[0..4]: channels of the stages, condition[5]: of fc6 and fc7. */
#ifndef VDNI_FCN_H
#define VDNI_FCN_H

#include "Net/blocks.h"

/* @p image (n,h,w,Cb), h and w multiples of 32 -> logits (n,h,w,K) f32. Parameters "cond.*". */
vdni_id vdni_fcn(vdni_graph *g, const vdni_config *config, vdni_id image);

#endif
