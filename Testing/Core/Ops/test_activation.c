#include "op_test.h"

static const vdni_activation all[] = { VDNI_ACT_NONE,     VDNI_ACT_RELU, VDNI_ACT_LEAKY_RELU,
                                       VDNI_ACT_ELU,      VDNI_ACT_SILU, VDNI_ACT_SIGMOID,
                                       VDNI_ACT_SOFTPLUS, VDNI_ACT_GELU };
enum { ACTS = sizeof all / sizeof all[0] };

/* One prime, one above the 1024 floats of a block, one with more channels than that. */
static const int64_t shapes[][4] = {
    { 1, 1, 1, 1 }, { 2, 7, 5, 3 }, { 1, 37, 53, 8 }, { 3, 1, 2, 1031 }
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static double oracle(vdni_activation act, double x)
{
    switch (act) {
    case VDNI_ACT_NONE:
        return x;
    case VDNI_ACT_RELU:
        return fmax(x, 0);
    case VDNI_ACT_LEAKY_RELU:
        return fmax(x, 0) + 0.01 * fmin(x, 0);
    case VDNI_ACT_ELU:
        return fmax(x, 0) + expm1(fmin(x, 0));
    case VDNI_ACT_SILU:
        return x * 0.5 * (1 + tanh(x / 2));
    case VDNI_ACT_SIGMOID:
        return 0.5 * (1 + tanh(x / 2));
    case VDNI_ACT_SOFTPLUS:
        return log1p(exp(x));
    default:
        return x * 0.5 * (1 + erf(x / sqrt(2.0)));
    }
}

static void one_forward(vdni_activation act, const int64_t *s, vdni_dtype from, vdni_dtype to)
{
    uint64_t seed = 7;
    vdni_tensor x = op_random(s[0], s[1], s[2], s[3], from, &seed);
    vdni_tensor y = op_tensor(s[0], s[1], s[2], s[3], to);
    op_randomize(&x, &seed, 6, 0);
    vdni_op op = { .kind = VDNI_OP_ACTIVATION, .a.act = act, .in = { &x }, .out = { &y } };
    EXPECT(op_run(&op, 1) == VDN_OK);
    double *expected = op_doubles(&x);
    for (int64_t i = 0; i < vdni_tensor_count(&x); i++) expected[i] = oracle(act, expected[i]);
    EXPECT_NEAR(&y, expected);
    op_expect_same_for_threads(&op, NULL);
    if (from == to) {
        op.out[0] = &x;
        EXPECT(op_run(&op, 2) == VDN_OK);
        EXPECT(op_same_bits(&x, &y));
    }
    free(expected);
    op_free(&x);
    op_free(&y);
}

static void forward_is_the_function_in_both_types_and_in_place(void)
{
    for (int a = 0; a < ACTS; a++)
        for (int s = 0; s < SHAPES; s++)
            for (int type = 0; type < 4; type++)
                one_forward(all[a], shapes[s], type & 1 ? VDNI_BF16 : VDNI_F32,
                            type & 2 ? VDNI_BF16 : VDNI_F32);
}

static void one_backward(vdni_activation act, const int64_t *s, vdni_dtype dtype, int with_addend)
{
    uint64_t seed = 11;
    vdni_tensor g = op_random(s[0], s[1], s[2], s[3], dtype, &seed);
    vdni_tensor x = op_random(s[0], s[1], s[2], s[3], dtype, &seed);
    vdni_tensor addend = op_random(s[0], s[1], s[2], s[3], dtype, &seed);
    vdni_tensor dx = op_tensor(s[0], s[1], s[2], s[3], dtype);
    op_randomize(&x, &seed, 5, 0.001);
    vdni_op op = { .kind = VDNI_OP_ACTIVATION_BACKWARD,
                   .a.act = act,
                   .in = { &g, &x, with_addend ? &addend : NULL },
                   .out = { &dx } };
    EXPECT(op_run(&op, 1) == VDN_OK);
    double *expected = op_doubles(&g), *at = op_doubles(&x), *add = op_doubles(&addend);
    for (int64_t i = 0; i < vdni_tensor_count(&x); i++) {
        const double slope = (oracle(act, at[i] + 1e-5) - oracle(act, at[i] - 1e-5)) / 2e-5;
        expected[i] = expected[i] * slope + (with_addend ? add[i] : 0);
    }
    EXPECT_NEAR(&dx, expected);
    op_expect_same_for_threads(&op, NULL);
    free(expected);
    free(at);
    free(add);
    op_free(&g);
    op_free(&x);
    op_free(&addend);
    op_free(&dx);
}

static void backward_is_the_slope_times_g_plus_addend(void)
{
    for (int a = 0; a < ACTS; a++)
        for (int s = 0; s < SHAPES; s++)
            for (int type = 0; type < 4; type++)
                one_backward(all[a], shapes[s], type & 1 ? VDNI_BF16 : VDNI_F32, type & 2);
}

static void nan_stays_nan_and_zero_takes_the_left_slope(void)
{
    vdni_tensor x = op_tensor(1, 1, 1, 2, VDNI_F32), y = op_tensor(1, 1, 1, 2, VDNI_F32);
    for (int a = 0; a < ACTS; a++) {
        op_set(&x, 0, NAN);
        op_set(&x, 1, 0);
        vdni_op op = { .kind = VDNI_OP_ACTIVATION, .a.act = all[a], .in = { &x }, .out = { &y } };
        EXPECT(op_run(&op, 1) == VDN_OK);
        EXPECT(isnan(op_get(&y, 0)));
    }
    vdni_tensor g = op_tensor(1, 1, 1, 2, VDNI_F32);
    op_fill(&g, 1);
    vdni_op op = { .kind = VDNI_OP_ACTIVATION_BACKWARD, .in = { &g, &x }, .out = { &y } };
    op.a.act = VDNI_ACT_RELU;
    EXPECT(op_run(&op, 1) == VDN_OK && op_get(&y, 1) == 0);
    op.a.act = VDNI_ACT_LEAKY_RELU;
    EXPECT(op_run(&op, 1) == VDN_OK && op_get(&y, 1) == (double)0.01f);
    op_free(&x);
    op_free(&y);
    op_free(&g);
}

static void wrong_calls_are_refused(void)
{
    uint64_t seed = 1;
    vdni_tensor x = op_random(1, 2, 3, 4, VDNI_F32, &seed);
    vdni_tensor y = op_tensor(1, 2, 4, 3, VDNI_F32), u = op_tensor(1, 2, 3, 4, VDNI_U8);
    vdni_tensor ok = op_tensor(1, 2, 3, 4, VDNI_F32), same = x;
    vdni_op op = {
        .kind = VDNI_OP_ACTIVATION, .a.act = VDNI_ACT_SILU, .in = { &x }, .out = { &y }
    };
    op_expect_refused(&op);
    op.out[0] = &u;
    op_expect_refused(&op);
    op.out[0] = &same;
    same.dtype = VDNI_BF16;
    op_expect_refused(&op);
    op.out[0] = &ok;
    op.a.act = (vdni_activation)99;
    op_expect_refused(&op);
    vdni_op back = { .kind = VDNI_OP_ACTIVATION_BACKWARD, .in = { &x, &ok, &y }, .out = { &ok } };
    op_expect_refused(&back);
    op_free(&x);
    op_free(&y);
    op_free(&u);
    op_free(&ok);
}

int main(void)
{
    RUN(forward_is_the_function_in_both_types_and_in_place);
    RUN(backward_is_the_slope_times_g_plus_addend);
    RUN(nan_stays_nan_and_zero_takes_the_left_slope);
    RUN(wrong_calls_are_refused);
    return test_result();
}
