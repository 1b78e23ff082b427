#include "Net/condition_unet.h"

#include "Net/msfm.h"

/* `condition_convolutions` times Conv3 - Norm - LeakyReLU. */
static vdni_id stage(vdni_graph *g, const char *prefix, vdni_id x, const vdni_config *config,
                     int32_t channels)
{
    char name[VDNI_PARAMETER_NAME_BYTES];
    const vdni_conv_spec spec = { channels, 3, 1, 0, VDNI_INIT_HE_NORMAL, 0 };
    for (int32_t j = 0; j < config->condition_convolutions; j++) {
        x = vdni_conv_block(g, vdni_child(name, prefix, "conv", j), x, VDNI_NONE, &spec);
        x = vdni_condition_norm_block(g, vdni_child(name, prefix, "norm", j), x,
                                      config->condition_norm, VDNI_ACT_LEAKY_RELU);
    }
    return x;
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
    const vdni_conv_spec head = { config->mask_channels, 1, 1, 1, VDNI_INIT_HE_NORMAL, 1 };
    vdni_condition out;
    vdni_id encoded[VDNI_MAX_LEVELS] = { VDNI_NONE };

    vdni_id x = vdni_concat(g, &image, 1, g->activation); /* cast */
    if (config->msfm) x = vdni_msfm(g, "cond.msfm", x, config->condition[0], config);
    for (int32_t i = 0; i <= last; i++) {
        if (i > 0) x = vdni_max_pool(g, x);
        x = stage(g, vdni_child(name, "cond", "enc", i), x, config, config->condition[i]);
        encoded[i] = x;
    }
    for (int32_t i = 0; i < VDNI_MAX_LEVELS; i++) out.feature[i] = VDNI_NONE;
    finish(g, config, &out, last, encoded[last], cache);
    for (int32_t i = last - 1; i >= 0; i--) {
        const vdni_id joined =
            vdni_upsample_join(g, out.feature[i + 1], encoded[i], VDNI_UPSAMPLE_BILINEAR);
        x = stage(g, vdni_child(name, "cond", "dec", i), joined, config, config->condition[i]);
        finish(g, config, &out, i, x, cache);
    }
    out.logits = vdni_conv_block(g, "cond.head", out.feature[0], VDNI_NONE, &head);
    return out;
}
