/* The sampler's four graphs: condition pass, gates of the prior, start, one step. */
#include "Diffusion/process.h"
#include "Diffusion/sampler_state.h"

#include <stdio.h>

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

/* The features end with their projections: only those are kept for the steps. */
static void build_condition(vdni_graph *g, const maker *m)
{
    char name[VDNI_TENSOR_NAME_BYTES];
    const int refines = vdni_has_refiner(m->config);
    m->s->image_id = mask_input(g, m, "image", m->config->image_channels);
    const vdni_condition condition =
        vdni_condition_unet(g, m->config, m->s->image_id, refines ? &m->s->cached : NULL);
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
    s->in.scale = m->config->norm_in ? vdni_input(g, "scale", four, VDNI_F32) : VDNI_NONE;
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
    const int shifted =
        m->config->process == VDNI_PROCESS_SHIFTED && m->config->param != VDNI_PARAM_LITERAL;
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
                               m->config->process == VDNI_PROCESS_SHIFTED ? s->in.prior
                                                                          : VDNI_NONE };
    s->estimate =
        vdni_output(g, vdni_combine_bounded(g, s->decode, terms, 3, (float)m->config->signal_scale),
                    "estimate");
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
    const vdni_id code = vdni_encode(g, out, (float)m->config->signal_scale, 0, &m->s->estimate);
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

vdn_status vdni_sampler_graph(vdn_ctx *ctx, vdni_graph **out, vdni_sampler *s, int which,
                              vdni_parameters *table)
{
    const maker m = { &s->config, &s->options, s };
    vdni_graph *g = NULL;
    *out = NULL;
    VDN_CHECK(vdni_graph_create(ctx, &g, table, s->options.activation, 0));
    switch (which) {
    case PLAN_CONDITION:
        build_condition(g, &m);
        break;
    case PLAN_GATES:
        build_gates(g, &m);
        break;
    case PLAN_START:
        build_start(g, &m);
        break;
    default:
        build_step(g, &m);
        break;
    }
    if (vdni_graph_status(g) == VDN_OK) {
        *out = g;
        return VDN_OK;
    }
    const vdn_status status = vdni_graph_status(g);
    vdni_graph_free(ctx, g);
    return status;
}
