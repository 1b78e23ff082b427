/* vdn_model_describe: what a model or a configuration is and costs, as JSON. */
#include "Base/json.h"
#include "Base/memory.h"
#include "Diffusion/sampler.h"
#include "Net/model.h"
#include "Tensor/pad.h"
#include "Train/network.h"

#include <string.h>

typedef struct {
    const vdni_config *config;
    int64_t height, width; /* padded */
    int64_t condition_macs, step_macs;
    int64_t inference_bytes, training_bytes;
} costs;

static vdn_status find_costs(vdn_ctx *ctx, costs *c, int64_t height, int64_t width)
{
    vdni_config config = *c->config;
    vdni_recipe recipe;
    int64_t steps = 0;
    const int64_t m = config.pad_multiple;
    const vdni_sampler_options options = { vdni_padded_size(height, m), vdni_padded_size(width, m),
                                           VDNI_BF16, 1, 1, 0.0, 1 };

    c->height = options.height;
    c->width = options.width;
    VDN_CHECK(vdni_model_macs(ctx, &c->condition_macs, &c->step_macs, &config, height, width));
    VDN_CHECK(vdni_recipe_get(ctx, &recipe, &config, &steps, "recommended"));
    VDN_CHECK(vdni_network_estimate(ctx, &c->training_bytes, &config, &recipe, c->height, c->width,
                                    VDNI_BF16));
    return vdni_sampler_estimate(ctx, &c->inference_bytes, &config, &options);
}

static void put_parameters(vdni_json_writer *w, const vdni_parameters *table)
{
    const int64_t fuse = vdni_parameters_count(table, "diff.fuse");
    const int64_t condition = vdni_parameters_count(table, "cond.") + fuse;
    vdni_json_open_object(w, "parameters");
    vdni_json_put_int(w, "condition_net", condition);
    vdni_json_put_int(w, "diffusion_net", table->trainable - condition);
    vdni_json_put_int(w, "total", table->trainable);
    vdni_json_put_int(w, "msfm", vdni_parameters_count(table, "cond.msfm"));
    vdni_json_put_int(w, "fuse_projections", fuse);
    vdni_json_close(w);
}

static void put_costs(vdni_json_writer *w, const costs *c, const vdni_parameters *table)
{
    const int64_t weights = table->total_floats * (int64_t)sizeof(float);
    vdni_json_open_object(w, "cost");
    vdni_json_put_int(w, "padded_height", c->height);
    vdni_json_put_int(w, "padded_width", c->width);
    vdni_json_put_double(w, "condition_gflop", 2e-9 * (double)c->condition_macs);
    vdni_json_put_double(w, "step_gflop", 2e-9 * (double)c->step_macs);
    vdni_json_put_string(w, "activations", "bf16");
    vdni_json_put_int(w, "weights_bytes", weights);
    vdni_json_put_int(w, "inference_bytes", c->inference_bytes);
    vdni_json_put_int(w, "training_bytes", c->training_bytes);
    vdni_json_put_int(w, "training_weights_and_moments_bytes", 6 * weights);
    vdni_json_close(w);
}

static vdn_status to_json(vdn_ctx *ctx, char **out, const costs *c, const vdni_parameters *table,
                          const vdni_domain *domain, const char *notes)
{
    vdn_status status = VDN_OK;
    char *config = NULL;
    vdni_json_writer w;

    VDN_TRY(vdni_config_to_json(ctx, &config, c->config, domain));
    vdni_json_begin(&w, ctx, 1);
    vdni_json_open_object(&w, NULL);
    vdni_json_put_string(&w, "verdiff", VDN_VERSION);
    vdni_json_put_raw(&w, "configuration", config);
    put_parameters(&w, table);
    put_costs(&w, c, table);
    if (notes) vdni_json_put_raw(&w, "notes", notes);
    vdni_json_close(&w);
    status = vdni_json_finish(&w, out, NULL);
done:
    vdni_free(ctx, config);
    return status;
}

static vdn_status describe_config(vdn_ctx *ctx, char **out, const char *name, int64_t height,
                                  int64_t width)
{
    vdn_status status = VDN_OK;
    vdni_parameters table = { .items = NULL };
    vdni_config config;
    vdni_domain domain;
    costs c = { .config = &config };

    VDN_TRY(vdni_config_get(ctx, &config, name));
    vdni_domain_binary(&domain, "foreground", 1);
    VDN_TRY(vdni_model_trace(ctx, &table, &config));
    VDN_TRY(find_costs(ctx, &c, height, width));
    VDN_TRY(to_json(ctx, out, &c, &table, &domain, NULL));
done:
    vdni_parameters_free(ctx, &table);
    return status;
}

vdn_status vdn_model_describe(vdn_ctx *ctx, char **out, const char *path, const char *config,
                              int64_t height, int64_t width)
{
    vdn_status status = VDN_OK;
    vdn_model *model = NULL;

    if (!ctx) return VDN_ERR_ARGUMENT;
    vdni_clear_error(ctx);
    if (!out) return vdni_fail(ctx, VDN_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    if (height < 1 || width < 1 || height > 65536 || width > 65536)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "a size of %lld x %lld, needed 1 to 65536",
                         (long long)height, (long long)width);
    if (!path && !config)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "neither a model file nor a configuration");
    if (!path) return describe_config(ctx, out, config, height, width);
    VDN_TRY(vdn_model_load(ctx, &model, path));
    costs c = { .config = &model->config };
    VDN_TRY(find_costs(ctx, &c, height, width));
    VDN_TRY(to_json(ctx, out, &c, &model->parameters, &model->domain, model->notes));
done:
    vdn_model_free(model);
    return status;
}
