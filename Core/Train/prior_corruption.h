/* Damage to the prior that training gives to the refiner.
 *
 * On training images the prior comes to agree with the truth, and a refiner that sees only such
 * priors learns to copy them. So the map given to the process is made worse in the ways real priors
 * are (an addition to the paper). With probability p one of these, each as likely as the next:
 *
 *   temperature  logits / tau, tau ~ U(0.5, 2)           over- or under-confident
 *   blur         Gaussian, sd ~ U(0.5, 2.5) px           unsure outlines
 *   shift        smooth displacement of at most 4 px     outlines in the wrong place
 *   dilate/erode disc of radius 1 or 2 px                too large, too small
 *   erase/insert one connected component                 a bone missed or invented
 *
 * and, whatever came of that, with probability drop_p every value 1/2 (1/k each): no prior at all.
 *
 * k = 1: probability of foreground. k > 1: probabilities of k classes, class 0 the background; they
 * still sum to 1 afterwards. Dilate, erode, erase and insert act on one class that is not the
 * background. Values lie in [0, 1], both ends
 * included: take logits through a clip. */
#ifndef VDNI_PRIOR_CORRUPTION_H
#define VDNI_PRIOR_CORRUPTION_H

#include "Base/philox.h"

typedef enum {
    VDNI_CORRUPT_NOTHING = 0,
    VDNI_CORRUPT_TEMPERATURE,
    VDNI_CORRUPT_BLUR,
    VDNI_CORRUPT_SHIFT,
    VDNI_CORRUPT_DILATE,
    VDNI_CORRUPT_ERODE,
    VDNI_CORRUPT_ERASE, /* inserts when there is no component */
    VDNI_CORRUPT_INSERT,
    VDNI_CORRUPT_DROP
} vdni_corruption;

typedef struct vdni_corruption_recipe {
    double p, drop_p;
    double temperature_min, temperature_max;
    double blur_min_px, blur_max_px;
    double shift_max_px;
    int32_t radius_max_px;
} vdni_corruption_recipe;

/* The amplitudes above, p = 0.5, drop_p = 0.1. For none set both to 0. */
vdni_corruption_recipe vdni_corruption_recommended(void);

/* A map of (h, w, k) whose rows are @p stride >= w pixels apart: the valid part of a padded one. */
typedef struct vdni_prior_map {
    float *p;
    int64_t h, w, k, stride;
} vdni_prior_map;

int64_t vdni_corruption_workspace_bytes(int64_t h, int64_t w, int64_t k);

/* What @p key decides for one image; its purpose is set here. */
vdni_corruption vdni_corruption_draw(const vdni_corruption_recipe *recipe, vdni_noise_key key);

/* Do it, in place. @p workspace: 64-byte aligned, for this size or a larger one. Allocates nothing.
 * Returns what was done. */
vdni_corruption vdni_corruption_apply(const vdni_prior_map *map, vdni_corruption kind,
                                      const vdni_corruption_recipe *recipe, vdni_noise_key key,
                                      void *workspace);

#endif
