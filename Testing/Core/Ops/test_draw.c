#include "Ops/draw.h"
#include "op_test.h"

static const int64_t sizes[][4] = {
    { 1, 1, 1, 1 }, { 3, 7, 5, 2 }, { 1, 131, 127, 1 }, { 2, 37, 53, 5 }
};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

typedef struct {
    vdni_tensor a, b, noise, q, y;
    vdni_op op;
} fixture;

static fixture setup(vdni_op_kind kind, const int64_t *s, uint64_t *seed)
{
    fixture f = { .a = op_random(s[0], s[1], s[2], s[3], VDNI_F32, seed),
                  .b = op_random(s[0], s[1], s[2], s[3], VDNI_F32, seed),
                  .noise = op_random(s[0], s[1], s[2], s[3], VDNI_F32, seed),
                  .q = op_random(s[0], 1, 1, 4, VDNI_F32, seed),
                  .y = op_tensor(s[0], s[1], s[2], s[3], VDNI_F32) };
    f.op.kind = kind;
    return f;
}

static void connect(fixture *f)
{
    f->op.in[0] = &f->a;
    f->op.in[1] = f->op.kind == VDNI_OP_DRAW ? &f->noise : &f->b;
    f->op.in[2] = f->op.kind == VDNI_OP_ANCESTRAL ? &f->noise : NULL;
    f->op.in[3] = f->op.kind == VDNI_OP_ANCESTRAL ? &f->q : NULL;
    f->op.out[0] = &f->y;
}

static void teardown(fixture *f)
{
    op_free(&f->a);
    op_free(&f->b);
    op_free(&f->noise);
    op_free(&f->q);
    op_free(&f->y);
}

static void ancestral_adds_noise_of_the_learned_size(void)
{
    uint64_t seed = 1;
    for (int i = 0; i < SIZES; i++) {
        fixture f = setup(VDNI_OP_ANCESTRAL, sizes[i], &seed);
        connect(&f);
        EXPECT(op_run(&f.op, 1) == VDN_OK);
        double *m = op_doubles(&f.a), *v = op_doubles(&f.b), *e = op_doubles(&f.noise);
        double *q = op_doubles(&f.q);
        const int64_t image = vdni_tensor_count(&f.y) / f.y.n;
        for (int64_t k = 0; k < image * f.y.n; k++)
            m[k] += exp(q[k / image * 4] * v[k] + q[k / image * 4 + 1]) * e[k];
        EXPECT_NEAR(&f.y, m);
        op_expect_same_for_threads(&f.op, NULL);
        free(m);
        free(v);
        free(e);
        free(q);
        teardown(&f);
    }
}

/* A coin of probability Phi(x) shows 1 exactly where the noise is below x. */
static void a_coin_compares_with_the_distribution_of_the_noise(void)
{
    uint64_t seed = 2;
    for (int i = 0; i < SIZES; i++) {
        fixture f = setup(VDNI_OP_DRAW, sizes[i], &seed);
        int64_t ones = 0;
        connect(&f);
        op_randomize(&f.noise, &seed, 3, 0);
        for (int64_t k = 0; k < vdni_tensor_count(&f.y); k++) {
            const double x = 3 * test_random(&seed);
            op_set(&f.a, k, 0.5 * erfc(-x / sqrt(2.0)));
            op_set(&f.b, k, fabs(x - op_get(&f.noise, k)) > 1e-4 ? op_get(&f.noise, k) < x : 2.0);
        }
        EXPECT(op_run(&f.op, 1) == VDN_OK);
        for (int64_t k = 0; k < vdni_tensor_count(&f.y); k++) {
            const double wanted = op_get(&f.b, k), found = op_get(&f.y, k);
            EXPECT(found == 0 || found == 1);
            EXPECT(wanted > 1 || found == wanted);
            ones += found == 1;
        }
        if (i > 0) EXPECT(ones > 0 && ones < vdni_tensor_count(&f.y));
        op_expect_same_for_threads(&f.op, NULL);
        teardown(&f);
    }
}

static void certain_coins_and_no_number(void)
{
    static const double p[5] = { 0, 1, NAN, -1, 2 }, shown[5] = { 0, 1, NAN, 0, 1 };
    uint64_t seed = 3;
    const int64_t size[4] = { 1, 1, 5, 1 };
    fixture f = setup(VDNI_OP_DRAW, size, &seed);
    connect(&f);
    for (int k = 0; k < 5; k++) op_set(&f.a, k, p[k]);
    for (double e = -5; e <= 5; e += 2.5) {
        for (int k = 0; k < 5; k++) op_set(&f.noise, k, e);
        EXPECT(op_run(&f.op, 1) == VDN_OK);
        for (int k = 0; k < 5; k++)
            EXPECT(k == 2 ? isnan(op_get(&f.y, k)) : op_get(&f.y, k) == shown[k]);
    }
    teardown(&f);
}

static void a_flip_turns_what_is_there(void)
{
    uint64_t seed = 4;
    for (int i = 0; i < SIZES; i++) {
        fixture f = setup(VDNI_OP_FLIP, sizes[i], &seed);
        connect(&f);
        op_randomize(&f.a, &seed, 5, 0);
        for (int64_t k = 0; k < vdni_tensor_count(&f.y); k++) op_set(&f.b, k, (double)(k % 2));
        EXPECT(op_run(&f.op, 1) == VDN_OK);
        double *z = op_doubles(&f.a), *x = op_doubles(&f.b);
        for (int64_t k = 0; k < vdni_tensor_count(&f.y); k++)
            z[k] = fabs(x[k] - 1 / (1 + exp(-z[k])));
        EXPECT_NEAR(&f.y, z);
        op_expect_same_for_threads(&f.op, NULL);
        free(z);
        free(x);
        teardown(&f);
    }
}

static void wrong_tensors_are_refused(void)
{
    static const vdni_op_kind kinds[3] = { VDNI_OP_ANCESTRAL, VDNI_OP_DRAW, VDNI_OP_FLIP };
    uint64_t seed = 5;
    for (int k = 0; k < 3; k++) {
        fixture f = setup(kinds[k], sizes[1], &seed);
        vdni_tensor small = op_tensor(3, 7, 5, 1, VDNI_F32);
        connect(&f);
        for (int i = 0; i < 4 && f.op.in[i]; i++) {
            vdni_op bad = f.op;
            bad.in[i] = &small;
            op_expect_refused(&bad);
            f.op.in[i]->dtype = VDNI_BF16;
            op_expect_refused(&f.op);
            f.op.in[i]->dtype = VDNI_F32;
        }
        f.op.out[0] = &small;
        op_expect_refused(&f.op);
        op_free(&small);
        teardown(&f);
    }
}

int main(void)
{
    RUN(ancestral_adds_noise_of_the_learned_size);
    RUN(a_coin_compares_with_the_distribution_of_the_noise);
    RUN(certain_coins_and_no_number);
    RUN(a_flip_turns_what_is_there);
    RUN(wrong_tensors_are_refused);
    return test_result();
}
