#include "Train/recipe.h"

#include "Tensor/pad.h"

#include <stdio.h>
#include <string.h>

enum { PRINTED_STEPS = 9000, PRIOR_WARMUP = 1000, LR_WARMUP = 200 };

/* Short runs keep the proportions: at most a sixth goes to the prior alone. */
static int64_t at_most_part(int64_t wanted, int64_t steps, int64_t parts)
{
    return wanted < steps / parts ? wanted : steps / parts;
}

static int is_narrow(const vdni_config *config)
{
    return config->base <= 32; /* unit, tiny, small: model.md 5.2 gives them 5e-4 */
}

static vdni_recipe recommended(const vdni_config *config, int64_t steps)
{
    return (vdni_recipe){
        .augment = vdni_augment_recommended(),
        .lr = { .kind = VDNI_LR_COSINE,
                .base = is_narrow(config) ? 5e-4 : 1e-4,
                .floor = 1e-6,
                .warmup = at_most_part(LR_WARMUP, steps, 10),
                .steps = steps },
        .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-4, .clip = 1.0,
        .batch = 8, .average = 0.999, .snr_clip = 5.0,
        .simple = 1.0, .ce = 1.0, .dice = 1.0, .prior_ce = 1.0, .prior_dice = 1.0,
        .corrupt = 0.5, .drop = 0.1, .condition_drop = 0.2, .detach = 1,
        .prior_warmup = at_most_part(PRIOR_WARMUP, steps, 6),
        .validation_slices = 64,
    };
}

static vdni_recipe paper(int64_t steps)
{
    return (vdni_recipe){
        .augment = vdni_augment_paper(),
        .lr = { .kind = VDNI_LR_CONSTANT, .base = 1e-4, .steps = steps },
        .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8,
        .batch = 1, .simple = 1.0, .ce = 1.0, .prior_ce = 1.0,
        .patience = 8, .all_times = 1,
    };
}

/* Appendix B of the design: what the recipes say about network and process. */
static void set_process(vdni_config *config, int printed)
{
    if (!printed) return;
    config->condition_norm = VDNI_CONDITION_BATCH;
    config->scale_shift = 0;
    config->signal_scale = 1.0;
    config->prior_skip = 0;
    config->sample_steps = config->sample_start = config->time_steps;
}

vdn_status vdni_recipe_get(vdn_ctx *ctx, vdni_recipe *out, vdni_config *config, int64_t *steps,
                           const char *name)
{
    const int printed = strcmp(name, "paper") == 0;
    if (!printed && strcmp(name, "recommended") != 0)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "recipe \"%.40s\": there are recommended and paper", name);
    if (*steps <= 0) *steps = PRINTED_STEPS;
    *out = printed ? paper(*steps) : recommended(config, *steps);
    /* Beyond the slice the image repeats its edge: what a cut vertebra becomes there is no truth. */
    if (!printed) out->augment.outside_label = VDNI_LABEL_IGNORE;
    (void)snprintf(out->name, sizeof out->name, "%s", name);
    set_process(config, printed);
    if (config->param == VDNI_PARAM_LITERAL) { /* the loss is the printed one, without extras */
        config->prior_skip = 0;
        config->sample_steps = config->sample_start = config->time_steps;
        out->corrupt = out->drop = 0.0;
    }
    return VDN_OK;
}
