#include "Ops/attention.h"
#include "op_test.h"

/* Doubles in NCHW order: qkv (n, 3C, L), o and g (n, C, L). */
typedef struct {
    int64_t n, channels, heads, tokens;
    double *qkv, *g;
} problem;

static double part_of(const problem *q, int64_t n, int64_t part, int64_t channel, int64_t token)
{
    return q->qkv[((n * 3 + part) * q->channels + channel) * q->tokens + token];
}

/* Row @p i of softmax(S) of one head, the plain way; returns log of the sum of exponentials. */
static double softmax_row(const problem *q, int64_t n, int64_t head, int64_t i, double *p)
{
    const int64_t d = q->channels / q->heads;
    double sum = 0, top = -1e300;
    for (int64_t j = 0; j < q->tokens; j++) {
        p[j] = 0;
        for (int64_t c = head * d; c < (head + 1) * d; c++)
            p[j] += part_of(q, n, 0, c, i) * part_of(q, n, 1, c, j);
        p[j] /= sqrt((double)d);
        top = p[j] > top ? p[j] : top;
    }
    for (int64_t j = 0; j < q->tokens; j++) sum += p[j] = exp(p[j] - top);
    for (int64_t j = 0; j < q->tokens; j++) p[j] /= sum;
    return top + log(sum);
}

static void oracle_forward(const problem *q, double *o, double *lse)
{
    const int64_t d = q->channels / q->heads;
    double *p = malloc((size_t)q->tokens * sizeof *p);
    for (int64_t n = 0; n < q->n; n++)
        for (int64_t head = 0; head < q->heads; head++)
            for (int64_t i = 0; i < q->tokens; i++) {
                const double log_sum = softmax_row(q, n, head, i, p);
                if (lse) lse[(n * q->heads + head) * q->tokens + i] = log_sum;
                for (int64_t c = head * d; c < (head + 1) * d; c++) {
                    double sum = 0;
                    for (int64_t j = 0; j < q->tokens; j++) sum += p[j] * part_of(q, n, 2, c, j);
                    o[(n * q->channels + c) * q->tokens + i] = sum;
                }
            }
    free(p);
}

static double loss(void *user)
{
    const problem *q = user;
    const int64_t count = q->n * q->channels * q->tokens;
    double *o = malloc((size_t)count * sizeof *o), sum = 0;
    oracle_forward(q, o, NULL);
    for (int64_t i = 0; i < count; i++) sum += q->g[i] * o[i];
    free(o);
    return sum;
}

/* The Jacobian of softmax written out, without the shortcut through o. */
static void oracle_backward(const problem *q, double *dqkv)
{
    const int64_t d = q->channels / q->heads, L = q->tokens;
    double *p = malloc((size_t)L * sizeof *p), *dp = malloc((size_t)L * sizeof *dp);
    for (int64_t n = 0; n < q->n; n++) {
        double *dq = dqkv + n * 3 * q->channels * L, *dk = dq + q->channels * L;
        double *dv = dk + q->channels * L;
        for (int64_t head = 0; head < q->heads; head++)
            for (int64_t i = 0; i < L; i++) {
                double mean = 0;
                (void)softmax_row(q, n, head, i, p);
                for (int64_t j = 0; j < L; j++) {
                    dp[j] = 0;
                    for (int64_t c = head * d; c < (head + 1) * d; c++)
                        dp[j] += q->g[(n * q->channels + c) * L + i] * part_of(q, n, 2, c, j);
                    mean += p[j] * dp[j];
                }
                for (int64_t j = 0; j < L; j++) {
                    const double ds = p[j] * (dp[j] - mean) / sqrt((double)d);
                    for (int64_t c = head * d; c < (head + 1) * d; c++) {
                        dq[c * L + i] += ds * part_of(q, n, 1, c, j);
                        dk[c * L + j] += ds * part_of(q, n, 0, c, i);
                        dv[c * L + j] += p[j] * q->g[(n * q->channels + c) * L + i];
                    }
                }
            }
    }
    free(p);
    free(dp);
}

typedef struct {
    vdni_tensor qkv, o, lse, g, dqkv;
    vdni_op forward, backward;
    problem q;
} fixture;

static fixture *setup(const int64_t *s, vdni_dtype dtype, double spread, uint64_t *seed)
{
    const int64_t n = s[0], h = s[1], w = s[2], c = s[3], heads = s[4];
    fixture *f = calloc(1, sizeof *f);
    f->qkv = op_random(n, h, w, 3 * c, dtype, seed);
    f->g = op_random(n, h, w, c, dtype, seed);
    f->o = op_tensor(n, h, w, c, dtype);
    f->lse = op_tensor(n, 1, heads, h * w, VDNI_F32);
    f->dqkv = op_tensor(n, h, w, 3 * c, dtype);
    op_randomize(&f->qkv, seed, spread, 0.1);
    f->forward = (vdni_op){ .kind = VDNI_OP_ATTENTION, .in = { &f->qkv } };
    f->forward.out[0] = &f->o, f->forward.out[1] = &f->lse;
    f->backward = (vdni_op){ .kind = VDNI_OP_ATTENTION_BACKWARD, .in = { &f->g } };
    f->backward.in[1] = &f->qkv, f->backward.in[2] = &f->o, f->backward.in[3] = &f->lse;
    f->backward.out[0] = &f->dqkv;
    f->forward.a.heads = f->backward.a.heads = (int32_t)heads;
    f->q = (problem){ n, c, heads, h * w, op_doubles(&f->qkv), op_doubles(&f->g) };
    return f;
}

static void teardown(fixture *f)
{
    op_free(&f->qkv);
    op_free(&f->g);
    op_free(&f->o);
    op_free(&f->lse);
    op_free(&f->dqkv);
    free(f->q.qkv);
    free(f->q.g);
    free(f);
}

/* n, h, w, channels, heads: head sizes 1 to 64, token counts around the tiles of 60 and 240. */
static const int64_t sizes[][5] = {
    { 1, 1, 1, 1, 1 },    { 2, 7, 5, 24, 3 },   { 1, 1, 61, 8, 1 },   { 3, 4, 4, 16, 2 },
    { 1, 15, 16, 32, 1 }, { 1, 17, 19, 64, 2 }, { 2, 11, 22, 64, 1 }, { 1, 20, 25, 20, 4 },
};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void attention_is_the_softmax_average(void)
{
    uint64_t seed = 1;
    for (int i = 0; i < SIZES; i++) {
        for (int dtype = VDNI_F32; dtype <= VDNI_BF16; dtype++) {
            fixture *f = setup(sizes[i], (vdni_dtype)dtype, i % 2 ? 1 : 3, &seed);
            double *o = op_zeros(&f->o), *lse = op_zeros(&f->lse);
            oracle_forward(&f->q, o, lse);
            EXPECT(op_run(&f->forward, 1) == VDN_OK);
            EXPECT_NEAR(&f->o, o);
            for (int64_t k = 0; k < vdni_tensor_count(&f->lse); k++)
                EXPECT_LE(fabs(op_get(&f->lse, k) - lse[k]), 1e-5 * (1 + fabs(lse[k])));
            op_expect_same_for_threads(&f->forward, NULL);
            free(o);
            free(lse);
            teardown(f);
        }
    }
}

static void the_gradient_is_that_of_the_plain_way(void)
{
    uint64_t seed = 2;
    for (int i = 0; i < SIZES; i++) {
        for (int dtype = VDNI_F32; dtype <= VDNI_BF16; dtype++) {
            fixture *f = setup(sizes[i], (vdni_dtype)dtype, i % 2 ? 1 : 3, &seed);
            double *dqkv = op_zeros(&f->dqkv);
            oracle_backward(&f->q, dqkv);
            EXPECT(op_run(&f->forward, 2) == VDN_OK);
            EXPECT(op_run(&f->backward, 1) == VDN_OK);
            /* bf16: o is stored rounded, 2^-9, and D = g.o cancels against g.v */
            EXPECT_LE(op_distance(&f->dqkv, dqkv, op_relative((vdni_dtype)dtype),
                                  dtype == VDNI_F32 ? 1e-5 : 1.0 / 256),
                      1);
            op_expect_same_for_threads(&f->backward, NULL);
            free(dqkv);
            teardown(f);
        }
    }
}

static void the_gradient_is_the_slope(void)
{
    uint64_t seed = 3;
    for (int i = 0; i < 5; i++) {
        fixture *f = setup(sizes[i], VDNI_F32, 1, &seed);
        EXPECT(op_run(&f->forward, 1) == VDN_OK);
        EXPECT(op_run(&f->backward, 1) == VDN_OK);
        op_expect_slopes(&f->dqkv, NULL, loss, &f->q, f->q.qkv);
        teardown(f);
    }
}

/* Scores of several hundred: exp() of them is beyond float, their differences decide. */
static void large_scores_stay_finite(void)
{
    uint64_t seed = 4;
    fixture *f = setup(sizes[5], VDNI_F32, 30, &seed);
    double *o = op_zeros(&f->o), *lse = op_zeros(&f->lse);
    oracle_forward(&f->q, o, lse);
    EXPECT(op_run(&f->forward, 2) == VDN_OK);
    EXPECT(op_run(&f->backward, 2) == VDN_OK);
    /* scores near 1000 are known to 6e-5 in float, and so are their exponentials */
    EXPECT_LE(op_distance(&f->o, o, 1e-3, 1e-3), 1);
    double largest = 0;
    for (int64_t k = 0; k < vdni_tensor_count(&f->lse); k++) largest = fmax(largest, fabs(lse[k]));
    EXPECT(largest > 500);
    for (int64_t k = 0; k < vdni_tensor_count(&f->dqkv); k++) EXPECT(isfinite(op_get(&f->dqkv, k)));
    free(o);
    free(lse);
    teardown(f);
}

static void not_a_number_is_not_hidden(void)
{
    uint64_t seed = 5;
    fixture *f = setup(sizes[1], VDNI_F32, 1, &seed);
    op_set(&f->qkv, 0, NAN); /* a query of the first token */
    EXPECT(op_run(&f->forward, 1) == VDN_OK);
    EXPECT(isnan(op_get(&f->o, 0)));
    EXPECT(isfinite(op_get(&f->o, 24)));
    teardown(f);
}

static void mixed_storage_works(void)
{
    uint64_t seed = 6;
    fixture *f = setup(sizes[1], VDNI_F32, 1, &seed);
    vdni_tensor half = op_tensor(2, 7, 5, 24, VDNI_BF16);
    double *o = op_zeros(&f->o);
    f->forward.out[0] = &half;
    oracle_forward(&f->q, o, NULL);
    EXPECT(op_run(&f->forward, 1) == VDN_OK);
    EXPECT_NEAR(&half, o);
    free(o);
    op_free(&half);
    teardown(f);
}

static void wrong_tensors_are_refused(void)
{
    uint64_t seed = 7;
    fixture *f = setup(sizes[1], VDNI_F32, 1, &seed);
    for (int which = 0; which < 8; which++) {
        const fixture kept = *f;
        if (which == 0) f->forward.a.heads = f->backward.a.heads = 5;
        if (which == 1) f->forward.a.heads = f->backward.a.heads = 0;
        if (which == 2) f->qkv.c = 71;
        if (which == 3) f->o.w = 4;
        if (which == 4) f->lse.c = 34;
        if (which == 5) f->lse.dtype = VDNI_BF16;
        if (which == 6) f->o.dtype = VDNI_I32;
        if (which == 7) f->qkv.dtype = VDNI_U8;
        op_expect_refused(&f->forward);
        op_expect_refused(&f->backward);
        *f = kept;
        if (which == 0) f->g.c = 8;
        if (which == 1) f->dqkv.c = 24;
        if (which < 2) op_expect_refused(&f->backward);
        *f = kept;
    }
    teardown(f);
}

int main(void)
{
    RUN(attention_is_the_softmax_average);
    RUN(the_gradient_is_that_of_the_plain_way);
    RUN(the_gradient_is_the_slope);
    RUN(large_scores_stay_finite);
    RUN(not_a_number_is_not_hidden);
    RUN(mixed_storage_works);
    RUN(wrong_tensors_are_refused);
    return test_result();
}
