#include "Net/diffusion_unet.h"

#include "Net/nsa.h"

void vdni_cache_clear(vdni_cache *cache)
{
    for (int32_t l = 0; l < VDNI_MAX_LEVELS; l++) cache->projection[l] = cache->gate[l] = VDNI_NONE;
    cache->part[0] = cache->part[1] = VDNI_NONE;
}

/* Both features are there, in whichever order they came. */
static void add_to_stem(vdni_graph *g, const vdni_config *config, vdni_cache *cache)
{
    const vdni_conv_spec spec = { config->base, 1, 1, 1, VDNI_INIT_UNIFORM_FAN_IN, 0, 1 };
    if (cache->part[0] == VDNI_NONE || cache->part[1] == VDNI_NONE) return;
    const vdni_id parts[3] = { cache->part[0], cache->part[0],
                               vdni_upsample(g, cache->part[1], VDNI_UPSAMPLE_BILINEAR) };
    vdni_id all = vdni_concat(g, parts, 3, g->activation);
    if (vdni_graph_get(g, all).c != config->base)
        all = vdni_conv_block(g, "diff.fuse0", all, VDNI_NONE, &spec);
    cache->projection[0] = all;
}

void vdni_condition_projection(vdni_graph *g, const vdni_config *config, vdni_cache *cache,
                               int32_t i, vdni_id feature)
{
    char name[VDNI_PARAMETER_NAME_BYTES];
    const int32_t l = i - vdni_fuse_offset(config);
    if (!vdni_reads_feature(config, i)) return;
    if (config->fuse == VDNI_FUSE_STEM_ADD) {
        cache->part[l] = feature;
        add_to_stem(g, config, cache);
        return;
    }
    const vdni_conv_spec spec = { vdni_level_in(config, l), 1, 1, 1, VDNI_INIT_UNIFORM_FAN_IN, 0, 1 };
    cache->projection[l] =
        vdni_conv_block(g, vdni_child(name, "diff", "fuse", l), feature, VDNI_NONE, &spec);
}

void vdni_condition_gates(vdni_graph *g, const vdni_config *config, vdni_cache *cache,
                          vdni_id foreground)
{
    for (int32_t l = 0; vdni_has_gates(config) && l < config->levels; l++)
        cache->gate[l] = vdni_nsa_gate(g, config, foreground, config->stem_down << l);
}

vdni_cache vdni_condition_cache(vdni_graph *g, const vdni_config *config, const vdni_id *feature,
                                vdni_id foreground)
{
    vdni_cache cache;
    vdni_cache_clear(&cache);
    for (int32_t i = 0; i < config->condition_levels; i++)
        vdni_condition_projection(g, config, &cache, i, feature[i]);
    vdni_condition_gates(g, config, &cache, foreground);
    return cache;
}

/* SiLU(e): every RES block applies SiLU to e before its linear layer, so it is done once. */
static vdni_id time_mlp(vdni_graph *g, const vdni_config *config, vdni_id t)
{
    const int64_t width = 4 * (int64_t)config->base;
    vdni_id e = vdni_time_embedding(g, t, config->base);
    e = vdni_activate(g, vdni_linear_block(g, "diff.time.linear0", e, width, 1), VDNI_ACT_SILU);
    return vdni_activate(g, vdni_linear_block(g, "diff.time.linear1", e, width, 1), VDNI_ACT_SILU);
}

typedef struct {
    vdni_graph *g;
    const vdni_config *config;
    vdni_id embedding;
    vdni_id skips[VDNI_MAX_LEVELS * 16]; /* last in, first out */
    int32_t skip_count;
} builder;

static vdni_id push(builder *b, vdni_id h)
{
    b->skips[b->skip_count++] = h;
    return h;
}

static int has_attention(const vdni_config *config, int32_t level)
{
    return config->attention_level >= 0 && level == config->attention_level;
}

static vdni_id residual(builder *b, const char *prefix, const char *name, int32_t index, vdni_id h,
                        int64_t channels)
{
    char child[VDNI_PARAMETER_NAME_BYTES];
    return vdni_residual_block(b->g, vdni_child(child, prefix, name, index), h, b->embedding,
                               channels, b->config->scale_shift);
}

static vdni_id attention(builder *b, const char *prefix, const char *name, int32_t index, vdni_id h)
{
    char child[VDNI_PARAMETER_NAME_BYTES];
    return vdni_attention_block(b->g, vdni_child(child, prefix, name, index), h,
                                b->config->head_width);
}

static vdni_id encoder_level(builder *b, int32_t level, vdni_id h, const vdni_cache *cache)
{
    char prefix[VDNI_PARAMETER_NAME_BYTES], name[VDNI_PARAMETER_NAME_BYTES];
    const vdni_config *config = b->config;
    const int32_t width = vdni_level_width(config, level);
    const vdni_conv_spec down = { width, 3, 2, 1, VDNI_INIT_UNIFORM_FAN_IN, 0, 1 };

    vdni_child(prefix, "diff", "enc", level);
    if (vdni_fuses_at(config, level)) h = vdni_add(b->g, h, cache->projection[level]);
    if (config->nsa != VDNI_NSA_NONE)
        h = vdni_nsa(b->g, vdni_child(name, prefix, "nsa", -1), config, h, cache->gate[level]);
    for (int32_t r = 0; r < config->blocks; r++) {
        h = residual(b, prefix, "res", r, h, width);
        if (has_attention(config, level)) h = attention(b, prefix, "att", r, h);
        push(b, h);
    }
    if (level == config->levels - 1) return h;
    return push(b, vdni_conv_block(b->g, vdni_child(name, prefix, "down", -1), h, VDNI_NONE,
                                   &down));
}

static vdni_id decoder_level(builder *b, int32_t level, vdni_id h)
{
    char prefix[VDNI_PARAMETER_NAME_BYTES], name[VDNI_PARAMETER_NAME_BYTES];
    const vdni_config *config = b->config;
    const int32_t width = vdni_level_width(config, level);
    const vdni_conv_spec up = { width, 3, 1, 1, VDNI_INIT_UNIFORM_FAN_IN, 0, 1 };

    vdni_child(prefix, "diff", "dec", level);
    for (int32_t r = 0; r <= config->blocks; r++) {
        const vdni_id both[2] = { h, b->skips[--b->skip_count] };
        h = vdni_concat(b->g, both, 2, b->g->activation);
        h = residual(b, prefix, "res", r, h, width);
        if (has_attention(config, level)) h = attention(b, prefix, "att", r, h);
    }
    if (level == 0) return h;
    h = vdni_upsample(b->g, h, VDNI_UPSAMPLE_NEAREST);
    return vdni_conv_block(b->g, vdni_child(name, prefix, "up", -1), h, VDNI_NONE, &up);
}

/* u = [x_t, f, b], x_t scaled with norm_in, folded by stem_down, to B channels. */
static vdni_id stem(vdni_graph *g, const vdni_config *config, const vdni_step_inputs *in)
{
    const vdni_conv_spec spec = { config->base, 3, 1, 1, VDNI_INIT_UNIFORM_FAN_IN, 0, 1 };
    const vdni_id x = config->norm_in ? vdni_combine(g, in->scale, &in->x, 1) : in->x;
    const vdni_id parts[3] = { x, in->prior, in->image };
    vdni_id u = vdni_concat(g, parts, 3, g->activation);
    if (config->stem_down > 1) u = vdni_unshuffle(g, u, config->stem_down);
    return vdni_conv_block(g, "diff.stem", u, VDNI_NONE, &spec);
}

static vdni_id head(vdni_graph *g, const vdni_config *config, vdni_id h)
{
    const int32_t fold = config->stem_down * config->stem_down;
    const vdni_conv_spec spec = { (int64_t)vdni_output_channels(config) * fold, 3, 1, 1, VDNI_INIT_ZERO,
                                  1, 1 };
    h = vdni_group_norm_block(g, "diff.out.norm", h, VDNI_NONE, VDNI_ACT_SILU);
    h = vdni_conv_block(g, "diff.out.conv", h, VDNI_NONE, &spec);
    return config->stem_down > 1 ? vdni_shuffle(g, h, config->stem_down) : h;
}

vdni_id vdni_diffusion_unet(vdni_graph *g, const vdni_config *config, const vdni_step_inputs *in,
                            const vdni_cache *cache)
{
    const int32_t deepest = config->levels - 1;
    const int32_t width = vdni_level_width(config, deepest);
    builder b = { .g = g, .config = config, .embedding = time_mlp(g, config, in->t) };

    vdni_id h = push(&b, stem(g, config, in));
    for (int32_t l = 0; l <= deepest; l++) h = encoder_level(&b, l, h, cache);
    h = residual(&b, "diff.mid", "res", 0, h, width);
    h = attention(&b, "diff.mid", "att", -1, h);
    h = residual(&b, "diff.mid", "res", 1, h, width);
    for (int32_t l = deepest; l >= 0; l--) h = decoder_level(&b, l, h);
    h = head(g, config, h);
    return in->skip == VDNI_NONE ? h : vdni_add(g, h, in->skip);
}
