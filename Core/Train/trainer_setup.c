/* Everything a training needs before its first step: data, split, model, blocks, networks, logs. */
#include "Train/trainer_setup.h"

#include "Base/json.h"
#include "Base/memory.h"
#include "Net/config_keys.h"
#include "Tensor/pad.h"
#include "Train/initial_model.h"
#include "Train/loader.h"
#include "Train/memory_plan.h"
#include "Train/settings.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096, DEFAULT_SEED = 35 };

/* ---- data ---- */

static vdn_status make_part(vdn_ctx *ctx, vdni_trainer *t, const uint8_t *part, int which)
{
    vdni_slice_list *list = &t->parts[which];
    const int64_t count = vdni_store_get_count(t->store), m = t->model->config.pad_multiple;

    VDN_CHECK(VDNI_NEW(ctx, list->ids, count));
    for (int64_t i = 0; i < count; i++) {
        vdn_store_slice s;
        if (part[i] != which) continue;
        vdni_store_get_entry(&s, t->store, i);
        list->ids[list->count++] = i;
        if (vdni_padded_size(s.height, m) > list->height)
            list->height = vdni_padded_size(s.height, m);
        if (vdni_padded_size(s.width, m) > list->width) list->width = vdni_padded_size(s.width, m);
    }
    return VDN_OK;
}

int64_t vdni_group_length(const char *subject)
{
    const char *slash = strrchr(subject, '/');
    return slash ? slash - subject : 0;
}

static int same_group(const char *a, const char *b)
{
    const int64_t length = vdni_group_length(a);
    return length == vdni_group_length(b) && strncmp(a, b, (size_t)length) == 0;
}

typedef struct {
    const char **all, **members; /* subject of each slice; those of one group */
    int64_t *numbers;            /* slices of the group */
    uint8_t *part, *member_part;
} split_work;

/* Split the data set that slice @p first belongs to, if it is the first of it. */
static vdn_status split_group(vdn_ctx *ctx, split_work *w, int64_t first, int64_t count)
{
    int64_t members = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!same_group(w->all[first], w->all[i])) continue;
        if (i < first) return VDN_OK; /* done already */
        w->members[members] = w->all[i];
        w->numbers[members++] = i;
    }
    /* The split has its own fixed seed: changing the training seed keeps the test subjects. */
    VDN_CHECK(vdni_split_subjects(ctx, w->member_part, w->members, members, 35));
    for (int64_t i = 0; i < members; i++) w->part[w->numbers[i]] = w->member_part[i];
    return VDN_OK;
}

/* Each data set of a store ("name/subject") is split by itself: adding phantoms to scans leaves the
 * scans' test subjects what they were. */
static vdn_status split(vdn_ctx *ctx, vdni_trainer *t)
{
    vdn_status status = VDN_OK;
    const int64_t count = vdni_store_get_count(t->store);
    split_work w = { NULL, NULL, NULL, NULL, NULL };

    VDN_TRY(VDNI_NEW(ctx, w.all, count));
    VDN_TRY(VDNI_NEW(ctx, w.members, count));
    VDN_TRY(VDNI_NEW(ctx, w.numbers, count));
    VDN_TRY(VDNI_NEW(ctx, w.part, count));
    VDN_TRY(VDNI_NEW(ctx, w.member_part, count));
    for (int64_t i = 0; i < count; i++) {
        vdn_store_slice s;
        vdni_store_get_entry(&s, t->store, i);
        w.all[i] = s.subject;
    }
    for (int64_t i = 0; i < count; i++) VDN_TRY(split_group(ctx, &w, i, count));
    for (int p = 0; p < VDNI_PARTS; p++) VDN_TRY(make_part(ctx, t, w.part, p));
done:
    vdni_free(ctx, (void *)w.all);
    vdni_free(ctx, (void *)w.members);
    vdni_free(ctx, w.numbers);
    vdni_free(ctx, w.part);
    vdni_free(ctx, w.member_part);
    return status;
}

/* ---- model ---- */

static void domain_of(vdni_domain *out, const vdn_store_header *header)
{
    memset(out, 0, sizeof *out);
    out->classes = header->classes;
    memcpy(out->class_name, header->class_name, sizeof out->class_name);
    memcpy(out->class_label, header->class_label, sizeof out->class_label);
    out->pixel_spacing_mm = header->pixel_spacing_mm;
    out->assumed_spacing_mm = header->assumed_spacing_mm;
    out->plane = header->plane;
    out->neighbours = header->neighbours > 1 ? header->neighbours : 0;
}

static vdn_status check_options(vdn_ctx *ctx, const vdn_train_options *o)
{
    if (o->steps < 0 || o->steps > 10000000 || o->crop < 0 || o->crop > 65536 ||
        !(o->minutes >= 0.0) || o->checkpoint_steps < 0 || o->validate_steps < 0 ||
        o->precision < 0 || o->precision > 2)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "steps %lld, crop %d, minutes %g, checkpoint %lld, validate %lld, "
                         "precision %d: none is negative, precision is at most 2",
                         (long long)o->steps, o->crop, o->minutes, (long long)o->checkpoint_steps,
                         (long long)o->validate_steps, o->precision);
    if ((o->msfm & ~1) != 0 || (o->nsa & ~1) != 0)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "msfm %d, nsa %d: needed 0 or 1", o->msfm, o->nsa);
    return VDN_OK;
}

/* An option that says something stands above the preset, which stands above the default. */
static void take_run_values(vdn_train_options *o, const vdni_run_values *run)
{
    if (run->seed >= 0 && o->seed == DEFAULT_SEED) o->seed = (uint64_t)run->seed;
    if (run->crop >= 0 && o->crop == 0) o->crop = run->crop;
    if (run->precision >= 0 && o->precision == 0) o->precision = run->precision;
}

static vdn_status make_model(vdn_ctx *ctx, vdni_trainer *t)
{
    vdn_train_options *o = &t->options;
    const vdn_store_header *header = vdni_store_get_header(t->store);
    vdni_config config;
    vdni_domain domain;
    vdni_run_values run;

    VDN_CHECK(vdni_config_get(ctx, &config, o->config ? o->config : "tiny"));
    config.image_channels = header->image_channels;
    config.mask_channels = header->classes == 2 ? 1 : header->classes;
    t->steps = o->steps;
    const vdni_settings settings = {
        o->recipe ? o->recipe : "recommended", o->settings, o->settings_name, o->preset,
        o->preset_name ? o->preset_name : "preset", o->param, !o->msfm, !o->nsa, &run
    };
    const vdn_status applied =
        vdni_settings_apply(ctx, &config, &t->recipe, &t->steps, &settings);
    if (applied == VDN_ERR_FORMAT) return VDN_ERR_ARGUMENT; /* their text is the caller's */
    VDN_CHECK(applied);
    take_run_values(o, &run);
    VDN_CHECK(check_options(ctx, o));
    domain_of(&domain, header);
    VDN_CHECK(vdni_model_create(ctx, &t->model, &config, &domain, o->seed));
    if (o->initial_model && !o->resume) /* a checkpoint has its own values */
        VDN_CHECK(vdni_initial_model(ctx, t->model, o->initial_model));
    return vdni_schedule_create(ctx, &t->schedule, config.schedule, config.time_steps);
}

/* ---- memory ---- */

static vdn_status device_block(vdn_ctx *ctx, float **out, int64_t count, const float *from)
{
    const int64_t bytes = count * (int64_t)sizeof **out;
    VDN_CHECK(ctx->backend->allocate(ctx, ctx->device, (void **)out, bytes));
    if (from) return ctx->backend->put(ctx, ctx->device, *out, from, bytes);
    return ctx->backend->zero(ctx, ctx->device, *out, bytes);
}

static vdn_status make_blocks(vdn_ctx *ctx, vdni_trainer *t)
{
    const int64_t count = t->model->parameters.total_floats;
    vdni_blocks *b = &t->blocks;

    VDN_CHECK(device_block(ctx, &b->values, count, t->model->values));
    VDN_CHECK(device_block(ctx, &b->gradients, count, NULL));
    VDN_CHECK(device_block(ctx, &b->moment1, count, NULL));
    VDN_CHECK(device_block(ctx, &b->moment2, count, NULL));
    VDN_CHECK(device_block(ctx, &b->average, count, t->model->values));
    VDN_CHECK(VDNI_NEW(ctx, b->best, count));
    VDN_CHECK(VDNI_NEW(ctx, b->decays, count));
    memcpy(b->best, t->model->values, (size_t)count * sizeof *b->best);
    vdni_parameters_decay_mask(&t->model->parameters, b->decays);
    b->version = b->average_version = 1;
    return VDN_OK;
}

/* The canvas is the crop, or the largest training slice along an axis where that is smaller. */
static void choose_canvas(vdni_trainer *t)
{
    const vdni_slice_list *train = &t->parts[VDNI_PART_TRAIN];
    const int64_t crop = vdni_padded_size(t->options.crop, t->model->config.pad_multiple);
    t->recipe.augment.crop = t->options.crop;
    t->height = crop > 0 && crop < train->height ? crop : train->height;
    t->width = crop > 0 && crop < train->width ? crop : train->width;
}

static vdn_status make_buffers(vdn_ctx *ctx, vdni_trainer *t)
{
    const vdni_config *c = &t->model->config;
    const int64_t pixels = t->height * t->width;
    const vdni_slice_list *validation = &t->parts[VDNI_PART_VALIDATION];

    vdni_batch_images images = { NULL, NULL, NULL };
    vdni_batch_scratch scratch = { NULL, NULL };
    VDN_CHECK(vdni_batch_create(ctx, t));
    const vdn_status made = vdni_batch_images_create(ctx, &images, t);
    t->images = images.images;
    t->targets = images.targets;
    t->valid = images.valid;
    VDN_CHECK(made);
    const vdn_status prepared = vdni_batch_scratch_create(ctx, &scratch, t);
    t->normalized = scratch.normalized;
    t->work = scratch.work;
    VDN_CHECK(prepared);
    VDN_CHECK(VDNI_NEW(ctx, t->prior, t->memory.images_at_once * pixels * c->mask_channels));
    VDN_CHECK(VDNI_NEW(ctx, t->order, t->parts[VDNI_PART_TRAIN].count));
    VDN_CHECK(vdni_loader_create(ctx, &t->loader, t, t->steps));

    const vdni_network_weights weights = { &t->model->parameters, t->blocks.values,
                                           t->blocks.gradients, &t->blocks.version };
    const vdni_network_weights averaged = { &t->model->parameters, t->blocks.average, NULL,
                                            &t->blocks.average_version };
    const vdni_network_options options = { t->height, t->width, t->activation, 1,
                                           t->memory.recompute, t->memory.images_at_once };
    const vdni_network_options plain = { validation->height, validation->width, t->activation, 0, 0,
                                         1 };
    VDN_CHECK(vdni_network_create(ctx, &t->network, c, &t->recipe, t->schedule, &weights,
                                  &options));
    return vdni_network_create(ctx, &t->validation, c, &t->recipe, t->schedule, &averaged, &plain);
}

/* ---- signature and logs ---- */

static vdn_status make_signature(vdn_ctx *ctx, vdni_trainer *t)
{
    vdn_status status = VDN_OK;
    char *config = NULL;
    vdni_json_writer w;

    VDN_TRY(vdni_config_to_json(ctx, &config, &t->model->config, &t->model->domain));
    vdni_json_begin(&w, ctx, 0);
    vdni_json_open_object(&w, NULL);
    vdni_json_put_string(&w, "recipe", t->recipe.name);
    vdni_json_put_int(&w, "steps", t->steps);
    vdni_json_put_int(&w, "seed", (int64_t)t->options.seed);
    vdni_json_put_int(&w, "crop", t->options.crop);
    vdni_json_put_string(&w, "activation", vdni_dtype_name(t->activation));
    vdni_json_put_int(&w, "threads", ctx->threads);
    vdni_json_put_int(&w, "slices", vdni_store_get_count(t->store));
    if (t->options.settings || t->options.preset) vdni_settings_put_recipe(&w, &t->recipe);
    vdni_json_put_raw(&w, "model", config);
    vdni_json_close(&w);
    status = vdni_json_finish(&w, &t->signature, NULL);
done:
    vdni_free(ctx, config);
    return status;
}

static vdn_status open_log(vdn_ctx *ctx, vdni_log **out, const vdni_trainer *t, const char *name,
                           const char *columns)
{
    char path[PATH_BYTES];
    const int n = snprintf(path, sizeof path, "%s/%s", t->folder, name);
    if (n < 0 || n >= PATH_BYTES)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "the folder name %.40s... is too long", t->folder);
    if (t->options.resume) return vdni_log_resume(ctx, out, path, columns, t->state.step);
    return vdni_log_create(ctx, out, path, columns);
}

/* ---- all of it ---- */

vdn_status vdni_trainer_create(vdn_ctx *ctx, vdni_trainer **out, const char *folder,
                               const char *store_path, const vdn_train_options *options)
{
    return vdni_trainer_create_by(ctx, out, folder, store_path, options, 0);
}

vdn_status vdni_trainer_create_by(vdn_ctx *ctx, vdni_trainer **out, const char *folder,
                                  const char *store_path, const vdn_train_options *options,
                                  int32_t images)
{
    vdn_status status = VDN_OK;
    vdni_trainer *t = NULL;
    vdni_device_info info;

    *out = NULL;
    VDN_CHECK(check_options(ctx, options));
    VDN_TRY(VDNI_NEW(ctx, t, 1));
    t->options = *options;
    t->folder = folder;
    t->state.best_loss = INFINITY;
    VDN_TRY(vdni_store_open(ctx, &t->store, store_path));
    VDN_TRY(make_model(ctx, t));
    ctx->backend->describe(ctx->device, &info);
    t->activation = t->options.precision == 2 || (t->options.precision == 0 && info.bf16_is_fast)
                        ? VDNI_BF16
                        : VDNI_F32;
    VDN_TRY(split(ctx, t));
    choose_canvas(t);
    VDN_TRY(vdni_memory_plan_make(ctx, &t->memory, t, images));
    VDN_TRY(make_blocks(ctx, t));
    VDN_TRY(make_buffers(ctx, t));
    VDN_TRY(make_signature(ctx, t));
    vdni_checkpoint_sweep(t);
    if (options->resume) VDN_TRY(vdni_checkpoint_load(ctx, t));
    t->seconds_before = t->state.seconds;
    VDN_TRY(open_log(ctx, &t->log, t, "log.csv", VDNI_TRAINING_COLUMNS));
    VDN_TRY(open_log(ctx, &t->validation_log, t, "validation.csv", VDNI_VALIDATION_COLUMNS));
    *out = t;
    t = NULL;
done:
    vdni_trainer_free(ctx, t);
    return status;
}

static void free_blocks(vdn_ctx *ctx, vdni_blocks *b)
{
    float *const device[] = { b->values, b->gradients, b->moment1, b->moment2, b->average };
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++)
        if (device[i]) ctx->backend->release(ctx, ctx->device, device[i]);
    vdni_free(ctx, b->best);
    vdni_free(ctx, b->decays);
}

void vdni_trainer_end_steps(vdn_ctx *ctx, vdni_trainer *t)
{
    vdni_loader_free(ctx, t->loader); /* first: it reads all the rest */
    vdni_network_free(ctx, t->network);
    vdni_network_free(ctx, t->validation);
    t->loader = NULL;
    t->network = t->validation = NULL;
}

void vdni_trainer_free(vdn_ctx *ctx, vdni_trainer *t)
{
    if (!t) return;
    vdni_trainer_end_steps(ctx, t);
    free_blocks(ctx, &t->blocks);
    for (int p = 0; p < VDNI_PARTS; p++) vdni_free(ctx, t->parts[p].ids);
    void *const host[] = { t->images, t->targets, t->valid, t->prior, t->normalized,
                           t->work,   t->order,   t->job,   t->signature };
    for (size_t i = 0; i < sizeof host / sizeof host[0]; i++) vdni_free(ctx, host[i]);
    (void)vdni_log_close(ctx, t->log);
    (void)vdni_log_close(ctx, t->validation_log);
    vdni_schedule_free(ctx, t->schedule);
    vdn_model_free(t->model);
    vdni_store_close(ctx, t->store);
    vdni_free(ctx, t);
}
