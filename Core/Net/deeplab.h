/* DeepLabv3 on ResNet-50, output stride 16 (Chen et al. 2017, arXiv:1706.05587; He et al. 2016,
 * arXiv:1512.03385), a baseline: a 7x7 stem with stride 2, a 3x3 max pool, four stages of 3, 4, 6 and
 * 3 bottlenecks, the last with dilation 2 instead of a stride; atrous pyramid of a 1x1 and three 3x3
 * convolutions with dilations 6, 12, 18 and the image's mean, joined by a 1x1; 3x3, 1x1, and the image's
 * size by interpolation.
 *
 * The variant is torchvision's (1 x 1, 3 x 3 with the stride, 1 x 1 in a bottleneck; 256 channels in
 * the pyramid; a 3x3 convolution before the scores; no auxiliary head, no dropout), but with output
 * stride 16 and the paper's dilations for it. Every norm is a group norm by the project's group rule:
 * images come one at a time, and a batch norm of one image would take the branch of the image's mean
 * out. The join of that branch is its part of the 1x1 convolution, added to every pixel.
 *
 * condition[0]: channels of the stem; condition[1..4]: of the stages, a quarter of them inside;
 * condition[1] also those of the pyramid. */
#ifndef VDNI_DEEPLAB_H
#define VDNI_DEEPLAB_H

#include "Net/blocks.h"

/* @p image (n,h,w,Cb), h and w multiples of 16 -> logits (n,h,w,K) f32. Parameters "cond.*". */
vdni_id vdni_deeplab(vdni_graph *g, const vdni_config *config, vdni_id image);

#endif
