#include "op_test.h"

/* The last is large enough for several threads. */
static const struct {
    int64_t n, ci, co;
} shapes[] = { { 1, 1, 1 },   { 1, 16, 64 }, { 2, 7, 5 },    { 3, 33, 17 },
               { 1, 64, 65 }, { 5, 129, 8 }, { 2, 130, 600 } };
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

typedef struct {
    int64_t n, ci, co;
    double *x, *w, *b, *g; /* (n, ci), (co, ci), (co) or NULL, (n, co) */
} oracle;

static double forward_value(const oracle *o, int64_t n, int64_t c)
{
    double sum = 0;
    for (int64_t i = 0; i < o->ci; i++) sum += o->w[c * o->ci + i] * o->x[n * o->ci + i];
    return o->b ? sum + o->b[c] : sum;
}

static double loss(void *user)
{
    const oracle *o = user;
    double sum = 0;
    for (int64_t c = 0; c < o->co; c++)
        for (int64_t n = 0; n < o->n; n++) sum += o->g[n * o->co + c] * forward_value(o, n, c);
    return sum;
}

typedef struct {
    vdni_tensor x, w, b, g, add;
    oracle o;
} data;

static data make(int i)
{
    uint64_t seed = (uint64_t)i + 1;
    data t;
    const int64_t n = shapes[i].n, ci = shapes[i].ci, co = shapes[i].co;

    t.x = op_random(n, 1, 1, ci, VDNI_F32, &seed);
    t.w = op_random(co, 1, 1, ci, VDNI_F32, &seed);
    t.b = op_random(1, 1, 1, co, VDNI_F32, &seed);
    t.g = op_random(n, 1, 1, co, VDNI_F32, &seed);
    t.add = op_random(n, 1, 1, ci, VDNI_F32, &seed);
    t.o = (oracle){
        n, ci, co, op_doubles(&t.x), op_doubles(&t.w), op_doubles(&t.b), op_doubles(&t.g)
    };
    return t;
}

static void drop(data *t)
{
    free(t->o.x);
    free(t->o.w);
    free(t->o.b);
    free(t->o.g);
    op_free(&t->x);
    op_free(&t->w);
    op_free(&t->b);
    op_free(&t->g);
    op_free(&t->add);
}

static void forward_agrees_with_the_definition(void)
{
    for (int i = 0; i < 2 * SHAPES; i++) {
        data t = make(i % SHAPES);
        vdni_tensor y = op_tensor(t.o.n, 1, 1, t.o.co, VDNI_F32);
        double *kept = t.o.b;
        vdni_op op = { .kind = VDNI_OP_LINEAR,
                       .in = { &t.x, &t.w, i < SHAPES ? &t.b : NULL },
                       .out = { &y } };
        double *expected = op_zeros(&y);

        if (i >= SHAPES) t.o.b = NULL;
        for (int64_t n = 0; n < t.o.n; n++)
            for (int64_t c = 0; c < t.o.co; c++)
                expected[n * t.o.co + c] = forward_value(&t.o, n, c);
        EXPECT(op_run(&op, 1) == VDN_OK);
        EXPECT_NEAR(&y, expected);
        op_expect_same_for_threads(&op, NULL);
        t.o.b = kept;
        free(expected);
        op_free(&y);
        drop(&t);
    }
}

static void input_gradient_agrees_with_slopes_and_takes_the_addend(void)
{
    for (int i = 0; i < SHAPES; i++) {
        data t = make(i);
        vdni_tensor dx = op_tensor(t.o.n, 1, 1, t.o.ci, VDNI_F32);
        vdni_op op = { .kind = VDNI_OP_LINEAR_DX, .in = { &t.g, &t.w }, .out = { &dx } };
        double *add = op_doubles(&t.add);

        EXPECT(op_run(&op, 1) == VDN_OK);
        op_expect_slopes(&dx, NULL, loss, &t.o, t.o.x);
        op.in[2] = &t.add;
        EXPECT(op_run(&op, 1) == VDN_OK);
        op_expect_slopes(&dx, add, loss, &t.o, t.o.x);
        op_expect_same_for_threads(&op, NULL);
        free(add);
        op_free(&dx);
        drop(&t);
    }
}

static void weight_gradients_are_added_and_agree_with_slopes(void)
{
    for (int i = 0; i < SHAPES; i++) {
        data t = make(i);
        uint64_t seed = 3;
        vdni_tensor dw = op_random(t.o.co, 1, 1, t.o.ci, VDNI_F32, &seed);
        vdni_tensor db = op_random(1, 1, 1, t.o.co, VDNI_F32, &seed);
        vdni_tensor before[VDNI_MAX_OUT] = { op_copy(&dw), op_copy(&db) };
        double *dw_before = op_doubles(&dw), *db_before = op_doubles(&db);
        vdni_op op = { .kind = VDNI_OP_LINEAR_DW, .in = { &t.x, &t.g }, .out = { &dw, &db } };

        EXPECT(op_run(&op, 1) == VDN_OK);
        op_expect_slopes(&dw, dw_before, loss, &t.o, t.o.w);
        op_expect_slopes(&db, db_before, loss, &t.o, t.o.b);
        op_expect_same_for_threads(&op, before);

        /* Without db the same dw. */
        vdni_tensor alone = op_copy(&before[0]);
        op.out[0] = &alone;
        op.out[1] = NULL;
        EXPECT(op_run(&op, 1) == VDN_OK);
        EXPECT(op_same_bits(&alone, &dw));
        free(dw_before);
        free(db_before);
        op_free(&alone);
        op_free(&dw);
        op_free(&db);
        op_free(&before[0]);
        op_free(&before[1]);
        drop(&t);
    }
}

static void wrong_shapes_and_types_are_refused(void)
{
    data t = make(2);
    vdni_tensor y = op_tensor(2, 1, 1, 5, VDNI_F32);
    vdni_op op = { .kind = VDNI_OP_LINEAR, .in = { &t.x, &t.w, &t.b }, .out = { &y } };
    int64_t *const fields[] = { &y.n, &y.c, &y.h, &t.w.c, &t.w.n, &t.w.h, &t.b.c, &t.x.w, &t.x.c };

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        *fields[i] += 1;
        op_expect_refused(&op);
        *fields[i] -= 1;
    }
    t.x.dtype = VDNI_BF16;
    op_expect_refused(&op);
    t.x.dtype = VDNI_F32;
    op.in[1] = NULL;
    op_expect_refused(&op);
    op_free(&y);
    drop(&t);
}

int main(void)
{
    RUN(forward_agrees_with_the_definition);
    RUN(input_gradient_agrees_with_slopes_and_takes_the_addend);
    RUN(weight_gradients_are_added_and_agree_with_slopes);
    RUN(wrong_shapes_and_types_are_refused);
    return test_result();
}
