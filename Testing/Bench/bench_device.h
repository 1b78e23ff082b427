/* What the benchmarks share: a context on a device, data there, honest clocks, medians.
 *
 * A device works behind the host's back: bench_now waits for it before it reads the clock. */
#ifndef VERDIFF_BENCH_DEVICE_H
#define VERDIFF_BENCH_DEVICE_H

#include "Base/clock.h"
#include "Base/context.h"
#include "Base/memory.h"
#include "Ops/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bench_place {
    const char *device, *library; /* --device cpu|cuda[:N], --cuda-library FILE */
    long threads;                 /* --threads, 0 = all */
} bench_place;

/* One option of the place; 0 when @p name is none. */
static inline int bench_place_option(bench_place *p, const char *name, const char *value)
{
    if (strcmp(name, "--device") == 0) return (p->device = value) != NULL;
    if (strcmp(name, "--cuda-library") == 0) return (p->library = value) != NULL;
    if (strcmp(name, "--threads") != 0) return 0;
    p->threads = strtol(value, NULL, 10);
    return 1;
}

/* "320x480" into two numbers. */
static inline void bench_size(long size[2], const char *text)
{
    char *end = NULL;
    size[0] = size[1] = strtol(text, &end, 10);
    if (*end == 'x') size[1] = strtol(end + 1, NULL, 10);
}

/* NULL after a line that says why. */
static inline vdn_ctx *bench_open(const bench_place *p)
{
    char why[VDNI_ERROR_BYTES] = "";
    vdn_ctx_options options;
    vdn_ctx *ctx = NULL;
    vdn_ctx_options_init(&options);
    options.threads = (int32_t)p->threads;
    options.device = p->device ? p->device : "cpu";
    options.cuda_library = p->library;
    options.why = why;
    options.why_bytes = sizeof why;
    if (vdn_ctx_create(&ctx, &options) != VDN_OK) fprintf(stderr, "%s\n", why);
    return ctx;
}

static inline int64_t bench_now(vdn_ctx *ctx)
{
    if (ctx->backend->synchronize(ctx, ctx->device) != VDN_OK) {
        fprintf(stderr, "%s\n", ctx->error);
        exit(1);
    }
    return vdni_clock_ns();
}

/* Most bytes ever given out on the device; on the host, by the library's allocator. */
static inline int64_t bench_peak_bytes(vdn_ctx *ctx)
{
    vdni_device_info info = { .peak_bytes = 0 };
    int64_t peak = 0;
    ctx->backend->describe(ctx->device, &info);
    if (!ctx->backend->shares_host_memory) return info.peak_bytes;
    vdn_ctx_get_memory(ctx, NULL, &peak);
    return peak;
}

/* Device memory with @p values, or zeros when NULL; it lives as long as the program. */
static inline float *bench_place_floats(vdn_ctx *ctx, const float *values, int64_t count)
{
    const int64_t bytes = count * (int64_t)sizeof *values;
    void *block = NULL;
    vdn_status status = ctx->backend->allocate(ctx, ctx->device, &block, bytes);
    if (status == VDN_OK)
        status = values ? ctx->backend->put(ctx, ctx->device, block, values, bytes)
                        : ctx->backend->zero(ctx, ctx->device, block, bytes);
    if (status == VDN_OK) return block;
    fprintf(stderr, "%s\n", ctx->error);
    exit(1);
}

/* Repeatable values in [-1, 1) without a short period: zeros and patterns run faster than data. */
static inline void bench_random(float *p, int64_t count)
{
    uint64_t z = 88172645463325252u;
    for (int64_t i = 0; i < count; i++) {
        z ^= z << 13;
        z ^= z >> 7;
        z ^= z << 17;
        p[i] = (float)(int64_t)(z >> 40) / 8388608.0f - 1.0f;
    }
}

static inline int bench_by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Sorts. */
static inline double bench_median(double *x, int64_t count)
{
    qsort(x, (size_t)count, sizeof *x, bench_by_value);
    return x[count / 2];
}

#endif
