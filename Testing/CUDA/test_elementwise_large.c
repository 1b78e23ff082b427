/* Element-wise and reducing operators in shapes that reach every path of a GPU's kernels - several
 * chunks of a reduction, slices of many channels, odd channels, unaligned tensors - against the CPU
 * twin, in all mixes of storage types. The equations are checked in Core/Ops/test_<stem>.c. */
#include "op_test.h"

#include "Ops/loss.h"
#include "Ops/pool.h"

typedef struct {
    vdni_op op;
    vdni_tensor in[VDNI_MAX_IN], out[VDNI_MAX_OUT];
    uint64_t seed;
    int off; /* elements by which every tensor is moved */
} call;

/* The shape (n,h,w,k) of a row of calls, their types and their shift. */
typedef struct {
    int64_t n, h, w, k;
    vdni_dtype type, other;
    int off;
} form;

static vdni_tensor shifted(const call *c, int64_t n, int64_t h, int64_t w, int64_t k,
                           vdni_dtype type)
{
    vdni_tensor t = op_tensor(1, 1, 1, n * h * w * k + c->off, type);
    t.data = (char *)t.data + c->off * vdni_dtype_bytes(t.dtype);
    t.n = n;
    t.h = h;
    t.w = w;
    t.c = k;
    return t;
}

static void free_shifted(const call *c, vdni_tensor *t)
{
    if (!t->data) return;
    t->data = (char *)t->data - c->off * vdni_dtype_bytes(t->dtype);
    t->c = vdni_tensor_count(t) + c->off;
    t->n = t->h = t->w = 1;
    op_free(t);
}

static void in(call *c, int i, const int64_t s[4], vdni_dtype type)
{
    c->in[i] = shifted(c, s[0], s[1], s[2], s[3], type);
    op_randomize(&c->in[i], &c->seed, 1, 0.1);
}

/* Not NaN: parameter gradients are added to what is there. */
static void out(call *c, int i, const int64_t s[4], vdni_dtype type)
{
    c->out[i] = shifted(c, s[0], s[1], s[2], s[3], type);
    op_fill(&c->out[i], 0.5);
}

#define SHAPE(n, h, w, k) ((const int64_t[4]){ n, h, w, k })

/* Worst |a - b| in units of the bound: rounding of the type, and another order of summation. */
static double distance(const vdni_tensor *a, const vdni_tensor *b)
{
    const double step = a->dtype == VDNI_BF16  ? 1.0 / 128
                        : a->dtype == VDNI_F16 ? 1.0 / 1024
                                               : 2e-5;
    const int64_t count = vdni_tensor_count(a);
    double largest = 1e-30, worst = 0;
    for (int64_t i = 0; i < count; i++)
        if (!(fabs(op_get(b, i)) <= largest)) largest = fabs(op_get(b, i));
    for (int64_t i = 0; i < count; i++) {
        const double x = op_get(a, i), y = op_get(b, i);
        const double d = fabs(x - y) / (step * fabs(y) + 1e-5 * largest);
        if (!(d <= worst)) worst = d;
        if (isnan(worst)) break;
    }
    return worst;
}

/* The CPU has no f16: there it gets the same values in f32. */
static vdni_tensor for_cpu(const vdni_tensor *from)
{
    if (from->dtype != VDNI_F16) return op_copy(from);
    vdni_tensor t = op_tensor(from->n, from->h, from->w, from->c, VDNI_F32);
    for (int64_t i = 0; i < vdni_tensor_count(from); i++) op_set(&t, i, op_get(from, i));
    return t;
}

/* The call on the CPU; its outputs, to be freed. */
static void run_on_cpu(const call *c, vdni_tensor wanted[VDNI_MAX_OUT])
{
    const vdni_backend *cpu = vdni_cpu_backend();
    vdni_tensor given[VDNI_MAX_IN];
    vdni_op op = c->op;
    vdni_device *device = NULL;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    for (int i = 0; i < VDNI_MAX_IN; i++) {
        if (!c->in[i].data) continue;
        given[i] = for_cpu(&c->in[i]);
        op.in[i] = &given[i];
    }
    for (int i = 0; i < VDNI_MAX_OUT; i++) {
        if (!c->out[i].data) continue;
        wanted[i] = for_cpu(&c->out[i]);
        op.out[i] = &wanted[i];
    }
    vdn_status status = cpu->open(&ctx, &device, 0, 2, VDNI_PREPARE_PLAIN);
    if (status == VDN_OK) status = vdni_op_run_once(&ctx, cpu, device, &op);
    EXPECT(status == VDN_OK);
    if (status != VDN_OK) printf("  cpu: %s\n", ctx.error);
    cpu->close(&ctx, device);
    for (int i = 0; i < VDNI_MAX_IN; i++)
        if (op.in[i]) op_free(op.in[i]);
}

/* Both back ends on the same inputs. Frees the call's tensors. */
static void compare(call *c)
{
    vdni_tensor wanted[VDNI_MAX_OUT];
    run_on_cpu(c, wanted);
    for (int i = 0; i < VDNI_MAX_IN; i++)
        if (c->in[i].data) c->op.in[i] = &c->in[i];
    for (int i = 0; i < VDNI_MAX_OUT; i++)
        if (c->out[i].data) c->op.out[i] = &c->out[i];
    EXPECT(op_run(&c->op, 1) == VDN_OK);
    for (int i = 0; i < VDNI_MAX_OUT; i++) {
        const vdni_tensor *t = &c->out[i];
        if (!t->data) continue;
        const double d = distance(t, &wanted[i]);
        EXPECT_LE(d, 1);
        if (!(d <= 1))
            printf("  %s out %d (%d,%d,%d,%d) %s moved by %d\n", vdni_op_name(c->op.kind), i,
                   (int)t->n, (int)t->h, (int)t->w, (int)t->c, vdni_dtype_name(t->dtype), c->off);
        op_free(&wanted[i]);
        free_shifted(c, &c->out[i]);
    }
    for (int i = 0; i < VDNI_MAX_IN; i++) free_shifted(c, &c->in[i]);
}

/* ---- calls of one shape ---- */

/* A call whose first @p maps inputs and @p outputs outputs have the form's shape; the second input
 * is of the other type. What differs is added before compare(). */
static call begin(const form *f, vdni_op_kind kind, int maps, int outputs)
{
    call c = { .op = { .kind = kind }, .seed = 5, .off = f->off };
    for (int i = 0; i < maps; i++)
        in(&c, i, SHAPE(f->n, f->h, f->w, f->k), i == 1 ? f->other : f->type);
    for (int i = 0; i < outputs; i++) out(&c, i, SHAPE(f->n, f->h, f->w, f->k), f->type);
    return c;
}

static void activations(const form *f)
{
    call c = begin(f, VDNI_OP_ACTIVATION, 1, 1);
    c.op.a.act = VDNI_ACT_GELU;
    compare(&c);
    c = begin(f, VDNI_OP_ACTIVATION_BACKWARD, 3, 1);
    c.op.a.act = VDNI_ACT_SILU;
    compare(&c);
}

static void products(const form *f, int with_lambda)
{
    const int64_t *lambda = SHAPE(1, 1, 1, f->k);
    call c = begin(f, VDNI_OP_PRODUCT, 2, 1);
    if (with_lambda) {
        in(&c, 2, lambda, VDNI_F32);
        in(&c, 3, SHAPE(f->n, f->h, f->w, f->k), f->type);
    }
    compare(&c);
    c = begin(f, VDNI_OP_PRODUCT_BACKWARD, 3, 2);
    if (with_lambda) {
        in(&c, 3, lambda, VDNI_F32);
        out(&c, 2, lambda, VDNI_F32);
    }
    compare(&c);
}

static void gates(const form *f, int64_t channels)
{
    const int64_t *t = SHAPE(f->n, f->h, f->w, channels);
    call c = begin(f, VDNI_OP_GATE, 2, 1);
    in(&c, 2, t, f->other);
    compare(&c);
    c = begin(f, VDNI_OP_GATE_BACKWARD, 3, 2);
    in(&c, 3, t, f->other);
    out(&c, 2, t, VDNI_F32);
    compare(&c);
}

static void mixes(const form *f)
{
    const int64_t *m = SHAPE(f->n, f->h, f->w, 1);
    call c = begin(f, VDNI_OP_ADD, 2, 1);
    compare(&c);
    c = begin(f, VDNI_OP_MIX, 2, 1);
    in(&c, 2, m, f->other);
    compare(&c);
    c = begin(f, VDNI_OP_MIX_BACKWARD, 1, 2);
    in(&c, 1, m, f->other);
    compare(&c);
}

static void modulations(const form *f, int64_t channels, int with_addend)
{
    const int64_t *mod = SHAPE(f->n, 1, 1, channels);
    call c = begin(f, VDNI_OP_MODULATE, 1, 1);
    in(&c, 1, mod, VDNI_F32);
    compare(&c);
    c = begin(f, VDNI_OP_MODULATE_BACKWARD, 2, 1);
    in(&c, 2, mod, VDNI_F32);
    if (with_addend) in(&c, 3, SHAPE(f->n, f->h, f->w, f->k), f->type);
    out(&c, 1, mod, VDNI_F32);
    compare(&c);
}

static void selections(const form *f)
{
    const int64_t *logits = SHAPE(f->n, 1, 1, 3 * f->k);
    call c = begin(f, VDNI_OP_SK_SELECT, 3, 1);
    in(&c, 3, logits, VDNI_F32);
    compare(&c);
    c = begin(f, VDNI_OP_SK_SELECT_BACKWARD, 4, 3);
    in(&c, 4, logits, VDNI_F32);
    out(&c, 3, logits, VDNI_F32);
    compare(&c);
}

static void joins(const form *f)
{
    const int64_t *own = SHAPE(f->n, f->h, f->w, f->k),
                  *joined = SHAPE(f->n, f->h, f->w, 2 * f->k + 24);
    const int64_t *wide = SHAPE(f->n, f->h, f->w, 16), *narrow = SHAPE(f->n, f->h, f->w, 8);
    call c = begin(f, VDNI_OP_CONCAT, 1, 0);
    in(&c, 2, own, f->other);
    in(&c, 4, wide, f->other);
    in(&c, 5, narrow, f->type);
    out(&c, 0, joined, f->type);
    compare(&c);
    c = begin(f, VDNI_OP_SPLIT, 0, 0);
    in(&c, 0, joined, f->type);
    out(&c, 1, own, f->type);
    out(&c, 2, own, f->type);
    out(&c, 4, wide, f->other);
    out(&c, 5, narrow, f->type);
    compare(&c);
}

static void resamplings(const form *f)
{
    const int64_t *twice = SHAPE(f->n, 2 * f->h, 2 * f->w, f->k);
    for (int mode = VDNI_UPSAMPLE_NEAREST; mode <= VDNI_UPSAMPLE_BILINEAR; mode++) {
        call c = begin(f, VDNI_OP_UPSAMPLE, 1, 0);
        c.op.a = (vdni_attr){ .factor = 2, .mode = mode };
        out(&c, 0, twice, f->other);
        compare(&c);
        c = begin(f, VDNI_OP_UPSAMPLE_BACKWARD, 0, 1);
        c.op.a = (vdni_attr){ .factor = 2, .mode = mode };
        in(&c, 0, twice, f->other);
        in(&c, 1, SHAPE(f->n, f->h, f->w, f->k), f->type);
        compare(&c);
    }
    for (int factor = 2; factor <= 3; factor++) {
        const int64_t *large = SHAPE(f->n, factor * f->h, factor * f->w, f->k);
        const int64_t *deep = SHAPE(f->n, f->h, f->w, factor * factor * f->k);
        call c = begin(f, VDNI_OP_UNSHUFFLE, 0, 0);
        c.op.a.factor = factor;
        in(&c, 0, large, f->type);
        out(&c, 0, deep, f->other);
        compare(&c);
        c = begin(f, VDNI_OP_SHUFFLE, 0, 0);
        c.op.a.factor = factor;
        in(&c, 0, deep, f->other);
        out(&c, 0, large, f->type);
        compare(&c);
    }
}

static void pools(const form *f)
{
    const int64_t *vector = SHAPE(f->n, 1, 1, f->k);
    call c = begin(f, VDNI_OP_GLOBAL_POOL, 1, 0);
    out(&c, 0, vector, VDNI_F32);
    compare(&c);
    c = begin(f, VDNI_OP_GLOBAL_POOL_BACKWARD, 0, 1);
    in(&c, 0, vector, VDNI_F32);
    in(&c, 1, SHAPE(f->n, f->h, f->w, f->k), f->type);
    compare(&c);
    c = begin(f, VDNI_OP_CHANNEL_STATS, 1, 0);
    out(&c, 0, SHAPE(f->n, f->h, f->w, 2), f->other);
    out(&c, 1, SHAPE(f->n, f->h, f->w, 1), VDNI_U16);
    compare(&c);
    if (f->h < 20) return;
    const vdni_attr a = { .kernel = 7, .stride = 3, .pad = 2 };
    c = begin(f, VDNI_OP_AVERAGE_POOL, 1, 0);
    c.op.a = a;
    out(&c, 0, SHAPE(f->n, vdni_pool_extent(f->h, &a), vdni_pool_extent(f->w, &a), f->k), f->other);
    compare(&c);
    c = begin(f, VDNI_OP_MAX_POOL, 1, 0);
    c.op.a.kernel = c.op.a.stride = 2;
    out(&c, 0, SHAPE(f->n, f->h / 2, f->w / 2, f->k), f->type);
    out(&c, 1, SHAPE(f->n, f->h / 2, f->w / 2, f->k), VDNI_U8);
    compare(&c);
    c = begin(f, VDNI_OP_MAX_POOL, 1, 0);
    c.op.a.kernel = 3;
    c.op.a.stride = 2;
    c.op.a.pad = 1;
    out(&c, 0, SHAPE(f->n, (f->h + 1) / 2, (f->w + 1) / 2, f->k), f->type);
    out(&c, 1, SHAPE(f->n, (f->h + 1) / 2, (f->w + 1) / 2, f->k), VDNI_U8);
    compare(&c);
}

static void all_of(const form *f)
{
    activations(f);
    products(f, 0);
    products(f, 1);
    gates(f, 1);
    gates(f, 2);
    mixes(f);
    modulations(f, f->k, 0);
    modulations(f, 2 * f->k, 1);
    selections(f);
    joins(f);
    resamplings(f);
    pools(f);
}

/* Chunks of a reduction, slices of channels, one channel, tails, vectors, few channels. */
static const int64_t shapes[][4] = { { 1, 61, 67, 8 },  { 2, 19, 17, 264 }, { 1, 90, 90, 1 },
                                     { 3, 5, 7, 300 },  { 1, 70, 90, 12 },  { 2, 1, 1, 16 },
                                     { 1, 110, 100, 4 } };
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void some_shapes(int count, vdni_dtype type, vdni_dtype other, int off)
{
    for (int i = 0; i < count; i++) {
        const int64_t *s = shapes[i];
        const form f = { s[0], s[1], s[2], s[3], type, other, off };
        all_of(&f);
    }
}

static void f32_gives_what_the_cpu_gives(void) { some_shapes(SHAPES, VDNI_F32, VDNI_F32, 0); }

static void half_types_give_what_the_cpu_gives(void)
{
    some_shapes(SHAPES, VDNI_BF16, VDNI_BF16, 0);
}

static void mixed_types_give_what_the_cpu_gives(void)
{
    some_shapes(SHAPES, VDNI_F32, VDNI_BF16, 0);
    some_shapes(4, VDNI_BF16, VDNI_F32, 0);
}

static void unaligned_tensors_give_what_the_cpu_gives(void)
{
    some_shapes(4, VDNI_BF16, VDNI_BF16, 1);
}

/* ---- losses ---- */

/* Classes below @p classes, one pixel of nine ignored. */
static void fill_targets(call *c, int i, int64_t classes)
{
    for (int64_t p = 0; p < vdni_tensor_count(&c->in[i]); p++) {
        const uint64_t draw = test_random_bits(&c->seed);
        op_set(&c->in[i], p, draw % 9 == 0 ? 255 : (double)(draw / 16 % (uint64_t)classes));
    }
}

static void loss(const int64_t s[4], vdni_op_kind kind)
{
    const int64_t classes = s[3] < 2 ? 2 : s[3];
    call c = { .op = { .kind = kind, .a.lambda = { 0.7f, 1.1f, 0.4f } }, .seed = 5 };
    int at = 0;
    in(&c, at++, s, VDNI_F32);
    if (kind == VDNI_OP_NOISE_LOSS) in(&c, at++, s, VDNI_F32);
    in(&c, at, SHAPE(s[0], s[1], s[2], 1), VDNI_U8);
    fill_targets(&c, at++, classes);
    in(&c, at++, SHAPE(s[0], 1, 1, 2), VDNI_F32);
    if (kind == VDNI_OP_SEGMENTATION_LOSS) {
        in(&c, at, SHAPE(1, 1, 1, classes), VDNI_F32);
        for (int64_t j = 0; j < classes; j++) op_set(&c.in[at], j, 0.5 + (double)j);
    }
    out(&c, 0, s, VDNI_F32);
    out(&c, 1, SHAPE(s[0], 1, 1, 4), VDNI_F32);
    compare(&c);
}

static void losses_of_many_chunks_give_what_the_cpu_gives(void)
{
    static const int64_t sizes[][4] = { { 1, 300, 301, 1 }, { 2, 100, 95, 5 }, { 1, 30, 30, 64 } };
    for (int i = 0; i < 3; i++) {
        loss(sizes[i], VDNI_OP_SEGMENTATION_LOSS);
        loss(sizes[i], VDNI_OP_NOISE_LOSS);
    }
}

int main(void)
{
    if (op_backend()->shares_host_memory) return test_skip("VERDIFF_TEST_BACKEND names no library");
    RUN(losses_of_many_chunks_give_what_the_cpu_gives);
    RUN(f32_gives_what_the_cpu_gives);
    RUN(half_types_give_what_the_cpu_gives);
    RUN(mixed_types_give_what_the_cpu_gives);
    RUN(unaligned_tensors_give_what_the_cpu_gives);
    return test_result();
}
