/* The condition U-Net: image -> prior logits and features. Runs once per image. model.md 2.3. */
#ifndef VDNI_CONDITION_UNET_H
#define VDNI_CONDITION_UNET_H

#include "Net/diffusion_unet.h"

typedef struct vdni_condition {
    vdni_id logits;                   /* (n,h,w,K) f32 */
    vdni_id feature[VDNI_MAX_LEVELS]; /* c_i (n, h/2^i, w/2^i, F_i), i = 0 .. condition_levels-1 */
} vdni_condition;

/* @p image (n,h,w,Cb) f32; h and w multiples of the padding multiple. @p cache, if not NULL, is given
 * every projection as soon as its feature exists, so that features need not be kept. */
vdni_condition vdni_condition_unet(vdni_graph *g, const vdni_config *config, vdni_id image,
                                   vdni_cache *cache);

/* Scores (n, h/2^i, w/2^i, K) f32 of the decoder's levels i = 1 .. vdni_supervised_levels - 1, from which
 * training learns too: scores[i]; VDNI_NONE elsewhere. */
void vdni_deep_scores(vdni_graph *g, const vdni_config *config, const vdni_condition *condition,
                      vdni_id scores[VDNI_MAX_LEVELS]);

#endif
