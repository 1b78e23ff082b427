#include "Net/msfm.h"

static vdni_id branch(vdni_graph *g, const char *prefix, vdni_id image, int64_t channels,
                      int32_t kernel, vdni_condition_norm norm)
{
    char name[VDNI_PARAMETER_NAME_BYTES];
    const vdni_conv_spec spec = { channels, kernel, 1, 0, VDNI_INIT_HE_NORMAL, 0, 1 };
    const vdni_id u = vdni_conv_block(g, vdni_child(name, prefix, "conv", kernel), image,
                                      VDNI_NONE, &spec);
    return vdni_condition_norm_block(g, vdni_child(name, prefix, "norm", kernel), u, norm,
                                     VDNI_ACT_RELU);
}

/* z = ELU(LN(W_z s)), or without LN: a group norm of one group on a (n,1,1,d) vector. */
static vdni_id squeeze(vdni_graph *g, const char *prefix, vdni_id s, const vdni_config *config)
{
    const int64_t width = config->msfm_width;
    char name[VDNI_PARAMETER_NAME_BYTES];
    const int64_t vector[4] = { 1, 1, 1, width };
    const vdni_id z = vdni_linear_block(g, vdni_child(name, prefix, "squeeze", -1), s, width, 0);
    if (config->msfm_norm == VDNI_MSFM_NO_NORM) return vdni_activate(g, z, VDNI_ACT_ELU);
    vdni_child(name, prefix, "norm", -1);
    const vdni_id gamma = vdni_block_parameter(g, name, ".gamma", vector, VDNI_INIT_ONE, 0);
    const vdni_id beta = vdni_block_parameter(g, name, ".beta", vector, VDNI_INIT_ZERO, 0);
    return vdni_norm(g, z, gamma, beta, VDNI_NONE, 1, VDNI_ACT_ELU);
}

vdni_id vdni_msfm(vdni_graph *g, const char *prefix, vdni_id image, int64_t channels,
                  const vdni_config *config)
{
    char name[VDNI_PARAMETER_NAME_BYTES];
    const vdni_condition_norm norm = config->condition_norm;
    const vdni_id u3 = branch(g, prefix, image, channels, 3, norm);
    const vdni_id u5 = branch(g, prefix, image, channels, 5, norm);
    const vdni_id u7 = branch(g, prefix, image, channels, 7, norm);
    const vdni_id s = vdni_add(g, vdni_add(g, vdni_global_pool(g, u3), vdni_global_pool(g, u5)),
                               vdni_global_pool(g, u7));
    const vdni_id z = squeeze(g, prefix, s, config);
    const vdni_id logits =
        vdni_linear_block(g, vdni_child(name, prefix, "select", -1), z, 3 * channels, 0);
    return vdni_sk_select(g, u3, u5, u7, logits);
}
