/* The honest table at the end of a training: on subjects that were never trained on, prior alone, one
 * pass of the refiner, and the sampled ensemble side by side, on the grid of the files. Dice and IoU
 * per slice and per subject (pooled over its slices), for every foreground class. */
#include "Base/file.h"
#include "Base/json.h"
#include "Base/memory.h"
#include "Diffusion/ensemble.h"
#include "Diffusion/sampler.h"
#include "Eval/overlap.h"
#include "Tensor/normalize.h"
#include "Tensor/resample.h"
#include "Tensor/pad.h"
#include "Train/trainer_setup.h"

#include <stdio.h>
#include <string.h>

enum { PRIOR, ONE_PASS, ENSEMBLE, METHODS, PATH_BYTES = 4096 };
static const char *const method_names[METHODS] = { "prior", "one_pass", "ensemble" };

typedef struct {
    vdni_trainer *t;
    vdni_sampler *one, *many;     /* of the size of the last slice */
    int64_t height, width;
    float *raw, *image, *prior, *p; /* canvas of the largest slice */
    vdni_ensemble ensemble;
    float *native;                /* largest native grid, K */
    uint8_t *found;
    vdni_overlap *slices;         /* (method, class, slice) */
    const char **subjects;        /* of each slice */
    float *best;                  /* device copy of the best weights */
    uint64_t version;
    int64_t count;                /* slices */
    int32_t classes;              /* foreground classes */
} table;

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
    vdni_free(ctx, x->native);
    vdni_free(ctx, x->found);
    vdni_free(ctx, x->slices);
    vdni_free(ctx, (void *)x->subjects);
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

    x->count = list->count;
    x->classes = t->model->domain.classes - 1;
    VDN_CHECK(VDNI_NEW(ctx, x->raw, pixels * t->model->config.image_channels));
    VDN_CHECK(VDNI_NEW(ctx, x->image, pixels * t->model->config.image_channels));
    VDN_CHECK(VDNI_NEW(ctx, x->prior, pixels * k));
    VDN_CHECK(VDNI_NEW(ctx, x->p, pixels * k));
    VDN_CHECK(VDNI_NEW(ctx, x->native, native * k));
    VDN_CHECK(VDNI_NEW(ctx, x->found, native));
    VDN_CHECK(VDNI_NEW(ctx, x->slices, (int64_t)METHODS * x->classes * x->count));
    VDN_CHECK(VDNI_NEW(ctx, x->subjects, x->count));
    return place_weights(ctx, x);
}

/* Samplers are made for one size; slices of one volume share it. */
static vdn_status resize(vdn_ctx *ctx, table *x, int64_t height, int64_t width)
{
    vdni_trainer *t = x->t;
    const vdni_config *c = &t->model->config;
    const vdni_sampler_weights weights = { &t->model->parameters, x->best, &x->version };
    const vdni_sampler_options many = { height, width, t->activation, c->sample_steps,
                                        c->sample_start, 0.0, 1 };
    vdni_sampler_options one = many;

    if (x->many && x->height == height && x->width == width) return VDN_OK;
    one.steps = c->param == VDNI_PARAM_LITERAL ? c->sample_start : 1;
    vdni_sampler_free(ctx, x->one);
    vdni_sampler_free(ctx, x->many);
    vdni_ensemble_free(ctx, &x->ensemble);
    x->one = x->many = NULL;
    x->height = height;
    x->width = width;
    VDN_CHECK(vdni_sampler_create(ctx, &x->one, c, &weights, &one));
    VDN_CHECK(vdni_sampler_create(ctx, &x->many, c, &weights, &many));
    return vdni_ensemble_create(ctx, &x->ensemble, height * width, c->mask_channels);
}

/* Probabilities on the canvas -> class indices on the file's grid -> counts. */
static vdn_status count(vdn_ctx *ctx, table *x, int method, int64_t slice, const vdn_store_slice *s,
                        const float *p)
{
    const int32_t k = x->t->model->config.mask_channels;
    const int64_t size[3] = { s->height, s->width, k };
    const int64_t native[2] = { s->native_height, s->native_width };
    const int64_t pixels = native[0] * native[1];

    vdni_crop_plane(x->p, size, p, x->width);
    VDN_CHECK(vdni_resample_plane(ctx, x->native, native, x->p, size));
    vdni_argmax(x->found, x->native, pixels, k);
    for (int32_t c = 0; c < x->classes; c++)
        vdni_overlap_labels(&x->slices[((int64_t)method * x->classes + c) * x->count + slice],
                            s->native_labels, x->found, pixels, (uint8_t)(c + 1));
    return VDN_OK;
}

static vdn_status sample(vdn_ctx *ctx, table *x, int64_t slice, const vdn_store_slice *s,
                         vdni_noise_key key)
{
    const vdni_ensemble_maps maps = { .mean = x->prior };
    VDN_CHECK(vdni_sampler_condition(ctx, x->one, x->prior, x->image));
    VDN_CHECK(count(ctx, x, PRIOR, slice, s, x->prior));
    VDN_CHECK(vdni_sampler_run(ctx, x->one, x->prior, &key));
    VDN_CHECK(count(ctx, x, ONE_PASS, slice, s, x->prior));
    VDN_CHECK(vdni_sampler_condition(ctx, x->many, x->prior, x->image));
    vdni_ensemble_clear(&x->ensemble);
    for (int32_t i = 0; i < x->t->model->config.samples; i++) {
        key.sample = (uint32_t)i;
        VDN_CHECK(vdni_sampler_run(ctx, x->many, x->prior, &key));
        vdni_ensemble_add(&x->ensemble, x->prior);
    }
    vdni_ensemble_get(&maps, &x->ensemble);
    return count(ctx, x, ENSEMBLE, slice, s, x->prior);
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
    x->subjects[slice] = s.subject;
    vdni_ctx_stage(ctx, ctx->progress_floor, ctx->progress_floor, "Scoring test slice %lld of %lld",
                   (long long)slice + 1, (long long)x->count);
    VDN_CHECK(resize(ctx, x, canvas[0], canvas[1]));
    VDN_CHECK(vdni_normalize_slice(ctx, x->raw, s.pixels, size, s.modality, s.index));
    vdni_pad_plane(x->image, canvas, x->raw, size);
    return sample(ctx, x, slice, &s, key);
}

/* ---- the table as JSON ---- */

static void put_mean_sd(vdni_json_writer *w, const char *name, const double *values, int64_t count)
{
    double mean = 0.0, sd = 0.0;
    vdni_mean_sd(&mean, &sd, values, count);
    vdni_json_open_object(w, name);
    vdni_json_put_double(w, "mean", mean);
    vdni_json_put_double(w, "sd", sd);
    vdni_json_put_int(w, "n", count);
    vdni_json_close(w);
}

typedef struct {
    vdni_overlap *slices, *subjects;
    int64_t *first; /* slice where each subject appears first */
    int64_t slice_count, subject_count;
} overlaps;

static int in_group(const table *x, int64_t slice, const char *group)
{
    const char *subject = x->subjects[slice];
    if (!group) return 1;
    const int64_t length = vdni_group_length(subject);
    return length == (int64_t)strlen(group) && strncmp(subject, group, (size_t)length) == 0;
}

/* The first slice with the subject of slice @p i. */
static int64_t first_of(const table *x, int64_t i)
{
    int64_t first = 0;
    while (strcmp(x->subjects[first], x->subjects[i]) != 0) first++;
    return first;
}

/* Gather the slices of a group (NULL: all), and pool them by subject; counts come back. */
static void gather(overlaps *out, const table *x, const vdni_overlap *slices, const char *group)
{
    int64_t owner = 0;
    out->slice_count = out->subject_count = 0;
    for (int64_t i = 0; i < x->count; i++) {
        if (!in_group(x, i, group)) continue;
        const int64_t first = first_of(x, i);
        out->slices[out->slice_count++] = slices[i];
        for (owner = 0; owner < out->subject_count && out->first[owner] != first;) owner++;
        if (owner < out->subject_count) {
            vdni_overlap_add(&out->subjects[owner], &slices[i]);
            continue;
        }
        out->first[out->subject_count] = first;
        out->subjects[out->subject_count++] = slices[i];
    }
}

static void put_scores(vdni_json_writer *w, const vdni_overlap *items, int64_t count,
                       double *dice, double *iou, const char *suffix)
{
    char name[64];
    for (int64_t i = 0; i < count; i++) {
        dice[i] = vdni_dice(&items[i]);
        iou[i] = vdni_iou(&items[i]);
    }
    (void)snprintf(name, sizeof name, "dice_per_%s", suffix);
    put_mean_sd(w, name, dice, count);
    (void)snprintf(name, sizeof name, "iou_per_%s", suffix);
    put_mean_sd(w, name, iou, count);
}

static void put_group(vdni_json_writer *w, const table *x, overlaps *o, double *scratch,
                      const char *group)
{
    for (int m = 0; m < METHODS; m++) {
        vdni_json_open_object(w, method_names[m]);
        for (int32_t c = 0; c < x->classes; c++) {
            gather(o, x, &x->slices[((int64_t)m * x->classes + c) * x->count], group);
            vdni_json_open_object(w, x->t->model->domain.class_name[c + 1]);
            put_scores(w, o->slices, o->slice_count, scratch, scratch + x->count, "slice");
            put_scores(w, o->subjects, o->subject_count, scratch, scratch + x->count, "subject");
            vdni_json_close(w);
        }
        vdni_json_close(w);
    }
}

/* One object per data set, in the order of first appearance. */
static void put_groups(vdni_json_writer *w, const table *x, overlaps *o, double *scratch)
{
    char group[VDNI_STORE_MAX_ID_BYTES + 1];
    vdni_json_open_object(w, "data_sets");
    for (int64_t i = 0; i < x->count; i++) {
        const int64_t length = vdni_group_length(x->subjects[i]);
        int seen = length == 0;
        memcpy(group, x->subjects[i], (size_t)length);
        group[length] = '\0';
        for (int64_t k = 0; k < i && !seen; k++) seen = in_group(x, k, group);
        if (seen) continue;
        vdni_json_open_object(w, group);
        put_group(w, x, o, scratch, group);
        vdni_json_close(w);
    }
    vdni_json_close(w);
}

static vdn_status to_json(vdn_ctx *ctx, char **out, const table *x)
{
    vdn_status status = VDN_OK;
    overlaps o = { NULL, NULL, NULL, 0, 0 };
    double *scratch = NULL;
    vdni_json_writer w;

    VDN_TRY(VDNI_NEW(ctx, scratch, 2 * x->count));
    VDN_TRY(VDNI_NEW(ctx, o.slices, x->count));
    VDN_TRY(VDNI_NEW(ctx, o.subjects, x->count));
    VDN_TRY(VDNI_NEW(ctx, o.first, x->count));
    vdni_json_begin(&w, ctx, 1);
    vdni_json_open_object(&w, NULL);
    vdni_json_put_int(&w, "slices", x->count);
    put_group(&w, x, &o, scratch, NULL);
    put_groups(&w, x, &o, scratch);
    vdni_json_close(&w);
    status = vdni_json_finish(&w, out, NULL);
done:
    vdni_free(ctx, o.slices);
    vdni_free(ctx, o.subjects);
    vdni_free(ctx, o.first);
    vdni_free(ctx, scratch);
    return status;
}

vdn_status vdni_test_table(vdn_ctx *ctx, char **json, vdni_trainer *t)
{
    vdn_status status = VDN_OK;
    char path[PATH_BYTES];
    table x = { .t = t };

    *json = NULL;
    VDN_TRY(prepare(ctx, &x));
    for (int64_t i = 0; i < x.count; i++) VDN_TRY(one_slice(ctx, &x, i));
    VDN_TRY(to_json(ctx, json, &x));
    (void)snprintf(path, sizeof path, "%s/test.json", t->folder);
    VDN_TRY(vdni_file_write(ctx, path, *json, (int64_t)strlen(*json)));
done:
    release(ctx, &x);
    return status;
}
