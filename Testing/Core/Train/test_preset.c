/* The presets of Resources/Presets, and what a preset may say. */
#include "Train/preset.h"

#include "Base/file.h"
#include "Base/memory.h"
#include "Net/model.h"
#include "Train/settings.h"
#include "net_test.h"

static vdn_ctx ctx;

typedef struct {
    vdni_config config;
    vdni_recipe recipe;
    vdni_run_values run;
    int64_t steps;
    vdn_status status;
} result;

static const char *text_of(const char *name)
{
    static char *text;
    char path[512];
    int64_t bytes = 0;
    vdni_free(NULL, text);
    text = NULL;
    (void)snprintf(path, sizeof path, "%s/Resources/Presets/%s.json", VERDIFF_SOURCE_DIR, name);
    vdn_ctx uncounted;
    vdni_ctx_init(&uncounted);
    EXPECT_OK(&uncounted, vdni_file_read(&uncounted, &text, &bytes, path, 1 << 20));
    return text ? text : "";
}

static result apply(const char *config, int64_t steps, const vdni_settings *base)
{
    result r;
    vdni_settings s = *base;
    memset(&r, 0, sizeof r);
    s.run = &r.run;
    r.steps = steps;
    vdni_clear_error(&ctx);
    EXPECT(vdni_config_get(&ctx, &r.config, config) == VDN_OK);
    r.status = vdni_settings_apply(&ctx, &r.config, &r.recipe, &r.steps, &s);
    EXPECT(ctx.now_bytes == 0);
    return r;
}

static result of_preset(const char *config, int64_t steps, const char *preset)
{
    const vdni_settings s = { .recipe = "recommended", .preset = preset, .preset_title = "mine" };
    return apply(config, steps, &s);
}

/* Every key as text, and what is no key. */
static char *all_of(const result *r)
{
    vdni_json_writer w;
    vdni_domain domain;
    char *text = NULL, *config = NULL;
    vdni_domain_binary(&domain, "vertebra", 1);
    EXPECT_OK(&ctx, vdni_config_to_json(&ctx, &config, &r->config, &domain));
    vdni_json_begin(&w, &ctx, 0);
    vdni_json_open_object(&w, NULL);
    vdni_settings_put_recipe(&w, &r->recipe);
    vdni_json_put_string(&w, "name", r->recipe.name);
    vdni_json_put_int(&w, "lr_steps", r->recipe.lr.steps);
    vdni_json_put_int(&w, "outside", r->recipe.augment.outside_label);
    vdni_json_put_int(&w, "augment_crop", r->recipe.augment.crop);
    vdni_json_put_int(&w, "steps", r->steps);
    vdni_json_put_raw(&w, "config", config);
    vdni_json_close(&w);
    EXPECT_OK(&ctx, vdni_json_finish(&w, &text, NULL));
    vdni_free(&ctx, config);
    return text;
}

/* Laid over the other recipe, the file must name all that differs. */
static void the_files_are_the_recipes_of_their_names(void)
{
    static const char *const names[2] = { "paper", "recommended" };
    static const char *const configs[3] = { "unit", "tiny", "full" };
    static const int64_t steps[3] = { 0, 9000, 120 };
    for (int i = 0; i < 18; i++) {
        const char *name = names[i % 2], *config = configs[i / 2 % 3];
        const int64_t n = steps[i / 6];
        const vdni_settings built_in = { .recipe = name };
        const vdni_settings other = { .recipe = names[1 - i % 2], .preset = text_of(name) };
        const result wanted = apply(config, n, &built_in), found = apply(config, n, &other);
        if (wanted.status != VDN_OK || found.status != VDN_OK) printf("  %s\n", ctx.error);
        EXPECT(wanted.status == VDN_OK && found.status == VDN_OK);
        char *a = all_of(&wanted), *b = all_of(&found);
        EXPECT(a && b && strcmp(a, b) == 0);
        if (a && b && strcmp(a, b) != 0) printf("  %s %s\n  %s\n  %s\n", name, config, a, b);
        vdni_free(&ctx, a);
        vdni_free(&ctx, b);
        EXPECT(found.run.seed == 35 && found.run.crop == 0);
    }
}

/* So that a reader of a preset sees every number. */
static void the_files_name_every_recipe_key(void)
{
    static const char *const names[2] = { "paper", "recommended" };
    const result r = of_preset("tiny", 0, "{}");
    vdni_json_writer w;
    char *keys = NULL;
    vdni_json *known = NULL;
    vdni_json_begin(&w, &ctx, 0);
    vdni_json_open_object(&w, NULL);
    vdni_settings_put_recipe(&w, &r.recipe);
    vdni_json_close(&w);
    EXPECT_OK(&ctx, vdni_json_finish(&w, &keys, NULL));
    EXPECT_OK(&ctx, vdni_json_parse(&ctx, &known, keys, (int64_t)strlen(keys), "keys"));
    for (int i = 0; i < 2; i++) {
        const char *text = text_of(names[i]);
        vdni_json *json = NULL;
        EXPECT_OK(&ctx, vdni_json_parse(&ctx, &json, text, (int64_t)strlen(text), names[i]));
        for (const vdni_json_value *v = vdni_json_first(vdni_json_root(known)); v;
             v = vdni_json_next(v)) {
            const int there = vdni_json_find(vdni_json_root(json), v->name) != NULL;
            EXPECT(there);
            if (!there) printf("  %s.json lacks %s\n", names[i], v->name);
        }
        for (int32_t k = 0; vdni_run_key_name(k); k++)
            if (strcmp(vdni_run_key_name(k), "recipe") != 0 &&
                strcmp(vdni_run_key_name(k), "lr_small") != 0)
                EXPECT(vdni_json_find(vdni_json_root(json), vdni_run_key_name(k)) != NULL);
        vdni_json_free(&ctx, json);
    }
    vdni_json_free(&ctx, known);
    vdni_free(&ctx, keys);
}

static void an_unknown_key_is_named_with_the_nearest(void)
{
    static const char *const wrong[][2] = { { "{\"lamda_d\": 1}", "lambda_d" },
                                            { "{\"aug_rotation\": 1}", "aug_rotation_deg" },
                                            { "{\"signal-scale\": 1}", "signal_scale" },
                                            { "{\"step\": 1}", "steps" },
                                            { "{\"sed\": 1}", "seed" } };
    for (int i = 0; i < 5; i++) {
        char needed[64];
        (void)snprintf(needed, sizeof needed, "the nearest is %s (", wrong[i][1]);
        const result r = of_preset("tiny", 0, wrong[i][0]);
        EXPECT(r.status == VDN_ERR_FORMAT && strstr(ctx.error, "mine: '") != NULL);
        EXPECT(strstr(ctx.error, needed) != NULL);
        if (!strstr(ctx.error, needed)) printf("  %s\n", ctx.error);
    }
}

static void values_that_cannot_be_are_refused(void)
{
    static const char *const wrong[][2] = {
        { "{\"amp\": \"half\"}", "needed auto, fp32, bf16" },
        { "{\"aug_outside\": 3}", "aug_outside" },
        { "{\"name\": \"a name that is too long\"}", "1 to 15 bytes" },
        { "{\"lr_small\": 0}", "lr_small" },
        { "{\"seed\": -1}", "seed" },
        { "{\"opt\": \"lion\"}", "adamw, adam, sgd" },
        { "{\"aug_flip_p\": 2}", "flip_p" },
        { "{\"recipe\": \"best\"}", "\"best\"" },
        { "[1]", "one JSON object" },
        { "{\"lr\": 1", "mine" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const result r = of_preset("tiny", 0, wrong[i][0]);
        EXPECT(r.status == VDN_ERR_FORMAT || r.status == VDN_ERR_ARGUMENT);
        EXPECT(strstr(ctx.error, wrong[i][1]) != NULL);
        if (!strstr(ctx.error, wrong[i][1])) printf("  %s\n", ctx.error);
    }
}

static void settings_and_options_stand_above_a_preset(void)
{
    const vdni_settings s = { .recipe = "recommended",
                              .text = "{\"lambda_d\": 0.25, \"prior_warmup\": 90}",
                              .preset = "{\"lambda_d\": 4, \"lambda_b\": 3, \"nsa\": \"mask_soft\","
                                        "\"prior_warmup\": 90, \"steps\": 50, \"seed\": 7}",
                              .no_nsa = 1 };
    result r = apply("tiny", 0, &s);
    EXPECT(r.status == VDN_OK && r.recipe.dice == 0.25 && r.recipe.ce == 3.0);
    EXPECT(r.config.nsa == 0 && r.config.msfm == 1 && r.steps == 50 && r.run.seed == 7);
    EXPECT(r.recipe.prior_warmup == 90); /* what is set by name stands also in a short run */
    r = apply("tiny", 60, &s);
    EXPECT(r.steps == 60 && r.recipe.lr.steps == 60);
    r = of_preset("tiny", 60, "{\"prior_warmup\": 90}");
    EXPECT(r.recipe.prior_warmup == 10);
    r = of_preset("tiny", 60, "{\"recipe\": \"paper\", \"ema\": 0.5}");
    EXPECT(r.recipe.batch == 1 && r.recipe.average == 0.5 && r.config.prior_skip == 0);
    r = of_preset("tiny", 60, "{\"lr\": 0.5, \"lr_small\": 0.25, \"name\": \"mine\"}");
    EXPECT(r.recipe.lr.base == 0.25 && strcmp(r.recipe.name, "mine") == 0);
    r = of_preset("full", 60, "{\"lr\": 0.5, \"lr_small\": 0.25, \"amp\": \"bf16\", \"crop\": 64}");
    EXPECT(r.recipe.lr.base == 0.5 && r.run.precision == 2 && r.run.crop == 64);
}

/* The printed mode has no extras, whatever the preset says of them. */
static void an_output_mode_named_by_the_caller_is_followed(void)
{
    const vdni_settings s = { .recipe = "recommended",
                              .preset = text_of("recommended"),
                              .param = "paper_literal" };
    const result r = apply("tiny", 0, &s);
    EXPECT(r.status == VDN_OK && r.config.param == VDNI_PARAM_LITERAL);
    EXPECT(r.config.prior_skip == 0 && r.config.sample_steps == 1000 && r.recipe.corrupt == 0.0);
}

/* Distances counted by hand. */
static void words_are_compared_by_letters(void)
{
    EXPECT(vdni_word_distance("", "") == 0 && vdni_word_distance("", "abc") == 3);
    EXPECT(vdni_word_distance("kitten", "sitting") == 3 && vdni_word_distance("lr", "lr") == 0);
    EXPECT(vdni_word_distance("abc", "") == 3 && vdni_word_distance("ab", "ba") == 2);
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(the_files_are_the_recipes_of_their_names);
    RUN(the_files_name_every_recipe_key);
    RUN(an_unknown_key_is_named_with_the_nearest);
    RUN(values_that_cannot_be_are_refused);
    RUN(settings_and_options_stand_above_a_preset);
    RUN(an_output_mode_named_by_the_caller_is_followed);
    RUN(words_are_compared_by_letters);
    return test_result();
}
