/* The oracle rolls the image as a whole, cuts windows out of it and masks by the regions of figure 4 of the
 * paper; it shares nothing with the index arithmetic under test. */
#include "Ops/window_attention.h"
#include "op_test.h"

typedef struct {
    int64_t n, h, w, c, heads, k, shift;
    double *qkv, *table, *g;
} problem;

/* Region of rolled coordinate @p r along an axis: as the slices 0..-k, -k..-s, -s.. of the paper's code. */
static int region(const problem *q, int64_t r, int64_t extent)
{
    if (q->shift == 0 || extent <= q->k) return 0;
    return r < extent - q->k ? 0 : r < extent - q->shift ? 1 : 2;
}

static double rolled(const problem *q, const double *t, int64_t channels, const int64_t at[3],
                     int64_t c)
{
    const int64_t y = (at[1] + (q->h > q->k ? q->shift : 0)) % q->h;
    const int64_t x = (at[2] + (q->w > q->k ? q->shift : 0)) % q->w;
    return t[((at[0] * channels + c) * q->h + y) * q->w + x];
}

static double table_at(const problem *q, int64_t dy, int64_t dx, int64_t head)
{
    const int64_t side = 2 * q->k - 1, t = (dy + q->k - 1) * side + dx + q->k - 1;
    return q->table[head * side * side + t]; /* NCHW of (1,1,side^2,heads) */
}

/* Attention of the token at rolled place @p i; returns log of the sum. */
static double row(const problem *q, const int64_t i[3], int64_t head, double *p)
{
    const int64_t d = q->c / q->heads, top = i[1] / q->k * q->k, left = i[2] / q->k * q->k;
    double sum = 0;
    for (int64_t t = 0; t < q->k * q->k; t++) {
        const int64_t j[3] = { i[0], top + t / q->k, left + t % q->k };
        double s = 0;
        for (int64_t c = head * d; c < (head + 1) * d; c++)
            s += rolled(q, q->qkv, 3 * q->c, i, c) * rolled(q, q->qkv, 3 * q->c, j, q->c + c);
        s = s / sqrt((double)d) + table_at(q, i[1] - j[1], i[2] - j[2], head);
        p[t] = region(q, i[1], q->h) == region(q, j[1], q->h) &&
                       region(q, i[2], q->w) == region(q, j[2], q->w)
                   ? exp(s)
                   : 0;
        sum += p[t];
    }
    for (int64_t t = 0; t < q->k * q->k; t++) p[t] /= sum;
    return log(sum);
}

static void oracle(const problem *q, double *o, double *lse)
{
    const int64_t d = q->c / q->heads;
    double p[VDNI_MAX_WINDOW_TOKENS];
    for (int64_t m = 0; m < q->n * q->h * q->w * q->heads; m++) {
        const int64_t head = m % q->heads, place = m / q->heads;
        const int64_t i[3] = { place / q->w / q->h, place / q->w % q->h, place % q->w };
        const int64_t y = (i[1] + (q->h > q->k ? q->shift : 0)) % q->h;
        const int64_t x = (i[2] + (q->w > q->k ? q->shift : 0)) % q->w;
        const double log_sum = row(q, i, head, p);
        if (lse) lse[((i[0] * q->heads + head) * q->h + y) * q->w + x] = log_sum;
        for (int64_t c = head * d; c < (head + 1) * d; c++) {
            double sum = 0;
            for (int64_t t = 0; t < q->k * q->k; t++) {
                const int64_t j[3] = { i[0], i[1] / q->k * q->k + t / q->k,
                                       i[2] / q->k * q->k + t % q->k };
                sum += p[t] * rolled(q, q->qkv, 3 * q->c, j, 2 * q->c + c);
            }
            o[((i[0] * q->c + c) * q->h + y) * q->w + x] = sum;
        }
    }
}

static double loss(void *user)
{
    const problem *q = user;
    const int64_t count = q->n * q->c * q->h * q->w;
    double *o = malloc((size_t)count * sizeof *o), sum = 0;
    oracle(q, o, NULL);
    for (int64_t i = 0; i < count; i++) sum += q->g[i] * o[i];
    free(o);
    return sum;
}

/* n, h, w, channels, heads, window, shift */
static const int64_t shapes[][7] = { { 1, 2, 2, 1, 1, 2, 0 },  { 2, 4, 6, 6, 2, 2, 1 },
                                     { 1, 7, 14, 8, 1, 7, 3 }, { 1, 14, 14, 12, 3, 7, 3 },
                                     { 1, 8, 16, 4, 2, 8, 4 }, { 1, 3, 3, 66, 2, 1, 0 } };

static void one_shape(const int64_t *s, vdni_dtype dtype, int slopes)
{
    uint64_t seed = 21;
    const int64_t n = s[0], h = s[1], w = s[2], c = s[3], heads = s[4], side = 2 * s[5] - 1;
    const vdni_attr a = { .kernel = (int32_t)s[5], .pad = (int32_t)s[6], .heads = (int32_t)heads };
    vdni_tensor qkv = op_random(n, h, w, 3 * c, dtype, &seed);
    vdni_tensor g = op_random(n, h, w, c, dtype, &seed);
    vdni_tensor table = op_random(1, 1, side * side, heads, VDNI_F32, &seed);
    vdni_tensor o = op_tensor(n, h, w, c, dtype), lse = op_tensor(n, h, w, heads, VDNI_F32);
    vdni_tensor dqkv = op_tensor(n, h, w, 3 * c, dtype);
    vdni_tensor dtable = op_random(1, 1, side * side, heads, VDNI_F32, &seed);
    vdni_tensor before = op_copy(&dtable);
    op_randomize(&qkv, &seed, 1.5, 0.1);
    vdni_op op = { .kind = VDNI_OP_WINDOW_ATTENTION, .a = a, .in = { &qkv, &table } };
    op.out[0] = &o, op.out[1] = &lse;
    vdni_op back = { .kind = VDNI_OP_WINDOW_ATTENTION_BACKWARD,
                     .a = a,
                     .in = { &g, &qkv, &table, &o, &lse } };
    back.out[0] = &dqkv, back.out[1] = &dtable;
    EXPECT(op_run(&op, 1) == VDN_OK && op_run(&back, 1) == VDN_OK);
    problem q = {
        n, h, w, c, heads, s[5], s[6], op_doubles(&qkv), op_doubles(&table), op_doubles(&g)
    };
    double *wanted = op_zeros(&o), *sums = op_zeros(&lse), *start = op_doubles(&before);
    oracle(&q, wanted, sums);
    EXPECT_NEAR(&o, wanted);
    EXPECT_NEAR(&lse, sums);
    op_expect_same_for_threads(&op, NULL);
    const vdni_tensor fresh[VDNI_MAX_OUT] = { { .data = NULL }, before };
    op_expect_same_for_threads(&back, fresh);
    if (slopes) { /* in bf16 the gradient carries the rounding of o */
        op_expect_slopes(&dqkv, NULL, loss, &q, q.qkv);
        op_expect_slopes(&dtable, start, loss, &q, q.table);
    }
    double *doubles[] = { q.qkv, q.table, q.g, wanted, sums, start };
    for (int i = 0; i < 6; i++) free(doubles[i]);
    vdni_tensor *all[] = { &qkv, &g, &table, &o, &lse, &dqkv, &dtable, &before };
    for (int i = 0; i < 8; i++) op_free(all[i]);
}

static void windows_attend_and_the_gradients_are_slopes(void)
{
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (int t = 0; t < 2; t++) one_shape(shapes[s], t ? VDNI_BF16 : VDNI_F32, t == 0);
}

static void wrong_calls_are_refused(void)
{
    vdni_tensor qkv = op_tensor(1, 4, 6, 12, VDNI_F32), o = op_tensor(1, 4, 6, 4, VDNI_F32);
    vdni_tensor table = op_tensor(1, 1, 9, 2, VDNI_F32), lse = op_tensor(1, 4, 6, 2, VDNI_F32);
    for (int which = 0; which < 7; which++) {
        vdni_op op = { .kind = VDNI_OP_WINDOW_ATTENTION,
                       .in = { &qkv, &table },
                       .out = { &o, &lse } };
        op.a = (vdni_attr){ .kernel = 2, .pad = 1, .heads = 2 };
        if (which == 0) op.a.kernel = 3; /* does not divide 4 */
        if (which == 1) op.a.kernel = 9;
        if (which == 2) op.a.pad = 2;
        if (which == 3) op.a.heads = 3;
        if (which == 4) op.in[1] = &lse;
        if (which == 5) op.out[0] = &qkv;
        if (which == 6) op.out[1] = &table;
        op_expect_refused(&op);
    }
    vdni_tensor *all[] = { &qkv, &o, &table, &lse };
    for (int i = 0; i < 4; i++) op_free(all[i]);
}

int main(void)
{
    RUN(windows_attend_and_the_gradients_are_slopes);
    RUN(wrong_calls_are_refused);
    return test_result();
}
