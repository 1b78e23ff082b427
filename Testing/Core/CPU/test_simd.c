/* The kernels of every instruction set this processor has, against the definition. The other tests
 * see only the best of them. */
#include "conv_oracle.h"

#include "CPU/simd.h"

enum { X_FLOATS = 4096, W_FLOATS = 4096, OUT_FLOATS = 8192 };

static float x[X_FLOATS], w[W_FLOATS], init[OUT_FLOATS], out[OUT_FLOATS];
static const vdni_simd *simd;

static double tile_value(const vdni_tile_job *job, int64_t p, int64_t b, int64_t lane)
{
    double sum = job->init[p * job->init_pixel + b * job->init_block + lane];
    for (int64_t s = 0; s < job->segment_count; s++)
        for (int64_t i = 0; i < job->segments[s].length; i++)
            sum += (double)job->segments[s].x[p * job->pixel_step + i * job->item_step] *
                   job->segments[s].w[b * job->w_block + i * VDNI_LANES + lane];
    return sum;
}

static void check_tile(const vdni_tile_job *job)
{
    memset(out, 0xff, sizeof out);
    simd->tile(job);
    for (int64_t p = 0; p < job->pixels; p++)
        for (int64_t b = 0; b < job->blocks; b++)
            for (int64_t l = 0; l < VDNI_LANES; l++) {
                const double y = tile_value(job, p, b, l);
                EXPECT(fabs(out[p * job->out_pixel + b * job->out_block + l] - y) <= 1e-5);
            }
}

static void tiles_are_sums_of_products(void)
{
    static const int64_t pixels[] = { 1, 5, 6, 8, 10, 11, 16, 20, 23 };
    uint64_t seed = 1;

    for (int i = 0; i < X_FLOATS; i++) x[i] = (float)test_random(&seed);
    for (int i = 0; i < W_FLOATS; i++) w[i] = (float)test_random(&seed);
    for (int i = 0; i < OUT_FLOATS; i++) init[i] = (float)test_random(&seed);
    for (int i = 0; i < 9; i++)
        for (int64_t blocks = 1; blocks <= 3; blocks++)
            for (int64_t item = 1; item <= 3; item += 2) {
                const vdni_tile_segment segments[] = { { x + 3, w, 7 }, { x + 40, w + 512, 4 } };
                const vdni_tile_job job = { .segments = segments,
                                            .segment_count = item == 1 ? 2 : 1,
                                            .pixel_step = item == 1 ? 5 : 1,
                                            .item_step = item,
                                            .w_block = 1024,
                                            .out = out,
                                            .out_pixel = 3 * VDNI_LANES,
                                            .out_block = VDNI_LANES,
                                            .init = init,
                                            .init_pixel = VDNI_LANES,
                                            .init_block = 40 * VDNI_LANES,
                                            .pixels = pixels[i],
                                            .blocks = blocks };
                check_tile(&job);
            }
    const vdni_tile_job empty = {
        .out = out, .out_pixel = VDNI_LANES, .init = init, .pixels = 4, .blocks = 1
    };
    check_tile(&empty);
}

/* One operator on a device with these kernels. */
static void run(vdni_op *op, uint32_t flags)
{
    const vdni_backend *cpu = vdni_cpu_backend();
    vdni_device *device = NULL;
    vdn_ctx ctx;

    vdni_ctx_init(&ctx);
    EXPECT(cpu->open(&ctx, &device, 0, 2, flags) == VDN_OK);
    device->has_amx = 0;
    device->simd = simd;
    EXPECT(op_run_poisoned(&ctx, device, op) == VDN_OK);
    cpu->close(&ctx, device);
}

typedef struct {
    int64_t h, w, ci, co;
    int32_t k, d;
    int depthwise;
    vdni_dtype type;
} shape;

static const shape shapes[] = {
    { 9, 13, 17, 19, 3, 1, 0, VDNI_F32 },  { 9, 13, 32, 20, 3, 1, 0, VDNI_BF16 },
    { 7, 22, 16, 36, 1, 1, 0, VDNI_F32 },  { 8, 9, 3, 8, 5, 1, 0, VDNI_BF16 },
    { 9, 25, 16, 16, 3, 1, 1, VDNI_F32 },  { 11, 14, 20, 20, 5, 1, 1, VDNI_BF16 },
    { 40, 41, 16, 33, 3, 1, 0, VDNI_F32 }, { 23, 30, 35, 35, 7, 3, 1, VDNI_F32 },
    { 12, 12, 8, 8, 4, 1, 1, VDNI_F32 },
};

static void check(const shape *c, uint32_t flags)
{
    const vdni_op_kind first = c->depthwise ? VDNI_OP_DEPTHWISE : VDNI_OP_CONV;
    const vdni_attr a = {
        .kernel = c->k, .stride = 1, .dilation = c->d, .pad = c->d * (c->k - 1) / 2
    };
    const int64_t oh = conv_oracle_extent(c->h, &a), ow = conv_oracle_extent(c->w, &a);
    uint64_t seed = (uint64_t)c->h;
    vdni_tensor in = op_random(2, c->h, c->w, c->ci, c->type, &seed);
    vdni_tensor g = op_random(2, oh, ow, c->co, c->type, &seed);
    vdni_tensor weight = op_random(c->depthwise ? 1 : c->co, c->k, c->k, c->ci, VDNI_F32, &seed);
    vdni_tensor b = op_random(1, 1, 1, c->co, VDNI_F32, &seed);
    vdni_tensor y = op_tensor(2, oh, ow, c->co, c->type);
    vdni_tensor dx = op_tensor(2, c->h, c->w, c->ci, c->type);
    vdni_tensor dw = op_random(weight.n, c->k, c->k, c->ci, VDNI_F32, &seed);
    vdni_tensor db = op_random(1, 1, 1, c->co, VDNI_F32, &seed);
    vdni_op forward = { .kind = first, .a = a, .in = { &in, &weight, &b }, .out = { &y } };
    vdni_op input = { .kind = first + 1, .a = a, .in = { &g, &weight }, .out = { &dx } };
    vdni_op gradient = { .kind = first + 2, .a = a, .in = { &in, &g }, .out = { &dw, &db } };
    conv_oracle o = conv_oracle_of(&a, &in, &weight, &y, c->depthwise);

    o.b = op_doubles(&b);
    o.g = op_doubles(&g);
    o.dx = op_zeros(&dx);
    o.dw = op_doubles(&dw);
    o.db = op_doubles(&db);
    run(&forward, flags);
    run(&input, flags);
    run(&gradient, flags);
    conv_oracle_forward(&o);
    conv_oracle_backward(&o);
    EXPECT_NEAR(&y, o.y);
    EXPECT_NEAR(&dx, o.dx);
    EXPECT_NEAR(&dw, o.dw);
    EXPECT_NEAR(&db, o.db);
    conv_oracle_free(&o);
    vdni_tensor *const all[] = { &in, &g, &weight, &b, &y, &dx, &dw, &db };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) op_free(all[i]);
}

static void convolutions_agree_with_the_definition(void)
{
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        check(&shapes[i], 0);
        check(&shapes[i], VDNI_PREPARE_PLAIN);
    }
}

/* NaN, infinities, ties and subnormals round as one by one. */
static void bf16_is_rounded_as_elsewhere(void)
{
    const float values[] = { NAN,     INFINITY, -INFINITY, 1.00390625f, 1.01171875f, 3.4e38f,
                             -0.0f,   1e-40f,   1.5f,      -2.7f,       0.1f,        1e30f,
                             65535.f, -NAN,     7.f,       1e-3f };
    vdni_tensor in = op_tensor(1, 4, 4, 16, VDNI_F32), y = op_tensor(1, 4, 4, 16, VDNI_BF16);
    vdni_tensor weight = op_tensor(16, 3, 3, 16, VDNI_F32), b = op_tensor(1, 1, 1, 16, VDNI_F32);
    vdni_op op = { .kind = VDNI_OP_CONV,
                   .a = { .kernel = 3, .stride = 1, .dilation = 1, .pad = 1 },
                   .in = { &in, &weight, &b },
                   .out = { &y } };

    op_fill(&in, 0);
    op_fill(&weight, 0);
    memcpy(b.data, values, sizeof values);
    run(&op, 0);
    for (int i = 0; i < 16; i++)
        EXPECT(((vdni_bf16 *)y.data)[i] == vdni_f32_to_bf16(values[i] + 0.0f));
    op_free(&in);
    op_free(&y);
    op_free(&weight);
    op_free(&b);
}

int main(void)
{
    EXPECT(vdni_simd_get(0) != NULL && vdni_simd_get(-1) == NULL && vdni_simd_get(9) == NULL);
    for (int i = 0; (simd = vdni_simd_get(i)) != NULL; i++) {
        printf("%s\n", simd->name);
        RUN(tiles_are_sums_of_products);
        RUN(convolutions_agree_with_the_definition);
        RUN(bf16_is_rounded_as_elsewhere);
    }
    return test_result();
}
