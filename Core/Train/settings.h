/* A training by name: configuration, recipe, and single settings on top of both.
 *
 * Settings are one JSON object, as in the presets: {"network": "msff", "loss_seg": "sa_invpow"}. Keys
 * are those of Appendix B of the design; Resources/Formats/settings.md lists them. An unknown key, a
 * value of the wrong kind and a combination that cannot be are errors. */
#ifndef VDNI_SETTINGS_H
#define VDNI_SETTINGS_H

#include "Train/preset.h"

typedef struct vdni_settings {
    const char *recipe; /* "recommended", "paper" */
    const char *text;   /* JSON object; NULL = none */
    const char *title;  /* source of the text in messages; NULL = "settings" */
    const char *preset, *preset_title; /* another such object, below the text; NULL = none */
    const char *param;  /* stands whatever the preset says; NULL = its own */
    int32_t no_msfm, no_nsa; /* likewise: the block is off */
    vdni_run_values *run; /* receives what both say about the run; NULL = not wanted */
} vdni_settings;

/* @p config is a named configuration with the data's channels; @p steps as in vdni_recipe_get.
 * In this order: the network, the configuration's settings, the recipe (which looks at both), then
 * every setting again, so that what is set by name stands. The preset comes first each time, then what
 * the caller insists on, then the text. Checks configuration and recipe.
 * VDN_ERR_ARGUMENT, VDN_ERR_FORMAT. */
VDN_MUST_USE vdn_status vdni_settings_apply(vdn_ctx *ctx, vdni_config *config, vdni_recipe *recipe,
                                            int64_t *steps, const vdni_settings *settings);

/* The recipe's keys as members of the open object: for signatures and notes. Keys that came after the
 * first ones only where they are not 0, so that trainings of before still resume. */
void vdni_settings_put_recipe(vdni_json_writer *w, const vdni_recipe *recipe);

#endif
