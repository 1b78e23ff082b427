#include "Train/trainer.h"

#include "Base/clock.h"
#include "Base/json.h"
#include "Base/memory.h"
#include "Ops/optimizer.h"
#include "Train/loader.h"
#include "Train/settings.h"
#include "Train/trainer_setup.h"
#include "Train/training_time.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DEFAULT_INTERVAL = 250, PATH_BYTES = 4096 };
#define TRAINING_PART 0.95

typedef struct {
    vdni_terms refiner, prior; /* sums over the images of a step */
    int32_t refined;
    double gradient_norm, lr;
    double waited, seconds; /* for the images; of the whole step */
} step_result;

static void add_terms(vdni_terms *sum, const vdni_terms *part)
{
    sum->total += part->total;
    sum->simple += part->simple;
    sum->ce += part->ce;
    sum->dice += part->dice;
}

static vdni_noise_key key_of(const vdni_trainer *t, vdni_noise_purpose purpose, int64_t step,
                             int32_t image)
{
    return (vdni_noise_key){ .seed = t->options.seed,
                             .purpose = (uint32_t)purpose,
                             .step = (uint32_t)step,
                             .sample = (uint32_t)image };
}

/* The refiner trains on worse priors than it will meet; see prior_corruption.h. */
static void corrupt(vdni_trainer *t, float *prior, int64_t step, int32_t image)
{
    vdni_corruption_recipe recipe = vdni_corruption_recommended();
    const vdni_noise_key key = key_of(t, VDNI_FOR_PRIOR_CORRUPTION, step, image);
    const vdni_prior_map map = { prior, t->valid[2 * image], t->valid[2 * image + 1],
                                 t->model->config.mask_channels, t->width };
    recipe.p = t->recipe.corrupt;
    recipe.drop_p = t->recipe.drop;
    (void)vdni_corruption_apply(&map, vdni_corruption_draw(&recipe, key), &recipe, key, t->work);
}

/* Image @p j of the step, whose prior is @p prior. */
static vdni_refine_call call_of(const vdni_trainer *t, const float *prior, int64_t step, int32_t j)
{
    const vdni_noise_key time_key = key_of(t, VDNI_FOR_TRAINING_TIME, step, j);
    const vdni_training_time time =
        vdni_training_time_draw(&t->recipe, &t->model->config, &time_key, j);
    return (vdni_refine_call){
        .prior = prior,
        .target = t->targets + j * t->height * t->width,
        .t = time.t,
        .is_start = time.is_start,
        .noise = key_of(t, VDNI_FOR_TRAINING_NOISE, step, j),
        .drop = key_of(t, VDNI_FOR_CONDITION_DROP, step, j),
        .scale = 1.0f / (float)t->recipe.batch,
    };
}

/* The images of a pass from @p first on. */
static vdn_status train_images(vdn_ctx *ctx, vdni_trainer *t, step_result *result, int64_t step,
                               int32_t first)
{
    const vdni_config *c = &t->model->config;
    const int64_t pixels = t->height * t->width;
    const int32_t count = t->memory.images_at_once;
    const float *images = t->images + first * pixels * c->image_channels;
    vdni_refine_call calls[VDNI_NETWORK_MAX_IMAGES];
    vdni_terms terms[VDNI_NETWORK_MAX_IMAGES];

    VDN_CHECK(vdni_network_condition(ctx, t->network, t->prior, terms, images,
                                     t->targets + first * pixels, 1.0f / (float)t->recipe.batch));
    for (int32_t i = 0; i < count; i++) add_terms(&result->prior, &terms[i]);
    if (step <= t->recipe.prior_warmup || !vdni_has_refiner(c)) return VDN_OK;
    for (int32_t i = 0; i < count; i++) {
        float *prior = t->prior + i * pixels * c->mask_channels;
        corrupt(t, prior, step, first + i);
        calls[i] = call_of(t, prior, step, first + i);
    }
    VDN_CHECK(vdni_network_refine(ctx, t->network, terms, calls));
    for (int32_t i = 0; i < count; i++) add_terms(&result->refiner, &terms[i]);
    result->refined += count;
    return VDN_OK;
}

static vdn_status update(vdn_ctx *ctx, vdni_trainer *t, step_result *result, int64_t step)
{
    const vdni_recipe *r = &t->recipe;
    result->lr = vdni_lr_at(&r->lr, step);
    const vdni_optimizer_step call = {
        .kind = r->optimizer,
        .count = t->model->parameters.total_floats,
        .parameters = t->blocks.values,
        .moment1 = t->blocks.moment1,
        .moment2 = t->blocks.moment2,
        .gradient = t->blocks.gradients,
        .average = t->blocks.average,
        .decay_mask = t->blocks.decays,
        .step = step,
        .lr = result->lr,
        .beta1 = r->beta1,
        .beta2 = r->beta2,
        .eps = r->eps,
        .weight_decay = r->weight_decay,
        .clip = r->clip,
        /* without an EMA the average follows the values */
        .average_decay = r->average > 0.0 ? vdni_ema_decay(r->average, step - 1) : 0.0,
        .gradient_norm = &result->gradient_norm,
    };
    VDN_CHECK(vdni_optimizer_check(ctx, &call));
    VDN_CHECK(ctx->backend->optimize(ctx, ctx->device, &call));
    t->blocks.version++;
    t->blocks.average_version++;
    return VDN_OK;
}

static double seconds_spent(const vdni_trainer *t)
{
    return t->seconds_before + (double)(vdni_clock_ns() - t->start_ns) * 1e-9;
}

static double mean_of(float sum, int32_t count) { return count > 0 ? sum / (double)count : NAN; }

static vdn_status log_step(vdn_ctx *ctx, vdni_trainer *t, const step_result *r)
{
    const int32_t batch = t->recipe.batch;
    const double prior = mean_of(r->prior.total, batch), refiner = mean_of(r->refiner.total,
                                                                            r->refined);
    const double values[] = { t->state.seconds,
                              r->lr,
                              prior + (r->refined > 0 ? refiner : 0.0),
                              mean_of(r->refiner.simple, r->refined),
                              mean_of(r->refiner.ce, r->refined),
                              mean_of(r->refiner.dice, r->refined),
                              mean_of(r->prior.ce, batch),
                              mean_of(r->prior.dice, batch),
                              r->gradient_norm,
                              100.0 * r->waited / r->seconds };
    return vdni_log_add(ctx, t->log, t->state.step, values);
}

/* The loss fades over about fifty steps, so that the line can be read. */
static void show_step(vdni_trainer *t, const step_result *r)
{
    vdni_shown *s = &t->shown;
    const double loss = mean_of(r->prior.total, t->recipe.batch) +
                        (r->refined > 0 ? mean_of(r->refiner.total, r->refined) : 0.0);
    const int64_t steps = t->state.step - s->from;
    s->loss += (loss - s->loss) / (double)(steps < 50 ? steps : 50);
    s->waited += r->waited;
    s->stepped += r->seconds;
}

/* What the classes have of this step's pixels decides their weights, where the recipe says so. */
static void share_out(vdni_trainer *t)
{
    const vdni_size_loss *seg = &t->recipe.seg;
    const int32_t classes = t->model->domain.classes;
    double counts[VDN_MAX_CLASSES] = { 0.0 }, shares[VDN_MAX_CLASSES];
    if (!vdni_size_adapts(seg) || seg->scope == VDNI_SIZE_IMAGE) return;
    vdni_class_counts(counts, t->targets, t->recipe.batch * t->height * t->width, classes);
    (void)vdni_class_shares(shares, counts, classes);
    if (seg->scope == VDNI_SIZE_AVERAGE) vdni_shares_follow(t->state.shares, shares, classes);
    vdni_network_set_shares(t->network,
                            seg->scope == VDNI_SIZE_AVERAGE ? t->state.shares : shares);
}

static vdn_status one_step(vdn_ctx *ctx, vdni_trainer *t)
{
    const int64_t step = t->state.step + 1, from = vdni_clock_ns();
    step_result result;

    memset(&result, 0, sizeof result);
    VDN_CHECK(vdni_loader_get(ctx, t->loader, step, &result.waited));
    share_out(t);
    for (int32_t j = 0; j < t->recipe.batch; j += t->memory.images_at_once)
        VDN_CHECK(train_images(ctx, t, &result, step, j));
    VDN_CHECK(update(ctx, t, &result, step));
    t->state.step = step;
    t->state.seconds = seconds_spent(t);
    result.seconds = (double)(vdni_clock_ns() - from) * 1e-9;
    show_step(t, &result);
    return log_step(ctx, t, &result);
}

/* Seconds to the end at the pace of this run, validations included; at most what is allowed. */
static double seconds_left(const vdni_trainer *t)
{
    const double pace = (seconds_spent(t) - t->seconds_before) /
                        (double)(t->state.step - t->shown.from);
    const double left = pace * (double)(t->steps - t->state.step);
    const double allowed = 60.0 * t->options.minutes - t->state.seconds;
    return t->options.minutes > 0.0 && allowed < left ? fmax(allowed, 0.0) : left;
}

static void print_time(char *out, size_t bytes, double seconds)
{
    const long minutes = (long)(seconds / 60.0);
    if (seconds < 120.0)
        (void)snprintf(out, bytes, "%.0f s", seconds);
    else if (minutes < 120)
        (void)snprintf(out, bytes, "%ld min", minutes);
    else
        (void)snprintf(out, bytes, "%ld h %ld min", minutes / 60, minutes % 60);
}

/* Training takes the first part of the whole call; the test table the rest. */
static void training_stage(vdn_ctx *ctx, const vdni_trainer *t)
{
    const vdni_shown *s = &t->shown;
    char dice[32] = "", left[32];
    if (t->state.step == s->from) {
        vdni_ctx_stage(ctx, 0.0, TRAINING_PART, "Training step %lld of %lld",
                       (long long)t->state.step, (long long)t->steps);
        return;
    }
    if (s->dice > 0.0) (void)snprintf(dice, sizeof dice, ", Dice %.3f", s->dice);
    print_time(left, sizeof left, seconds_left(t));
    vdni_ctx_stage(ctx, 0.0, TRAINING_PART,
                   "Training step %lld of %lld, loss %.3f%s, data wait %.0f %%, %s left",
                   (long long)t->state.step, (long long)t->steps, s->loss, dice,
                   100.0 * s->waited / s->stepped, left);
}

/* What the validation reports of itself is not progress of the training: it stands still. */
static vdn_status validate(vdn_ctx *ctx, vdni_trainer *t)
{
    const int64_t bytes = t->model->parameters.total_floats * (int64_t)sizeof(float);
    const double at = TRAINING_PART * (double)t->state.step / (double)t->steps;
    vdni_validation v;

    vdni_ctx_stage(ctx, at, at, "Validating after step %lld of %lld", (long long)t->state.step,
                   (long long)t->steps);
    VDN_CHECK(vdni_validate(ctx, &v, t));
    t->state.validated = t->state.step;
    const int refined = vdni_has_refiner(&t->model->config);
    t->shown.dice = refined ? v.onepass_dice : v.prior_dice;
    training_stage(ctx, t);
    const double onepass = refined ? v.onepass_dice : (double)NAN; /* an empty field */
    const double values[] = { t->state.seconds, v.loss, v.prior_dice, onepass };
    VDN_CHECK(vdni_log_add(ctx, t->validation_log, t->state.step, values));
    char also[40] = "";
    if (refined) (void)snprintf(also, sizeof also, ", one pass %.4f", v.onepass_dice);
    vdni_note(ctx, "step %lld of %lld: validation loss %.4f, Dice prior %.4f%s",
              (long long)t->state.step, (long long)t->steps, v.loss, v.prior_dice, also);
    if (!(v.loss < t->state.best_loss)) {
        t->state.stale++;
        return VDN_OK;
    }
    t->state.best_loss = v.loss;
    t->state.best_step = t->state.step;
    t->state.stale = 0;
    return ctx->backend->get(ctx, ctx->device, t->blocks.best, t->blocks.average, bytes);
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static vdn_status make_notes(vdn_ctx *ctx, vdni_trainer *t, const char *test)
{
    const vdn_train_options *o = &t->options;
    vdni_json_writer w;
    char *notes = NULL;

    vdni_json_begin(&w, ctx, 0);
    vdni_json_open_object(&w, NULL);
    vdni_json_put_string(&w, "training_data", o->data_name ? o->data_name : "not stated");
    vdni_json_put_string(&w, "licence", o->licence ? o->licence : "not stated");
    vdni_json_put_string(&w, "recipe", t->recipe.name);
    if (o->settings || o->preset) {
        vdni_json_open_object(&w, "recipe_settings");
        vdni_settings_put_recipe(&w, &t->recipe);
        vdni_json_close(&w);
    }
    if (o->initial_model) vdni_json_put_string(&w, "initial_model", name_of(o->initial_model));
    vdni_json_put_int(&w, "seed", (int64_t)o->seed);
    vdni_json_put_int(&w, "steps", t->state.step);
    vdni_json_put_int(&w, "best_step", t->state.best_step);
    vdni_json_put_int(&w, "images_per_step", t->recipe.batch);
    vdni_json_put_int(&w, "crop", o->crop);
    vdni_json_put_double(&w, "minutes", t->state.seconds / 60.0);
    vdni_json_put_string(&w, "activations", vdni_dtype_name(t->activation));
    vdni_json_put_int(&w, "training_slices", t->parts[VDNI_PART_TRAIN].count);
    vdni_json_put_int(&w, "validation_slices", t->parts[VDNI_PART_VALIDATION].count);
    if (test) vdni_json_put_raw(&w, "test", test);
    vdni_json_close(&w);
    VDN_CHECK(vdni_json_finish(&w, &notes, NULL));
    vdni_free(ctx, t->model->notes);
    t->model->notes = notes;
    return VDN_OK;
}

static vdn_status save_model(vdn_ctx *ctx, vdni_trainer *t, const char *test)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/model.safetensors", t->folder);
    VDN_CHECK(make_notes(ctx, t, test));
    return vdni_model_save(ctx, path, t->model, t->blocks.best);
}

static int is_due(int64_t step, int64_t wanted)
{
    const int64_t interval = wanted > 0 ? wanted : DEFAULT_INTERVAL;
    return step % interval == 0;
}

/* Why the loop ends before its last step; NULL: it goes on. */
static const char *reason_to_stop(const vdni_trainer *t)
{
    if (t->options.minutes > 0.0 && t->state.seconds >= 60.0 * t->options.minutes)
        return "the time is used up";
    if (t->recipe.patience > 0 && t->state.stale >= t->recipe.patience)
        return "the validation loss stopped falling";
    return NULL;
}

static int is_last(const vdni_trainer *t)
{
    return t->state.step >= t->steps || reason_to_stop(t) != NULL;
}

static int needs_validation(const vdni_trainer *t)
{
    return t->state.validated < t->state.step &&
           (is_last(t) || is_due(t->state.step, t->options.validate_steps));
}

/* Validation and checkpoint belong after the same step, so that a resume repeats neither. */
static vdn_status after_step(vdn_ctx *ctx, vdni_trainer *t)
{
    const double best = t->state.best_loss;
    if (needs_validation(t)) VDN_CHECK(validate(ctx, t));
    if (is_last(t) || is_due(t->state.step, t->options.checkpoint_steps))
        VDN_CHECK(vdni_checkpoint_save(ctx, t));
    return t->state.best_loss < best ? save_model(ctx, t, NULL) : VDN_OK;
}

/* To the last step, or until the caller stops it. */
static vdn_status run_steps(vdn_ctx *ctx, vdni_trainer *t)
{
    training_stage(ctx, t);
    if (needs_validation(t)) VDN_CHECK(after_step(ctx, t)); /* it was stopped inside a validation */
    while (!is_last(t)) {
        VDN_CHECK(vdni_report(ctx, (double)t->state.step / (double)t->steps));
        VDN_CHECK(one_step(ctx, t));
        training_stage(ctx, t);
        VDN_CHECK(after_step(ctx, t));
    }
    if (t->shown.stepped > 0.0)
        vdni_note(ctx, "%.3g s a step, of which %.1f %% waiting for images",
                  t->shown.stepped / (double)(t->state.step - t->shown.from),
                  100.0 * t->shown.waited / t->shown.stepped);
    if (reason_to_stop(t))
        vdni_note(ctx, "stopped after step %lld: %s", (long long)t->state.step, reason_to_stop(t));
    return VDN_OK;
}

vdn_status vdni_train(vdn_ctx *ctx, const char *folder, const char *store_path,
                      const vdn_train_options *options)
{
    return vdni_train_by(ctx, folder, store_path, options, 0);
}

vdn_status vdni_train_by(vdn_ctx *ctx, const char *folder, const char *store_path,
                         const vdn_train_options *options, int32_t images)
{
    vdn_status status = VDN_OK;
    vdni_trainer *t = NULL;
    char *test = NULL;

    VDN_TRY(vdni_trainer_create_by(ctx, &t, folder, store_path, options, images));
    t->start_ns = vdni_clock_ns();
    t->shown.from = t->state.step;
    status = run_steps(ctx, t);
    if (status == VDN_ERR_ABORTED && vdni_checkpoint_save(ctx, t) != VDN_OK)
        vdni_note(ctx, "no checkpoint of step %lld could be written", (long long)t->state.step);
    if (status != VDN_OK) goto done;
    vdni_trainer_end_steps(ctx, t);
    vdni_ctx_stage(ctx, TRAINING_PART, 1.0, "Scoring the test slices");
    VDN_TRY(vdni_test_table(ctx, &test, t));
    VDN_TRY(save_model(ctx, t, test));
done:
    vdni_free(ctx, test);
    vdni_trainer_free(ctx, t);
    return status;
}
