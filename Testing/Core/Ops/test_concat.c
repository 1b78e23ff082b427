#include "op_test.h"

typedef struct {
    int64_t n, h, w;
    int64_t c[6]; /* 0: slot unused */
} join_case;

static const join_case cases[] = {
    { 1, 1, 1, { 1 } },          { 2, 7, 5, { 3, 1, 0, 2 } },         { 1, 37, 53, { 8, 16 } },
    { 2, 3, 2, { 1100, 5, 3 } }, { 1, 11, 13, { 1, 2, 3, 4, 5, 6 } }, { 1, 19, 6, { 64, 32 } },
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* Types of slot k in variant v: all f32, all bf16, alternating with the whole either way. */
static vdni_dtype part_type(int v, int k)
{
    if (v < 2) return v ? VDNI_BF16 : VDNI_F32;
    return k % 2 ? VDNI_BF16 : VDNI_F32;
}

static vdni_dtype whole_type(int v) { return v & 1 ? VDNI_BF16 : VDNI_F32; }

static int64_t channels_of(const join_case *k)
{
    int64_t sum = 0;
    for (int i = 0; i < 6; i++) sum += k->c[i];
    return sum;
}

static void one_concat(const join_case *k, int variant)
{
    uint64_t seed = 31;
    vdni_tensor x[6], y = op_tensor(k->n, k->h, k->w, channels_of(k), whole_type(variant));
    vdni_op op = { .kind = VDNI_OP_CONCAT, .out = { &y } };
    double *expected = op_zeros(&y);
    int64_t first = 0;
    for (int i = 0; i < 6; i++) {
        if (!k->c[i]) continue;
        x[i] = op_random(k->n, k->h, k->w, k->c[i], part_type(variant, i), &seed);
        op.in[i] = &x[i];
        const int64_t plane = k->h * k->w;
        double *from = op_doubles(&x[i]);
        for (int64_t n = 0; n < k->n; n++)
            for (int64_t j = 0; j < k->c[i] * plane; j++)
                expected[(n * y.c + first) * plane + j] = from[n * k->c[i] * plane + j];
        free(from);
        first += k->c[i];
    }
    EXPECT(op_run(&op, 1) == VDN_OK);
    EXPECT_NEAR(&y, expected);
    op_expect_same_for_threads(&op, NULL);
    for (int i = 0; i < 6; i++)
        if (k->c[i]) op_free(&x[i]);
    free(expected);
    op_free(&y);
}

static void concat_puts_the_inputs_side_by_side_and_casts(void)
{
    for (int i = 0; i < CASES; i++)
        for (int v = 0; v < 4; v++) one_concat(&cases[i], v);
}

static void expect_part(const vdni_tensor *dx, const double *g, int64_t first, int64_t channels)
{
    const int64_t plane = dx->h * dx->w;
    double *expected = op_zeros(dx);
    for (int64_t n = 0; n < dx->n; n++)
        for (int64_t j = 0; j < dx->c * plane; j++)
            expected[n * dx->c * plane + j] = g[(n * channels + first) * plane + j];
    EXPECT_NEAR(dx, expected);
    free(expected);
}

static void one_split(const join_case *k, int variant)
{
    uint64_t seed = 32;
    vdni_tensor dx[6], g = op_random(k->n, k->h, k->w, channels_of(k), whole_type(variant), &seed);
    vdni_op op = { .kind = VDNI_OP_SPLIT, .in = { &g } };
    for (int i = 0; i < 6; i++) {
        if (!k->c[i]) continue;
        dx[i] = op_tensor(k->n, k->h, k->w, k->c[i], part_type(variant, i));
        op.out[i] = &dx[i];
    }
    EXPECT(op_run(&op, 1) == VDN_OK);
    double *from = op_doubles(&g);
    int64_t first = 0;
    for (int i = 0; i < 6; i++) {
        if (!k->c[i]) continue;
        expect_part(&dx[i], from, first, g.c);
        first += k->c[i];
    }
    op_expect_same_for_threads(&op, NULL);
    for (int i = 0; i < 6; i++)
        if (k->c[i]) op_free(&dx[i]);
    free(from);
    op_free(&g);
}

static void split_takes_them_apart_again(void)
{
    for (int i = 0; i < CASES; i++)
        for (int v = 0; v < 4; v++) one_split(&cases[i], v);
}

static void split_skips_an_output_without_data(void)
{
    uint64_t seed = 33;
    vdni_tensor g = op_random(1, 2, 3, 7, VDNI_F32, &seed),
                second = op_tensor(1, 2, 3, 5, VDNI_F32);
    vdni_tensor first = { 1, 2, 3, 2, VDNI_F32, NULL, NULL };
    vdni_op op = { .kind = VDNI_OP_SPLIT, .in = { &g }, .out = { &first, &second } };
    EXPECT(op_run(&op, 1) == VDN_OK);
    double *from = op_doubles(&g);
    expect_part(&second, from, 2, 7);
    free(from);
    op_free(&g);
    op_free(&second);
}

static void wrong_calls_are_refused(void)
{
    vdni_tensor a = op_tensor(1, 2, 3, 2, VDNI_F32), b = op_tensor(1, 3, 2, 2, VDNI_F32);
    vdni_tensor y = op_tensor(1, 2, 3, 4, VDNI_F32), u = op_tensor(1, 2, 3, 2, VDNI_U8);
    vdni_op op = { .kind = VDNI_OP_CONCAT, .in = { &a, &b }, .out = { &y } };
    op_expect_refused(&op);
    op.in[1] = &u;
    op_expect_refused(&op);
    op.in[1] = NULL; /* 2 channels for 4 */
    op_expect_refused(&op);
    vdni_op split = { .kind = VDNI_OP_SPLIT, .in = { &y }, .out = { &a } };
    op_expect_refused(&split);
    op_free(&a);
    op_free(&b);
    op_free(&y);
    op_free(&u);
}

int main(void)
{
    RUN(concat_puts_the_inputs_side_by_side_and_casts);
    RUN(split_takes_them_apart_again);
    RUN(split_skips_an_output_without_data);
    RUN(wrong_calls_are_refused);
    return test_result();
}
