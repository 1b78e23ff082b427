#include "Train/recipe.h"

#include "Tensor/pad.h"
#include "net_test.h"

static vdn_ctx ctx;

static vdni_recipe get(const char *name, const char *config_name, vdni_config *config,
                       int64_t *steps)
{
    vdni_recipe r;
    memset(&r, 0, sizeof r);
    EXPECT(vdni_config_get(&ctx, config, config_name) == VDN_OK);
    EXPECT_OK(&ctx, vdni_recipe_get(&ctx, &r, config, steps, name));
    return r;
}

/* Appendix B of the design, column by column. */
static void the_recommended_recipe_is_that_of_the_design(void)
{
    vdni_config c;
    int64_t steps = 0;
    const vdni_recipe r = get("recommended", "tiny", &c, &steps);
    EXPECT(steps == 9000 && strcmp(r.name, "recommended") == 0 && r.batch == 8);
    EXPECT(r.snr_clip == 5.0 && r.simple == 1.0 && r.ce == 1.0 && r.dice == 1.0);
    EXPECT(r.prior_ce == 1.0 && r.prior_dice == 1.0 && r.corrupt == 0.5 && r.drop == 0.1);
    EXPECT(r.condition_drop == 0.2 && r.detach == 1 && r.prior_warmup == 1000);
    EXPECT(r.beta1 == 0.9 && r.beta2 == 0.999 && r.eps == 1e-8 && r.weight_decay == 1e-4);
    EXPECT(r.clip == 1.0 && r.average == 0.999 && r.lr.base == 5e-4 && r.lr.warmup == 200);
    EXPECT(r.augment.outside_label == VDNI_LABEL_IGNORE);
    EXPECT(c.signal_scale == 0.3 && c.prior_skip == 1 && c.scale_shift == 1);
    EXPECT(c.condition_norm == VDNI_CONDITION_INSTANCE && c.sample_steps == 10 && c.eta == 0.0);
    EXPECT_OK(&ctx, vdni_augment_check(&ctx, &r.augment));
    EXPECT_OK(&ctx, vdni_config_check(&ctx, &c));
}

static void wide_nets_learn_slower(void)
{
    static const char *const names[] = { "unit", "tiny", "small", "base", "full" };
    for (int i = 0; i < 5; i++) {
        vdni_config c;
        int64_t steps = 0;
        EXPECT(get("recommended", names[i], &c, &steps).lr.base == (i < 3 ? 5e-4 : 1e-4));
    }
}

static void the_paper_recipe_is_that_of_the_paper(void)
{
    vdni_config c;
    int64_t steps = 0;
    const vdni_recipe r = get("paper", "full", &c, &steps);
    EXPECT(steps == 9000 && r.batch == 1 && r.lr.base == 1e-4 && r.lr.kind == VDNI_LR_CONSTANT);
    EXPECT(r.optimizer == VDNI_OPTIMIZER_ADAM && r.prior_mse == 0.0);
    EXPECT(r.snr_clip == 0.0 && r.simple == 1.0 && r.ce == 1.0 && r.dice == 0.0);
    EXPECT(r.prior_ce == 1.0 && r.prior_dice == 0.0 && r.corrupt == 0.0 && r.drop == 0.0);
    EXPECT(r.condition_drop == 0.0 && r.detach == 0 && r.prior_warmup == 0 && r.patience == 8);
    EXPECT(r.weight_decay == 0.0 && r.clip == 0.0 && r.average == 0.0 && r.all_times == 1);
    EXPECT(c.signal_scale == 1.0 && c.prior_skip == 0 && c.scale_shift == 0);
    EXPECT(c.condition_norm == VDNI_CONDITION_BATCH);
    EXPECT(c.sample_steps == 1000 && c.sample_start == 1000 && c.eta == 1.0); /* DDPM */
    EXPECT_OK(&ctx, vdni_augment_check(&ctx, &r.augment));
    EXPECT_OK(&ctx, vdni_config_check(&ctx, &c));
}

static void short_runs_keep_the_proportions(void)
{
    static const int64_t cases[][3] = { { 12, 1, 2 }, { 600, 60, 100 }, { 6000, 200, 1000 } };
    for (int i = 0; i < 3; i++) {
        vdni_config c;
        int64_t steps = cases[i][0];
        const vdni_recipe r = get("recommended", "unit", &c, &steps);
        EXPECT(steps == cases[i][0] && r.lr.steps == steps);
        EXPECT(r.lr.warmup == cases[i][1] && r.prior_warmup == cases[i][2]);
    }
}

static void the_literal_mode_has_no_extras(void)
{
    for (int i = 0; i < 2; i++) {
        vdni_recipe r;
        vdni_config c;
        int64_t steps = 100;
        EXPECT(vdni_config_get(&ctx, &c, "unit") == VDN_OK);
        c.param = VDNI_PARAM_LITERAL;
        EXPECT_OK(&ctx, vdni_recipe_get(&ctx, &r, &c, &steps, i ? "paper" : "recommended"));
        EXPECT(c.prior_skip == 0 && r.corrupt == 0.0 && r.drop == 0.0);
        EXPECT(c.sample_steps == 1000 && c.sample_start == 1000);
        EXPECT_OK(&ctx, vdni_config_check(&ctx, &c));
    }
}

static void an_unknown_name_is_refused_with_the_list(void)
{
    vdni_recipe r;
    vdni_config c;
    int64_t steps = 0;
    vdni_clear_error(&ctx);
    EXPECT(vdni_config_get(&ctx, &c, "unit") == VDN_OK);
    EXPECT(vdni_recipe_get(&ctx, &r, &c, &steps, "best") == VDN_ERR_ARGUMENT);
    EXPECT(strstr(ctx.error, "\"best\"") && strstr(ctx.error, "recommended and paper"));
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(the_recommended_recipe_is_that_of_the_design);
    RUN(wide_nets_learn_slower);
    RUN(the_paper_recipe_is_that_of_the_paper);
    RUN(short_runs_keep_the_proportions);
    RUN(the_literal_mode_has_no_extras);
    RUN(an_unknown_name_is_refused_with_the_list);
    return test_result();
}
