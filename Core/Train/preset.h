/* Presets: whole trainings as JSON files, Resources/Presets. A preset is a settings object
 * (Train/settings.h); the keys below belong to the run and not to network or recipe. */
#ifndef VDNI_PRESET_H
#define VDNI_PRESET_H

#include "Base/json.h"
#include "Train/recipe.h"

/* What a settings object says about the run; NULL, -1 or 0 where it says nothing. */
typedef struct vdni_run_values {
    char name[16];     /* "name" of the recipe in models and logs; "" = that of its base */
    const char *base;  /* "recipe": what keys that are not given are taken from */
    int64_t seed;      /* "seed"; -1 */
    int32_t crop;      /* "crop"; -1 */
    int32_t precision; /* "amp": auto 0, fp32 1, bf16 2; -1 */
    double lr_small;   /* "lr_small": rate of narrow networks (unit, tiny, small); 0 = as "lr" */
    int32_t outside;   /* "aug_outside": label beyond the slice, background 0 or ignore 255; -1 */
} vdni_run_values;

void vdni_run_values_init(vdni_run_values *out);

/* Whether @p name is one of these keys (or "about", a text for readers). */
int vdni_run_key(const char *name);

/* Key number @p i, from 0; NULL beyond the last. */
const char *vdni_run_key_name(int32_t i);

/* Take what @p root has of them over what @p out holds; strings are borrowed from the document.
 * VDN_ERR_FORMAT with the key and what is needed. */
VDN_MUST_USE vdn_status vdni_run_values_read(vdn_ctx *ctx, vdni_run_values *out,
                                             const vdni_json_value *root);

/* What a preset says of recipe and network together: the rate of a narrow network, the label beyond
 * the slice; in short runs at most a sixth of the steps goes to the prior alone and a tenth to the rise
 * of the rate. */
void vdni_run_values_apply(vdni_recipe *recipe, const vdni_config *config,
                           const vdni_run_values *values);
void vdni_preset_shorten(vdni_recipe *recipe, int64_t steps);

/* Letters to add, drop or change to make @p a of @p b; each at most 63 are looked at. */
int32_t vdni_word_distance(const char *a, const char *b);

#endif
