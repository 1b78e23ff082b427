/* Random changes of a training slice, so that few scans show many situations.
 *
 * Geometry, one bilinear resampling (Train/warp.h) of image and labels:
 *     rotation U(-r, r) about the centre, shift of 1-5 % of each side with a random sign, scale,
 *     horizontal flip, and an elastic displacement: normal values every 32 px, cubic B-spline between
 * Intensity, image only: bias field, blur, contrast, gamma, noise, in this order.
 *
 * Lengths in pixels are for slices whose longer side has 320 px and grow with it. What has no
 * probability of its own below is always applied. The paper gives rotation and shift and says
 * "random elastic deformation; random contrast"; their amplitudes are those of the design.
 * Additions, each a number that may be 0: scale, bias field, blur and noise (scanners and contrasts
 * that the training data does not show), gamma, flip (MR and X-ray; a CT has one known orientation),
 * crops.
 *
 * A result depends on slice, recipe and key only. Every draw has its own number, so changing one
 * amplitude leaves the other draws as they were. */
#ifndef VDNI_AUGMENT_H
#define VDNI_AUGMENT_H

#include "Base/context.h"
#include "Base/philox.h"

typedef struct vdni_augment_recipe {
    double rotation_deg;                              /* U(-a, a) */
    double shift_min, shift_max;                      /* of the side, U(min, max), random sign */
    double elastic_p, elastic_sd_px, elastic_cell_px; /* sd of the control values U(0, a) */
    double contrast_p, contrast_min, contrast_max;    /* x = (x - mean) c + mean, c ~ U */
    double gamma_p, gamma_min, gamma_max;    /* on the slice's own 0..1; mean and sd kept */
    double flip_p;                           /* left-right; not for CT */
    double scale_p, scale_min, scale_max;    /* log-uniform */
    double noise_p, noise_sd;                /* normal, sd U(0, a) of the slice's sd */
    double blur_p, blur_min_px, blur_max_px; /* Gaussian sd U */
    double bias_p, bias_sd;                  /* log gain, sd of control values U(0, a) */
    int32_t crop;                            /* side of crops in pixels; 0 = whole slices */
    double crop_foreground_p;                /* a crop has to hold foreground_min of it */
    double crop_foreground_min;
    uint8_t outside_label; /* of pixels the slice did not have */
} vdni_augment_recipe;

/* Nothing: a copy, padded. */
vdni_augment_recipe vdni_augment_none(void);
/* Rotation, shift, elastic, contrast. */
vdni_augment_recipe vdni_augment_paper(void);
/* The paper's and the additions, crops off. */
vdni_augment_recipe vdni_augment_recommended(void);

typedef struct vdni_augment_source {
    int64_t h, w, channels;
    const float *pixels;   /* (h, w, channels), normalised */
    const uint8_t *labels; /* (h, w): class index, 255 = ignore */
    vdn_modality modality;
    double aspect; /* row spacing / column spacing; 1 when unknown */
} vdni_augment_source;

typedef struct vdni_augment_target {
    int64_t h, w;             /* at least those of vdni_augment_size() */
    float *image;             /* (h, w, channels); beyond the slice as in Tensor/pad.h */
    uint8_t *labels;          /* (h, w); 255 beyond the slice */
    int64_t valid_h, valid_w; /* out: what is slice, at the upper left */
} vdni_augment_target;

/* Pixels that a slice gives: all, or those of a crop. */
void vdni_augment_size(int64_t *h, int64_t *w, const vdni_augment_recipe *recipe,
                       const vdni_augment_source *source);

/* Bytes of workspace for slices up to h x w. */
int64_t vdni_augment_workspace_bytes(const vdni_augment_recipe *recipe, int64_t h, int64_t w,
                                     int64_t channels);

/* Whether every number of @p recipe makes sense. VDN_ERR_ARGUMENT naming the one that does not. */
VDN_MUST_USE vdn_status vdni_augment_check(vdn_ctx *ctx, const vdni_augment_recipe *recipe);

/* Make one training image. @p key says whose: its purpose is set here, all else is the caller's.
 * @p workspace: 64-byte aligned, of vdni_augment_workspace_bytes() for this slice or a larger one.
 * Allocates nothing and may run on several threads at once with a workspace each (@p ctx is only
 * written on failure). VDN_ERR_ARGUMENT: a target that is too small. */
VDN_MUST_USE vdn_status vdni_augment(vdn_ctx *ctx, vdni_augment_target *target,
                                     const vdni_augment_source *source,
                                     const vdni_augment_recipe *recipe, vdni_noise_key key,
                                     void *workspace);

#endif
