#include "Net/swin.h"

enum {
    STAGES = VDNI_SWIN_STAGES,
    BLOCKS = 2,
    PATCH = 4,
    WINDOW = 7,
    SHIFT = 3,
    HEADS = 3,
    MLP = 4
};

/* A linear layer on every pixel. */
static vdni_id dense(vdni_graph *g, const char *prefix, const char *name, vdni_id x,
                     vdni_id residual, int64_t channels, int32_t bias)
{
    char child[VDNI_PARAMETER_NAME_BYTES];
    const vdni_conv_spec spec = { channels, 1, 1, bias, VDNI_INIT_UNIFORM_FAN_IN, 0, 1 };
    return vdni_conv_block(g, vdni_child(child, prefix, name, -1), x, residual, &spec);
}

static vdni_id norm(vdni_graph *g, const char *prefix, const char *name, vdni_id x)
{
    char child[VDNI_PARAMETER_NAME_BYTES];
    const int64_t row[4] = { 1, 1, 1, vdni_graph_get(g, x).c };
    vdni_child(child, prefix, name, -1);
    const vdni_id gamma = vdni_block_parameter(g, child, ".gamma", row, VDNI_INIT_ONE, 0);
    const vdni_id beta = vdni_block_parameter(g, child, ".beta", row, VDNI_INIT_ZERO, 0);
    return vdni_layer_norm(g, x, gamma, beta);
}

/* Attention in windows, then two linear layers, each around a norm and beside a residual. */
static vdni_id block(vdni_graph *g, const char *prefix, vdni_id x, int32_t heads, int32_t shift)
{
    const int64_t c = vdni_graph_get(g, x).c, side = 2 * WINDOW - 1;
    const int64_t nhwc[4] = { 1, 1, side * side, heads };
    vdni_id h = dense(g, prefix, "qkv", norm(g, prefix, "norm0", x), VDNI_NONE, 3 * c, 1);
    const vdni_id table = vdni_block_parameter(g, prefix, ".position", nhwc, VDNI_INIT_ZERO, 0);
    h = vdni_window_attention(g, h, table, WINDOW, shift, heads);
    x = dense(g, prefix, "proj", h, x, c, 1);
    h = dense(g, prefix, "fc0", norm(g, prefix, "norm1", x), VDNI_NONE, MLP * c, 1);
    return dense(g, prefix, "fc1", vdni_activate(g, h, VDNI_ACT_GELU), x, c, 1);
}

static vdni_id stage(vdni_graph *g, const char *name, vdni_id x, int32_t level)
{
    char prefix[VDNI_PARAMETER_NAME_BYTES], child[VDNI_PARAMETER_NAME_BYTES];
    vdni_child(prefix, "cond", name, level);
    for (int32_t i = 0; i < BLOCKS; i++)
        x = block(g, vdni_child(child, prefix, "block", i), x, HEADS << level, i % 2 ? SHIFT : 0);
    return x;
}

/* Half the size, twice the channels. */
static vdni_id merge(vdni_graph *g, vdni_id x, int32_t level)
{
    char prefix[VDNI_PARAMETER_NAME_BYTES];
    const int64_t c = vdni_graph_get(g, x).c;
    vdni_child(prefix, "cond", "merge", level);
    return dense(g, prefix, "reduce", norm(g, prefix, "norm", vdni_unshuffle(g, x, 2)), VDNI_NONE,
                 2 * c, 0);
}

/* @p factor times the size, @p channels. */
static vdni_id expand(vdni_graph *g, const char *prefix, vdni_id x, int32_t factor,
                      int64_t channels)
{
    x = dense(g, prefix, "widen", x, VDNI_NONE, channels * factor * factor, 0);
    return norm(g, prefix, "norm", vdni_shuffle(g, x, factor));
}

vdni_id vdni_swin(vdni_graph *g, const vdni_config *config, vdni_id image)
{
    char name[VDNI_PARAMETER_NAME_BYTES];
    const int32_t *c = config->condition, last = STAGES - 1;
    const vdni_conv_spec head = { config->mask_channels, 1, 1, 0, VDNI_INIT_UNIFORM_FAN_IN, 1, 1 };
    vdni_id entered[STAGES], x = vdni_concat(g, &image, 1, g->activation); /* cast */

    x = dense(g, "cond", "patch", vdni_unshuffle(g, x, PATCH), VDNI_NONE, c[0], 1);
    x = norm(g, "cond", "patch_norm", x);
    for (int32_t i = 0; i < STAGES; i++) {
        entered[i] = x;
        x = stage(g, "enc", x, i);
        if (i < last) x = merge(g, x, i);
    }
    x = norm(g, "cond", "middle_norm", x);
    for (int32_t i = last - 1; i >= 0; i--) {
        const vdni_id up = expand(g, vdni_child(name, "cond", "up", i), x, 2, c[i]);
        const vdni_id both[2] = { up, entered[i] };
        x = dense(g, vdni_child(name, "cond", "join", i), "linear",
                  vdni_concat(g, both, 2, g->activation), VDNI_NONE, c[i], 1);
        x = stage(g, "dec", x, i);
    }
    x = expand(g, "cond.last", norm(g, "cond", "last_norm", x), PATCH, c[0]);
    return vdni_conv_block(g, "cond.head", x, VDNI_NONE, &head);
}
