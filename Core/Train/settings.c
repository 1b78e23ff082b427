#include "Train/settings.h"

#include "Net/config_keys.h"

#include <stdio.h>
#include <string.h>

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define AT(field)  offsetof(vdni_recipe, field)

static const vdni_key recipe_keys[] = {
    { "loss_seg", VDNI_KEY_CHOICE, AT(seg.form),
      WORDS("ce", "bce", "sa_focal", "sa_invpow", "sa_effnum"), 0 },
    { "sa_scope", VDNI_KEY_CHOICE, AT(seg.scope), WORDS("image", "batch", "ema0.99"), 0 },
    { "sa_gamma", VDNI_KEY_REAL, AT(seg.gamma), NULL, 0 },
    { "sa_beta", VDNI_KEY_REAL, AT(seg.beta), NULL, 0 },
    { "sa_focal", VDNI_KEY_REAL, AT(seg.focal), NULL, 0 },
    { "sa_clip", VDNI_KEY_REAL, AT(seg.clip), NULL, 0 },
    { "snr_clip", VDNI_KEY_REAL, AT(snr_clip), NULL, 0 },
    { "lambda_s", VDNI_KEY_REAL, AT(simple), NULL, 0 },
    { "lambda_b", VDNI_KEY_REAL, AT(ce), NULL, 0 },
    { "lambda_d", VDNI_KEY_REAL, AT(dice), NULL, 0 },
    { "lambda_vlb", VDNI_KEY_REAL, AT(vlb), NULL, 0 },
    { "lambda_p", VDNI_KEY_REAL, AT(prior_ce), NULL, 0 },
    { "lambda_pd", VDNI_KEY_REAL, AT(prior_dice), NULL, 0 },
    { "prior_mse", VDNI_KEY_REAL, AT(prior_mse), NULL, 0 },
    { "prior_corrupt", VDNI_KEY_REAL, AT(corrupt), NULL, 0 },
    { "prior_drop", VDNI_KEY_REAL, AT(drop), NULL, 0 },
    { "cond_drop", VDNI_KEY_REAL, AT(condition_drop), NULL, 0 },
    { "cond_detach", VDNI_KEY_SWITCH, AT(detach), NULL, 0 },
    { "prior_warmup", VDNI_KEY_LONG, AT(prior_warmup), NULL, 0 },
    { "t_draw", VDNI_KEY_CHOICE, AT(time_draw), WORDS("stratified", "uniform"), 2 },
    { "train_t0", VDNI_KEY_INT, AT(latest_time), NULL, 2 },
    { "start_state_p", VDNI_KEY_REAL, AT(start_state), NULL, 2 },
    { "lr", VDNI_KEY_REAL, AT(lr.base), NULL, 0 },
    { "lr_schedule", VDNI_KEY_CHOICE, AT(lr.kind), WORDS("constant", "cosine", "poly"), 0 },
    { "lr_floor", VDNI_KEY_REAL, AT(lr.floor), NULL, 0 },
    { "lr_warmup", VDNI_KEY_LONG, AT(lr.warmup), NULL, 0 },
    { "opt", VDNI_KEY_CHOICE, AT(optimizer), WORDS("adamw", "adam", "sgd"), 0 },
    { "beta1", VDNI_KEY_REAL, AT(beta1), NULL, 0 },
    { "beta2", VDNI_KEY_REAL, AT(beta2), NULL, 0 },
    { "eps", VDNI_KEY_REAL, AT(eps), NULL, 0 },
    { "wd", VDNI_KEY_REAL, AT(weight_decay), NULL, 0 },
    { "clip", VDNI_KEY_REAL, AT(clip), NULL, 0 },
    { "batch", VDNI_KEY_INT, AT(batch), NULL, 0 },
    { "ema", VDNI_KEY_REAL, AT(average), NULL, 0 },
    { "patience", VDNI_KEY_INT, AT(patience), NULL, 0 },
    { "all_times", VDNI_KEY_SWITCH, AT(all_times), NULL, 0 },
    { "validation_slices", VDNI_KEY_LONG, AT(validation_slices), NULL, 0 },
    { "aug_rotation_deg", VDNI_KEY_REAL, AT(augment.rotation_deg), NULL, 0 },
    { "aug_shift_min", VDNI_KEY_REAL, AT(augment.shift_min), NULL, 0 },
    { "aug_shift_max", VDNI_KEY_REAL, AT(augment.shift_max), NULL, 0 },
    { "aug_elastic_p", VDNI_KEY_REAL, AT(augment.elastic_p), NULL, 0 },
    { "aug_elastic_sd_px", VDNI_KEY_REAL, AT(augment.elastic_sd_px), NULL, 0 },
    { "aug_elastic_cell_px", VDNI_KEY_REAL, AT(augment.elastic_cell_px), NULL, 0 },
    { "aug_contrast_p", VDNI_KEY_REAL, AT(augment.contrast_p), NULL, 0 },
    { "aug_contrast_min", VDNI_KEY_REAL, AT(augment.contrast_min), NULL, 0 },
    { "aug_contrast_max", VDNI_KEY_REAL, AT(augment.contrast_max), NULL, 0 },
    { "aug_gamma_p", VDNI_KEY_REAL, AT(augment.gamma_p), NULL, 0 },
    { "aug_gamma_min", VDNI_KEY_REAL, AT(augment.gamma_min), NULL, 0 },
    { "aug_gamma_max", VDNI_KEY_REAL, AT(augment.gamma_max), NULL, 0 },
    { "aug_flip_p", VDNI_KEY_REAL, AT(augment.flip_p), NULL, 0 },
    { "aug_scale_p", VDNI_KEY_REAL, AT(augment.scale_p), NULL, 0 },
    { "aug_scale_min", VDNI_KEY_REAL, AT(augment.scale_min), NULL, 0 },
    { "aug_scale_max", VDNI_KEY_REAL, AT(augment.scale_max), NULL, 0 },
    { "aug_noise_p", VDNI_KEY_REAL, AT(augment.noise_p), NULL, 0 },
    { "aug_noise_sd", VDNI_KEY_REAL, AT(augment.noise_sd), NULL, 0 },
    { "aug_blur_p", VDNI_KEY_REAL, AT(augment.blur_p), NULL, 0 },
    { "aug_blur_min_px", VDNI_KEY_REAL, AT(augment.blur_min_px), NULL, 0 },
    { "aug_blur_max_px", VDNI_KEY_REAL, AT(augment.blur_max_px), NULL, 0 },
    { "aug_bias_p", VDNI_KEY_REAL, AT(augment.bias_p), NULL, 0 },
    { "aug_bias_sd", VDNI_KEY_REAL, AT(augment.bias_sd), NULL, 0 },
    { "aug_crop_foreground_p", VDNI_KEY_REAL, AT(augment.crop_foreground_p), NULL, 0 },
    { "aug_crop_foreground_min", VDNI_KEY_REAL, AT(augment.crop_foreground_min), NULL, 0 },
};

static vdni_keys recipe_table(void)
{
    return (vdni_keys){ recipe_keys, (int32_t)(sizeof recipe_keys / sizeof recipe_keys[0]) };
}

void vdni_settings_put_recipe(vdni_json_writer *w, const vdni_recipe *recipe)
{
    const vdni_keys keys = recipe_table();
    for (int32_t i = 0; i < keys.count; i++)
        if (keys.items[i].format != 2 || !vdni_key_is_zero(&keys.items[i], recipe))
            vdni_key_put(w, &keys.items[i], recipe);
}

/* ---- keys ---- */

/* The network and the number of steps are not fields: they decide other things. */
static int is_special(const char *name)
{
    return strcmp(name, "network") == 0 || strcmp(name, "steps") == 0 || vdni_run_key(name);
}

static void nearer(const char **best, int32_t *distance, const char *wanted, const char *known)
{
    const int32_t d = vdni_word_distance(wanted, known);
    if (d >= *distance) return;
    *distance = d;
    *best = known;
}

static vdn_status unknown(vdn_ctx *ctx, const vdni_json_value *value)
{
    const vdni_keys tables[2] = { vdni_config_keys(), recipe_table() };
    const char *best = "network";
    int32_t distance = vdni_word_distance(value->name, best);
    char why[128];

    for (int t = 0; t < 2; t++)
        for (int32_t i = 0; i < tables[t].count; i++)
            nearer(&best, &distance, value->name, tables[t].items[i].name);
    for (int32_t i = 0; vdni_run_key_name(i); i++)
        nearer(&best, &distance, value->name, vdni_run_key_name(i));
    nearer(&best, &distance, value->name, "steps");
    (void)snprintf(why, sizeof why, "there is no setting of this name; the nearest is %s", best);
    return vdni_json_complain(ctx, value, why);
}

static vdn_status set_network(vdn_ctx *ctx, vdni_config *config, const vdni_json_value *root)
{
    const char *name = NULL;
    if (!vdni_json_find(root, "network")) return VDN_OK;
    VDN_CHECK(vdni_json_get_string(ctx, &name, root, "network"));
    return vdni_config_set_network(ctx, config, name);
}

static vdn_status set_steps(vdn_ctx *ctx, int64_t *steps, const vdni_json_value *root)
{
    if (*steps > 0 || !vdni_json_find(root, "steps")) return VDN_OK;
    return vdni_json_get_int(ctx, steps, root, "steps", 1, 10000000);
}

static vdn_status set_config(vdn_ctx *ctx, vdni_config *config, const vdni_json_value *root)
{
    for (const vdni_json_value *v = vdni_json_first(root); v; v = vdni_json_next(v)) {
        const vdni_key *key = vdni_key_find(vdni_config_keys(), v->name);
        if (key && !is_special(v->name)) VDN_CHECK(vdni_key_set(ctx, config, key, v));
    }
    return VDN_OK;
}

static vdn_status set_recipe(vdn_ctx *ctx, vdni_recipe *recipe, const vdni_config *config,
                             const vdni_json_value *root)
{
    vdni_run_values own;
    for (const vdni_json_value *v = vdni_json_first(root); v; v = vdni_json_next(v)) {
        const vdni_key *key = vdni_key_find(recipe_table(), v->name);
        if (key) VDN_CHECK(vdni_key_set(ctx, recipe, key, v));
        if (!key && !is_special(v->name) && !vdni_key_find(vdni_config_keys(), v->name))
            return unknown(ctx, v);
    }
    vdni_run_values_init(&own);
    VDN_CHECK(vdni_run_values_read(ctx, &own, root));
    vdni_run_values_apply(recipe, config, &own);
    return VDN_OK;
}

/* What comes with a network unless it is set otherwise. */
static void follow_network(vdni_recipe *recipe, const vdni_json_value *root)
{
    const vdni_json_value *network = vdni_json_find(root, "network");
    if (network && network->string) vdni_recipe_follow_network(recipe, network->string);
}

/* ---- all of it ---- */

/* The preset and the settings on top of it, either of which may be {}. */
typedef struct {
    vdni_json *preset_json, *json;
    const vdni_json_value *preset, *root;
} documents;

static vdn_status parse(vdn_ctx *ctx, vdni_json **json, const vdni_json_value **root,
                        const char *text, const char *title)
{
    if (!text) text = "{}";
    VDN_CHECK(vdni_json_parse(ctx, json, text, (int64_t)strlen(text), title ? title : "settings"));
    *root = vdni_json_root(*json);
    if ((*root)->kind == VDNI_JSON_OBJECT) return VDN_OK;
    return vdni_json_complain(ctx, *root, "settings are one JSON object");
}

static vdn_status set_param(vdn_ctx *ctx, vdni_param *out, const char *name)
{
    char known[128] = "";
    const vdni_key *key = vdni_key_find(vdni_config_keys(), "param");
    for (int32_t i = 0; key->choices[i]; i++) {
        const size_t used = strlen(known);
        if (strcmp(key->choices[i], name) == 0) {
            *out = (vdni_param)i;
            return VDN_OK;
        }
        (void)snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                       key->choices[i]);
    }
    return vdni_fail(ctx, VDN_ERR_ARGUMENT, "output mode \"%.40s\": there are %s", name, known);
}

static vdn_status insist(vdn_ctx *ctx, vdni_config *config, const vdni_settings *s)
{
    if (s->no_msfm) config->msfm = 0;
    if (s->no_nsa) config->nsa = 0;
    return s->param ? set_param(ctx, &config->param, s->param) : VDN_OK;
}

static vdn_status set_all_config(vdn_ctx *ctx, vdni_config *config, const documents *d,
                                 const vdni_settings *s)
{
    VDN_CHECK(set_config(ctx, config, d->preset));
    VDN_CHECK(insist(ctx, config, s));
    return set_config(ctx, config, d->root);
}

static vdn_status read_run(vdn_ctx *ctx, vdni_run_values *run, const documents *d,
                           const vdni_settings *s)
{
    vdni_run_values_init(run);
    run->base = s->recipe;
    VDN_CHECK(vdni_run_values_read(ctx, run, d->preset));
    VDN_CHECK(vdni_run_values_read(ctx, run, d->root));
    if (!s->run) return VDN_OK;
    *s->run = *run;
    s->run->base = NULL; /* borrowed from a document that ends here */
    return VDN_OK;
}

static vdn_status apply(vdn_ctx *ctx, vdni_config *config, vdni_recipe *recipe, int64_t *steps,
                        const documents *d, const vdni_settings *s)
{
    vdni_run_values run;
    VDN_CHECK(read_run(ctx, &run, d, s));
    VDN_CHECK(set_network(ctx, config, d->preset));
    VDN_CHECK(set_network(ctx, config, d->root));
    VDN_CHECK(set_steps(ctx, steps, d->root));
    VDN_CHECK(set_steps(ctx, steps, d->preset));
    VDN_CHECK(set_all_config(ctx, config, d, s));
    VDN_CHECK(vdni_recipe_get(ctx, recipe, config, steps, run.base));
    follow_network(recipe, d->preset);
    VDN_CHECK(set_config(ctx, config, d->preset));
    VDN_CHECK(insist(ctx, config, s));
    VDN_CHECK(set_recipe(ctx, recipe, config, d->preset));
    vdni_preset_shorten(recipe, *steps);
    vdni_recipe_follow_param(recipe, config);
    follow_network(recipe, d->root);
    VDN_CHECK(set_config(ctx, config, d->root));
    return set_recipe(ctx, recipe, config, d->root);
}

vdn_status vdni_settings_apply(vdn_ctx *ctx, vdni_config *config, vdni_recipe *recipe,
                               int64_t *steps, const vdni_settings *s)
{
    vdn_status status = VDN_OK;
    documents d = { NULL, NULL, NULL, NULL };

    VDN_TRY(parse(ctx, &d.preset_json, &d.preset, s->preset, s->preset_title));
    VDN_TRY(parse(ctx, &d.json, &d.root, s->text, s->title));
    VDN_TRY(apply(ctx, config, recipe, steps, &d, s));
    VDN_TRY(vdni_config_check(ctx, config));
    VDN_TRY(vdni_recipe_check(ctx, recipe, config));
    VDN_TRY(vdni_augment_check(ctx, &recipe->augment));
done:
    vdni_json_free(ctx, d.preset_json);
    vdni_json_free(ctx, d.json);
    return status;
}
