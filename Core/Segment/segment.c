#include "Segment/segment.h"

#include "Base/memory.h"
#include "Diffusion/ensemble.h"
#include "Diffusion/sampler.h"
#include "Tensor/normalize.h"
#include "Tensor/pad.h"

#include <string.h>

/* Everything needed for slices of one size, kept between calls. */
typedef struct {
    int64_t serial; /* of the model */
    vdni_sampler_options options;
    vdni_parameters table; /* borrowed blocks */
    float *weights;        /* device memory; the model's own on the host */
    int32_t owns_weights;
    uint64_t version;
    vdni_sampler *sampler;
    vdni_ensemble ensemble;
    float *raw;                                         /* normalised, before padding */
    float *image, *prior, *sample, *mean, *information; /* padded */
} engine;

static void engine_free(vdn_ctx *ctx, void *kept)
{
    engine *e = kept;
    if (!e) return;
    vdni_sampler_free(ctx, e->sampler);
    vdni_ensemble_free(ctx, &e->ensemble);
    if (e->owns_weights) ctx->backend->release(ctx, ctx->device, e->weights);
    vdni_free(ctx, e->raw);
    vdni_free(ctx, e->image);
    vdni_free(ctx, e->prior);
    vdni_free(ctx, e->sample);
    vdni_free(ctx, e->mean);
    vdni_free(ctx, e->information);
    vdni_free(ctx, e);
}

static vdn_status put_weights(vdn_ctx *ctx, engine *e, const vdn_model *model)
{
    const int64_t bytes = model->parameters.total_floats * (int64_t)sizeof *e->weights;
    e->table = model->parameters;
    if (ctx->backend->shares_host_memory) {
        e->weights = model->values;
        return VDN_OK;
    }
    VDN_CHECK(ctx->backend->allocate(ctx, ctx->device, (void **)&e->weights, bytes));
    e->owns_weights = 1;
    return ctx->backend->put(ctx, ctx->device, e->weights, model->values, bytes);
}

static vdn_status engine_create(vdn_ctx *ctx, engine **out, const vdn_model *model,
                                const vdni_sampler_options *options)
{
    vdn_status status = VDN_OK;
    engine *e = NULL;
    const int64_t pixels = options->height * options->width, k = model->config.mask_channels;

    *out = NULL;
    VDN_TRY(VDNI_NEW(ctx, e, 1));
    e->serial = model->serial;
    e->options = *options;
    VDN_TRY(put_weights(ctx, e, model));
    const vdni_sampler_weights weights = { &e->table, e->weights, &e->version };
    VDN_TRY(vdni_sampler_create(ctx, &e->sampler, &model->config, &weights, options));
    VDN_TRY(vdni_ensemble_create(ctx, &e->ensemble, pixels, (int32_t)k));
    VDN_TRY(VDNI_NEW(ctx, e->raw, pixels * model->config.image_channels));
    VDN_TRY(VDNI_NEW(ctx, e->image, pixels * model->config.image_channels));
    VDN_TRY(VDNI_NEW(ctx, e->prior, pixels * k));
    VDN_TRY(VDNI_NEW(ctx, e->sample, pixels * k));
    VDN_TRY(VDNI_NEW(ctx, e->mean, pixels * k));
    VDN_TRY(VDNI_NEW(ctx, e->information, pixels));
    *out = e;
    e = NULL;
done:
    engine_free(ctx, e);
    return status;
}

static int same_options(const vdni_sampler_options *a, const vdni_sampler_options *b)
{
    return a->height == b->height && a->width == b->width && a->activation == b->activation &&
           a->steps == b->steps && a->start == b->start && a->eta == b->eta;
}

static vdn_status get_engine(vdn_ctx *ctx, engine **out, const vdn_model *model,
                             const vdni_sampler_options *options)
{
    engine *e = ctx->kept;
    *out = e;
    if (e && e->serial == model->serial && same_options(&e->options, options)) return VDN_OK;
    if (e) ctx->kept_free(ctx, e);
    ctx->kept = NULL;
    VDN_CHECK(engine_create(ctx, &e, model, options));
    ctx->kept = e;
    ctx->kept_free = engine_free;
    *out = e;
    return VDN_OK;
}

/* What the caller left at 0 comes from the model. */
static vdni_sampler_options sampler_options(const vdn_ctx *ctx, const vdn_slices *slices,
                                            const vdn_model *model, const vdn_segment_options *o)
{
    const int64_t m = model->config.pad_multiple;
    vdni_device_info info;
    ctx->backend->describe(ctx->device, &info);
    const int bf16 = o->precision == 2 || (o->precision == 0 && info.bf16_is_fast);
    return (vdni_sampler_options){
        .height = (slices->height + m - 1) / m * m,
        .width = (slices->width + m - 1) / m * m,
        .activation = bf16 ? VDNI_BF16 : VDNI_F32,
        .steps = o->steps > 0 ? o->steps : model->config.sample_steps,
        .start = o->start > 0 ? o->start : model->config.sample_start,
        .eta = o->eta,
    };
}

/* Binary models keep one channel inside; the caller gets background and foreground. */
static void crop_out(float *out, const float *padded, int64_t padded_width,
                     const vdn_slices *slices, int32_t k)
{
    for (int64_t y = 0; y < slices->height; y++)
        for (int64_t x = 0; x < slices->width; x++) {
            const float *from = padded + (y * padded_width + x) * k;
            if (k == 1) {
                *out++ = 1.0f - from[0];
                *out++ = from[0];
                continue;
            }
            memcpy(out, from, (size_t)k * sizeof *out);
            out += k;
        }
}

static vdn_status sample_all(vdn_ctx *ctx, engine *e, const vdni_noise_key *key, int32_t samples,
                             const double span[2])
{
    const double share = (span[1] - span[0]) / samples;
    vdni_ensemble_clear(&e->ensemble);
    for (int32_t i = 0; i < samples; i++) {
        vdni_noise_key one = *key;
        one.sample = (uint32_t)i;
        ctx->progress_floor = span[0] + share * i;
        ctx->progress_scale = share;
        VDN_CHECK(vdni_sampler_run(ctx, e->sampler, e->sample, &one));
        vdni_ensemble_add(&e->ensemble, e->sample);
    }
    const vdni_ensemble_maps maps = { .mean = e->mean, .information = e->information };
    vdni_ensemble_get(&maps, &e->ensemble);
    return VDN_OK;
}

static vdn_status segment_one(vdn_ctx *ctx, engine *e, const vdn_slices *slices,
                              const vdn_model *model, const vdn_segment_options *o, int64_t index)
{
    const int64_t size[3] = { slices->height, slices->width, slices->image_channels };
    const int64_t padded[2] = { e->options.height, e->options.width };
    const int64_t values = size[0] * size[1] * size[2];
    const int64_t number = slices->first_index + index;
    const double span[2] = { (double)index / (double)slices->count,
                             (double)(index + 1) / (double)slices->count };
    const vdni_noise_key key = { .seed = o->seed,
                                 .case_key = slices->case_key,
                                 .slice = (uint32_t)number };

    vdni_ctx_stage(ctx, span[0], span[1], "slice %lld", (long long)number + 1);
    VDN_CHECK(vdni_report(ctx, 0.0));
    VDN_CHECK(vdni_normalize_slice(ctx, e->raw, slices->pixels + index * values, size,
                                   slices->modality, number));
    vdni_pad_plane(e->image, padded, e->raw, size);
    VDN_CHECK(vdni_sampler_condition(ctx, e->sampler, e->prior, e->image));
    if (o->prior_only) {
        memcpy(e->mean, e->prior,
               (size_t)(padded[0] * padded[1] * model->config.mask_channels) * sizeof *e->mean);
        memset(e->information, 0, (size_t)(padded[0] * padded[1]) * sizeof *e->information);
        return VDN_OK;
    }
    return sample_all(ctx, e, &key, o->samples > 0 ? o->samples : model->config.samples, span);
}

static vdn_status check(vdn_ctx *ctx, const vdn_slices *s, const vdn_model *model,
                        const vdn_segment_options *o)
{
    if (s->count < 1 || s->height < 1 || s->width < 1 || s->count > INT32_MAX ||
        s->height > 65536 || s->width > 65536 || !s->pixels)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%lld slices of %lld x %lld pixels",
                         (long long)s->count, (long long)s->height, (long long)s->width);
    if (s->image_channels != model->config.image_channels)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "image has %d channels, the model needs %d",
                         s->image_channels, model->config.image_channels);
    if (s->first_index < 0 || s->first_index + s->count > 65536)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "slice numbers %lld to %lld, needed 0 to 65535",
                         (long long)s->first_index, (long long)(s->first_index + s->count - 1));
    if (o->samples < 0 || o->samples > 65535 || o->steps < 0 || o->start < 0 || o->precision < 0 ||
        o->precision > 2)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "samples %d, steps %d, start %d, precision %d: none is negative, samples "
                         "is at most 65535 and precision at most 2",
                         o->samples, o->steps, o->start, o->precision);
    return VDN_OK;
}

vdn_status vdni_segment(vdn_ctx *ctx, float *probability, float *uncertainty,
                        const vdn_slices *slices, const vdn_model *model,
                        const vdn_segment_options *options)
{
    engine *e = NULL;
    const int64_t pixels = slices->height * slices->width;

    VDN_CHECK(check(ctx, slices, model, options));
    const vdni_sampler_options wanted = sampler_options(ctx, slices, model, options);
    VDN_CHECK(get_engine(ctx, &e, model, &wanted));
    for (int64_t i = 0; i < slices->count; i++) {
        VDN_CHECK(segment_one(ctx, e, slices, model, options, i));
        crop_out(probability + i * pixels * model->domain.classes, e->mean, wanted.width, slices,
                 model->config.mask_channels);
        for (int64_t y = 0; uncertainty && y < slices->height; y++)
            memcpy(uncertainty + (i * slices->height + y) * slices->width,
                   e->information + y * wanted.width, (size_t)slices->width * sizeof *uncertainty);
    }
    ctx->progress_floor = 0.0;
    ctx->progress_scale = 1.0;
    return vdni_report(ctx, 1.0);
}
