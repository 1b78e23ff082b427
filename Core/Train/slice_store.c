#include "Train/slice_store.h"

#include "Base/checksum.h"
#include "Base/file.h"
#include "Base/memory.h"

#include "Train/slice_store_format.h"

#include <string.h>

struct vdni_store {
    vdni_file_map map;
    char *path;
    vdn_store_header header;
    vdn_store_slice *slice; /* pointers into the map, complete */
    uint8_t *checked;       /* the record's checksum and labels were found good */
    uint32_t *crc;
    int64_t *offset;
    int64_t count;
};

typedef struct {
    int64_t offset, bytes, count;
} index_place;

static vdn_status damaged(vdn_ctx *ctx, const vdni_store *s, const char *field, uint64_t found,
                          uint64_t needed)
{
    return vdni_fail(ctx, VDN_ERR_FORMAT, "%s: %s is %llu, needed %llu", s->path, field,
                     (unsigned long long)found, (unsigned long long)needed);
}

static vdn_status read_sizes(vdn_ctx *ctx, const vdni_store *s, index_place *index)
{
    const uint8_t *const h = (const uint8_t *)s->map.data;
    const uint64_t file = (uint64_t)s->map.bytes;

    if (s->map.bytes < VDNI_STORE_HEADER_BYTES)
        return vdni_fail(ctx, VDN_ERR_FORMAT,
                         "%s: the file has %lld bytes, a slice store needs at least %d", s->path,
                         (long long)s->map.bytes, VDNI_STORE_HEADER_BYTES);
    if (memcmp(h, VDNI_STORE_MAGIC, 8) != 0)
        return vdni_fail(ctx, VDN_ERR_FORMAT, "%s: not a slice store, it does not begin VDNSLICE",
                         s->path);
    if (vdni_store_get_u32(h + 8) < 1 || vdni_store_get_u32(h + 8) > VDNI_STORE_VERSION)
        return damaged(ctx, s, "version", vdni_store_get_u32(h + 8), VDNI_STORE_VERSION);
    if (vdni_store_get_u32(h + 12) != VDNI_STORE_HEADER_BYTES)
        return damaged(ctx, s, "header_bytes", vdni_store_get_u32(h + 12), VDNI_STORE_HEADER_BYTES);
    const uint32_t crc = vdni_crc32(0, h, VDNI_STORE_HEADER_CRC_AT);
    if (vdni_store_get_u32(h + VDNI_STORE_HEADER_CRC_AT) != crc)
        return damaged(ctx, s, "header_crc", vdni_store_get_u32(h + VDNI_STORE_HEADER_CRC_AT), crc);
    if (vdni_store_get_u64(h + 16) != file)
        return damaged(ctx, s, "file_bytes", vdni_store_get_u64(h + 16), file);
    const uint64_t offset = vdni_store_get_u64(h + 24), count = vdni_store_get_u64(h + 32),
                   bytes = vdni_store_get_u64(h + 40);
    if (offset < VDNI_STORE_HEADER_BYTES || offset > file || offset % VDNI_STORE_ALIGNMENT != 0)
        return vdni_fail(ctx, VDN_ERR_FORMAT,
                         "%s: index_offset is %llu, needed a multiple of %d in %d..%llu", s->path,
                         (unsigned long long)offset, VDNI_STORE_ALIGNMENT, VDNI_STORE_HEADER_BYTES,
                         (unsigned long long)file);
    if (bytes != file - offset) return damaged(ctx, s, "index_bytes", bytes, file - offset);
    if (count < 1 || count > bytes / VDNI_STORE_ENTRY_BYTES)
        return vdni_fail(ctx, VDN_ERR_FORMAT, "%s: count is %llu, needed 1..%llu", s->path,
                         (unsigned long long)count,
                         (unsigned long long)(bytes / VDNI_STORE_ENTRY_BYTES));
    const uint32_t index_crc = vdni_crc32(0, h + offset, (int64_t)bytes);
    if (vdni_store_get_u32(h + 48) != index_crc)
        return damaged(ctx, s, "index_crc", vdni_store_get_u32(h + 48), index_crc);
    *index = (index_place){ (int64_t)offset, (int64_t)bytes, (int64_t)count };
    return VDN_OK;
}

static vdn_status read_header(vdn_ctx *ctx, vdni_store *s)
{
    const uint8_t *const h = (const uint8_t *)s->map.data;
    vdn_store_header *const out = &s->header;
    uint32_t number;

    out->image_channels = vdni_store_get_i32(h + 52);
    out->classes = vdni_store_get_i32(h + 56);
    out->pixel_spacing_mm = vdni_store_get_f32(h + 60);
    out->assumed_spacing_mm = vdni_store_get_f32(h + 64);
    number = vdni_store_get_u32(h + 68);
    if (number > VDN_MODALITY_XRAY) return damaged(ctx, s, "modality", number, VDN_MODALITY_XRAY);
    out->modality = (vdn_modality)number;
    out->neighbours = 1;
    if (vdni_store_get_u32(h + 8) > 1) {
        number = vdni_store_get_u32(h + 72);
        if (number > VDN_PLANE_CORONAL) return damaged(ctx, s, "plane", number, VDN_PLANE_CORONAL);
        out->plane = (vdn_plane)number;
        out->neighbours = vdni_store_get_i32(h + 76);
        if (out->neighbours < 1) return damaged(ctx, s, "neighbours", (uint64_t)out->neighbours, 1);
    }
    for (int i = 0; i < VDN_MAX_CLASSES; i++)
        out->class_label[i] = vdni_store_get_i32(h + VDNI_STORE_LABELS_AT + 4 * i);
    memcpy(out->class_name, h + VDNI_STORE_NAMES_AT, sizeof out->class_name);
    return vdni_store_check_header(ctx, VDN_ERR_FORMAT, s->path, out);
}

/* One entry's numbers; @p at is where its record has to begin and is moved to its end. */
static vdn_status read_entry(vdn_ctx *ctx, vdni_store *s, int64_t i, const index_place *index,
                             int64_t *at)
{
    const uint8_t *const e =
        (const uint8_t *)s->map.data + index->offset + i * VDNI_STORE_ENTRY_BYTES;
    vdn_store_slice *const out = &s->slice[i];
    const uint64_t slice_index = vdni_store_get_u64(e + 16);

    out->index = slice_index > INT64_MAX ? -1 : (int64_t)slice_index;
    out->height = vdni_store_get_u32(e + 24);
    out->width = vdni_store_get_u32(e + 28);
    out->native_height = vdni_store_get_u32(e + 32);
    out->native_width = vdni_store_get_u32(e + 36);
    out->native_spacing_mm[0] = vdni_store_get_f32(e + 40);
    out->native_spacing_mm[1] = vdni_store_get_f32(e + 44);
    if (vdni_store_get_u32(e + 48) > VDN_MODALITY_XRAY)
        return damaged(ctx, s, "slice modality", vdni_store_get_u32(e + 48), VDN_MODALITY_XRAY);
    out->modality = (vdn_modality)vdni_store_get_u32(e + 48);
    VDN_CHECK(vdni_store_check_slice(ctx, VDN_ERR_FORMAT, s->path, out));
    const vdni_store_layout l = vdni_store_layout_of(out, s->header.image_channels);
    if (vdni_store_get_u64(e) != (uint64_t)*at)
        return damaged(ctx, s, "record offset", vdni_store_get_u64(e), (uint64_t)*at);
    if (vdni_store_get_u64(e + 8) != (uint64_t)l.bytes)
        return damaged(ctx, s, "record_bytes", vdni_store_get_u64(e + 8), (uint64_t)l.bytes);
    if (l.bytes > index->offset - *at)
        return damaged(ctx, s, "bytes left for a record", (uint64_t)(index->offset - *at),
                       (uint64_t)l.bytes);
    const char *const record = s->map.data + *at;
    out->pixels = (const float *)(const void *)record;
    out->labels = (const uint8_t *)record + l.labels;
    out->native_labels = (const uint8_t *)record + l.native;
    s->offset[i] = *at;
    s->crc[i] = vdni_store_get_u32(e + 52);
    *at += l.bytes;
    return VDN_OK;
}

/* The two names of an entry; @p at is where they have to begin among the strings. */
static vdn_status read_names(vdn_ctx *ctx, vdni_store *s, int64_t i, const index_place *index,
                             int64_t *at)
{
    const uint8_t *const e =
        (const uint8_t *)s->map.data + index->offset + i * VDNI_STORE_ENTRY_BYTES;
    const char *const strings = s->map.data + index->offset + index->count * VDNI_STORE_ENTRY_BYTES;
    const int64_t room = index->bytes - index->count * VDNI_STORE_ENTRY_BYTES - *at;
    const int64_t case_bytes = vdni_store_get_u32(e + 56),
                  subject_bytes = vdni_store_get_u32(e + 60);

    if (vdni_store_get_u64(e + 64) != (uint64_t)*at)
        return damaged(ctx, s, "string_offset", vdni_store_get_u64(e + 64), (uint64_t)*at);
    if (case_bytes + subject_bytes + 2 > room)
        return damaged(ctx, s, "bytes left for names", (uint64_t)room,
                       (uint64_t)(case_bytes + subject_bytes + 2));
    const char *const case_id = strings + *at, *const subject = case_id + case_bytes + 1;
    if (!vdni_store_is_name(case_id, case_bytes, VDNI_STORE_MAX_ID_BYTES) ||
        case_id[case_bytes] != 0 ||
        !vdni_store_is_name(subject, subject_bytes, VDNI_STORE_MAX_ID_BYTES) ||
        subject[subject_bytes] != 0)
        return vdni_fail(ctx, VDN_ERR_FORMAT,
                         "%s: names of slice %lld are not 1 to %d bytes of plain UTF-8 text",
                         s->path, (long long)i, VDNI_STORE_MAX_ID_BYTES);
    s->slice[i].case_id = case_id;
    s->slice[i].subject = subject;
    *at += case_bytes + subject_bytes + 2;
    return VDN_OK;
}

static vdn_status read_index(vdn_ctx *ctx, vdni_store *s, const index_place *index)
{
    int64_t record = VDNI_STORE_HEADER_BYTES, string = 0;

    VDN_CHECK(VDNI_NEW(ctx, s->slice, index->count));
    VDN_CHECK(VDNI_NEW(ctx, s->checked, index->count));
    VDN_CHECK(VDNI_NEW(ctx, s->crc, index->count));
    VDN_CHECK(VDNI_NEW(ctx, s->offset, index->count));
    s->count = index->count;
    for (int64_t i = 0; i < index->count; i++) {
        VDN_CHECK(read_entry(ctx, s, i, index, &record));
        VDN_CHECK(read_names(ctx, s, i, index, &string));
    }
    if (record != index->offset)
        return damaged(ctx, s, "index_offset", (uint64_t)index->offset, (uint64_t)record);
    if (string != index->bytes - index->count * VDNI_STORE_ENTRY_BYTES)
        return damaged(ctx, s, "index_bytes", (uint64_t)index->bytes,
                       (uint64_t)(string + index->count * VDNI_STORE_ENTRY_BYTES));
    return VDN_OK;
}

vdn_status vdni_store_open(vdn_ctx *ctx, vdni_store **out, const char *path)
{
    vdn_status status = VDN_OK;
    vdni_store *s = NULL;
    index_place index = { 0, 0, 0 };

    VDN_CHECK(vdni_store_check_machine(ctx, path));
    VDN_TRY(VDNI_NEW(ctx, s, 1));
    VDN_TRY(vdni_strdup(ctx, &s->path, path));
    VDN_TRY(vdni_file_map_open(ctx, &s->map, path));
    VDN_TRY(read_sizes(ctx, s, &index));
    VDN_TRY(read_header(ctx, s));
    VDN_TRY(read_index(ctx, s, &index));
    *out = s;
    s = NULL;
done:
    vdni_store_close(ctx, s);
    return status;
}

void vdni_store_close(vdn_ctx *ctx, vdni_store *s)
{
    if (!s) return;
    vdni_file_map_close(&s->map);
    vdni_free(ctx, s->offset);
    vdni_free(ctx, s->crc);
    vdni_free(ctx, s->checked);
    vdni_free(ctx, s->slice);
    vdni_free(ctx, s->path);
    vdni_free(ctx, s);
}

const vdn_store_header *vdni_store_get_header(const vdni_store *store) { return &store->header; }

int64_t vdni_store_get_count(const vdni_store *store) { return store->count; }

void vdni_store_get_entry(vdn_store_slice *out, const vdni_store *store, int64_t i)
{
    *out = store->slice[i];
    out->pixels = NULL;
    out->labels = out->native_labels = NULL;
}

static vdn_status check_record(vdn_ctx *ctx, const vdni_store *store, int64_t i)
{
    const vdn_store_slice *const s = &store->slice[i];
    const int64_t bytes = vdni_store_layout_of(s, store->header.image_channels).bytes;
    const uint32_t crc = vdni_crc32(0, store->map.data + store->offset[i], bytes);

    if (crc != store->crc[i])
        return vdni_fail(ctx, VDN_ERR_FORMAT,
                         "%s: %s, slice %lld is damaged: checksum %08lx, needed %08lx", store->path,
                         s->case_id, (long long)s->index, (unsigned long)crc,
                         (unsigned long)store->crc[i]);
    return vdni_store_check_labels(ctx, VDN_ERR_FORMAT, s, store->header.classes);
}

vdn_status vdni_store_get_slice(vdn_ctx *ctx, vdn_store_slice *out, vdni_store *store, int64_t i)
{
    if (i < 0 || i >= store->count)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s: slice %lld of %lld", store->path, (long long)i,
                         (long long)store->count);
    if (!store->checked[i]) {
        VDN_CHECK(check_record(ctx, store, i));
        store->checked[i] = 1;
    }
    *out = store->slice[i];
    return VDN_OK;
}
