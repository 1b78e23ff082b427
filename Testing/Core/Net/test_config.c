#include "Net/config.h"

#include "Net/model.h"
#include "net_test.h"

static vdn_ctx ctx;

/* ---- parameter counts: model.md 2.2 and 3.1; the totals between were counted by the reference of
 * Testing/Golden ---- */

typedef struct {
    const char *name;
    int msfm, nsa;
    int64_t condition, diffusion; /* the projections P_l count with the condition net */
} count_case;

static const count_case counts[] = {
    { "unit", 0, 0, 905, 45185 },          { "unit", 1, 0, 1441, 45185 },
    { "unit", 0, 1, 905, 47229 },          { "unit", 1, 1, 1441, 47229 },
    { "tiny", 0, 0, 236481, 915220 },      { "tiny", 1, 0, 237969, 915220 },
    { "tiny", 0, 1, 236481, 931964 },      { "tiny", 1, 1, 237969, 931964 },
    { "small", 0, 0, 1249793, 3642916 },   { "small", 1, 0, 1254433, 3642916 },
    { "small", 0, 1, 1249793, 3687132 },   { "small", 1, 1, 1254433, 3687132 },
    { "base", 0, 0, 5020353, 19696257 },   { "base", 1, 0, 5036289, 19696257 },
    { "base", 0, 1, 5020353, 19915231 },   { "base", 1, 1, 5036289, 19915231 },
    { "full", 0, 0, 18251841, 118792705 }, { "full", 1, 0, 18267777, 118792705 },
    { "full", 0, 1, 18251841, 119585573 }, { "full", 1, 1, 18267777, 119585573 },
};

static void parameters_are_those_of_the_design(void)
{
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        const count_case *c = &counts[i];
        vdni_parameters table = { .items = NULL };
        vdni_config config;
        EXPECT(vdni_config_get(&ctx, &config, c->name) == VDN_OK);
        config.msfm = c->msfm;
        config.nsa = c->nsa;
        EXPECT_OK(&ctx, vdni_model_trace(&ctx, &table, &config));
        const int64_t fuse = vdni_parameters_count(&table, "diff.fuse");
        EXPECT(vdni_parameters_count(&table, "cond.") + fuse == c->condition);
        EXPECT(vdni_parameters_count(&table, "diff.") - fuse == c->diffusion);
        EXPECT(table.trainable == c->condition + c->diffusion);
        vdni_parameters_free(&ctx, &table);
    }
}

/* The U-Net of the literature has 31,030,593 with one channel in and out; nnU-Net's follows from its
 * layers: two convolutions with bias and norm per stage, transposed ones without bias, a 1 x 1 head at
 * every level but the two lowest. */
static void baselines_have_their_parameters(void)
{
    static const char *const sizes[] = { "unit", "tiny", "small", "base", "full" };
    for (int i = 0; i < 10; i++) {
        vdni_parameters table = { .items = NULL };
        vdni_config c;
        int64_t wanted = 0;
        EXPECT(vdni_config_get(&ctx, &c, sizes[i / 2]) == VDN_OK);
        EXPECT_OK(&ctx, vdni_config_set_network(&ctx, &c, i % 2 ? "nnunet2d" : "unet"));
        EXPECT_OK(&ctx, vdni_model_trace(&ctx, &table, &c));
        const int64_t vectors = i % 2 ? 3 : 1; /* bias, gamma, beta */
        for (int l = 0; l < c.condition_levels; l++) {
            const int64_t f = c.condition[l], before = l > 0 ? c.condition[l - 1] : 1;
            wanted += 9 * f * (before + f) + 2 * vectors * f;
            if (l == c.condition_levels - 1) break;
            wanted += 9 * f * (2 * f + f) + 2 * vectors * f;
            wanted += 4 * c.condition[l + 1] * f + (i % 2 ? 0 : f);
        }
        for (int l = 0; l < (i % 2 ? 4 : 1); l++) wanted += c.condition[l] + 1;
        EXPECT(table.trainable == wanted);
        if (i == 8) EXPECT(table.trainable == 31030593);
        if (i == 9) EXPECT(c.condition[0] == 32 && c.condition[4] == 480 && c.condition[5] == 480);
        vdni_parameters_free(&ctx, &table);
    }
}

/* MedSegDiff: the two nets without this paper's blocks, one channel more for the variance. */
static void medsegdiff_is_a_configuration(void)
{
    vdni_parameters table = { .items = NULL };
    vdni_config c;
    EXPECT(vdni_config_get(&ctx, &c, "full") == VDN_OK);
    EXPECT_OK(&ctx, vdni_config_set_network(&ctx, &c, "medsegdiff"));
    EXPECT_OK(&ctx, vdni_model_trace(&ctx, &table, &c));
    EXPECT(vdni_parameters_count(&table, "diff.fuse") == 0); /* 32 + 32 + 64 = 128 channels fit */
    /* DDPM-256 has 113,673,219 with three channels in and out; here three in and two out */
    EXPECT(vdni_parameters_count(&table, "diff.") == 113673219 - (9 * 128 + 1));
    vdni_parameters_free(&ctx, &table);
}

/* GFLOP at 2 per multiply-add, condition net with projections and one step: model.md 2.2. */
typedef struct {
    const char *name;
    int64_t h, w;
    double condition, step;
} flop_case;

static const flop_case flops[] = {
    { "full", 320, 320, 52.96, 786.8 },  { "base", 320, 320, 43.07, 223.8 },
    { "small", 320, 320, 10.77, 16.30 }, { "tiny", 320, 320, 2.49, 4.21 },
    { "full", 880, 880, 415.2, 6257 },   { "base", 880, 880, 325.7, 1725 },
    { "small", 880, 880, 81.45, 127.3 }, { "tiny", 880, 880, 18.86, 33.89 },
    { "full", 369, 166, 38.13, 566.2 },  { "base", 369, 166, 28.43, 147.6 },
    { "small", 369, 166, 7.11, 10.74 },  { "tiny", 369, 166, 1.65, 2.77 },
    { "full", 534, 768, 216.1, 3231 },   { "tiny", 250, 750, 4.69, 7.99 },
};

static void work_is_that_of_the_design(void)
{
    for (size_t i = 0; i < sizeof flops / sizeof flops[0]; i++) {
        const flop_case *c = &flops[i];
        vdni_config config;
        int64_t condition = 0, step = 0;
        EXPECT(vdni_config_get(&ctx, &config, c->name) == VDN_OK);
        EXPECT_OK(&ctx, vdni_model_macs(&ctx, &condition, &step, &config, c->h, c->w));
        EXPECT_LE(fabs(2e-9 * (double)condition / c->condition - 1.0), 0.01);
        EXPECT_LE(fabs(2e-9 * (double)step / c->step - 1.0), 0.01);
    }
    EXPECT(ctx.now_bytes == 0);
}

static void the_switches_change_the_work_as_printed(void)
{
    vdni_config config;
    int64_t condition = 0, step = 0;
    EXPECT(vdni_config_get(&ctx, &config, "full") == VDN_OK);
    config.msfm = config.nsa = 0;
    EXPECT_OK(&ctx, vdni_model_macs(&ctx, &condition, &step, &config, 320, 320));
    EXPECT_LE(fabs(2e-9 * (double)condition / 50.6 - 1.0), 0.01);
    EXPECT_LE(fabs(2e-9 * (double)step / 776.7 - 1.0), 0.01);
    EXPECT(vdni_model_macs(&ctx, &condition, &step, &config, 0, 320) == VDN_ERR_ARGUMENT);
}

static void an_unknown_name_is_refused_with_the_list(void)
{
    vdni_config config;
    vdni_clear_error(&ctx);
    EXPECT(vdni_config_get(&ctx, &config, "huge") == VDN_ERR_ARGUMENT);
    EXPECT(strstr(ctx.error, "\"huge\"") && strstr(ctx.error, "unit, tiny, small, base, full"));
}

static void group_norms_follow_the_rule(void)
{
    static const int64_t cases[][2] = { { 1, 1 },   { 4, 1 },    { 6, 1 },  { 8, 2 },
                                        { 16, 4 },  { 24, 4 },   { 32, 8 }, { 48, 8 },
                                        { 96, 16 }, { 128, 32 }, { 7, 1 },  { 160, 32 } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        EXPECT(vdni_norm_groups(cases[i][0]) == cases[i][1]);
}

/* ---- refusals ---- */

typedef void change(vdni_config *c);
static void no_image(vdni_config *c) { c->image_channels = 0; }
static void no_mask(vdni_config *c) { c->mask_channels = 0; }
static void many_classes(vdni_config *c) { c->mask_channels = VDN_MAX_CLASSES + 1; }
static void one_condition_level(vdni_config *c) { c->condition_levels = 1; }
static void seven_condition_levels(vdni_config *c) { c->condition_levels = VDNI_MAX_LEVELS + 1; }
static void no_condition_channels(vdni_config *c) { c->condition[1] = 0; }
static void odd_base(vdni_config *c) { c->base = 7; }
static void no_levels(vdni_config *c) { c->levels = 0; }
static void seven_levels(vdni_config *c) { c->levels = VDNI_MAX_LEVELS + 1; }
static void no_multiplier(vdni_config *c) { c->multiplier[0] = 0; }
static void stem_of_three(vdni_config *c) { c->stem_down = 3; }
static void attention_below(vdni_config *c) { c->attention_level = c->levels; }
static void heads_that_do_not_divide(vdni_config *c) { c->head_width = 5; }
static void unknown_param(vdni_config *c) { c->param = VDNI_PARAM_KINDS; }
static void twenty_steps(vdni_config *c) { c->time_steps = 20; }
static void no_scale(vdni_config *c) { c->signal_scale = 0.0; }
static void scale_is_nan(vdni_config *c) { c->signal_scale = NAN; }
static void start_beyond_the_end(vdni_config *c) { c->sample_start = c->time_steps + 1; }
static void more_steps_than_times(vdni_config *c) { c->sample_steps = c->time_steps + 1; }
static void no_samples(vdni_config *c) { c->samples = 0; }
static void odd_padding(vdni_config *c) { c->pad_multiple = 3; }
static void padding_too_small(vdni_config *c) { c->pad_multiple = 1; }
static void eps_without_signal(vdni_config *c)
{
    c->param = VDNI_PARAM_EPS;
    c->prior_skip = 0;
    c->schedule = VDNI_SCHEDULE_COSINE;
}
static void eps_with_a_skip(vdni_config *c) { c->param = VDNI_PARAM_EPS_BCE; }
static void variance_of_a_mask(vdni_config *c) { c->learn_sigma = 1; }
static void flips_of_noise(vdni_config *c)
{
    c->process = VDNI_PROCESS_BERNOULLI;
    c->param = VDNI_PARAM_EPS;
}
static void flips_with_a_skip(vdni_config *c) { c->process = VDNI_PROCESS_BERNOULLI; }
static void printed_without_shift(vdni_config *c)
{
    c->process = VDNI_PROCESS_DDPM;
    c->param = VDNI_PARAM_LITERAL;
}
static void unknown_network(vdni_config *c) { c->network = VDNI_NETWORK_KINDS; }
static void mirrored_refiner(vdni_config *c) { c->mirror = 1; }
static void supervised_refiner(vdni_config *c) { c->deep_supervision = 1; }
static void windows_that_do_not_fit(vdni_config *c)
{
    if (vdni_config_set_network(&ctx, c, "swinunet") == VDN_OK) c->pad_multiple = 96;
}
static void heads_that_share_no_channels(vdni_config *c)
{
    if (vdni_config_set_network(&ctx, c, "swinunet") == VDN_OK) c->condition[1] = 10;
}
static void thin_bottlenecks(vdni_config *c)
{
    if (vdni_config_set_network(&ctx, c, "deeplabv3") == VDN_OK) c->condition[2] = 3;
}
static void narrow_fusion(vdni_config *c)
{
    c->msff = VDNI_MSFF_ASPP;
    c->condition[1] = 3;
}
static void deeper_than_the_features(vdni_config *c)
{
    c->levels = 3;
    c->multiplier[2] = 2;
    c->pad_multiple = 16;
}

static void impossible_configurations_are_refused(void)
{
    static const struct {
        change *make;
        const char *field;
    } cases[] = {
        { no_image, "image_channels" },
        { no_mask, "mask_channels" },
        { many_classes, "mask_channels" },
        { one_condition_level, "condition_levels" },
        { seven_condition_levels, "condition_levels" },
        { no_condition_channels, "condition" },
        { odd_base, "base" },
        { no_levels, "levels" },
        { seven_levels, "levels" },
        { no_multiplier, "multiplier" },
        { stem_of_three, "stem_down" },
        { attention_below, "attention_level" },
        { heads_that_do_not_divide, "head_width" },
        { unknown_param, "param" },
        { twenty_steps, "time_steps" },
        { no_scale, "signal_scale" },
        { scale_is_nan, "signal_scale" },
        { start_beyond_the_end, "sample_start" },
        { more_steps_than_times, "sample_steps" },
        { no_samples, "samples" },
        { odd_padding, "pad_multiple" },
        { padding_too_small, "pad_multiple" },
        { eps_without_signal, "cosine" },
        { eps_with_a_skip, "prior_skip" },
        { variance_of_a_mask, "learn_sigma" },
        { flips_of_noise, "bernoulli" },
        { flips_with_a_skip, "prior_skip" },
        { printed_without_shift, "ddpm" },
        { unknown_network, "network" },
        { narrow_fusion, "msff" },
        { mirrored_refiner, "mirror" },
        { supervised_refiner, "deep_supervision" },
        { windows_that_do_not_fit, "pad_multiple" },
        { heads_that_share_no_channels, "swinunet" },
        { thin_bottlenecks, "deeplabv3" },
        { deeper_than_the_features, "fusion" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vdni_config c;
        vdni_parameters table = { .items = NULL };
        EXPECT(vdni_config_get(&ctx, &c, "unit") == VDN_OK);
        EXPECT_OK(&ctx, vdni_config_check(&ctx, &c));
        vdni_clear_error(&ctx);
        cases[i].make(&c);
        EXPECT(vdni_config_check(&ctx, &c) == VDN_ERR_ARGUMENT);
        EXPECT(strstr(ctx.error, cases[i].field) != NULL);
        if (!strstr(ctx.error, cases[i].field)) printf("  %s: %s\n", cases[i].field, ctx.error);
        EXPECT(vdni_model_trace(&ctx, &table, &c) == VDN_ERR_ARGUMENT);
        vdni_parameters_free(&ctx, &table);
        vdni_clear_error(&ctx);
    }
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(parameters_are_those_of_the_design);
    RUN(baselines_have_their_parameters);
    RUN(medsegdiff_is_a_configuration);
    RUN(work_is_that_of_the_design);
    RUN(the_switches_change_the_work_as_printed);
    RUN(an_unknown_name_is_refused_with_the_list);
    RUN(group_norms_follow_the_rule);
    RUN(impossible_configurations_are_refused);
    return test_result();
}
