#include "Train/lr.h"

#include "test.h"

static void constant_is_constant(void)
{
    const vdni_lr lr = { .kind = VDNI_LR_CONSTANT, .base = 1e-4 };
    for (int64_t step = 1; step < 10000; step += 777) EXPECT(vdni_lr_at(&lr, step) == 1e-4);
}

static void rises_then_falls_to_the_floor(void)
{
    const vdni_lr lr = { VDNI_LR_COSINE, 5e-4, 1e-6, 200, 9000 };
    EXPECT_LE(fabs(vdni_lr_at(&lr, 1) - 5e-4 / 200), 1e-18);
    EXPECT(vdni_lr_at(&lr, 200) == 5e-4);
    EXPECT_LE(fabs(vdni_lr_at(&lr, 4600) - 0.5 * (5e-4 + 1e-6)), 1e-15); /* half way down */
    EXPECT(vdni_lr_at(&lr, 9000) == 1e-6 && vdni_lr_at(&lr, 9001) == 1e-6);
    for (int64_t step = 2; step <= 9000; step++) {
        const double change = vdni_lr_at(&lr, step) - vdni_lr_at(&lr, step - 1);
        EXPECT(step <= 200 ? change > 0.0 : change < 0.0);
        EXPECT_LE(fabs(change), 2.6e-6);
    }
}

static void poly_falls_and_never_reaches_0(void)
{
    const vdni_lr lr = { .kind = VDNI_LR_POLY, .base = 1e-2, .warmup = 200, .steps = 1000 };
    EXPECT(vdni_lr_at(&lr, 1) == 1e-2);
    EXPECT_LE(fabs(vdni_lr_at(&lr, 501) - 0.005358867312681467), 1e-15); /* 1e-2 * 0.5^0.9 */
    EXPECT_LE(fabs(vdni_lr_at(&lr, 1000) - 1e-2 * pow(1e-3, 0.9)), 1e-15);
    EXPECT(vdni_lr_at(&lr, 5000) == vdni_lr_at(&lr, 1000));
    for (int64_t step = 2; step <= 1000; step++)
        EXPECT(vdni_lr_at(&lr, step) < vdni_lr_at(&lr, step - 1));
    const vdni_lr single = { .kind = VDNI_LR_POLY, .base = 1e-2, .steps = 1 };
    EXPECT(vdni_lr_at(&single, 1) == 1e-2);
}

static void odd_runs_give_finite_rates(void)
{
    const vdni_lr no_warmup = { VDNI_LR_COSINE, 1e-3, 1e-6, 0, 10 };
    EXPECT(vdni_lr_at(&no_warmup, 1) < 1e-3 && vdni_lr_at(&no_warmup, 1) > 9e-4);
    EXPECT(vdni_lr_at(&no_warmup, 10) == 1e-6);
    const vdni_lr only_warmup = { VDNI_LR_COSINE, 1e-3, 1e-6, 200, 50 };
    EXPECT_LE(fabs(vdni_lr_at(&only_warmup, 50) - 2.5e-4), 1e-18);
    const vdni_lr equal = { VDNI_LR_COSINE, 1e-3, 1e-6, 50, 50 };
    EXPECT(vdni_lr_at(&equal, 50) == 1e-3 && vdni_lr_at(&equal, 51) == 1e-6);
}

static void average_warms_up(void)
{
    EXPECT(vdni_ema_decay(0.999, 0) == 0.1);
    EXPECT(vdni_ema_decay(0.999, 90) == 0.91);
    EXPECT(vdni_ema_decay(0.999, 1000000) == 0.999);
    EXPECT(vdni_ema_decay(0.0, 5) == 0.0);
}

static void times_are_uniform_and_stay_in_their_stratum(void)
{
    static int hits[1001];
    const double below_one = 1.0 - 1.0 / 9007199254740992.0;
    for (int64_t j = 0; j < 8; j++)
        for (int64_t i = 0; i < 12500; i++) {
            const int32_t t = vdni_stratified_time(1000, j, 8, (double)i / 12500.0);
            EXPECT(t >= 125 * j + 1 && t <= 125 * (j + 1));
            hits[t]++;
        }
    for (int t = 1; t <= 1000; t++) EXPECT_LE(abs(hits[t] - 100), 1);
    EXPECT(vdni_stratified_time(1000, 0, 1, 0.0) == 1);
    EXPECT(vdni_stratified_time(1000, 0, 1, below_one) == 1000);
    EXPECT(vdni_stratified_time(1000, 6, 7, below_one) == 1000);
    EXPECT(vdni_stratified_time(1, 2, 3, 0.5) == 1);
    EXPECT(vdni_stratified_time(3, 7, 8, below_one) == 3);
}

int main(void)
{
    RUN(constant_is_constant);
    RUN(rises_then_falls_to_the_floor);
    RUN(poly_falls_and_never_reaches_0);
    RUN(odd_runs_give_finite_rates);
    RUN(average_warms_up);
    RUN(times_are_uniform_and_stay_in_their_stratum);
    return test_result();
}
