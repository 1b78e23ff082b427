/* Achieved GFLOP/s of convolutions on the CPU, forward, to the input and to the weight, for the
 * layers of the networks. Two counts per multiply-add; the best of several calls.
 *
 *     bench_conv [plain|fast] [threads] [f32|bf16] [part of a layer's name] [instruction set]
 *
 * The instruction set is a number: 0 the best this processor has, 1 the next, ... */
#include "Base/clock.h"
#include "Base/memory.h"
#include "CPU/cpu.h"
#include "CPU/simd.h"
#include "Ops/backend.h"
#include "Ops/conv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name;
    int64_t size, ci, co;
    int32_t k, s, d;
    int depthwise;
} layer;

static const layer layers[] = {
    { "stem7 4-64 320", 320, 4, 64, 7, 1, 1, 0 },
    { "3x3 64-64 320", 320, 64, 64, 3, 1, 1, 0 },
    { "3x3 128-128 160", 160, 128, 128, 3, 1, 1, 0 },
    { "3x3 256-256 80", 80, 256, 256, 3, 1, 1, 0 },
    { "3x3 256-256 40", 40, 256, 256, 3, 1, 1, 0 },
    { "3x3/2 64-128 320", 320, 64, 128, 3, 2, 1, 0 },
    { "1x1 128-64 160", 160, 128, 64, 1, 1, 1, 0 },
    { "1x1 256-256 80", 80, 256, 256, 1, 1, 1, 0 },
    { "dw3 128 160", 160, 128, 128, 3, 1, 1, 1 },
    { "dw7d3 128 160", 160, 128, 128, 7, 1, 3, 1 },
    { "tiny msfm3 1-8 320", 320, 1, 8, 3, 1, 1, 0 },
    { "tiny msfm7 1-8 320", 320, 1, 8, 7, 1, 1, 0 },
    { "tiny enc0 8-8 320", 320, 8, 8, 3, 1, 1, 0 },
    { "tiny dec0 24-8 320", 320, 24, 8, 3, 1, 1, 0 },
    { "tiny dec1 48-16 160", 160, 48, 16, 3, 1, 1, 0 },
    { "tiny stem 12-16 160", 160, 12, 16, 3, 1, 1, 0 },
    { "tiny res 16-16 160", 160, 16, 16, 3, 1, 1, 0 },
    { "tiny res 32-32 80", 80, 32, 32, 3, 1, 1, 0 },
    { "tiny res 48-48 40", 40, 48, 48, 3, 1, 1, 0 },
    { "tiny res 64-64 20", 20, 64, 64, 3, 1, 1, 0 },
    { "tiny down 16-16 160", 160, 16, 16, 3, 2, 1, 0 },
    { "tiny out 16-4 160", 160, 16, 4, 3, 1, 1, 0 },
    { "tiny nsa 16-8 160", 160, 16, 8, 1, 1, 1, 0 },
    { "tiny nsa7 2-2 160", 160, 2, 2, 7, 1, 1, 0 },
    { "tiny head 8-1 320", 320, 8, 1, 1, 1, 1, 0 },
    { "small msfm7 1-16 320", 320, 1, 16, 7, 1, 1, 0 },
    { "small enc0 16-16 320", 320, 16, 16, 3, 1, 1, 0 },
    { "small stem 12-32 160", 160, 12, 32, 3, 1, 1, 0 },
    { "small res 32-32 160", 160, 32, 32, 3, 1, 1, 0 },
    { "small res 64-64 80", 80, 64, 64, 3, 1, 1, 0 },
    { "small res 96-96 40", 40, 96, 96, 3, 1, 1, 0 },
    { "small res 128-128 20", 20, 128, 128, 3, 1, 1, 0 },
    { "small nsa dw3 32 160", 160, 32, 32, 3, 1, 1, 1 },
    { "small nsa dw5 32 160", 160, 32, 32, 5, 1, 1, 1 },
    { "small nsa dw7d3 32 160", 160, 32, 32, 7, 1, 3, 1 },
};

static vdn_ctx ctx;

static vdni_tensor tensor(int64_t n, int64_t h, int64_t w, int64_t c, vdni_dtype dtype)
{
    vdni_tensor t = { .n = n, .h = h, .w = w, .c = c, .dtype = dtype };
    if (vdni_alloc(&ctx, &t.data, vdni_tensor_bytes(&t), 1) != VDN_OK) exit(1);
    return t;
}

/* GFLOP/s of one operator, or -1. */
static double rate(vdni_device *device, vdni_op *op)
{
    const vdni_backend *cpu = vdni_cpu_backend();
    void *workspace = NULL;
    double best = -1;

    if (vdni_op_check(&ctx, op) != VDN_OK || cpu->prepare(&ctx, device, op) != VDN_OK ||
        cpu->allocate(&ctx, device, &workspace, op->workspace_bytes) != VDN_OK) {
        printf("%s\n", ctx.error);
        return -1;
    }
    const double flops = 2.0 * (double)vdni_op_macs(op);
    int64_t spent = 0;
    for (int i = 0; i < 200 && (i < 3 || spent < 150000000); i++) {
        const int64_t start = vdni_clock_ns();
        if (cpu->run(&ctx, device, op, workspace) != VDN_OK) return -1;
        const int64_t ns = vdni_clock_ns() - start;
        spent += ns;
        if (i > 0 && flops / (double)ns > best) best = flops / (double)ns;
    }
    cpu->release(&ctx, device, workspace);
    cpu->unprepare(&ctx, device, op);
    return best;
}

static void bench(vdni_device *device, const layer *l, vdni_dtype dtype)
{
    const uint64_t version = 1;
    const vdni_attr a = {
        .kernel = l->k, .stride = l->s, .dilation = l->d, .pad = l->d * (l->k - 1) / 2
    };
    const int64_t out = vdni_window_extent(l->size, &a);
    const vdni_op_kind first = l->depthwise ? VDNI_OP_DEPTHWISE : VDNI_OP_CONV;
    vdni_tensor x = tensor(1, l->size, l->size, l->ci, dtype),
                y = tensor(1, out, out, l->co, dtype);
    vdni_tensor w = tensor(l->depthwise ? 1 : l->co, l->k, l->k, l->ci, VDNI_F32);
    vdni_tensor b = tensor(1, 1, 1, l->co, VDNI_F32);

    w.version = &version;
    vdni_op forward = { .kind = first, .a = a, .in = { &x, &w, &b }, .out = { &y } };
    vdni_op input = { .kind = first + 1, .a = a, .in = { &y, &w }, .out = { &x } };
    vdni_op weight = { .kind = first + 2, .a = a, .in = { &x, &y }, .out = { &w, &b } };
    printf("%-24s %8.1f %8.1f", l->name, rate(device, &forward), rate(device, &input));
    w.version = NULL;
    printf(" %8.1f   %.3f GFLOP\n", rate(device, &weight), 2e-9 * (double)vdni_op_macs(&forward));
    vdni_free(&ctx, x.data);
    vdni_free(&ctx, y.data);
    vdni_free(&ctx, w.data);
    vdni_free(&ctx, b.data);
}

int main(int count, char **arguments)
{
    const int plain = count > 1 && strcmp(arguments[1], "plain") == 0;
    const int threads = count > 2 ? (int)strtol(arguments[2], NULL, 10) : 1;
    const vdni_dtype dtype = count > 3 && strcmp(arguments[3], "bf16") == 0 ? VDNI_BF16 : VDNI_F32;
    const vdni_backend *cpu = vdni_cpu_backend();
    vdni_device *device = NULL;
    vdni_device_info info;

    vdni_ctx_init(&ctx);
    if (cpu->open(&ctx, &device, 0, threads, plain ? VDNI_PREPARE_PLAIN : 0) != VDN_OK) return 1;
    if (count > 5 && vdni_simd_get((int)strtol(arguments[5], NULL, 10)))
        device->simd = vdni_simd_get((int)strtol(arguments[5], NULL, 10));
    cpu->describe(device, &info);
    printf("%s, %s, %s, GFLOP/s\n%-24s %8s %8s %8s\n", info.name, device->simd->name,
           vdni_dtype_name(dtype), "layer", "forward", "to input", "to weight");
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++)
        if (count < 5 || strstr(layers[i].name, arguments[4])) bench(device, &layers[i], dtype);
    cpu->close(&ctx, device);
    return 0;
}
