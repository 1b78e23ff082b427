#include "Ops/process_loss.h"
#include "op_test.h"

/* All inputs as doubles, NCHW; labels stay labels. */
typedef struct {
    int64_t n, k, pixels, width;
    double *z, *second, *f, *target, *weights;
    double *detached; /* z as it is for what has no slope */
    double lambda[3];
} problem;

typedef void terms_of(const problem *q, int64_t image, double terms[4]);

static int counts(const problem *q, int64_t image, int64_t pixel)
{ return q->target[image * q->pixels + pixel] < (q->k == 1 ? 2 : (double)q->k); }

static double mask_of(const problem *q, int64_t image, int64_t pixel, int64_t channel)
{
    const double label = q->target[image * q->pixels + pixel];
    return q->k == 1 ? label : label == (double)channel;
}

static double gauss_kl(double mean_difference, double true_variance, double log_variance)
{
    return 0.5 * (log_variance - log(true_variance) +
                  (true_variance + mean_difference * mean_difference) / exp(log_variance) - 1);
}

static void epsilon_terms(const problem *q, int64_t image, double terms[4])
{
    const double *w = q->weights + 8 * image;
    double count = 0;
    memset(terms, 0, 4 * sizeof *terms);
    for (int64_t j = 0; j < q->k; j++)
        for (int64_t i = 0; i < q->pixels; i++) {
            if (!counts(q, image, i)) continue;
            const int64_t at = (image * q->width + j) * q->pixels + i;
            const double eps = q->second[(image * q->k + j) * q->pixels + i];
            const double m = mask_of(q, image, i, j);
            const double p = fmax(1e-4, fmin(1 - 1e-4, m + w[2] * (eps - q->z[at])));
            count += 1;
            terms[1] += w[0] * (eps - q->z[at]) * (eps - q->z[at]);
            terms[2] -= w[3] * (m > 0 ? log(p) : log(1 - p));
            if (q->width == q->k) continue;
            const double v = q->z[at + q->k * q->pixels], d = w[6] * (eps - q->detached[at]);
            const double l = (v + 1) / 2 * w[4] + (1 - (v + 1) / 2) * w[5];
            terms[3] += w[7] > 0 ? 0.5 * (log(2 * 3.14159265358979323846) + l + d * d / exp(l))
                                 : gauss_kl(d, exp(w[5]), l);
        }
    for (int i = 1; i < 4; i++) {
        terms[i] = q->lambda[i - 1] > 0 && count > 0 ? terms[i] / count : 0;
        terms[0] += q->lambda[i - 1] * terms[i];
    }
}

/* P(x_s = 1 | x_t = x, x_0 = y) from the two conditional tables, y between 0 and 1. */
static double posterior(double x, double y, double f, const double *w)
{
    const double alpha = 1 - w[0], before = w[1] * y + w[3] * f;
    const double from_one = alpha + (1 - alpha) * f, from_none = (1 - alpha) * f; /* to 1 */
    const double one = before * (x > 0 ? from_one : 1 - from_one);
    const double none = (1 - before) * (x > 0 ? from_none : 1 - from_none);
    return one / (one + none);
}

static double bernoulli_kl(double p, double q)
{ return (p > 0 ? p * log(p / q) : 0) + (p < 1 ? (1 - p) * log((1 - p) / (1 - q)) : 0); }

static void bernoulli_terms(const problem *q, int64_t image, double terms[4])
{
    double count = 0;
    memset(terms, 0, 4 * sizeof *terms);
    for (int64_t j = 0; j < q->k; j++)
        for (int64_t i = 0; i < q->pixels; i++) {
            if (!counts(q, image, i)) continue;
            const int64_t at = (image * q->k + j) * q->pixels + i;
            const double x = q->second[at], m = mask_of(q, image, i, j), e = fabs(x - m);
            const double s = 1 / (1 + exp(-q->z[at])), *w = q->weights + 4 * image;
            count += 1;
            terms[1] +=
                bernoulli_kl(posterior(x, m, q->f[at], w), posterior(x, fabs(x - s), q->f[at], w));
            terms[2] -= e > 0 ? log(s) : log(1 - s);
        }
    for (int i = 1; i < 3 && count > 0; i++) terms[i] /= count;
    terms[0] = q->lambda[0] * terms[1] + q->lambda[1] * terms[2];
}

static double sum_of(const problem *q, terms_of *of, int64_t stride, int scale)
{
    double sum = 0;
    for (int64_t i = 0; i < q->n; i++) {
        double terms[4];
        of(q, i, terms);
        sum += q->weights[stride * i + scale] * terms[0];
    }
    return sum;
}

static double epsilon_loss(void *user) { return sum_of(user, epsilon_terms, 8, 1); }
static double bernoulli_loss(void *user) { return sum_of(user, bernoulli_terms, 4, 2); }

typedef struct {
    vdni_tensor z, second, f, target, weights, dz, terms;
    vdni_op op;
    problem q;
} fixture;

/* Weights of an image: a late time, a middle one, and the first one in turn. */
static void set_weights(fixture *f, int is_epsilon)
{
    static const double epsilon[3][8] = { { 1, 0.7, 0.3, 0.6, -4.6, -4.9, 0.05, 0 },
                                          { 0.4, 1.3, 0.2, 0.9, -5.5, -5.6, 0.02, 0 },
                                          { 0.1, 0.9, 0.1, 1, -9.2, -9.9, 0.01, 1 } };
    static const double bernoulli[3][4] = { { 0.02, 0.3, 0.7, 0.7 },
                                            { 0.1, 0.8, 1.3, 0.2 },
                                            { 0.001, 1, 0.9, 0 } };
    const int count = is_epsilon ? 8 : 4;
    for (int64_t n = 0; n < f->z.n; n++)
        for (int i = 0; i < count; i++)
            op_set(&f->weights, n * count + i,
                   is_epsilon ? epsilon[n % 3][i] : bernoulli[n % 3][i]);
}

/* Image 1, where there is one, has no pixel that counts; a tenth of the others' do not. */
static fixture setup(vdni_op_kind kind, const int64_t *size, int64_t k, int learned, uint64_t *seed)
{
    const int64_t n = size[0], h = size[1], w = size[2], classes = k > 2 ? k : 2;
    const int64_t width = learned ? 2 * k : k;
    const int is_epsilon = kind == VDNI_OP_EPSILON_LOSS;
    fixture f = { .z = op_random(n, h, w, width, VDNI_F32, seed),
                  .second = op_random(n, h, w, k, VDNI_F32, seed),
                  .f = op_random(n, h, w, k, VDNI_F32, seed),
                  .target = op_tensor(n, h, w, 1, VDNI_U8),
                  .weights = op_tensor(n, 1, 1, is_epsilon ? 8 : 4, VDNI_F32),
                  .dz = op_tensor(n, h, w, width, VDNI_F32),
                  .terms = op_tensor(n, 1, 1, 4, VDNI_F32) };
    const float lambda[3] = { 0.7f, 1.1f, learned ? 0.6f : 0.0f };
    op_randomize(&f.z, seed, 2, 0);
    op_randomize(&f.f, seed, 0.48, 0.5);
    for (int64_t i = 0; i < n * h * w * k && !is_epsilon; i++)
        op_set(&f.second, i, (double)(test_random_bits(seed) % 2));
    for (int64_t i = 0; i < n * h * w; i++) {
        const uint64_t draw = test_random_bits(seed);
        const int ignored = i / (h * w) == 1 || draw % 10 == 0;
        op_set(&f.target, i, ignored ? 255.0 : (double)(draw / 16 % (uint64_t)classes));
    }
    set_weights(&f, is_epsilon);
    f.op.kind = kind;
    memcpy(f.op.a.lambda, lambda, sizeof lambda);
    f.q = (problem){ .n = n, .k = k, .pixels = h * w, .width = width };
    for (int i = 0; i < 3; i++) f.q.lambda[i] = (double)lambda[i];
    f.q.z = op_doubles(&f.z);
    f.q.detached = op_doubles(&f.z);
    f.q.second = op_doubles(&f.second);
    f.q.f = op_doubles(&f.f);
    f.q.target = op_doubles(&f.target);
    f.q.weights = op_doubles(&f.weights);
    return f;
}

static void connect(fixture *f)
{
    const int is_epsilon = f->op.kind == VDNI_OP_EPSILON_LOSS;
    f->op.in[0] = &f->z;
    f->op.in[1] = &f->second;
    f->op.in[2] = is_epsilon ? &f->target : &f->f;
    f->op.in[3] = is_epsilon ? &f->weights : &f->target;
    f->op.in[4] = is_epsilon ? NULL : &f->weights;
    f->op.out[0] = &f->dz;
    f->op.out[1] = &f->terms;
}

static void teardown(fixture *f)
{
    vdni_tensor *all[] = { &f->z, &f->second, &f->f, &f->target, &f->weights, &f->dz, &f->terms };
    double *doubles[] = { f->q.z, f->q.detached, f->q.second, f->q.f, f->q.target, f->q.weights };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) op_free(all[i]);
    for (size_t i = 0; i < sizeof doubles / sizeof doubles[0]; i++) free(doubles[i]);
}

static void check_case(vdni_op_kind kind, const int64_t *size, int64_t k, int learned)
{
    const int is_epsilon = kind == VDNI_OP_EPSILON_LOSS;
    uint64_t seed = (uint64_t)(size[0] * 1000 + size[1] * 100 + size[2] * 10 + k);
    fixture f = setup(kind, size, k, learned, &seed);
    connect(&f);
    EXPECT(op_run(&f.op, 1) == VDN_OK);
    for (int64_t i = 0; i < f.q.n; i++) {
        double terms[4];
        (is_epsilon ? epsilon_terms : bernoulli_terms)(&f.q, i, terms);
        for (int t = 0; t < 4; t++)
            EXPECT_LE(fabs(op_get(&f.terms, 4 * i + t) - terms[t]), 2e-6 * (1 + fabs(terms[t])));
    }
    for (int64_t i = 0; i < f.q.n * f.q.pixels; i++)
        for (int64_t j = 0; j < f.q.width && op_get(&f.target, i) == 255; j++)
            EXPECT_LE(fabs(op_get(&f.dz, i * f.q.width + j)), 0);
    op_expect_slopes(&f.dz, NULL, is_epsilon ? epsilon_loss : bernoulli_loss, &f.q, f.q.z);
    op_expect_same_for_threads(&f.op, NULL);
    teardown(&f);
}

static const int64_t sizes[][3] = { { 1, 1, 1 }, { 3, 7, 5 }, { 2, 1, 13 }, { 1, 37, 23 } };

static void losses_on_normal_noise_follow_the_equations(void)
{
    for (int i = 0; i < 4; i++)
        for (int64_t k = 1; k <= 3; k++)
            for (int learned = 0; learned < 2; learned++)
                check_case(VDNI_OP_EPSILON_LOSS, sizes[i], k, learned);
}

static void losses_on_flips_follow_the_equations(void)
{
    for (int i = 0; i < 4; i++)
        for (int64_t k = 1; k <= 3; k++) check_case(VDNI_OP_BERNOULLI_LOSS, sizes[i], k, 0);
}

/* z = eps and v at the posterior's end: nothing is left to learn. */
static void a_perfect_estimate_costs_nothing(void)
{
    uint64_t seed = 3;
    fixture f = setup(VDNI_OP_EPSILON_LOSS, sizes[3], 1, 1, &seed);
    connect(&f);
    for (int64_t i = 0; i < f.q.pixels; i++) {
        op_set(&f.z, 2 * i, op_get(&f.second, i));
        op_set(&f.z, 2 * i + 1, -1.0);
    }
    EXPECT(op_run(&f.op, 1) == VDN_OK);
    EXPECT_LE(fabs(op_get(&f.terms, 1)), 0);
    EXPECT_LE(fabs(op_get(&f.terms, 3)), 1e-7);
    for (int64_t i = 0; i < f.q.pixels; i++) EXPECT_LE(fabs(op_get(&f.dz, 2 * i + 1)), 1e-9);
    teardown(&f);
}

/* Logits far out, at the first time too, where the posterior is certain. */
static void certain_flips_stay_finite(void)
{
    uint64_t seed = 4;
    fixture f = setup(VDNI_OP_BERNOULLI_LOSS, sizes[3], 1, 0, &seed);
    connect(&f);
    for (int first = 0; first < 2; first++) {
        op_set(&f.weights, 1, first ? 1.0 : 0.5);
        op_set(&f.weights, 3, first ? 0.0 : 0.5);
        for (int64_t i = 0; i < f.q.pixels; i++) op_set(&f.z, i, i % 2 ? 300 : -300);
        EXPECT(op_run(&f.op, 1) == VDN_OK);
        EXPECT(isfinite(op_get(&f.terms, 0)));
        for (int64_t i = 0; i < f.q.pixels; i++) EXPECT(isfinite(op_get(&f.dz, i)));
    }
    teardown(&f);
}

static void wrong_tensors_are_refused(void)
{
    for (int which = 0; which < 7; which++) {
        uint64_t seed = 7;
        fixture f = setup(VDNI_OP_EPSILON_LOSS, sizes[1], 3, 1, &seed);
        fixture g = setup(VDNI_OP_BERNOULLI_LOSS, sizes[1], 3, 0, &seed);
        vdni_tensor wide = op_tensor(3, 7, 5, 4, VDNI_F32);
        connect(&f);
        connect(&g);
        fixture *both[2] = { &f, &g };
        for (int i = 0; i < 2; i++) {
            vdni_op *op = &both[i]->op;
            if (which == 0) op->in[0] = &wide;
            if (which == 1) op->in[1] = &wide;
            if (which == 2) op->out[0] = &wide;
            if (which == 3) op->out[1] = &both[i]->target;
            if (which == 4) op->in[i ? 4 : 3] = &both[i]->terms;
            if (which == 5) op->a.lambda[0] = -1.0f;
            if (which == 6) op->in[i ? 3 : 2] = &both[i]->second;
            if (which == 4 && i == 1) continue; /* four values as well */
            op_expect_refused(op);
        }
        op_free(&wide);
        teardown(&f);
        teardown(&g);
    }
    uint64_t seed = 8; /* lambda of a variance that z lacks */
    fixture f = setup(VDNI_OP_EPSILON_LOSS, sizes[1], 3, 0, &seed);
    connect(&f);
    f.op.a.lambda[2] = 1.0f;
    op_expect_refused(&f.op);
    teardown(&f);
}

int main(void)
{
    RUN(losses_on_normal_noise_follow_the_equations);
    RUN(losses_on_flips_follow_the_equations);
    RUN(a_perfect_estimate_costs_nothing);
    RUN(certain_flips_stay_finite);
    RUN(wrong_tensors_are_refused);
    return test_result();
}
