#include "Train/slice_store_format.h"

#include "Base/utf8.h"
#include "Tensor/pad.h"

#include <math.h>
#include <string.h>

/* ---- numbers in the file ------------------------------------------------------------------- */

void vdni_store_put_u32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(value >> (8 * i));
}

void vdni_store_put_u64(uint8_t *to, uint64_t value)
{
    for (int i = 0; i < 8; i++) to[i] = (uint8_t)(value >> (8 * i));
}

void vdni_store_put_f32(uint8_t *to, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    vdni_store_put_u32(to, bits);
}

uint32_t vdni_store_get_u32(const uint8_t *from)
{
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

uint64_t vdni_store_get_u64(const uint8_t *from)
{
    return vdni_store_get_u32(from) | (uint64_t)vdni_store_get_u32(from + 4) << 32;
}

int32_t vdni_store_get_i32(const uint8_t *from)
{
    const uint32_t bits = vdni_store_get_u32(from);
    int32_t value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float vdni_store_get_f32(const uint8_t *from)
{
    const uint32_t bits = vdni_store_get_u32(from);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

vdn_status vdni_store_check_machine(vdn_ctx *ctx, const char *path)
{
    const uint32_t one = 1;
    uint8_t first;
    memcpy(&first, &one, 1);
    if (first == 1) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_UNSUPPORTED, "%s: slice stores need a little-endian machine",
                     path);
}

/* ---- rules that hold for writer and reader ---------------------------------------------------- */

uint32_t vdni_store_version_of(const vdn_store_header *header)
{
    return header->plane != VDN_PLANE_SAGITTAL || header->neighbours > 1 ? 2 : 1;
}

int64_t vdni_store_align(int64_t bytes)
{
    return (bytes + VDNI_STORE_ALIGNMENT - 1) / VDNI_STORE_ALIGNMENT * VDNI_STORE_ALIGNMENT;
}

vdni_store_layout vdni_store_layout_of(const vdn_store_slice *s, int32_t channels)
{
    vdni_store_layout l;
    l.labels = vdni_store_align(s->height * s->width * channels * (int64_t)sizeof(float));
    l.native = l.labels + vdni_store_align(s->height * s->width);
    l.bytes = l.native + vdni_store_align(s->native_height * s->native_width);
    return l;
}

int vdni_store_is_name(const char *text, int64_t bytes, int64_t max_bytes)
{
    if (bytes < 1 || bytes > max_bytes) return 0;
    for (int64_t i = 0; i < bytes;) {
        const int length = vdni_utf8_length(text + i, bytes - i);
        if (length == 0 || (unsigned char)text[i] < 0x20 || text[i] == 0x7f) return 0;
        i += length;
    }
    return 1;
}

static int is_spacing(float mm) { return isfinite(mm) && mm >= 0.0f; }

/* VDN_OK or @p status with "<path>: <field> is <found>, needed <rule>". */
static vdn_status need_range(vdn_ctx *ctx, vdn_status status, const char *path, const char *field,
                             int64_t found, const int64_t range[2])
{
    if (found >= range[0] && found <= range[1]) return VDN_OK;
    return vdni_fail(ctx, status, "%s: %s is %lld, needed %lld..%lld", path, field,
                     (long long)found, (long long)range[0], (long long)range[1]);
}

static vdn_status check_classes(vdn_ctx *ctx, vdn_status bad, const char *path,
                                const vdn_store_header *h)
{
    for (int32_t i = 0; i < h->classes; i++) {
        const char *const end = memchr(h->class_name[i], 0, VDN_NAME_BYTES);
        if (!end ||
            !vdni_store_is_name(h->class_name[i], end - h->class_name[i], VDN_NAME_BYTES - 1))
            return vdni_fail(ctx, bad,
                             "%s: name of class %d is not 1 to %d bytes of plain UTF-8 text", path,
                             (int)i, VDN_NAME_BYTES - 1);
        if (i == 0 ? h->class_label[i] != 0 : h->class_label[i] < 1 || h->class_label[i] > 65535)
            return vdni_fail(ctx, bad, "%s: label of class %d is %d, needed %s", path, (int)i,
                             (int)h->class_label[i], i == 0 ? "0" : "1..65535");
        for (int32_t k = 0; k < i; k++)
            if (h->class_label[k] == h->class_label[i])
                return vdni_fail(ctx, bad, "%s: classes %d and %d have the same label %d", path,
                                 (int)k, (int)i, (int)h->class_label[i]);
    }
    return VDN_OK;
}

vdn_status vdni_store_check_header(vdn_ctx *ctx, vdn_status bad, const char *path,
                                   const vdn_store_header *h)
{
    static const int64_t channels[2] = { 1, VDNI_STORE_MAX_CHANNELS };
    static const int64_t classes[2] = { 2, VDN_MAX_CLASSES };
    static const int64_t modalities[2] = { VDN_MODALITY_MR, VDN_MODALITY_XRAY };
    static const int64_t planes[2] = { VDN_PLANE_SAGITTAL, VDN_PLANE_CORONAL };
    static const int64_t neighbours[2] = { 0, 5 };

    VDN_CHECK(need_range(ctx, bad, path, "image_channels", h->image_channels, channels));
    VDN_CHECK(need_range(ctx, bad, path, "classes", h->classes, classes));
    VDN_CHECK(need_range(ctx, bad, path, "modality", (int64_t)h->modality, modalities));
    VDN_CHECK(need_range(ctx, bad, path, "plane", (int64_t)h->plane, planes));
    VDN_CHECK(need_range(ctx, bad, path, "neighbours", h->neighbours, neighbours));
    if (h->neighbours > 0 && (h->neighbours % 2 == 0 || h->image_channels % h->neighbours != 0))
        return vdni_fail(ctx, bad,
                         "%s: neighbours is %d, needed 1, 3 or 5 and a divisor of the %d "
                         "image channels",
                         path, (int)h->neighbours, (int)h->image_channels);
    if (!is_spacing(h->pixel_spacing_mm) || !is_spacing(h->assumed_spacing_mm))
        return vdni_fail(ctx, bad,
                         "%s: spacings are %g (pixel) and %g (assumed) mm, needed 0 or more", path,
                         (double)h->pixel_spacing_mm, (double)h->assumed_spacing_mm);
    return check_classes(ctx, bad, path, h);
}

vdn_status vdni_store_check_slice(vdn_ctx *ctx, vdn_status bad, const char *path,
                                  const vdn_store_slice *s)
{
    static const int64_t extents[2] = { 1, VDNI_STORE_MAX_EXTENT };
    static const int64_t indices[2] = { 0, INT64_MAX };
    static const int64_t modalities[2] = { VDN_MODALITY_MR, VDN_MODALITY_XRAY };

    VDN_CHECK(need_range(ctx, bad, path, "slice index", s->index, indices));
    VDN_CHECK(need_range(ctx, bad, path, "slice modality", (int64_t)s->modality, modalities));
    VDN_CHECK(need_range(ctx, bad, path, "slice height", s->height, extents));
    VDN_CHECK(need_range(ctx, bad, path, "slice width", s->width, extents));
    VDN_CHECK(need_range(ctx, bad, path, "native height", s->native_height, extents));
    VDN_CHECK(need_range(ctx, bad, path, "native width", s->native_width, extents));
    if (!is_spacing(s->native_spacing_mm[0]) || !is_spacing(s->native_spacing_mm[1]))
        return vdni_fail(ctx, bad, "%s: native spacing is %g x %g mm, needed 0 or more", path,
                         (double)s->native_spacing_mm[0], (double)s->native_spacing_mm[1]);
    return VDN_OK;
}

/* First label that is neither a class nor VDNI_LABEL_IGNORE; -1 when all are fine. */
static int64_t find_bad_label(const uint8_t *labels, int64_t count, int32_t classes)
{
    uint8_t used[256] = { 0 };
    for (int64_t i = 0; i < count; i++) used[labels[i]] = 1;
    for (int value = classes; value < VDNI_LABEL_IGNORE; value++)
        if (used[value]) return (const uint8_t *)memchr(labels, value, (size_t)count) - labels;
    return -1;
}

vdn_status vdni_store_check_labels(vdn_ctx *ctx, vdn_status bad, const vdn_store_slice *s,
                                   int32_t classes)
{
    const struct {
        const char *grid;
        const uint8_t *labels;
        int64_t h, w;
    } set[2] = { { "labels", s->labels, s->height, s->width },
                 { "native labels", s->native_labels, s->native_height, s->native_width } };
    for (int k = 0; k < 2; k++) {
        const int64_t at = find_bad_label(set[k].labels, set[k].h * set[k].w, classes);
        if (at >= 0)
            return vdni_fail(ctx, bad,
                             "%s, slice %lld: %s at row %lld, column %lld is %d, needed below %d "
                             "or 255",
                             s->case_id, (long long)s->index, set[k].grid,
                             (long long)(at / set[k].w), (long long)(at % set[k].w),
                             (int)set[k].labels[at], (int)classes);
    }
    return VDN_OK;
}
