#include "Ops/time_embedding.h"
#include "op_test.h"

#include <complex.h>

/* exp(i angle) as a complex power, the frequency as a power of 10000. */
static void the_embedding_is_cosines_then_sines(void)
{
    static const double times[] = { 1, 2, 17, 499, 500, 1000 };
    static const int64_t widths[] = { 2, 6, 16, 128 };
    for (size_t k = 0; k < sizeof widths / sizeof widths[0]; k++) {
        const int64_t b = widths[k];
        vdni_tensor t = op_tensor(6, 1, 1, 1, VDNI_F32), y = op_tensor(6, 1, 1, b, VDNI_F32);
        for (int64_t n = 0; n < 6; n++) op_set(&t, n, times[n]);
        vdni_op op = { .kind = VDNI_OP_TIME_EMBEDDING, .in = { &t }, .out = { &y } };
        EXPECT(op_run(&op, 1) == VDN_OK);
        for (int64_t n = 0; n < 6; n++) {
            for (int64_t i = 0; i < b / 2; i++) {
                const double w = 1 / pow(10000, 2.0 * (double)i / (double)b);
                const double complex z = cexp(I * w * (times[n] - 1));
                EXPECT_LE(fabs(op_get(&y, n * b + i) - creal(z)), 1e-7);
                EXPECT_LE(fabs(op_get(&y, n * b + b / 2 + i) - cimag(z)), 1e-7);
            }
        }
        op_expect_same_for_threads(&op, NULL);
        op_free(&t);
        op_free(&y);
    }
}

static void the_first_step_embeds_as_zero_time(void)
{
    vdni_tensor t = op_tensor(1, 1, 1, 1, VDNI_F32), y = op_tensor(1, 1, 1, 8, VDNI_F32);
    vdni_op op = { .kind = VDNI_OP_TIME_EMBEDDING, .in = { &t }, .out = { &y } };
    op_set(&t, 0, 1);
    EXPECT(op_run(&op, 1) == VDN_OK);
    for (int64_t i = 0; i < 8; i++) EXPECT(op_get(&y, i) == (i < 4 ? 1 : 0));
    op_free(&t);
    op_free(&y);
}

static void wrong_tensors_are_refused(void)
{
    vdni_tensor t = op_tensor(3, 1, 1, 1, VDNI_F32), y = op_tensor(3, 1, 1, 8, VDNI_F32);
    vdni_op op = { .kind = VDNI_OP_TIME_EMBEDDING, .in = { &t }, .out = { &y } };
    y.c = 7;
    op_expect_refused(&op);
    y.c = 8, y.h = 2;
    op_expect_refused(&op);
    y.h = 1, y.n = 2;
    op_expect_refused(&op);
    y.n = 3, y.dtype = VDNI_I32;
    op_expect_refused(&op);
    y.dtype = VDNI_F32, t.dtype = VDNI_I32;
    op_expect_refused(&op);
    t.dtype = VDNI_F32;
    op_free(&t);
    op_free(&y);
}

int main(void)
{
    RUN(the_embedding_is_cosines_then_sines);
    RUN(the_first_step_embeds_as_zero_time);
    RUN(wrong_tensors_are_refused);
    return test_result();
}
