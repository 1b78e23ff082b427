#include "Diffusion/sampler.h"

#include "Base/memory.h"
#include "Diffusion/process.h"
#include "Net/condition_unet.h"
#include "Net/diffusion_unet.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PLAN_CONDITION, PLAN_GATES, PLAN_START, PLAN_STEP, PLAN_COUNT };

struct vdni_sampler {
    vdni_config config;
    vdni_sampler_options options;
    vdni_schedule *schedule;
    int64_t *grid; /* times of the steps, 0 first */
    vdni_plan *plans[PLAN_COUNT];
    void *arena, *workspace;
    float *host;        /* code, skip and foreground on the way to the device */
    float *flipped;     /* image, with mirror */
    unsigned char *rows; /* what each step of a run is told, and the start: host */
    void *device_rows;   /* the same on the device */
    void *recording;     /* of a step */
    int32_t step_state;  /* 0: no step has run yet; 1: one has; 2: recording was tried */

    /* tensors by plan */
    vdni_id image, logits;                                           /* condition */
    vdni_id foreground;                                              /* gates */
    vdni_cache cached;                                               /* of both */
    vdni_id start_keys, start_coefficients, start_prior, start_x;    /* start */
    vdni_step_inputs in;                                             /* step */
    vdni_id projection[VDNI_MAX_LEVELS], gate[VDNI_MAX_LEVELS];
    vdni_id coefficients, decode, sigma, keys, next;
    vdni_id estimate; /* of the mask: its probability, or its code in the noise modes */
};

/* What a step is told, per image: its key, then rows of coefficients, then its time. */
enum { ROW_STEP, ROW_DECODE, ROW_SIGMA, ROWS };

/* ---- the four graphs ---- */

typedef struct {
    const vdni_config *config;
    const vdni_sampler_options *options;
    vdni_sampler *s;
} maker;

static void mask_shape(int64_t nhwc[4], const maker *m, int64_t channels)
{
    nhwc[0] = m->options->batch;
    nhwc[1] = m->options->height;
    nhwc[2] = m->options->width;
    nhwc[3] = channels;
}

static vdni_id mask_input(vdni_graph *g, const maker *m, const char *name, int64_t channels)
{
    int64_t nhwc[4];
    mask_shape(nhwc, m, channels);
    return vdni_input(g, name, nhwc, VDNI_F32);
}

static void numbered(char name[VDNI_TENSOR_NAME_BYTES], const char *stem, int32_t i)
{
    (void)snprintf(name, VDNI_TENSOR_NAME_BYTES, "%s%d", stem, (int)i);
}

/* Without a refiner there is the condition net only. */
static int plan_count(const vdni_config *config)
{
    return vdni_has_refiner(config) ? PLAN_COUNT : PLAN_CONDITION + 1;
}

/* The features end with their projections: only those are kept for the steps. */
static void build_condition(vdni_graph *g, const maker *m)
{
    char name[VDNI_TENSOR_NAME_BYTES];
    const int refines = vdni_has_refiner(m->config);
    m->s->image = mask_input(g, m, "image", m->config->image_channels);
    const vdni_condition condition =
        vdni_condition_unet(g, m->config, m->s->image, refines ? &m->s->cached : NULL);
    m->s->logits = vdni_output(g, condition.logits, "logits");
    for (int32_t l = 0; refines && l < m->config->levels; l++) {
        if (m->s->cached.projection[l] == VDNI_NONE) continue;
        numbered(name, "projection", l);
        vdni_output(g, m->s->cached.projection[l], name);
    }
}

static void build_gates(vdni_graph *g, const maker *m)
{
    char name[VDNI_TENSOR_NAME_BYTES];
    m->s->foreground = mask_input(g, m, "foreground", 1);
    vdni_condition_gates(g, m->config, &m->s->cached, m->s->foreground);
    for (int32_t l = 0; vdni_has_gates(m->config) && l < m->config->levels; l++) {
        numbered(name, "gate", l);
        vdni_output(g, m->s->cached.gate[l], name);
    }
}

/* x = f + sqrt(1 - abar) n, or n alone in the literal mode (its coefficient of f is 0). Flips: coins
 * of the prior's probability. */
static void build_start(vdni_graph *g, const maker *m)
{
    const int64_t batch = m->options->batch;
    const int64_t keys[4] = { batch, 1, 1, VDNI_NOISE_KEY_WORDS }, four[4] = { batch, 1, 1, 4 };
    int64_t nhwc[4];
    mask_shape(nhwc, m, m->config->mask_channels);
    m->s->start_keys = vdni_input(g, "keys", keys, VDNI_I32);
    m->s->start_coefficients = vdni_input(g, "coefficients", four, VDNI_F32);
    m->s->start_prior = vdni_borrow(g, vdni_input(g, "prior", nhwc, VDNI_F32));
    const vdni_id terms[2] = { m->s->start_prior, vdni_noise(g, m->s->start_keys, nhwc) };
    const vdni_id x = m->config->process == VDNI_PROCESS_BERNOULLI
                          ? vdni_draw(g, terms[0], terms[1])
                          : vdni_combine(g, m->s->start_coefficients, terms, 2);
    m->s->start_x = vdni_borrow(g, vdni_output(g, x, "x"));
}

static void step_inputs(vdni_graph *g, const maker *m)
{
    const int64_t k = m->config->mask_channels, batch = m->options->batch;
    const int64_t one[4] = { batch, 1, 1, 1 }, four[4] = { batch, 1, 1, 4 };
    const int64_t keys[4] = { batch, 1, 1, VDNI_NOISE_KEY_WORDS };
    vdni_sampler *s = m->s;

    s->in.x = mask_input(g, m, "x", k);
    s->in.prior = mask_input(g, m, "prior", k);
    s->in.image = vdni_borrow(g, mask_input(g, m, "image", m->config->image_channels));
    s->in.skip = m->config->prior_skip ? mask_input(g, m, "skip", k) : VDNI_NONE;
    s->in.t = vdni_input(g, "t", one, VDNI_F32);
    s->coefficients = vdni_input(g, "coefficients", four, VDNI_F32);
    if (vdni_gives_noise(m->config)) s->decode = vdni_input(g, "decode", four, VDNI_F32);
    if (m->config->learn_sigma) s->sigma = vdni_input(g, "sigma", four, VDNI_F32);
    s->keys = vdni_input(g, "keys", keys, VDNI_I32);
}

static vdni_cache cache_inputs(vdni_graph *g, const maker *m)
{
    char name[VDNI_TENSOR_NAME_BYTES];
    vdni_cache cache;
    vdni_cache_clear(&cache);
    for (int32_t l = 0; l < m->config->levels; l++) {
        const int64_t ds = (int64_t)m->config->stem_down << l;
        int64_t nhwc[4] = { m->options->batch, m->options->height / ds, m->options->width / ds,
                            vdni_level_in(m->config, l) };
        numbered(name, "projection", l);
        if (vdni_fuses_at(m->config, l))
            cache.projection[l] = vdni_borrow(g, vdni_input(g, name, nhwc, m->options->activation));
        nhwc[3] = 1;
        numbered(name, "gate", l);
        if (vdni_has_gates(m->config))
            cache.gate[l] = vdni_borrow(g, vdni_input(g, name, nhwc, VDNI_F32));
        m->s->projection[l] = cache.projection[l];
        m->s->gate[l] = cache.gate[l];
    }
    return cache;
}

static vdni_id noise_of(vdni_graph *g, const maker *m)
{
    int64_t nhwc[4];
    mask_shape(nhwc, m, m->config->mask_channels);
    return vdni_noise(g, m->s->keys, nhwc);
}

/* The sum of the terms after @p estimate in its place; the noise when the step has some. */
static vdni_id linear_step(vdni_graph *g, const maker *m, vdni_id estimate, int noisy)
{
    const int shifted = m->config->process == VDNI_PROCESS_SHIFTED &&
                        m->config->param != VDNI_PARAM_LITERAL;
    const vdni_id terms[VDNI_TERMS] = {
        [VDNI_TERM_X0] = estimate,
        [VDNI_TERM_X] = m->s->in.x,
        [VDNI_TERM_F] = shifted ? m->s->in.prior : VDNI_NONE,
        [VDNI_TERM_NOISE] = noisy ? noise_of(g, m) : VDNI_NONE,
    };
    return vdni_combine(g, m->s->coefficients, terms, VDNI_TERMS);
}

/* The mask that the noise means, cut to the code's range, takes the place of x0. */
static vdni_id noise_step(vdni_graph *g, const maker *m, vdni_id out)
{
    vdni_sampler *s = m->s;
    vdni_id parts[2] = { out, VDNI_NONE };
    const int learned = m->config->learn_sigma;
    if (learned) vdni_split(g, out, m->config->mask_channels, parts);
    const vdni_id terms[3] = { parts[0], s->in.x,
                               m->config->process == VDNI_PROCESS_SHIFTED ? s->in.prior : VDNI_NONE };
    s->estimate = vdni_output(
        g, vdni_combine_bounded(g, s->decode, terms, 3, (float)m->config->signal_scale), "estimate");
    if (!learned) return linear_step(g, m, s->estimate, m->options->eta > 0.0);
    const vdni_id mean = linear_step(g, m, s->estimate, 0);
    return vdni_ancestral(g, mean, parts[1], noise_of(g, m), s->sigma);
}

static vdni_id flip_step(vdni_graph *g, const maker *m, vdni_id out)
{
    vdni_sampler *s = m->s;
    s->estimate = vdni_output(g, vdni_flip(g, out, s->in.x), "estimate");
    const vdni_id terms[2] = { s->estimate, s->in.x };
    return vdni_draw(g, vdni_combine(g, s->coefficients, terms, 2), noise_of(g, m));
}

static vdni_id mask_step(vdni_graph *g, const maker *m, vdni_id out)
{
    const vdni_id code =
        vdni_encode(g, out, (float)m->config->signal_scale, 0, &m->s->estimate);
    vdni_output(g, m->s->estimate, "probability");
    return linear_step(g, m, code, m->options->eta > 0.0);
}

/* x is renewed in place: `next` is given the memory of `x` when the plans are bound. */
static void build_step(vdni_graph *g, const maker *m)
{
    const vdni_config *config = m->config;
    vdni_sampler *s = m->s;
    step_inputs(g, m);
    const vdni_cache cache = cache_inputs(g, m);
    const vdni_id out = vdni_diffusion_unet(g, config, &s->in, &cache);
    const vdni_id next = config->process == VDNI_PROCESS_BERNOULLI ? flip_step(g, m, out)
                         : vdni_gives_noise(config)                ? noise_step(g, m, out)
                         : config->param == VDNI_PARAM_LITERAL     ? linear_step(g, m, out, 1)
                                                                   : mask_step(g, m, out);
    s->next = vdni_borrow(g, vdni_output(g, next, "next"));
}

static vdn_status build(vdn_ctx *ctx, vdni_graph **out, int which, const maker *m,
                        vdni_parameters *table)
{
    vdni_graph *g = NULL;
    *out = NULL;
    VDN_CHECK(vdni_graph_create(ctx, &g, table, m->options->activation, 0));
    switch (which) {
    case PLAN_CONDITION: build_condition(g, m); break;
    case PLAN_GATES: build_gates(g, m); break;
    case PLAN_START: build_start(g, m); break;
    default: build_step(g, m); break;
    }
    if (vdni_graph_status(g) == VDN_OK) {
        *out = g;
        return VDN_OK;
    }
    const vdn_status status = vdni_graph_status(g);
    vdni_graph_free(ctx, g);
    return status;
}

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
    const maker m = { &s->config, &s->options, s };
    for (int i = 0; i < plan_count(&s->config); i++) {
        vdni_graph *g = NULL;
        VDN_CHECK(build(ctx, &g, i, &m, weights->table));
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
    VDN_CHECK(alias(ctx, s, PLAN_STEP, s->in.image, PLAN_CONDITION, s->image));
    VDN_CHECK(alias(ctx, s, PLAN_START, s->start_prior, PLAN_STEP, s->in.prior));
    VDN_CHECK(alias(ctx, s, PLAN_START, s->start_x, PLAN_STEP, s->in.x));
    return alias(ctx, s, PLAN_STEP, s->next, PLAN_STEP, s->in.x);
}

static vdn_status bind(vdn_ctx *ctx, vdni_sampler *s, const vdni_sampler_weights *weights)
{
    const vdni_plan_binding binding = { s->arena, s->workspace, weights->values, NULL,
                                        weights->version };
    for (int i = 0; i < plan_count(&s->config); i++)
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
    VDN_CHECK(VDNI_NEW(ctx, s->rows, rows_bytes(s)));
    return ctx->backend->allocate(ctx, ctx->device, &s->device_rows, rows_bytes(s));
}

vdn_status vdni_sampler_create(vdn_ctx *ctx, vdni_sampler **out, const vdni_config *config,
                               const vdni_sampler_weights *weights,
                               const vdni_sampler_options *options)
{
    vdn_status status = VDN_OK;
    vdni_sampler *s = NULL;
    int64_t arena_bytes = 0, workspace_bytes = 0;
    int64_t pixels = 0;

    *out = NULL;
    VDN_CHECK(check_options(ctx, config, options));
    VDN_TRY(VDNI_NEW(ctx, s, 1));
    forget_ids(s);
    s->config = *config;
    s->options = *options;
    if (s->options.batch == 0) s->options.batch = 1;
    pixels = pixels_of(s);
    VDN_TRY(VDNI_NEW(ctx, s->host, pixels * (2 * config->mask_channels + 1)));
    if (config->mirror) VDN_TRY(VDNI_NEW(ctx, s->flipped, pixels * config->image_channels));
    if (vdni_has_refiner(config)) VDN_TRY(create_rows(ctx, s));
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
    vdni_free(ctx, s->rows);
    vdni_free(ctx, s->host);
    vdni_free(ctx, s->flipped);
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
    scratch->options = *options;
    if (options->batch == 0) scratch->options.batch = 1;
    const maker m = { config, &scratch->options, scratch };
    for (int i = 0; i < plan_count(config); i++) {
        vdni_graph *g = NULL;
        vdni_plan_memory memory;
        VDN_TRY(build(ctx, &g, i, &m, &table));
        status = vdni_plan_estimate(ctx, &memory, g);
        vdni_graph_free(ctx, g);
        if (status != VDN_OK) goto done;
        if (memory.arena_bytes > arena) arena = memory.arena_bytes;
        state += memory.state_bytes;
    }
    *bytes = arena + state + (vdni_has_refiner(config) ? rows_bytes(scratch) : 0);
done:
    vdni_parameters_free(ctx, &table);
    vdni_free(ctx, scratch);
    return status;
}

/* ---- runs ---- */

static vdn_status put(vdn_ctx *ctx, vdni_sampler *s, int plan, vdni_id id, const void *from)
{
    if (id == VDNI_NONE) return VDN_OK;
    const vdni_tensor *t = vdni_plan_tensor(s->plans[plan], id);
    return vdni_plan_put(ctx, s->plans[plan], id, from, vdni_tensor_bytes(t));
}

vdn_status vdni_sampler_set_prior(vdn_ctx *ctx, vdni_sampler *s, const float *prior)
{
    const int64_t pixels = pixels_of(s), k = s->config.mask_channels;
    const vdni_prior_planes planes = { s->host, s->host + pixels * k, s->host + 2 * pixels * k };

    if (!vdni_has_refiner(&s->config)) { /* it is the result of every run */
        memcpy(s->host, prior, (size_t)(pixels * k) * sizeof *prior);
        return VDN_OK;
    }
    vdni_prior_inputs(&planes, prior, pixels, &s->config, ctx->threads);
    VDN_CHECK(put(ctx, s, PLAN_STEP, s->in.prior, planes.code));
    VDN_CHECK(put(ctx, s, PLAN_STEP, s->in.skip, planes.skip));
    VDN_CHECK(put(ctx, s, PLAN_GATES, s->foreground, planes.foreground));
    return vdni_plan_run(ctx, s->plans[PLAN_GATES], VDNI_RUN_ALL);
}

static vdn_status run_condition(vdn_ctx *ctx, vdni_sampler *s, float *prior, const float *image)
{
    const int64_t pixels = pixels_of(s);
    const int32_t k = s->config.mask_channels;
    VDN_CHECK(put(ctx, s, PLAN_CONDITION, s->image, image));
    VDN_CHECK(vdni_plan_run(ctx, s->plans[PLAN_CONDITION], VDNI_RUN_ALL));
    VDN_CHECK(vdni_plan_get(ctx, s->plans[PLAN_CONDITION], s->logits, prior,
                            pixels * k * (int64_t)sizeof *prior));
    vdni_logits_to_probabilities(prior, pixels, k, ctx->threads);
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

/* The mean over the flips of the image, each result flipped back. */
static vdn_status run_mirrored(vdn_ctx *ctx, vdni_sampler *s, float *prior, const float *image)
{
    const int64_t pixels = pixels_of(s), k = s->config.mask_channels;
    float *const found = s->host;
    for (int f = 0; f < FLIPS; f++) {
        flip(s->flipped, image, s, s->config.image_channels, f, 0);
        VDN_CHECK(run_condition(ctx, s, found, s->flipped));
        flip(prior, found, s, k, f, f > 0);
    }
    for (int64_t i = 0; i < pixels * k; i++) prior[i] /= FLIPS;
    return VDN_OK;
}

vdn_status vdni_sampler_condition(vdn_ctx *ctx, vdni_sampler *s, float *prior, const float *image)
{
    VDN_CHECK(s->config.mirror ? run_mirrored(ctx, s, prior, image)
                               : run_condition(ctx, s, prior, image));
    return vdni_sampler_set_prior(ctx, s, prior);
}

int64_t vdni_sampler_time(const vdni_sampler *s, int32_t i)
{
    return s->grid[s->options.steps - i];
}

/* Row @p index of the run: keys, then each kind of coefficients, then times of the whole batch. */
static void fill_row(vdni_sampler *s, int64_t index, const vdni_noise_key *keys,
                     const float terms[ROWS][VDNI_TERMS], int64_t t)
{
    const int64_t batch = s->options.batch;
    const int is_start = index == 0;
    unsigned char *row = s->rows + index * row_bytes(s);
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
    float terms[ROWS][VDNI_TERMS] = { { 0.0f } };

    start_terms(terms[ROW_STEP], s);
    fill_row(s, 0, keys, (const float(*)[VDNI_TERMS])terms, s->options.start);
    for (int32_t i = 1; i <= steps; i++) {
        const int64_t t = s->grid[steps + 1 - i], next = s->grid[steps - i];
        step_terms(terms, s, t, next);
        fill_row(s, i, keys, (const float(*)[VDNI_TERMS])terms, t);
    }
    return ctx->backend->put(ctx, ctx->device, s->device_rows, s->rows, rows_bytes(s));
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
    VDN_CHECK(copy_row(ctx, s, PLAN_STEP, s->in.t, coefficients + ROWS * some));
    return run_step(ctx, s);
}

static vdn_status read_result(vdn_ctx *ctx, vdni_sampler *s, float *probability)
{
    const vdni_config *config = &s->config;
    const int literal = config->param == VDNI_PARAM_LITERAL;
    const int is_mask = config->param == VDNI_PARAM_X0 && config->process != VDNI_PROCESS_BERNOULLI;
    VDN_CHECK(vdni_plan_get(ctx, s->plans[PLAN_STEP], literal ? s->in.x : s->estimate, probability,
                            pixels_of(s) * config->mask_channels * (int64_t)sizeof *probability));
    if (!is_mask) vdni_codes_to_probabilities(probability, pixels_of(s), config);
    return VDN_OK;
}

vdn_status vdni_sampler_run(vdn_ctx *ctx, vdni_sampler *s, float *probability,
                            const vdni_noise_key *keys)
{
    const int64_t count = pixels_of(s) * s->config.mask_channels;
    const int32_t steps = s->options.steps;

    if (!vdni_has_refiner(&s->config)) {
        memcpy(probability, s->host, (size_t)count * sizeof *probability);
        return VDN_OK;
    }
    VDN_CHECK(put_rows(ctx, s, keys));
    VDN_CHECK(start(ctx, s));
    for (int32_t i = 1; i <= steps; i++) {
        VDN_CHECK(vdni_report(ctx, (double)(i - 1) / steps));
        VDN_CHECK(step(ctx, s, i));
    }
    return read_result(ctx, s, probability);
}
