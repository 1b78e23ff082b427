/* Oracle: sort, interpolate and sum in double. */
#include "Tensor/normalize.h"

#include "test.h"

enum { MAX = 4096 };

static int by_value(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double sorted_percentile(const float *values, int64_t count, int64_t stride, double percent)
{
    static float sorted[MAX];
    for (int64_t i = 0; i < count; i++) sorted[i] = values[i * stride];
    qsort(sorted, (size_t)count, sizeof *sorted, by_value);
    const double position = percent / 100.0 * (double)(count - 1);
    const int64_t low = (int64_t)floor(position), high = low + 1 < count ? low + 1 : low;
    return sorted[low] + (position - (double)low) * ((double)sorted[high] - sorted[low]);
}

/* A value of one of several kinds: continuous, few levels, huge range, mostly equal. */
static float sample(uint64_t *random, int kind)
{
    const double u = test_random(random);
    switch (kind) {
    case 0:
        return (float)(1000.0 * u);
    case 1:
        return (float)floor(4.0 * u);
    case 2:
        return (float)(u * pow(10.0, 30.0 * test_random(random)));
    case 3:
        return u > 0.98 ? (float)u : -0.0f;
    default:
        return 7.25f;
    }
}

static void percentiles_equal_those_of_sorted_values(void)
{
    static const int64_t counts[] = { 1, 2, 3, 10, 201, 1000, 2048 };
    static const double percents[] = { 0.0, 0.5, 37.3, 50.0, 99.5, 100.0 };
    uint64_t random = 3;
    static float values[MAX];
    for (int kind = 0; kind < 5; kind++)
        for (size_t n = 0; n < 7; n++)
            for (int64_t stride = 1; stride <= 2; stride++) {
                for (int64_t i = 0; i < counts[n] * stride; i++) values[i] = sample(&random, kind);
                for (size_t p = 0; p < 6; p++) {
                    const double needed = sorted_percentile(values, counts[n], stride, percents[p]);
                    const double found = vdni_percentile(values, counts[n], stride, percents[p]);
                    EXPECT_LE(fabs(found - needed), 1e-12 * fabs(needed));
                }
            }
}

static void mr_is_clipped_and_z_scored_per_channel(void)
{
    uint64_t random = 5;
    const int64_t size[3] = { 23, 31, 2 }, count = 23 * 31;
    static float in[23 * 31 * 2], out[23 * 31 * 2];
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    for (int64_t i = 0; i < 2 * count; i++)
        in[i] = (float)(i % 2 ? 5000.0 + 300.0 * test_random(&random) : test_random(&random));
    in[10] = 1e6f; /* an outlier that the clip has to take */
    EXPECT(vdni_normalize_slice(&ctx, out, in, size, VDN_MODALITY_XRAY, 0) == VDN_OK);
    for (int64_t c = 0; c < 2; c++) {
        const double low = sorted_percentile(in + c, count, 2, 0.5);
        const double high = sorted_percentile(in + c, count, 2, 99.5);
        double mean = 0.0, squares = 0.0;
        for (int64_t i = 0; i < count; i++)
            mean += fmin(fmax(in[2 * i + c], low), high) / (double)count;
        for (int64_t i = 0; i < count; i++)
            squares += pow(fmin(fmax(in[2 * i + c], low), high) - mean, 2.0);
        const double sd = sqrt(squares / (double)count);
        for (int64_t i = 0; i < count; i++) {
            const double needed = (fmin(fmax(in[2 * i + c], low), high) - mean) / sd;
            EXPECT_LE(fabs(out[2 * i + c] - needed), 1e-4);
        }
    }
    EXPECT(vdni_normalize_slice(&ctx, in, in, size, VDN_MODALITY_MR, 0) == VDN_OK);
    EXPECT(memcmp(in, out, sizeof in) == 0); /* in place, and MR as X-ray */
}

static void ct_has_a_fixed_window(void)
{
    const float in[6] = { -1024.0f, -200.0f, 50.0f, 215.0f, 1000.0f, 3071.0f };
    const double needed[6] = { -250.0 / 165.0, -250.0 / 165.0, 0.0, 1.0,
                               950.0 / 165.0,  950.0 / 165.0 };
    const int64_t size[3] = { 2, 3, 1 };
    float out[6];
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    EXPECT(vdni_normalize_slice(&ctx, out, in, size, VDN_MODALITY_CT, 0) == VDN_OK);
    for (int i = 0; i < 6; i++) EXPECT_LE(fabs(out[i] - needed[i]), 1e-6);
    EXPECT(vdni_normalize_slice(&ctx, out, in, size, (vdn_modality)9, 0) == VDN_ERR_ARGUMENT);
}

static void a_constant_slice_becomes_zero(void)
{
    const int64_t size[3] = { 5, 5, 1 };
    float in[25], out[25];
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    for (int i = 0; i < 25; i++) in[i] = 0.1f;
    EXPECT(vdni_normalize_slice(&ctx, out, in, size, VDN_MODALITY_MR, 0) == VDN_OK);
    for (int i = 0; i < 25; i++) EXPECT(out[i] == 0.0f);
    const int64_t one[3] = { 1, 1, 1 };
    EXPECT(vdni_normalize_slice(&ctx, out, in, one, VDN_MODALITY_MR, 0) == VDN_OK);
    EXPECT(out[0] == 0.0f);
}

static void names_the_first_pixel_that_is_no_number(void)
{
    const float bad[3] = { NAN, INFINITY, -INFINITY };
    const int64_t size[3] = { 4, 5, 2 };
    for (int kind = 0; kind < 3; kind++)
        for (int modality = 0; modality < 3; modality++) {
            float in[40] = { 0 }, out[40];
            vdn_ctx ctx;
            vdni_ctx_init(&ctx);
            for (int i = 0; i < 40; i++) out[i] = 42.0f;
            in[(2 * 5 + 3) * 2 + 1] = bad[kind];
            in[39] = bad[kind];
            EXPECT(vdni_normalize_slice(&ctx, out, in, size, (vdn_modality)modality, 17) ==
                   VDN_ERR_NUMERIC);
            EXPECT(strstr(ctx.error, "slice 17") != NULL);
            EXPECT(strstr(ctx.error, "row 2, column 3, channel 1") != NULL);
            EXPECT(strstr(ctx.error, kind == 0 ? "NaN" : "infinite") != NULL);
            for (int i = 0; i < 40; i++) EXPECT(out[i] == 42.0f);
        }
}

static void huge_values_stay_finite(void)
{
    const int64_t size[3] = { 1, 4, 1 };
    const float in[4] = { -3e38f, 3e38f, 1e-42f, 0.0f };
    float out[4];
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    EXPECT(vdni_normalize_slice(&ctx, out, in, size, VDN_MODALITY_MR, 0) == VDN_OK);
    for (int i = 0; i < 4; i++) EXPECT_LE(fabs(out[i]), 2.0);
}

int main(void)
{
    RUN(percentiles_equal_those_of_sorted_values);
    RUN(mr_is_clipped_and_z_scored_per_channel);
    RUN(ct_has_a_fixed_window);
    RUN(a_constant_slice_becomes_zero);
    RUN(names_the_first_pixel_that_is_no_number);
    RUN(huge_values_stay_finite);
    return test_result();
}
