#include "Net/nsa.h"

static vdni_id depthwise(vdni_graph *g, const char *prefix, const char *name, vdni_id x,
                         vdni_window window)
{
    char child[VDNI_PARAMETER_NAME_BYTES];
    const int64_t c = vdni_graph_get(g, x).c, k = window.kernel;
    const int64_t weight[4] = { 1, k, k, c }, bias[4] = { 1, 1, 1, c };
    vdni_child(child, prefix, name, -1);
    const vdni_id w = vdni_block_parameter(g, child, ".weight", weight, VDNI_INIT_UNIFORM_FAN_IN,
                                           k * k);
    const vdni_id b =
        vdni_block_parameter(g, child, ".bias", bias, VDNI_INIT_UNIFORM_FAN_IN, k * k);
    return vdni_depthwise(g, x, w, b, window);
}

static vdni_id pointwise(vdni_graph *g, const char *prefix, const char *name, vdni_id x,
                         int64_t channels)
{
    char child[VDNI_PARAMETER_NAME_BYTES];
    const vdni_conv_spec spec = { channels, 1, 1, 1, VDNI_INIT_UNIFORM_FAN_IN, 0, 1 };
    return vdni_conv_block(g, vdni_child(child, prefix, name, -1), x, VDNI_NONE, &spec);
}

/* T = sigmoid(Conv7([mean_c, max_c] of [F', S'])). */
static vdni_id spatial_maps(vdni_graph *g, const char *prefix, vdni_id f, vdni_id s, int32_t maps)
{
    char child[VDNI_PARAMETER_NAME_BYTES];
    const vdni_conv_spec spec = { maps, 7, 1, 1, VDNI_INIT_UNIFORM_FAN_IN, 0, 1 };
    const vdni_id both[2] = { f, s };
    const vdni_id m = vdni_channel_stats(g, vdni_concat(g, both, 2, g->activation));
    const vdni_id t =
        vdni_conv_block(g, vdni_child(child, prefix, "gate", -1), m, VDNI_NONE, &spec);
    return vdni_activate(g, t, VDNI_ACT_SIGMOID);
}

/* g = sigmoid(Conv1(n)). MIX does not differentiate its map; GATE does, and is given g and 1 - g. */
static vdni_id mix_by_learned_map(vdni_graph *g, const char *prefix, vdni_id n, vdni_id fine,
                                  vdni_id coarse)
{
    char child[VDNI_PARAMETER_NAME_BYTES];
    static const float rest[2] = { -2.0f, 1.0f }; /* of MODULATE: (1 - 2) g + 1 */
    const vdni_conv_spec spec = { 1, 1, 1, 1, VDNI_INIT_UNIFORM_FAN_IN, 1, 1 };
    vdni_id maps[2];
    maps[0] = vdni_activate(
        g, vdni_conv_block(g, vdni_child(child, prefix, "select", -1), n, VDNI_NONE, &spec),
        VDNI_ACT_SIGMOID);
    if (!g->training) return vdni_mix(g, fine, coarse, maps[0]);
    maps[1] = vdni_modulate(g, maps[0], vdni_constant(g, vdni_graph_get(g, n).n, rest, 2));
    return vdni_gate(g, fine, coarse, vdni_concat(g, maps, 2, VDNI_F32));
}

/* F: the kernel that is chosen, or both by the gate or by a map of the block's own. */
static vdni_id fine_or_coarse(vdni_graph *g, const char *prefix, const vdni_config *config,
                              vdni_id n, vdni_id gate)
{
    const vdni_window three = { 3, 1, 1, 1 }, five = { 5, 1, 1, 2 };
    if (config->nsa == VDNI_NSA_K5) return depthwise(g, prefix, "dw5", n, five);
    const vdni_id fine = depthwise(g, prefix, "dw3", n, three);
    if (config->nsa == VDNI_NSA_K3) return fine;
    const vdni_id coarse = depthwise(g, prefix, "dw5", n, five);
    if (config->nsa == VDNI_NSA_SK) return mix_by_learned_map(g, prefix, n, fine, coarse);
    return vdni_mix(g, fine, coarse, gate);
}

vdni_id vdni_nsa(vdni_graph *g, const char *prefix, const vdni_config *config, vdni_id u,
                 vdni_id gate)
{
    char child[VDNI_PARAMETER_NAME_BYTES];
    const int64_t c = vdni_graph_get(g, u).c;
    const int64_t vector[4] = { 1, 1, 1, c };
    const vdni_id n = config->nsa_literal
                          ? u
                          : vdni_group_norm_block(g, vdni_child(child, prefix, "norm", -1), u,
                                                  VDNI_NONE, VDNI_ACT_NONE);
    const vdni_id f = fine_or_coarse(g, prefix, config, n, gate);
    const vdni_id s = depthwise(g, prefix, "dw7", f, (vdni_window){ 7, 1, 3, 9 });
    const vdni_id f_half = pointwise(g, prefix, "reduce_f", f, c / 2);
    const vdni_id s_half = pointwise(g, prefix, "reduce_s", s, c / 2);
    const vdni_id t = spatial_maps(g, prefix, f_half, s_half, config->nsa_shared ? 1 : 2);
    const vdni_id v = pointwise(g, prefix, "expand", vdni_gate(g, f_half, s_half, t), c);
    if (config->nsa_literal) return vdni_product(g, v, n, VDNI_NONE, VDNI_NONE);
    const vdni_id lambda =
        vdni_block_parameter(g, prefix, ".lambda", vector, VDNI_INIT_LAYER_SCALE, 0);
    return vdni_product(g, v, n, lambda, u);
}

vdni_id vdni_nsa_gate(vdni_graph *g, const vdni_config *config, vdni_id foreground, int32_t ds)
{
    const vdni_id p = ds > 1 ? vdni_average_pool(g, foreground, ds, ds, 0, 0.0f) : foreground;
    if (config->nsa == VDNI_NSA_MASK_HARD) return vdni_average_step(g, p, 5, 1, 2, 1.0f / 0.02f);
    return vdni_average_pool(g, p, 5, 1, 2, 1.0f / 0.2f);
}
