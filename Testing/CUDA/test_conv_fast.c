/* Convolution as a device runs it unless the plain kernels are asked for: on the tensor cores or by
 * a library, which round the weight to the type of 16-bit activations. The weights of these cases
 * are such values already, so the definition holds as it stands. */
#include "conv_oracle.h"

#include "Ops/conv.h"

typedef struct {
    int64_t n, h, w, ci, co;
    int32_t k, s, d, p;
} shape;

/* Channels that one load takes eight, four or one at a time; tiles that end in every direction;
 * more than one tile of pixels and of channels; every parity of stride 2. */
static const shape shapes[] = {
    { 1, 1, 1, 1, 1, 1, 1, 1, 0 },      { 2, 7, 5, 3, 17, 3, 1, 1, 1 },
    { 1, 9, 11, 4, 8, 7, 1, 1, 3 },     { 2, 8, 8, 8, 16, 3, 2, 1, 1 },
    { 1, 7, 9, 16, 33, 3, 2, 1, 1 },    { 1, 5, 6, 24, 40, 1, 2, 1, 0 },
    { 1, 11, 6, 12, 20, 7, 2, 1, 3 },   { 1, 9, 7, 16, 8, 3, 1, 2, 2 },
    { 1, 13, 10, 8, 24, 3, 2, 2, 4 },   { 1, 6, 7, 8, 8, 3, 1, 1, 0 },
    { 1, 4, 3, 8, 16, 1, 1, 1, 1 },     { 1, 9, 8, 8, 8, 3, 2, 3, 3 },
    { 1, 5, 7, 8, 8, 4, 1, 1, 2 },      { 1, 19, 13, 64, 72, 3, 1, 1, 1 },
    { 3, 2, 31, 16, 12, 3, 1, 1, 1 },   { 1, 37, 53, 16, 1, 1, 1, 1, 0 },
    { 2, 20, 20, 72, 136, 1, 1, 1, 0 }, { 1, 40, 37, 4, 16, 5, 1, 1, 2 },
    { 1, 30, 33, 40, 2, 3, 1, 1, 1 },
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* Type of both sides, or of the one that is gathered with an f32 result. */
static const vdni_dtype types[][2] = { { VDNI_BF16, VDNI_BF16 },
                                       { VDNI_BF16, VDNI_F32 },
                                       { VDNI_F32, VDNI_F32 } };
enum { TYPES = sizeof types / sizeof types[0] };

/* The device has a library: its weight gradients of bf16 arrive in bf16 before they are added. */
static int has_library;

/* Values of @p type in f32. */
static vdni_tensor rounded(int64_t n, int64_t k, int64_t c, vdni_dtype type, uint64_t *seed)
{
    vdni_tensor w = op_random(n, k, k, c, VDNI_F32, seed);
    vdni_tensor stored = op_tensor(n, k, k, c, type);
    for (int64_t i = 0; i < vdni_tensor_count(&w); i++) {
        op_set(&stored, i, op_get(&w, i));
        op_set(&w, i, op_get(&stored, i));
    }
    op_free(&stored);
    return w;
}

static void check_forward(const shape *c, const vdni_dtype type[2], int optional)
{
    const vdni_attr a = { .kernel = c->k, .stride = c->s, .dilation = c->d, .pad = c->p };
    const int64_t oh = conv_oracle_extent(c->h, &a), ow = conv_oracle_extent(c->w, &a);
    uint64_t seed = (uint64_t)(c->h * 100 + c->w);
    vdni_tensor x = op_random(c->n, c->h, c->w, c->ci, type[0], &seed);
    vdni_tensor w = rounded(c->co, c->k, c->ci, type[0], &seed);
    vdni_tensor b = rounded(1, 1, c->co, type[0], &seed);
    vdni_tensor residual = op_random(c->n, oh, ow, c->co, type[1], &seed);
    vdni_tensor y = op_tensor(c->n, oh, ow, c->co, type[1]);
    vdni_op op = { .kind = VDNI_OP_CONV, .a = a, .in = { &x, &w }, .out = { &y } };
    conv_oracle o = conv_oracle_of(&a, &x, &w, &y, 0);

    if (optional) {
        op.in[2] = &b;
        op.in[3] = &residual;
        o.b = op_doubles(&b);
        o.add = op_doubles(&residual);
    }
    EXPECT(op_run(&op, 1) == VDN_OK);
    conv_oracle_forward(&o);
    EXPECT_NEAR(&y, o.y);
    op_expect_same_for_threads(&op, NULL);
    conv_oracle_free(&o);
    vdni_tensor *const all[] = { &x, &w, &b, &residual, &y };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) op_free(all[i]);
}

static void check_input_gradient(const shape *c, const vdni_dtype type[2], int with_addend)
{
    const vdni_attr a = { .kernel = c->k, .stride = c->s, .dilation = c->d, .pad = c->p };
    const int64_t oh = conv_oracle_extent(c->h, &a), ow = conv_oracle_extent(c->w, &a);
    uint64_t seed = (uint64_t)(c->h * 100 + c->w + 1);
    vdni_tensor g = op_random(c->n, oh, ow, c->co, type[0], &seed);
    vdni_tensor w = rounded(c->co, c->k, c->ci, type[0], &seed);
    vdni_tensor addend = op_random(c->n, c->h, c->w, c->ci, type[1], &seed);
    vdni_tensor dx = op_tensor(c->n, c->h, c->w, c->ci, type[1]);
    vdni_op op = { .kind = VDNI_OP_CONV_DX, .a = a, .in = { &g, &w }, .out = { &dx } };
    conv_oracle o = conv_oracle_of(&a, &addend, &w, &g, 0);

    o.g = op_doubles(&g);
    o.dx = op_zeros(&dx);
    if (with_addend) {
        op.in[2] = &addend;
        o.add = op_doubles(&addend);
    }
    EXPECT(op_run(&op, 1) == VDN_OK);
    conv_oracle_backward(&o);
    EXPECT_NEAR(&dx, o.dx);
    op_expect_same_for_threads(&op, NULL);
    conv_oracle_free(&o);
    vdni_tensor *const all[] = { &g, &w, &addend, &dx };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) op_free(all[i]);
}

/* @p t is @p before plus a sum that was rounded to @p type on its way. */
static void expect_near_sum(const vdni_tensor *t, const double *before, const double *oracle,
                            vdni_dtype type)
{
    const double relative = op_relative(op_stored_as(type));
    double *x = op_doubles(t), largest = 1e-30, worst = 0;
    for (int64_t i = 0; i < vdni_tensor_count(t); i++)
        if (!(fabs(oracle[i]) <= largest)) largest = fabs(oracle[i]);
    for (int64_t i = 0; i < vdni_tensor_count(t); i++) {
        const double scale = relative * fabs(oracle[i] - before[i]) + 1e-5 * largest;
        const double d = fabs(x[i] - oracle[i]) / scale;
        if (!(d <= worst)) worst = d;
    }
    EXPECT_LE(worst, 1);
    free(x);
}

static void check_weight_gradient(const shape *c, vdni_dtype type, int with_bias)
{
    const vdni_attr a = { .kernel = c->k, .stride = c->s, .dilation = c->d, .pad = c->p };
    const int64_t oh = conv_oracle_extent(c->h, &a), ow = conv_oracle_extent(c->w, &a);
    uint64_t seed = (uint64_t)(c->h * 100 + c->w + 2);
    vdni_tensor x = op_random(c->n, c->h, c->w, c->ci, type, &seed);
    vdni_tensor g = op_random(c->n, oh, ow, c->co, type, &seed);
    vdni_tensor dw = op_random(c->co, c->k, c->k, c->ci, VDNI_F32, &seed);
    vdni_tensor db = op_random(1, 1, 1, c->co, VDNI_F32, &seed);
    vdni_tensor before[VDNI_MAX_OUT] = { op_copy(&dw), op_copy(&db) };
    vdni_op op = {
        .kind = VDNI_OP_CONV_DW, .a = a, .in = { &x, &g }, .out = { &dw, with_bias ? &db : NULL }
    };
    conv_oracle o = conv_oracle_of(&a, &x, &dw, &g, 0);

    o.g = op_doubles(&g);
    o.dw = op_doubles(&dw);
    o.db = op_doubles(&db);
    double *dw_before = op_doubles(&dw);
    EXPECT(op_run(&op, 1) == VDN_OK);
    conv_oracle_backward(&o);
    expect_near_sum(&dw, dw_before, o.dw, has_library && x.dtype == VDNI_BF16 ? type : VDNI_F32);
    if (with_bias) EXPECT_NEAR(&db, o.db);
    op_expect_same_for_threads(&op, before);
    free(dw_before);
    conv_oracle_free(&o);
    vdni_tensor *const all[] = { &x, &g, &dw, &db, &before[0], &before[1] };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) op_free(all[i]);
}

static void forward_agrees_with_the_definition(void)
{
    for (int i = 0; i < SHAPES; i++)
        for (int j = 0; j < TYPES; j++)
            for (int optional = 0; optional < 2; optional++)
                check_forward(&shapes[i], types[j], optional);
}

static void input_gradient_agrees_with_the_definition(void)
{
    for (int i = 0; i < SHAPES; i++)
        for (int j = 0; j < TYPES; j++)
            for (int optional = 0; optional < 2; optional++)
                check_input_gradient(&shapes[i], types[j], optional);
}

static void weight_gradient_is_added_and_agrees_with_the_definition(void)
{
    for (int i = 0; i < SHAPES; i++)
        for (int optional = 0; optional < 2; optional++) {
            check_weight_gradient(&shapes[i], VDNI_BF16, optional);
            check_weight_gradient(&shapes[i], VDNI_F32, optional);
        }
}

/* Whether a 3 x 3 convolution of 16 channels is prepared in a library's form. */
static int is_prepared(vdni_device *device, vdn_ctx *ctx)
{
    const vdni_attr a = { .kernel = 3, .stride = 1, .dilation = 1, .pad = 1 };
    vdni_tensor x = { 1, 8, 8, 16, op_stored_as(VDNI_BF16), NULL, NULL }, y = x;
    vdni_tensor w = { 16, 3, 3, 16, VDNI_F32, NULL, NULL };
    vdni_op op = { .kind = VDNI_OP_CONV, .a = a, .in = { &x, &w }, .out = { &y } };
    EXPECT(op_backend()->prepare(ctx, device, &op) == VDN_OK);
    const int is_used = op.prepared != NULL;
    op_backend()->unprepare(ctx, device, &op);
    return is_used;
}

static void a_library_is_used_where_the_device_has_one(void)
{
    vdni_device *device = NULL;
    vdni_device_info info;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    EXPECT(op_backend()->open(&ctx, &device, 0, 1, 0) == VDN_OK);
    if (!device) return;
    op_backend()->describe(device, &info);
    has_library = strstr(info.name, "own kernels only") == NULL;
    printf("  %s\n", info.name);
    EXPECT(is_prepared(device, &ctx) == has_library);
    op_backend()->close(&ctx, device);
    EXPECT(ctx.now_bytes == 0);
}

int main(void)
{
    if (op_backend()->shares_host_memory)
        return test_skip("VERDIFF_TEST_BACKEND names no CUDA library");
    op_flags = 0;
    RUN(a_library_is_used_where_the_device_has_one);
    RUN(forward_agrees_with_the_definition);
    RUN(input_gradient_agrees_with_the_definition);
    RUN(weight_gradient_is_added_and_agrees_with_the_definition);
    return test_result();
}
