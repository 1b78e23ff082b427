#include "Diffusion/ensemble.h"

#include "test.h"

enum { PIXELS = 211, SAMPLES = 5, MAX_K = 4 };

static vdn_ctx ctx;

static float sample[SAMPLES][PIXELS * MAX_K];

/* Probabilities that sum to 1 over the channels; pixels 0 and 1 are certain, the first in agreement. */
static void draw(int k, uint64_t *seed)
{
    for (int n = 0; n < SAMPLES; n++)
        for (int i = 0; i < PIXELS; i++) {
            float *p = sample[n] + i * k;
            double sum = 0;
            for (int c = 0; c < k; c++) sum += p[c] = (float)(0.5 + 0.5 * test_random(seed));
            for (int c = 0; c < k && k > 1; c++) p[c] /= (float)sum;
            if (i > 1) continue;
            for (int c = 0; c < k; c++) p[c] = c == (i == 1 ? n % k : 0);
            if (k == 1 && i == 1) p[0] = (float)(n % 2);
        }
}

static double entropy(const double *p, int k)
{
    double sum = 0;
    if (k == 1) {
        const double two[2] = { p[0], 1 - p[0] };
        return entropy(two, 2);
    }
    for (int c = 0; c < k; c++) sum -= p[c] > 0 ? p[c] * log(p[c]) : 0;
    return sum;
}

static void check_maps(const vdni_ensemble_maps *maps, int k, int samples)
{
    for (int i = 0; i < PIXELS; i++) {
        double mean[MAX_K] = { 0 }, expected = 0;
        for (int n = 0; n < samples; n++) {
            double p[MAX_K];
            for (int c = 0; c < k; c++) mean[c] += (p[c] = sample[n][i * k + c]) / samples;
            expected += entropy(p, k) / samples;
        }
        for (int c = 0; c < k; c++) {
            double variance = 0;
            for (int n = 0; n < samples; n++)
                variance += pow(sample[n][i * k + c] - mean[c], 2) / samples;
            EXPECT_LE(fabs(maps->mean[i * k + c] - mean[c]), 2e-7);
            EXPECT_LE(fabs(maps->variance[i * k + c] - variance), 5e-7); /* float sums of squares */
        }
        EXPECT_LE(fabs(maps->entropy[i] - entropy(mean, k)), 2e-6);
        EXPECT_LE(fabs(maps->expected[i] - expected), 1e-6);
        EXPECT_LE(fabs(maps->information[i] - (entropy(mean, k) - expected)), 3e-6);
        EXPECT(maps->information[i] >= 0 && maps->variance[i * k] >= 0);
    }
    EXPECT(maps->information[0] == 0 && maps->entropy[0] == 0);
    if (samples > 1) EXPECT(maps->information[1] > 0.3f && maps->expected[1] == 0);
}

static void maps_follow_their_formulas(void)
{
    static float mean[PIXELS * MAX_K], variance[PIXELS * MAX_K], maps[3][PIXELS];
    const vdni_ensemble_maps out = { mean, variance, maps[0], maps[1], maps[2] };
    uint64_t seed = 1;
    for (int k = 1; k <= MAX_K; k++) {
        vdni_ensemble e;
        draw(k, &seed);
        EXPECT(vdni_ensemble_create(&ctx, &e, PIXELS, k) == VDN_OK);
        for (int samples = 1; samples <= SAMPLES; samples++) {
            vdni_ensemble_add(&e, sample[samples - 1]); /* extended sample by sample */
            vdni_ensemble_get(&out, &e);
            check_maps(&out, k, samples);
        }
        vdni_ensemble_clear(&e);
        vdni_ensemble_add(&e, sample[0]);
        vdni_ensemble_get(&out, &e);
        check_maps(&out, k, 1);
        vdni_ensemble_free(&ctx, &e);
    }
    EXPECT(ctx.now_bytes == 0);
}

static void each_map_may_be_left_out(void)
{
    uint64_t seed = 2;
    vdni_ensemble e;
    static float information[PIXELS];
    const vdni_ensemble_maps out = { .information = information };
    draw(1, &seed);
    EXPECT(vdni_ensemble_create(&ctx, &e, PIXELS, 1) == VDN_OK);
    for (int n = 0; n < SAMPLES; n++) vdni_ensemble_add(&e, sample[n]);
    vdni_ensemble_get(&out, &e);
    EXPECT(information[0] == 0 && information[1] > 0);
    vdni_ensemble_free(&ctx, &e);
}

static void every_refused_allocation_is_survived(void)
{
    for (int64_t refusals = 0;; refusals++) {
        vdni_ensemble e;
        vdni_ctx_init(&ctx);
        ctx.refuse_after = refusals;
        const vdn_status status = vdni_ensemble_create(&ctx, &e, 3, 2);
        EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
        if (status == VDN_OK) vdni_ensemble_free(&ctx, &e);
        EXPECT(ctx.now_bytes == 0);
        if (status == VDN_OK) {
            EXPECT(refusals == 3);
            break;
        }
    }
    vdni_ctx_init(&ctx);
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(maps_follow_their_formulas);
    RUN(each_map_may_be_left_out);
    RUN(every_refused_allocation_is_survived);
    return test_result();
}
