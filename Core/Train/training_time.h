/* The time of a training image, and where its state comes from. Design: model.md 1.7, 5.2.
 *
 *     t ~ U{1 .. latest}, stratified over the images of an optimiser step or each for itself; x_t from
 *     mask, prior and noise
 *
 * and with probability recipe.start_state the state from which the sampler of the model begins: t = t0,
 * x_t a noised prior that knows nothing of the mask (vdni_process_start). What key decides is drawn from
 * (seed, step, image), so a resumed training draws the same. */
#ifndef VDNI_TRAINING_TIME_H
#define VDNI_TRAINING_TIME_H

#include "Base/philox.h"
#include "Train/recipe.h"

typedef struct vdni_training_time {
    int32_t t;
    int32_t is_start; /* the state is a start of the sampler */
} vdni_training_time;

/* The last time that is trained: the recipe's, or T. */
int32_t vdni_training_time_latest(const vdni_recipe *recipe, const vdni_config *config);

/* Of image @p j of an optimiser step. */
vdni_training_time vdni_training_time_draw(const vdni_recipe *recipe, const vdni_config *config,
                                           const vdni_noise_key *key, int32_t j);

#endif
