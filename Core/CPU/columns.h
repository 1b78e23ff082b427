/* Strided copies of pixels, for operators that only move data. */
#ifndef VDNI_COLUMNS_H
#define VDNI_COLUMNS_H

#include "CPU/cpu.h"

/* Copy @p count pieces of @p bytes bytes; piece k goes from from + k * from_step to
 * to + k * to_step (steps in bytes, to and from do not overlap). */
void vdni_copy_columns(void *to, int64_t to_step, const void *from, int64_t from_step,
                       int64_t bytes, int64_t count);

/* Elements [at, at + count) of @p t as @p dtype: the tensor's own memory when it has that type, else
 * converted into @p buffer, 4 * count bytes. count <= VDNI_COLUMN_ELEMENTS. */
const void *vdni_columns_as(void *buffer, vdni_dtype dtype, const vdni_tensor *t, int64_t at,
                            int64_t count);

enum { VDNI_COLUMN_ELEMENTS = 1024 };

#endif
