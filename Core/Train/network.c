#include "Train/network.h"

#include "Base/memory.h"
#include "Diffusion/process.h"
#include "Diffusion/sampler.h"
#include "Net/condition_unet.h"
#include "Net/diffusion_unet.h"
#include "Ops/loss.h"
#include "Ops/process_loss.h"
#include "Tensor/pad.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CONDITION, DIFFUSION, GRAPHS };

typedef struct {
    vdni_id image, target, weights, class_weights, logits, terms;
    vdni_id deep_target[VDNI_MAX_LEVELS], deep_terms[VDNI_MAX_LEVELS];
    vdni_id feature[VDNI_MAX_LEVELS], seed[VDNI_MAX_LEVELS];
} condition_ids;

typedef struct {
    vdni_id feature[VDNI_MAX_LEVELS], gradient[VDNI_MAX_LEVELS], drop[VDNI_MAX_LEVELS];
    vdni_id foreground, clean, keys, coefficients, target, weights, class_weights, terms;
    vdni_step_inputs in;
} diffusion_ids;

struct vdni_network {
    vdni_config config;
    vdni_recipe recipe;
    const vdni_schedule *schedule;
    vdni_network_options options;
    vdni_plan *plans[GRAPHS];
    vdni_graph *graphs[GRAPHS]; /* kept for the names */
    void *arenas[GRAPHS], *workspace;
    condition_ids c;
    diffusion_ids d;
    float *class_weights; /* (images, classes), of the last conditioned images */
    double shares[VDN_MAX_CLASSES]; /* that decide them; all 0 = the image's own */
    float *host; /* code, skip, foreground, coded mask; also dropout masks */
};

/* Without a refiner there is the condition graph only. */
static int graph_count(const vdni_config *config)
{
    return vdni_has_refiner(config) ? GRAPHS : CONDITION + 1;
}

static const char *numbered(char name[VDNI_TENSOR_NAME_BYTES], const char *stem, int32_t i)
{
    (void)snprintf(name, VDNI_TENSOR_NAME_BYTES, "%s%d", stem, (int)i);
    return name;
}

/* ---- graphs ---- */

static vdni_id plane(vdni_graph *g, const vdni_network *n, const char *name, int64_t channels,
                     vdni_dtype dtype)
{
    const int64_t nhwc[4] = { n->options.images, n->options.height, n->options.width, channels };
    return vdni_input(g, name, nhwc, dtype);
}

/* @p count values of each image. */
static vdni_id row(vdni_graph *g, const vdni_network *n, const char *name, int64_t count,
                   vdni_dtype dtype)
{
    const int64_t nhwc[4] = { n->options.images, 1, 1, count };
    return vdni_input(g, name, nhwc, dtype);
}

static int32_t class_count(const vdni_config *config)
{
    return config->mask_channels > 1 ? config->mask_channels : 2;
}

/* Of all images together. */
static int64_t pixels_of(const vdni_network *n)
{
    return n->options.images * n->options.height * n->options.width;
}

static vdni_id class_weight_input(vdni_graph *g, const vdni_network *n)
{
    if (!vdni_size_adapts(&n->recipe.seg)) return VDNI_NONE;
    return row(g, n, "class_weights", class_count(&n->config), VDNI_F32);
}

static vdni_loss_weights loss_weights(const vdni_network *n, double simple, double ce, double dice)
{
    return (vdni_loss_weights){ (float)simple, (float)ce, (float)dice, (float)n->recipe.seg.focal,
                                vdni_size_adapts(&n->recipe.seg) ? VDNI_LOSS_PER_PIXEL
                                                                 : VDNI_LOSS_PER_WEIGHT };
}

/* Of the condition net's scores at level @p i: shares fall by half a level and sum to 1. The operator's
 * squared error is that of twice the probabilities. */
static vdni_loss_weights prior_weights(const vdni_network *n, int32_t i)
{
    const vdni_recipe *r = &n->recipe;
    const int32_t levels = n->options.training ? vdni_supervised_levels(&n->config) : 1;
    const double share = pow(0.5, i) / (2.0 - pow(0.5, levels - 1));
    return loss_weights(n, share * r->prior_mse / 4.0, share * r->prior_ce, share * r->prior_dice);
}

/* The losses of the lower levels. */
static void build_deep(vdni_graph *g, vdni_network *n, const vdni_condition *net)
{
    char name[VDNI_TENSOR_NAME_BYTES];
    condition_ids *c = &n->c;
    vdni_id scores[VDNI_MAX_LEVELS];
    if (!n->options.training) return;
    vdni_deep_scores(g, &n->config, net, scores);
    for (int32_t i = 1; i < vdni_supervised_levels(&n->config); i++) {
        const int64_t nhwc[4] = { n->options.images, n->options.height >> i,
                                  n->options.width >> i, 1 };
        c->deep_target[i] = vdni_input(g, numbered(name, "target", i), nhwc, VDNI_U8);
        c->deep_terms[i] = vdni_output(g,
                                       vdni_segmentation_loss(g, scores[i], c->deep_target[i],
                                                              c->weights, c->class_weights,
                                                              prior_weights(n, i)),
                                       numbered(name, "terms", i));
    }
}

static void build_condition(vdni_graph *g, vdni_network *n)
{
    char name[VDNI_TENSOR_NAME_BYTES];
    condition_ids *c = &n->c;
    const vdni_loss_weights lambda = prior_weights(n, 0);

    c->image = plane(g, n, "image", n->config.image_channels, VDNI_F32);
    c->target = plane(g, n, "target", 1, VDNI_U8);
    c->weights = row(g, n, "weights", 2, VDNI_F32);
    c->class_weights = class_weight_input(g, n);
    const vdni_condition net = vdni_condition_unet(g, &n->config, c->image, NULL);
    c->logits = vdni_output(g, net.logits, "logits");
    c->terms = vdni_output(
        g, vdni_segmentation_loss(g, net.logits, c->target, c->weights, c->class_weights, lambda),
        "terms");
    build_deep(g, n, &net);
    for (int32_t i = 0; i < n->config.condition_levels; i++) {
        if (!vdni_reads_feature(&n->config, i)) continue;
        c->feature[i] = vdni_output(g, net.feature[i], numbered(name, "feature", i));
        if (!n->options.training || n->recipe.detach) continue;
        const vdni_tensor t = vdni_graph_get(g, net.feature[i]);
        const int64_t nhwc[4] = { t.n, t.h, t.w, t.c };
        c->seed[i] = vdni_borrow(g, vdni_input(g, numbered(name, "seed", i), nhwc, t.dtype));
        vdni_graph_seed(g, net.feature[i], c->seed[i]);
    }
}

/* Dropout2d as a modulation: scale is 1/(1-p) - 1 or -1, shift 0. */
static vdni_id dropped(vdni_graph *g, vdni_network *n, int32_t i)
{
    char name[VDNI_TENSOR_NAME_BYTES];
    if (!n->options.training || n->recipe.condition_drop <= 0.0) return n->d.feature[i];
    n->d.drop[i] = row(g, n, numbered(name, "drop", i), 2 * (int64_t)n->config.condition[i], VDNI_F32);
    return vdni_modulate(g, n->d.feature[i], n->d.drop[i]);
}

static void feature_inputs(vdni_graph *g, vdni_network *n, vdni_id used[VDNI_MAX_LEVELS])
{
    char name[VDNI_TENSOR_NAME_BYTES];
    for (int32_t i = 0; i < n->config.condition_levels; i++) {
        const int64_t nhwc[4] = { n->options.images, n->options.height >> i,
                                  n->options.width >> i, n->config.condition[i] };
        used[i] = VDNI_NONE;
        if (!vdni_reads_feature(&n->config, i)) continue;
        n->d.feature[i] =
            vdni_borrow(g, vdni_input(g, numbered(name, "feature", i), nhwc, g->activation));
        if (n->options.training && !n->recipe.detach) vdni_require_gradient(g, n->d.feature[i]);
        used[i] = dropped(g, n, i);
    }
}

static int64_t weight_count(const vdni_config *config)
{
    if (config->process == VDNI_PROCESS_BERNOULLI) return VDNI_BERNOULLI_WEIGHTS;
    return vdni_gives_noise(config) ? VDNI_EPSILON_WEIGHTS : 2;
}

/* x_t of the mask, the prior and the noise. */
static vdni_id noised(vdni_graph *g, const vdni_network *n, vdni_id noise)
{
    const diffusion_ids *d = &n->d;
    const int flips = n->config.process == VDNI_PROCESS_BERNOULLI;
    const vdni_id parts[VDNI_TERMS] = { d->clean, VDNI_NONE, d->in.prior,
                                        flips ? VDNI_NONE : noise };
    const vdni_id x = vdni_combine(g, d->coefficients, parts, VDNI_TERMS);
    return flips ? vdni_draw(g, x, noise) : x;
}

static vdni_id refiner_loss(vdni_graph *g, vdni_network *n, vdni_id s, vdni_id noise)
{
    diffusion_ids *d = &n->d;
    const vdni_config *c = &n->config;
    const vdni_recipe *r = &n->recipe;
    const float eps[3] = { (float)r->simple, c->param == VDNI_PARAM_EPS_BCE ? (float)r->ce : 0.0f,
                           c->learn_sigma ? (float)(r->vlb * c->time_steps / 1000.0) : 0.0f };
    const float flips[3] = { (float)r->simple, (float)r->ce, 0.0f };
    if (c->process == VDNI_PROCESS_BERNOULLI)
        return vdni_bernoulli_loss(g, s, d->in.x, d->in.prior, d->target, d->weights, flips);
    if (c->param == VDNI_PARAM_LITERAL) return vdni_noise_loss(g, s, noise, d->target, d->weights);
    if (vdni_gives_noise(c)) return vdni_epsilon_loss(g, s, noise, d->target, d->weights, eps);
    d->class_weights = class_weight_input(g, n);
    return vdni_segmentation_loss(g, s, d->target, d->weights, d->class_weights,
                                  loss_weights(n, r->simple, r->ce, r->dice));
}

static void build_diffusion(vdni_graph *g, vdni_network *n)
{
    diffusion_ids *d = &n->d;
    const int64_t k = n->config.mask_channels;
    const int64_t nhwc[4] = { n->options.images, n->options.height, n->options.width, k };
    vdni_id used[VDNI_MAX_LEVELS];

    feature_inputs(g, n, used);
    d->foreground = plane(g, n, "foreground", 1, VDNI_F32);
    const vdni_cache cache = vdni_condition_cache(g, &n->config, used, d->foreground);
    d->clean = plane(g, n, "clean", k, VDNI_F32);
    d->in.prior = plane(g, n, "prior", k, VDNI_F32);
    d->in.image = vdni_borrow(g, plane(g, n, "image", n->config.image_channels, VDNI_F32));
    d->in.skip = n->config.prior_skip ? plane(g, n, "skip", k, VDNI_F32) : VDNI_NONE;
    d->in.t = row(g, n, "t", 1, VDNI_F32);
    d->in.scale = n->config.norm_in ? row(g, n, "scale", 4, VDNI_F32) : VDNI_NONE;
    d->keys = row(g, n, "keys", VDNI_NOISE_KEY_WORDS, VDNI_I32);
    d->coefficients = row(g, n, "coefficients", 4, VDNI_F32);
    d->target = vdni_borrow(g, plane(g, n, "target", 1, VDNI_U8));
    d->weights = row(g, n, "weights", weight_count(&n->config), VDNI_F32);
    const vdni_id noise = vdni_noise(g, d->keys, nhwc);
    d->in.x = noised(g, n, noise);
    const vdni_id s = vdni_diffusion_unet(g, &n->config, &d->in, &cache);
    d->terms = refiner_loss(g, n, s, noise);
    vdni_output(g, d->terms, "terms");
    vdni_output(g, s, "s");
}

static void keep_feature_gradients(vdni_graph *g, vdni_network *n)
{
    char name[VDNI_TENSOR_NAME_BYTES];
    for (int32_t i = 0; i < n->config.condition_levels; i++) {
        if (!vdni_reads_feature(&n->config, i) || n->recipe.detach) continue;
        n->d.gradient[i] = vdni_graph_gradient(g, n->d.feature[i]);
        vdni_output(g, n->d.gradient[i], numbered(name, "gradient", i));
    }
}

static vdn_status build(vdn_ctx *ctx, vdni_network *n, int which, vdni_parameters *table)
{
    vdni_graph *g = NULL;
    VDN_CHECK(vdni_graph_create(ctx, &n->graphs[which], table, n->options.activation,
                                n->options.training));
    g = n->graphs[which];
    if (which == CONDITION)
        build_condition(g, n);
    else
        build_diffusion(g, n);
    g->recompute = n->options.recompute;
    if (n->options.training) {
        VDN_CHECK(vdni_graph_backward(g));
        if (which == DIFFUSION) keep_feature_gradients(g, n);
    }
    return vdni_graph_status(g);
}

/* ---- life ---- */

static void forget_ids(vdni_network *n)
{
    for (int32_t i = 0; i < VDNI_MAX_LEVELS; i++) {
        n->c.feature[i] = n->c.seed[i] = VDNI_NONE;
        n->c.deep_target[i] = n->c.deep_terms[i] = VDNI_NONE;
        n->d.feature[i] = n->d.gradient[i] = n->d.drop[i] = VDNI_NONE;
    }
    n->d.class_weights = VDNI_NONE;
}

static int32_t widest(const vdni_config *config)
{
    int32_t most = 1;
    for (int32_t i = 0; i < config->condition_levels; i++)
        if (config->condition[i] > most) most = config->condition[i];
    return most;
}

/* For @p images of @p pixels together. */
static int64_t host_floats(const vdni_config *config, int64_t images, int64_t pixels)
{
    const int64_t masks = 2 * images * widest(config);
    const int64_t planes = pixels * (3 * (int64_t)config->mask_channels + 1);
    return planes > masks ? planes : masks;
}

/* Detached, the two halves never need their temporaries at the same time. */
static int shares_arena(const vdni_network *n)
{
    return n->recipe.detach || !n->options.training || !vdni_has_refiner(&n->config);
}

static vdn_status allocate(vdn_ctx *ctx, vdni_network *n)
{
    int64_t bytes[GRAPHS] = { 0 }, workspace = 0;
    for (int i = 0; i < graph_count(&n->config); i++) {
        const vdni_plan_memory memory = vdni_plan_get_memory(n->plans[i]);
        bytes[i] = memory.arena_bytes;
        if (memory.workspace_bytes > workspace) workspace = memory.workspace_bytes;
    }
    if (shares_arena(n) && bytes[DIFFUSION] > bytes[CONDITION]) bytes[CONDITION] = bytes[DIFFUSION];
    VDN_CHECK(ctx->backend->allocate(ctx, ctx->device, &n->workspace, workspace));
    VDN_CHECK(ctx->backend->allocate(ctx, ctx->device, &n->arenas[CONDITION], bytes[CONDITION]));
    if (shares_arena(n)) return VDN_OK;
    return ctx->backend->allocate(ctx, ctx->device, &n->arenas[DIFFUSION], bytes[DIFFUSION]);
}

static vdn_status bind(vdn_ctx *ctx, vdni_network *n, const vdni_network_weights *weights)
{
    for (int i = 0; i < graph_count(&n->config); i++) {
        const vdni_plan_binding binding = { shares_arena(n) ? n->arenas[CONDITION] : n->arenas[i],
                                            n->workspace, weights->values, weights->gradients,
                                            weights->version };
        VDN_CHECK(vdni_plan_bind(ctx, n->plans[i], &binding));
    }
    if (!vdni_has_refiner(&n->config)) return VDN_OK;
    VDN_CHECK(vdni_plan_alias(ctx, n->plans[DIFFUSION], n->d.in.image,
                              vdni_plan_tensor(n->plans[CONDITION], n->c.image)));
    VDN_CHECK(vdni_plan_alias(ctx, n->plans[DIFFUSION], n->d.target,
                              vdni_plan_tensor(n->plans[CONDITION], n->c.target)));
    for (int32_t i = 0; i < n->config.condition_levels; i++) {
        if (n->d.feature[i] != VDNI_NONE)
            VDN_CHECK(vdni_plan_alias(ctx, n->plans[DIFFUSION], n->d.feature[i],
                                      vdni_plan_tensor(n->plans[CONDITION], n->c.feature[i])));
        if (n->c.seed[i] != VDNI_NONE)
            VDN_CHECK(vdni_plan_alias(ctx, n->plans[CONDITION], n->c.seed[i],
                                      vdni_plan_tensor(n->plans[DIFFUSION], n->d.gradient[i])));
    }
    return VDN_OK;
}

vdn_status vdni_network_create(vdn_ctx *ctx, vdni_network **out, const vdni_config *config,
                               const vdni_recipe *recipe, const vdni_schedule *schedule,
                               const vdni_network_weights *weights,
                               const vdni_network_options *options)
{
    vdn_status status = VDN_OK;
    vdni_network *n = NULL;

    *out = NULL;
    if (!recipe->detach && recipe->prior_warmup > 0)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "a prior warm-up of %lld steps needs detach",
                         (long long)recipe->prior_warmup);
    VDN_TRY(VDNI_NEW(ctx, n, 1));
    n->config = *config;
    n->recipe = *recipe;
    n->schedule = schedule;
    n->options = *options;
    forget_ids(n);
    if (n->options.images == 0) n->options.images = 1;
    VDN_TRY(VDNI_NEW(ctx, n->host, host_floats(config, n->options.images, pixels_of(n))));
    VDN_TRY(VDNI_NEW(ctx, n->class_weights, n->options.images * class_count(config)));
    for (int i = 0; i < graph_count(config); i++) {
        VDN_TRY(build(ctx, n, i, weights->table));
        VDN_TRY(vdni_plan_create(ctx, &n->plans[i], n->graphs[i], ctx->backend, ctx->device));
    }
    VDN_TRY(allocate(ctx, n));
    VDN_TRY(bind(ctx, n, weights));
    *out = n;
    n = NULL;
done:
    vdni_network_free(ctx, n);
    return status;
}

void vdni_network_free(vdn_ctx *ctx, vdni_network *n)
{
    if (!n) return;
    for (int i = 0; i < GRAPHS; i++) {
        vdni_plan_free(ctx, n->plans[i]);
        vdni_graph_free(ctx, n->graphs[i]);
        if (n->arenas[i]) ctx->backend->release(ctx, ctx->device, n->arenas[i]);
    }
    if (n->workspace) ctx->backend->release(ctx, ctx->device, n->workspace);
    vdni_free(ctx, n->host);
    vdni_free(ctx, n->class_weights);
    vdni_free(ctx, n);
}

vdn_status vdni_network_estimate(vdn_ctx *ctx, int64_t *bytes, const vdni_config *config,
                                 const vdni_recipe *recipe, int64_t height, int64_t width,
                                 vdni_dtype activation)
{
    vdn_status status = VDN_OK;
    vdni_parameters table = { .items = NULL };
    vdni_network *n = NULL;
    int64_t arena[GRAPHS] = { 0 }, state = 0;

    VDN_TRY(VDNI_NEW(ctx, n, 1));
    n->config = *config;
    n->recipe = *recipe;
    n->options = (vdni_network_options){ height, width, activation, 1, 0, 1 };
    forget_ids(n);
    for (int i = 0; i < graph_count(config); i++) {
        vdni_plan_memory memory;
        VDN_TRY(build(ctx, n, i, &table));
        VDN_TRY(vdni_plan_estimate(ctx, &memory, n->graphs[i]));
        arena[i] = memory.arena_bytes;
        state += memory.state_bytes;
    }
    const int64_t larger = arena[0] > arena[1] ? arena[0] : arena[1];
    *bytes = state + (shares_arena(n) ? larger : arena[0] + arena[1]);
done:
    vdni_network_free(ctx, n);
    vdni_parameters_free(ctx, &table);
    return status;
}

const vdni_tensor *vdni_network_tensor(vdni_network *n, int graph, const char *name)
{
    return vdni_plan_tensor(n->plans[graph], vdni_graph_find(n->graphs[graph], name));
}

/* ---- runs ---- */

static vdn_status put(vdn_ctx *ctx, vdni_network *n, int graph, vdni_id id, const void *from)
{
    if (id == VDNI_NONE) return VDN_OK;
    return vdni_plan_put(ctx, n->plans[graph], id, from,
                         vdni_tensor_bytes(vdni_plan_tensor(n->plans[graph], id)));
}

static vdn_status read_terms(vdn_ctx *ctx, vdni_network *n, int graph, vdni_id id, vdni_terms *terms)
{
    return vdni_plan_get(ctx, n->plans[graph], id, terms,
                         n->options.images * (int64_t)sizeof *terms);
}

/* The weights of the classes of each image, from its own pixels or from the shares that were set. */
static void weigh_classes(vdni_network *n, const uint8_t *target)
{
    const int32_t classes = class_count(&n->config);
    const int64_t pixels = n->options.height * n->options.width;
    double own[VDN_MAX_CLASSES], given = 0.0;
    if (!vdni_size_adapts(&n->recipe.seg)) return;
    for (int32_t c = 0; c < classes; c++) given += n->shares[c];
    for (int32_t i = 0; i < n->options.images; i++) {
        double counts[VDN_MAX_CLASSES] = { 0.0 };
        vdni_class_counts(counts, target + i * pixels, pixels, classes);
        const double valid = vdni_class_shares(own, counts, classes);
        vdni_size_weights(n->class_weights + i * classes, given > 0.0 ? n->shares : own, valid,
                          classes, &n->recipe.seg);
    }
}

void vdni_network_set_shares(vdni_network *n, const double *shares)
{
    memset(n->shares, 0, sizeof n->shares);
    if (shares) memcpy(n->shares, shares, (size_t)class_count(&n->config) * sizeof *shares);
}

/* Every 2^i-th label, of the pixel up and left of the middle. */
static vdn_status put_deep_targets(vdn_ctx *ctx, vdni_network *n, const uint8_t *target)
{
    uint8_t *const few = (uint8_t *)n->host;
    for (int32_t i = 1; i < VDNI_MAX_LEVELS; i++) {
        const int64_t step = (int64_t)1 << i, from = step / 2 - 1, width = n->options.width;
        int64_t count = 0;
        if (n->c.deep_target[i] == VDNI_NONE) continue;
        for (int64_t image = 0; image < n->options.images; image++)
            for (int64_t y = from; y < n->options.height; y += step)
                for (int64_t x = from; x < width; x += step)
                    few[count++] = target[(image * n->options.height + y) * width + x];
        VDN_CHECK(put(ctx, n, CONDITION, n->c.deep_target[i], few));
    }
    return VDN_OK;
}

/* Of the result, but the total, which is of every level. */
static vdn_status read_condition_terms(vdn_ctx *ctx, vdni_network *n, vdni_terms *terms)
{
    vdni_terms deep[VDNI_NETWORK_MAX_IMAGES];
    VDN_CHECK(read_terms(ctx, n, CONDITION, n->c.terms, terms));
    for (int32_t i = 1; i < VDNI_MAX_LEVELS; i++) {
        if (n->c.deep_terms[i] == VDNI_NONE) continue;
        VDN_CHECK(read_terms(ctx, n, CONDITION, n->c.deep_terms[i], deep));
        for (int32_t k = 0; k < n->options.images; k++) terms[k].total += deep[k].total;
    }
    return VDN_OK;
}

vdn_status vdni_network_condition(vdn_ctx *ctx, vdni_network *n, float *prior, vdni_terms *terms,
                                  const float *image, const uint8_t *target, float scale)
{
    const int64_t pixels = pixels_of(n);
    const int64_t bytes = pixels * n->config.mask_channels * (int64_t)sizeof *prior;
    const int alone = n->recipe.detach || !vdni_has_refiner(&n->config);
    const vdni_run_part part = alone ? VDNI_RUN_ALL : VDNI_RUN_FORWARD;
    float weights[VDNI_NETWORK_MAX_IMAGES][2];

    for (int32_t i = 0; i < n->options.images; i++) {
        weights[i][0] = n->recipe.prior_mse > 0.0 ? 1.0f : 0.0f;
        weights[i][1] = scale;
    }
    VDN_CHECK(put(ctx, n, CONDITION, n->c.image, image));
    VDN_CHECK(put(ctx, n, CONDITION, n->c.target, target));
    VDN_CHECK(put_deep_targets(ctx, n, target));
    VDN_CHECK(put(ctx, n, CONDITION, n->c.weights, weights));
    weigh_classes(n, target);
    VDN_CHECK(put(ctx, n, CONDITION, n->c.class_weights, n->class_weights));
    VDN_CHECK(vdni_plan_run(ctx, n->plans[CONDITION], part));
    VDN_CHECK(vdni_plan_get(ctx, n->plans[CONDITION], n->c.logits, prior, bytes));
    vdni_logits_to_probabilities(prior, pixels, n->config.mask_channels, ctx->threads);
    return read_condition_terms(ctx, n, terms);
}

/* The mask in code units: rho(2m-1), or m where the code is 0 and 1; one-hot for K > 1. */
static void encode_target(float *out, const uint8_t *target, int64_t pixels,
                          const vdni_config *config)
{
    const int32_t k = config->mask_channels, zero_one = vdni_codes_zero_one(config);
    const float low = zero_one ? 0.0f : (float)-config->signal_scale;
    const float high = zero_one ? 1.0f : (float)config->signal_scale;
    for (int64_t i = 0; i < pixels; i++) {
        const int32_t label = target[i] == VDNI_LABEL_IGNORE ? 0 : target[i];
        for (int32_t c = 0; c < k; c++)
            out[i * k + c] = (k == 1 ? label != 0 : label == c) ? high : low;
    }
}

/* Masks of channels, keyed image by image: those of the lower levels first. */
static vdn_status put_dropout(vdn_ctx *ctx, vdni_network *n, const vdni_refine_call *calls)
{
    const double p = n->recipe.condition_drop;
    uint32_t draw = 0;
    for (int32_t i = 0; i < n->config.condition_levels; i++) {
        const int32_t c = n->config.condition[i];
        if (n->d.drop[i] == VDNI_NONE) continue;
        memset(n->host, 0, 2 * (size_t)(n->options.images * c) * sizeof *n->host);
        for (int32_t k = 0; k < n->options.images; k++)
            for (int32_t j = 0; j < c; j++)
                n->host[2 * k * c + j] =
                    vdni_philox_uniform(&calls[k].drop, draw + (uint32_t)j) < p
                        ? -1.0f
                        : (float)(p / (1.0 - p));
        draw += (uint32_t)c;
        VDN_CHECK(put(ctx, n, DIFFUSION, n->d.drop[i], n->host));
    }
    return VDN_OK;
}

static vdn_status put_prior(vdn_ctx *ctx, vdni_network *n, const vdni_refine_call *calls)
{
    const int64_t pixels = n->options.height * n->options.width, all = pixels_of(n);
    const int64_t k = n->config.mask_channels;
    float *code = n->host, *skip = code + all * k, *clean = skip + all * k;
    float *foreground = clean + all * k;

    for (int32_t i = 0; i < n->options.images; i++) {
        const int64_t at = i * pixels;
        const vdni_prior_planes planes = { code + at * k, skip + at * k, foreground + at };
        vdni_prior_inputs(&planes, calls[i].prior, pixels, &n->config, ctx->threads);
        encode_target(clean + at * k, calls[i].target, pixels, &n->config);
    }
    VDN_CHECK(put(ctx, n, DIFFUSION, n->d.in.prior, code));
    VDN_CHECK(put(ctx, n, DIFFUSION, n->d.in.skip, skip));
    VDN_CHECK(put(ctx, n, DIFFUSION, n->d.foreground, foreground));
    return put(ctx, n, DIFFUSION, n->d.clean, clean);
}

/* Flips read no noise here: their start are coins of the prior. */
static void start_terms(float row[VDNI_TERMS], const vdni_network *n, int32_t t)
{
    if (n->config.process == VDNI_PROCESS_DDPM)
        vdni_process_start_unshifted(row, n->schedule, t);
    else
        vdni_process_start(row, n->schedule, t);
}

static void noise_terms(float row[VDNI_TERMS], const vdni_network *n, int32_t t)
{
    if (n->config.process == VDNI_PROCESS_BERNOULLI) {
        vdni_process_flip_noise(row, n->schedule, t);
        return;
    }
    vdni_process_noise(row, n->schedule, t);
    if (n->config.process == VDNI_PROCESS_DDPM) vdni_process_unshift(row);
}

/* What the refiner's loss is told of the time; weight_count() values. */
static void weigh_step(float weights[VDNI_EPSILON_WEIGHTS], const vdni_network *n,
                       const vdni_refine_call *call)
{
    const vdni_schedule *s = n->schedule;
    const double clip = n->recipe.snr_clip > 0.0 ? n->recipe.snr_clip : INFINITY;
    const double rho = n->config.signal_scale;
    if (n->config.process == VDNI_PROCESS_BERNOULLI) {
        weights[0] = (float)(1.0 - s->alpha[call->t]);
        weights[1] = (float)s->abar[call->t - 1];
        weights[2] = call->scale;
        weights[3] = (float)(1.0 - s->abar[call->t - 1]);
        return;
    }
    if (vdni_gives_noise(&n->config))
        vdni_process_epsilon_weights(weights, s, call->t, rho, clip);
    else
        weights[0] = vdni_process_snr_weight(s, call->t, rho, clip);
    weights[1] = call->scale;
}

/* What the refiner is told of each image, a row of each kind. */
typedef struct {
    float time[VDNI_NETWORK_MAX_IMAGES];
    int32_t keys[VDNI_NETWORK_MAX_IMAGES][VDNI_NOISE_KEY_WORDS];
    float coefficients[VDNI_NETWORK_MAX_IMAGES][VDNI_TERMS];
    float input[VDNI_NETWORK_MAX_IMAGES][VDNI_TERMS];
    float weights[VDNI_NETWORK_MAX_IMAGES * VDNI_EPSILON_WEIGHTS]; /* weight_count() of each */
} told;

static void tell(told *out, const vdni_network *n, const vdni_refine_call *calls)
{
    for (int32_t i = 0; i < n->options.images; i++) {
        const vdni_refine_call *call = &calls[i];
        float weights[VDNI_EPSILON_WEIGHTS] = { 0.0f };
        const int64_t count = weight_count(&n->config);
        out->time[i] = (float)call->t;
        vdni_noise_key_pack(out->keys[i], &call->noise);
        if (call->is_start)
            start_terms(out->coefficients[i], n, call->t);
        else
            noise_terms(out->coefficients[i], n, call->t);
        vdni_process_input(out->input[i], n->schedule, call->t, n->config.signal_scale);
        weigh_step(weights, n, call);
        memcpy(out->weights + i * count, weights, (size_t)count * sizeof *weights);
    }
}

vdn_status vdni_network_refine(vdn_ctx *ctx, vdni_network *n, vdni_terms *terms,
                               const vdni_refine_call *calls)
{
    told rows;
    tell(&rows, n, calls);
    VDN_CHECK(put_dropout(ctx, n, calls));
    VDN_CHECK(put_prior(ctx, n, calls));
    VDN_CHECK(put(ctx, n, DIFFUSION, n->d.weights, rows.weights));
    VDN_CHECK(put(ctx, n, DIFFUSION, n->d.class_weights, n->class_weights));
    VDN_CHECK(put(ctx, n, DIFFUSION, n->d.in.t, rows.time));
    VDN_CHECK(put(ctx, n, DIFFUSION, n->d.in.scale, rows.input));
    VDN_CHECK(put(ctx, n, DIFFUSION, n->d.keys, rows.keys));
    VDN_CHECK(put(ctx, n, DIFFUSION, n->d.coefficients, rows.coefficients));
    VDN_CHECK(vdni_plan_run(ctx, n->plans[DIFFUSION], VDNI_RUN_ALL));
    if (n->options.training && !n->recipe.detach)
        VDN_CHECK(vdni_plan_run(ctx, n->plans[CONDITION], VDNI_RUN_BACKWARD));
    return read_terms(ctx, n, DIFFUSION, n->d.terms, terms);
}
