/* Throughput of the element-wise operators: GB/s of the memory an operator has to touch, best of
 * repeated runs. Usage: bench_elementwise [threads], 2 when not given.
 *
 * Counted are the passes over activations each operator needs: NORM reads x twice and writes y,
 * NORM_BACKWARD reads g and x twice and writes dx, the others read and write everything once. */
#include "Base/bf16.h"
#include "Base/clock.h"
#include "Ops/backend.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_TENSORS = 8, BUDGET_NS = 150000000 };

typedef struct {
    vdn_ctx ctx;
    vdni_device *device;
    vdni_tensor pool[MAX_TENSORS];
    int used;
} bench;

static void stop(const char *why)
{
    fprintf(stderr, "%s\n", why);
    exit(1);
}

/* A tensor of small values that vary, so that no path is special. */
static vdni_tensor *tensor(bench *b, int64_t h, int64_t w, int64_t c, vdni_dtype dtype)
{
    vdni_tensor *t = &b->pool[b->used++];
    *t = (vdni_tensor){ 1, h, w, c, dtype, NULL, NULL };
    if (posix_memalign(&t->data, 64, (size_t)vdni_tensor_bytes(t)) != 0) stop("out of memory");
    for (int64_t i = 0; i < vdni_tensor_count(t); i++) {
        const float value = (float)((i * 7919 + i / c * 31) % 1009) / 504.5f - 1.0f;
        if (dtype == VDNI_F32)
            ((float *)t->data)[i] = value;
        else
            ((vdni_bf16 *)t->data)[i] = vdni_f32_to_bf16(value);
    }
    return t;
}

static double seconds(bench *b, vdni_op *op)
{
    const vdni_backend *cpu = vdni_cpu_backend();
    void *workspace = NULL;
    int64_t best = INT64_MAX;
    if (vdni_op_check(&b->ctx, op) != VDN_OK || cpu->prepare(&b->ctx, b->device, op) != VDN_OK ||
        cpu->allocate(&b->ctx, b->device, &workspace, op->workspace_bytes) != VDN_OK)
        stop(b->ctx.error);
    const int64_t start = vdni_clock_ns();
    while (vdni_clock_ns() - start < BUDGET_NS) {
        const int64_t before = vdni_clock_ns();
        if (cpu->run(&b->ctx, b->device, op, workspace) != VDN_OK) stop(b->ctx.error);
        const int64_t took = vdni_clock_ns() - before;
        if (took < best) best = took;
    }
    cpu->release(&b->ctx, b->device, workspace);
    cpu->unprepare(&b->ctx, b->device, op);
    return (double)best * 1e-9;
}

/* One cell: @p passes over h * w * c elements. */
static void print_rate(bench *b, vdni_op *op, double passes, const int64_t *s, vdni_dtype dtype)
{
    const double time = seconds(b, op);
    const double bytes = passes * (double)(s[0] * s[1] * s[2]) * (double)vdni_dtype_bytes(dtype);
    printf("  %-18s %4lldx%lldx%-3lld %-4s  %7.3f ms  %6.1f GB/s\n", vdni_op_name(op->kind),
           (long long)s[0], (long long)s[1], (long long)s[2], vdni_dtype_name(dtype), time * 1e3,
           bytes / time * 1e-9);
    while (b->used > 0) free(b->pool[--b->used].data);
}

static void norm(bench *b, const int64_t *s, vdni_dtype dtype)
{
    const int32_t groups = s[2] < 32 ? (int32_t)s[2] / 4 : 32;
    vdni_op op = { .kind = VDNI_OP_NORM,
                   .a = { .groups = groups, .eps = 1e-5f, .act = VDNI_ACT_SILU },
                   .in = { tensor(b, s[0], s[1], s[2], dtype), tensor(b, 1, 1, s[2], VDNI_F32),
                           tensor(b, 1, 1, s[2], VDNI_F32) },
                   .out = { tensor(b, s[0], s[1], s[2], dtype),
                            tensor(b, 1, 1, 2 * groups, VDNI_F32) } };
    print_rate(b, &op, 3, s, dtype);
}

static void norm_backward(bench *b, const int64_t *s, vdni_dtype dtype)
{
    const int32_t groups = s[2] < 32 ? (int32_t)s[2] / 4 : 32;
    vdni_op op = { .kind = VDNI_OP_NORM_BACKWARD,
                   .a = { .groups = groups, .eps = 1e-5f, .act = VDNI_ACT_SILU },
                   .in = { tensor(b, s[0], s[1], s[2], dtype), tensor(b, s[0], s[1], s[2], dtype),
                           tensor(b, 1, 1, 2 * groups, VDNI_F32), tensor(b, 1, 1, s[2], VDNI_F32),
                           tensor(b, 1, 1, s[2], VDNI_F32) },
                   .out = { tensor(b, s[0], s[1], s[2], dtype), tensor(b, 1, 1, s[2], VDNI_F32),
                            tensor(b, 1, 1, s[2], VDNI_F32) } };
    print_rate(b, &op, 5, s, dtype);
}

static void add(bench *b, const int64_t *s, vdni_dtype dtype)
{
    vdni_op op = { .kind = VDNI_OP_ADD,
                   .in = { tensor(b, s[0], s[1], s[2], dtype), tensor(b, s[0], s[1], s[2], dtype) },
                   .out = { tensor(b, s[0], s[1], s[2], dtype) } };
    print_rate(b, &op, 3, s, dtype);
}

static void activation(bench *b, const int64_t *s, vdni_dtype dtype)
{
    vdni_op op = { .kind = VDNI_OP_ACTIVATION,
                   .a.act = VDNI_ACT_SILU,
                   .in = { tensor(b, s[0], s[1], s[2], dtype) },
                   .out = { tensor(b, s[0], s[1], s[2], dtype) } };
    print_rate(b, &op, 2, s, dtype);
}

static void concat(bench *b, const int64_t *s, vdni_dtype dtype)
{
    vdni_op op = { .kind = VDNI_OP_CONCAT,
                   .in = { tensor(b, s[0], s[1], s[2], dtype), tensor(b, s[0], s[1], s[2], dtype) },
                   .out = { tensor(b, s[0], s[1], 2 * s[2], dtype) } };
    print_rate(b, &op, 4, s, dtype);
}

static void split(bench *b, const int64_t *s, vdni_dtype dtype)
{
    vdni_op op = { .kind = VDNI_OP_SPLIT,
                   .in = { tensor(b, s[0], s[1], 2 * s[2], dtype) },
                   .out = { tensor(b, s[0], s[1], s[2], dtype),
                            tensor(b, s[0], s[1], s[2], dtype) } };
    print_rate(b, &op, 4, s, dtype);
}

static void upsample(bench *b, const int64_t *s, vdni_dtype dtype, vdni_upsample_mode mode)
{
    vdni_op op = { .kind = VDNI_OP_UPSAMPLE,
                   .a = { .factor = 2, .mode = (int32_t)mode },
                   .in = { tensor(b, s[0] / 2, s[1] / 2, s[2], dtype) },
                   .out = { tensor(b, s[0], s[1], s[2], dtype) } };
    print_rate(b, &op, 1.25, s, dtype);
}

static void upsample_backward(bench *b, const int64_t *s, vdni_dtype dtype, vdni_upsample_mode mode)
{
    vdni_op op = { .kind = VDNI_OP_UPSAMPLE_BACKWARD,
                   .a = { .factor = 2, .mode = (int32_t)mode },
                   .in = { tensor(b, s[0], s[1], s[2], dtype) },
                   .out = { tensor(b, s[0] / 2, s[1] / 2, s[2], dtype) } };
    print_rate(b, &op, 1.25, s, dtype);
}

int main(int count, char **arguments)
{
    static const int64_t shapes[][3] = { { 160, 160, 32 }, { 320, 320, 8 }, { 320, 320, 64 } };
    static bench b;
    const int32_t threads = count > 1 ? (int32_t)strtol(arguments[1], NULL, 10) : 2;
    vdni_ctx_init(&b.ctx);
    if (vdni_cpu_backend()->open(&b.ctx, &b.device, 0, threads, 0) != VDN_OK) stop(b.ctx.error);

    for (int type = 0; type < 2; type++)
        for (int k = 0; k < 3; k++) {
            const vdni_dtype dtype = type ? VDNI_F32 : VDNI_BF16;
            norm(&b, shapes[k], dtype);
            norm_backward(&b, shapes[k], dtype);
            activation(&b, shapes[k], dtype);
            add(&b, shapes[k], dtype);
            concat(&b, shapes[k], dtype);
            split(&b, shapes[k], dtype);
            printf("  nearest\n");
            upsample(&b, shapes[k], dtype, VDNI_UPSAMPLE_NEAREST);
            upsample_backward(&b, shapes[k], dtype, VDNI_UPSAMPLE_NEAREST);
            printf("  bilinear\n");
            upsample(&b, shapes[k], dtype, VDNI_UPSAMPLE_BILINEAR);
            upsample_backward(&b, shapes[k], dtype, VDNI_UPSAMPLE_BILINEAR);
        }
    vdni_cpu_backend()->close(&b.ctx, b.device);
    return 0;
}
