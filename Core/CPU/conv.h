/* Parts of the plain convolution that its files share. */
#ifndef VDNI_CPU_CONV_H
#define VDNI_CPU_CONV_H

#include "CPU/cpu.h"
#include "CPU/simd.h"
#include "Ops/conv.h"

#include <stdatomic.h>
#include <string.h>

/* Hand out a workspace piece by piece; with base NULL it only counts. Pieces are 64-byte aligned. */
typedef struct vdni_carver {
    char *base;
    int64_t used;
} vdni_carver;

static inline void *vdni_carve(vdni_carver *carver, int64_t bytes)
{
    char *piece = carver->base ? carver->base + carver->used : NULL;
    carver->used += (bytes + 63) / 64 * 64;
    return piece;
}

/* Tasks that workers take one by one, so that a slow core does less. */
typedef struct vdni_tasks {
    int64_t count;
    atomic_llong taken;
} vdni_tasks;

/* The next task, or -1 when all are taken. */
static inline int64_t vdni_take_task(vdni_tasks *tasks)
{
    const int64_t task = atomic_fetch_add(&tasks->taken, 1);
    return task < tasks->count ? task : -1;
}

/* Zero what lies beside the image in @p rows copied rows of row_floats: before @p from, and from
 * @p to on. */
static inline void vdni_zero_borders(float *data, int64_t rows, int64_t row_floats, int64_t from,
                                     int64_t to)
{
    for (int64_t i = 0; i < rows; i++, data += row_floats) {
        memset(data, 0, (size_t)from * sizeof *data);
        memset(data + to, 0, (size_t)(row_floats - to) * sizeof *data);
    }
}

/* Neighbouring output pixels that share the lanes of one block when there are few channels: with 8
 * channels a block holds 2 pixels, lane f * c + i being channel i of pixel f. The kernel row then
 * spans kernel + (fold - 1) * step input columns, most of whose weights are not zero. */
static inline int64_t vdni_conv_fold(int64_t c) { return c < VDNI_LANES ? VDNI_LANES / c : 1; }

/* CONV_DW; see conv_weights.c. */
vdn_status vdni_cpu_conv_weights(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                 void *workspace);
int64_t vdni_cpu_conv_weights_workspace(const vdni_device *device, const vdni_op *op);

#endif
