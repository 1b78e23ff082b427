/* CPU twin of the joining operators; the contract is Ops/concat.h. */
#include "Ops/concat.h"

#include "CPU/columns.h"

enum { TASK_ELEMENTS = 32768 };

typedef struct {
    const vdni_tensor *whole;
    vdni_tensor *const *parts;
    int64_t pixels, tasks;
} plan;

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

static unsigned char *address(const vdni_tensor *t, int64_t pixel, int64_t channel)
{
    return (unsigned char *)t->data + (pixel * t->c + channel) * vdni_dtype_bytes(t->dtype);
}

/* @p channels channels of @p count pixels, from channel from_channel on to to_channel on. */
static void copy(const vdni_tensor *to, int64_t to_channel, const vdni_tensor *from,
                 int64_t from_channel, int64_t channels, int64_t pixel, int64_t count)
{
    const int64_t to_size = vdni_dtype_bytes(to->dtype), step = to->c * to_size;
    if (to->dtype == from->dtype) {
        vdni_copy_columns(address(to, pixel, to_channel), step, address(from, pixel, from_channel),
                          from->c * to_size, channels * to_size, count);
        return;
    }
    float buffer[VDNI_COLUMN_ELEMENTS];
    for (int64_t k = 0; k < count; k++)
        for (int64_t c = 0; c < channels; c += VDNI_COLUMN_ELEMENTS) {
            const int64_t width = min64(channels - c, VDNI_COLUMN_ELEMENTS);
            const int64_t at = (pixel + k) * from->c + from_channel + c;
            const void *as = vdni_columns_as(buffer, to->dtype, from, at, width);
            vdni_copy_columns(address(to, pixel + k, to_channel + c), width * to_size, as,
                              width * to_size, width * to_size, 1);
        }
}

/* All channels of @p from, in another type: many pixels are converted at a time. */
static void cast_and_place(const vdni_tensor *to, int64_t to_channel, const vdni_tensor *from,
                           int64_t pixel, int64_t count)
{
    float buffer[VDNI_COLUMN_ELEMENTS];
    const int64_t size = vdni_dtype_bytes(to->dtype), bytes = from->c * size;
    const int64_t step = VDNI_COLUMN_ELEMENTS / from->c;
    for (int64_t k = 0; k < count; k += step) {
        const int64_t some = min64(step, count - k);
        const void *as =
            vdni_columns_as(buffer, to->dtype, from, (pixel + k) * from->c, some * from->c);
        vdni_copy_columns(address(to, pixel + k, to_channel), to->c * size, as, bytes, bytes, some);
    }
}

static void concat_task(void *user, int64_t index)
{
    const plan *p = user;
    const int64_t end = vdni_chunk_begin(p->pixels, p->tasks, index + 1);
    const int64_t step = p->whole->c < 2048 ? 2048 / p->whole->c : 1;
    for (int64_t pixel = vdni_chunk_begin(p->pixels, p->tasks, index); pixel < end; pixel += step)
        for (int64_t i = 0, channel = 0; i < 6; i++) {
            const vdni_tensor *x = p->parts[i];
            const int64_t count = min64(step, end - pixel);
            if (!x) continue;
            if (x->dtype != p->whole->dtype && x->c <= VDNI_COLUMN_ELEMENTS)
                cast_and_place(p->whole, channel, x, pixel, count);
            else
                copy(p->whole, channel, x, 0, x->c, pixel, count);
            channel += x->c;
        }
}

static void split_task(void *user, int64_t index)
{
    const plan *p = user;
    const int64_t end = vdni_chunk_begin(p->pixels, p->tasks, index + 1);
    const int64_t step = p->whole->c < 2048 ? 2048 / p->whole->c : 1;
    for (int64_t pixel = vdni_chunk_begin(p->pixels, p->tasks, index); pixel < end; pixel += step)
        for (int64_t i = 0, channel = 0; i < 6; i++) {
            const vdni_tensor *dx = p->parts[i];
            if (!dx) continue;
            if (dx->data) copy(dx, 0, p->whole, channel, dx->c, pixel, min64(step, end - pixel));
            channel += dx->c;
        }
}

static vdn_status run(vdni_device *device, const vdni_tensor *whole, vdni_tensor *const *parts,
                      void (*task)(void *user, int64_t index))
{
    plan p = { whole, parts, whole->n * whole->h * whole->w, 0 };
    p.tasks = min64(p.pixels, p.pixels * whole->c / TASK_ELEMENTS + 1);
    vdni_parallel_for(device->threads, p.tasks, task, &p);
    return VDN_OK;
}

static vdn_status run_concat(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    (void)ctx;
    (void)workspace;
    return run(device, op->out[0], op->in, concat_task);
}

static vdn_status run_split(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    (void)ctx;
    (void)workspace;
    return run(device, op->in[0], op->out, split_task);
}

const vdni_cpu_entry vdni_cpu_concat[2] = { { run_concat, NULL }, { run_split, NULL } };
