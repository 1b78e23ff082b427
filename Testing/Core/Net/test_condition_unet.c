#include "Net/condition_unet.h"

#include "graph_test.h"

static const char *const names[5] = { "unit", "tiny", "small", "base", "full" };

static vdni_condition build(bench *b, const vdni_config *config, int64_t h, int64_t w,
                            vdni_id *image)
{
    const int64_t nhwc[4] = { 1, h, w, config->image_channels };
    *image = vdni_input(b->g, "image", nhwc, VDNI_F32);
    return vdni_condition_unet(b->g, config, *image, NULL);
}

/* c_i is (h / 2^i, w / 2^i, F_i), logits are f32 of K channels: for every configuration, K, Cb,
 * with and without MSFM, either norm, f32 and bf16. */
static void features_have_the_shapes_of_the_design(void)
{
    for (int i = 0; i < 40; i++) {
        const vdni_dtype activation = i / 20 ? VDNI_BF16 : VDNI_F32;
        bench b;
        vdni_config config;
        vdni_id image;
        bench_begin(&b, activation, 0, VDNI_PREPARE_PLAIN);
        EXPECT(vdni_config_get(&b.ctx, &config, names[i % 5]) == VDN_OK);
        config.msfm = i / 5 % 2;
        config.condition_norm = i / 10 % 2 ? VDNI_CONDITION_BATCH : VDNI_CONDITION_INSTANCE;
        config.mask_channels = 1 + i % 3;
        config.image_channels = 1 + i % 2;
        const int64_t h = 3 * config.pad_multiple, w = 2 * config.pad_multiple;
        const vdni_condition c = build(&b, &config, h, w, &image);
        EXPECT_OK(&b.ctx, vdni_graph_status(b.g));
        for (int l = 0; l < config.condition_levels; l++) {
            const vdni_tensor t = vdni_graph_get(b.g, c.feature[l]);
            EXPECT(t.h == h >> l && t.w == w >> l && t.c == config.condition[l]);
            EXPECT(t.dtype == activation);
        }
        for (int l = config.condition_levels; l < VDNI_MAX_LEVELS; l++)
            EXPECT(c.feature[l] == VDNI_NONE);
        const vdni_tensor t = vdni_graph_get(b.g, c.logits);
        EXPECT(t.h == h && t.w == w && t.c == config.mask_channels && t.dtype == VDNI_F32);
        EXPECT((vdni_parameters_find(&b.table, "cond.msfm.squeeze.weight") >= 0) == config.msfm);
        bench_end(&b);
    }
}

/* No bias in front of an instance norm: twice the contrast changes the prior by no more than eps
 * does. */
static void contrast_does_not_change_the_prior(void)
{
    for (int32_t msfm = 0; msfm < 2; msfm++) {
        bench b;
        vdni_config config;
        vdni_id image;
        bench_begin(&b, VDNI_F32, 0, VDNI_PREPARE_PLAIN);
        EXPECT(vdni_config_get(&b.ctx, &config, "unit") == VDN_OK);
        config.msfm = msfm;
        const vdni_condition c = build(&b, &config, 16, 12, &image);
        const vdni_id logits = vdni_output(b.g, c.logits, "logits");
        if (bench_compile(&b)) {
            float before[192];
            bench_run(&b, VDNI_RUN_ALL);
            memcpy(before, bench_data(&b, logits), sizeof before);
            for (int i = 0; i < 192; i++) bench_data(&b, image)[i] *= 2.0f;
            bench_run(&b, VDNI_RUN_ALL);
            EXPECT_LE(net_distance(bench_data(&b, logits), before, 192), 1e-3);
            bench_data(&b, image)[50] += 1.0f;
            bench_run(&b, VDNI_RUN_ALL);
            EXPECT_LE(1e-2, net_distance(bench_data(&b, logits), before, 192));
        }
        bench_end(&b);
    }
}

static void a_size_that_does_not_halve_often_enough_is_refused(void)
{
    bench b;
    vdni_config config;
    vdni_id image;
    bench_begin(&b, VDNI_F32, 0, VDNI_PREPARE_PLAIN);
    EXPECT(vdni_config_get(&b.ctx, &config, "tiny") == VDN_OK);
    const vdni_condition c = build(&b, &config, 24, 16, &image);
    EXPECT(c.logits == VDNI_NONE && vdni_graph_status(b.g) == VDN_ERR_ARGUMENT);
    EXPECT(b.ctx.error[0] != '\0');
    bench_end(&b);
}

int main(void)
{
    RUN(features_have_the_shapes_of_the_design);
    RUN(contrast_does_not_change_the_prior);
    RUN(a_size_that_does_not_halve_often_enough_is_refused);
    return test_result();
}
