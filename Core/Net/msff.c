#include "Net/msff.h"

typedef struct {
    vdni_graph *g;
    const char *prefix;
    vdni_condition_norm norm;
} builder;

static vdni_id cna(const builder *b, const char *name, int32_t index, vdni_id x,
                   const vdni_conv_spec *spec)
{
    char conv[VDNI_PARAMETER_NAME_BYTES], norm[VDNI_PARAMETER_NAME_BYTES];
    vdni_child(conv, b->prefix, name, index);
    x = vdni_conv_block(b->g, vdni_child(norm, conv, "conv", -1), x, VDNI_NONE, spec);
    return vdni_condition_norm_block(b->g, vdni_child(norm, conv, "norm", -1), x, b->norm,
                                     VDNI_ACT_LEAKY_RELU);
}

static vdni_id linear(const builder *b, const char *name, vdni_id x, int64_t channels, int32_t bias)
{
    char child[VDNI_PARAMETER_NAME_BYTES];
    return vdni_linear_block(b->g, vdni_child(child, b->prefix, name, -1), x, channels, bias);
}

/* r, u_1, u_2, u_3. */
static void branches(const builder *b, vdni_id out[4], vdni_id x, int64_t width,
                     vdni_msff_kind kind)
{
    static const int32_t dilations[VDNI_MSFF_KINDS][3] = {
        [VDNI_MSFF_CASCADE] = { 1, 1, 1 },
        [VDNI_MSFF_DILATED] = { 1, 2, 4 },
        [VDNI_MSFF_ASPP] = { 6, 12, 18 },
    };
    const vdni_conv_spec reduce = { width, 1, 1, 0, VDNI_INIT_HE_NORMAL, 0, 1 };
    out[0] = cna(b, "reduce", -1, x, &reduce);
    for (int32_t k = 0; k < 3; k++) {
        const vdni_conv_spec spec = { width, 3, 1, 0, VDNI_INIT_HE_NORMAL, 0, dilations[kind][k] };
        out[k + 1] = cna(b, "scale", k, kind == VDNI_MSFF_CASCADE ? out[k] : out[0], &spec);
    }
}

/* Conv1 of [r, u_1, u_2, u_3, v] and its norm. */
static vdni_id join(const builder *b, const vdni_id parts[4], vdni_id v, int64_t channels)
{
    char name[VDNI_PARAMETER_NAME_BYTES];
    const vdni_conv_spec spec = { channels, 1, 1, 0, VDNI_INIT_HE_NORMAL, 0, 1 };
    const vdni_id all = vdni_concat(b->g, parts, 4, b->g->activation);
    vdni_id y =
        vdni_conv_block(b->g, vdni_child(name, b->prefix, "join", -1), all, VDNI_NONE, &spec);
    y = vdni_modulate(b->g, y, linear(b, "join_global", v, channels, 0));
    return vdni_group_norm_block(b->g, vdni_child(name, b->prefix, "norm", -1), y, VDNI_NONE,
                                 VDNI_ACT_NONE);
}

vdni_id vdni_msff(vdni_graph *g, const char *prefix, vdni_id x, const vdni_config *config)
{
    const builder b = { g, prefix, config->condition_norm };
    const int64_t channels = vdni_graph_get(g, x).c, width = channels / 4;
    vdni_id parts[4];

    branches(&b, parts, x, width, config->msff);
    const vdni_id v =
        vdni_activate(g, linear(&b, "global", vdni_global_pool(g, x), width, 1), VDNI_ACT_RELU);
    const vdni_id y = join(&b, parts, v, channels);
    vdni_id a = linear(&b, "squeeze", vdni_global_pool(g, y), width, 1);
    a = linear(&b, "gate", vdni_activate(g, a, VDNI_ACT_RELU), channels, 1);
    return vdni_add(g, x, vdni_scale(g, y, vdni_activate(g, a, VDNI_ACT_SIGMOID)));
}
