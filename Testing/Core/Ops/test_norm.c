/* The oracle makes u and y in doubles, NCHW, from the definitions; gradients are its slopes. */
#include "op_test.h"

#include "Ops/norm.h"

typedef struct {
    int64_t n, h, w, c, groups;
    vdni_norm_kind mode;
    vdni_activation act;
    int with_mod, with_addend;
} norm_case;

static const norm_case cases[] = {
    { 1, 1, 1, 1, 1, VDNI_NORM_GROUP, VDNI_ACT_NONE, 0, 0 },
    { 2, 7, 5, 6, 3, VDNI_NORM_GROUP, VDNI_ACT_SILU, 1, 1 },
    { 1, 37, 53, 8, 8, VDNI_NORM_GROUP, VDNI_ACT_LEAKY_RELU, 0, 0 },
    { 2, 13, 11, 32, 8, VDNI_NORM_GROUP, VDNI_ACT_SILU, 1, 0 },
    { 2, 31, 29, 12, 4, VDNI_NORM_GROUP, VDNI_ACT_RELU, 0, 1 },
    { 3, 1, 1, 37, 1, VDNI_NORM_GROUP, VDNI_ACT_ELU, 0, 0 },
    { 2, 3, 2, 1030, 103, VDNI_NORM_GROUP, VDNI_ACT_SIGMOID, 1, 1 },
    { 1, 5, 3, 4, 1, VDNI_NORM_GROUP, VDNI_ACT_SOFTPLUS, 1, 0 },
    { 3, 5, 7, 5, 5, VDNI_NORM_BATCH_TRAIN, VDNI_ACT_RELU, 0, 0 },
    { 2, 9, 4, 3, 3, VDNI_NORM_BATCH_TRAIN, VDNI_ACT_GELU, 1, 1 },
    { 2, 6, 5, 7, 7, VDNI_NORM_BATCH_EVAL, VDNI_ACT_LEAKY_RELU, 0, 1 },
    { 2, 3, 5, 17, 17, VDNI_NORM_BATCH_EVAL, VDNI_ACT_SILU, 1, 0 },
};
enum { CASES = sizeof cases / sizeof cases[0] };

static const float eps = 1e-5f;

static double activation(vdni_activation act, double x)
{
    switch (act) {
    case VDNI_ACT_RELU:
        return x > 0 ? x : 0;
    case VDNI_ACT_LEAKY_RELU:
        return x > 0 ? x : 0.01 * x;
    case VDNI_ACT_ELU:
        return x > 0 ? x : expm1(x);
    case VDNI_ACT_SILU:
        return x / (1 + exp(-x));
    case VDNI_ACT_SIGMOID:
        return 1 / (1 + exp(-x));
    case VDNI_ACT_SOFTPLUS:
        return log1p(exp(x));
    case VDNI_ACT_GELU:
        return 0.5 * x * erfc(-x / sqrt(2.0));
    default:
        return x;
    }
}

/* Everything a case owns: tensors, their doubles in NCHW, the oracle's results. */
typedef struct {
    norm_case k;
    vdni_tensor x, gamma, beta, mod, running, g, addend, y, stats;
    double *dx, *dgamma, *dbeta, *dmod, *drunning, *dg, *dy, *mean, *variance;
} world;

static world make_world(norm_case k, vdni_dtype dtype)
{
    const int is_group = k.mode == VDNI_NORM_GROUP;
    uint64_t seed = (uint64_t)(k.h * 1000 + k.c);
    world v = { .k = k };
    v.x = op_random(k.n, k.h, k.w, k.c, dtype, &seed);
    op_randomize(&v.x, &seed, 1.5, 0.7);
    v.gamma = op_random(1, 1, 1, k.c, VDNI_F32, &seed);
    v.beta = op_random(1, 1, 1, k.c, VDNI_F32, &seed);
    v.mod = op_random(k.n, 1, 1, 2 * k.c, VDNI_F32, &seed);
    v.running = op_tensor(1, 1, 1, 2 * k.c, VDNI_F32);
    op_randomize(&v.running, &seed, 0.4, 0.8);
    v.g = op_random(k.n, k.h, k.w, k.c, dtype, &seed);
    v.addend = op_random(k.n, k.h, k.w, k.c, dtype, &seed);
    v.y = op_tensor(k.n, k.h, k.w, k.c, dtype);
    v.stats = op_tensor(is_group ? k.n : 1, 1, 1, 2 * k.groups, VDNI_F32);
    v.dx = op_doubles(&v.x);
    v.dgamma = op_doubles(&v.gamma);
    v.dbeta = op_doubles(&v.beta);
    v.dmod = op_doubles(&v.mod);
    v.drunning = op_doubles(&v.running);
    v.dg = op_doubles(&v.g);
    v.dy = op_zeros(&v.x);
    v.mean = calloc((size_t)(k.n * k.c), sizeof(double));
    v.variance = calloc((size_t)(k.n * k.c), sizeof(double));
    return v;
}

static void free_world(world *v)
{
    vdni_tensor *tensors[] = { &v->x, &v->gamma,  &v->beta, &v->mod,  &v->running,
                               &v->g, &v->addend, &v->y,    &v->stats };
    double *arrays[] = { v->dx, v->dgamma, v->dbeta, v->dmod,    v->drunning,
                         v->dg, v->dy,     v->mean,  v->variance };
    for (int i = 0; i < 9; i++) {
        op_free(tensors[i]);
        free(arrays[i]);
    }
}

/* Mean and biased variance over what element (m, d) shares its statistics with. */
static void oracle_statistics(world *v, int64_t m, int64_t d)
{
    const norm_case *k = &v->k;
    const int is_group = k->mode == VDNI_NORM_GROUP;
    const int64_t pixels = k->h * k->w, size = is_group ? k->c / k->groups : 1;
    const int64_t first = d / size * size;
    double *mean = &v->mean[m * k->c + d], *variance = &v->variance[m * k->c + d];
    *mean = *variance = 0;
    for (int pass = 0; pass < 2; pass++) {
        double sum = 0;
        int64_t count = 0;
        for (int64_t n = is_group ? m : 0; n < (is_group ? m + 1 : k->n); n++)
            for (int64_t c = first; c < first + size; c++)
                for (int64_t i = 0; i < pixels; i++, count++) {
                    const double x = v->dx[(n * k->c + c) * pixels + i];
                    sum += pass ? (x - *mean) * (x - *mean) : x;
                }
        *(pass ? variance : mean) = sum / (double)count;
    }
    if (k->mode == VDNI_NORM_BATCH_EVAL) {
        *mean = v->drunning[d];
        *variance = v->drunning[k->c + d];
    }
}

static void oracle(world *v)
{
    const norm_case *k = &v->k;
    const int64_t pixels = k->h * k->w;
    for (int64_t n = 0; n < k->n; n++)
        for (int64_t c = 0; c < k->c; c++) {
            oracle_statistics(v, n, c);
            const double rstd = 1 / sqrt(v->variance[n * k->c + c] + (double)eps);
            const double scale = k->with_mod ? v->dmod[n * 2 * k->c + c] : 0;
            const double shift = k->with_mod ? v->dmod[n * 2 * k->c + k->c + c] : 0;
            for (int64_t i = 0; i < pixels; i++) {
                const int64_t at = (n * k->c + c) * pixels + i;
                const double xhat = (v->dx[at] - v->mean[n * k->c + c]) * rstd;
                const double u = (xhat * v->dgamma[c] + v->dbeta[c]) * (1 + scale) + shift;
                v->dy[at] = activation(k->act, u);
            }
        }
}

/* The sum of y g, for slopes. */
static double loss(void *user)
{
    world *v = user;
    double sum = 0;
    oracle(v);
    for (int64_t i = 0; i < vdni_tensor_count(&v->x); i++) sum += v->dy[i] * v->dg[i];
    return sum;
}

static vdni_op forward_op(world *v)
{
    vdni_op op = { .kind = VDNI_OP_NORM,
                   .in = { &v->x, &v->gamma, &v->beta, v->k.with_mod ? &v->mod : NULL,
                           v->k.mode == VDNI_NORM_GROUP ? NULL : &v->running },
                   .out = { &v->y, &v->stats } };
    op.a.groups = (int32_t)v->k.groups;
    op.a.mode = (int32_t)v->k.mode;
    op.a.act = v->k.act;
    op.a.eps = eps;
    return op;
}

static void expect_statistics(const world *v)
{
    const norm_case *k = &v->k;
    const int64_t channels = k->c / k->groups;
    for (int64_t n = 0; n < v->stats.n; n++)
        for (int64_t g = 0; g < k->groups; g++) {
            const int64_t at = n * k->c + g * channels;
            const double rstd = 1 / sqrt(v->variance[at] + (double)eps);
            EXPECT_LE(fabs(op_get(&v->stats, 2 * (n * k->groups + g)) - v->mean[at]), 1e-6);
            EXPECT_LE(fabs(op_get(&v->stats, 2 * (n * k->groups + g) + 1) / rstd - 1), 1e-6);
        }
}

static void one_forward(norm_case k, vdni_dtype dtype)
{
    world v = make_world(k, dtype);
    vdni_op op = forward_op(&v);
    oracle(&v);
    EXPECT(op_run(&op, 1) == VDN_OK);
    EXPECT_NEAR(&v.y, v.dy);
    expect_statistics(&v);
    const double unbiased = (double)(k.n * k.h * k.w) / (double)(k.n * k.h * k.w - 1);
    for (int64_t c = 0; k.mode == VDNI_NORM_BATCH_TRAIN && c < k.c; c++) {
        const double mean = 0.9 * v.drunning[c] + 0.1 * v.mean[c];
        const double variance = 0.9 * v.drunning[k.c + c] + 0.1 * v.variance[c] * unbiased;
        EXPECT_LE(fabs(op_get(&v.running, c) - mean), 1e-6);
        EXPECT_LE(fabs(op_get(&v.running, k.c + c) - variance), 1e-6);
    }
    op_expect_same_for_threads(&op, NULL);
    if (k.mode == VDNI_NORM_GROUP) op_expect_in_place(&op); /* the others renew running each time */
    free_world(&v);
}

static void forward_matches_the_definitions(void)
{
    for (int i = 0; i < CASES; i++) {
        one_forward(cases[i], VDNI_F32);
        one_forward(cases[i], VDNI_BF16);
    }
}

static void y_may_have_another_type_than_x(void)
{
    world v = make_world(cases[1], VDNI_BF16);
    vdni_tensor y = op_tensor(v.x.n, v.x.h, v.x.w, v.x.c, VDNI_F32);
    vdni_op op = forward_op(&v);
    op.out[0] = &y;
    oracle(&v);
    EXPECT(op_run(&op, 1) == VDN_OK);
    EXPECT_NEAR(&y, v.dy);
    op_free(&y);
    free_world(&v);
}

/* Gradients by their slopes; parameter gradients start at 1 and are added to. */
static void one_backward(norm_case k, vdni_dtype dtype)
{
    world v = make_world(k, dtype);
    vdni_op forward = forward_op(&v);
    EXPECT(op_run(&forward, 1) == VDN_OK);
    vdni_tensor dx = op_tensor(k.n, k.h, k.w, k.c, dtype);
    vdni_tensor dgamma = op_tensor(1, 1, 1, k.c, VDNI_F32);
    vdni_tensor dbeta = op_tensor(1, 1, 1, k.c, VDNI_F32);
    vdni_tensor dmod = op_tensor(k.n, 1, 1, 2 * k.c, VDNI_F32);
    op_fill(&dgamma, 1);
    op_fill(&dbeta, 1);
    vdni_tensor fresh[VDNI_MAX_OUT] = { { 0 }, op_copy(&dgamma), op_copy(&dbeta), { 0 } };
    vdni_op op = { .kind = VDNI_OP_NORM_BACKWARD,
                   .a = forward.a,
                   .in = { &v.g, &v.x, &v.stats, &v.gamma, &v.beta, forward.in[3],
                           k.with_addend ? &v.addend : NULL },
                   .out = { &dx, &dgamma, &dbeta, k.with_mod ? &dmod : NULL } };
    EXPECT(op_run(&op, 1) == VDN_OK);

    double *before = op_doubles(&v.addend), *one = op_doubles(&fresh[1]);
    op_expect_slopes(&dx, k.with_addend ? before : NULL, loss, &v, v.dx);
    op_expect_slopes(&dgamma, one, loss, &v, v.dgamma);
    op_expect_slopes(&dbeta, one, loss, &v, v.dbeta);
    if (k.with_mod) op_expect_slopes(&dmod, NULL, loss, &v, v.dmod);
    op_expect_same_for_threads(&op, fresh);

    vdni_tensor alone = op_tensor(k.n, k.h, k.w, k.c, dtype);
    op.out[0] = &alone;
    op.out[1] = op.out[2] = op.out[3] = NULL;
    EXPECT(op_run(&op, 1) == VDN_OK && op_same_bits(&alone, &dx));
    free(before);
    free(one);
    vdni_tensor *own[] = { &dx, &dgamma, &dbeta, &dmod, &alone, &fresh[1], &fresh[2] };
    for (int i = 0; i < 7; i++) op_free(own[i]);
    free_world(&v);
}

/* Large cases would need as many oracle runs as elements: the small ones do. */
static void backward_matches_the_slopes(void)
{
    for (int i = 1; i < CASES; i++) {
        norm_case k = cases[i];
        if (k.h > 20) k.h = 11;
        if (k.w > 20) k.w = 5;
        if (k.c > 1000) k.groups = k.c / 2, k.h = 2, k.w = 1;
        one_backward(k, VDNI_F32);
        one_backward(k, VDNI_BF16);
    }
}

/* x = 5000 + noise of deviation 1: a float E[x^2] - E[x]^2 would be worthless. A border of zeros
 * must not spoil it either. */
static void statistics_survive_a_large_mean_and_a_zero_border(void)
{
    for (int border = 0; border < 2; border++) {
        world v = make_world((norm_case){ 1, 64, 64, 16, 4, VDNI_NORM_GROUP, 0, 0, 0 }, VDNI_F32);
        uint64_t seed = 5;
        op_randomize(&v.x, &seed, 1.7, 5000);
        for (int64_t i = 0; border && i < 16 * 64; i++) op_set(&v.x, i, 0);
        free(v.dx);
        v.dx = op_doubles(&v.x);
        vdni_op op = forward_op(&v);
        EXPECT(op_run(&op, 1) == VDN_OK);
        oracle(&v);
        for (int64_t g = 0; g < 4; g++) {
            const double rstd = 1 / sqrt(v.variance[4 * g] + (double)eps);
            EXPECT_LE(fabs(op_get(&v.stats, 2 * g) / v.mean[4 * g] - 1), 1e-7);
            EXPECT_LE(fabs(op_get(&v.stats, 2 * g + 1) / rstd - 1), 1e-6);
        }
        free_world(&v);
    }
}

static void one_element_per_group_is_legal(void)
{
    world v = make_world((norm_case){ 2, 1, 1, 5, 5, VDNI_NORM_GROUP, 0, 0, 0 }, VDNI_F32);
    vdni_op op = forward_op(&v);
    EXPECT(op_run(&op, 1) == VDN_OK);
    for (int64_t i = 0; i < 10; i++) {
        EXPECT(op_get(&v.y, i) == op_get(&v.beta, i % 5));
        EXPECT(op_get(&v.stats, 2 * i + 1) == (double)(float)(1 / sqrt((double)eps)));
    }
    free_world(&v);
}

static void nan_reaches_the_output(void)
{
    world v = make_world(cases[1], VDNI_F32);
    vdni_op op = forward_op(&v);
    op_set(&v.x, 0, NAN);
    EXPECT(op_run(&op, 1) == VDN_OK);
    EXPECT(isnan(op_get(&v.y, 0)) && isnan(op_get(&v.stats, 0)));
    free_world(&v);
}

static void wrong_calls_are_refused(void)
{
    world v = make_world(cases[1], VDNI_F32);
    vdni_tensor other = op_tensor(1, 1, 1, 7, VDNI_F32), bytes = op_tensor(2, 7, 5, 6, VDNI_U8);
    vdni_op op = forward_op(&v);
    vdni_op bad = op;
    bad.a.groups = 4; /* does not divide 6 */
    op_expect_refused(&bad);
    bad = op;
    bad.a.eps = 0;
    op_expect_refused(&bad);
    bad = op;
    bad.a.mode = 3;
    op_expect_refused(&bad);
    bad = op;
    bad.a.mode = VDNI_NORM_BATCH_EVAL; /* running is missing */
    op_expect_refused(&bad);
    bad = op;
    bad.in[4] = &v.running; /* and here it makes no sense */
    op_expect_refused(&bad);
    for (int i = 1; i < 4; i++) {
        bad = op;
        bad.in[i] = &other;
        op_expect_refused(&bad);
    }
    bad = op;
    bad.out[0] = &bytes;
    op_expect_refused(&bad);
    bad = op;
    bad.out[1] = &other;
    op_expect_refused(&bad);
    op_free(&other);
    op_free(&bytes);
    free_world(&v);
}

static void run_all(void)
{
    RUN(forward_matches_the_definitions);
    RUN(y_may_have_another_type_than_x);
    RUN(backward_matches_the_slopes);
    RUN(statistics_survive_a_large_mean_and_a_zero_border);
    RUN(one_element_per_group_is_legal);
    RUN(nan_reaches_the_output);
    RUN(wrong_calls_are_refused);
}

int main(void)
{
    printf("plain C\n");
    run_all();
    printf("fast forms, where this processor has them\n");
    op_flags = 0;
    run_all();
    return test_result();
}
