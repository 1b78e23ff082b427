#include "Train/preset.h"

#include "Tensor/pad.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WORD_LETTERS = 63, NARROW = 32 };

static const char *const run_keys[] = { "about", "name", "recipe",      "seed",
                                        "crop",  "amp",  "aug_outside", "lr_small" };

void vdni_run_values_init(vdni_run_values *out)
{
    *out = (vdni_run_values){ .seed = -1, .crop = -1, .precision = -1, .outside = -1 };
}

int vdni_run_key(const char *name)
{
    for (size_t i = 0; i < sizeof run_keys / sizeof run_keys[0]; i++)
        if (strcmp(run_keys[i], name) == 0) return 1;
    return 0;
}

const char *vdni_run_key_name(int32_t i)
{
    return i < (int32_t)(sizeof run_keys / sizeof run_keys[0]) ? run_keys[i] : NULL;
}

/* The number of the word that @p name has among @p words (NULL ends); @p out stays when it is absent. */
static vdn_status read_word(vdn_ctx *ctx, int32_t *out, const vdni_json_value *root,
                            const char *name, const char *const *words)
{
    const vdni_json_value *value = vdni_json_find(root, name);
    char why[128] = "needed";
    const char *word = NULL;

    if (!value) return VDN_OK;
    VDN_CHECK(vdni_json_to_string(ctx, &word, value));
    for (int32_t i = 0; words[i]; i++) {
        const size_t used = strlen(why);
        if (strcmp(word, words[i]) == 0) {
            *out = i;
            return VDN_OK;
        }
        (void)snprintf(why + used, sizeof why - used, "%s %s", i > 0 ? "," : "", words[i]);
    }
    return vdni_json_complain(ctx, value, why);
}

static vdn_status read_name(vdn_ctx *ctx, vdni_run_values *out, const vdni_json_value *root)
{
    const char *name = NULL;
    if (!vdni_json_find(root, "name")) return VDN_OK;
    VDN_CHECK(vdni_json_get_string(ctx, &name, root, "name"));
    if (name[0] == '\0' || strlen(name) >= sizeof out->name)
        return vdni_json_complain(ctx, vdni_json_find(root, "name"), "needed 1 to 15 bytes");
    (void)snprintf(out->name, sizeof out->name, "%s", name);
    return VDN_OK;
}

static vdn_status read_numbers(vdn_ctx *ctx, vdni_run_values *out, const vdni_json_value *root)
{
    int64_t crop = 0;
    if (vdni_json_find(root, "seed"))
        VDN_CHECK(vdni_json_get_int(ctx, &out->seed, root, "seed", 0, INT64_MAX));
    if (vdni_json_find(root, "crop")) {
        VDN_CHECK(vdni_json_get_int(ctx, &crop, root, "crop", 0, 65536));
        out->crop = (int32_t)crop;
    }
    if (!vdni_json_find(root, "lr_small")) return VDN_OK;
    VDN_CHECK(vdni_json_get_double(ctx, &out->lr_small, root, "lr_small"));
    if (out->lr_small > 0.0 && out->lr_small <= 10.0) return VDN_OK;
    return vdni_json_complain(ctx, vdni_json_find(root, "lr_small"), "needed above 0 to 10");
}

vdn_status vdni_run_values_read(vdn_ctx *ctx, vdni_run_values *out, const vdni_json_value *root)
{
    static const char *const amp[] = { "auto", "fp32", "bf16", NULL };
    static const char *const outside[] = { "background", "ignore", NULL };
    int32_t beyond = -1;

    VDN_CHECK(read_name(ctx, out, root));
    if (vdni_json_find(root, "recipe"))
        VDN_CHECK(vdni_json_get_string(ctx, &out->base, root, "recipe"));
    VDN_CHECK(read_word(ctx, &out->precision, root, "amp", amp));
    VDN_CHECK(read_word(ctx, &beyond, root, "aug_outside", outside));
    if (beyond >= 0) out->outside = beyond == 0 ? 0 : VDNI_LABEL_IGNORE;
    return read_numbers(ctx, out, root);
}

void vdni_run_values_apply(vdni_recipe *recipe, const vdni_config *config,
                           const vdni_run_values *values)
{
    if (values->name[0]) memcpy(recipe->name, values->name, sizeof recipe->name);
    if (values->lr_small > 0.0 && config->base <= NARROW) recipe->lr.base = values->lr_small;
    if (values->outside >= 0) recipe->augment.outside_label = (uint8_t)values->outside;
}

static int64_t at_most(int64_t wanted, int64_t most) { return wanted < most ? wanted : most; }

void vdni_preset_shorten(vdni_recipe *recipe, int64_t steps)
{
    recipe->prior_warmup = at_most(recipe->prior_warmup, steps / 6);
    recipe->lr.warmup = at_most(recipe->lr.warmup, steps / 10);
}

/* Levenshtein 1966, one row at a time. */
int32_t vdni_word_distance(const char *a, const char *b)
{
    int32_t row[WORD_LETTERS + 1];
    const int32_t n = (int32_t)at_most((int64_t)strlen(b), WORD_LETTERS);
    for (int32_t j = 0; j <= n; j++) row[j] = j;
    for (int32_t i = 1; i <= WORD_LETTERS && a[i - 1]; i++) {
        int32_t corner = row[0];
        row[0] = i;
        for (int32_t j = 1; j <= n; j++) {
            const int32_t swapped = corner + (a[i - 1] != b[j - 1]);
            const int32_t longer = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            corner = row[j];
            row[j] = swapped < longer ? swapped : longer;
        }
    }
    return row[n];
}
