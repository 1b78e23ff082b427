#include "Net/fcn.h"

enum { STAGES = 5 };

static vdni_id conv_relu(vdni_graph *g, const char *name, vdni_id x, int32_t channels,
                         int32_t kernel)
{
    const vdni_conv_spec spec = { channels, kernel, 1, 1, VDNI_INIT_HE_NORMAL, 0, 1 };
    return vdni_activate(g, vdni_conv_block(g, name, x, VDNI_NONE, &spec), VDNI_ACT_RELU);
}

static vdni_id score(vdni_graph *g, const char *name, vdni_id x, int32_t classes)
{
    const vdni_conv_spec spec = { classes, 1, 1, 1, VDNI_INIT_HE_NORMAL, 1, 1 };
    return vdni_conv_block(g, name, x, VDNI_NONE, &spec);
}

/* Scores at twice the size: transposed 4 x 4 with stride 2, plus those of @p skip. */
static vdni_id climb(vdni_graph *g, const char *name, vdni_id scores, vdni_id skip)
{
    const int64_t k = vdni_graph_get(g, scores).c, nhwc[4] = { k, 4, 4, k };
    const vdni_window window = { 4, 2, 1, 1 };
    const vdni_id w = vdni_block_parameter(g, name, ".weight", nhwc, VDNI_INIT_HE_NORMAL, 4 * k);
    return vdni_add(g, vdni_conv_transposed(g, scores, w, window, VDNI_F32), skip);
}

vdni_id vdni_fcn(vdni_graph *g, const vdni_config *config, vdni_id image)
{
    static const int32_t depth[STAGES] = { 2, 2, 3, 3, 3 };
    char stage[VDNI_PARAMETER_NAME_BYTES], name[VDNI_PARAMETER_NAME_BYTES];
    const int32_t k = config->mask_channels, wide = config->condition[STAGES];
    vdni_id pooled[STAGES], x = vdni_concat(g, &image, 1, g->activation); /* cast */

    for (int32_t i = 0; i < STAGES; i++) {
        vdni_child(stage, "cond", "stage", i);
        for (int32_t j = 0; j < depth[i]; j++)
            x = conv_relu(g, vdni_child(name, stage, "conv", j), x, config->condition[i], 3);
        x = pooled[i] = vdni_max_pool(g, x);
    }
    x = conv_relu(g, "cond.fc6", x, wide, 7);
    x = conv_relu(g, "cond.fc7", x, wide, 1);
    x = score(g, "cond.score", x, k);
    x = climb(g, "cond.up0", x, score(g, "cond.score4", pooled[3], k));
    x = climb(g, "cond.up1", x, score(g, "cond.score3", pooled[2], k));
    for (int i = 0; i < 3; i++) x = vdni_upsample(g, x, VDNI_UPSAMPLE_BILINEAR);
    return x;
}
