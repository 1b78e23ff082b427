#include "Train/settings.h"

#include "net_test.h"

static vdn_ctx ctx;

typedef struct {
    vdni_config config;
    vdni_recipe recipe;
    int64_t steps;
    vdn_status status;
} result;

static result apply(const char *recipe, const char *text, int32_t k)
{
    result r;
    const vdni_settings settings = { .recipe = recipe, .text = text, .title = "preset.json" };
    memset(&r, 0, sizeof r);
    vdni_clear_error(&ctx);
    EXPECT(vdni_config_get(&ctx, &r.config, "tiny") == VDN_OK);
    r.config.mask_channels = k;
    r.status = vdni_settings_apply(&ctx, &r.config, &r.recipe, &r.steps, &settings);
    EXPECT(ctx.now_bytes == 0);
    return r;
}

static void without_settings_the_recipe_stands(void)
{
    static const char *const names[] = { "recommended", "paper" };
    for (int i = 0; i < 4; i++) {
        vdni_config config;
        vdni_recipe recipe;
        int64_t steps = 0;
        const result r = apply(names[i % 2], i / 2 ? "{}" : NULL, 1);
        EXPECT(vdni_config_get(&ctx, &config, "tiny") == VDN_OK);
        EXPECT_OK(&ctx, vdni_recipe_get(&ctx, &recipe, &config, &steps, names[i % 2]));
        EXPECT(r.status == VDN_OK && r.steps == 9000);
        EXPECT(memcmp(&r.config, &config, sizeof config) == 0);
        EXPECT(r.recipe.lr.base == recipe.lr.base && r.recipe.detach == recipe.detach);
        EXPECT(r.recipe.seg.form == VDNI_SEG_CE);
    }
}

static void settings_stand_above_the_recipe(void)
{
    const result r = apply("paper",
                           "{\"norm\":\"instance\",\"prior_skip\":1,\"signal_scale\":0.5,\"lr\":0.25,"
                           "\"snr_clip\":null,\"loss_seg\":\"sa_effnum\",\"sa_scope\":\"ema0.99\","
                           "\"cond_detach\":1,\"prior_warmup\":7,\"steps\":50,\"S\":20,\"N\":3}",
                           3);
    EXPECT(r.status == VDN_OK && r.steps == 50 && r.recipe.lr.steps == 50);
    EXPECT(r.config.condition_norm == VDNI_CONDITION_INSTANCE && r.config.prior_skip == 1);
    EXPECT(r.config.signal_scale == 0.5 && r.config.sample_steps == 20 && r.config.samples == 3);
    EXPECT(r.recipe.lr.base == 0.25 && isinf(r.recipe.snr_clip) && r.recipe.detach == 1);
    EXPECT(r.recipe.seg.form == VDNI_SEG_SA_EFFNUM && r.recipe.seg.scope == VDNI_SIZE_AVERAGE);
    EXPECT(r.recipe.prior_warmup == 7 && r.recipe.batch == 1);
}

static void the_second_paper_has_a_name(void)
{
    const result r = apply("recommended", "{\"network\":\"msff\"}", 4);
    EXPECT(r.status == VDN_OK && r.config.network == VDNI_NETWORK_CONDITION);
    EXPECT(r.config.msfm == 0 && r.config.msff == VDNI_MSFF_CASCADE);
    EXPECT(r.recipe.seg.form == VDNI_SEG_SA_INVPOW);
    const result other =
        apply("recommended", "{\"loss_seg\":\"ce\",\"network\":\"msff\",\"msff\":\"aspp\"}", 4);
    EXPECT(other.status == VDN_OK && other.config.msff == VDNI_MSFF_ASPP);
    EXPECT(other.recipe.seg.form == VDNI_SEG_CE);
    EXPECT(apply("recommended", "{\"network\":\"condition\"}", 1).recipe.seg.form == VDNI_SEG_CE);
}

static void a_baseline_brings_its_training(void)
{
    const result nn = apply("recommended", "{\"network\":\"nnunet2d\"}", 3);
    EXPECT(nn.status == VDN_OK && nn.recipe.optimizer == VDNI_OPTIMIZER_SGD);
    EXPECT(nn.recipe.beta1 == 0.99 && nn.recipe.lr.kind == VDNI_LR_POLY && nn.recipe.lr.base == 1e-2);
    EXPECT(nn.config.deep_supervision == 1 && nn.config.mirror == 1);
    const result own = apply("recommended", "{\"opt\":\"adam\",\"network\":\"nnunet2d\",\"mirror\":0}", 3);
    EXPECT(own.status == VDN_OK && own.recipe.optimizer == VDNI_OPTIMIZER_ADAM);
    EXPECT(own.config.mirror == 0 && own.config.deep_supervision == 1);
    const result med = apply("paper", "{\"network\":\"medsegdiff\"}", 1);
    EXPECT(med.status == VDN_OK && med.recipe.prior_mse == 10.0 && med.recipe.prior_ce == 0.0);
    EXPECT(apply("paper", NULL, 1).recipe.optimizer == VDNI_OPTIMIZER_ADAM);
    EXPECT(apply("recommended", NULL, 1).recipe.optimizer == VDNI_OPTIMIZER_ADAMW);
}

static void what_cannot_be_is_refused_with_its_name(void)
{
    static const char *const cases[][2] = {
        { "{\"loss\":\"ce\"}", "'loss'" },
        { "{\"network\":\"resnet\"}", "verdiff, condition, msff, unet, nnunet2d, fcn8s" },
        { "{\"network\":1}", "network" },
        { "{\"msff\":\"yes\"}", "none, cascade, dilated, aspp" },
        { "{\"msfm\":2}", "msfm" },
        { "{\"signal_scale\":0}", "signal_scale" },
        { "{\"loss_seg\":\"bce\"}", "loss_seg" },
        { "{\"sa_beta\":1}", "sa_beta" },
        { "{\"sa_gamma\":-1}", "sa_gamma" },
        { "{\"batch\":0}", "batch" },
        { "{\"ema\":1}", "ema" },
        { "{\"prior_drop\":1.5}", "prior_drop" },
        { "{\"cond_detach\":0}", "prior_warmup" },
        { "{\"opt\":\"lion\"}", "adamw, adam, sgd" },
        { "{\"prior_mse\":-1}", "prior_mse" },
        { "{\"mirror\":1}", "mirror" },
        { "{\"deep_supervision\":1}", "deep_supervision" },
        { "{\"steps\":0}", "steps" },
        { "{\"S\":2000}", "sample_steps" },
        { "[]", "object" },
        { "{", "preset.json" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const result r = apply("recommended", cases[i][0], 3);
        EXPECT(r.status == VDN_ERR_FORMAT || r.status == VDN_ERR_ARGUMENT);
        EXPECT(strstr(ctx.error, cases[i][1]) != NULL);
        if (!strstr(ctx.error, cases[i][1])) printf("  %s: %s\n", cases[i][0], ctx.error);
    }
}

static void the_recipe_is_written_with_its_keys(void)
{
    char *text = NULL, copy[4096];
    vdni_json_writer w;
    const result r = apply("recommended", "{\"loss_seg\":\"sa_focal\"}", 3);
    vdni_json_begin(&w, &ctx, 0);
    vdni_json_open_object(&w, NULL);
    vdni_settings_put_recipe(&w, &r.recipe);
    vdni_json_close(&w);
    EXPECT_OK(&ctx, vdni_json_finish(&w, &text, NULL));
    EXPECT(strstr(text, "\"loss_seg\":\"sa_focal\"") && strstr(text, "\"snr_clip\":5"));
    (void)snprintf(copy, sizeof copy, "%s", text);
    vdni_free(&ctx, text);
    const result again = apply("paper", copy, 3); /* what was written is a preset */
    EXPECT(again.status == VDN_OK && again.recipe.batch == 8 && again.recipe.dice == 1.0);
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(without_settings_the_recipe_stands);
    RUN(settings_stand_above_the_recipe);
    RUN(the_second_paper_has_a_name);
    RUN(a_baseline_brings_its_training);
    RUN(what_cannot_be_is_refused_with_its_name);
    RUN(the_recipe_is_written_with_its_keys);
    return test_result();
}
