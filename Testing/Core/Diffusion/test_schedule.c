#include "Base/memory.h"
#include "Diffusion/schedule.h"
#include "test.h"

static vdn_ctx ctx;

typedef struct {
    int64_t t;
    double beta, abar, gamma0, gamma1, gamma2, variance;
} golden_row;

/* Computed with another program and printed to eleven digits. */
static const golden_row linear_rows[9] = {
    { 1, 1.0000000000e-04, 9.9990000000e-01, 1.0000000000e+00, 0.0000000000e+00, 0.0000000000e+00,
      0.0000000000e+00 },
    { 2, 1.1991991992e-04, 9.9978009207e-01, 5.4529149951e-01, 4.5470849899e-01, 1.4991638437e-09,
      5.4531876613e-05 },
    { 10, 2.7927927928e-04, 9.9810520479e-01, 1.4727371743e-01, 8.5272622610e-01, 5.6466781572e-08,
      2.3818202782e-04 },
    { 100, 2.0720720721e-03, 8.9701814567e-01, 1.9076345317e-02, 9.8089602132e-01, 2.7633366231e-05,
      2.0345962595e-03 },
    { 250, 5.0600600601e-03, 5.2408537383e-01, 7.7166571823e-03, 9.9188038451e-01, 4.0295831247e-04,
      5.0317208679e-03 },
    { 500, 1.0040040040e-02, 7.8587242882e-02, 3.0700711143e-03, 9.9410667021e-01, 2.8232586756e-03,
      1.0031355415e-02 },
    { 750, 1.5020020020e-02, 3.3505504389e-03, 8.7896677427e-04, 9.9241069801e-01, 6.7103352129e-03,
      1.5019250026e-02 },
    { 999, 1.9980080080e-02, 4.1181936381e-05, 1.2952423623e-04, 9.8995872349e-01, 9.9117522727e-03,
      1.9980063304e-02 },
    { 1000, 2.0000000000e-02, 4.0358297654e-05, 1.2835148717e-04, 9.8994867827e-01,
      9.9229702453e-03, 1.9999983527e-02 },
};
static const golden_row cosine_rows[9] = {
    { 1, 4.1284224822e-05, 9.9995871578e-01, 1.0000000000e+00, 0.0000000000e+00, 0.0000000000e+00,
      0.0000000000e+00 },
    { 2, 4.6141752737e-05, 9.9991257593e-01, 5.2778140933e-01, 4.7221859043e-01, 2.3812622083e-10,
      2.1789496146e-05 },
    { 10, 8.5011179342e-05, 9.9936871840e-01, 1.3462764458e-01, 8.6537234962e-01, 5.8072132470e-09,
      7.3569451190e-05 },
    { 100, 5.2690480886e-04, 9.7209273711e-01, 1.8620151663e-02, 9.8137801840e-01, 1.8299321787e-06,
      5.1722908040e-04 },
    { 250, 1.3214966366e-03, 8.4701216133e-01, 7.9550172372e-03, 9.9201777126e-01, 2.7211504883e-05,
      1.3118152144e-03 },
    { 500, 3.1458862305e-03, 4.9384359044e-01, 4.3745882261e-03, 9.9535161947e-01, 2.7379230168e-04,
      3.1361999041e-03 },
    { 750, 7.5457077420e-03, 1.4427210239e-01, 3.3620193808e-03, 9.9494300048e-01, 1.6949801403e-03,
      7.5360353004e-03 },
    { 999, 7.4999939290e-01, 2.4287669070e-06, 2.3376761898e-03, 4.9999696395e-01, 4.9766535986e-01,
      7.4999392818e-01 },
    { 1000, 9.9900000000e-01, 2.4287669070e-09, 1.5568917155e-03, 3.1622699874e-02,
      9.6682040841e-01, 9.9899757609e-01 },
};

static int near(double found, double printed)
{
    return fabs(found - printed) <= 6e-11 * fabs(printed);
}

static void expect_golden(vdni_schedule_kind kind, const golden_row *row)
{
    vdni_schedule *s = NULL;
    EXPECT(vdni_schedule_create(&ctx, &s, kind, 1000) == VDN_OK);
    for (int i = 0; s && i < 9; i++, row++) {
        EXPECT_LE(fabs(1.0 - s->alpha[row->t] - row->beta), 6e-11 * row->beta);
        EXPECT(near(s->abar[row->t], row->abar));
        EXPECT(near(s->gamma0[row->t], row->gamma0));
        EXPECT(near(s->gamma1[row->t], row->gamma1));
        EXPECT(near(s->gamma2[row->t], row->gamma2));
        EXPECT(near(s->sigma[row->t] * s->sigma[row->t], row->variance));
    }
    vdni_schedule_free(&ctx, s);
}

static void schedules_agree_with_the_printed_tables(void)
{
    expect_golden(VDNI_SCHEDULE_LINEAR, linear_rows);
    expect_golden(VDNI_SCHEDULE_COSINE, cosine_rows);
}

static void the_posterior_weights_sum_to_one(void)
{
    for (int kind = 0; kind <= 1; kind++) {
        for (int64_t T = 21; T <= 4000; T = 2 * T + 3) {
            vdni_schedule *s = NULL;
            EXPECT(vdni_schedule_create(&ctx, &s, (vdni_schedule_kind)kind, T) == VDN_OK);
            EXPECT(s->alpha[0] == 1 && s->abar[0] == 1);
            for (int64_t t = 1; t <= T; t++) {
                EXPECT_LE(fabs(s->gamma0[t] + s->gamma1[t] + s->gamma2[t] - 1), 1e-11);
                EXPECT(s->alpha[t] > 0 && s->alpha[t] < 1);
                EXPECT(s->abar[t] > 0 && s->abar[t] < s->abar[t - 1]);
            }
            vdni_schedule_free(&ctx, s);
        }
    }
}

/* Gaussian conditioning by brute force: x_{t-1} | x_0, then x_t | x_{t-1}, Bayes with precisions. */
static void the_posterior_is_that_of_bayes(void)
{
    vdni_schedule *s = NULL;
    EXPECT(vdni_schedule_create(&ctx, &s, VDNI_SCHEDULE_LINEAR, 1000) == VDN_OK);
    const double x0 = 0.8, x = 0.3, f = -0.2;
    for (int64_t t = 2; t <= 1000; t++) {
        const double root = sqrt(s->alpha[t]), before = sqrt(s->abar[t - 1]);
        const double prior_mean = before * x0 + (1 - before) * f;
        const double prior_precision = 1 / (1 - s->abar[t - 1]);
        /* x = root x' + (1 - root) f + noise of variance 1 - alpha */
        const double data_precision = s->alpha[t] / (1 - s->alpha[t]);
        const double data_mean = (x - (1 - root) * f) / root;
        const double precision = prior_precision + data_precision;
        const double mean = (prior_precision * prior_mean + data_precision * data_mean) / precision;
        const double found = s->gamma0[t] * x0 + s->gamma1[t] * x + s->gamma2[t] * f;
        EXPECT_LE(fabs(found - mean), 1e-11);
        EXPECT_LE(fabs(s->sigma[t] * s->sigma[t] * precision - 1), 1e-9);
    }
    vdni_schedule_free(&ctx, s);
}

static void impossible_schedules_are_refused(void)
{
    static const struct {
        int kind;
        int64_t T;
    } bad[] = { { 0, 0 },   { 0, -5 },     { 0, 20 },       { 1, 0 },
                { 2, 100 }, { 0, 100001 }, { 1, INT64_MAX } };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        vdni_schedule *s = NULL;
        vdni_clear_error(&ctx);
        EXPECT(vdni_schedule_create(&ctx, &s, (vdni_schedule_kind)bad[i].kind, bad[i].T) ==
               VDN_ERR_ARGUMENT);
        EXPECT(s == NULL && ctx.error[0]);
    }
    vdni_clear_error(&ctx);
}

static void every_refused_allocation_is_survived(void)
{
    for (int64_t refusals = 0;; refusals++) {
        vdni_schedule *s = NULL;
        vdni_ctx_init(&ctx);
        ctx.refuse_after = refusals;
        const vdn_status status = vdni_schedule_create(&ctx, &s, VDNI_SCHEDULE_COSINE, 5);
        EXPECT((status == VDN_OK) == (s != NULL));
        EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
        vdni_schedule_free(&ctx, s);
        EXPECT(ctx.now_bytes == 0);
        if (status == VDN_OK) {
            EXPECT(refusals == 2);
            break;
        }
    }
    vdni_ctx_init(&ctx);
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(schedules_agree_with_the_printed_tables);
    RUN(the_posterior_weights_sum_to_one);
    RUN(the_posterior_is_that_of_bayes);
    RUN(impossible_schedules_are_refused);
    RUN(every_refused_allocation_is_survived);
    return test_result();
}
