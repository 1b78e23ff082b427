/* Configuration <-> JSON: tables of fields serve both directions. What came after the first files is
 * written only where it differs from what those files mean: then the format is 2, and programs that
 * know only 1 refuse the file instead of running another network. */
#include "Base/json.h"
#include "Base/memory.h"
#include "Net/config_keys.h"
#include "Net/model.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name;
    size_t offset;
} field;

/* Integer fields; ranges are vdni_config_check's. */
static const field fields[] = {
    { "image_channels", offsetof(vdni_config, image_channels) },
    { "mask_channels", offsetof(vdni_config, mask_channels) },
    { "condition_convolutions", offsetof(vdni_config, condition_convolutions) },
    { "msfm", offsetof(vdni_config, msfm) },
    { "msfm_width", offsetof(vdni_config, msfm_width) },
    { "condition_norm", offsetof(vdni_config, condition_norm) },
    { "base", offsetof(vdni_config, base) },
    { "blocks", offsetof(vdni_config, blocks) },
    { "stem_down", offsetof(vdni_config, stem_down) },
    { "attention_level", offsetof(vdni_config, attention_level) },
    { "head_width", offsetof(vdni_config, head_width) },
    { "scale_shift", offsetof(vdni_config, scale_shift) },
    { "nsa", offsetof(vdni_config, nsa) },
    { "pad_multiple", offsetof(vdni_config, pad_multiple) },
    { "param", offsetof(vdni_config, param) },
    { "schedule", offsetof(vdni_config, schedule) },
    { "time_steps", offsetof(vdni_config, time_steps) },
    { "prior_skip", offsetof(vdni_config, prior_skip) },
    { "sample_steps", offsetof(vdni_config, sample_steps) },
    { "sample_start", offsetof(vdni_config, sample_start) },
    { "samples", offsetof(vdni_config, samples) },
};
enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

/* All zero is what a file of format 1 means. */
static int needs_format_2(const vdni_config *config)
{
    const vdni_keys keys = vdni_config_keys();
    for (int32_t i = 0; i < keys.count; i++)
        if (keys.items[i].format == 2 && !vdni_key_is_zero(&keys.items[i], config)) return 1;
    return 0;
}

static void put_keys(vdni_json_writer *w, const vdni_config *config)
{
    const vdni_keys keys = vdni_config_keys();
    for (int32_t i = 0; i < keys.count; i++)
        if (keys.items[i].format == 2) vdni_key_put(w, &keys.items[i], config);
}

/* Keys that a file lacks keep their zero. */
static vdn_status get_keys(vdn_ctx *ctx, vdni_config *config, const vdni_json_value *root)
{
    const vdni_keys keys = vdni_config_keys();
    for (int32_t i = 0; i < keys.count; i++) {
        const vdni_json_value *value = vdni_json_find(root, keys.items[i].name);
        if (keys.items[i].format == 2 && value)
            VDN_CHECK(vdni_key_set(ctx, config, &keys.items[i], value));
    }
    return VDN_OK;
}

/* Enumerations are int-sized on every ABI we build for; the fields are read and written as such. */
_Static_assert(sizeof(vdni_param) == sizeof(int32_t), "enumerations are stored as int32_t");

static int32_t read_field(const vdni_config *config, const field *f)
{
    int32_t value;
    memcpy(&value, (const char *)config + f->offset, sizeof value);
    return value;
}

static void put_list(vdni_json_writer *w, const char *name, const int32_t *values, int32_t count)
{
    vdni_json_open_array(w, name);
    for (int32_t i = 0; i < count; i++) vdni_json_put_int(w, NULL, values[i]);
    vdni_json_close(w);
}

static const char *const planes[] = { "sagittal", "axial", "coronal" };

/* Sagittal slices one by one are what a file of format 1 means. */
static int domain_needs_format_2(const vdni_domain *domain)
{
    return domain->plane != VDN_PLANE_SAGITTAL || domain->neighbours > 1;
}

static void put_domain(vdni_json_writer *w, const vdni_domain *domain)
{
    if (domain_needs_format_2(domain)) {
        vdni_json_put_string(w, "plane", planes[domain->plane]);
        vdni_json_put_int(w, "neighbours", domain->neighbours > 1 ? domain->neighbours : 1);
    }
    vdni_json_open_array(w, "classes");
    for (int32_t i = 0; i < domain->classes; i++) {
        vdni_json_open_object(w, NULL);
        vdni_json_put_string(w, "name", domain->class_name[i]);
        vdni_json_put_int(w, "label", domain->class_label[i]);
        vdni_json_close(w);
    }
    vdni_json_close(w);
    vdni_json_put_double(w, "pixel_spacing_mm", domain->pixel_spacing_mm);
    vdni_json_put_double(w, "assumed_spacing_mm", domain->assumed_spacing_mm);
}

vdn_status vdni_config_to_json(vdn_ctx *ctx, char **out, const vdni_config *config,
                               const vdni_domain *domain)
{
    vdni_json_writer w;
    vdni_json_begin(&w, ctx, 0);
    vdni_json_open_object(&w, NULL);
    vdni_json_put_int(&w, "format",
                      needs_format_2(config) || domain_needs_format_2(domain) ? 2 : 1);
    vdni_json_put_string(&w, "name", config->name);
    for (int i = 0; i < FIELD_COUNT; i++)
        vdni_json_put_int(&w, fields[i].name, read_field(config, &fields[i]));
    if (needs_format_2(config)) put_keys(&w, config);
    put_list(&w, "condition", config->condition, config->condition_levels);
    put_list(&w, "multiplier", config->multiplier, config->levels);
    vdni_json_put_double(&w, "signal_scale", config->signal_scale);
    put_domain(&w, domain);
    vdni_json_close(&w);
    return vdni_json_finish(&w, out, NULL);
}

static vdn_status get_list(vdn_ctx *ctx, int32_t *values, int32_t *count,
                           const vdni_json_value *root, const char *name)
{
    const vdni_json_value *list = NULL;
    VDN_CHECK(vdni_json_get_array(ctx, &list, root, name, 1, VDNI_MAX_LEVELS));
    *count = 0;
    for (const vdni_json_value *v = vdni_json_first(list); v; v = vdni_json_next(v)) {
        if (!v->is_integer || v->integer < 0 || v->integer > 4096)
            return vdni_json_complain(ctx, list, "it holds whole numbers from 0 to 4096");
        values[(*count)++] = (int32_t)v->integer;
    }
    return VDN_OK;
}

static vdn_status copy_name(vdn_ctx *ctx, char *to, size_t bytes, const vdni_json_value *object)
{
    const char *name = NULL;
    VDN_CHECK(vdni_json_get_string(ctx, &name, object, "name"));
    if (strlen(name) >= bytes)
        return vdni_json_complain(ctx, vdni_json_find(object, "name"), "the name is too long");
    memcpy(to, name, strlen(name) + 1);
    return VDN_OK;
}

/* Both keys or neither; neither in a file of format 1. */
static vdn_status get_slicing(vdn_ctx *ctx, vdni_domain *domain, const vdni_json_value *root)
{
    const vdni_json_value *plane = vdni_json_find(root, "plane");
    const char *name = NULL;
    int64_t neighbours = 0;
    int32_t i = 0;

    if (!plane && !vdni_json_find(root, "neighbours")) return VDN_OK;
    VDN_CHECK(vdni_json_get_string(ctx, &name, root, "plane"));
    while (i < 3 && strcmp(name, planes[i]) != 0) i++;
    if (i == 3) return vdni_json_complain(ctx, plane, "a plane is sagittal, axial or coronal");
    VDN_CHECK(vdni_json_get_int(ctx, &neighbours, root, "neighbours", 1, 5));
    if (neighbours % 2 == 0)
        return vdni_json_complain(ctx, vdni_json_find(root, "neighbours"), "it is 1, 3 or 5");
    domain->plane = (vdn_plane)i;
    domain->neighbours = neighbours > 1 ? (int32_t)neighbours : 0;
    return VDN_OK;
}

static vdn_status get_domain(vdn_ctx *ctx, vdni_domain *domain, const vdni_json_value *root)
{
    const vdni_json_value *list = NULL;
    VDN_CHECK(vdni_json_get_array(ctx, &list, root, "classes", 2, VDN_MAX_CLASSES));
    for (const vdni_json_value *v = vdni_json_first(list); v; v = vdni_json_next(v)) {
        int64_t label = 0;
        const int32_t i = domain->classes++;
        VDN_CHECK(copy_name(ctx, domain->class_name[i], sizeof domain->class_name[i], v));
        VDN_CHECK(vdni_json_get_int(ctx, &label, v, "label", 0, 65535));
        domain->class_label[i] = (int32_t)label;
    }
    VDN_CHECK(vdni_json_get_double(ctx, &domain->pixel_spacing_mm, root, "pixel_spacing_mm"));
    VDN_CHECK(vdni_json_get_double(ctx, &domain->assumed_spacing_mm, root, "assumed_spacing_mm"));
    if (!(domain->pixel_spacing_mm >= 0.0 && domain->pixel_spacing_mm <= 100.0 &&
          domain->assumed_spacing_mm >= 0.0 && domain->assumed_spacing_mm <= 100.0))
        return vdni_json_complain(ctx, vdni_json_find(root, "pixel_spacing_mm"),
                                  "spacings lie between 0 and 100 mm");
    return VDN_OK;
}

static int is_member(const char *name)
{
    static const char *const others[] = {
        "format", "name",         "condition",  "multiplier",       "classes",
        "plane",  "signal_scale", "neighbours", "pixel_spacing_mm", "assumed_spacing_mm"
    };
    const vdni_key *key = vdni_key_find(vdni_config_keys(), name);
    if (key && key->format == 2) return 1;
    for (int i = 0; i < FIELD_COUNT; i++)
        if (strcmp(fields[i].name, name) == 0) return 1;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcmp(others[i], name) == 0) return 1;
    return 0;
}

/* A member that this program does not know may decide what the network is. */
static vdn_status refuse_unknown(vdn_ctx *ctx, const vdni_json_value *root)
{
    for (const vdni_json_value *v = vdni_json_first(root); v; v = vdni_json_next(v))
        if (!is_member(v->name))
            return vdni_json_complain(ctx, v, "unknown; the file is from a later program");
    return VDN_OK;
}

static vdn_status read_all(vdn_ctx *ctx, vdni_config *config, vdni_domain *domain,
                           const vdni_json_value *root)
{
    int64_t value = 0, format = 0;
    VDN_CHECK(vdni_json_get_int(ctx, &format, root, "format", 1, 2));
    if (format == 2) VDN_CHECK(refuse_unknown(ctx, root));
    if (format == 2) VDN_CHECK(get_keys(ctx, config, root));
    VDN_CHECK(copy_name(ctx, config->name, sizeof config->name, root));
    for (int i = 0; i < FIELD_COUNT; i++) {
        VDN_CHECK(vdni_json_get_int(ctx, &value, root, fields[i].name, -1, 100000));
        const int32_t small = (int32_t)value;
        memcpy((char *)config + fields[i].offset, &small, sizeof small);
    }
    VDN_CHECK(get_list(ctx, config->condition, &config->condition_levels, root, "condition"));
    VDN_CHECK(get_list(ctx, config->multiplier, &config->levels, root, "multiplier"));
    VDN_CHECK(vdni_json_get_double(ctx, &config->signal_scale, root, "signal_scale"));
    VDN_CHECK(get_domain(ctx, domain, root));
    if (format == 2) VDN_CHECK(get_slicing(ctx, domain, root));
    if (domain->neighbours > 1 && config->image_channels % domain->neighbours != 0)
        return vdni_json_complain(ctx, vdni_json_find(root, "neighbours"),
                                  "image_channels is no multiple of it");
    const int32_t needed = config->mask_channels == 1 ? 2 : config->mask_channels;
    if (domain->classes != needed)
        return vdni_json_complain(ctx, vdni_json_find(root, "classes"),
                                  "the number of classes does not fit mask_channels");
    return VDN_OK;
}

vdn_status vdni_config_from_json(vdn_ctx *ctx, vdni_config *config, vdni_domain *domain,
                                 const char *text, const char *title)
{
    vdn_status status = VDN_OK;
    vdni_json *json = NULL;

    memset(config, 0, sizeof *config);
    memset(domain, 0, sizeof *domain);
    VDN_TRY(vdni_json_parse(ctx, &json, text, (int64_t)strlen(text), title));
    VDN_TRY(read_all(ctx, config, domain, vdni_json_root(json)));
    VDN_TRY(vdni_config_check(ctx, config));
done:
    vdni_json_free(ctx, json);
    return status == VDN_ERR_ARGUMENT ? VDN_ERR_FORMAT : status;
}

void vdni_domain_binary(vdni_domain *out, const char *name, int32_t label)
{
    memset(out, 0, sizeof *out);
    out->classes = 2;
    (void)snprintf(out->class_name[0], sizeof out->class_name[0], "background");
    (void)snprintf(out->class_name[1], sizeof out->class_name[1], "%s", name);
    out->class_label[1] = label;
}
