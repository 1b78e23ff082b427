/* The diffusion U-Net. model.md 2.5. Split in two: what depends on the image and the prior only
 * (projections P_l and gates g_l, once per image) and the denoising step (every t). */
#ifndef VDNI_DIFFUSION_UNET_H
#define VDNI_DIFFUSION_UNET_H

#include "Net/blocks.h"

typedef struct vdni_cache {
    vdni_id projection[VDNI_MAX_LEVELS]; /* P_l(c), channels entering level l, level resolution */
    vdni_id gate[VDNI_MAX_LEVELS];       /* (n, level h, level w, 1) f32; NONE without NSA */
} vdni_cache;

/* @p feature[i] = c_i, i = 0 .. condition_levels-1 (only those a level reads are used);
 * @p foreground (n,h,w,1) f32: 1 - P(background) of the prior given to the process. */
vdni_cache vdni_condition_cache(vdni_graph *g, const vdni_config *config, const vdni_id *feature,
                                vdni_id foreground);

/* Its parts, for whoever learns the prior only after the features: P_l of feature c_i (nothing when
 * no level reads c_i), and the gates. */
void vdni_condition_projection(vdni_graph *g, const vdni_config *config, vdni_cache *cache,
                               int32_t i, vdni_id feature);
void vdni_condition_gates(vdni_graph *g, const vdni_config *config, vdni_cache *cache,
                          vdni_id foreground);

typedef struct vdni_step_inputs {
    vdni_id x;     /* (n,h,w,K) f32, x_t */
    vdni_id prior; /* (n,h,w,K) f32, f in code units */
    vdni_id image; /* (n,h,w,Cb) f32 */
    vdni_id skip;  /* (n,h,w,K) f32, clipped prior logits added to the output; NONE = no skip */
    vdni_id t;     /* (n,1,1,1) f32, 1 .. T */
} vdni_step_inputs;

/* Logits s (n,h,w,K) f32 (or the raw output z in the literal mode). */
vdni_id vdni_diffusion_unet(vdni_graph *g, const vdni_config *config, const vdni_step_inputs *in,
                            const vdni_cache *cache);

#endif
