/* One oracle gives the value of one output element from the inputs, NCHW doubles, for every kind;
 * gradients are compared with its slopes. */
#include "Ops/arithmetic.h"
#include "op_test.h"

enum { INPUTS = 4 };

/* What a slot of the forward operator holds; ABSENT leaves it NULL. */
typedef enum { ABSENT, PIXELS, MAP1, MAP2, CHANNEL, IMAGE1, IMAGE2 } form;

typedef struct {
    vdni_op_kind kind;
    form forms[INPUTS];
    int32_t mode;
} variant;

static const variant variants[] = {
    { VDNI_OP_ADD, { PIXELS, PIXELS }, 0 },
    { VDNI_OP_PRODUCT, { PIXELS, PIXELS }, 0 },
    { VDNI_OP_PRODUCT, { PIXELS, PIXELS, CHANNEL }, 0 },
    { VDNI_OP_PRODUCT, { PIXELS, PIXELS, CHANNEL, PIXELS }, 0 },
    { VDNI_OP_PRODUCT, { PIXELS, PIXELS, ABSENT, PIXELS }, 0 },
    { VDNI_OP_GATE, { PIXELS, PIXELS, MAP2 }, 0 },
    { VDNI_OP_GATE, { PIXELS, PIXELS, MAP1 }, 0 },
    { VDNI_OP_MIX, { PIXELS, PIXELS, MAP1 }, 0 },
    { VDNI_OP_MODULATE, { PIXELS, IMAGE2 }, 0 },
    { VDNI_OP_MODULATE, { PIXELS, IMAGE1 }, 0 },
    { VDNI_OP_MODULATE, { PIXELS, IMAGE1 }, VDNI_MODULATE_SCALE },
    { VDNI_OP_BIAS, { PIXELS, CHANNEL }, 0 },
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

static const int64_t shapes[][4] = {
    { 1, 1, 1, 1 }, { 2, 7, 5, 3 }, { 1, 37, 53, 8 }, { 2, 3, 2, 1031 }, { 2, 5, 41, 48 },
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static const vdni_dtype types[] = { VDNI_F32, VDNI_BF16 };

typedef struct {
    variant v;
    vdni_tensor y, g, in[INPUTS];
    double *dg, *x[INPUTS];
} world;

static vdni_tensor make(form f, const int64_t *s, vdni_dtype dtype, uint64_t *seed)
{
    switch (f) {
    case PIXELS:
        return op_random(s[0], s[1], s[2], s[3], dtype, seed);
    case MAP1:
        return op_random(s[0], s[1], s[2], 1, dtype, seed);
    case MAP2:
        return op_random(s[0], s[1], s[2], 2, dtype, seed);
    case CHANNEL:
        return op_random(1, 1, 1, s[3], VDNI_F32, seed);
    case IMAGE1:
        return op_random(s[0], 1, 1, s[3], VDNI_F32, seed);
    default:
        return op_random(s[0], 1, 1, 2 * s[3], VDNI_F32, seed);
    }
}

static world make_world(variant v, const int64_t *s, vdni_dtype dtype)
{
    uint64_t seed = (uint64_t)s[1] + 41;
    world w = { .v = v };
    w.y = op_tensor(s[0], s[1], s[2], s[3], dtype);
    w.g = op_random(s[0], s[1], s[2], s[3], dtype, &seed);
    w.dg = op_doubles(&w.g);
    for (int i = 0; i < INPUTS; i++) {
        if (v.forms[i] == ABSENT) continue;
        w.in[i] = make(v.forms[i], s, dtype, &seed);
        w.x[i] = op_doubles(&w.in[i]);
    }
    return w;
}

static void free_world(world *w)
{
    op_free(&w->y);
    op_free(&w->g);
    free(w->dg);
    for (int i = 0; i < INPUTS; i++) {
        op_free(&w->in[i]);
        free(w->x[i]);
    }
}

/* y at image n, channel c, pixel i. */
static double value(const world *w, int64_t n, int64_t c, int64_t i)
{
    const int64_t plane = w->y.h * w->y.w, channels = w->y.c, at = (n * channels + c) * plane + i;
    const double a = w->x[0][at];
    const double *b = w->x[1], *t = w->x[2], *u = w->x[3];
    switch (w->v.kind) {
    case VDNI_OP_ADD:
        return a + b[at];
    case VDNI_OP_BIAS:
        return a + b[c];
    case VDNI_OP_PRODUCT:
        return a * b[at] * (t ? t[c] : 1) + (u ? u[at] : 0);
    case VDNI_OP_GATE:
        if (w->v.forms[2] == MAP1) return (a + b[at]) * t[n * plane + i];
        return a * t[2 * n * plane + i] + b[at] * t[(2 * n + 1) * plane + i];
    case VDNI_OP_MIX:
        return b[at] + t[n * plane + i] * (a - b[at]);
    default:
        if (w->v.mode == VDNI_MODULATE_SCALE) return a * b[n * channels + c];
        if (w->v.forms[1] == IMAGE1) return a + b[n * channels + c];
        return a + a * b[2 * n * channels + c] + b[(2 * n + 1) * channels + c];
    }
}

static double loss(void *user)
{
    const world *w = user;
    const int64_t plane = w->y.h * w->y.w;
    double sum = 0;
    for (int64_t k = 0; k < vdni_tensor_count(&w->y); k++)
        sum += w->dg[k] * value(w, k / plane / w->y.c, k / plane % w->y.c, k % plane);
    return sum;
}

static vdni_op forward_op(world *w)
{
    vdni_op op = { .kind = w->v.kind, .a = { .mode = w->v.mode }, .out = { &w->y } };
    for (int i = 0; i < INPUTS; i++)
        if (w->v.forms[i] != ABSENT) op.in[i] = &w->in[i];
    return op;
}

static void one_forward(variant v, const int64_t *s, vdni_dtype dtype)
{
    world w = make_world(v, s, dtype);
    vdni_op op = forward_op(&w);
    EXPECT(op_run(&op, 1) == VDN_OK);
    const int64_t plane = w.y.h * w.y.w;
    double *expected = op_zeros(&w.y);
    for (int64_t k = 0; k < vdni_tensor_count(&w.y); k++)
        expected[k] = value(&w, k / plane / w.y.c, k / plane % w.y.c, k % plane);
    EXPECT_NEAR(&w.y, expected);
    op_expect_same_for_threads(&op, NULL);
    if (vdni_op_works_in_place(op.kind)) op_expect_in_place(&op);
    free(expected);
    free_world(&w);
}

static void forward_is_the_formula(void)
{
    for (int v = 0; v < VARIANTS; v++)
        for (int s = 0; s < SHAPES; s++)
            for (int t = 0; t < 2; t++) one_forward(variants[v], shapes[s], types[t]);
}

static void add_works_in_place_and_with_mixed_types(void)
{
    for (int t = 0; t < 2; t++) {
        world w = make_world(variants[0], shapes[2], types[t]);
        uint64_t seed = 4;
        vdni_op op = forward_op(&w);
        EXPECT(op_run(&op, 1) == VDN_OK);
        op.out[0] = &w.in[0];
        EXPECT(op_run(&op, 2) == VDN_OK);
        EXPECT(op_same_bits(&w.in[0], &w.y));

        vdni_tensor a = op_random(w.y.n, w.y.h, w.y.w, w.y.c, types[1 - t], &seed);
        vdni_op mixed = { .kind = VDNI_OP_ADD, .in = { &a, &w.g }, .out = { &w.y } };
        EXPECT(op_run(&mixed, 1) == VDN_OK);
        double *expected = op_doubles(&a);
        for (int64_t i = 0; i < vdni_tensor_count(&a); i++) expected[i] += w.dg[i];
        EXPECT_NEAR(&w.y, expected);
        free(expected);
        op_free(&a);
        free_world(&w);
    }
}

/* Gradients: which inputs get one, which of them are added to, and whether there is an addend. */
typedef struct {
    vdni_op op;
    vdni_tensor out[3], fresh[VDNI_MAX_OUT], addend;
    int count;
} reverse;

static reverse make_reverse(world *w, const int64_t *s, vdni_dtype dtype, int with_addend)
{
    const int counts[] = { 3, 3, 2, 2 }; /* PRODUCT, GATE, MIX, MODULATE */
    uint64_t seed = 43;
    reverse r = { .op = { .kind = w->v.kind + 1, .a = { .mode = w->v.mode }, .in = { &w->g } } };
    r.count = counts[(w->v.kind - VDNI_OP_PRODUCT) / 2];
    if (w->v.kind == VDNI_OP_PRODUCT && w->v.forms[2] == ABSENT) r.count = 2;
    for (int i = 0; i < 3; i++)
        if (w->v.forms[i] != ABSENT) r.op.in[1 + i] = &w->in[i];
    if (w->v.kind == VDNI_OP_MIX) {
        r.op.in[1] = &w->in[2];
        r.op.in[2] = r.op.in[3] = NULL;
    }
    for (int i = 0; i < r.count; i++) {
        const int adds = w->v.forms[i] == CHANNEL;
        r.out[i] = make(w->v.forms[i], s, dtype, &seed);
        if (adds) r.fresh[i] = op_copy(&r.out[i]);
    }
    if (w->v.kind == VDNI_OP_MODULATE && with_addend)
        r.addend = op_random(s[0], s[1], s[2], s[3], dtype, &seed);
    return r;
}

static void one_backward(variant v, const int64_t *s, vdni_dtype dtype, int with_addend)
{
    world w = make_world(v, s, dtype);
    reverse r = make_reverse(&w, s, dtype, with_addend);
    for (int i = 0; i < r.count; i++) r.op.out[i] = &r.out[i];
    if (r.addend.data) r.op.in[3] = &r.addend;
    EXPECT(op_run(&r.op, 1) == VDN_OK);
    op_expect_same_for_threads(&r.op, r.fresh);
    for (int i = 0; i < r.count; i++) {
        double *before = r.fresh[i].data ? op_doubles(&r.fresh[i]) : NULL;
        if (i == 0 && r.addend.data) before = op_doubles(&r.addend);
        op_expect_slopes(&r.out[i], before, loss, &w, w.x[i]);
        free(before);
        op_free(&r.out[i]);
        op_free(&r.fresh[i]);
    }
    op_free(&r.addend);
    free_world(&w);
}

static void backward_follows_the_slopes(void)
{
    for (int v = 1; v < VARIANTS; v++)
        for (int s = 0; s < SHAPES && variants[v].kind != VDNI_OP_BIAS; s++)
            for (int t = 0; t < 4; t++) one_backward(variants[v], shapes[s], types[t & 1], t & 2);
}

static void the_gradient_of_a_bias_is_added_to(void)
{
    for (int s = 0; s < 2 * SHAPES; s++) {
        world w = make_world(variants[VARIANTS - 1], shapes[s / 2], types[s % 2]);
        vdni_tensor db = op_copy(&w.in[1]), fresh = op_copy(&w.in[1]);
        for (int64_t c = 0; c < w.y.c; c++) {
            op_set(&db, c, 0.5);
            op_set(&fresh, c, 0.5);
        }
        vdni_op op = { .kind = VDNI_OP_BIAS_BACKWARD, .in = { &w.g }, .out = { &db } };
        EXPECT(op_run(&op, 1) == VDN_OK);
        op_expect_same_for_threads(&op, &fresh);
        double *before = op_doubles(&fresh);
        op_expect_slopes(&db, before, loss, &w, w.x[1]);
        free(before);
        op_free(&db);
        op_free(&fresh);
        free_world(&w);
    }
}

static void product_backward_without_dlambda_gives_the_same_dv(void)
{
    world w = make_world(variants[2], shapes[1], VDNI_F32);
    reverse r = make_reverse(&w, shapes[1], VDNI_F32, 0);
    vdni_tensor dv = op_copy(&r.out[0]);
    for (int i = 0; i < 3; i++) r.op.out[i] = &r.out[i];
    EXPECT(op_run(&r.op, 1) == VDN_OK);
    r.op.out[0] = &dv;
    r.op.out[2] = NULL;
    EXPECT(op_run(&r.op, 1) == VDN_OK);
    EXPECT(op_same_bits(&dv, &r.out[0]));
    for (int i = 0; i < 3; i++) {
        op_free(&r.out[i]);
        op_free(&r.fresh[i]);
    }
    op_free(&dv);
    free_world(&w);
}

static void wrong_calls_are_refused(void)
{
    vdni_tensor other = op_tensor(1, 5, 7, 3, VDNI_F32), bytes = op_tensor(2, 7, 5, 3, VDNI_U8);
    vdni_tensor three = op_tensor(2, 7, 5, 3, VDNI_F32);
    for (int v = 0; v < VARIANTS; v++) {
        world w = make_world(variants[v], shapes[1], VDNI_F32);
        vdni_op op = forward_op(&w);
        for (int i = 0; i < INPUTS && op.in[i]; i++) {
            vdni_op bad = op;
            bad.in[i] = &other;
            op_expect_refused(&bad);
            bad.in[i] = &bytes;
            op_expect_refused(&bad);
        }
        vdni_op modes = op;
        modes.a.mode = 2;
        if (op.kind == VDNI_OP_MODULATE) op_expect_refused(&modes);
        modes.a.mode = VDNI_MODULATE_SCALE; /* takes c values, not 2c */
        if (variants[v].forms[1] == IMAGE2) op_expect_refused(&modes);
        op.out[0] = &other;
        op_expect_refused(&op);
        free_world(&w);
    }
    world w = make_world(variants[5], shapes[1], VDNI_F32);
    vdni_op gate = forward_op(&w);
    gate.in[2] = &three; /* a map of three channels */
    op_expect_refused(&gate);
    vdni_op add = { .kind = VDNI_OP_ADD, .in = { &w.in[0], &w.in[1] }, .out = { &w.in[1] } };
    op_expect_refused(&add);
    vdni_op product = { .kind = VDNI_OP_PRODUCT_BACKWARD,
                        .in = { &w.g, &w.in[0], &w.in[1] },
                        .out = { &w.y, &three, &other } };
    op_expect_refused(&product); /* dlambda without lambda */
    free_world(&w);
    op_free(&other);
    op_free(&bytes);
    op_free(&three);
}

int main(void)
{
    RUN(forward_is_the_formula);
    RUN(add_works_in_place_and_with_mixed_types);
    RUN(backward_follows_the_slopes);
    RUN(the_gradient_of_a_bias_is_added_to);
    RUN(product_backward_without_dlambda_gives_the_same_dv);
    RUN(wrong_calls_are_refused);
    return test_result();
}
