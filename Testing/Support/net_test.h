/* Support for tests of graphs and networks: a context with a device, its memory, and distances. */
#ifndef VERDIFF_NET_TEST_H
#define VERDIFF_NET_TEST_H

#include "op_backend.h"

#include "Base/context.h"

static inline void net_open_on(vdn_ctx *ctx, const vdni_backend *backend, int32_t threads,
                               uint32_t flags)
{
    vdni_ctx_init(ctx);
    ctx->threads = threads;
    ctx->backend = backend;
    if (ctx->backend->open(ctx, &ctx->device, 0, threads, flags) != VDN_OK) {
        printf("no %s device: %s\n", backend->name, ctx->error);
        exit(1);
    }
}

/* @p flags: VDNI_PREPARE_PLAIN for the plain C forms, 0 for the fast ones. */
static inline void net_open(vdn_ctx *ctx, int32_t threads, uint32_t flags)
{
    net_open_on(ctx, vdni_cpu_backend(), threads, flags);
}

/* Closes the device and expects that nothing is still held. */
static inline void net_close(vdn_ctx *ctx)
{
    if (ctx->kept) ctx->kept_free(ctx, ctx->kept);
    ctx->kept = NULL;
    ctx->backend->close(ctx, ctx->device);
    EXPECT(ctx->now_bytes == 0);
}

/* As EXPECT(call == VDN_OK), with the reason. */
#define EXPECT_OK(ctx, call)                                       \
    do {                                                           \
        const vdn_status net_status_ = (call);                     \
        EXPECT(net_status_ == VDN_OK);                             \
        if (net_status_ != VDN_OK) printf("  %s\n", (ctx)->error); \
    } while (0)

/* Device memory with @p values, or zeros when NULL; net_drop() it. */
static inline float *net_place(vdn_ctx *ctx, const float *values, int64_t count)
{
    const int64_t bytes = count * (int64_t)sizeof *values;
    void *block = NULL;
    vdn_status status = ctx->backend->allocate(ctx, ctx->device, &block, bytes);
    if (status == VDN_OK)
        status = values ? ctx->backend->put(ctx, ctx->device, block, values, bytes)
                        : ctx->backend->zero(ctx, ctx->device, block, bytes);
    EXPECT_OK(ctx, status);
    if (status != VDN_OK) exit(1);
    return block;
}

static inline void net_drop(vdn_ctx *ctx, void *block)
{
    ctx->backend->release(ctx, ctx->device, block);
}

/* @p count values of the device at @p from. */
static inline void net_fetch(vdn_ctx *ctx, float *to, const float *from, int64_t count)
{
    EXPECT_OK(ctx, ctx->backend->get(ctx, ctx->device, to, from, count * (int64_t)sizeof *from));
}

/* max |a - b| / max |b|; NaN when either holds one. */
static inline double net_distance(const float *a, const float *b, int64_t count)
{
    double worst = 0.0, largest = 1e-30;
    for (int64_t i = 0; i < count; i++) {
        const double d = fabs((double)a[i] - b[i]);
        if (!(d <= worst)) worst = d;
        if (!(fabs((double)b[i]) <= largest)) largest = fabs((double)b[i]);
        if (isnan(worst) || isnan(largest)) return NAN;
    }
    return worst / largest;
}

/* Relative l2 distance |a - b| / |b|. */
static inline double net_distance_l2(const float *a, const float *b, int64_t count)
{
    double above = 0.0, below = 1e-60;
    for (int64_t i = 0; i < count; i++) {
        above += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        below += (double)b[i] * b[i];
    }
    return sqrt(above / below);
}

static inline void net_random(float *x, int64_t count, uint64_t seed)
{
    for (int64_t i = 0; i < count; i++) x[i] = (float)test_random(&seed);
}

/* Zeroed floats; free() them. */
static inline float *net_floats(int64_t count)
{
    float *x = calloc((size_t)(count > 0 ? count : 1), sizeof *x);
    if (!x) exit(1);
    return x;
}

#endif
