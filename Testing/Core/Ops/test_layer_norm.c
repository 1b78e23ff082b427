#include "Ops/layer_norm.h"
#include "op_test.h"

typedef struct {
    int64_t n, c, pixels;
    double *x, *gamma, *beta, *g;
} problem;

/* Mean and 1 / sqrt(variance + eps) of a pixel, in NCHW doubles. */
static void moments(const problem *q, int64_t n, int64_t i, double *mean, double *rstd)
{
    double sum = 0, squares = 0;
    for (int64_t c = 0; c < q->c; c++) sum += q->x[(n * q->c + c) * q->pixels + i];
    *mean = sum / (double)q->c;
    for (int64_t c = 0; c < q->c; c++)
        squares += pow(q->x[(n * q->c + c) * q->pixels + i] - *mean, 2);
    *rstd = 1 / sqrt(squares / (double)q->c + (double)1e-5f);
}

static void oracle(const problem *q, double *y)
{
    for (int64_t n = 0; n < q->n; n++)
        for (int64_t i = 0; i < q->pixels; i++) {
            double mean, rstd;
            moments(q, n, i, &mean, &rstd);
            for (int64_t c = 0; c < q->c; c++) {
                const int64_t at = (n * q->c + c) * q->pixels + i;
                y[at] = (q->x[at] - mean) * rstd * q->gamma[c] + q->beta[c];
            }
        }
}

static double loss(void *user)
{
    const problem *q = user;
    const int64_t count = q->n * q->c * q->pixels;
    double *y = malloc((size_t)count * sizeof *y), sum = 0;
    oracle(q, y);
    for (int64_t i = 0; i < count; i++) sum += y[i] * q->g[i];
    free(y);
    return sum;
}

static const vdni_attr attributes = { .eps = 1e-5f };
static const int64_t shapes[][4] = {
    { 1, 1, 1, 2 }, { 2, 3, 5, 7 }, { 1, 9, 6, 96 }, { 1, 2, 3, 1536 }, { 3, 20, 17, 32 }
};

static void one_shape(const int64_t *s, vdni_dtype dtype, int with_addend)
{
    uint64_t seed = 11;
    vdni_tensor x = op_random(s[0], s[1], s[2], s[3], dtype, &seed);
    vdni_tensor g = op_random(s[0], s[1], s[2], s[3], dtype, &seed);
    vdni_tensor addend = op_random(s[0], s[1], s[2], s[3], dtype, &seed);
    vdni_tensor gamma = op_random(1, 1, 1, s[3], VDNI_F32, &seed);
    vdni_tensor beta = op_random(1, 1, 1, s[3], VDNI_F32, &seed);
    vdni_tensor y = op_tensor(s[0], s[1], s[2], s[3], dtype),
                dx = op_tensor(s[0], s[1], s[2], s[3], dtype);
    vdni_tensor stats = op_tensor(s[0], s[1], s[2], 2, VDNI_F32);
    vdni_tensor dgamma = op_random(1, 1, 1, s[3], VDNI_F32, &seed), dbeta = op_copy(&dgamma);
    vdni_tensor before = op_copy(&dgamma);
    op_randomize(&x, &seed, 1, 3);
    vdni_op op = { .kind = VDNI_OP_LAYER_NORM, .a = attributes, .in = { &x, &gamma, &beta } };
    op.out[0] = &y, op.out[1] = &stats;
    vdni_op back = { .kind = VDNI_OP_LAYER_NORM_BACKWARD,
                     .a = attributes,
                     .in = { &g, &x, &stats, &gamma } };
    back.in[4] = with_addend ? &addend : NULL;
    back.out[0] = &dx, back.out[1] = &dgamma, back.out[2] = &dbeta;
    EXPECT(op_run(&op, 1) == VDN_OK && op_run(&back, 1) == VDN_OK);
    problem q = {
        s[0],          s[3], s[1] * s[2], op_doubles(&x), op_doubles(&gamma), op_doubles(&beta),
        op_doubles(&g)
    };
    double *wanted = op_zeros(&y), *added = op_doubles(&addend), *start = op_doubles(&before);
    oracle(&q, wanted);
    EXPECT_LE(op_distance(&y, wanted, op_relative(dtype), 2e-5), 1);
    op_expect_same_for_threads(&op, NULL);
    const vdni_tensor fresh[VDNI_MAX_OUT] = { { .data = NULL }, before, before };
    op_expect_same_for_threads(&back, fresh);
    if (s[3] > 2) op_expect_slopes(&dx, with_addend ? added : NULL, loss, &q, q.x);
    op_expect_slopes(&dgamma, start, loss, &q, q.gamma);
    op_expect_slopes(&dbeta, start, loss, &q, q.beta);
    double *doubles[] = { q.x, q.gamma, q.beta, q.g, wanted, added, start };
    for (int i = 0; i < 7; i++) free(doubles[i]);
    vdni_tensor *all[] = {
        &x, &g, &addend, &gamma, &beta, &y, &dx, &stats, &dgamma, &dbeta, &before
    };
    for (int i = 0; i < 11; i++) op_free(all[i]);
}

static void every_pixel_is_normalised_and_the_gradients_are_slopes(void)
{
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (int t = 0; t < 4; t++) one_shape(shapes[s], t & 1 ? VDNI_BF16 : VDNI_F32, t & 2);
}

static void wrong_calls_are_refused(void)
{
    vdni_tensor x = op_tensor(1, 2, 3, 4, VDNI_F32), y = op_tensor(1, 2, 3, 4, VDNI_F32);
    vdni_tensor p = op_tensor(1, 1, 1, 4, VDNI_F32), stats = op_tensor(1, 2, 3, 2, VDNI_F32);
    vdni_op op = { .kind = VDNI_OP_LAYER_NORM, .in = { &x, &p, &p }, .out = { &y, &stats } };
    op_expect_refused(&op); /* eps 0 */
    op.a = attributes;
    op.out[1] = &p;
    op_expect_refused(&op);
    op.out[1] = &stats;
    op.in[1] = &x;
    op_expect_refused(&op);
    vdni_op back = { .kind = VDNI_OP_LAYER_NORM_BACKWARD,
                     .a = attributes,
                     .in = { &x, &x, &stats, &p } };
    back.out[0] = &stats;
    op_expect_refused(&back);
    vdni_tensor *all[] = { &x, &y, &p, &stats };
    for (int i = 0; i < 4; i++) op_free(all[i]);
}

int main(void)
{
    RUN(every_pixel_is_normalised_and_the_gradients_are_slopes);
    RUN(wrong_calls_are_refused);
    return test_result();
}
