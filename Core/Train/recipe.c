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
        .optimizer = VDNI_OPTIMIZER_ADAM, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8,
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
    config->eta = 1.0; /* with every step: DDPM */
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
    out->seg = vdni_size_loss_plain();
    out->vlb = 1.0;
    /* Beyond the slice the image repeats its edge: what a cut vertebra becomes there is no truth. */
    if (!printed) out->augment.outside_label = VDNI_LABEL_IGNORE;
    (void)snprintf(out->name, sizeof out->name, "%s", name);
    set_process(config, printed);
    vdni_recipe_follow_param(out, config);
    return VDN_OK;
}

void vdni_recipe_follow_param(vdni_recipe *recipe, vdni_config *config)
{
    if (config->param == VDNI_PARAM_LITERAL) { /* the loss is the printed one, without extras */
        config->prior_skip = 0;
        config->sample_steps = config->sample_start = config->time_steps;
        recipe->corrupt = recipe->drop = 0.0;
    }
    if (vdni_gives_noise(config) || config->process == VDNI_PROCESS_BERNOULLI)
        config->prior_skip = 0; /* the output is no mask */
}

void vdni_recipe_follow_network(vdni_recipe *recipe, const char *network)
{
    if (strcmp(network, "msff") == 0) recipe->seg.form = VDNI_SEG_SA_INVPOW;
    if (strcmp(network, "medsegdiff") == 0) {
        recipe->prior_mse = 10.0;
        recipe->prior_ce = recipe->prior_dice = 0.0;
    }
    if (strcmp(network, "nnunet2d") != 0) return;
    recipe->optimizer = VDNI_OPTIMIZER_SGD;
    recipe->beta1 = 0.99;
    recipe->lr.kind = VDNI_LR_POLY;
    recipe->lr.base = 1e-2;
    recipe->weight_decay = 3e-5;
    recipe->clip = 12.0;
    recipe->average = 0.0;
    recipe->prior_ce = recipe->prior_dice = 1.0;
}

static vdn_status in_range(vdn_ctx *ctx, const char *key, double value, double low, double high)
{
    if (value >= low && value <= high) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_ARGUMENT, "recipe key %s is %g, needed %g to %g", key, value, low,
                     high);
}

static vdn_status check_losses(vdn_ctx *ctx, const vdni_recipe *r, const vdni_config *config)
{
    const double lambda[] = { r->simple, r->ce, r->dice, r->prior_ce, r->prior_dice };
    static const char *const names[] = { "lambda_s", "lambda_b", "lambda_d", "lambda_p",
                                         "lambda_pd" };
    for (int i = 0; i < 5; i++) VDN_CHECK(in_range(ctx, names[i], lambda[i], 0.0, 1e6));
    VDN_CHECK(in_range(ctx, "lambda_vlb", r->vlb, 0.0, 1e6));
    VDN_CHECK(in_range(ctx, "prior_mse", r->prior_mse, 0.0, 1e6));
    VDN_CHECK(in_range(ctx, "sa_gamma", r->seg.gamma, 0.0, 16.0));
    VDN_CHECK(in_range(ctx, "sa_focal", r->seg.focal, 0.0, 16.0));
    VDN_CHECK(in_range(ctx, "sa_clip", r->seg.clip, 0.0, 1e12));
    if (!(r->seg.beta > 0.0 && r->seg.beta < 1.0))
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "recipe key sa_beta is %g, needed between 0 and 1",
                         r->seg.beta);
    if (r->seg.form == VDNI_SEG_BCE && config->mask_channels > 1)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "loss_seg bce is for two classes, the data have %d: take ce",
                         config->mask_channels);
    return VDN_OK;
}

/* Times that the sampler meets are to be trained, and its start must be able to mean the mask. */
static vdn_status check_times(vdn_ctx *ctx, const vdni_recipe *r, const vdni_config *config)
{
    const int32_t start = config->sample_start;
    VDN_CHECK(in_range(ctx, "train_t0", r->latest_time, 0, config->time_steps));
    VDN_CHECK(in_range(ctx, "start_state_p", r->start_state, 0.0, 1.0));
    if (!vdni_has_refiner(config)) return VDN_OK;
    if (r->latest_time > 0 && r->latest_time < start)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "train_t0 %d is below t0 %d: samples would begin at times that are never "
                         "trained",
                         r->latest_time, start);
    if (r->start_state > 0.0 && config->param == VDNI_PARAM_LITERAL)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "start_state_p %g needs a sampler that begins at the prior; that of param "
                         "paper_literal begins at plain noise",
                         r->start_state);
    if (r->start_state > 0.0 && vdni_gives_noise(config))
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "start_state_p %g needs an output that says the mask: in the start state "
                         "the noise that param eps learns means the prior",
                         r->start_state);
    return VDN_OK;
}

vdn_status vdni_recipe_check(vdn_ctx *ctx, const vdni_recipe *r, const vdni_config *config)
{
    VDN_CHECK(check_losses(ctx, r, config));
    VDN_CHECK(check_times(ctx, r, config));
    VDN_CHECK(in_range(ctx, "lr", r->lr.base, 0.0, 10.0));
    if (!(r->lr.base > 0.0))
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "recipe key lr is %g, needed above 0",
                         r->lr.base);
    VDN_CHECK(in_range(ctx, "wd", r->weight_decay, 0.0, 10.0));
    VDN_CHECK(in_range(ctx, "clip", r->clip, 0.0, 1e12));
    VDN_CHECK(in_range(ctx, "batch", r->batch, 1, 4096));
    VDN_CHECK(in_range(ctx, "ema", r->average, 0.0, 0.999999));
    VDN_CHECK(in_range(ctx, "prior_corrupt", r->corrupt, 0.0, 1.0));
    VDN_CHECK(in_range(ctx, "prior_drop", r->drop, 0.0, 1.0));
    VDN_CHECK(in_range(ctx, "cond_drop", r->condition_drop, 0.0, 0.95));
    if (vdni_has_refiner(config) && !r->detach && r->prior_warmup > 0)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "prior_warmup %lld needs cond_detach 1: without it the condition net "
                         "learns from the refiner",
                         (long long)r->prior_warmup);
    return VDN_OK;
}
