#include "Diffusion/sampler.h"

#include "Base/memory.h"
#include "Diffusion/process.h"
#include "Diffusion/sampler_state.h"

#include <math.h>
#include <string.h>

/* ---- life ---- */

/* Pixels of the batch. */
static int64_t pixels_of(const vdni_sampler *s)
{
    return s->options.batch * s->options.height * s->options.width;
}

static int64_t row_bytes(const vdni_sampler *s)
{
    return s->options.batch * (VDNI_NOISE_KEY_WORDS + ROWS * VDNI_TERMS + 1) *
           (int64_t)sizeof(float);
}

static int64_t rows_bytes(const vdni_sampler *s) { return (s->options.steps + 1) * row_bytes(s); }

static int64_t image_bytes(const vdni_sampler *s)
{
    return pixels_of(s) * s->config.image_channels * (int64_t)sizeof(float);
}

static int64_t mask_bytes(const vdni_sampler *s)
{
    return pixels_of(s) * s->config.mask_channels * (int64_t)sizeof(float);
}

/* Of the twins, on a device with memory of its own. */
static int64_t twin_bytes(const vdni_sampler *s, const vdni_backend *backend)
{
    if (backend->shares_host_memory) return 0;
    return 2 * mask_bytes(s) + (s->config.mirror ? 0 : image_bytes(s));
}

static void forget_ids(vdni_sampler *s)
{
    vdni_cache_clear(&s->cached);
    s->decode = s->sigma = VDNI_NONE;
    for (int32_t l = 0; l < VDNI_MAX_LEVELS; l++) s->projection[l] = s->gate[l] = VDNI_NONE;
}

static vdn_status check_options(vdn_ctx *ctx, const vdni_config *config,
                                const vdni_sampler_options *o)
{
    if (o->height < 1 || o->width < 1 || o->height % config->pad_multiple ||
        o->width % config->pad_multiple)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "image of %lld x %lld, needed multiples of %d",
                         (long long)o->height, (long long)o->width, config->pad_multiple);
    if (vdni_has_refiner(config) &&
        (o->start < 1 || o->start > config->time_steps || o->steps < 1 || o->steps > o->start))
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "%d steps from t = %d: start lies in 1..%d and steps in 1..start", o->steps,
                         o->start, config->time_steps);
    if (config->param == VDNI_PARAM_LITERAL && o->steps != o->start)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "%d steps from t = %d: Algorithm 2 takes every step, so they are equal",
                         o->steps, o->start);
    if (o->batch < 0 || o->batch > 65535)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "batch is %lld, needed 0 to 65535",
                         (long long)o->batch);
    if (!(o->eta >= 0.0 && o->eta <= 1.0))
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "eta is %g, needed 0 to 1", o->eta);
    return VDN_OK;
}

static vdn_status create_plans(vdn_ctx *ctx, vdni_sampler *s, const vdni_sampler_weights *weights,
                               int64_t *arena_bytes, int64_t *workspace_bytes)
{
    for (int i = 0; i < vdni_sampler_plans(&s->config); i++) {
        vdni_graph *g = NULL;
        VDN_CHECK(vdni_sampler_graph(ctx, &g, s, i, weights->table));
        const vdn_status status = vdni_plan_create(ctx, &s->plans[i], g, ctx->backend, ctx->device);
        vdni_graph_free(ctx, g);
        VDN_CHECK(status);
        const vdni_plan_memory memory = vdni_plan_get_memory(s->plans[i]);
        if (memory.arena_bytes > *arena_bytes) *arena_bytes = memory.arena_bytes;
        if (memory.workspace_bytes > *workspace_bytes) *workspace_bytes = memory.workspace_bytes;
    }
    return VDN_OK;
}

static vdn_status alias(vdn_ctx *ctx, vdni_sampler *s, int plan, vdni_id id, int from, vdni_id source)
{
    if (id == VDNI_NONE) return VDN_OK;
    return vdni_plan_alias(ctx, s->plans[plan], id, vdni_plan_tensor(s->plans[from], source));
}

/* What one plan makes the next one reads, without copies. */
static vdn_status connect(vdn_ctx *ctx, vdni_sampler *s)
{
    for (int32_t l = 0; l < s->config.levels; l++) {
        VDN_CHECK(
            alias(ctx, s, PLAN_STEP, s->projection[l], PLAN_CONDITION, s->cached.projection[l]));
        VDN_CHECK(alias(ctx, s, PLAN_STEP, s->gate[l], PLAN_GATES, s->cached.gate[l]));
    }
    VDN_CHECK(alias(ctx, s, PLAN_STEP, s->in.image, PLAN_CONDITION, s->image_id));
    VDN_CHECK(alias(ctx, s, PLAN_START, s->start_prior, PLAN_STEP, s->in.prior));
    VDN_CHECK(alias(ctx, s, PLAN_START, s->start_x, PLAN_STEP, s->in.x));
    return alias(ctx, s, PLAN_STEP, s->next, PLAN_STEP, s->in.x);
}

static vdn_status bind(vdn_ctx *ctx, vdni_sampler *s, const vdni_sampler_weights *weights)
{
    const vdni_plan_binding binding = { s->arena, s->workspace, weights->values, NULL,
                                        weights->version };
    for (int i = 0; i < vdni_sampler_plans(&s->config); i++)
        VDN_CHECK(vdni_plan_bind(ctx, s->plans[i], &binding));
    return vdni_has_refiner(&s->config) ? connect(ctx, s) : VDN_OK;
}

static vdn_status create_rows(vdn_ctx *ctx, vdni_sampler *s)
{
    const vdni_config *config = &s->config;
    const vdni_sampler_options *o = &s->options;
    VDN_CHECK(vdni_schedule_create(ctx, &s->schedule, config->schedule, config->time_steps));
    VDN_CHECK(VDNI_NEW(ctx, s->grid, (int64_t)o->steps + 1));
    VDN_CHECK(vdni_process_grid(ctx, s->grid, s->schedule, o->steps, o->start));
    for (int i = 0; i < 2; i++)
        VDN_CHECK(ctx->backend->stage_create(ctx, ctx->device, &s->rows[i], rows_bytes(s), 0));
    return ctx->backend->allocate(ctx, ctx->device, &s->device_rows, rows_bytes(s));
}

/* Only what can move while the device computes something else has a twin. */
static vdn_status create_stages(vdn_ctx *ctx, vdni_sampler *s)
{
    const vdni_backend *b = ctx->backend;
    const int refines = vdni_has_refiner(&s->config), mirrors = s->config.mirror;
    const int64_t foreground = pixels_of(s) * (int64_t)sizeof(float);
    const int64_t planes = refines ? 2 * mask_bytes(s) + foreground : mask_bytes(s);
    VDN_CHECK(b->stage_create(ctx, ctx->device, &s->image, image_bytes(s), !mirrors));
    if (mirrors) VDN_CHECK(b->stage_create(ctx, ctx->device, &s->flipped, image_bytes(s), 0));
    VDN_CHECK(b->stage_create(ctx, ctx->device, &s->planes, planes, 0));
    for (int i = 0; i < 2; i++)
        VDN_CHECK(b->stage_create(ctx, ctx->device, &s->found[i], mask_bytes(s), 1));
    return refines ? create_rows(ctx, s) : VDN_OK;
}

vdn_status vdni_sampler_create(vdn_ctx *ctx, vdni_sampler **out, const vdni_config *config,
                               const vdni_sampler_weights *weights,
                               const vdni_sampler_options *options)
{
    vdn_status status = VDN_OK;
    vdni_sampler *s = NULL;
    int64_t arena_bytes = 0, workspace_bytes = 0;

    *out = NULL;
    VDN_CHECK(check_options(ctx, config, options));
    VDN_TRY(VDNI_NEW(ctx, s, 1));
    forget_ids(s);
    s->config = *config;
    s->options = *options;
    if (s->options.batch == 0) s->options.batch = 1;
    VDN_TRY(create_stages(ctx, s));
    VDN_TRY(create_plans(ctx, s, weights, &arena_bytes, &workspace_bytes));
    VDN_TRY(ctx->backend->allocate(ctx, ctx->device, &s->arena, arena_bytes));
    VDN_TRY(ctx->backend->allocate(ctx, ctx->device, &s->workspace, workspace_bytes));
    VDN_TRY(bind(ctx, s, weights));
    *out = s;
    s = NULL;
done:
    vdni_sampler_free(ctx, s);
    return status;
}

void vdni_sampler_free(vdn_ctx *ctx, vdni_sampler *s)
{
    if (!s) return;
    if (s->recording) ctx->backend->forget(ctx, ctx->device, s->recording);
    for (int i = 0; i < PLAN_COUNT; i++) vdni_plan_free(ctx, s->plans[i]);
    if (s->arena) ctx->backend->release(ctx, ctx->device, s->arena);
    if (s->workspace) ctx->backend->release(ctx, ctx->device, s->workspace);
    vdni_schedule_free(ctx, s->schedule);
    vdni_free(ctx, s->grid);
    if (s->device_rows) ctx->backend->release(ctx, ctx->device, s->device_rows);
    vdni_stage *const stages[] = { &s->image,   &s->flipped, &s->planes,  &s->rows[0],
                                   &s->rows[1], &s->found[0], &s->found[1] };
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++)
        ctx->backend->stage_free(ctx, ctx->device, stages[i]);
    vdni_free(ctx, s);
}

vdn_status vdni_sampler_estimate(vdn_ctx *ctx, int64_t *bytes, const vdni_config *config,
                                 const vdni_sampler_options *options)
{
    vdn_status status = VDN_OK;
    vdni_parameters table = { .items = NULL };
    vdni_sampler *scratch = NULL;
    int64_t arena = 0, state = 0;

    VDN_CHECK(check_options(ctx, config, options));
    VDN_TRY(VDNI_NEW(ctx, scratch, 1));
    forget_ids(scratch);
    scratch->config = *config;
    scratch->options = *options;
    if (options->batch == 0) scratch->options.batch = 1;
    for (int i = 0; i < vdni_sampler_plans(config); i++) {
        vdni_graph *g = NULL;
        vdni_plan_memory memory;
        VDN_TRY(vdni_sampler_graph(ctx, &g, scratch, i, &table));
        status = vdni_plan_estimate(ctx, &memory, g);
        vdni_graph_free(ctx, g);
        if (status != VDN_OK) goto done;
        if (memory.arena_bytes > arena) arena = memory.arena_bytes;
        state += memory.state_bytes;
    }
    *bytes = arena + state + twin_bytes(scratch, ctx->backend) +
             (vdni_has_refiner(config) ? rows_bytes(scratch) : 0);
done:
    vdni_parameters_free(ctx, &table);
    vdni_free(ctx, scratch);
    return status;
}

/* ---- runs ---- */

/* What lies at @p from in the stage's block into input @p id of @p plan. */
static vdn_status take(vdn_ctx *ctx, vdni_sampler *s, vdni_stage *stage, const void *from, int plan,
                       vdni_id id)
{
    if (id == VDNI_NONE) return VDN_OK;
    const vdni_tensor *t = vdni_plan_tensor(s->plans[plan], id);
    return ctx->backend->stage_take(ctx, ctx->device, stage, t->data,
                                    (const char *)from - (const char *)stage->host,
                                    vdni_tensor_bytes(t));
}

vdn_status vdni_sampler_set_prior(vdn_ctx *ctx, vdni_sampler *s, const float *prior)
{
    const int64_t pixels = pixels_of(s), k = s->config.mask_channels;
    float *const host = s->planes.host;
    const vdni_prior_planes planes = { host, host + pixels * k, host + 2 * pixels * k };

    VDN_CHECK(ctx->backend->stage_wait(ctx, ctx->device, &s->planes));
    if (!vdni_has_refiner(&s->config)) { /* it is the result of every run */
        if (prior != host) memcpy(host, prior, (size_t)mask_bytes(s));
        return VDN_OK;
    }
    vdni_prior_inputs(&planes, prior, pixels, &s->config, ctx->threads);
    VDN_CHECK(take(ctx, s, &s->planes, planes.code, PLAN_STEP, s->in.prior));
    VDN_CHECK(take(ctx, s, &s->planes, planes.skip, PLAN_STEP, s->in.skip));
    VDN_CHECK(take(ctx, s, &s->planes, planes.foreground, PLAN_GATES, s->foreground));
    return vdni_plan_run(ctx, s->plans[PLAN_GATES], VDNI_RUN_ALL);
}

/* Begin the way back of @p id. */
static vdn_status fetch(vdn_ctx *ctx, vdni_sampler *s, int plan, vdni_id id)
{
    const vdni_tensor *t = vdni_plan_tensor(s->plans[plan], id);
    VDN_CHECK(ctx->backend->stage_fetch(ctx, ctx->device, &s->found[s->begun % 2], t->data,
                                        mask_bytes(s)));
    s->begun++;
    return VDN_OK;
}

/* The oldest of what is on its way back. */
static vdn_status next_found(vdn_ctx *ctx, vdni_sampler *s, float **out)
{
    vdni_stage *stage = &s->found[s->ended % 2];
    *out = stage->host;
    VDN_CHECK(ctx->backend->stage_wait(ctx, ctx->device, stage));
    s->ended++;
    return VDN_OK;
}

void vdni_sampler_restart(vdni_sampler *s) { s->ended = s->begun; }

static vdn_status begin_condition(vdn_ctx *ctx, vdni_sampler *s, vdni_stage *image)
{
    VDN_CHECK(take(ctx, s, image, image->host, PLAN_CONDITION, s->image_id));
    VDN_CHECK(vdni_plan_run(ctx, s->plans[PLAN_CONDITION], VDNI_RUN_ALL));
    return fetch(ctx, s, PLAN_CONDITION, s->logits);
}

static vdn_status end_condition(vdn_ctx *ctx, vdni_sampler *s, float **prior)
{
    VDN_CHECK(next_found(ctx, s, prior));
    vdni_logits_to_probabilities(*prior, pixels_of(s), s->config.mask_channels, ctx->threads);
    return VDN_OK;
}

/* Bit 0: left and right change places; bit 1: top and bottom. */
enum { FLIPS = 4 };

/* out (+)= the flipped planes of @p from, (B,H,W,channels). */
static void flip(float *out, const float *from, const vdni_sampler *s, int64_t channels, int flips,
                 int adds)
{
    const int64_t h = s->options.height, w = s->options.width;
    for (int64_t row = 0; row < s->options.batch * h; row++) {
        const int64_t y = row % h, source = row - y + (flips & 2 ? h - 1 - y : y);
        for (int64_t x = 0; x < w; x++) {
            const float *a = from + (source * w + (flips & 1 ? w - 1 - x : x)) * channels;
            float *b = out + (row * w + x) * channels;
            for (int64_t c = 0; c < channels; c++) b[c] = adds ? b[c] + a[c] : a[c];
        }
    }
}

static vdn_status begin_flipped(vdn_ctx *ctx, vdni_sampler *s, int flips)
{
    VDN_CHECK(ctx->backend->stage_wait(ctx, ctx->device, &s->flipped));
    flip(s->flipped.host, s->image.host, s, s->config.image_channels, flips, 0);
    return begin_condition(ctx, s, &s->flipped);
}

/* The mean over the flips of the image, each result flipped back. */
static vdn_status end_mirrored(vdn_ctx *ctx, vdni_sampler *s, float *prior)
{
    const int64_t count = pixels_of(s) * s->config.mask_channels;
    for (int f = 0; f < FLIPS; f++) {
        float *found = NULL;
        if (f + 1 < FLIPS) VDN_CHECK(begin_flipped(ctx, s, f + 1));
        VDN_CHECK(end_condition(ctx, s, &found));
        flip(prior, found, s, s->config.mask_channels, f, f > 0);
    }
    for (int64_t i = 0; i < count; i++) prior[i] /= FLIPS;
    return VDN_OK;
}

vdn_status vdni_sampler_get_image(vdn_ctx *ctx, vdni_sampler *s, float **image)
{
    *image = s->image.host;
    return ctx->backend->stage_wait(ctx, ctx->device, &s->image);
}

vdn_status vdni_sampler_send_image(vdn_ctx *ctx, vdni_sampler *s)
{
    return ctx->backend->stage_send(ctx, ctx->device, &s->image);
}

vdn_status vdni_sampler_condition_begin(vdn_ctx *ctx, vdni_sampler *s)
{
    return s->config.mirror ? begin_flipped(ctx, s, 0) : begin_condition(ctx, s, &s->image);
}

vdn_status vdni_sampler_condition_end(vdn_ctx *ctx, vdni_sampler *s, const float **prior)
{
    float *found = s->planes.host;
    VDN_CHECK(s->config.mirror ? end_mirrored(ctx, s, found) : end_condition(ctx, s, &found));
    *prior = found;
    return VDN_OK;
}

vdn_status vdni_sampler_condition(vdn_ctx *ctx, vdni_sampler *s, float *prior, const float *image)
{
    const float *found = NULL;
    float *to = NULL;
    vdni_sampler_restart(s);
    VDN_CHECK(vdni_sampler_get_image(ctx, s, &to));
    memcpy(to, image, (size_t)image_bytes(s));
    VDN_CHECK(vdni_sampler_send_image(ctx, s));
    VDN_CHECK(vdni_sampler_condition_begin(ctx, s));
    VDN_CHECK(vdni_sampler_condition_end(ctx, s, &found));
    memcpy(prior, found, (size_t)mask_bytes(s));
    return vdni_sampler_set_prior(ctx, s, found);
}

int64_t vdni_sampler_time(const vdni_sampler *s, int32_t i)
{
    return s->grid[s->options.steps - i];
}

/* Row @p index of those in @p rows: keys, then each kind of coefficients, then times of the whole batch. */
static void fill_row(const vdni_sampler *s, void *rows, int64_t index, const vdni_noise_key *keys,
                     const float terms[ROWS][VDNI_TERMS], int64_t t)
{
    const int64_t batch = s->options.batch;
    const int is_start = index == 0;
    unsigned char *row = (unsigned char *)rows + index * row_bytes(s);
    int32_t *words = (int32_t *)(void *)row;
    float *coefficients = (float *)(void *)(words + batch * VDNI_NOISE_KEY_WORDS);
    float *times = coefficients + ROWS * batch * VDNI_TERMS;

    for (int64_t i = 0; i < batch; i++) {
        vdni_noise_key key = keys[i];
        key.purpose = is_start ? VDNI_FOR_SAMPLER_START : VDNI_FOR_SAMPLER_STEP;
        key.step = (uint32_t)t;
        vdni_noise_key_pack(words + i * VDNI_NOISE_KEY_WORDS, &key);
        for (int64_t r = 0; r < ROWS; r++)
            memcpy(coefficients + (r * batch + i) * VDNI_TERMS, terms[r], sizeof terms[r]);
        times[i] = (float)t;
    }
}

/* Coefficients of prior and noise. Where a step has no shift, the prior is no term of its sums: what the
 * rows say of it is not read. */
static void start_terms(float c[VDNI_TERMS], const vdni_sampler *s)
{
    float terms[VDNI_TERMS];
    if (s->config.process == VDNI_PROCESS_DDPM)
        vdni_process_start_unshifted(terms, s->schedule, s->options.start);
    else
        vdni_process_start(terms, s->schedule, s->options.start);
    memset(c, 0, VDNI_TERMS * sizeof *c);
    c[0] = terms[VDNI_TERM_F];
    c[1] = terms[VDNI_TERM_NOISE];
    if (s->config.param == VDNI_PARAM_LITERAL) { /* Algorithm 2, line 1: x_T ~ N(0, I) */
        c[0] = 0.0f;
        c[1] = 1.0f;
    }
}

static void step_terms(float c[ROWS][VDNI_TERMS], const vdni_sampler *s, int64_t t, int64_t next)
{
    const vdni_config *config = &s->config;
    const double eta = config->learn_sigma ? 1.0 : s->options.eta; /* its mean is the ancestral one */
    memset(c, 0, ROWS * sizeof *c);
    if (config->process == VDNI_PROCESS_BERNOULLI)
        vdni_process_flip_step(c[ROW_STEP], s->schedule, t, next);
    else if (config->param == VDNI_PARAM_LITERAL)
        vdni_process_literal(c[ROW_STEP], s->schedule, t);
    else
        vdni_process_ddim(c[ROW_STEP], s->schedule, t, next, eta);
    vdni_process_input(c[ROW_INPUT], s->schedule, t, config->signal_scale);
    if (vdni_gives_noise(config)) vdni_process_decode(c[ROW_DECODE], s->schedule, t);
    if (!config->learn_sigma) return;
    float sigma[VDNI_TERMS];
    vdni_process_sigma(sigma, s->schedule, t, next);
    c[ROW_STEP][VDNI_TERM_NOISE] = 0.0f; /* it is learned */
    memcpy(c[ROW_SIGMA], sigma, sizeof sigma);
}

/* Everything the steps of a run differ in goes to the device at once. */
static vdn_status put_rows(vdn_ctx *ctx, vdni_sampler *s, const vdni_noise_key *keys)
{
    const int32_t steps = s->options.steps;
    vdni_stage *rows = &s->rows[s->runs++ % 2];
    float terms[ROWS][VDNI_TERMS] = { { 0.0f } };

    VDN_CHECK(ctx->backend->stage_wait(ctx, ctx->device, rows));
    start_terms(terms[ROW_STEP], s);
    fill_row(s, rows->host, 0, keys, (const float(*)[VDNI_TERMS])terms, s->options.start);
    for (int32_t i = 1; i <= steps; i++) {
        const int64_t t = s->grid[steps + 1 - i], next = s->grid[steps - i];
        step_terms(terms, s, t, next);
        fill_row(s, rows->host, i, keys, (const float(*)[VDNI_TERMS])terms, t);
    }
    return ctx->backend->stage_take(ctx, ctx->device, rows, s->device_rows, 0, rows_bytes(s));
}

/* Part of row @p index, from @p offset on, to input @p id. */
static vdn_status copy_row(vdn_ctx *ctx, vdni_sampler *s, int plan, vdni_id id, int64_t offset)
{
    if (id == VDNI_NONE) return VDN_OK;
    const vdni_tensor *to = vdni_plan_tensor(s->plans[plan], id);
    return ctx->backend->copy(ctx, ctx->device, to->data,
                              (const unsigned char *)s->device_rows + offset,
                              vdni_tensor_bytes(to));
}

static vdn_status start(vdn_ctx *ctx, vdni_sampler *s)
{
    const int64_t word = s->options.batch * (int64_t)sizeof(float);
    VDN_CHECK(copy_row(ctx, s, PLAN_START, s->start_keys, 0));
    VDN_CHECK(
        copy_row(ctx, s, PLAN_START, s->start_coefficients, VDNI_NOISE_KEY_WORDS * word));
    return vdni_plan_run(ctx, s->plans[PLAN_START], VDNI_RUN_ALL);
}

/* The operators of a step enqueued as one, recorded when they have run once (libraries load their
 * code at the first run, which a recording forbids). Where that fails they go on one by one. */
static vdn_status run_step(vdn_ctx *ctx, vdni_sampler *s)
{
    const vdni_backend *backend = ctx->backend;
    vdni_plan *plan = s->plans[PLAN_STEP];

    if (s->recording) return backend->replay(ctx, ctx->device, s->recording);
    if (!backend->record_begin || s->step_state != 1) {
        if (s->step_state == 0) s->step_state = 1;
        return vdni_plan_run(ctx, plan, VDNI_RUN_ALL);
    }
    s->step_state = 2;
    VDN_CHECK(backend->record_begin(ctx, ctx->device));
    const vdn_status enqueued = vdni_plan_run(ctx, plan, VDNI_RUN_ALL);
    const vdn_status ended = backend->record_end(ctx, ctx->device, &s->recording);
    if (enqueued == VDN_OK && ended == VDN_OK)
        return backend->replay(ctx, ctx->device, s->recording);
    if (s->recording) backend->forget(ctx, ctx->device, s->recording);
    s->recording = NULL;
    vdni_note(ctx, "a denoising step could not be recorded: %s", ctx->error);
    vdni_clear_error(ctx);
    return vdni_plan_run(ctx, plan, VDNI_RUN_ALL);
}

static vdn_status step(vdn_ctx *ctx, vdni_sampler *s, int64_t index)
{
    const int64_t word = s->options.batch * (int64_t)sizeof(float), row = index * row_bytes(s);
    const int64_t coefficients = row + VDNI_NOISE_KEY_WORDS * word;
    VDN_CHECK(copy_row(ctx, s, PLAN_STEP, s->keys, row));
    const int64_t some = VDNI_TERMS * word;
    VDN_CHECK(copy_row(ctx, s, PLAN_STEP, s->coefficients, coefficients + ROW_STEP * some));
    VDN_CHECK(copy_row(ctx, s, PLAN_STEP, s->decode, coefficients + ROW_DECODE * some));
    VDN_CHECK(copy_row(ctx, s, PLAN_STEP, s->sigma, coefficients + ROW_SIGMA * some));
    VDN_CHECK(copy_row(ctx, s, PLAN_STEP, s->in.scale, coefficients + ROW_INPUT * some));
    VDN_CHECK(copy_row(ctx, s, PLAN_STEP, s->in.t, coefficients + ROWS * some));
    return run_step(ctx, s);
}

vdn_status vdni_sampler_run_begin(vdn_ctx *ctx, vdni_sampler *s, const vdni_noise_key *keys)
{
    const int32_t steps = s->options.steps;
    const int literal = s->config.param == VDNI_PARAM_LITERAL;

    VDN_CHECK(put_rows(ctx, s, keys));
    VDN_CHECK(start(ctx, s));
    for (int32_t i = 1; i <= steps; i++) {
        VDN_CHECK(vdni_report(ctx, (double)(i - 1) / steps));
        VDN_CHECK(step(ctx, s, i));
    }
    return fetch(ctx, s, PLAN_STEP, literal ? s->in.x : s->estimate);
}

vdn_status vdni_sampler_run_end(vdn_ctx *ctx, vdni_sampler *s, const float **probability)
{
    const vdni_config *config = &s->config;
    const int is_mask = config->param == VDNI_PARAM_X0 && config->process != VDNI_PROCESS_BERNOULLI;
    float *found = NULL;
    VDN_CHECK(next_found(ctx, s, &found));
    if (!is_mask) vdni_codes_to_probabilities(found, pixels_of(s), config);
    *probability = found;
    return VDN_OK;
}

vdn_status vdni_sampler_run(vdn_ctx *ctx, vdni_sampler *s, float *probability,
                            const vdni_noise_key *keys)
{
    const float *found = s->planes.host;
    if (vdni_has_refiner(&s->config)) {
        vdni_sampler_restart(s);
        VDN_CHECK(vdni_sampler_run_begin(ctx, s, keys));
        VDN_CHECK(vdni_sampler_run_end(ctx, s, &found));
    }
    memcpy(probability, found, (size_t)mask_bytes(s));
    return VDN_OK;
}
