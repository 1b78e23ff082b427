/* Oracle: the definition in double, one output pixel at a time, positions in floating point. */
#include "Tensor/resample.h"

#include "test.h"

/* Weight of input pixel k of n for output pixel i of m. */
static double weight(int64_t i, int64_t m, int64_t k, int64_t n)
{
    const double ratio = (double)n / (double)m;
    if (m < n) {
        const double low = fmax((double)i * ratio, (double)k);
        const double high = fmin((double)(i + 1) * ratio, (double)(k + 1));
        return high > low ? (high - low) / ratio : 0.0;
    }
    double s = ((double)i + 0.5) * ratio - 0.5;
    s = fmin(fmax(s, 0.0), (double)(n - 1));
    return fmax(0.0, 1.0 - fabs(s - (double)k));
}

static double oracle(const float *in, const int64_t size[3], const int64_t out_size[2],
                     const int64_t at[3])
{
    double sum = 0.0;
    for (int64_t y = 0; y < size[0]; y++)
        for (int64_t x = 0; x < size[1]; x++)
            sum += weight(at[0], out_size[0], y, size[0]) * weight(at[1], out_size[1], x, size[1]) *
                   in[(y * size[1] + x) * size[2] + at[2]];
    return sum;
}

static const int64_t cases[][5] = {
    /* h, w, channels, out h, out w */
    { 1, 1, 1, 1, 1 },     { 1, 1, 2, 5, 7 },   { 5, 7, 3, 1, 1 },   { 13, 11, 1, 26, 22 },
    { 13, 11, 2, 17, 5 },  { 16, 8, 1, 8, 4 },  { 31, 29, 1, 7, 3 }, { 9, 10, 1, 9, 10 },
    { 7, 100, 4, 100, 7 }, { 3, 2, 1, 97, 89 }, { 65, 1, 1, 64, 1 }, { 64, 5, 1, 65, 4 },
};

static void equals_the_definition(void)
{
    uint64_t random = 1;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int64_t size[3] = { cases[i][0], cases[i][1], cases[i][2] };
        const int64_t out_size[2] = { cases[i][3], cases[i][4] };
        static float in[4096], out[65536], again[65536];
        for (int64_t k = 0; k < size[0] * size[1] * size[2]; k++)
            in[k] = (float)(100.0 * test_random(&random));
        ctx.threads = 1;
        EXPECT(vdni_resample_plane(&ctx, out, out_size, in, size) == VDN_OK);
        for (int64_t y = 0; y < out_size[0]; y++)
            for (int64_t x = 0; x < out_size[1]; x++)
                for (int64_t c = 0; c < size[2]; c++) {
                    const int64_t at[3] = { y, x, c };
                    const double needed = oracle(in, size, out_size, at);
                    EXPECT_LE(fabs(out[(y * out_size[1] + x) * size[2] + c] - needed), 1e-4);
                }
        ctx.threads = 3;
        EXPECT(vdni_resample_plane(&ctx, again, out_size, in, size) == VDN_OK);
        EXPECT(memcmp(out, again, (size_t)(out_size[0] * out_size[1] * size[2]) * sizeof *out) ==
               0);
        if (size[0] == out_size[0] && size[1] == out_size[1])
            EXPECT(memcmp(out, in, (size_t)(size[0] * size[1] * size[2]) * sizeof *out) == 0);
    }
    EXPECT(ctx.now_bytes == 0);
}

static void keeps_a_constant_to_the_bit(void)
{
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    static float in[51 * 37], out[90 * 90];
    for (int i = 0; i < 51 * 37; i++) in[i] = 0.1f;
    for (int64_t m = 1; m <= 90; m += 7) {
        const int64_t size[3] = { 51, 37, 1 }, out_size[2] = { m, 91 - m };
        EXPECT(vdni_resample_plane(&ctx, out, out_size, in, size) == VDN_OK);
        for (int64_t i = 0; i < m * (91 - m); i++) EXPECT(out[i] == 0.1f);
    }
}

static void keeps_the_mean_when_reducing(void)
{
    uint64_t random = 7;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    static float in[51 * 37], out[51 * 37];
    double mean = 0.0, reduced = 0.0;
    for (int i = 0; i < 51 * 37; i++) mean += (in[i] = (float)test_random(&random)) / (51.0 * 37.0);
    const int64_t size[3] = { 51, 37, 1 }, out_size[2] = { 20, 13 };
    EXPECT(vdni_resample_plane(&ctx, out, out_size, in, size) == VDN_OK);
    for (int i = 0; i < 20 * 13; i++) reduced += out[i] / (20.0 * 13.0);
    EXPECT_LE(fabs(mean - reduced), 1e-6);
}

static void spreads_no_nan_beyond_its_pixels(void)
{
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    float in[6] = { 1, 2, NAN, 4, 5, 6 }, out[6];
    const int64_t size[3] = { 1, 6, 1 }, same[2] = { 1, 6 }, half[2] = { 1, 3 };
    EXPECT(vdni_resample_plane(&ctx, out, same, in, size) == VDN_OK);
    EXPECT(out[1] == 2.0f && isnan(out[2]) && out[3] == 4.0f);
    EXPECT(vdni_resample_plane(&ctx, out, half, in, size) == VDN_OK);
    EXPECT(out[0] == 1.5f && isnan(out[1]) && out[2] == 5.5f);
}

static void refuses_sizes_below_one(void)
{
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    float in[1] = { 0 }, out[1];
    const int64_t size[3] = { 1, 1, 1 }, none[2] = { 0, 1 }, one[2] = { 1, 1 };
    const int64_t negative[3] = { 1, -4, 1 };
    EXPECT(vdni_resample_plane(&ctx, out, none, in, size) == VDN_ERR_ARGUMENT);
    EXPECT(strstr(ctx.error, "0 x 1") != NULL);
    EXPECT(vdni_resample_plane(&ctx, out, one, in, negative) == VDN_ERR_ARGUMENT);
}

static void survives_every_refused_allocation(void)
{
    float in[6] = { 0 }, out[4];
    const int64_t size[3] = { 2, 3, 1 }, out_size[2] = { 2, 2 };
    for (int64_t refuse = 0;; refuse++) {
        vdn_ctx ctx;
        vdni_ctx_init(&ctx);
        ctx.refuse_after = refuse;
        const vdn_status status = vdni_resample_plane(&ctx, out, out_size, in, size);
        EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
        EXPECT(ctx.now_bytes == 0);
        if (status == VDN_OK) {
            EXPECT(refuse == 7);
            break;
        }
    }
}

static void sizes_round_and_never_vanish(void)
{
    EXPECT(vdni_resampled_size(512, 0.5, 1.0) == 256);
    EXPECT(vdni_resampled_size(7, 1.0, 2.0) == 4);
    EXPECT(vdni_resampled_size(1, 0.1, 5.0) == 1);
    EXPECT(vdni_resampled_size(104, 2.5, 0.9765625) == 266);
    EXPECT(vdni_resampled_size(33, 0.0, 1.0) == 33);
    EXPECT(vdni_resampled_size(33, 1.0, 0.0) == 33);
    EXPECT(vdni_resampled_size(33, NAN, 1.0) == 33);
    EXPECT(vdni_resampled_size(INT64_MAX, 1e9, 1e-9) == INT32_MAX);
}

int main(void)
{
    RUN(equals_the_definition);
    RUN(keeps_a_constant_to_the_bit);
    RUN(keeps_the_mean_when_reducing);
    RUN(spreads_no_nan_beyond_its_pixels);
    RUN(refuses_sizes_below_one);
    RUN(survives_every_refused_allocation);
    RUN(sizes_round_and_never_vanish);
    return test_result();
}
