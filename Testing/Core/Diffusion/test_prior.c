#include "Diffusion/prior.h"

#include "net_test.h"

enum { PIXELS = 5000 };

static float p[3 * PIXELS], code[3 * PIXELS], skip[3 * PIXELS], foreground[PIXELS];

static vdni_config config_of(int32_t k)
{
    return (vdni_config){ .mask_channels = k, .signal_scale = 0.3 };
}

/* Probabilities of every size, exact ends among them. */
static void fill(int32_t k)
{
    uint64_t seed = 5;
    for (int i = 0; i < PIXELS; i++) {
        double sum = 0.0;
        for (int c = 0; c < k; c++) sum += p[i * k + c] = (float)fabs(test_random(&seed));
        for (int c = 0; c < k && k > 1; c++) p[i * k + c] /= (float)sum;
    }
    p[0] = 0.0f;
    p[k] = 1.0f;
}

static void what_the_diffusion_net_is_given_follows_from_the_prior(void)
{
    const vdni_prior_planes out = { code, skip, foreground };
    for (int i = 0; i < 12; i++) {
        const int32_t k = i % 2 ? 3 : 1;
        vdni_config c = config_of(k);
        c.prior_hard = i / 2 % 2;
        if (i / 4 == 1) c.param = VDNI_PARAM_LITERAL;
        if (i / 4 == 2) c.process = VDNI_PROCESS_BERNOULLI;
        fill(k);
        vdni_prior_inputs(&out, p, PIXELS, &c, 1 + i % 2);
        for (int n = 0; n < PIXELS; n++) {
            int top = 0;
            for (int j = 1; j < k; j++)
                if (p[n * k + j] > p[n * k + top]) top = j;
            for (int j = 0; j < k; j++) {
                double q = p[n * k + j];
                if (c.prior_hard) q = k == 1 ? q > 0.5 : j == top;
                const double logit = k == 1 ? log(q) - log1p(-q) : log(q);
                EXPECT_LE(fabs(code[n * k + j] - (i / 4 ? q : 0.3 * (2 * q - 1))), 1e-7);
                EXPECT_LE(fabs(skip[n * k + j] - fmax(-4, fmin(4, logit))), 1e-6);
                if (j == 0) EXPECT_LE(fabs(foreground[n] - (k == 1 ? q : 1 - q)), 1e-6);
            }
        }
    }
}

/* A sum of weights may miss 1 or 0 by a unit of rounding; the logarithm must not. */
static void rounding_beyond_the_ends_gives_the_ends(void)
{
    const vdni_prior_planes out = { code, skip, foreground };
    const vdni_config c = config_of(1);
    const float ends[4] = { nextafterf(1.0f, 2.0f), 1.0f + 1e-6f, nextafterf(0.0f, -1.0f), -1e-7f };
    vdni_prior_inputs(&out, ends, 4, &c, 1);
    for (int i = 0; i < 4; i++) {
        EXPECT(skip[i] == (i < 2 ? 4.0f : -4.0f));
        EXPECT_LE(fabs(code[i] - (i < 2 ? 0.3 : -0.3)), 1e-6);
    }
}

static void logits_become_probabilities(void)
{
    for (int32_t k = 1; k <= 3; k += 2) {
        fill(k);
        for (int i = 0; i < PIXELS * k; i++) code[i] = p[i] = 20.0f * p[i] - 10.0f;
        vdni_logits_to_probabilities(p, PIXELS, k, 2);
        for (int i = 0; i < PIXELS; i++) {
            double sum = 0.0;
            for (int c = 0; c < k; c++) sum += exp((double)code[i * k + c]);
            for (int c = 0; c < k; c++) {
                const double e = exp((double)code[i * k + c]);
                EXPECT_LE(fabs(p[i * k + c] - (k == 1 ? e / (1 + e) : e / sum)), 1e-6);
            }
        }
    }
}

/* rho (2 p - 1) back to p; what lies outside is cut; classes sum to 1. */
static void codes_become_probabilities(void)
{
    const vdni_config one = config_of(1), three = config_of(3);
    vdni_config flips = config_of(1);
    float a[4] = { -0.3f, 0.15f, 0.6f, -9.0f }, b[6] = { 0.3f, 0.0f, 0.0f, -0.4f, -0.3f, -0.5f };
    float c[2] = { 0.25f, 1.5f };
    flips.process = VDNI_PROCESS_BERNOULLI;
    vdni_codes_to_probabilities(a, 4, &one);
    EXPECT(a[0] == 0.0f && a[2] == 1.0f && a[3] == 0.0f);
    EXPECT_LE(fabs(a[1] - 0.75), 1e-6);
    vdni_codes_to_probabilities(b, 2, &three);
    EXPECT_LE(fabs(b[0] - 0.5), 1e-6);
    EXPECT_LE(fabs(b[1] - 0.25), 1e-6);
    for (int i = 3; i < 6; i++) EXPECT_LE(fabs(b[i] - 1.0 / 3.0), 1e-6); /* none is above 0 */
    vdni_codes_to_probabilities(c, 2, &flips);
    EXPECT(c[0] == 0.25f && c[1] == 1.0f);
}

int main(void)
{
    RUN(what_the_diffusion_net_is_given_follows_from_the_prior);
    RUN(rounding_beyond_the_ends_gives_the_ends);
    RUN(logits_become_probabilities);
    RUN(codes_become_probabilities);
    return test_result();
}
