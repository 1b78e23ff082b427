/* The diffusion U-Net. model.md 2.5. Split in two: what depends on the image and the prior only
 * (projections P_l and gates g_l, once per image) and the denoising step (every t). */
#ifndef VDNI_DIFFUSION_UNET_H
#define VDNI_DIFFUSION_UNET_H

#include "Net/blocks.h"

typedef struct vdni_cache {
    vdni_id projection[VDNI_MAX_LEVELS]; /* what is added at level l, its shape; NONE = nothing */
    vdni_id gate[VDNI_MAX_LEVELS];       /* (n, level h, level w, 1) f32; NONE without gates */
    vdni_id part[2];                     /* fuse stem_add: the features met so far */
} vdni_cache;

void vdni_cache_clear(vdni_cache *cache);

/* @p feature[i] = c_i, i = 0 .. condition_levels-1 (only those a level reads are used);
 * @p foreground (n,h,w,1) f32: 1 - P(background) of the prior given to the process. */
vdni_cache vdni_condition_cache(vdni_graph *g, const vdni_config *config, const vdni_id *feature,
                                vdni_id foreground);

/* Its parts, for whoever learns the prior only after the features: P_l of feature c_i (nothing when
 * no level reads c_i), and the gates. With fuse stem_add level 0 is given c_a, c_a again and c_{a+1}
 * doubled in size, a the level of its resolution; if these are not B channels, a 1x1 convolution of
 * them. */
void vdni_condition_projection(vdni_graph *g, const vdni_config *config, vdni_cache *cache,
                               int32_t i, vdni_id feature);
void vdni_condition_gates(vdni_graph *g, const vdni_config *config, vdni_cache *cache,
                          vdni_id foreground);

typedef struct vdni_step_inputs {
    vdni_id x;     /* (n,h,w,K) f32, x_t */
    vdni_id scale; /* (n,1,1,4) f32, row of vdni_process_input; read with norm_in only */
    vdni_id prior; /* (n,h,w,K) f32, f in code units */
    vdni_id image; /* (n,h,w,Cb) f32 */
    vdni_id skip;  /* (n,h,w,K) f32, clipped prior logits added to the output; NONE = no skip */
    vdni_id t;     /* (n,1,1,1) f32, 1 .. T */
} vdni_step_inputs;

/* Logits s (n,h,w,K) f32, or what the mode gives: noise, flips; with learn_sigma K channels more. */
vdni_id vdni_diffusion_unet(vdni_graph *g, const vdni_config *config, const vdni_step_inputs *in,
                            const vdni_cache *cache);

#endif
