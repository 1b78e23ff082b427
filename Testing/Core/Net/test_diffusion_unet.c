#include "Net/diffusion_unet.h"

#include "graph_test.h"

static const char *const names[5] = { "unit", "tiny", "small", "base", "full" };

typedef struct {
    bench b;
    vdni_config config;
    vdni_step_inputs in;
    vdni_id feature[VDNI_MAX_LEVELS], foreground;
    vdni_cache cache;
    vdni_id out;
} net;

static void begin(net *n, const char *name, vdni_dtype activation)
{
    bench_begin(&n->b, activation, 0, VDNI_PREPARE_PLAIN);
    EXPECT(vdni_config_get(&n->b.ctx, &n->config, name) == VDN_OK);
}

/* The net on h x w pixels with inputs for everything it reads. */
static void build(net *n, int64_t h, int64_t w)
{
    const int64_t mask[4] = { 1, h, w, n->config.mask_channels }, one[4] = { 1, 1, 1, 1 };
    const int64_t four[4] = { 1, 1, 1, 4 };
    const int64_t image[4] = { 1, h, w, n->config.image_channels }, plane[4] = { 1, h, w, 1 };
    vdni_graph *g = n->b.g;
    for (int i = 0; i < n->config.condition_levels; i++) {
        char name[32];
        const int64_t nhwc[4] = { 1, h >> i, w >> i, n->config.condition[i] };
        (void)snprintf(name, sizeof name, "c%d", i);
        n->feature[i] = vdni_input(g, name, nhwc, g->activation);
    }
    n->foreground = vdni_input(g, "foreground", plane, VDNI_F32);
    n->cache = vdni_condition_cache(g, &n->config, n->feature, n->foreground);
    n->in.x = vdni_input(g, "x", mask, VDNI_F32);
    n->in.prior = vdni_input(g, "prior", mask, VDNI_F32);
    n->in.image = vdni_input(g, "image", image, VDNI_F32);
    n->in.skip = n->config.prior_skip ? vdni_input(g, "skip", mask, VDNI_F32) : VDNI_NONE;
    n->in.t = vdni_input(g, "t", one, VDNI_F32);
    n->in.scale = n->config.norm_in ? vdni_input(g, "scale", four, VDNI_F32) : VDNI_NONE;
    n->out = vdni_output(g, vdni_diffusion_unet(g, &n->config, &n->in, &n->cache), "out");
}

static void shapes_are_those_of_the_design(void)
{
    for (int i = 0; i < 20; i++) {
        const vdni_dtype activation = i / 10 ? VDNI_BF16 : VDNI_F32;
        net n;
        begin(&n, names[i % 5], activation);
        n.config.mask_channels = 1 + i % 3;
        n.config.image_channels = 1 + i % 2;
        n.config.nsa = i / 5 % 2;
        n.config.scale_shift = i % 2;
        const int64_t h = 2 * n.config.pad_multiple, w = 3 * n.config.pad_multiple;
        build(&n, h, w);
        EXPECT_OK(&n.b.ctx, vdni_graph_status(n.b.g));
        const vdni_tensor out = vdni_graph_get(n.b.g, n.out);
        EXPECT(out.h == h && out.w == w && out.c == n.config.mask_channels &&
               out.dtype == VDNI_F32);
        for (int l = 0; l < n.config.levels; l++) {
            const int64_t ds = (int64_t)n.config.stem_down << l;
            const vdni_tensor p = vdni_graph_get(n.b.g, n.cache.projection[l]);
            const vdni_tensor g = vdni_graph_get(n.b.g, n.cache.gate[l]);
            EXPECT(p.h == h / ds && p.w == w / ds && p.c == vdni_level_in(&n.config, l));
            EXPECT(p.dtype == activation);
            if (n.config.nsa)
                EXPECT(g.h == h / ds && g.w == w / ds && g.c == 1 && g.dtype == VDNI_F32);
            else
                EXPECT(n.cache.gate[l] == VDNI_NONE);
        }
        bench_end(&n.b);
    }
}

/* Attention inside a level is behind every RES block of its encoder and decoder, and in the
 * middle. */
static void attention_is_where_the_design_has_it(void)
{
    static const struct {
        const char *name;
        int blocks;
    } cases[] = { { "unit", 1 }, { "tiny", 1 }, { "small", 1 }, { "base", 4 }, { "full", 6 } };
    for (int i = 0; i < 5; i++) {
        net n;
        int found = 0;
        begin(&n, cases[i].name, VDNI_F32);
        build(&n, n.config.pad_multiple, n.config.pad_multiple);
        for (int64_t k = 0; k < n.b.g->node_count; k++)
            found += n.b.g->nodes[k].kind == VDNI_OP_ATTENTION;
        EXPECT(found == cases[i].blocks);
        EXPECT(vdni_parameters_find(&n.b.table, "diff.mid.att.qkv.weight") >= 0);
        if (i == 3) EXPECT(vdni_parameters_find(&n.b.table, "diff.dec4.att1.qkv.weight") >= 0);
        bench_end(&n.b);
    }
}

/* Start values: the head is zero, so the output is the skip, or zero without one. */
static void a_new_net_gives_the_prior_back(void)
{
    for (int32_t skip = 0; skip < 2; skip++) {
        net n;
        begin(&n, "tiny", VDNI_F32);
        n.config.prior_skip = skip;
        build(&n, 32, 48);
        if (bench_compile(&n.b)) {
            vdni_parameters_initialize(&n.b.table, n.b.values, 1);
            bench_run(&n.b, VDNI_RUN_ALL);
            for (int i = 0; i < 32 * 48; i++)
                EXPECT(bench_data(&n.b, n.out)[i] ==
                       (skip ? bench_data(&n.b, n.in.skip)[i] : 0.0f));
        }
        bench_end(&n.b);
    }
}

/* Every input reaches the output of a net with random parameters. */
static void every_input_matters(void)
{
    net n;
    begin(&n, "unit", VDNI_F32);
    build(&n, 16, 12);
    if (bench_compile(&n.b)) {
        const vdni_id inputs[] = { n.in.x,       n.in.prior,   n.in.image,  n.in.skip,
                                   n.foreground, n.feature[0], n.feature[1] };
        float before[192];
        bench_data(&n.b, n.in.t)[0] = 100.0f;
        for (int i = 0; i < 192; i++) bench_data(&n.b, n.foreground)[i] *= 0.1f; /* gates below 1 */
        bench_run(&n.b, VDNI_RUN_ALL);
        memcpy(before, bench_data(&n.b, n.out), sizeof before);
        for (size_t k = 0; k < sizeof inputs / sizeof inputs[0]; k++) {
            float *x = bench_data(&n.b, inputs[k]);
            const float kept = x[40];
            x[40] += 1.0f;
            bench_run(&n.b, VDNI_RUN_ALL);
            EXPECT_LE(1e-4, net_distance(bench_data(&n.b, n.out), before, 192));
            x[40] = kept;
        }
        bench_data(&n.b, n.in.t)[0] = 101.0f;
        bench_run(&n.b, VDNI_RUN_ALL);
        EXPECT_LE(1e-4, net_distance(bench_data(&n.b, n.out), before, 192));
    }
    bench_end(&n.b);
}

/* norm_in: the net sees x times its scale, and nothing else is scaled. */
static void the_scale_is_of_the_state_alone(void)
{
    float out[2][192], inputs[5][3072];
    for (int32_t scaled = 0; scaled < 2; scaled++) {
        net n;
        begin(&n, "unit", VDNI_F32);
        n.config.norm_in = scaled;
        build(&n, 16, 12);
        if (bench_compile(&n.b)) {
            const vdni_id ids[5] = { n.in.prior, n.in.image, n.in.skip, n.feature[0], n.feature[1] };
            for (int k = 0; k < 5; k++) { /* the second net is given what the first was */
                const int64_t bytes = vdni_tensor_bytes(vdni_plan_tensor(n.b.plan, ids[k]));
                float *x = bench_data(&n.b, ids[k]);
                EXPECT(bytes <= (int64_t)sizeof inputs[k]);
                memcpy(scaled ? x : inputs[k], scaled ? inputs[k] : x, (size_t)bytes);
            }
            for (int i = 0; i < 192; i++) {
                bench_data(&n.b, n.in.x)[i] = (float)(i % 17 - 8) * (scaled ? 0.5f : 1.25f);
                bench_data(&n.b, n.foreground)[i] = 0.01f * (float)(i % 9);
            }
            if (scaled) bench_data(&n.b, n.in.scale)[0] = 2.5f;
            bench_data(&n.b, n.in.t)[0] = 100.0f;
            bench_run(&n.b, VDNI_RUN_ALL);
            memcpy(out[scaled], bench_data(&n.b, n.out), sizeof out[scaled]);
        }
        bench_end(&n.b);
    }
    EXPECT(memcmp(out[0], out[1], sizeof out[0]) == 0);
}

static void a_size_that_does_not_halve_often_enough_is_refused(void)
{
    net n;
    begin(&n, "tiny", VDNI_F32);
    build(&n, 24, 16);
    EXPECT(n.out == VDNI_NONE && vdni_graph_status(n.b.g) == VDN_ERR_ARGUMENT);
    bench_end(&n.b);
}

int main(void)
{
    RUN(shapes_are_those_of_the_design);
    RUN(attention_is_where_the_design_has_it);
    RUN(a_new_net_gives_the_prior_back);
    RUN(every_input_matters);
    RUN(the_scale_is_of_the_state_alone);
    RUN(a_size_that_does_not_halve_often_enough_is_refused);
    return test_result();
}
