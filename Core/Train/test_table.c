/* The honest table at the end of a training: on subjects that were never trained on, prior alone, one
 * pass of the refiner, and the sampled ensemble side by side, on the grid of the files: overlaps of every
 * foreground class, calibration, and how unsure each was of every slice. */
#include "Base/file.h"
#include "Base/memory.h"
#include "Diffusion/ensemble.h"
#include "Diffusion/sampler.h"
#include "Eval/calibration.h"
#include "Tensor/normalize.h"
#include "Tensor/resample.h"
#include "Tensor/pad.h"
#include "Train/test_report.h"
#include "Train/trainer_setup.h"

#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

typedef struct {
    vdni_trainer *t;
    vdni_sampler *one, *many;     /* of the size of the last slice */
    int64_t height, width;
    float *raw, *image, *prior, *p; /* canvas of the largest slice */
    vdni_ensemble ensemble;
    float *information;           /* of the ensemble, on the canvas */
    float *native, *unsure;       /* largest native grid, K; one map */
    uint8_t *found, *band;
    vdni_test_results results;
    float *best;                  /* device copy of the best weights */
    uint64_t version;
} table;

/* Without a refiner there is the prior only. */
static int method_count(const table *x)
{
    return vdni_has_refiner(&x->t->model->config) ? VDNI_METHODS : VDNI_PRIOR + 1;
}

static void release(vdn_ctx *ctx, table *x)
{
    vdni_sampler_free(ctx, x->one);
    vdni_sampler_free(ctx, x->many);
    vdni_ensemble_free(ctx, &x->ensemble);
    if (x->best && !ctx->backend->shares_host_memory)
        ctx->backend->release(ctx, ctx->device, x->best);
    vdni_free(ctx, x->raw);
    vdni_free(ctx, x->image);
    vdni_free(ctx, x->prior);
    vdni_free(ctx, x->p);
    vdni_free(ctx, x->information);
    vdni_free(ctx, x->native);
    vdni_free(ctx, x->unsure);
    vdni_free(ctx, x->found);
    vdni_free(ctx, x->band);
    vdni_free(ctx, x->results.overlaps);
    vdni_free(ctx, x->results.trust);
    vdni_free(ctx, (void *)x->results.subjects);
}

static int64_t largest_native(const vdni_trainer *t)
{
    const vdni_slice_list *list = &t->parts[VDNI_PART_TEST];
    int64_t most = 1;
    for (int64_t i = 0; i < list->count; i++) {
        vdn_store_slice s;
        vdni_store_get_entry(&s, t->store, list->ids[i]);
        if (s.native_height * s.native_width > most) most = s.native_height * s.native_width;
    }
    return most;
}

static vdn_status place_weights(vdn_ctx *ctx, table *x)
{
    const int64_t bytes = x->t->model->parameters.total_floats * (int64_t)sizeof(float);
    x->best = x->t->blocks.best;
    if (ctx->backend->shares_host_memory) return VDN_OK;
    x->best = NULL;
    VDN_CHECK(ctx->backend->allocate(ctx, ctx->device, (void **)&x->best, bytes));
    return ctx->backend->put(ctx, ctx->device, x->best, x->t->blocks.best, bytes);
}

static vdn_status prepare(vdn_ctx *ctx, table *x)
{
    const vdni_trainer *t = x->t;
    const vdni_slice_list *list = &t->parts[VDNI_PART_TEST];
    const int64_t pixels = list->height * list->width, k = t->model->config.mask_channels;
    const int64_t native = largest_native(t);
    vdni_test_results *r = &x->results;

    r->methods = method_count(x);
    r->count = list->count;
    r->classes = t->model->domain.classes - 1;
    r->class_name = t->model->domain.class_name;
    VDN_CHECK(VDNI_NEW(ctx, x->raw, pixels * t->model->config.image_channels));
    VDN_CHECK(VDNI_NEW(ctx, x->image, pixels * t->model->config.image_channels));
    VDN_CHECK(VDNI_NEW(ctx, x->prior, pixels * k));
    VDN_CHECK(VDNI_NEW(ctx, x->p, pixels * k));
    VDN_CHECK(VDNI_NEW(ctx, x->information, pixels));
    VDN_CHECK(VDNI_NEW(ctx, x->native, native * k));
    VDN_CHECK(VDNI_NEW(ctx, x->unsure, native));
    VDN_CHECK(VDNI_NEW(ctx, x->found, native));
    VDN_CHECK(VDNI_NEW(ctx, x->band, native));
    VDN_CHECK(VDNI_NEW(ctx, r->overlaps, (int64_t)r->methods * r->classes * r->count));
    VDN_CHECK(VDNI_NEW(ctx, r->trust, r->methods * r->count));
    VDN_CHECK(VDNI_NEW(ctx, r->subjects, r->count));
    return place_weights(ctx, x);
}

/* Samplers are made for one size; slices of one volume share it. */
static vdn_status resize(vdn_ctx *ctx, table *x, int64_t height, int64_t width)
{
    vdni_trainer *t = x->t;
    const vdni_config *c = &t->model->config;
    const vdni_sampler_weights weights = { &t->model->parameters, x->best, &x->version };
    const vdni_sampler_options many = { height, width, t->activation, c->sample_steps,
                                        c->sample_start, c->eta, 1 };
    vdni_sampler_options one = many;

    if (x->one && x->height == height && x->width == width) return VDN_OK;
    one.steps = c->param == VDNI_PARAM_LITERAL ? c->sample_start : 1;
    vdni_sampler_free(ctx, x->one);
    vdni_sampler_free(ctx, x->many);
    vdni_ensemble_free(ctx, &x->ensemble);
    x->one = x->many = NULL;
    x->height = height;
    x->width = width;
    VDN_CHECK(vdni_sampler_create(ctx, &x->one, c, &weights, &one));
    if (method_count(x) == 1) return VDN_OK;
    VDN_CHECK(vdni_sampler_create(ctx, &x->many, c, &weights, &many));
    return vdni_ensemble_create(ctx, &x->ensemble, height * width, c->mask_channels);
}

/* What x->native and x->found hold against the reference. */
static void judge(table *x, vdni_slice_trust *trust, const vdn_store_slice *s)
{
    static const double reach[3] = { VDNI_BAND_PIXELS, VDNI_BAND_PIXELS, VDNI_BAND_PIXELS };
    const int32_t k = x->t->model->config.mask_channels;
    const int64_t size[3] = { 1, s->native_height, s->native_width };
    const int64_t pixels = size[1] * size[2];

    vdni_calibration_add(&trust->all, x->native, k, s->native_labels, NULL, pixels);
    (void)vdni_band(x->band, s->native_labels, size, reach);
    vdni_calibration_add(&trust->band, x->native, k, s->native_labels, x->band, pixels);
    for (int64_t i = 0; i < pixels; i++)
        x->unsure[i] = (float)vdni_entropy(x->native + i * k, k);
    (void)vdni_band(x->band, x->found, size, reach);
    trust->uncertainty[VDNI_BY_ENTROPY] = vdni_mean_in(x->unsure, x->band, pixels);
}

/* Probabilities on the canvas -> class indices on the file's grid -> counts. */
static vdn_status count(vdn_ctx *ctx, table *x, int method, int64_t slice, const vdn_store_slice *s,
                        const float *p)
{
    vdni_test_results *r = &x->results;
    const int32_t k = x->t->model->config.mask_channels;
    const int64_t size[3] = { s->height, s->width, k };
    const int64_t native[2] = { s->native_height, s->native_width };
    const int64_t pixels = native[0] * native[1];

    vdni_crop_plane(x->p, size, p, x->width);
    VDN_CHECK(vdni_resample_plane(ctx, x->native, native, x->p, size));
    vdni_argmax(x->found, x->native, pixels, k);
    for (int32_t c = 0; c < r->classes; c++)
        vdni_overlap_labels(&r->overlaps[((int64_t)method * r->classes + c) * r->count + slice],
                            s->native_labels, x->found, pixels, (uint8_t)(c + 1));
    judge(x, &r->trust[method * r->count + slice], s);
    return VDN_OK;
}

/* The ensemble's disagreement over the band that count() left. */
static vdn_status count_information(vdn_ctx *ctx, table *x, int64_t slice, const vdn_store_slice *s)
{
    vdni_test_results *r = &x->results;
    const int64_t size[3] = { s->height, s->width, 1 };
    const int64_t native[2] = { s->native_height, s->native_width };

    vdni_crop_plane(x->p, size, x->information, x->width);
    VDN_CHECK(vdni_resample_plane(ctx, x->unsure, native, x->p, size));
    r->trust[VDNI_ENSEMBLE * r->count + slice].uncertainty[VDNI_BY_INFORMATION] =
        vdni_mean_in(x->unsure, x->band, native[0] * native[1]);
    return VDN_OK;
}

static vdn_status sample(vdn_ctx *ctx, table *x, int64_t slice, const vdn_store_slice *s,
                         vdni_noise_key key)
{
    const vdni_ensemble_maps maps = { .mean = x->prior, .information = x->information };
    VDN_CHECK(vdni_sampler_condition(ctx, x->one, x->prior, x->image));
    VDN_CHECK(count(ctx, x, VDNI_PRIOR, slice, s, x->prior));
    if (method_count(x) == 1) return VDN_OK;
    VDN_CHECK(vdni_sampler_run(ctx, x->one, x->prior, &key));
    VDN_CHECK(count(ctx, x, VDNI_ONE_PASS, slice, s, x->prior));
    VDN_CHECK(vdni_sampler_condition(ctx, x->many, x->prior, x->image));
    vdni_ensemble_clear(&x->ensemble);
    for (int32_t i = 0; i < x->t->model->config.samples; i++) {
        key.sample = (uint32_t)i;
        VDN_CHECK(vdni_sampler_run(ctx, x->many, x->prior, &key));
        vdni_ensemble_add(&x->ensemble, x->prior);
    }
    vdni_ensemble_get(&maps, &x->ensemble);
    VDN_CHECK(count(ctx, x, VDNI_ENSEMBLE, slice, s, x->prior));
    return count_information(ctx, x, slice, s);
}

static vdn_status one_slice(vdn_ctx *ctx, table *x, int64_t slice)
{
    vdni_trainer *t = x->t;
    const int64_t id = t->parts[VDNI_PART_TEST].ids[slice], m = t->model->config.pad_multiple;
    const vdni_noise_key key = { .seed = t->options.seed, .case_key = (uint32_t)id };
    vdn_store_slice s;

    VDN_CHECK(vdni_store_get_slice(ctx, &s, t->store, id));
    const int64_t size[3] = { s.height, s.width, t->model->config.image_channels };
    const int64_t canvas[2] = { vdni_padded_size(s.height, m), vdni_padded_size(s.width, m) };
    x->results.subjects[slice] = s.subject;
    vdni_ctx_stage(ctx, ctx->progress_floor, ctx->progress_floor, "Scoring test slice %lld of %lld",
                   (long long)slice + 1, (long long)x->results.count);
    VDN_CHECK(resize(ctx, x, canvas[0], canvas[1]));
    VDN_CHECK(vdni_normalize_slice(ctx, x->raw, s.pixels, size, s.modality, s.index));
    vdni_pad_plane(x->image, canvas, x->raw, size);
    return sample(ctx, x, slice, &s, key);
}

vdn_status vdni_test_table_dry(vdn_ctx *ctx, vdni_trainer *t)
{
    const vdni_slice_list *list = &t->parts[VDNI_PART_TEST];
    table x = { .t = t };
    vdn_status status = prepare(ctx, &x);
    if (status == VDN_OK) status = resize(ctx, &x, list->height, list->width);
    release(ctx, &x);
    return status;
}

vdn_status vdni_test_table(vdn_ctx *ctx, char **json, vdni_trainer *t)
{
    vdn_status status = VDN_OK;
    char path[PATH_BYTES];
    table x = { .t = t };

    *json = NULL;
    VDN_TRY(prepare(ctx, &x));
    for (int64_t i = 0; i < x.results.count; i++) VDN_TRY(one_slice(ctx, &x, i));
    VDN_TRY(vdni_test_report(ctx, json, &x.results));
    (void)snprintf(path, sizeof path, "%s/test.json", t->folder);
    VDN_TRY(vdni_file_write(ctx, path, *json, (int64_t)strlen(*json)));
done:
    release(ctx, &x);
    return status;
}
