#include "Net/config.h"

#include "Net/swin.h"

#include <stdio.h>
#include <string.h>

#define PROCESS                                                                                    \
    .image_channels = 1, .mask_channels = 1, .msfm = 1, .nsa = VDNI_NSA_MASK_SOFT, .scale_shift = 1,                \
    .time_steps = 1000, .signal_scale = 0.3, .prior_skip = 1, .sample_steps = 10,                  \
    .sample_start = 500, .samples = 5

static const vdni_config configs[] = {
    { .name = "unit", PROCESS, .condition_levels = 2, .condition = { 4, 8 },
      .condition_convolutions = 1, .msfm_width = 4, .base = 8, .levels = 2, .multiplier = { 1, 2 },
      .blocks = 1, .stem_down = 1, .attention_level = -1, .head_width = 8, .pad_multiple = 2 },
    { .name = "tiny", PROCESS, .condition_levels = 5, .condition = { 8, 16, 32, 48, 64 },
      .condition_convolutions = 2, .msfm_width = 8, .base = 16, .levels = 4,
      .multiplier = { 1, 2, 3, 4 }, .blocks = 1, .stem_down = 2, .attention_level = -1,
      .head_width = 32, .pad_multiple = 16 },
    { .name = "small", PROCESS, .condition_levels = 5, .condition = { 16, 32, 64, 128, 128 },
      .condition_convolutions = 2, .msfm_width = 16, .base = 32, .levels = 4,
      .multiplier = { 1, 2, 3, 4 }, .blocks = 1, .stem_down = 2, .attention_level = -1,
      .head_width = 32, .pad_multiple = 16 },
    { .name = "base", PROCESS, .condition_levels = 5, .condition = { 32, 64, 128, 256, 256 },
      .condition_convolutions = 2, .msfm_width = 32, .base = 64, .levels = 5,
      .multiplier = { 1, 2, 2, 4, 4 }, .blocks = 1, .stem_down = 1, .attention_level = 4,
      .head_width = 64, .pad_multiple = 16 },
    { .name = "full", PROCESS, .condition_levels = 6, .condition = { 32, 64, 128, 256, 480, 480 },
      .condition_convolutions = 2, .msfm_width = 32, .base = 128, .levels = 6,
      .multiplier = { 1, 1, 2, 2, 4, 4 }, .blocks = 2, .stem_down = 1, .attention_level = 4,
      .head_width = 64, .pad_multiple = 32 },
};

vdn_status vdni_config_get(vdn_ctx *ctx, vdni_config *out, const char *name)
{
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++)
        if (strcmp(configs[i].name, name) == 0) {
            *out = configs[i];
            return VDN_OK;
        }
    return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                     "configuration \"%.40s\": there are unit, tiny, small, base, full", name);
}

static int32_t at_most(int32_t value, int32_t most) { return value < most ? value : most; }

/* A U-Net of @p levels whose channels begin with @p first and double up to @p most, a limit that
 * shrinks with @p first from what it is at 32 (nnunet2d) or never matters. */
static void baseline(vdni_config *config, int32_t first, int32_t levels, int32_t most)
{
    config->network = VDNI_NETWORK_CONDITION;
    config->msfm = 0;
    config->msff = VDNI_MSFF_NONE;
    config->condition_norm = VDNI_CONDITION_INSTANCE;
    config->condition_bias = 1;
    config->condition_convolutions = 2;
    config->condition_levels = levels;
    config->pad_multiple = 1 << (levels - 1);
    for (int32_t i = 0; i < VDNI_MAX_LEVELS; i++)
        config->condition[i] =
            i >= levels ? 0 : at_most(first << i, most < 1024 ? most * first / 32 : most);
}

vdn_status vdni_config_set_network(vdn_ctx *ctx, vdni_config *config, const char *name)
{
    const int is_msff = strcmp(name, "msff") == 0;
    if (is_msff || strcmp(name, "condition") == 0) {
        config->network = VDNI_NETWORK_CONDITION;
        if (!is_msff) return VDN_OK;
        config->msfm = 0;
        config->msff = VDNI_MSFF_CASCADE;
        return VDN_OK;
    }
    if (strcmp(name, "unet") == 0) {
        baseline(config, at_most(config->base / 2, 64), 5, 1024);
        config->condition_norm = VDNI_CONDITION_NO_NORM;
        config->condition_up = VDNI_UP_TRANSPOSED_BIAS;
        config->condition_relu = 1;
        return VDN_OK;
    }
    if (strcmp(name, "nnunet2d") == 0) {
        baseline(config, at_most(config->base / 2, 32), 6, 480);
        config->condition_up = VDNI_UP_TRANSPOSED;
        config->condition_strides = 1;
        config->deep_supervision = config->mirror = 1;
        return VDN_OK;
    }
    if (strcmp(name, "fcn8s") == 0) {
        const int32_t first = at_most(config->base / 2, 64);
        baseline(config, 6, 6, 1);
        config->network = VDNI_NETWORK_FCN;
        for (int32_t i = 0; i < 6; i++)
            config->condition[i] = i == 5 ? 64 * first : at_most(first << i, 8 * first);
        return VDN_OK;
    }
    if (strcmp(name, "deeplabv3") == 0) {
        const int32_t first = at_most(config->base / 2, 64);
        baseline(config, first, 5, 1024);
        config->network = VDNI_NETWORK_DEEPLAB;
        for (int32_t i = 1; i < 5; i++) config->condition[i] = 4 * first << (i - 1);
        return VDN_OK;
    }
    if (strcmp(name, "swinunet") == 0) {
        baseline(config, at_most(config->base / 4 * 3, 96), VDNI_SWIN_STAGES, 1024);
        config->network = VDNI_NETWORK_SWIN;
        config->pad_multiple = VDNI_SWIN_MULTIPLE;
        return VDN_OK;
    }
    config->network = VDNI_NETWORK_VERDIFF;
    if (strcmp(name, "verdiff") == 0) return VDN_OK;
    if (strcmp(name, "medsegdiff") == 0) {
        config->msfm = 0;
        config->nsa = VDNI_NSA_NONE;
        config->process = VDNI_PROCESS_DDPM;
        config->fuse = VDNI_FUSE_STEM_ADD;
        config->param = VDNI_PARAM_EPS;
        config->learn_sigma = 1;
        config->prior_skip = 0;
        config->scale_shift = 0;
        return VDN_OK;
    }
    return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                     "network \"%.40s\": there are verdiff, condition, msff, unet, nnunet2d, "
                     "fcn8s, deeplabv3, swinunet, medsegdiff",
                     name);
}

int32_t vdni_norm_groups(int64_t channels)
{
    for (int32_t g = 32; g > 1; g /= 2)
        if (channels % g == 0 && channels / g >= 4) return g;
    return 1;
}

static vdn_status in_range(vdn_ctx *ctx, const char *field, int64_t value, int64_t low, int64_t high)
{
    if (value >= low && value <= high) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_ARGUMENT, "configuration field %s is %lld, needed %lld to %lld",
                     field, (long long)value, (long long)low, (long long)high);
}

static vdn_status check_condition(vdn_ctx *ctx, const vdni_config *c)
{
    VDN_CHECK(in_range(ctx, "condition_levels", c->condition_levels, 2, VDNI_MAX_LEVELS));
    for (int32_t i = 0; i < c->condition_levels; i++)
        VDN_CHECK(in_range(ctx, "condition", c->condition[i], 1, 4096));
    if (c->network == VDNI_NETWORK_FCN)
        VDN_CHECK(in_range(ctx, "condition_levels of fcn8s", c->condition_levels, 6, 6));
    if (c->network == VDNI_NETWORK_SWIN) {
        VDN_CHECK(in_range(ctx, "condition_levels of swinunet", c->condition_levels,
                           VDNI_SWIN_STAGES, VDNI_SWIN_STAGES));
        for (int32_t i = 0; i < VDNI_SWIN_STAGES; i++) { /* VDNI_MAX_HEAD; 4 of them are normed */
            const int32_t heads = 3 << i;
            VDN_CHECK(in_range(ctx, "condition of swinunet", c->condition[i], heads, 128 * heads));
            VDN_CHECK(in_range(ctx, "condition of swinunet", c->condition[i], heads, 2048));
            VDN_CHECK(in_range(ctx, "condition of swinunet modulo its heads",
                               c->condition[i] % heads, 0, 0));
        }
        VDN_CHECK(in_range(ctx, "pad_multiple of swinunet modulo 224",
                           c->pad_multiple % VDNI_SWIN_MULTIPLE, 0, 0));
    }
    if (c->network == VDNI_NETWORK_DEEPLAB) {
        VDN_CHECK(in_range(ctx, "condition_levels of deeplabv3", c->condition_levels, 5, 5));
        for (int32_t i = 1; i < 5; i++) /* a quarter is inside a block */
            VDN_CHECK(in_range(ctx, "condition of deeplabv3", c->condition[i], 4, 4096));
    }
    VDN_CHECK(in_range(ctx, "condition_convolutions", c->condition_convolutions, 1, 8));
    VDN_CHECK(in_range(ctx, "msfm", c->msfm, 0, 1));
    VDN_CHECK(in_range(ctx, "msfm_width", c->msfm_width, 1, 4096));
    VDN_CHECK(in_range(ctx, "msfm_norm", c->msfm_norm, 0, VDNI_MSFM_NORMS - 1));
    VDN_CHECK(in_range(ctx, "msff", c->msff, 0, VDNI_MSFF_KINDS - 1));
    if (c->msff != VDNI_MSFF_NONE) /* its inner width is a quarter */
        VDN_CHECK(in_range(ctx, "channels of the bottleneck with msff",
                           c->condition[c->condition_levels - 1], 4, 4096));
    VDN_CHECK(in_range(ctx, "cond_up", c->condition_up, 0, VDNI_UPS - 1));
    VDN_CHECK(in_range(ctx, "cond_strides", c->condition_strides, 0, 1));
    VDN_CHECK(in_range(ctx, "cond_relu", c->condition_relu, 0, 1));
    VDN_CHECK(in_range(ctx, "cond_bias", c->condition_bias, 0, 1));
    VDN_CHECK(in_range(ctx, "deep_supervision", c->deep_supervision, 0, 1));
    VDN_CHECK(in_range(ctx, "mirror", c->mirror, 0, 1));
    return in_range(ctx, "condition_norm", c->condition_norm, 0, VDNI_CONDITION_NORMS - 1);
}

static vdn_status check_diffusion(vdn_ctx *ctx, const vdni_config *c)
{
    VDN_CHECK(in_range(ctx, "base", c->base, 2, 4096));
    VDN_CHECK(in_range(ctx, "base modulo 2", c->base % 2, 0, 0));
    VDN_CHECK(in_range(ctx, "levels", c->levels, 1, VDNI_MAX_LEVELS));
    for (int32_t l = 0; l < c->levels; l++)
        VDN_CHECK(in_range(ctx, "multiplier", c->multiplier[l], 1, 64));
    VDN_CHECK(in_range(ctx, "blocks", c->blocks, 1, 8));
    VDN_CHECK(in_range(ctx, "stem_down", c->stem_down, 1, 2));
    VDN_CHECK(in_range(ctx, "attention_level", c->attention_level, -1, c->levels - 1));
    VDN_CHECK(in_range(ctx, "head_width", c->head_width, 1, 256));
    VDN_CHECK(in_range(ctx, "middle channels modulo head_width",
                       vdni_level_width(c, c->levels - 1) % c->head_width, 0, 0));
    VDN_CHECK(in_range(ctx, "nsa", c->nsa, 0, VDNI_NSA_KINDS - 1));
    VDN_CHECK(in_range(ctx, "nsa_gate", c->nsa_shared, 0, 1));
    VDN_CHECK(in_range(ctx, "nsa_wrap", c->nsa_literal, 0, 1));
    VDN_CHECK(in_range(ctx, "fuse", c->fuse, 0, VDNI_FUSE_KINDS - 1));
    return in_range(ctx, "scale_shift", c->scale_shift, 0, 1);
}

static vdn_status refuse(vdn_ctx *ctx, const char *what)
{
    return vdni_fail(ctx, VDN_ERR_ARGUMENT, "configuration: %s", what);
}

/* Modes that do not go together. */
static vdn_status check_modes(vdn_ctx *ctx, const vdni_config *c)
{
    const int bernoulli = c->process == VDNI_PROCESS_BERNOULLI;
    const int gives_mask = c->param == VDNI_PARAM_X0 && !bernoulli;
    if (c->mirror && vdni_has_refiner(c))
        return refuse(ctx, "mirror 1 is for networks without a refiner");
    if (c->deep_supervision && c->network != VDNI_NETWORK_CONDITION)
        return refuse(ctx, "deep_supervision 1 is for the condition net alone");
    if (bernoulli && c->param != VDNI_PARAM_X0)
        return refuse(ctx, "process bernoulli has an output of its own: leave param at x0");
    if (c->process == VDNI_PROCESS_DDPM && c->param == VDNI_PARAM_LITERAL)
        return refuse(ctx, "param paper_literal is trained on the shifted process, not on ddpm");
    if (vdni_gives_noise(c) && c->schedule == VDNI_SCHEDULE_COSINE)
        return refuse(ctx, "param eps divides by the signal that is left, and the cosine schedule "
                           "leaves none: take linear");
    if (c->learn_sigma && !vdni_gives_noise(c))
        return refuse(ctx, "learn_sigma needs param eps or eps_bce");
    if (c->prior_skip && !gives_mask && c->param != VDNI_PARAM_LITERAL)
        return refuse(ctx, "prior_skip 1 adds mask logits to an output that is noise");
    if (c->norm_in && vdni_codes_zero_one(c))
        return refuse(ctx, "norm_in 1 is for masks coded +-signal_scale; param paper_literal and "
                           "process bernoulli code them 0 and 1");
    return VDN_OK;
}

static vdn_status check_process(vdn_ctx *ctx, const vdni_config *c)
{
    VDN_CHECK(in_range(ctx, "param", c->param, 0, VDNI_PARAM_KINDS - 1));
    VDN_CHECK(in_range(ctx, "process", c->process, 0, VDNI_PROCESSES - 1));
    VDN_CHECK(in_range(ctx, "learn_sigma", c->learn_sigma, 0, 1));
    VDN_CHECK(in_range(ctx, "prior_hard", c->prior_hard, 0, 1));
    VDN_CHECK(in_range(ctx, "norm_in", c->norm_in, 0, 1));
    VDN_CHECK(in_range(ctx, "schedule", c->schedule, 0, 1));
    VDN_CHECK(in_range(ctx, "time_steps", c->time_steps, 2, 100000));
    if (c->schedule == VDNI_SCHEDULE_LINEAR) /* beta_T = 20 / T must stay below 1 */
        VDN_CHECK(in_range(ctx, "time_steps of a linear schedule", c->time_steps, 21, 100000));
    if (!(c->signal_scale > 0.0 && c->signal_scale <= 10.0))
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "configuration field signal_scale is %g, needed above 0 to 10",
                         c->signal_scale);
    VDN_CHECK(in_range(ctx, "sample_steps", c->sample_steps, 1, c->time_steps));
    VDN_CHECK(in_range(ctx, "sample_start", c->sample_start, 1, c->time_steps));
    VDN_CHECK(in_range(ctx, "samples", c->samples, 1, 10000));
    if (!(c->eta >= 0.0 && c->eta <= 1.0))
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "configuration field eta is %g, needed 0 to 1",
                         c->eta);
    VDN_CHECK(in_range(ctx, "prior_skip", c->prior_skip, 0, 1));
    return check_modes(ctx, c);
}

/* Halvings of both U-Nets must fit the padding multiple, and the levels must meet. */
static vdn_status check_sizes(vdn_ctx *ctx, const vdni_config *c)
{
    const int32_t deepest =
        c->fuse == VDNI_FUSE_LEVEL_ADD ? c->levels - 1 : c->fuse == VDNI_FUSE_STEM_ADD ? 1 : 0;
    const int32_t deepest_fuse = deepest + vdni_fuse_offset(c);
    const int64_t condition_cut = (int64_t)1 << (c->condition_levels - 1);
    const int64_t diffusion_cut = (int64_t)c->stem_down << (c->levels - 1);
    if (vdni_has_refiner(c))
        VDN_CHECK(in_range(ctx, "condition level of the deepest fusion", deepest_fuse, 0,
                           c->condition_levels - 1));
    VDN_CHECK(in_range(ctx, "pad_multiple", c->pad_multiple, 1, 1024));
    VDN_CHECK(in_range(ctx, "pad_multiple modulo the condition halvings",
                       c->pad_multiple % condition_cut, 0, 0));
    if (!vdni_has_refiner(c)) return VDN_OK;
    return in_range(ctx, "pad_multiple modulo the diffusion halvings",
                    c->pad_multiple % diffusion_cut, 0, 0);
}

vdn_status vdni_config_check(vdn_ctx *ctx, const vdni_config *c)
{
    VDN_CHECK(in_range(ctx, "network", c->network, 0, VDNI_NETWORK_KINDS - 1));
    VDN_CHECK(in_range(ctx, "image_channels", c->image_channels, 1, 64));
    VDN_CHECK(in_range(ctx, "mask_channels", c->mask_channels, 1, VDN_MAX_CLASSES));
    VDN_CHECK(check_condition(ctx, c));
    VDN_CHECK(check_diffusion(ctx, c));
    VDN_CHECK(check_process(ctx, c));
    return check_sizes(ctx, c);
}
