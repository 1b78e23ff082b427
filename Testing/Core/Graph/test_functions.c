/* Shapes and types of what each function of graph.h makes, and what it refuses. */
#include "Graph/graph.h"

#include "net_test.h"

static vdn_ctx ctx;
static vdni_parameters table;
static vdni_graph *g;

static void begin(int32_t training)
{
    vdni_parameters_free(&ctx, &table);
    vdni_clear_error(&ctx);
    EXPECT_OK(&ctx, vdni_graph_create(&ctx, &g, &table, VDNI_F32, training));
    if (!g) exit(1);
}

static void end(void)
{
    vdni_graph_free(&ctx, g);
    vdni_parameters_free(&ctx, &table);
    EXPECT(ctx.now_bytes == 0);
}

static vdni_id input(int64_t n, int64_t h, int64_t w, int64_t c, vdni_dtype dtype)
{
    char name[32];
    const int64_t nhwc[4] = { n, h, w, c };
    (void)snprintf(name, sizeof name, "input%d", (int)g->tensor_count);
    return vdni_input(g, name, nhwc, dtype);
}

static vdni_id feature(int64_t h, int64_t w, int64_t c) { return input(2, h, w, c, VDNI_BF16); }
static vdni_id vector(int64_t c) { return input(2, 1, 1, c, VDNI_F32); }
static vdni_id weight(int64_t n, int64_t k, int64_t c) { return input(n, k, k, c, VDNI_F32); }

static int is(vdni_id id, int64_t n, int64_t h, int64_t w, int64_t c, vdni_dtype dtype)
{
    const vdni_tensor t = vdni_graph_get(g, id);
    const int ok = t.n == n && t.h == h && t.w == w && t.c == c && t.dtype == dtype;
    char text[96];
    if (!ok) printf("  %s %s\n", vdni_tensor_print(&t, text, sizeof text), ctx.error);
    return ok;
}

static const vdni_window three = { 3, 1, 1, 1 }, down = { 3, 2, 1, 1 }, wide = { 7, 1, 3, 9 };

static void convolutions(void)
{
    begin(0);
    const vdni_id x = feature(7, 10, 6), b = input(1, 1, 1, 5, VDNI_F32);
    const vdni_id y = vdni_conv(g, x, weight(5, 3, 6), b, VDNI_NONE, three, VDNI_BF16);
    EXPECT(is(y, 2, 7, 10, 5, VDNI_BF16));
    EXPECT(
        is(vdni_conv(g, x, weight(5, 3, 6), VDNI_NONE, y, three, VDNI_F32), 2, 7, 10, 5, VDNI_F32));
    EXPECT(
        is(vdni_conv(g, x, weight(5, 3, 6), b, VDNI_NONE, down, VDNI_BF16), 2, 4, 5, 5, VDNI_BF16));
    EXPECT(is(vdni_depthwise(g, x, weight(1, 7, 6), VDNI_NONE, wide), 2, 7, 10, 6, VDNI_BF16));
    EXPECT(is(vdni_linear(g, vector(6), input(9, 1, 1, 6, VDNI_F32), VDNI_NONE), 2, 1, 1, 9,
              VDNI_F32));
    EXPECT(vdni_graph_status(g) == VDN_OK);
    end();
}

static void norms_and_activations(void)
{
    begin(0);
    const vdni_id x = feature(5, 3, 8), p = input(1, 1, 1, 8, VDNI_F32);
    const vdni_id r = input(1, 1, 1, 16, VDNI_F32);
    EXPECT(is(vdni_norm(g, x, p, p, VDNI_NONE, 2, VDNI_ACT_SILU), 2, 5, 3, 8, VDNI_BF16));
    EXPECT(is(vdni_norm(g, x, p, p, vector(16), 8, VDNI_ACT_NONE), 2, 5, 3, 8, VDNI_BF16));
    EXPECT(is(vdni_batch_norm(g, x, p, p, r, VDNI_ACT_RELU), 2, 5, 3, 8, VDNI_BF16));
    EXPECT(is(vdni_activate(g, x, VDNI_ACT_ELU), 2, 5, 3, 8, VDNI_BF16));
    EXPECT(vdni_graph_status(g) == VDN_OK);
    end();
}

static void pools_and_sizes(void)
{
    for (int32_t training = 0; training < 2; training++) {
        begin(training);
        const vdni_id x = feature(6, 10, 8);
        EXPECT(is(vdni_max_pool(g, x), 2, 3, 5, 8, VDNI_BF16));
        EXPECT(is(vdni_max_pool_overlapping(g, feature(5, 10, 8)), 2, 3, 5, 8, VDNI_BF16));
        EXPECT(is(vdni_average_pool(g, x, 2, 2, 0, 0.0f), 2, 3, 5, 8, VDNI_BF16));
        EXPECT(is(vdni_average_pool(g, x, 5, 1, 2, 5.0f), 2, 6, 10, 8, VDNI_BF16));
        EXPECT(is(vdni_global_pool(g, x), 2, 1, 1, 8, VDNI_F32));
        EXPECT(is(vdni_channel_stats(g, x), 2, 6, 10, 2, VDNI_BF16));
        EXPECT(is(vdni_upsample(g, x, VDNI_UPSAMPLE_BILINEAR), 2, 12, 20, 8, VDNI_BF16));
        EXPECT(is(vdni_unshuffle(g, x, 2), 2, 3, 5, 32, VDNI_BF16));
        EXPECT(is(vdni_shuffle(g, x, 2), 2, 12, 20, 2, VDNI_BF16));
        EXPECT(vdni_graph_status(g) == VDN_OK);
        for (int64_t k = 0; k < g->node_count; k++) /* argmax only where a backward pass reads it */
            if (g->nodes[k].kind == VDNI_OP_MAX_POOL || g->nodes[k].kind == VDNI_OP_CHANNEL_STATS)
                EXPECT((g->nodes[k].out[1] != VDNI_NONE) == training);
        end();
    }
}

static void windows_and_layers(void)
{
    begin(0);
    const vdni_id x = feature(14, 7, 12), p = input(1, 1, 1, 12, VDNI_F32);
    const vdni_id table = input(1, 1, 169, 2, VDNI_F32);
    EXPECT(is(vdni_layer_norm(g, x, p, p), 2, 14, 7, 12, VDNI_BF16));
    EXPECT(is(vdni_window_attention(g, x, table, 7, 3, 2), 2, 14, 7, 4, VDNI_BF16));
    EXPECT(vdni_graph_status(g) == VDN_OK);
    end();
}

static void sums_and_products(void)
{
    begin(0);
    const vdni_id x = feature(6, 10, 8), m = input(2, 6, 10, 1, VDNI_F32);
    const vdni_id t = input(2, 6, 10, 2, VDNI_BF16), p = input(1, 1, 1, 8, VDNI_F32);
    const vdni_id list[6] = { x, m, t, x, x, x };
    EXPECT(is(vdni_add(g, x, x), 2, 6, 10, 8, VDNI_BF16));
    EXPECT(is(vdni_product(g, x, x, p, x), 2, 6, 10, 8, VDNI_BF16));
    EXPECT(is(vdni_product(g, x, x, VDNI_NONE, VDNI_NONE), 2, 6, 10, 8, VDNI_BF16));
    EXPECT(is(vdni_gate(g, x, x, t), 2, 6, 10, 8, VDNI_BF16));
    EXPECT(is(vdni_mix(g, x, x, m), 2, 6, 10, 8, VDNI_BF16));
    EXPECT(is(vdni_modulate(g, x, vector(16)), 2, 6, 10, 8, VDNI_BF16));
    EXPECT(is(vdni_modulate(g, x, vector(8)), 2, 6, 10, 8, VDNI_BF16));
    EXPECT(is(vdni_concat(g, list, 3, VDNI_F32), 2, 6, 10, 11, VDNI_F32));
    EXPECT(is(vdni_concat(g, list, 6, VDNI_BF16), 2, 6, 10, 35, VDNI_BF16));
    EXPECT(is(vdni_concat(g, &x, 1, VDNI_F32), 2, 6, 10, 8, VDNI_F32));
    EXPECT(is(vdni_sk_select(g, x, x, x, vector(24)), 2, 6, 10, 8, VDNI_BF16));
    EXPECT(is(vdni_attention(g, input(2, 4, 5, 24, VDNI_BF16), 4), 2, 4, 5, 8, VDNI_BF16));
    EXPECT(vdni_graph_status(g) == VDN_OK);
    end();
}

static void process_and_losses(void)
{
    begin(0);
    const vdni_id s = input(2, 6, 10, 3, VDNI_F32), c = vector(4),
                  target = input(2, 6, 10, 1, VDNI_U8);
    const vdni_id keys = input(2, 1, 1, 8, VDNI_I32), weights = vector(2);
    const vdni_id list[4] = { s, VDNI_NONE, s, VDNI_NONE };
    const int64_t nhwc[4] = { 2, 6, 10, 3 };
    const vdni_loss_weights lambda = { 1.0f, 1.0f, 1.0f, 0.0f, 0 };
    vdni_id p = VDNI_NONE;
    EXPECT(is(vdni_time_embedding(g, vector(1), 16), 2, 1, 1, 16, VDNI_F32));
    EXPECT(is(vdni_combine(g, c, list, 4), 2, 6, 10, 3, VDNI_F32));
    EXPECT(is(vdni_encode(g, s, 0.3f, 0, &p), 2, 6, 10, 3, VDNI_F32));
    EXPECT(is(p, 2, 6, 10, 3, VDNI_F32));
    EXPECT(is(vdni_encode(g, s, 0.3f, 1, NULL), 2, 6, 10, 3, VDNI_F32));
    const vdni_id noise = vdni_noise(g, keys, nhwc);
    EXPECT(is(noise, 2, 6, 10, 3, VDNI_F32));
    EXPECT(
        is(vdni_segmentation_loss(g, s, target, weights, VDNI_NONE, lambda), 2, 1, 1, 4, VDNI_F32));
    EXPECT(is(vdni_noise_loss(g, s, noise, target, weights), 2, 1, 1, 4, VDNI_F32));
    EXPECT(vdni_graph_status(g) == VDN_OK);
    end();
}

/* ---- refusals: each makes one call that cannot be ---- */

typedef vdni_id wrong(void);
static vdni_id conv_channels(void)
{
    return vdni_conv(g, feature(6, 8, 4), weight(5, 3, 6), VDNI_NONE, VDNI_NONE, three, VDNI_BF16);
}
static vdni_id conv_too_small(void)
{
    return vdni_conv(g, feature(2, 2, 6), weight(5, 7, 6), VDNI_NONE, VDNI_NONE,
                     (vdni_window){ 7, 1, 1, 0 }, VDNI_BF16);
}
static vdni_id conv_residual(void)
{
    return vdni_conv(g, feature(6, 8, 6), weight(5, 3, 6), VDNI_NONE, feature(6, 8, 6), three,
                     VDNI_BF16);
}
static vdni_id depthwise_channels(void)
{
    return vdni_depthwise(g, feature(6, 8, 4), weight(1, 3, 6), VDNI_NONE, three);
}
static vdni_id linear_width(void) { return vdni_linear(g, vector(5), weight(3, 1, 4), VDNI_NONE); }
static vdni_id norm_groups(void)
{
    const vdni_id p = input(1, 1, 1, 6, VDNI_F32);
    return vdni_norm(g, feature(4, 4, 6), p, p, VDNI_NONE, 4, VDNI_ACT_NONE);
}
static vdni_id add_shapes(void) { return vdni_add(g, feature(4, 4, 6), feature(4, 5, 6)); }
static vdni_id gate_maps(void)
{
    return vdni_gate(g, feature(4, 4, 6), feature(4, 4, 6), feature(4, 4, 3));
}
static vdni_id mix_map(void)
{
    return vdni_mix(g, feature(4, 4, 6), feature(4, 4, 6), feature(4, 4, 2));
}
static vdni_id modulate_width(void) { return vdni_modulate(g, feature(4, 4, 6), vector(7)); }
static vdni_id select_width(void)
{
    const vdni_id x = feature(4, 4, 6);
    return vdni_sk_select(g, x, x, x, vector(6));
}
static vdni_id attention_heads(void) { return vdni_attention(g, feature(4, 4, 24), 3); }
static vdni_id attention_thirds(void) { return vdni_attention(g, feature(4, 4, 25), 2); }
static vdni_id unshuffle_odd(void) { return vdni_unshuffle(g, feature(5, 4, 6), 2); }
static vdni_id shuffle_channels(void) { return vdni_shuffle(g, feature(4, 4, 6), 2); }
static vdni_id concat_sizes(void)
{
    const vdni_id x[2] = { feature(4, 4, 6), feature(4, 2, 6) };
    return vdni_concat(g, x, 2, VDNI_BF16);
}
static vdni_id concat_none(void) { return vdni_concat(g, NULL, 0, VDNI_BF16); }
static vdni_id concat_seven(void)
{
    vdni_id x[7];
    for (int i = 0; i < 7; i++) x[i] = feature(4, 4, 1);
    return vdni_concat(g, x, 7, VDNI_BF16);
}
static vdni_id combine_five(void)
{
    vdni_id x[5];
    for (int i = 0; i < 5; i++) x[i] = input(2, 4, 4, 1, VDNI_F32);
    return vdni_combine(g, vector(4), x, 5);
}
static vdni_id loss_target(void)
{
    return vdni_segmentation_loss(g, input(2, 4, 4, 1, VDNI_F32), input(2, 4, 5, 1, VDNI_U8),
                                  vector(2), VDNI_NONE, (vdni_loss_weights){ 1, 1, 1, 0, 0 });
}
static vdni_id embedding_odd(void) { return vdni_time_embedding(g, vector(1), 7); }
static vdni_id noise_keys(void)
{
    const int64_t nhwc[4] = { 2, 4, 4, 1 };
    return vdni_noise(g, input(2, 1, 1, 7, VDNI_I32), nhwc);
}

static void shapes_that_do_not_fit_are_refused_by_name(void)
{
    static const struct {
        wrong *call;
        const char *kind;
    } cases[] = {
        { conv_channels, "CONV: " },
        { conv_too_small, "CONV: " },
        { conv_residual, "CONV: " },
        { depthwise_channels, "DEPTHWISE: " },
        { linear_width, "LINEAR: " },
        { norm_groups, "NORM: " },
        { add_shapes, "ADD: " },
        { gate_maps, "GATE: " },
        { mix_map, "MIX: " },
        { modulate_width, "MODULATE: " },
        { select_width, "SK_SELECT: " },
        { attention_heads, "ATTENTION: " },
        { attention_thirds, "ATTENTION: " },
        { unshuffle_odd, "UNSHUFFLE: " },
        { shuffle_channels, "SHUFFLE: " },
        { concat_sizes, "CONCAT: " },
        { concat_none, "CONCAT of 0 " },
        { concat_seven, "CONCAT of 7 " },
        { combine_five, "COMBINE of 5 " },
        { loss_target, "SEGMENTATION_LOSS: " },
        { embedding_odd, "TIME_EMBEDDING: " },
        { noise_keys, "NOISE: " },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(1);
        EXPECT(cases[i].call() == VDNI_NONE);
        EXPECT(vdni_graph_status(g) == VDN_ERR_ARGUMENT);
        EXPECT(strncmp(ctx.error, cases[i].kind, strlen(cases[i].kind)) == 0);
        if (strncmp(ctx.error, cases[i].kind, strlen(cases[i].kind)) != 0)
            printf("  %s%s\n", cases[i].kind, ctx.error);
        end();
    }
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(convolutions);
    RUN(norms_and_activations);
    RUN(pools_and_sizes);
    RUN(windows_and_layers);
    RUN(sums_and_products);
    RUN(process_and_losses);
    RUN(shapes_that_do_not_fit_are_refused_by_name);
    return test_result();
}
