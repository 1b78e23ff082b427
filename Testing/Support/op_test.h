/* Support for operator tests: guarded tensors, reading them as doubles in NCHW order, running one
 * operator on the CPU, comparing with an oracle, and finite differences of an oracle.
 *
 * Oracles work on doubles in NCHW order with their own loops, so they share nothing with the code
 * under test. Inputs are rounded to the tensor's type before the oracle sees them. */
#ifndef VERDIFF_OP_TEST_H
#define VERDIFF_OP_TEST_H

#include "test.h"

#include "Base/bf16.h"
#include "CPU/cpu.h"
#include "Ops/backend.h"

enum { OP_GUARD_BYTES = 256 };

/* Bounds: |y - oracle| <= relative * |oracle| + absolute * max|oracle|. The relative part of bf16
 * is its rounding, 2^-9, doubled; both types accumulate in f32 or better, which is the absolute
 * part. */
static inline double op_relative(vdni_dtype dtype) { return dtype == VDNI_BF16 ? 1.0 / 256 : 1e-5; }

static inline vdni_tensor op_tensor(int64_t n, int64_t h, int64_t w, int64_t c, vdni_dtype dtype)
{
    vdni_tensor t = { n, h, w, c, dtype, NULL, NULL };
    const int64_t bytes = vdni_tensor_bytes(&t);
    unsigned char *block = malloc((size_t)(bytes + 2 * OP_GUARD_BYTES));
    if (!block) exit(1);
    memset(block, 0xa5, (size_t)(bytes + 2 * OP_GUARD_BYTES));
    /* 0xff is NaN in f32 and bf16: what an operator forgets to write shows. */
    memset(block + OP_GUARD_BYTES, 0xff, (size_t)bytes);
    t.data = block + OP_GUARD_BYTES;
    return t;
}

/* Frees and checks that nothing was written before or behind the tensor. */
static inline void op_free(vdni_tensor *t)
{
    if (!t->data) return;
    unsigned char *block = (unsigned char *)t->data - OP_GUARD_BYTES;
    const int64_t behind = OP_GUARD_BYTES + vdni_tensor_bytes(t);
    int intact = 1;
    for (int64_t i = 0; i < OP_GUARD_BYTES; i++)
        intact &= block[i] == 0xa5 && block[behind + i] == 0xa5;
    EXPECT(intact);
    free(block);
    t->data = NULL;
}

static inline int64_t op_index(const vdni_tensor *t, int64_t n, int64_t c, int64_t h, int64_t w)
{
    return ((n * t->h + h) * t->w + w) * t->c + c;
}

static inline double op_get(const vdni_tensor *t, int64_t at)
{
    switch (t->dtype) {
    case VDNI_F32:
        return (double)((const float *)t->data)[at];
    case VDNI_BF16:
        return (double)vdni_bf16_to_f32(((const vdni_bf16 *)t->data)[at]);
    case VDNI_U8:
        return ((const uint8_t *)t->data)[at];
    case VDNI_U16:
        return ((const uint16_t *)t->data)[at];
    default:
        return ((const int32_t *)t->data)[at];
    }
}

static inline void op_set(vdni_tensor *t, int64_t at, double value)
{
    switch (t->dtype) {
    case VDNI_F32:
        ((float *)t->data)[at] = (float)value;
        break;
    case VDNI_BF16:
        ((vdni_bf16 *)t->data)[at] = vdni_f32_to_bf16((float)value);
        break;
    case VDNI_U8:
        ((uint8_t *)t->data)[at] = (uint8_t)value;
        break;
    case VDNI_U16:
        ((uint16_t *)t->data)[at] = (uint16_t)value;
        break;
    default:
        ((int32_t *)t->data)[at] = (int32_t)value;
        break;
    }
}

static inline void op_fill(vdni_tensor *t, double value)
{
    for (int64_t i = 0; i < vdni_tensor_count(t); i++) op_set(t, i, value);
}

/* Uniform in [centre - spread, centre + spread), rounded to the type. */
static inline void op_randomize(vdni_tensor *t, uint64_t *seed, double spread, double centre)
{
    for (int64_t i = 0; i < vdni_tensor_count(t); i++)
        op_set(t, i, centre + spread * test_random(seed));
}

static inline vdni_tensor op_random(int64_t n, int64_t h, int64_t w, int64_t c, vdni_dtype dtype,
                                    uint64_t *seed)
{
    vdni_tensor t = op_tensor(n, h, w, c, dtype);
    op_randomize(&t, seed, 1, 0);
    return t;
}

static inline vdni_tensor op_copy(const vdni_tensor *from)
{
    vdni_tensor t = op_tensor(from->n, from->h, from->w, from->c, from->dtype);
    memcpy(t.data, from->data, (size_t)vdni_tensor_bytes(from));
    return t;
}

/* The values in NCHW order; free() it. */
static inline double *op_doubles(const vdni_tensor *t)
{
    double *x = malloc((size_t)vdni_tensor_count(t) * sizeof *x);
    if (!x) exit(1);
    int64_t i = 0;
    for (int64_t n = 0; n < t->n; n++)
        for (int64_t c = 0; c < t->c; c++)
            for (int64_t h = 0; h < t->h; h++)
                for (int64_t w = 0; w < t->w; w++) x[i++] = op_get(t, op_index(t, n, c, h, w));
    return x;
}

/* Zeroed doubles in the shape of @p t; free() it. */
static inline double *op_zeros(const vdni_tensor *t)
{
    double *x = calloc((size_t)vdni_tensor_count(t), sizeof *x);
    if (!x) exit(1);
    return x;
}

/* max over elements of |t - oracle| / (relative |oracle| + absolute max|oracle|): pass when <= 1.
 * @p oracle is NCHW. NaN gives NaN. */
static inline double op_distance(const vdni_tensor *t, const double *oracle, double relative,
                                 double absolute)
{
    const int64_t count = vdni_tensor_count(t);
    double largest = 1e-30, worst = 0;
    double *x = op_doubles(t);
    for (int64_t i = 0; i < count; i++)
        if (!(fabs(oracle[i]) <= largest)) largest = fabs(oracle[i]);
    for (int64_t i = 0; i < count; i++) {
        const double d = fabs(x[i] - oracle[i]) / (relative * fabs(oracle[i]) + absolute * largest);
        if (!(d <= worst)) worst = d;
        if (isnan(worst)) break;
    }
    free(x);
    return worst;
}

#define EXPECT_NEAR(tensor, oracle) \
    EXPECT_LE(op_distance(tensor, oracle, op_relative((tensor)->dtype), 1e-5), 1)

static inline int op_same_bits(const vdni_tensor *a, const vdni_tensor *b)
{
    return memcmp(a->data, b->data, (size_t)vdni_tensor_bytes(a)) == 0;
}

/* Check, prepare, run once in a workspace that is full of NaN, unprepare. In a plan the workspace is
 * what the last operator left: nothing may be read from it that was not written. */
static inline vdn_status op_run_poisoned(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    const vdni_backend *cpu = vdni_cpu_backend();
    void *workspace = NULL;
    vdn_status status = vdni_op_check(ctx, op);

    if (status != VDN_OK) return status;
    status = cpu->prepare(ctx, device, op);
    if (status != VDN_OK) return status;
    status = cpu->allocate(ctx, device, &workspace, op->workspace_bytes);
    if (status == VDN_OK) {
        memset(workspace, 0xff, (size_t)op->workspace_bytes);
        status = cpu->run(ctx, device, op, workspace);
    }
    cpu->release(ctx, device, workspace);
    cpu->unprepare(ctx, device, op);
    return status;
}

/* Run once on a CPU device of its own. The reason of a failure is left in @p why (may be NULL). */
static inline vdn_status op_run_flags(vdni_op *op, int32_t threads, uint32_t flags, char *why)
{
    const vdni_backend *cpu = vdni_cpu_backend();
    vdni_device *device = NULL;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    vdn_status status = cpu->open(&ctx, &device, 0, threads, flags);
    if (status == VDN_OK) status = op_run_poisoned(&ctx, device, op);
    cpu->close(&ctx, device);
    EXPECT(ctx.now_bytes == 0);
    if (why) memcpy(why, ctx.error, sizeof ctx.error);
    return status;
}

/* How op_run opens its devices: the plain C forms, or 0 for the fast ones. */
static uint32_t op_flags = VDNI_PREPARE_PLAIN;

static inline vdn_status op_run(vdni_op *op, int32_t threads)
{
    char why[VDNI_ERROR_BYTES];
    const vdn_status status = op_run_flags(op, threads, op_flags, why);
    if (status != VDN_OK) printf("  %s\n", why);
    return status;
}

/* The claim "wrong shapes are refused": not run, and the message names the kind. */
static inline void op_expect_refused(vdni_op *op)
{
    char why[VDNI_ERROR_BYTES];
    const vdn_status status = op_run_flags(op, 1, VDNI_PREPARE_PLAIN, why);
    EXPECT(status == VDN_ERR_ARGUMENT);
    EXPECT(strstr(why, vdni_op_name(op->kind)) != NULL);
}

/* Run with 2 and 3 threads into the outputs as they stand and expect the bits that are there; the
 * caller has run with 1. @p fresh: outputs as they were before the run (accumulated gradients), or
 * NULL data for "overwritten". */
static inline void op_expect_same_for_threads(vdni_op *op, const vdni_tensor *fresh)
{
    for (int32_t threads = 2; threads <= 3; threads++) {
        vdni_op again = *op;
        vdni_tensor out[VDNI_MAX_OUT];
        for (int i = 0; i < VDNI_MAX_OUT; i++) {
            if (!op->out[i]) continue;
            out[i] = op_tensor(op->out[i]->n, op->out[i]->h, op->out[i]->w, op->out[i]->c,
                               op->out[i]->dtype);
            if (fresh && fresh[i].data)
                memcpy(out[i].data, fresh[i].data, (size_t)vdni_tensor_bytes(&out[i]));
            again.out[i] = &out[i];
        }
        EXPECT(op_run(&again, threads) == VDN_OK);
        for (int i = 0; i < VDNI_MAX_OUT; i++) {
            if (!op->out[i]) continue;
            EXPECT(op_same_bits(&out[i], op->out[i]));
            op_free(&out[i]);
        }
    }
}

/* Scalar loss of an oracle, for finite differences; reads doubles the caller may disturb. */
typedef double op_loss(void *user);

/* Central difference of @p loss by x[i], where x is one of the arrays it reads. */
static inline double op_slope(op_loss *loss, void *user, double *x, double step)
{
    const double kept = *x;
    *x = kept + step;
    const double above = loss(user);
    *x = kept - step;
    const double below = loss(user);
    *x = kept;
    return (above - below) / (2 * step);
}

/* Compare about 30 elements of gradient @p t (minus @p before, NCHW, may be NULL) with the slopes
 * of
 * @p loss by the matching elements of @p x (NCHW). */
static inline void op_expect_slopes(const vdni_tensor *t, const double *before, op_loss *loss,
                                    void *user, double *x)
{
    const int64_t count = vdni_tensor_count(t);
    const int64_t stride = count > 30 ? count / 30 : 1;
    double *gradient = op_doubles(t);
    double largest = 1e-30;
    for (int64_t i = 0; i < count; i++) {
        const double a = fabs(gradient[i]);
        if (!(a <= largest)) largest = a;
    }
    for (int64_t i = 0; i < count; i += stride) {
        const double slope = op_slope(loss, user, &x[i], 1e-5);
        const double found = gradient[i] - (before ? before[i] : 0);
        const double scale = op_relative(t->dtype) * fabs(gradient[i]) + 2e-5 * largest;
        EXPECT_LE(fabs(found - slope) / scale, 1);
    }
    free(gradient);
}

#endif
