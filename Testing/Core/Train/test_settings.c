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

static void every_part_of_the_training_has_its_keys(void)
{
    const result r = apply("recommended",
                           "{\"msfm_width\":12,\"msfm_norm\":\"none\",\"nsa\":\"sk\",\"norm_in\":1,"
                           "\"eta\":0.5,\"t_draw\":\"uniform\",\"train_t0\":600,"
                           "\"start_state_p\":0.125}",
                           3);
    EXPECT(r.status == VDN_OK && r.config.msfm_width == 12);
    EXPECT(r.config.msfm_norm == VDNI_MSFM_NO_NORM && r.config.nsa == VDNI_NSA_SK);
    EXPECT(r.config.norm_in == 1 && r.config.eta == 0.5);
    EXPECT(r.recipe.time_draw == VDNI_TIMES_UNIFORM && r.recipe.latest_time == 600);
    EXPECT(r.recipe.start_state == 0.125);
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
        { "{\"nsa\":\"lsk\"}", "none, mask_soft, mask_hard, k3, k5, sk" },
        { "{\"norm_in\":2}", "norm_in" },
        { "{\"eta\":1.5}", "eta" },
        { "{\"eta\":null}", "eta" },
        { "{\"msfm_norm\":\"bn\"}", "ln, none" },
        { "{\"msfm_width\":0}", "msfm_width" },
        { "{\"t_draw\":\"plain\"}", "stratified, uniform" },
        { "{\"norm_in\":1,\"param\":\"paper_literal\"}", "norm_in 1" },
        { "{\"norm_in\":1,\"process\":\"bernoulli\"}", "norm_in 1" },
        { "{\"train_t0\":499}", "train_t0 499 is below t0 500" },
        { "{\"train_t0\":1001}", "train_t0" },
        { "{\"start_state_p\":1.25}", "start_state_p" },
        { "{\"start_state_p\":0.25,\"param\":\"eps\"}", "means the prior" },
        { "{\"start_state_p\":0.25,\"param\":\"eps_bce\"}", "means the prior" },
        { "{\"start_state_p\":0.25,\"param\":\"paper_literal\"}", "begins at plain noise" },
        { "{\"train_t0\":500,\"param\":\"paper_literal\"}", "below t0 1000" },
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

/* The recipe as text. */
static void write_recipe(char out[4096], const vdni_recipe *recipe)
{
    char *text = NULL;
    vdni_json_writer w;
    vdni_json_begin(&w, &ctx, 0);
    vdni_json_open_object(&w, NULL);
    vdni_settings_put_recipe(&w, recipe);
    vdni_json_close(&w);
    EXPECT_OK(&ctx, vdni_json_finish(&w, &text, NULL));
    (void)snprintf(out, 4096, "%s", text ? text : "");
    vdni_free(&ctx, text);
}

/* A recipe that does not use them is written as before there were such keys: its checkpoints resume. */
static void later_keys_are_written_where_they_are_used(void)
{
    const result plain = apply("recommended", "{\"train_t0\":0,\"start_state_p\":0}", 1);
    const result used = apply("recommended", "{\"train_t0\":500,\"start_state_p\":0.25}", 1);
    EXPECT(plain.status == VDN_OK && used.status == VDN_OK);
    EXPECT(used.recipe.latest_time == 500 && used.recipe.start_state == 0.25);
    char text[4096];
    write_recipe(text, &plain.recipe);
    EXPECT(!strstr(text, "train_t0") && !strstr(text, "start_state_p"));
    write_recipe(text, &used.recipe);
    EXPECT(strstr(text, "\"train_t0\":500") && strstr(text, "\"start_state_p\":0.25"));
    EXPECT(apply("recommended", text, 1).status == VDN_OK);
    EXPECT(apply("paper", text, 1).status == VDN_ERR_ARGUMENT); /* whose t0 is 1000 */
}

/* Where the sampler begins at the prior the state has a meaning; without a refiner nothing asks for it. */
static void a_start_state_goes_with_masks_and_flips(void)
{
    static const char *const texts[] = {
        "{\"start_state_p\":0.25}", "{\"start_state_p\":0.25,\"process\":\"ddpm\"}",
        "{\"start_state_p\":1,\"process\":\"bernoulli\"}",
        "{\"start_state_p\":0.25,\"train_t0\":300,\"t0\":300}",
        "{\"start_state_p\":0.25,\"train_t0\":100,\"network\":\"condition\"}",
        "{\"train_t0\":700,\"param\":\"eps\"}"
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        EXPECT(apply("recommended", texts[i], 1).status == VDN_OK);
        if (ctx.error[0]) printf("  %s: %s\n", texts[i], ctx.error);
    }
}

static void the_recipe_is_written_with_its_keys(void)
{
    char text[4096];
    const result r = apply("recommended", "{\"loss_seg\":\"sa_focal\"}", 3);
    write_recipe(text, &r.recipe);
    EXPECT(strstr(text, "\"loss_seg\":\"sa_focal\"") && strstr(text, "\"snr_clip\":5"));
    const result again = apply("paper", text, 3); /* what was written is a preset */
    EXPECT(again.status == VDN_OK && again.recipe.batch == 8 && again.recipe.dice == 1.0);
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(without_settings_the_recipe_stands);
    RUN(settings_stand_above_the_recipe);
    RUN(every_part_of_the_training_has_its_keys);
    RUN(the_second_paper_has_a_name);
    RUN(a_baseline_brings_its_training);
    RUN(what_cannot_be_is_refused_with_its_name);
    RUN(later_keys_are_written_where_they_are_used);
    RUN(a_start_state_goes_with_masks_and_flips);
    RUN(the_recipe_is_written_with_its_keys);
    return test_result();
}
