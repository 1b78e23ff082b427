#include "conv_oracle.h"

#include "Ops/conv.h"

/* One row of the table: odd shapes, sizes of 1, primes, strides, dilations, pads that are not "same". */
typedef struct {
    int64_t n, h, w, ci, co;
    int32_t k, s, d, p;
} shape;

static const shape shapes[] = {
    { 1, 1, 1, 1, 1, 1, 1, 1, 0 },    { 1, 1, 1, 1, 1, 3, 1, 1, 1 },
    { 1, 7, 5, 3, 2, 1, 1, 1, 0 },    { 2, 7, 5, 3, 17, 3, 1, 1, 1 },
    { 1, 7, 5, 2, 3, 5, 1, 1, 2 },    { 1, 9, 11, 1, 8, 7, 1, 1, 3 },
    { 2, 8, 8, 5, 16, 3, 2, 1, 1 },   { 1, 7, 9, 4, 33, 3, 2, 1, 1 },
    { 1, 5, 6, 2, 3, 1, 2, 1, 0 },    { 1, 11, 6, 2, 3, 7, 2, 1, 3 },
    { 1, 9, 7, 3, 5, 3, 1, 2, 2 },    { 1, 13, 10, 2, 4, 3, 1, 4, 4 },
    { 1, 6, 7, 2, 3, 3, 1, 1, 0 },    { 1, 4, 3, 2, 3, 1, 1, 1, 1 },
    { 1, 6, 5, 2, 3, 3, 1, 1, 4 },    { 1, 9, 8, 2, 3, 3, 2, 3, 3 },
    { 1, 5, 7, 2, 2, 4, 1, 1, 2 },    { 1, 3, 2, 40, 48, 3, 1, 1, 1 },
    { 3, 2, 31, 16, 12, 3, 1, 1, 1 }, { 1, 37, 53, 12, 16, 3, 1, 1, 1 },
    { 1, 37, 53, 1, 8, 7, 1, 1, 3 },  { 1, 20, 20, 32, 32, 3, 2, 1, 1 },
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* Storage types of the two sides. */
static const vdni_dtype types[][2] = {
    { VDNI_F32, VDNI_F32 },
    { VDNI_BF16, VDNI_BF16 },
    { VDNI_BF16, VDNI_F32 },
    { VDNI_F32, VDNI_BF16 },
};
enum { TYPES = sizeof types / sizeof types[0] };

/* Everything one case needs. wide: x or dx; narrow: y or g. */
typedef struct {
    vdni_attr a;
    vdni_tensor wide, narrow, w, b, add_wide, add_narrow;
    int64_t seed;
} data;

static data make(const shape *c, const vdni_dtype type[2])
{
    data t = { .a = { .kernel = c->k, .stride = c->s, .dilation = c->d, .pad = c->p } };
    uint64_t seed = (uint64_t)(c->h * 1000 + c->w * 10 + c->k);

    t.wide = op_random(c->n, c->h, c->w, c->ci, type[0], &seed);
    t.narrow = op_random(c->n, conv_oracle_extent(c->h, &t.a), conv_oracle_extent(c->w, &t.a),
                         c->co, type[1], &seed);
    t.w = op_random(c->co, c->k, c->k, c->ci, VDNI_F32, &seed);
    t.b = op_random(1, 1, 1, c->co, VDNI_F32, &seed);
    t.add_wide = op_random(c->n, c->h, c->w, c->ci, type[1], &seed);
    t.add_narrow = op_random(c->n, t.narrow.h, t.narrow.w, c->co, type[0], &seed);
    return t;
}

static void drop(data *t)
{
    op_free(&t->wide);
    op_free(&t->narrow);
    op_free(&t->w);
    op_free(&t->b);
    op_free(&t->add_wide);
    op_free(&t->add_narrow);
}

static void check_forward(const shape *c, const vdni_dtype type[2], int optional)
{
    data t = make(c, type);
    vdni_tensor y = op_tensor(t.narrow.n, t.narrow.h, t.narrow.w, t.narrow.c, type[1]);
    vdni_op op = { .kind = VDNI_OP_CONV, .a = t.a, .in = { &t.wide, &t.w }, .out = { &y } };
    conv_oracle o = conv_oracle_of(&t.a, &t.wide, &t.w, &y, 0);

    if (optional) {
        op.in[2] = &t.b;
        o.b = op_doubles(&t.b);
        op.in[3] = &t.add_narrow;
        o.add = op_doubles(&t.add_narrow);
    }
    EXPECT(op_run(&op, 1) == VDN_OK);
    conv_oracle_forward(&o);
    EXPECT_NEAR(&y, o.y);
    op_expect_same_for_threads(&op, NULL);
    conv_oracle_free(&o);
    op_free(&y);
    drop(&t);
}

static void check_input_gradient(const shape *c, const vdni_dtype type[2], int with_addend)
{
    data t = make(c, type);
    vdni_tensor dx = op_tensor(c->n, c->h, c->w, c->ci, type[0]);
    vdni_op op = { .kind = VDNI_OP_CONV_DX, .a = t.a, .in = { &t.narrow, &t.w }, .out = { &dx } };
    conv_oracle o = conv_oracle_of(&t.a, &t.wide, &t.w, &t.narrow, 0);

    o.g = op_doubles(&t.narrow);
    o.dx = op_zeros(&dx);
    if (with_addend) {
        op.in[2] = &t.add_wide;
        o.add = op_doubles(&t.add_wide);
    }
    EXPECT(op_run(&op, 1) == VDN_OK);
    conv_oracle_backward(&o);
    EXPECT_NEAR(&dx, o.dx);
    op_expect_same_for_threads(&op, NULL);

    /* The same against slopes of the forward pass alone. */
    double *addend = o.add;
    o.add = NULL;
    if (c->h * c->w < 200) op_expect_slopes(&dx, addend, conv_oracle_loss, &o, o.x);
    o.add = addend;
    conv_oracle_free(&o);
    op_free(&dx);
    drop(&t);
}

static void check_weight_gradient(const shape *c, const vdni_dtype type[2], int with_bias)
{
    data t = make(c, type);
    uint64_t seed = 5;
    vdni_tensor dw = op_random(t.w.n, t.w.h, t.w.w, t.w.c, VDNI_F32, &seed);
    vdni_tensor db = op_random(1, 1, 1, c->co, VDNI_F32, &seed);
    vdni_tensor before[VDNI_MAX_OUT] = { op_copy(&dw), op_copy(&db) };
    vdni_op op = { .kind = VDNI_OP_CONV_DW,
                   .a = t.a,
                   .in = { &t.wide, &t.narrow },
                   .out = { &dw, with_bias ? &db : NULL } };
    conv_oracle o = conv_oracle_of(&t.a, &t.wide, &t.w, &t.narrow, 0);

    o.g = op_doubles(&t.narrow);
    o.dw = op_doubles(&dw);
    o.db = op_doubles(&db);
    double *dw_before = op_doubles(&dw);
    EXPECT(op_run(&op, 1) == VDN_OK);
    conv_oracle_backward(&o);
    EXPECT_NEAR(&dw, o.dw);
    if (with_bias) EXPECT_NEAR(&db, o.db);
    op_expect_same_for_threads(&op, before);
    if (c->h * c->w < 200) op_expect_slopes(&dw, dw_before, conv_oracle_loss, &o, o.wt);

    free(dw_before);
    conv_oracle_free(&o);
    op_free(&dw);
    op_free(&db);
    op_free(&before[0]);
    op_free(&before[1]);
    drop(&t);
}

static void forward_agrees_with_the_definition(void)
{
    for (int i = 0; i < SHAPES; i++)
        for (int j = 0; j < TYPES; j++) check_forward(&shapes[i], types[j], (i + j) % 2);
}

static void input_gradient_agrees_with_the_definition_and_with_slopes(void)
{
    for (int i = 0; i < SHAPES; i++)
        for (int j = 0; j < TYPES; j++) check_input_gradient(&shapes[i], types[j], (i + j) % 2);
}

static void weight_gradient_is_added_and_agrees_with_the_definition_and_with_slopes(void)
{
    for (int i = 0; i < SHAPES; i++)
        for (int j = 0; j < TYPES; j++) check_weight_gradient(&shapes[i], types[j], (i + j) % 2);
}

static void wrong_arguments_are_refused_with_their_numbers(void)
{
    const shape c = { 2, 9, 8, 4, 6, 3, 1, 1, 1 };
    data t = make(&c, types[0]);
    vdni_op op = {
        .kind = VDNI_OP_CONV, .a = t.a, .in = { &t.wide, &t.w, &t.b }, .out = { &t.narrow }
    };
    vdn_ctx ctx;

    vdni_ctx_init(&ctx);
    EXPECT(vdni_op_check(&ctx, &op) == VDN_OK);
    struct {
        int64_t *field;
        int64_t value;
    } changes[] = {
        { &t.narrow.h, 8 }, { &t.narrow.w, 9 },   { &t.narrow.n, 1 }, { &t.narrow.c, 6 + 1 },
        { &t.w.h, 5 },      { &t.w.w, 1 },        { &t.w.c, 4 + 1 },  { &t.w.n, 6 + 1 },
        { &t.b.c, 6 + 1 },  { &t.wide.c, 4 + 1 },
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        const int64_t kept = *changes[i].field;
        *changes[i].field = changes[i].value;
        op_expect_refused(&op);
        *changes[i].field = kept;
    }
    const struct {
        int32_t k, s, d, p;
    } wrong[] = { { 0, 1, 1, 1 },  { 3, 0, 1, 1 },  { 3, 3, 1, 1 }, { 3, 1, 0, 1 },
                  { 3, 1, 1, -1 }, { 17, 1, 1, 8 }, { 3, 1, 5, 0 }, { 3, 2, 1, 1 } };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        op.a = (vdni_attr){
            .kernel = wrong[i].k, .stride = wrong[i].s, .dilation = wrong[i].d, .pad = wrong[i].p
        };
        op_expect_refused(&op);
    }
    op.a = t.a;
    t.w.dtype = VDNI_BF16;
    op_expect_refused(&op);
    t.w.dtype = VDNI_F32;
    t.wide.dtype = VDNI_U8;
    op_expect_refused(&op);
    t.wide.dtype = VDNI_F32;
    op.in[1] = NULL;
    op_expect_refused(&op);
    drop(&t);
}

/* Shapes that would agree with it. */
static void a_stride_it_does_not_have_is_refused(void)
{
    const shape c = { 1, 9, 8, 4, 6, 3, 3, 1, 1 };
    data t = make(&c, types[0]);
    vdni_op op = { .kind = VDNI_OP_CONV, .a = t.a, .in = { &t.wide, &t.w }, .out = { &t.narrow } };
    op_expect_refused(&op);
    drop(&t);
}

int main(void)
{
    RUN(forward_agrees_with_the_definition);
    RUN(input_gradient_agrees_with_the_definition_and_with_slopes);
    RUN(weight_gradient_is_added_and_agrees_with_the_definition_and_with_slopes);
    RUN(wrong_arguments_are_refused_with_their_numbers);
    RUN(a_stride_it_does_not_have_is_refused);
    return test_result();
}
