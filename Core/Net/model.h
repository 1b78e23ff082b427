/* A model: configuration, what its classes mean, parameters and their values, and the file it lives
 * in (safetensors; the format page is Resources/Formats/model.md). */
#ifndef VDNI_MODEL_H
#define VDNI_MODEL_H

#include "Graph/parameters.h"
#include "Net/config.h"

/* What the pixels and the classes of a model are. */
typedef struct vdni_domain {
    int32_t classes; /* with background; 2 for a binary model */
    char class_name[VDN_MAX_CLASSES][VDN_NAME_BYTES];
    int32_t class_label[VDN_MAX_CLASSES];
    double pixel_spacing_mm;   /* working in-plane size, 0 = native */
    double assumed_spacing_mm; /* for images that record none, 0 = native */
    vdn_plane plane;           /* in which volumes are cut */
    int32_t neighbours;        /* slices whose pixels are the channels of one: 3 or 5; 0 and 1 = 1 */
} vdni_domain;

struct vdn_model {
    vdni_config config;
    vdni_domain domain;
    vdni_parameters parameters; /* closed */
    float *values;              /* parameters.total_floats, host memory */
    char *notes;                /* JSON object: training data, licence, scores; never NULL */
    int64_t serial;             /* tells two models of one context apart, for ever */
    vdn_ctx *ctx;               /* counts the memory; only used to free */
};

/* Add every parameter of the network of @p config to @p table by building it once at its smallest
 * size. */
VDN_MUST_USE vdn_status vdni_model_trace(vdn_ctx *ctx, vdni_parameters *table,
                                         const vdni_config *config);

/* A model with start values drawn from @p seed. */
VDN_MUST_USE vdn_status vdni_model_create(vdn_ctx *ctx, vdn_model **out, const vdni_config *config,
                                          const vdni_domain *domain, uint64_t seed);

/* Save with the values of @p values (parameters.total_floats) instead of the model's own when it is
 * not NULL. Atomic. VDN_ERR_IO. */
VDN_MUST_USE vdn_status vdni_model_save(vdn_ctx *ctx, const char *path, const vdn_model *model,
                                        const float *values);

/* Multiply-adds of one image of h x w (padded up to M): the condition pass with its fuse projections,
 * and one denoising step. model.md 2.2 counts 2 FLOP for each. */
VDN_MUST_USE vdn_status vdni_model_macs(vdn_ctx *ctx, int64_t *condition, int64_t *step,
                                        const vdni_config *config, int64_t h, int64_t w);

/* The domain of a binary model of one foreground class. */
void vdni_domain_binary(vdni_domain *out, const char *name, int32_t label);

/* Configuration and domain as the JSON member of a model file, and back. The reader checks every
 * field; free the text with vdni_free. */
VDN_MUST_USE vdn_status vdni_config_to_json(vdn_ctx *ctx, char **out, const vdni_config *config,
                                            const vdni_domain *domain);
VDN_MUST_USE vdn_status vdni_config_from_json(vdn_ctx *ctx, vdni_config *config,
                                              vdni_domain *domain, const char *text,
                                              const char *title);

#endif
