#include "Net/condition_unet.h"

#include "Net/deeplab.h"
#include "Net/fcn.h"
#include "Net/msff.h"
#include "Net/msfm.h"
#include "Net/swin.h"

/* `condition_convolutions` times Conv3 - Norm - LeakyReLU, the first with @p stride. */
static vdni_id stage(vdni_graph *g, const char *prefix, vdni_id x, const vdni_config *config,
                     int32_t channels, int32_t stride)
{
    char name[VDNI_PARAMETER_NAME_BYTES];
    const vdni_activation act = config->condition_relu ? VDNI_ACT_RELU : VDNI_ACT_LEAKY_RELU;
    for (int32_t j = 0; j < config->condition_convolutions; j++) {
        const vdni_conv_spec spec = { channels, 3, j == 0 ? stride : 1, config->condition_bias,
                                      VDNI_INIT_HE_NORMAL, 0, 1 };
        x = vdni_conv_block(g, vdni_child(name, prefix, "conv", j), x, VDNI_NONE, &spec);
        x = vdni_condition_norm_block(g, vdni_child(name, prefix, "norm", j), x,
                                      config->condition_norm, act);
    }
    return x;
}

/* What the decoder of level @p i reads: @p below doubled in size, then @p beside. */
static vdni_id join(vdni_graph *g, const vdni_config *config, int32_t i, vdni_id below,
                    vdni_id beside)
{
    char name[VDNI_PARAMETER_NAME_BYTES];
    if (config->condition_up == VDNI_UP_BILINEAR)
        return vdni_upsample_join(g, below, beside, VDNI_UPSAMPLE_BILINEAR);
    const vdni_id both[2] = { vdni_double_block(g, vdni_child(name, "cond", "up", i), below,
                                                config->condition[i],
                                                config->condition_up == VDNI_UP_TRANSPOSED_BIAS),
                              beside };
    return vdni_concat(g, both, 2, g->activation);
}

/* The feature of level i is ready. */
static void finish(vdni_graph *g, const vdni_config *config, vdni_condition *out, int32_t i,
                   vdni_id feature, vdni_cache *cache)
{
    out->feature[i] = feature;
    if (cache) vdni_condition_projection(g, config, cache, i, feature);
}

vdni_condition vdni_condition_unet(vdni_graph *g, const vdni_config *config, vdni_id image,
                                   vdni_cache *cache)
{
    char name[VDNI_PARAMETER_NAME_BYTES];
    const int32_t last = config->condition_levels - 1;
    const vdni_conv_spec head = { config->mask_channels, 1, 1, 1, VDNI_INIT_HE_NORMAL, 1, 1 };
    vdni_condition out;
    vdni_id encoded[VDNI_MAX_LEVELS] = { VDNI_NONE };

    for (int32_t i = 0; i < VDNI_MAX_LEVELS; i++) out.feature[i] = VDNI_NONE;
    switch (config->network) { /* a prior without features */
    case VDNI_NETWORK_FCN: out.logits = vdni_fcn(g, config, image); return out;
    case VDNI_NETWORK_DEEPLAB: out.logits = vdni_deeplab(g, config, image); return out;
    case VDNI_NETWORK_SWIN: out.logits = vdni_swin(g, config, image); return out;
    default: break;
    }
    vdni_id x = vdni_concat(g, &image, 1, g->activation); /* cast */
    if (config->msfm) x = vdni_msfm(g, "cond.msfm", x, config->condition[0], config);
    for (int32_t i = 0; i <= last; i++) {
        const int32_t strides = i > 0 && config->condition_strides;
        if (i > 0 && !strides) x = vdni_max_pool(g, x);
        x = stage(g, vdni_child(name, "cond", "enc", i), x, config, config->condition[i],
                  strides ? 2 : 1);
        if (i == last && config->msff != VDNI_MSFF_NONE)
            x = vdni_msff(g, "cond.msff", x, config);
        encoded[i] = x;
    }
    finish(g, config, &out, last, encoded[last], cache);
    for (int32_t i = last - 1; i >= 0; i--) {
        const vdni_id joined = join(g, config, i, out.feature[i + 1], encoded[i]);
        x = stage(g, vdni_child(name, "cond", "dec", i), joined, config, config->condition[i], 1);
        finish(g, config, &out, i, x, cache);
    }
    out.logits = vdni_conv_block(g, "cond.head", out.feature[0], VDNI_NONE, &head);
    return out;
}

void vdni_deep_scores(vdni_graph *g, const vdni_config *config, const vdni_condition *condition,
                      vdni_id scores[VDNI_MAX_LEVELS])
{
    char name[VDNI_PARAMETER_NAME_BYTES];
    const vdni_conv_spec head = { config->mask_channels, 1, 1, 1, VDNI_INIT_HE_NORMAL, 1, 1 };
    for (int32_t i = 0; i < VDNI_MAX_LEVELS; i++) {
        scores[i] = VDNI_NONE;
        if (i > 0 && i < vdni_supervised_levels(config))
            scores[i] = vdni_conv_block(g, vdni_child(name, "cond", "deep", i),
                                        condition->feature[i], VDNI_NONE, &head);
    }
}
