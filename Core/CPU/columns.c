#include "CPU/columns.h"

#include <string.h>

/* Inlined with a constant @p bytes the memcpy is one or two moves; a call per pixel would cost more. */
static inline void copy_pieces(unsigned char *to, int64_t to_step, const unsigned char *from,
                               int64_t from_step, size_t bytes, int64_t count)
{
    for (int64_t k = 0; k < count; k++) memcpy(to + k * to_step, from + k * from_step, bytes);
}

void vdni_copy_columns(void *to, int64_t to_step, const void *from, int64_t from_step,
                       int64_t bytes, int64_t count)
{
    if (to_step == bytes && from_step == bytes) {
        memcpy(to, from, (size_t)(bytes * count));
        return;
    }
    switch (bytes) {
    case 2:
        copy_pieces(to, to_step, from, from_step, 2, count);
        return;
    case 4:
        copy_pieces(to, to_step, from, from_step, 4, count);
        return;
    case 8:
        copy_pieces(to, to_step, from, from_step, 8, count);
        return;
    case 16:
        copy_pieces(to, to_step, from, from_step, 16, count);
        return;
    case 32:
        copy_pieces(to, to_step, from, from_step, 32, count);
        return;
    case 64:
        copy_pieces(to, to_step, from, from_step, 64, count);
        return;
    case 128:
        copy_pieces(to, to_step, from, from_step, 128, count);
        return;
    default:
        copy_pieces(to, to_step, from, from_step, (size_t)bytes, count);
        return;
    }
}

const void *vdni_columns_as(void *buffer, vdni_dtype dtype, const vdni_tensor *t, int64_t at,
                            int64_t count)
{
    float wide[VDNI_COLUMN_ELEMENTS];
    vdni_tensor converted = { .dtype = dtype, .data = buffer };
    if (t->dtype == dtype) return (const unsigned char *)t->data + at * vdni_dtype_bytes(dtype);
    vdni_cpu_read(wide, t, at, count);
    vdni_cpu_write(&converted, 0, wide, count);
    return buffer;
}
