/* Losses and Dice on validation slices, always with the same noise: a fixed set of times
 * t = 50, 150, ..., 950 (where 1000 is the last that is trained; in proportion otherwise) and noise keyed
 * by slice and time. */
#include "Base/memory.h"
#include "Diffusion/sampler.h"
#include "Eval/overlap.h"
#include "Tensor/normalize.h"
#include "Tensor/pad.h"
#include "Train/trainer_state.h"
#include "Train/training_time.h"

#include <string.h>

enum { TIMES = 10, DEFAULT_EXAMPLES = 4 };

typedef struct {
    vdni_trainer *trainer;
    vdni_sampler *onepass;
    float *raw, *image, *prior, *refined;
    uint8_t *target, *classes[2]; /* classes: of an example without padding */
    vdn_store_slice slice;        /* that was loaded last */
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
    for (int i = 0; i < 2; i++) vdni_free(ctx, v->classes[i]);
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
    for (int i = 0; i < 2 && t->options.example; i++)
        VDN_CHECK(VDNI_NEW(ctx, v->classes[i], pixels));
    if (!vdni_has_refiner(config)) return VDN_OK;
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
    v->slice = s;
    return VDN_OK;
}

static vdn_status add_losses(vdn_ctx *ctx, validation *v, int64_t id, int64_t number)
{
    vdni_trainer *t = v->trainer;
    const int64_t first = t->recipe.all_times ? 0 : number % TIMES;
    const int64_t last = t->recipe.all_times ? TIMES - 1 : first;
    const int64_t latest = vdni_training_time_latest(&t->recipe, &t->model->config);
    vdni_terms prior_terms, terms;

    VDN_CHECK(vdni_network_condition(ctx, t->validation, v->prior, &prior_terms, v->image,
                                     v->target, 1.0f));
    if (!vdni_has_refiner(&t->model->config)) {
        v->loss += prior_terms.total;
        v->losses++;
        return VDN_OK;
    }
    for (int64_t i = first; i <= last; i++) {
        const int32_t time = (int32_t)((2 * i + 1) * latest / (2 * TIMES));
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

/* ---- examples ---- */

static int32_t example_count(const vdni_trainer *t, int64_t slices)
{
    const int32_t wanted = t->options.examples > 0 ? t->options.examples : DEFAULT_EXAMPLES;
    if (!t->options.example) return 0;
    return wanted < slices ? wanted : (int32_t)slices;
}

/* Classes of the slice's own pixels from probabilities on the canvas. */
static uint8_t *classes_of(const validation *v, int which, const float *p)
{
    const int32_t k = v->trainer->model->config.mask_channels;
    const int64_t stride = v->trainer->parts[VDNI_PART_VALIDATION].width;
    const int64_t width = v->slice.width;
    for (int64_t y = 0; y < v->slice.height; y++)
        vdni_argmax(v->classes[which] + y * width, p + y * stride * k, width, k);
    return v->classes[which];
}

/* Slice number @p i of @p count, if it is one of the examples: they are spread evenly. */
static void show_example(const validation *v, int64_t i, int64_t count, double dice)
{
    const vdni_trainer *t = v->trainer;
    const int64_t examples = example_count(t, count);
    const int64_t number = examples > 0 ? (i * examples + count - 1) / count : 0;
    if (number >= examples || number * count / examples != i) return;
    const vdn_train_example example = {
        .step = t->state.step,
        .number = (int32_t)number,
        .count = (int32_t)examples,
        .case_id = v->slice.case_id,
        .index = v->slice.index,
        .height = v->slice.height,
        .width = v->slice.width,
        .image_channels = t->model->config.image_channels,
        .pixels = v->raw,
        .labels = v->slice.labels,
        .prior = classes_of(v, 0, v->prior),
        .refined = v->onepass ? classes_of(v, 1, v->refined) : NULL,
        .dice = dice,
    };
    t->options.example(t->options.example_user, &example);
}

vdn_status vdni_validate_dry(vdn_ctx *ctx, vdni_trainer *t)
{
    validation v = { .trainer = t };
    const vdn_status status = prepare(ctx, &v);
    release(ctx, &v);
    return status;
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
        const double before = v.onepass ? v.onepass_dice : v.prior_dice;
        VDN_TRY(add_dice(ctx, &v, id));
        show_example(&v, i, count, (v.onepass ? v.onepass_dice : v.prior_dice) - before);
    }
    out->loss = v.loss / (double)v.losses;
    out->prior_dice = v.prior_dice / (double)v.slices;
    out->onepass_dice = v.onepass ? v.onepass_dice / (double)v.slices : 0.0;
done:
    release(ctx, &v);
    return status;
}
