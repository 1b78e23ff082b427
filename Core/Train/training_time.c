#include "Train/training_time.h"

int32_t vdni_training_time_latest(const vdni_recipe *recipe, const vdni_config *config)
{
    return recipe->latest_time > 0 ? recipe->latest_time : config->time_steps;
}

vdni_training_time vdni_training_time_draw(const vdni_recipe *recipe, const vdni_config *config,
                                           const vdni_noise_key *key, int32_t j)
{
    enum { TIME, IS_START }; /* numbers of the key's stream */
    if (recipe->start_state > 0.0 && vdni_philox_uniform(key, IS_START) < recipe->start_state)
        return (vdni_training_time){ config->sample_start, 1 };
    const int32_t latest = vdni_training_time_latest(recipe, config);
    const int apart = recipe->time_draw == VDNI_TIMES_UNIFORM;
    return (vdni_training_time){ vdni_stratified_time(latest, apart ? 0 : j,
                                                      apart ? 1 : recipe->batch,
                                                      vdni_philox_uniform(key, TIME)),
                                 0 };
}
