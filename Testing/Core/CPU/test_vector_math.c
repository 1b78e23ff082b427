/* Accuracy of CPU/vector_math.h against the C library in double. */
#include "CPU/vector_math.h"
#include "test.h"

/* Bounds are two to four float units: the approximations are good to 1e-8, rounding is the rest. */
static void exp_is_good_to_2e_7_relative(void)
{
    double worst = 0;
    for (double x = -86.9; x < 86.9; x += 0.00317) {
        const double exact = exp((double)(float)x);
        const double e = fabs((double)vdni_exp((float)x) - exact) / exact;
        if (!(e <= worst)) worst = e;
    }
    EXPECT_LE(worst, 2e-7);
    EXPECT(vdni_exp(0) == 1);
    EXPECT(vdni_exp(1000) == vdni_exp(87) && vdni_exp(-1000) == vdni_exp(-87));
    EXPECT(isnan(vdni_exp(NAN)));
}

static void expm1_is_good_to_3e_7_relative_also_near_zero(void)
{
    double worst = 0;
    for (double x = -20; x < 20; x += 0.00117) {
        const double exact = expm1((double)(float)x);
        const double e = fabs((double)vdni_expm1((float)x) - exact) / fabs(exact);
        if (!(e <= worst)) worst = e;
    }
    for (double x = 1e-30; x < 1; x *= 1.7) {
        const double exact = expm1((double)(float)-x);
        const double e = fabs((double)vdni_expm1((float)-x) - exact) / fabs(exact);
        if (!(e <= worst)) worst = e;
    }
    EXPECT_LE(worst, 3e-7);
}

static void sigmoid_is_good_to_3e_7_relative(void)
{
    double worst = 0;
    for (double x = -80; x < 80; x += 0.00217) {
        const double exact = 1 / (1 + exp(-(double)(float)x));
        const double e = fabs((double)vdni_sigmoid((float)x) - exact) / exact;
        if (!(e <= worst)) worst = e;
    }
    EXPECT_LE(worst, 3e-7);
    EXPECT(vdni_sigmoid(0) == 0.5f && vdni_sigmoid(1e9f) == 1 && vdni_sigmoid(-1e9f) <= 1e-37f);
    EXPECT(isnan(vdni_sigmoid(NAN)));
}

static void softplus_is_good_to_4e_7_relative(void)
{
    double worst = 0;
    for (double x = -80; x < 80; x += 0.00217) {
        const double exact = fmax((float)x, 0) + log1p(exp(-fabs((double)(float)x)));
        const double e = fabs((double)vdni_softplus((float)x) - exact) / exact;
        if (!(e <= worst)) worst = e;
    }
    EXPECT_LE(worst, 4e-7);
    EXPECT(isnan(vdni_softplus(NAN)));
}

/* The relative error of exp(-z^2) grows as z^2 units of the argument's rounding. */
static void normal_cdf_is_good_to_2e_7_absolute_and_in_its_tail_relative(void)
{
    double worst = 0, tail = 0;
    for (double x = -12; x < 12; x += 0.00117) {
        const double exact = 0.5 * erfc(-(double)(float)x / sqrt(2.0));
        const double e = fabs((double)vdni_normal_cdf((float)x) - exact);
        if (!(e <= worst)) worst = e;
        const double relative = e / exact / (1 + x * x);
        if (!(relative <= tail)) tail = relative;
    }
    EXPECT_LE(worst, 2e-7);
    EXPECT_LE(tail, 4e-7);
    EXPECT(isnan(vdni_normal_cdf(NAN)));
}

int main(void)
{
    RUN(exp_is_good_to_2e_7_relative);
    RUN(expm1_is_good_to_3e_7_relative_also_near_zero);
    RUN(sigmoid_is_good_to_3e_7_relative);
    RUN(softplus_is_good_to_4e_7_relative);
    RUN(normal_cdf_is_good_to_2e_7_absolute_and_in_its_tail_relative);
    return test_result();
}
