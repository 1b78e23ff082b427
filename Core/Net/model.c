#include "Net/model.h"

#include "Base/memory.h"
#include "Graph/plan.h"
#include "Net/condition_unet.h"
#include "Net/diffusion_unet.h"
#include "Net/weights.h"

#include <stdio.h>
#include <string.h>

static const char config_key[] = "verdiff.model", notes_key[] = "verdiff.notes";

/* The networks on one image of h x w pixels. @p condition_nodes: where the denoising step begins.
 * @p trained: with what only training runs. */
static void build_once(vdni_graph *g, const vdni_config *config, const int64_t size[2], int trained,
                       int64_t *condition_nodes)
{
    const int64_t h = size[0], w = size[1];
    const int64_t image[4] = { 1, h, w, config->image_channels };
    const int64_t mask[4] = { 1, h, w, config->mask_channels };
    const int64_t single[4] = { 1, h, w, 1 }, scalar[4] = { 1, 1, 1, 1 }, row[4] = { 1, 1, 1, 4 };
    vdni_id deep[VDNI_MAX_LEVELS];
    vdni_step_inputs in;

    in.image = vdni_input(g, "image", image, VDNI_F32);
    const vdni_condition condition = vdni_condition_unet(g, config, in.image, NULL);
    if (trained) vdni_deep_scores(g, config, &condition, deep);
    *condition_nodes = g->node_count;
    if (!vdni_has_refiner(config)) return;
    const vdni_id foreground = vdni_input(g, "foreground", single, VDNI_F32);
    const vdni_cache cache = vdni_condition_cache(g, config, condition.feature, foreground);
    *condition_nodes = g->node_count;
    in.x = vdni_input(g, "x", mask, VDNI_F32);
    in.prior = vdni_input(g, "prior", mask, VDNI_F32);
    in.t = vdni_input(g, "t", scalar, VDNI_F32);
    in.scale = config->norm_in ? vdni_input(g, "scale", row, VDNI_F32) : VDNI_NONE;
    in.skip = VDNI_NONE;
    (void)vdni_diffusion_unet(g, config, &in, &cache);
}

/* Sum over the list from @p begin on. */
static int64_t macs_from(const vdni_graph *g, int64_t begin)
{
    vdni_graph part = *g;
    part.nodes += begin;
    part.node_count -= begin;
    return vdni_graph_macs(&part);
}

static vdn_status trace(vdn_ctx *ctx, vdni_parameters *table, const vdni_config *config,
                        const int64_t size[2], int trained, int64_t macs[2])
{
    vdn_status status = VDN_OK;
    vdni_graph *g = NULL;
    int64_t condition_nodes = 0;

    VDN_TRY(vdni_config_check(ctx, config));
    VDN_TRY(vdni_graph_create(ctx, &g, table, VDNI_F32, 0));
    build_once(g, config, size, trained, &condition_nodes);
    VDN_TRY(vdni_graph_status(g));
    macs[1] = macs_from(g, condition_nodes);
    macs[0] = vdni_graph_macs(g) - macs[1];
done:
    vdni_graph_free(ctx, g);
    return status;
}

vdn_status vdni_model_trace(vdn_ctx *ctx, vdni_parameters *table, const vdni_config *config)
{
    const int64_t smallest[2] = { config->pad_multiple, config->pad_multiple };
    int64_t macs[2];
    return trace(ctx, table, config, smallest, 1, macs);
}

vdn_status vdni_model_macs(vdn_ctx *ctx, int64_t *condition, int64_t *step,
                           const vdni_config *config, int64_t h, int64_t w)
{
    vdni_parameters table = { .items = NULL };
    const int64_t m = config->pad_multiple;
    int64_t macs[2] = { 0, 0 };

    if (h < 1 || w < 1 || m < 1)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "an image of %lld x %lld", (long long)h,
                         (long long)w);
    const int64_t size[2] = { (h + m - 1) / m * m, (w + m - 1) / m * m };
    const vdn_status status = trace(ctx, &table, config, size, 0, macs);
    vdni_parameters_free(ctx, &table);
    *condition = macs[0];
    *step = macs[1];
    return status;
}

static vdn_status allocate_model(vdn_ctx *ctx, vdn_model **out, const vdni_config *config,
                                 const vdni_domain *domain)
{
    vdn_status status = VDN_OK;
    vdn_model *model = NULL;

    *out = NULL;
    VDN_TRY(VDNI_NEW(ctx, model, 1));
    model->ctx = ctx;
    model->serial = ++ctx->models_made;
    model->config = *config;
    model->domain = *domain;
    VDN_TRY(vdni_model_trace(ctx, &model->parameters, config));
    model->parameters.closed = 1;
    VDN_TRY(VDNI_NEW(ctx, model->values, model->parameters.total_floats));
    *out = model;
    model = NULL;
done:
    vdn_model_free(model);
    return status;
}

/* Running statistics are [mean, variance]; a net that has seen nothing assumes variance 1. */
static void start_running_variance(vdn_model *model)
{
    for (int64_t i = 0; i < model->parameters.count; i++) {
        const vdni_parameter *p = &model->parameters.items[i];
        if (p->trainable) continue;
        for (int64_t c = p->c / 2; c < p->c; c++) model->values[p->offset + c] = 1.0f;
    }
}

vdn_status vdni_model_create(vdn_ctx *ctx, vdn_model **out, const vdni_config *config,
                             const vdni_domain *domain, uint64_t seed)
{
    VDN_CHECK(allocate_model(ctx, out, config, domain));
    vdn_model *model = *out;
    vdni_parameters_initialize(&model->parameters, model->values, seed);
    start_running_variance(model);
    const vdn_status status = vdni_strdup(ctx, &model->notes, "{}");
    if (status != VDN_OK) {
        vdn_model_free(model);
        *out = NULL;
    }
    return status;
}

static vdn_status read_values(vdn_ctx *ctx, vdn_model *model, const vdni_weights *w,
                              const char *path)
{
    for (int64_t i = 0; i < model->parameters.count; i++) {
        const vdni_parameter *p = &model->parameters.items[i];
        const vdni_weights_entry *e = vdni_weights_find(w, p->name);
        const int64_t shape[4] = { p->n, p->h, p->w, p->c };
        if (!e)
            return vdni_fail(ctx, VDN_ERR_FORMAT, "%s: tensor %s is missing", path, p->name);
        if (e->dimensions != 4 || memcmp(e->shape, shape, sizeof shape) != 0)
            return vdni_fail(ctx, VDN_ERR_FORMAT,
                             "%s: tensor %s is [%lld, %lld, %lld, %lld], needed "
                             "[%lld, %lld, %lld, %lld]",
                             path, p->name, (long long)e->shape[0], (long long)e->shape[1],
                             (long long)e->shape[2], (long long)e->shape[3], (long long)p->n,
                             (long long)p->h, (long long)p->w, (long long)p->c);
        VDN_CHECK(vdni_weights_copy(ctx, model->values + p->offset, w, p->name, VDNI_WEIGHTS_F32,
                                    e->count));
    }
    if (vdni_weights_count(w) != model->parameters.count)
        return vdni_fail(ctx, VDN_ERR_FORMAT, "%s: %lld tensors, the configuration has %lld", path,
                         (long long)vdni_weights_count(w), (long long)model->parameters.count);
    return VDN_OK;
}

/* NaN or infinity anywhere would poison every slice: refuse the file. */
static vdn_status check_values(vdn_ctx *ctx, const vdn_model *model, const char *path)
{
    for (int64_t i = 0; i < model->parameters.count; i++) {
        const vdni_parameter *p = &model->parameters.items[i];
        const float *v = model->values + p->offset;
        for (int64_t k = 0; k < p->n * p->h * p->w * p->c; k++)
            if (!(v[k] - v[k] == 0.0f))
                return vdni_fail(ctx, VDN_ERR_FORMAT, "%s: value %lld of tensor %s is not finite",
                                 path, (long long)k, p->name);
    }
    return VDN_OK;
}

vdn_status vdn_model_load(vdn_ctx *ctx, vdn_model **out, const char *path)
{
    vdn_status status = VDN_OK;
    vdni_weights *w = NULL;
    vdn_model *model = NULL;
    vdni_config config;
    vdni_domain domain;

    if (!ctx) return VDN_ERR_ARGUMENT;
    vdni_clear_error(ctx);
    if (!out || !path)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s is NULL", out ? "path" : "out");
    *out = NULL;
    VDN_TRY(vdni_weights_open(ctx, &w, path));
    const char *text = vdni_weights_metadata(w, config_key);
    const char *notes = vdni_weights_metadata(w, notes_key);
    if (!text) {
        status = vdni_fail(ctx, VDN_ERR_FORMAT, "%s: the metadata have no %s: no Verdiff model",
                           path, config_key);
        goto done;
    }
    VDN_TRY(vdni_config_from_json(ctx, &config, &domain, text, path));
    VDN_TRY(allocate_model(ctx, &model, &config, &domain));
    VDN_TRY(read_values(ctx, model, w, path));
    VDN_TRY(check_values(ctx, model, path));
    VDN_TRY(vdni_strdup(ctx, &model->notes, notes ? notes : "{}"));
    *out = model;
    model = NULL;
done:
    vdn_model_free(model);
    vdni_weights_close(ctx, w);
    return status;
}

static void describe_entries(vdni_weights_entry *entries, const vdn_model *model,
                             const float *values)
{
    for (int64_t i = 0; i < model->parameters.count; i++) {
        const vdni_parameter *p = &model->parameters.items[i];
        memcpy(entries[i].name, p->name, sizeof p->name);
        entries[i].dimensions = 4;
        entries[i].shape[0] = p->n;
        entries[i].shape[1] = p->h;
        entries[i].shape[2] = p->w;
        entries[i].shape[3] = p->c;
        entries[i].data = values + p->offset;
    }
}

vdn_status vdni_model_save(vdn_ctx *ctx, const char *path, const vdn_model *model,
                           const float *values)
{
    vdn_status status = VDN_OK;
    vdni_weights_entry *entries = NULL;
    char *config = NULL;

    VDN_TRY(VDNI_NEW(ctx, entries, model->parameters.count));
    VDN_TRY(vdni_config_to_json(ctx, &config, &model->config, &model->domain));
    describe_entries(entries, model, values ? values : model->values);
    const vdni_weights_metadatum metadata[] = { { config_key, config }, { notes_key, model->notes } };
    VDN_TRY(vdni_weights_save(ctx, path, entries, model->parameters.count, metadata, 2));
done:
    vdni_free(ctx, config);
    vdni_free(ctx, entries);
    return status;
}

void vdn_model_free(vdn_model *model)
{
    if (!model) return;
    vdn_ctx *ctx = model->ctx;
    vdni_parameters_free(ctx, &model->parameters);
    vdni_free(ctx, model->values);
    vdni_free(ctx, model->notes);
    vdni_free(ctx, model);
}

void vdn_model_get_info(vdn_model_info *out, const vdn_model *model)
{
    memset(out, 0, sizeof *out);
    (void)snprintf(out->config, sizeof out->config, "%s", model->config.name);
    out->image_channels = model->config.image_channels;
    out->classes = model->domain.classes;
    memcpy(out->class_name, model->domain.class_name, sizeof out->class_name);
    memcpy(out->class_label, model->domain.class_label, sizeof out->class_label);
    out->pixel_spacing_mm = (float)model->domain.pixel_spacing_mm;
    out->assumed_spacing_mm = (float)model->domain.assumed_spacing_mm;
    out->steps = model->config.sample_steps;
    out->samples = model->config.samples;
    out->plane = model->domain.plane;
    out->neighbours = model->domain.neighbours > 1 ? model->domain.neighbours : 1;
    out->pad_multiple = model->config.pad_multiple;
    out->parameters = model->parameters.trainable;
    out->metadata_json = model->notes;
}
