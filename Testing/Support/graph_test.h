/* A small graph on the CPU: build, place, fill with random numbers, run; finite differences. */
#ifndef VERDIFF_GRAPH_TEST_H
#define VERDIFF_GRAPH_TEST_H

#include "net_test.h"

#include "Base/bf16.h"
#include "Graph/plan.h"

typedef struct {
    vdn_ctx ctx;
    vdni_parameters table;
    vdni_graph *g;
    vdni_plan *plan;
    float *values, *gradients;
    char *arena, *workspace;
    vdni_plan_memory memory;
    uint64_t version;
} bench;

static inline void bench_begin(bench *b, vdni_dtype activation, int32_t training, uint32_t flags)
{
    memset(b, 0, sizeof *b);
    net_open(&b->ctx, 1, flags);
    EXPECT_OK(&b->ctx, vdni_graph_create(&b->ctx, &b->g, &b->table, activation, training));
    if (!b->g) exit(1);
}

static inline void bench_random(vdni_tensor *t, uint64_t seed)
{
    for (int64_t i = 0; i < vdni_tensor_count(t); i++) {
        const float x = (float)test_random(&seed);
        if (t->dtype == VDNI_F32) ((float *)t->data)[i] = x;
        if (t->dtype == VDNI_BF16) ((vdni_bf16 *)t->data)[i] = vdni_f32_to_bf16(x);
        if (t->dtype == VDNI_U8) ((uint8_t *)t->data)[i] = x > 0.0f;
    }
}

static inline int64_t bench_padded(int64_t bytes) { return (bytes + 127) / 64 * 64; }

/* Place the graph; random parameters and inputs. Returns 0 when that fails. */
static inline int bench_compile(bench *b)
{
    EXPECT_OK(&b->ctx, vdni_graph_status(b->g));
    if (vdni_graph_status(b->g) != VDN_OK) return 0;
    EXPECT_OK(&b->ctx, vdni_plan_create(&b->ctx, &b->plan, b->g, b->ctx.backend, b->ctx.device));
    if (!b->plan) return 0;
    b->memory = vdni_plan_get_memory(b->plan);
    b->arena = aligned_alloc(64, (size_t)bench_padded(b->memory.arena_bytes));
    b->workspace = aligned_alloc(64, (size_t)bench_padded(b->memory.workspace_bytes));
    memset(b->arena, 0xff, (size_t)bench_padded(b->memory.arena_bytes)); /* NaN */
    memset(b->workspace, 0xff, (size_t)bench_padded(b->memory.workspace_bytes));
    b->values = net_floats(b->table.total_floats);
    b->gradients = net_floats(b->table.total_floats);
    b->version = 1;
    net_random(b->values, b->table.total_floats, 99);
    for (int64_t i = 0; i < b->table.total_floats; i++) b->values[i] *= 0.5f;
    const vdni_plan_binding binding = { b->arena, b->workspace, b->values, b->gradients,
                                        &b->version };
    EXPECT_OK(&b->ctx, vdni_plan_bind(&b->ctx, b->plan, &binding));
    for (int64_t i = 0; i < b->g->tensor_count; i++)
        if (b->g->tensors[i].role == VDNI_ROLE_INPUT && !b->g->tensors[i].borrowed)
            bench_random(vdni_plan_tensor(b->plan, (vdni_id)i), (uint64_t)i + 7);
    return 1;
}

static inline void bench_end(bench *b)
{
    vdni_plan_free(&b->ctx, b->plan);
    vdni_graph_free(&b->ctx, b->g);
    vdni_parameters_free(&b->ctx, &b->table);
    free(b->arena);
    free(b->workspace);
    free(b->values);
    free(b->gradients);
    net_close(&b->ctx);
}

static inline void bench_run(bench *b, vdni_run_part part)
{
    EXPECT_OK(&b->ctx, vdni_plan_run(&b->ctx, b->plan, part));
}

static inline float *bench_data(bench *b, vdni_id id)
{
    EXPECT(vdni_plan_tensor(b->plan, id) != NULL);
    if (!vdni_plan_tensor(b->plan, id)) exit(1);
    return vdni_plan_tensor(b->plan, id)->data;
}

/* sum of weight * y, after a forward run; y is an output, weight an input of its shape. */
static inline double bench_scalar(bench *b, vdni_id y, vdni_id weight)
{
    const float *p = bench_data(b, y), *w = bench_data(b, weight);
    const int64_t count = vdni_tensor_count(vdni_plan_tensor(b->plan, y));
    double sum = 0.0;
    bench_run(b, VDNI_RUN_FORWARD);
    for (int64_t i = 0; i < count; i++) sum += (double)p[i] * w[i];
    return sum;
}

/* Compare @p count derivatives at @p found with central differences over x. The forward pass is
 * f32: a step of 2^-6 leaves about 1e-4 of rounding and of curvature each, so @p bound, relative
 * to the largest derivative, is 5e-3 (3e-2 where a maximum changes sides on the way); a dropped
 * or doubled contribution is far above it. */
static inline void bench_slopes(bench *b, vdni_id y, vdni_id weight, float *x, const float *found,
                                int64_t count, double bound)
{
    const float step = 1.0f / 64.0f;
    const int64_t stride = count > 12 ? count / 12 : 1;
    double largest = 1e-3;
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)found[i]) <= largest)) largest = fabs((double)found[i]);
    for (int64_t i = 0; i < count; i += stride) {
        const float kept = x[i];
        x[i] = kept + step;
        b->version++;
        const double above = bench_scalar(b, y, weight);
        x[i] = kept - step;
        b->version++;
        const double below = bench_scalar(b, y, weight);
        x[i] = kept;
        b->version++;
        EXPECT_LE(fabs((above - below) / (2.0 * step) - found[i]), bound * largest);
    }
}

/* Compile, run both passes from fresh weights, and expect a finite gradient of every parameter. */
static inline void bench_every_parameter_learns(bench *b, uint64_t seed)
{
    if (!bench_compile(b)) return;
    vdni_parameters_initialize(&b->table, b->values, seed);
    bench_run(b, VDNI_RUN_ALL);
    for (int64_t p = 0; p < b->table.count; p++) {
        const vdni_parameter *item = &b->table.items[p];
        double sum = 0.0;
        for (int64_t k = 0; k < item->n * item->h * item->w * item->c; k++)
            sum += fabs((double)b->gradients[item->offset + k]);
        EXPECT(sum > 0.0 && isfinite(sum));
    }
}

#endif
