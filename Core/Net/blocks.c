#include "Net/blocks.h"

#include <stdio.h>

const char *vdni_child(char *out, const char *prefix, const char *name, int32_t index)
{
    if (index < 0)
        (void)snprintf(out, VDNI_PARAMETER_NAME_BYTES, "%s.%s", prefix, name);
    else
        (void)snprintf(out, VDNI_PARAMETER_NAME_BYTES, "%s.%s%d", prefix, name, (int)index);
    return out;
}

vdni_id vdni_block_parameter(vdni_graph *g, const char *prefix, const char *suffix,
                             const int64_t nhwc[4], vdni_init init, int64_t fan_in)
{
    char name[2 * VDNI_PARAMETER_NAME_BYTES];
    (void)snprintf(name, sizeof name, "%s%s", prefix, suffix);
    return vdni_parameter_of(g, name, nhwc, init, fan_in);
}

static vdni_id vector_parameter(vdni_graph *g, const char *prefix, const char *suffix, int64_t c,
                                vdni_init init, int64_t fan_in)
{
    const int64_t nhwc[4] = { 1, 1, 1, c };
    return vdni_block_parameter(g, prefix, suffix, nhwc, init, fan_in);
}

vdni_id vdni_conv_block(vdni_graph *g, const char *prefix, vdni_id x, vdni_id residual,
                        const vdni_conv_spec *spec)
{
    const int64_t ci = vdni_graph_get(g, x).c;
    const int64_t nhwc[4] = { spec->channels, spec->kernel, spec->kernel, ci };
    const int64_t fan_in = ci * spec->kernel * spec->kernel;
    const int32_t dilation = spec->dilation > 0 ? spec->dilation : 1;
    const vdni_window window = { spec->kernel, spec->stride, dilation,
                                 dilation * (spec->kernel / 2) };
    const vdni_id w = vdni_block_parameter(g, prefix, ".weight", nhwc, spec->init, fan_in);
    const vdni_id b = !spec->bias ? VDNI_NONE
                                  : vector_parameter(g, prefix, ".bias", spec->channels,
                                                     spec->init, fan_in);
    return vdni_conv(g, x, w, b, residual, window, spec->f32 ? VDNI_F32 : g->activation);
}

vdni_id vdni_linear_block(vdni_graph *g, const char *prefix, vdni_id x, int64_t channels,
                          int32_t bias)
{
    const int64_t ci = vdni_graph_get(g, x).c;
    const int64_t nhwc[4] = { channels, 1, 1, ci };
    const vdni_id w =
        vdni_block_parameter(g, prefix, ".weight", nhwc, VDNI_INIT_UNIFORM_FAN_IN, ci);
    const vdni_id b = bias ? vector_parameter(g, prefix, ".bias", channels,
                                              VDNI_INIT_UNIFORM_FAN_IN, ci)
                           : VDNI_NONE;
    return vdni_linear(g, x, w, b);
}

vdni_id vdni_group_norm_block(vdni_graph *g, const char *prefix, vdni_id x, vdni_id mod,
                              vdni_activation act)
{
    const int64_t c = vdni_graph_get(g, x).c;
    const vdni_id gamma = vector_parameter(g, prefix, ".gamma", c, VDNI_INIT_ONE, 0);
    const vdni_id beta = vector_parameter(g, prefix, ".beta", c, VDNI_INIT_ZERO, 0);
    return vdni_norm(g, x, gamma, beta, mod, vdni_norm_groups(c), act);
}

vdni_id vdni_condition_norm_block(vdni_graph *g, const char *prefix, vdni_id x,
                                  vdni_condition_norm kind, vdni_activation act)
{
    const int64_t c = vdni_graph_get(g, x).c;
    if (kind == VDNI_CONDITION_NO_NORM) return vdni_activate(g, x, act);
    const vdni_id gamma = vector_parameter(g, prefix, ".gamma", c, VDNI_INIT_ONE, 0);
    const vdni_id beta = vector_parameter(g, prefix, ".beta", c, VDNI_INIT_ZERO, 0);
    if (kind == VDNI_CONDITION_INSTANCE)
        return vdni_norm(g, x, gamma, beta, VDNI_NONE, (int32_t)c, act);
    /* [mean, variance]; the variance starts at 0 here and is set to 1 by vdni_model_create. */
    const vdni_id running = vector_parameter(g, prefix, ".running", 2 * c, VDNI_INIT_ZERO, 0);
    return vdni_batch_norm(g, x, gamma, beta, running, act);
}

vdni_id vdni_double_block(vdni_graph *g, const char *prefix, vdni_id x, int64_t channels,
                          int32_t bias)
{
    const int64_t ci = vdni_graph_get(g, x).c, nhwc[4] = { ci, 2, 2, channels };
    const vdni_window window = { 2, 2, 1, 0 };
    const vdni_id w = vdni_block_parameter(g, prefix, ".weight", nhwc, VDNI_INIT_HE_NORMAL, ci);
    const vdni_id y = vdni_conv_transposed(g, x, w, window, g->activation);
    if (!bias) return y;
    return vdni_bias(g, y, vector_parameter(g, prefix, ".bias", channels, VDNI_INIT_ZERO, 0));
}

vdni_id vdni_residual_block(vdni_graph *g, const char *prefix, vdni_id x, vdni_id embedding,
                            int64_t channels, int32_t scale_shift)
{
    char name[VDNI_PARAMETER_NAME_BYTES];
    const vdni_conv_spec first = { channels, 3, 1, 1, VDNI_INIT_UNIFORM_FAN_IN, 0, 1 };
    const vdni_conv_spec second = { channels, 3, 1, 1, VDNI_INIT_ZERO, 0, 1 };
    const vdni_conv_spec skip = { channels, 1, 1, 1, VDNI_INIT_UNIFORM_FAN_IN, 0, 1 };

    /* The skip first: without a backward pass nothing but the norm reads x then, in place. */
    const vdni_id beside =
        vdni_graph_get(g, x).c == channels
            ? x
            : vdni_conv_block(g, vdni_child(name, prefix, "skip", -1), x, VDNI_NONE, &skip);
    vdni_id h = vdni_group_norm_block(g, vdni_child(name, prefix, "norm", 0), x, VDNI_NONE,
                                      VDNI_ACT_SILU);
    h = vdni_conv_block(g, vdni_child(name, prefix, "conv", 0), h, VDNI_NONE, &first);
    vdni_id mod = vdni_linear_block(g, vdni_child(name, prefix, "emb", -1), embedding,
                                    scale_shift ? 2 * channels : channels, 1);
    if (!scale_shift) {
        h = vdni_modulate(g, h, mod);
        mod = VDNI_NONE;
    }
    h = vdni_group_norm_block(g, vdni_child(name, prefix, "norm", 1), h, mod, VDNI_ACT_SILU);
    return vdni_conv_block(g, vdni_child(name, prefix, "conv", 1), h, beside, &second);
}

vdni_id vdni_attention_block(vdni_graph *g, const char *prefix, vdni_id x, int32_t head_width)
{
    char name[VDNI_PARAMETER_NAME_BYTES];
    const int64_t c = vdni_graph_get(g, x).c;
    const vdni_conv_spec qkv = { 3 * c, 1, 1, 1, VDNI_INIT_UNIFORM_FAN_IN, 0, 1 };
    const vdni_conv_spec proj = { c, 1, 1, 1, VDNI_INIT_ZERO, 0, 1 };

    vdni_id h = vdni_group_norm_block(g, vdni_child(name, prefix, "norm", -1), x, VDNI_NONE,
                                      VDNI_ACT_NONE);
    h = vdni_conv_block(g, vdni_child(name, prefix, "qkv", -1), h, VDNI_NONE, &qkv);
    h = vdni_attention(g, h, (int32_t)(c / head_width));
    return vdni_conv_block(g, vdni_child(name, prefix, "proj", -1), h, x, &proj);
}
