/* Support for operator tests: guarded tensors, reading them as doubles in NCHW order, running one
 * operator, comparing with an oracle, and finite differences of an oracle.
 *
 * The back end is the CPU's, or that of the library VERDIFF_TEST_BACKEND names (op_backend.h).
 *
 * Oracles work on doubles in NCHW order with their own loops, so they share nothing with the code
 * under test. Inputs are rounded to the tensor's type before the oracle sees them. */
#ifndef VERDIFF_OP_TEST_H
#define VERDIFF_OP_TEST_H

#include "test.h"

#include "op_backend.h"

#include "Base/bf16.h"
#include "CPU/cpu.h"

/* Bounds: |y - oracle| <= relative * |oracle| + absolute * max|oracle|. The relative part of bf16
 * and f16 is their rounding, 2^-9 and 2^-11, doubled; all types accumulate in f32 or better, which
 * is the absolute part. A GPU's expf, erff and tanhf are a few units of the last place wider. */
static inline double op_relative(vdni_dtype dtype)
{
    if (dtype == VDNI_BF16) return 1.0 / 256;
    if (dtype == VDNI_F16) return 1.0 / 1024;
    return op_backend()->shares_host_memory ? 1e-5 : 2e-5;
}

/* With VERDIFF_TEST_HALF=f16 every tensor a test wants in bf16 is in f16. */
static inline vdni_dtype op_stored_as(vdni_dtype dtype)
{
    const char *half = getenv("VERDIFF_TEST_HALF");
    return dtype == VDNI_BF16 && half && strcmp(half, "f16") == 0 ? VDNI_F16 : dtype;
}

static inline vdni_tensor op_tensor(int64_t n, int64_t h, int64_t w, int64_t c, vdni_dtype dtype)
{
    vdni_tensor t = { n, h, w, c, op_stored_as(dtype), NULL, NULL };
    const int64_t bytes = vdni_tensor_bytes(&t);
    unsigned char *block = malloc((size_t)(bytes + 2 * OP_GUARD_BYTES));
    if (!block) exit(1);
    memset(block, 0xa5, (size_t)(bytes + 2 * OP_GUARD_BYTES));
    /* 0xff is NaN in f32, bf16 and f16: what an operator forgets to write shows. */
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

/* By the definition of binary16, sharing nothing with the conversions of a back end. */
static inline double op_of_f16(uint16_t bits)
{
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const double sign = bits >> 15 ? -1 : 1;
    if (exponent == 31) return fraction ? (double)NAN : sign * (double)INFINITY;
    return exponent ? sign * ldexp(1024 + fraction, exponent - 25) : sign * ldexp(fraction, -24);
}

/* The nearest f16, ties to even. */
static inline uint16_t op_to_f16(double value)
{
    int exponent = 0;
    const uint16_t sign = signbit(value) ? 0x8000 : 0;
    if (isnan(value)) return 0x7fff;
    if (fabs(value) >= 65520) return sign | 0x7c00;
    (void)frexp(value, &exponent);
    const int last = (exponent > -13 ? exponent : -13) - 11; /* power of the last place */
    const int64_t places = (int64_t)nearbyint(ldexp(fabs(value), -last));
    /* A carry out of the fraction is a carry into the exponent. */
    return (uint16_t)(sign | (uint16_t)(places + ((int64_t)(last + 24) << 10)));
}

static inline double op_get(const vdni_tensor *t, int64_t at)
{
    switch (t->dtype) {
    case VDNI_F32:
        return (double)((const float *)t->data)[at];
    case VDNI_BF16:
        return (double)vdni_bf16_to_f32(((const vdni_bf16 *)t->data)[at]);
    case VDNI_F16:
        return op_of_f16(((const uint16_t *)t->data)[at]);
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
    case VDNI_F16:
        ((uint16_t *)t->data)[at] = op_to_f16(value);
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

/* Step of f16 below its normal numbers, where the relative bound does not hold. */
static inline double op_step(vdni_dtype dtype) { return dtype == VDNI_F16 ? 0x1p-24 : 0; }

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
        const double bound = relative * fabs(oracle[i]) + absolute * largest + op_step(t->dtype);
        const double d = fabs(x[i] - oracle[i]) / bound;
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

/* Prepare, run once in a workspace that is full of NaN, unprepare. In a plan the workspace is what
 * the last operator left: nothing may be read from it that was not written. */
static inline vdn_status op_run_prepared(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    const vdni_backend *backend = op_backend();
    op_zone workspace = { 0 };
    vdn_status status = backend->prepare(ctx, device, op);

    if (status != VDN_OK) return status;
    status = op_zone_make(ctx, device, &workspace, NULL, op->workspace_bytes);
    if (status == VDN_OK) status = backend->run(ctx, device, op, workspace.data);
    if (status == VDN_OK) status = backend->synchronize(ctx, device);
    if (status == VDN_OK) status = op_zone_check(ctx, device, &workspace);
    op_zone_drop(ctx, device, &workspace);
    backend->unprepare(ctx, device, op);
    return status;
}

/* Check and run once. Where the device's memory is not the host's, the tensors go there and back;
 * those that share memory here (in place) share it there, and what is only read has to stay. */
static inline vdn_status op_run_poisoned(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    op_moves moves = { 0 };
    vdni_tensor in[VDNI_MAX_IN], out[VDNI_MAX_OUT];
    vdn_status status = vdni_op_check(ctx, op);

    if (status != VDN_OK) return status;
    if (op_backend()->shares_host_memory) return op_run_prepared(ctx, device, op);
    /* NORM's running statistics are an input that is updated. */
    for (int i = 0; i < VDNI_MAX_IN; i++)
        if (op->in[i])
            op_moves_add(&moves, op->in[i]->data, vdni_tensor_bytes(op->in[i]),
                         op->kind == VDNI_OP_NORM && i == 4);
    for (int i = 0; i < VDNI_MAX_OUT; i++)
        if (op->out[i]) op_moves_add(&moves, op->out[i]->data, vdni_tensor_bytes(op->out[i]), 1);
    status = op_moves_there(ctx, device, &moves);

    vdni_op moved = *op;
    for (int i = 0; i < VDNI_MAX_IN; i++) {
        if (!op->in[i]) continue;
        in[i] = *op->in[i];
        in[i].data = op_moved(&moves, in[i].data);
        moved.in[i] = &in[i];
    }
    for (int i = 0; i < VDNI_MAX_OUT; i++) {
        if (!op->out[i]) continue;
        out[i] = *op->out[i];
        out[i].data = op_moved(&moves, out[i].data);
        moved.out[i] = &out[i];
    }
    if (status == VDN_OK) status = op_run_prepared(ctx, device, &moved);
    if (status == VDN_OK) status = op_moves_back(ctx, device, &moves);
    op_moves_drop(ctx, device, &moves);
    op->workspace_bytes = moved.workspace_bytes;
    return status;
}

/* Run once on a device of its own. The reason of a failure is left in @p why (may be NULL). */
static inline vdn_status op_run_flags(vdni_op *op, int32_t threads, uint32_t flags, char *why)
{
    const vdni_backend *backend = op_backend();
    vdni_device *device = NULL;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    vdn_status status = backend->open(&ctx, &device, 0, threads, flags);
    if (status == VDN_OK) status = op_run_poisoned(&ctx, device, op);
    backend->close(&ctx, device);
    EXPECT(ctx.now_bytes == 0);
    if (why) memcpy(why, ctx.error, sizeof ctx.error);
    return status;
}

/* How op_run opens its devices: the plain forms, or 0 for the fast ones. */
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

/* Run with 2 and 3 threads (the emulation: in other orders) into the outputs as they stand and
 * expect the bits that are there; the caller has run with 1. @p fresh: outputs as they were before
 * the run (accumulated gradients), or NULL data for "overwritten". */
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
        op_set_order(threads == 2 ? "down" : "random:7");
        EXPECT(op_run(&again, threads) == VDN_OK);
        op_set_order(NULL);
        for (int i = 0; i < VDNI_MAX_OUT; i++) {
            if (!op->out[i]) continue;
            EXPECT(op_same_bits(&out[i], op->out[i]));
            op_free(&out[i]);
        }
    }
}

/* The claim "in place": the first output on the first input has the bits that @p op left in its own.
 * The other outputs are made anew. */
static inline void op_expect_in_place(const vdni_op *op)
{
    vdni_op again = *op;
    vdni_tensor both = op_copy(op->in[0]), more[VDNI_MAX_OUT];
    EXPECT(vdni_op_works_in_place(op->kind) && op->in[0]->dtype == op->out[0]->dtype);
    again.in[0] = again.out[0] = &both;
    for (int i = 1; i < VDNI_MAX_OUT; i++) {
        if (!op->out[i]) continue;
        more[i] = op_copy(op->out[i]);
        again.out[i] = &more[i];
    }
    EXPECT(op_run(&again, 1) == VDN_OK);
    EXPECT(op_same_bits(&both, op->out[0]));
    op_free(&both);
    for (int i = 1; i < VDNI_MAX_OUT; i++)
        if (op->out[i]) op_free(&more[i]);
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
        const double scale =
            op_relative(t->dtype) * fabs(gradient[i]) + 2e-5 * largest + op_step(t->dtype);
        EXPECT_LE(fabs(found - slope) / scale, 1);
    }
    free(gradient);
}

#endif
