#include "Ops/loss.h"
#include "op_test.h"

/* All inputs as doubles, NCHW; labels stay labels. */
typedef struct {
    int64_t n, k, pixels;
    double *s, *eps, *target, *weights, *class_weights; /* class_weights may be NULL */
    int64_t own; /* class weights of an image, where each has its own */
    double lambda[3], focal;
    int per_pixel;
} problem;

static double softmax_of(const problem *q, int64_t image, int64_t pixel, int64_t channel)
{
    const double *s = q->s + image * q->k * q->pixels + pixel;
    if (q->k == 1) return 1 / (1 + exp(-s[0]));
    double sum = 0;
    for (int64_t j = 0; j < q->k; j++) sum += exp(s[j * q->pixels] - s[channel * q->pixels]);
    return 1 / sum;
}

static double mask_of(const problem *q, int64_t image, int64_t pixel, int64_t channel)
{
    const double label = q->target[image * q->pixels + pixel];
    if (q->k == 1) return label;
    return label == (double)channel;
}

static int counts(const problem *q, int64_t image, int64_t pixel)
{
    return q->target[image * q->pixels + pixel] < (q->k == 1 ? 2 : (double)q->k);
}

static double dice_of(const problem *q, int64_t image, int64_t channel)
{
    double both = 0, sum = 0;
    for (int64_t i = 0; i < q->pixels; i++) {
        if (!counts(q, image, i)) continue;
        const double p = softmax_of(q, image, i, channel), m = mask_of(q, image, i, channel);
        both += p * m;
        sum += p + m;
    }
    return 1 - (2 * both + 1) / (sum + 1);
}

/* terms[4] of one image straight from the formulas of loss.h. */
static void oracle_terms(const problem *q, int64_t image, double terms[4])
{
    double valid = 0, squares = 0, ce = 0, weight = 0;
    memset(terms, 0, 4 * sizeof *terms);
    for (int64_t i = 0; i < q->pixels; i++) {
        if (!counts(q, image, i)) continue;
        const int label = (int)q->target[image * q->pixels + i];
        const double c = q->class_weights ? q->class_weights[image * q->own + label] : 1;
        valid += 1;
        weight += c;
        for (int64_t j = 0; j < q->k; j++) {
            const double p = softmax_of(q, image, i, j), m = mask_of(q, image, i, j);
            squares += (p - m) * (p - m);
            const double given = q->k > 1 || m > 0 ? p : 1 - p; /* to the label */
            if (q->k == 1 || m > 0) ce -= c * pow(1 - given, q->focal) * log(given);
        }
    }
    if (valid == 0) return;
    terms[1] = q->weights[2 * image] * 4 * squares / (valid * (double)q->k);
    terms[2] = ce / (q->per_pixel ? valid : weight);
    if (q->k == 1)
        terms[3] = dice_of(q, image, 0);
    else
        for (int64_t j = 1; j < q->k; j++) terms[3] += dice_of(q, image, j) / (double)(q->k - 1);
    for (int i = 0; i < 3; i++) terms[0] += q->lambda[i] * terms[i + 1];
}

static double oracle_loss(void *user)
{
    const problem *q = user;
    double sum = 0;
    for (int64_t i = 0; i < q->n; i++) {
        double terms[4];
        oracle_terms(q, i, terms);
        sum += q->weights[2 * i + 1] * terms[0];
    }
    return sum;
}

static void noise_terms(const problem *q, int64_t image, double terms[4])
{
    double count = 0;
    memset(terms, 0, 4 * sizeof *terms);
    for (int64_t j = 0; j < q->k; j++) {
        for (int64_t i = 0; i < q->pixels; i++) {
            if (q->target[image * q->pixels + i] == 255) continue;
            const double z = q->s[(image * q->k + j) * q->pixels + i];
            const double e = q->eps[(image * q->k + j) * q->pixels + i];
            terms[1] += (e - z) * (e - z);
            terms[2] += log(1 + exp(z)) - e * z;
            count += 1;
        }
    }
    for (int i = 1; i < 3 && count > 0; i++) terms[i] /= count;
    terms[0] = terms[1] + terms[2];
}

static double noise_loss(void *user)
{
    const problem *q = user;
    double sum = 0;
    for (int64_t i = 0; i < q->n; i++) {
        double terms[4];
        noise_terms(q, i, terms);
        sum += q->weights[2 * i + 1] * terms[0];
    }
    return sum;
}

typedef struct {
    vdni_tensor s, eps, target, weights, class_weights, ds, terms;
    vdni_op op;
    problem q;
} fixture;

/* @p weighted: 1 class weights for all images, 2 each image its own.
 * Image 1, where there is one, has no valid pixel; a tenth of the others' pixels are not valid. */
static fixture setup(vdni_op_kind kind, int64_t n, int64_t h, int64_t w, int64_t k, int weighted,
                     uint64_t *seed)
{
    const int64_t classes = k > 2 ? k : 2;
    fixture f = { .s = op_random(n, h, w, k, VDNI_F32, seed),
                  .eps = op_random(n, h, w, k, VDNI_F32, seed),
                  .target = op_tensor(n, h, w, 1, VDNI_U8),
                  .weights = op_tensor(n, 1, 1, 2, VDNI_F32),
                  .class_weights = op_tensor(weighted > 1 ? n : 1, 1, 1, classes, VDNI_F32),
                  .ds = op_tensor(n, h, w, k, VDNI_F32),
                  .terms = op_tensor(n, 1, 1, 4, VDNI_F32) };
    op_randomize(&f.s, seed, 4, 0);
    op_randomize(&f.eps, seed, 2, 0);
    op_randomize(&f.weights, seed, 0.5, 1);
    op_randomize(&f.class_weights, seed, 0.9, 1);
    for (int64_t i = 0; i < n * h * w; i++) {
        const uint64_t draw = test_random_bits(seed);
        const int ignored = i / (h * w) == 1 || draw % 10 == 0;
        op_set(&f.target, i, ignored ? 255.0 : (double)(draw / 16 % (uint64_t)classes));
    }
    f.op.kind = kind;
    const float lambda[3] = { 0.7f, 1.1f, 0.6f };
    memcpy(f.op.a.lambda, lambda, sizeof lambda);
    f.q.n = n, f.q.k = k, f.q.pixels = h * w;
    for (int i = 0; i < 3; i++) f.q.lambda[i] = (double)lambda[i];
    f.q.s = op_doubles(&f.s);
    f.q.eps = op_doubles(&f.eps);
    f.q.target = op_doubles(&f.target);
    f.q.weights = op_doubles(&f.weights);
    f.q.class_weights = weighted ? op_doubles(&f.class_weights) : NULL;
    f.q.own = weighted > 1 ? classes : 0;
    return f;
}

static void connect(fixture *f)
{
    const int is_noise = f->op.kind == VDNI_OP_NOISE_LOSS;
    f->op.in[0] = &f->s;
    f->op.in[1] = is_noise ? &f->eps : &f->target;
    f->op.in[2] = is_noise ? &f->target : &f->weights;
    f->op.in[3] = is_noise ? &f->weights : f->q.class_weights ? &f->class_weights : NULL;
    f->op.out[0] = &f->ds;
    f->op.out[1] = &f->terms;
}

static void teardown(fixture *f)
{
    vdni_tensor *all[] = { &f->s,  &f->eps,  &f->target, &f->weights, &f->class_weights,
                           &f->ds, &f->terms };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) op_free(all[i]);
    free(f->q.s);
    free(f->q.eps);
    free(f->q.target);
    free(f->q.weights);
    free(f->q.class_weights);
}

typedef struct {
    int weighted, per_pixel;
    float focal;
} manner;

static void check_case(vdni_op_kind kind, const int64_t *size, int64_t k, manner m)
{
    const int64_t n = size[0], h = size[1], w = size[2];
    uint64_t seed = (uint64_t)(n * 1000 + h * 100 + w * 10 + k);
    fixture f = setup(kind, n, h, w, k, m.weighted, &seed);
    connect(&f);
    f.op.a.mode = f.q.per_pixel = m.per_pixel;
    f.op.a.scale = m.focal;
    f.q.focal = (double)m.focal;
    EXPECT(op_run(&f.op, 1) == VDN_OK);
    for (int64_t i = 0; i < n; i++) {
        double terms[4];
        if (kind == VDNI_OP_NOISE_LOSS)
            noise_terms(&f.q, i, terms);
        else
            oracle_terms(&f.q, i, terms);
        for (int t = 0; t < 4; t++) /* each term is rounded to f32; its sum ran in double */
            EXPECT_LE(fabs(op_get(&f.terms, 4 * i + t) - terms[t]), 2e-6 * (1 + fabs(terms[t])));
    }
    for (int64_t i = 0; i < n * h * w; i++)
        for (int64_t j = 0; j < k && op_get(&f.target, i) == 255; j++)
            EXPECT_LE(fabs(op_get(&f.ds, i * k + j)), 0);
    op_expect_slopes(&f.ds, NULL, kind == VDNI_OP_NOISE_LOSS ? noise_loss : oracle_loss, &f.q,
                     f.q.s);
    op_expect_same_for_threads(&f.op, NULL);
    teardown(&f);
}

static void losses_and_gradients_follow_the_equations(void)
{
    static const int64_t sizes[][3] = { { 1, 1, 1 }, { 3, 7, 5 }, { 2, 1, 13 }, { 1, 37, 23 } };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        static const manner manners[] = { { 0, 0, 0.0f }, { 1, 0, 0.0f }, { 1, 1, 0.0f },
                                          { 0, 0, 2.0f }, { 1, 1, 0.7f }, { 2, 0, 0.0f },
                                          { 2, 1, 0.7f } };
        for (int64_t k = 1; k <= 5; k++) {
            for (int m = 0; m < 7; m++)
                check_case(VDNI_OP_SEGMENTATION_LOSS, sizes[i], k, manners[m]);
            check_case(VDNI_OP_NOISE_LOSS, sizes[i], k, manners[0]);
        }
    }
}

/* A pixel that is certainly right or certainly wrong: no NaN from 0 log 0 or from 0^(f-1). */
static void the_focal_factor_has_both_ends(void)
{
    for (int64_t k = 1; k <= 2; k++) {
        uint64_t seed = 4;
        fixture f = setup(VDNI_OP_SEGMENTATION_LOSS, 1, 1, 2, k, 0, &seed);
        connect(&f);
        f.op.a.scale = 0.5f;
        f.op.a.lambda[0] = f.op.a.lambda[2] = 0.0f;
        f.op.a.lambda[1] = 1.0f;
        op_set(&f.weights, 1, 1.0);
        for (int64_t i = 0; i < 2; i++) {
            op_set(&f.target, i, 1);
            op_set(&f.s, i * k + k - 1, i ? 200.0 : -200.0);
            if (k == 2) op_set(&f.s, i * k, 0.0);
        }
        EXPECT(op_run(&f.op, 1) == VDN_OK);
        EXPECT_LE(fabs(op_get(&f.terms, 2) - 100.0), 1e-3); /* 200 and 0 over two pixels */
        EXPECT_LE(fabs(op_get(&f.ds, k - 1) + 0.5), 1e-6);
        EXPECT_LE(fabs(op_get(&f.ds, 2 * k - 1)), 1e-6);
        teardown(&f);
    }
}

/* Logits far out: p is 0 or 1 in float, the loss is still the finite one of the formula. */
static void large_logits_stay_finite(void)
{
    static const double logits[] = { -90, -40, 40, 90 };
    for (int64_t k = 1; k <= 2; k++) {
        uint64_t seed = 4;
        fixture f = setup(VDNI_OP_SEGMENTATION_LOSS, 1, 2, 2, k, 0, &seed);
        connect(&f);
        for (int64_t i = 0; i < 4; i++) {
            op_set(&f.s, i * k, logits[i]);
            if (k == 2) op_set(&f.s, i * k + 1, -logits[i]);
            op_set(&f.target, i, 1);
        }
        EXPECT(op_run(&f.op, 1) == VDN_OK);
        /* label 1 costs 90 + 40 where the margin is on the wrong side; k = 2 doubles the margin */
        EXPECT_LE(fabs(op_get(&f.terms, 2) - (k == 1 ? 32.5 : 65.0)), 1e-4);
        for (int64_t i = 0; i < 4 * k; i++) EXPECT(isfinite(op_get(&f.ds, i)));
        teardown(&f);
    }
}

/* A NaN where a pixel counts must reach the total; where it does not count it must not. */
static void not_a_number_is_not_hidden(void)
{
    for (int64_t k = 1; k <= 3; k++) {
        uint64_t seed = 8;
        fixture f = setup(VDNI_OP_SEGMENTATION_LOSS, 1, 5, 5, k, 0, &seed);
        connect(&f);
        op_set(&f.target, 7, 255);
        op_set(&f.s, 7 * k, NAN);
        EXPECT(op_run(&f.op, 1) == VDN_OK);
        EXPECT(isfinite(op_get(&f.terms, 0)) && op_get(&f.ds, 7 * k) == 0);
        op_set(&f.target, 7, 1);
        EXPECT(op_run(&f.op, 1) == VDN_OK);
        EXPECT(isnan(op_get(&f.terms, 0)) && isnan(op_get(&f.ds, 7 * k)));
        teardown(&f);
    }
}

/* A label that is no class counts as little as 255 and reads no class weight. */
static void labels_beyond_the_classes_are_ignored(void)
{
    for (int64_t k = 1; k <= 3; k += 2) {
        uint64_t seed = 5;
        fixture f = setup(VDNI_OP_SEGMENTATION_LOSS, 1, 6, 6, k, 1, &seed);
        vdni_tensor terms = op_copy(&f.terms);
        connect(&f);
        EXPECT(op_run(&f.op, 1) == VDN_OK);
        memcpy(terms.data, f.terms.data, (size_t)vdni_tensor_bytes(&terms));
        for (int64_t i = 0; i < 36; i++)
            if (op_get(&f.target, i) == 255) op_set(&f.target, i, k == 1 ? 2.0 : 3.0 + (double)i);
        EXPECT(op_run(&f.op, 1) == VDN_OK);
        EXPECT(op_same_bits(&terms, &f.terms));
        op_free(&terms);
        teardown(&f);
    }
}

static void an_image_does_not_depend_on_its_batch(void)
{
    uint64_t seed = 6;
    fixture f = setup(VDNI_OP_SEGMENTATION_LOSS, 3, 9, 8, 2, 0, &seed);
    connect(&f);
    EXPECT(op_run(&f.op, 3) == VDN_OK);
    vdni_tensor part[5] = { f.s, f.target, f.weights, f.ds, f.terms };
    vdni_tensor ds = op_tensor(1, 9, 8, 2, VDNI_F32), terms = op_tensor(1, 1, 1, 4, VDNI_F32);
    for (int i = 0; i < 5; i++) {
        const int64_t bytes = vdni_tensor_bytes(&part[i]) / 3;
        part[i].n = 1;
        part[i].data = (char *)part[i].data + 2 * bytes;
    }
    vdni_op op = f.op;
    op.in[0] = &part[0], op.in[1] = &part[1], op.in[2] = &part[2];
    op.out[0] = &ds, op.out[1] = &terms;
    EXPECT(op_run(&op, 1) == VDN_OK);
    EXPECT(op_same_bits(&ds, &part[3]) && op_same_bits(&terms, &part[4]));
    op_free(&ds);
    op_free(&terms);
    teardown(&f);
}

static void wrong_tensors_are_refused(void)
{
    for (int which = 0; which < 10; which++) {
        uint64_t seed = 7;
        fixture f = setup(VDNI_OP_SEGMENTATION_LOSS, 2, 3, 4, 3, 2, &seed);
        fixture g = setup(VDNI_OP_NOISE_LOSS, 2, 3, 4, 3, 0, &seed);
        connect(&f);
        connect(&g);
        if (which == 0) f.s.dtype = g.s.dtype = VDNI_BF16;
        if (which == 1) f.target.w = g.target.w = 3;
        if (which == 2) f.target.dtype = g.target.dtype = VDNI_I32;
        if (which == 3) f.weights.c = g.weights.c = 1;
        if (which == 4) f.class_weights.c = 2, g.eps.c = 2;
        if (which == 5) f.ds.c = g.ds.c = 2;
        if (which == 6) f.terms.n = g.terms.n = 1;
        if (which == 7) f.op.a.scale = -1.0f;
        if (which == 8) f.op.a.mode = 2;
        if (which == 9) f.class_weights.n = 3;
        op_expect_refused(&f.op);
        if (which < 7) op_expect_refused(&g.op);
        f.s.dtype = g.s.dtype = VDNI_F32;
        f.target.w = g.target.w = 4, f.target.dtype = g.target.dtype = VDNI_U8;
        f.weights.c = g.weights.c = 2, f.class_weights.c = 3, f.class_weights.n = 2, g.eps.c = 3;
        f.ds.c = g.ds.c = 3, f.terms.n = g.terms.n = 2;
        teardown(&f);
        teardown(&g);
    }
}

int main(void)
{
    RUN(losses_and_gradients_follow_the_equations);
    RUN(the_focal_factor_has_both_ends);
    RUN(large_logits_stay_finite);
    RUN(not_a_number_is_not_hidden);
    RUN(labels_beyond_the_classes_are_ignored);
    RUN(an_image_does_not_depend_on_its_batch);
    RUN(wrong_tensors_are_refused);
    return test_result();
}
