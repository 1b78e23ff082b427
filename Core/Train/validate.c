/* Losses and Dice on validation slices, always with the same noise: a fixed set of times
 * t = 50, 150, ..., 950 (of T = 1000; in proportion otherwise) and noise keyed by slice and time. */
#include "Base/memory.h"
#include "Diffusion/sampler.h"
#include "Eval/overlap.h"
#include "Tensor/normalize.h"
#include "Tensor/pad.h"
#include "Train/trainer_state.h"

#include <string.h>

enum { TIMES = 10 };

typedef struct {
    vdni_trainer *trainer;
    vdni_sampler *onepass;
    float *raw, *image, *prior, *refined;
    uint8_t *target;
    double loss, prior_dice, onepass_dice;
    int64_t losses, slices;
} validation;

static void release(vdn_ctx *ctx, validation *v)
{
    vdni_sampler_free(ctx, v->onepass);
    vdni_free(ctx, v->raw);
    vdni_free(ctx, v->image);
    vdni_free(ctx, v->prior);
    vdni_free(ctx, v->refined);
    vdni_free(ctx, v->target);
}

/* One canvas for all validation slices: the largest of them, padded. */
static vdn_status prepare(vdn_ctx *ctx, validation *v)
{
    vdni_trainer *t = v->trainer;
    const vdni_config *config = &t->model->config;
    const vdni_slice_list *list = &t->parts[VDNI_PART_VALIDATION];
    const int64_t pixels = list->height * list->width;
    const vdni_sampler_weights weights = { &t->model->parameters, t->blocks.average,
                                           &t->blocks.average_version };
    const vdni_sampler_options options = { list->height, list->width, t->activation, 1,
                                           config->sample_start, 0.0, 1 };

    VDN_CHECK(VDNI_NEW(ctx, v->raw, pixels * config->image_channels));
    VDN_CHECK(VDNI_NEW(ctx, v->image, pixels * config->image_channels));
    VDN_CHECK(VDNI_NEW(ctx, v->prior, pixels * config->mask_channels));
    VDN_CHECK(VDNI_NEW(ctx, v->refined, pixels * config->mask_channels));
    VDN_CHECK(VDNI_NEW(ctx, v->target, pixels));
    if (config->param == VDNI_PARAM_LITERAL) return VDN_OK; /* Algorithm 2 has no single pass */
    return vdni_sampler_create(ctx, &v->onepass, config, &weights, &options);
}

static vdn_status load(vdn_ctx *ctx, validation *v, int64_t id)
{
    vdni_trainer *t = v->trainer;
    const vdni_slice_list *list = &t->parts[VDNI_PART_VALIDATION];
    const int64_t canvas[2] = { list->height, list->width };
    vdn_store_slice s;

    VDN_CHECK(vdni_store_get_slice(ctx, &s, t->store, id));
    const int64_t size[3] = { s.height, s.width, t->model->config.image_channels };
    VDN_CHECK(vdni_normalize_slice(ctx, v->raw, s.pixels, size, s.modality, s.index));
    vdni_pad_plane(v->image, canvas, v->raw, size);
    vdni_pad_labels(v->target, canvas, s.labels, size);
    return VDN_OK;
}

static vdn_status add_losses(vdn_ctx *ctx, validation *v, int64_t id, int64_t number)
{
    vdni_trainer *t = v->trainer;
    const int64_t first = t->recipe.all_times ? 0 : number % TIMES;
    const int64_t last = t->recipe.all_times ? TIMES - 1 : first;
    vdni_terms prior_terms, terms;

    VDN_CHECK(vdni_network_condition(ctx, t->validation, v->prior, &prior_terms, v->image,
                                     v->target, 1.0f));
    for (int64_t i = first; i <= last; i++) {
        const int32_t time =
            (int32_t)((2 * i + 1) * t->model->config.time_steps / (2 * TIMES));
        const vdni_noise_key key = { .seed = 35,
                                     .purpose = VDNI_FOR_VALIDATION,
                                     .case_key = (uint32_t)id,
                                     .step = (uint32_t)time };
        const vdni_refine_call call = { .prior = v->prior, .target = v->target, .t = time,
                                        .noise = key, .scale = 1.0f };
        VDN_CHECK(vdni_network_refine(ctx, t->validation, &terms, &call));
        v->loss += (double)terms.total + prior_terms.total;
        v->losses++;
    }
    return VDN_OK;
}

static vdn_status add_dice(vdn_ctx *ctx, validation *v, int64_t id)
{
    vdni_trainer *t = v->trainer;
    const vdni_slice_list *list = &t->parts[VDNI_PART_VALIDATION];
    const int64_t pixels = list->height * list->width;
    const int32_t k = t->model->config.mask_channels;
    const vdni_noise_key key = { .seed = 35, .case_key = (uint32_t)id };

    v->prior_dice += vdni_mean_dice(v->prior, v->target, pixels, k);
    v->slices++;
    if (!v->onepass) return VDN_OK;
    VDN_CHECK(vdni_sampler_condition(ctx, v->onepass, v->refined, v->image));
    VDN_CHECK(vdni_sampler_run(ctx, v->onepass, v->refined, &key));
    v->onepass_dice += vdni_mean_dice(v->refined, v->target, pixels, k);
    return VDN_OK;
}

vdn_status vdni_validate(vdn_ctx *ctx, vdni_validation *out, vdni_trainer *t)
{
    vdn_status status = VDN_OK;
    const vdni_slice_list *list = &t->parts[VDNI_PART_VALIDATION];
    const int64_t most = t->recipe.validation_slices;
    const int64_t count = most > 0 && most < list->count ? most : list->count;
    validation v = { .trainer = t };

    VDN_TRY(prepare(ctx, &v));
    for (int64_t i = 0; i < count; i++) {
        const int64_t id = list->ids[i * list->count / count]; /* spread over the subjects */
        VDN_TRY(load(ctx, &v, id));
        VDN_TRY(add_losses(ctx, &v, id, i));
        VDN_TRY(add_dice(ctx, &v, id));
    }
    out->loss = v.loss / (double)v.losses;
    out->prior_dice = v.prior_dice / (double)v.slices;
    out->onepass_dice = v.onepass ? v.onepass_dice / (double)v.slices : 0.0;
done:
    release(ctx, &v);
    return status;
}
