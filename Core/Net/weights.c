#include "Net/weights.h"

#include "Base/file.h"
#include "Base/json.h"
#include "Base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, ALIGNMENT = 64, MAX_HEADER = 64 << 20 };

struct vdni_weights {
    vdni_file_map map;
    vdni_json *header;
    const char *path; /* the header's title */
    const vdni_json_value *metadata;
    vdni_weights_entry *entries;
    int64_t count;
};

typedef struct {
    const char *name;
    int64_t bytes;
} type_info;

/* In the order of vdni_weights_type. */
static const type_info types[] = { { "F32", 4 }, { "U8", 1 }, { "I32", 4 }, { "I64", 8 } };
enum { TYPE_COUNT = sizeof types / sizeof types[0] };

static uint64_t read_length(const char *data)
{
    uint64_t value = 0;
    for (int i = 0; i < LENGTH_BYTES; i++) value |= (uint64_t)(uint8_t)data[i] << (8 * i);
    return value;
}

static vdn_status read_type(vdn_ctx *ctx, vdni_weights_entry *entry, const vdni_json_value *value)
{
    const char *name = NULL;
    VDN_CHECK(vdni_json_get_string(ctx, &name, value, "dtype"));
    for (int i = 0; i < TYPE_COUNT; i++)
        if (strcmp(types[i].name, name) == 0) {
            entry->type = (vdni_weights_type)i;
            return VDN_OK;
        }
    return vdni_json_complain(ctx, vdni_json_find(value, "dtype"),
                              "the type is not F32, U8, I32 or I64");
}

static vdn_status read_shape(vdn_ctx *ctx, vdni_weights_entry *entry, const vdni_json_value *value)
{
    const vdni_json_value *list = NULL;
    int64_t room = INT64_MAX / 8;

    VDN_CHECK(vdni_json_get_array(ctx, &list, value, "shape", 0, VDNI_WEIGHTS_MAX_DIMENSIONS));
    for (int i = 0; i < VDNI_WEIGHTS_MAX_DIMENSIONS; i++) entry->shape[i] = 1;
    entry->count = 1;
    for (const vdni_json_value *v = vdni_json_first(list); v; v = vdni_json_next(v)) {
        int64_t extent = 0;
        VDN_CHECK(vdni_json_to_int(ctx, &extent, v, 1, room));
        room /= extent;
        entry->count *= extent;
        entry->shape[entry->dimensions++] = extent;
    }
    entry->bytes = entry->count * types[entry->type].bytes;
    return VDN_OK;
}

/* Offsets are relative to the end of the header and must enclose exactly the shape's bytes. */
static vdn_status read_offsets(vdn_ctx *ctx, vdni_weights_entry *entry, const char *data,
                               int64_t data_bytes, const vdni_json_value *value)
{
    const vdni_json_value *list = NULL;
    int64_t begin = 0, end = 0;

    VDN_CHECK(vdni_json_get_array(ctx, &list, value, "data_offsets", 2, 2));
    const vdni_json_value *first = vdni_json_first(list);
    VDN_CHECK(vdni_json_to_int(ctx, &begin, first, 0, data_bytes));
    VDN_CHECK(vdni_json_to_int(ctx, &end, vdni_json_next(first), begin, data_bytes));
    if (end - begin != entry->bytes)
        return vdni_json_complain(ctx, value, "data_offsets do not enclose shape times type");
    entry->data = data + begin;
    return VDN_OK;
}

static int by_address(const void *a, const void *b)
{
    const char *x = ((const vdni_weights_entry *)a)->data,
               *y = ((const vdni_weights_entry *)b)->data;
    return x < y ? -1 : x > y;
}

/* The tensors, sorted, cover the data exactly: no shared bytes, no holes, nothing behind the last (a
 * file that was appended to is not what was saved). */
static vdn_status check_cover(vdn_ctx *ctx, const vdni_weights *w, const char *data,
                              int64_t data_bytes)
{
    const char *at = data;
    for (int64_t i = 0; i < w->count; i++) {
        const vdni_weights_entry *entry = &w->entries[i];
        const int64_t hole = (const char *)entry->data - at;
        if (hole < 0)
            return vdni_fail(ctx, VDN_ERR_FORMAT, "%s: tensors %s and %s share bytes", w->path,
                             w->entries[i - 1].name, entry->name);
        if (hole > 0)
            return vdni_fail(ctx, VDN_ERR_FORMAT,
                             "%s: %lld unused bytes before tensor %s, needed 0", w->path,
                             (long long)hole, entry->name);
        at += entry->bytes;
    }
    const int64_t rest = data + data_bytes - at;
    if (rest == 0) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_FORMAT, "%s: %lld bytes follow the last tensor, needed 0",
                     w->path, (long long)rest);
}

static vdn_status read_metadata(vdn_ctx *ctx, vdni_weights *w, const vdni_json_value *value)
{
    if (value->kind != VDNI_JSON_OBJECT)
        return vdni_json_complain(ctx, value, "the metadata are no object");
    for (const vdni_json_value *v = vdni_json_first(value); v; v = vdni_json_next(v))
        if (v->kind != VDNI_JSON_STRING)
            return vdni_json_complain(ctx, v, "metadata values are strings");
    w->metadata = value;
    return VDN_OK;
}

static vdn_status read_entries(vdn_ctx *ctx, vdni_weights *w, int64_t header_bytes)
{
    const vdni_json_value *root = vdni_json_root(w->header);
    const char *data = w->map.data + LENGTH_BYTES + header_bytes;
    const int64_t data_bytes = w->map.bytes - LENGTH_BYTES - header_bytes;

    if (root->kind != VDNI_JSON_OBJECT)
        return vdni_fail(ctx, VDN_ERR_FORMAT, "%s: the header is no JSON object", w->path);
    VDN_CHECK(VDNI_NEW(ctx, w->entries, root->count));
    for (const vdni_json_value *v = vdni_json_first(root); v; v = vdni_json_next(v)) {
        if (strcmp(v->name, "__metadata__") == 0) {
            VDN_CHECK(read_metadata(ctx, w, v));
            continue;
        }
        vdni_weights_entry *entry = &w->entries[w->count];
        if (strlen(v->name) >= sizeof entry->name)
            return vdni_json_complain(ctx, v, "the tensor's name is too long");
        memcpy(entry->name, v->name, strlen(v->name) + 1);
        VDN_CHECK(read_type(ctx, entry, v));
        VDN_CHECK(read_shape(ctx, entry, v));
        VDN_CHECK(read_offsets(ctx, entry, data, data_bytes, v));
        w->count++;
    }
    qsort(w->entries, (size_t)w->count, sizeof *w->entries, by_address);
    return check_cover(ctx, w, data, data_bytes);
}

vdn_status vdni_weights_open(vdn_ctx *ctx, vdni_weights **out, const char *path)
{
    vdn_status status = VDN_OK;
    vdni_weights *w = NULL;

    *out = NULL;
    VDN_TRY(VDNI_NEW(ctx, w, 1));
    VDN_TRY(vdni_file_map_open(ctx, &w->map, path));
    const uint64_t header = w->map.bytes >= LENGTH_BYTES ? read_length(w->map.data) : UINT64_MAX;
    if (header > MAX_HEADER || (int64_t)header > w->map.bytes - LENGTH_BYTES) {
        status = vdni_fail(ctx, VDN_ERR_FORMAT,
                           "%s: no weights file (%lld bytes; the header length does not fit)", path,
                           (long long)w->map.bytes);
        goto done;
    }
    VDN_TRY(vdni_json_parse(ctx, &w->header, w->map.data + LENGTH_BYTES, (int64_t)header, path));
    w->path = path;
    VDN_TRY(read_entries(ctx, w, (int64_t)header));
    w->path = NULL;
    *out = w;
    w = NULL;
done:
    vdni_weights_close(ctx, w);
    return status;
}

void vdni_weights_close(vdn_ctx *ctx, vdni_weights *w)
{
    if (!w) return;
    vdni_json_free(ctx, w->header);
    vdni_file_map_close(&w->map);
    vdni_free(ctx, w->entries);
    vdni_free(ctx, w);
}

int64_t vdni_weights_count(const vdni_weights *w) { return w->count; }

const vdni_weights_entry *vdni_weights_at(const vdni_weights *w, int64_t index)
{
    return index >= 0 && index < w->count ? &w->entries[index] : NULL;
}

const vdni_weights_entry *vdni_weights_find(const vdni_weights *w, const char *name)
{
    for (int64_t i = 0; i < w->count; i++)
        if (strcmp(w->entries[i].name, name) == 0) return &w->entries[i];
    return NULL;
}

const char *vdni_weights_metadata(const vdni_weights *w, const char *key)
{
    const vdni_json_value *value = vdni_json_find(w->metadata, key);
    return value ? value->string : NULL;
}

vdn_status vdni_weights_copy(vdn_ctx *ctx, void *to, const vdni_weights *w, const char *name,
                             vdni_weights_type type, int64_t count)
{
    const vdni_weights_entry *entry = vdni_weights_find(w, name);
    if (!entry) return vdni_fail(ctx, VDN_ERR_FORMAT, "tensor %s is missing", name);
    if (entry->type != type || entry->count != count)
        return vdni_fail(ctx, VDN_ERR_FORMAT, "tensor %s is %lld x %s, needed %lld x %s", name,
                         (long long)entry->count, types[entry->type].name, (long long)count,
                         types[type].name);
    memcpy(to, entry->data, (size_t)entry->bytes);
    return VDN_OK;
}

static int64_t padded(int64_t bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

static int64_t entry_count(const vdni_weights_entry *entry)
{
    int64_t count = 1;
    for (int i = 0; i < entry->dimensions; i++) count *= entry->shape[i];
    return count;
}

static void put_entry(vdni_json_writer *w, const char *name, const vdni_weights_entry *entry,
                      int64_t begin)
{
    const int64_t bytes = entry_count(entry) * types[entry->type].bytes;
    vdni_json_open_object(w, name);
    vdni_json_put_string(w, "dtype", types[entry->type].name);
    vdni_json_open_array(w, "shape");
    for (int i = 0; i < entry->dimensions; i++) vdni_json_put_int(w, NULL, entry->shape[i]);
    vdni_json_close(w);
    vdni_json_open_array(w, "data_offsets");
    vdni_json_put_int(w, NULL, begin);
    vdni_json_put_int(w, NULL, begin + bytes);
    vdni_json_close(w);
    vdni_json_close(w);
}

static vdn_status make_header(vdn_ctx *ctx, char **out, int64_t *out_bytes,
                              const vdni_weights_entry *entries, int64_t count,
                              const vdni_weights_metadatum *metadata, int64_t metadata_count)
{
    vdni_json_writer w;
    int64_t at = 0;

    vdni_json_begin(&w, ctx, 0);
    vdni_json_open_object(&w, NULL);
    if (metadata_count > 0) {
        vdni_json_open_object(&w, "__metadata__");
        for (int64_t i = 0; i < metadata_count; i++)
            vdni_json_put_string(&w, metadata[i].key, metadata[i].value);
        vdni_json_close(&w);
    }
    for (int64_t i = 0; i < count; i++) {
        put_entry(&w, entries[i].name, &entries[i], at);
        at += entry_count(&entries[i]) * types[entries[i].type].bytes;
    }
    vdni_json_close(&w);
    return vdni_json_finish(&w, out, out_bytes);
}

static vdn_status write_header(vdn_ctx *ctx, vdni_file_writer *writer, const char *header,
                               int64_t bytes)
{
    char length[LENGTH_BYTES], blank[ALIGNMENT];
    const int64_t whole = padded(LENGTH_BYTES + bytes) - LENGTH_BYTES; /* data begins aligned */

    for (int i = 0; i < LENGTH_BYTES; i++) length[i] = (char)((uint64_t)whole >> (8 * i) & 0xff);
    memset(blank, ' ', sizeof blank);
    VDN_CHECK(vdni_file_append(ctx, writer, length, LENGTH_BYTES));
    VDN_CHECK(vdni_file_append(ctx, writer, header, bytes));
    return vdni_file_append(ctx, writer, blank, whole - bytes);
}

vdn_status vdni_weights_save(vdn_ctx *ctx, const char *path, const vdni_weights_entry *entries,
                             int64_t count, const vdni_weights_metadatum *metadata,
                             int64_t metadata_count)
{
    vdn_status status = VDN_OK;
    vdni_file_writer *writer = NULL;
    char *header = NULL;
    int64_t header_bytes = 0;

    for (int64_t i = 0; i < count; i++)
        if (entry_count(&entries[i]) < 1)
            return vdni_fail(ctx, VDN_ERR_ARGUMENT, "tensor %s has no values", entries[i].name);
    VDN_TRY(make_header(ctx, &header, &header_bytes, entries, count, metadata, metadata_count));
    VDN_TRY(vdni_file_create(ctx, &writer, path));
    VDN_TRY(write_header(ctx, writer, header, header_bytes));
    for (int64_t i = 0; i < count; i++)
        VDN_TRY(vdni_file_append(ctx, writer, entries[i].data,
                                 entry_count(&entries[i]) * types[entries[i].type].bytes));
    status = vdni_file_commit(ctx, writer);
    writer = NULL;
done:
    vdni_file_discard(ctx, writer);
    vdni_free(ctx, header);
    return status;
}
