#include "Net/config.h"

#include <stdio.h>
#include <string.h>

#define PROCESS                                                                                    \
    .image_channels = 1, .mask_channels = 1, .msfm = 1, .nsa = 1, .scale_shift = 1,                \
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
    VDN_CHECK(in_range(ctx, "condition_convolutions", c->condition_convolutions, 1, 8));
    VDN_CHECK(in_range(ctx, "msfm", c->msfm, 0, 1));
    VDN_CHECK(in_range(ctx, "msfm_width", c->msfm_width, 1, 4096));
    return in_range(ctx, "condition_norm", c->condition_norm, 0, 1);
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
    VDN_CHECK(in_range(ctx, "nsa", c->nsa, 0, 1));
    return in_range(ctx, "scale_shift", c->scale_shift, 0, 1);
}

static vdn_status check_process(vdn_ctx *ctx, const vdni_config *c)
{
    VDN_CHECK(in_range(ctx, "param", c->param, 0, 1));
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
    return in_range(ctx, "prior_skip", c->prior_skip, 0, 1);
}

/* Halvings of both U-Nets must fit the padding multiple, and the levels must meet. */
static vdn_status check_sizes(vdn_ctx *ctx, const vdni_config *c)
{
    const int32_t deepest_fuse = c->levels - 1 + vdni_fuse_offset(c);
    const int64_t condition_cut = (int64_t)1 << (c->condition_levels - 1);
    const int64_t diffusion_cut = (int64_t)c->stem_down << (c->levels - 1);
    VDN_CHECK(in_range(ctx, "condition level of the deepest fusion", deepest_fuse, 0,
                       c->condition_levels - 1));
    VDN_CHECK(in_range(ctx, "pad_multiple", c->pad_multiple, 1, 1024));
    VDN_CHECK(in_range(ctx, "pad_multiple modulo the condition halvings",
                       c->pad_multiple % condition_cut, 0, 0));
    return in_range(ctx, "pad_multiple modulo the diffusion halvings",
                    c->pad_multiple % diffusion_cut, 0, 0);
}

vdn_status vdni_config_check(vdn_ctx *ctx, const vdni_config *c)
{
    VDN_CHECK(in_range(ctx, "image_channels", c->image_channels, 1, 64));
    VDN_CHECK(in_range(ctx, "mask_channels", c->mask_channels, 1, VDN_MAX_CLASSES));
    VDN_CHECK(check_condition(ctx, c));
    VDN_CHECK(check_diffusion(ctx, c));
    VDN_CHECK(check_process(ctx, c));
    return check_sizes(ctx, c);
}
