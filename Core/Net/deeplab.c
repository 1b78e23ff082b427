#include "Net/deeplab.h"

enum { STAGES = 4, RATES = 3 };

typedef struct {
    int64_t channels;
    int32_t kernel, stride, dilation;
} window;

/* Convolution without bias, group norm, activation. */
static vdni_id cna(vdni_graph *g, const char *prefix, vdni_id x, window k, vdni_activation act)
{
    char name[VDNI_PARAMETER_NAME_BYTES];
    const vdni_conv_spec spec = { k.channels,          k.kernel, k.stride,  0,
                                  VDNI_INIT_HE_NORMAL, 0,        k.dilation };
    x = vdni_conv_block(g, vdni_child(name, prefix, "conv", -1), x, VDNI_NONE, &spec);
    return vdni_group_norm_block(g, vdni_child(name, prefix, "norm", -1), x, VDNI_NONE, act);
}

static vdni_id bottleneck(vdni_graph *g, const char *prefix, vdni_id x, window k)
{
    char name[VDNI_PARAMETER_NAME_BYTES];
    const int64_t inside = k.channels / 4;
    vdni_id beside = x;
    if (k.stride != 1 || vdni_graph_get(g, x).c != k.channels)
        beside = cna(g, vdni_child(name, prefix, "skip", -1), x,
                     (window){ k.channels, 1, k.stride, 1 }, VDNI_ACT_NONE);
    x = cna(g, vdni_child(name, prefix, "reduce", -1), x, (window){ inside, 1, 1, 1 },
            VDNI_ACT_RELU);
    x = cna(g, vdni_child(name, prefix, "middle", -1), x,
            (window){ inside, 3, k.stride, k.dilation }, VDNI_ACT_RELU);
    x = cna(g, vdni_child(name, prefix, "expand", -1), x, (window){ k.channels, 1, 1, 1 },
            VDNI_ACT_NONE);
    return vdni_activate(g, vdni_add(g, x, beside), VDNI_ACT_RELU);
}

static vdni_id backbone(vdni_graph *g, const vdni_config *config, vdni_id x)
{
    static const int32_t depth[STAGES] = { 3, 4, 6, 3 }, strides[STAGES] = { 1, 2, 2, 1 };
    char stage[VDNI_PARAMETER_NAME_BYTES], name[VDNI_PARAMETER_NAME_BYTES];
    x = cna(g, "cond.stem", x, (window){ config->condition[0], 7, 2, 1 }, VDNI_ACT_RELU);
    x = vdni_max_pool_overlapping(g, x);
    for (int32_t i = 0; i < STAGES; i++) {
        vdni_child(stage, "cond", "stage", i);
        for (int32_t j = 0; j < depth[i]; j++)
            x = bottleneck(g, vdni_child(name, stage, "block", j), x,
                           (window){ config->condition[i + 1], 1, j == 0 ? strides[i] : 1,
                                     i == STAGES - 1 ? 2 : 1 });
    }
    return x;
}

/* The image's mean through a 1x1 convolution of its own: (n,1,1,channels). */
static vdni_id mean_branch(vdni_graph *g, vdni_id x, int64_t channels)
{
    const vdni_id mean = vdni_linear_block(g, "cond.mean", vdni_global_pool(g, x), channels, 0);
    return vdni_group_norm_block(g, "cond.mean.norm", mean, VDNI_NONE, VDNI_ACT_RELU);
}

static vdni_id pyramid(vdni_graph *g, vdni_id x, int64_t channels)
{
    static const int32_t rates[RATES] = { 6, 12, 18 };
    const vdni_conv_spec join = { channels, 1, 1, 0, VDNI_INIT_HE_NORMAL, 0, 1 };
    char name[VDNI_PARAMETER_NAME_BYTES];
    vdni_id parts[1 + RATES];

    parts[0] = cna(g, "cond.atrous0", x, (window){ channels, 1, 1, 1 }, VDNI_ACT_RELU);
    for (int32_t i = 0; i < RATES; i++)
        parts[1 + i] = cna(g, vdni_child(name, "cond", "atrous", i + 1), x,
                           (window){ channels, 3, 1, rates[i] }, VDNI_ACT_RELU);
    const vdni_id mean = mean_branch(g, x, channels);
    const vdni_id all = vdni_concat(g, parts, 1 + RATES, g->activation);
    x = vdni_conv_block(g, "cond.join", all, VDNI_NONE, &join);
    x = vdni_modulate(g, x, vdni_linear_block(g, "cond.join_mean", mean, channels, 0));
    return vdni_group_norm_block(g, "cond.join.norm", x, VDNI_NONE, VDNI_ACT_RELU);
}

vdni_id vdni_deeplab(vdni_graph *g, const vdni_config *config, vdni_id image)
{
    const vdni_conv_spec score = { config->mask_channels, 1, 1, 1, VDNI_INIT_HE_NORMAL, 1, 1 };
    const int64_t channels = config->condition[1];
    vdni_id x = vdni_concat(g, &image, 1, g->activation); /* cast */

    x = pyramid(g, backbone(g, config, x), channels);
    x = cna(g, "cond.last", x, (window){ channels, 3, 1, 1 }, VDNI_ACT_RELU);
    x = vdni_conv_block(g, "cond.score", x, VDNI_NONE, &score);
    for (int i = 0; i < 4; i++) x = vdni_upsample(g, x, VDNI_UPSAMPLE_BILINEAR);
    return x;
}
