/* The forms that replace the plain sums of 3x3 convolutions unless plain C is asked for, against the
 * definition. Bounds as for the plain sums: the transforms cost less than one more digit. */
#include "conv_oracle.h"

#include "CPU/winograd.h"

typedef struct {
    int64_t n, h, w, ci, co;
    int32_t pad;
} shape;

/* Tiles are 4x4: sizes around multiples of 4; channels around multiples of 16. */
static const shape shapes[] = {
    { 1, 4, 4, 12, 13, 1 },  { 1, 5, 7, 16, 16, 1 },   { 2, 8, 8, 16, 32, 1 },
    { 1, 9, 14, 24, 12, 1 }, { 1, 11, 6, 17, 19, 1 },  { 3, 12, 13, 32, 16, 1 },
    { 1, 8, 9, 16, 16, 0 },  { 1, 7, 6, 15, 16, 2 },   { 1, 37, 53, 12, 16, 1 },
    { 1, 4, 90, 48, 40, 1 }, { 1, 20, 20, 64, 64, 1 }, { 1, 41, 37, 14, 24, 1 },
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static const vdni_dtype types[][2] = {
    { VDNI_F32, VDNI_F32 },
    { VDNI_BF16, VDNI_BF16 },
    { VDNI_BF16, VDNI_F32 },
    { VDNI_F32, VDNI_BF16 },
};
enum { TYPES = sizeof types / sizeof types[0] };

/* One run on a device that may choose its forms, but has no matrix unit whose library would be
 * preferred for bf16. */
static vdn_status run_once(vdni_op *op, int32_t threads)
{
    const vdni_backend *cpu = vdni_cpu_backend();
    vdni_device *device = NULL;
    vdn_ctx ctx;

    vdni_ctx_init(&ctx);
    vdn_status status = cpu->open(&ctx, &device, 0, threads, 0);
    if (status == VDN_OK) {
        device->has_amx = 0;
        status = op_run_poisoned(&ctx, device, op);
    }
    cpu->close(&ctx, device);
    EXPECT(ctx.now_bytes == 0);
    return status;
}

/* Run with 1, 2 and 3 threads: the same bits. */
static void run(vdni_op *op, const vdni_tensor before[2])
{
    vdni_tensor kept[2] = { { 0 } };

    for (int32_t threads = 1; threads <= 3; threads++) {
        for (int i = 0; i < 2; i++)
            if (op->out[i] && before[i].data)
                memcpy(op->out[i]->data, before[i].data, (size_t)vdni_tensor_bytes(&before[i]));
        EXPECT(run_once(op, threads) == VDN_OK);
        for (int i = 0; i < 2; i++) {
            if (!op->out[i]) continue;
            if (threads == 1)
                kept[i] = op_copy(op->out[i]);
            else
                EXPECT(op_same_bits(&kept[i], op->out[i]));
        }
    }
    op_free(&kept[0]);
    op_free(&kept[1]);
}

static const vdni_tensor nothing[2];

/* The claim that this test tests what it says. */
static void expect_fits(const vdni_op *op)
{
    const struct vdni_device device = { .threads = 1 };
    EXPECT(vdni_winograd_fits(&device, op) || vdni_winograd_weights_fit(&device, op));
}

static void check(const shape *c, const vdni_dtype type[2], int optional)
{
    const vdni_attr a = { .kernel = 3, .stride = 1, .dilation = 1, .pad = c->pad };
    const int64_t oh = conv_oracle_extent(c->h, &a), ow = conv_oracle_extent(c->w, &a);
    uint64_t seed = (uint64_t)(c->h * 100 + c->w + c->ci);
    vdni_tensor x = op_random(c->n, c->h, c->w, c->ci, type[0], &seed);
    vdni_tensor w = op_random(c->co, 3, 3, c->ci, VDNI_F32, &seed);
    vdni_tensor b = op_random(1, 1, 1, c->co, VDNI_F32, &seed);
    vdni_tensor g = op_random(c->n, oh, ow, c->co, type[1], &seed);
    vdni_tensor residual = op_random(c->n, oh, ow, c->co, type[0], &seed);
    vdni_tensor addend = op_random(c->n, c->h, c->w, c->ci, type[1], &seed);
    vdni_tensor y = op_tensor(c->n, oh, ow, c->co, type[1]);
    vdni_tensor dx = op_tensor(c->n, c->h, c->w, c->ci, type[0]);
    vdni_tensor dw = op_random(c->co, 3, 3, c->ci, VDNI_F32, &seed);
    vdni_tensor db = op_random(1, 1, 1, c->co, VDNI_F32, &seed);
    const vdni_tensor before[2] = { op_copy(&dw), op_copy(&db) };
    vdni_op forward = { .kind = VDNI_OP_CONV, .a = a, .in = { &x, &w }, .out = { &y } };
    vdni_op input = { .kind = VDNI_OP_CONV_DX, .a = a, .in = { &g, &w }, .out = { &dx } };
    vdni_op weight = { .kind = VDNI_OP_CONV_DW, .a = a, .in = { &x, &g }, .out = { &dw } };
    conv_oracle o = conv_oracle_of(&a, &x, &w, &y, 0);

    o.g = op_doubles(&g);
    o.dx = op_zeros(&dx);
    o.dw = op_doubles(&dw);
    o.db = op_doubles(&db);
    if (optional) {
        forward.in[2] = &b;
        forward.in[3] = &residual;
        input.in[2] = &addend;
        weight.out[1] = &db;
        o.b = op_doubles(&b);
        o.add = op_doubles(&residual);
    }
    expect_fits(&forward);
    expect_fits(&input);
    expect_fits(&weight);
    run(&forward, nothing);
    run(&input, nothing);
    run(&weight, before);

    conv_oracle_forward(&o);
    EXPECT_NEAR(&y, o.y);
    free(o.add);
    o.add = optional ? op_doubles(&addend) : NULL;
    conv_oracle_backward(&o);
    EXPECT_NEAR(&dx, o.dx);
    EXPECT_NEAR(&dw, o.dw);
    if (optional) EXPECT_NEAR(&db, o.db);

    conv_oracle_free(&o);
    vdni_tensor *const all[] = { &x,
                                 &w,
                                 &b,
                                 &g,
                                 &residual,
                                 &addend,
                                 &y,
                                 &dx,
                                 &dw,
                                 &db,
                                 (vdni_tensor *)&before[0],
                                 (vdni_tensor *)&before[1] };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) op_free(all[i]);
}

static void every_direction_agrees_with_the_definition_and_keeps_its_bits_over_threads(void)
{
    for (int i = 0; i < SHAPES; i++)
        for (int j = 0; j < TYPES; j++) check(&shapes[i], types[j], (i + j) % 2);
}

/* Large values beside small ones: the transforms mix 6x6 patches, so the error follows the patch. */
static void the_error_stays_at_the_scale_of_the_patch(void)
{
    const vdni_attr a = { .kernel = 3, .stride = 1, .dilation = 1, .pad = 1 };
    uint64_t seed = 9;
    vdni_tensor x = op_random(1, 16, 16, 64, VDNI_F32, &seed);
    vdni_tensor w = op_random(16, 3, 3, 64, VDNI_F32, &seed),
                y = op_tensor(1, 16, 16, 16, VDNI_F32);
    vdni_op op = { .kind = VDNI_OP_CONV, .a = a, .in = { &x, &w }, .out = { &y } };
    conv_oracle o = conv_oracle_of(&a, &x, &w, &y, 0);
    double rms = 0, error = 0;

    run(&op, nothing);
    conv_oracle_forward(&o);
    double *found = op_doubles(&y);
    for (int64_t i = 0; i < vdni_tensor_count(&y); i++) {
        rms += o.y[i] * o.y[i];
        error += (found[i] - o.y[i]) * (found[i] - o.y[i]);
    }
    EXPECT_LE(sqrt(error / rms), 1.2e-6); /* 8e-7 in winograd.h; 1, 2 as points give 1.7e-6 */
    free(found);
    conv_oracle_free(&o);
    op_free(&x);
    op_free(&w);
    op_free(&y);
}

int main(void)
{
    RUN(every_direction_agrees_with_the_definition_and_keeps_its_bits_over_threads);
    RUN(the_error_stays_at_the_scale_of_the_patch);
    return test_result();
}
