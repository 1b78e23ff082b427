#include "Train/initial_model.h"

#include <stdio.h>
#include <string.h>

enum { LIST_BYTES = 400 };

static int same_shape(const vdni_parameter *a, const vdni_parameter *b)
{
    return a->n == b->n && a->h == b->h && a->w == b->w && a->c == b->c;
}

static const vdni_parameter *find(const vdni_parameters *table, const char *name)
{
    const int64_t i = vdni_parameters_find(table, name);
    return i < 0 ? NULL : &table->items[i];
}

static vdn_status refuse(vdn_ctx *ctx, const char *path, const vdni_parameter *found,
                         const vdni_parameter *needed)
{
    char shape[96] = "absent";
    if (found)
        (void)snprintf(shape, sizeof shape, "%lld x %lld x %lld x %lld", (long long)found->n,
                       (long long)found->h, (long long)found->w, (long long)found->c);
    return vdni_fail(
        ctx, VDN_ERR_ARGUMENT,
        "%s cannot be the initial model: its block %s is %s, needed %lld x %lld x %lld "
        "x %lld; the network must be the same but for the classes",
        path, needed->name, shape, (long long)needed->n, (long long)needed->h, (long long)needed->w,
        (long long)needed->c);
}

/* Channels that are neighbours of another plane would mean something else. */
static vdn_status check_slicing(vdn_ctx *ctx, const vdn_model *model, const vdn_model *source,
                                const char *path)
{
    const vdni_domain *a = &source->domain, *b = &model->domain;
    const int32_t from = a->neighbours > 0 ? a->neighbours : 1;
    const int32_t to = b->neighbours > 0 ? b->neighbours : 1;
    if (a->plane == b->plane && from == to) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                     "%s cannot be the initial model: it takes %d neighbouring slices of plane %d, "
                     "the data has %d of plane %d (0 sagittal, 1 axial, 2 coronal)",
                     path, from, (int)a->plane, to, (int)b->plane);
}

/* @p source has every block that our network would have with the source's classes. */
static vdn_status check(vdn_ctx *ctx, const vdn_model *model, const vdn_model *source,
                        const char *path)
{
    vdn_status status = VDN_OK;
    vdni_parameters table = { .items = NULL };
    vdni_config config = model->config;

    config.mask_channels = source->config.mask_channels;
    VDN_TRY(vdni_model_trace(ctx, &table, &config));
    for (int64_t i = 0; i < table.count && status == VDN_OK; i++) {
        const vdni_parameter *found = find(&source->parameters, table.items[i].name);
        if (!found || !same_shape(found, &table.items[i]))
            status = refuse(ctx, path, found, &table.items[i]);
    }
done:
    vdni_parameters_free(ctx, &table);
    return status;
}

static int64_t size_of(const vdni_parameter *p) { return p->n * p->h * p->w * p->c; }

static void copy_all(vdn_ctx *ctx, vdn_model *model, const vdn_model *source, const char *path)
{
    char fresh[LIST_BYTES] = "";
    int64_t copied = 0, replaced = 0;
    for (int64_t i = 0; i < model->parameters.count; i++) {
        const vdni_parameter *to = &model->parameters.items[i];
        const vdni_parameter *from = find(&source->parameters, to->name);
        if (from && same_shape(from, to)) {
            memcpy(model->values + to->offset, source->values + from->offset,
                   (size_t)size_of(to) * sizeof *model->values);
            copied++;
            continue;
        }
        const size_t used = strlen(fresh);
        (void)snprintf(fresh + used, sizeof fresh - used, "%s%s", replaced > 0 ? ", " : "",
                       to->name);
        replaced++;
    }
    vdni_note(ctx, "initial model %s: %lld of %lld blocks taken", path, (long long)copied,
              (long long)model->parameters.count);
    if (replaced > 0)
        vdni_note(ctx, "it has %d classes and the data %d: these blocks begin anew: %s",
                  source->domain.classes, model->domain.classes, fresh);
    for (int32_t c = 1; c < model->domain.classes && replaced == 0; c++)
        if (strcmp(model->domain.class_name[c], source->domain.class_name[c]) != 0)
            vdni_note(ctx, "class %d of the initial model is %s, here it is %s", c,
                      source->domain.class_name[c], model->domain.class_name[c]);
}

vdn_status vdni_initial_model(vdn_ctx *ctx, vdn_model *model, const char *path)
{
    vdn_model *source = NULL;
    VDN_CHECK(vdn_model_load(ctx, &source, path));
    vdn_status status = check_slicing(ctx, model, source, path);
    if (status == VDN_OK) status = check(ctx, model, source, path);
    if (status == VDN_OK) copy_all(ctx, model, source, path);
    vdn_model_free(source);
    return status;
}
