/* Swin-U-Net (Cao et al. 2021, arXiv:2105.05537; Liu et al. 2021, arXiv:2103.14030), a baseline: patches of
 * 4x4 pixels, an encoder of four stages of two blocks with windows of 7x7 tokens, every second one shifted
 * by 3, patch merging between them; the decoder is its mirror image with patch expanding, skips joined by a
 * linear layer; the last expanding is by 4.
 *
 * As published, from random start values and without stochastic depth. Where the paper orders the channels of
 * merged pixels by pixel, ours are ordered by channel (UNSHUFFLE): the same layer. Images are padded to
 * multiples of 224 = 7 32, whose labels are ignored and whose result is cut off.
 *
 * condition[0..3]: channels of the stages; heads 3, 6, 12, 24 (condition[0] is a multiple of 3). */
#ifndef VDNI_SWIN_H
#define VDNI_SWIN_H

#include "Net/blocks.h"

enum { VDNI_SWIN_STAGES = 4, VDNI_SWIN_MULTIPLE = 224 };

/* @p image (n,h,w,Cb), h and w multiples of 224 -> logits (n,h,w,K) f32. Parameters "cond.*". */
vdni_id vdni_swin(vdni_graph *g, const vdni_config *config, vdni_id image);

#endif
