#include "Ops/diffuse.h"
#include "op_test.h"

static const int64_t sizes[][4] = {
    { 1, 1, 1, 1 }, { 3, 7, 5, 2 }, { 2, 1, 13, 3 }, { 1, 131, 127, 1 }, { 2, 37, 53, 5 }
};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

typedef struct {
    vdni_tensor term[4], coefficients, y;
    vdni_op op;
} fixture;

/* Bit i of @p present: term i is there; term 0 always is. */
static fixture *setup(const int64_t *s, unsigned present, uint64_t *seed)
{
    fixture *f = calloc(1, sizeof *f);
    for (int i = 0; i < 4; i++) f->term[i] = op_random(s[0], s[1], s[2], s[3], VDNI_F32, seed);
    f->coefficients = op_random(s[0], 1, 1, 4, VDNI_F32, seed);
    f->y = op_tensor(s[0], s[1], s[2], s[3], VDNI_F32);
    f->op.kind = VDNI_OP_COMBINE;
    f->op.in[0] = &f->term[0];
    f->op.in[1] = &f->coefficients;
    for (int i = 1; i < 4; i++) f->op.in[i + 1] = present >> i & 1u ? &f->term[i] : NULL;
    f->op.out[0] = &f->y;
    return f;
}

static void teardown(fixture *f)
{
    for (int i = 0; i < 4; i++) op_free(&f->term[i]);
    op_free(&f->coefficients);
    op_free(&f->y);
    free(f);
}

static double *oracle_sum(const fixture *f)
{
    double *sum = op_zeros(&f->y), *q = op_doubles(&f->coefficients);
    const int64_t image = vdni_tensor_count(&f->y) / f->y.n;
    for (int t = 0; t < 4; t++) {
        if (t > 0 && !f->op.in[t + 1]) continue;
        double *x = op_doubles(&f->term[t]);
        for (int64_t i = 0; i < image * f->y.n; i++) sum[i] += q[i / image * 4 + t] * x[i];
        free(x);
    }
    free(q);
    return sum;
}

static void combine_is_the_weighted_sum(void)
{
    uint64_t seed = 1;
    for (int i = 0; i < SIZES; i++) {
        for (unsigned present = 1; present < 16; present += 2) {
            fixture *f = setup(sizes[i], present, &seed);
            double *sum = oracle_sum(f);
            EXPECT(op_run(&f->op, 1) == VDN_OK);
            EXPECT_NEAR(&f->y, sum);
            op_expect_same_for_threads(&f->op, NULL);
            free(sum);
            teardown(f);
        }
    }
}

static void combine_is_cut_to_its_bound(void)
{
    uint64_t seed = 7;
    for (int i = 0; i < SIZES; i++) {
        fixture *f = setup(sizes[i], 15, &seed);
        double *sum = oracle_sum(f);
        op_set(&f->term[0], 0, NAN);
        f->op.a.scale = 0.4f;
        EXPECT(op_run(&f->op, 1) == VDN_OK);
        EXPECT(isnan(op_get(&f->y, 0)));
        double *found = op_doubles(&f->y);
        const double most = (double)f->op.a.scale;
        for (int64_t k = 1; k < vdni_tensor_count(&f->y); k++)
            EXPECT_LE(fabs(found[k] - fmax(-most, fmin(most, sum[k]))), 1e-6);
        free(found);
        free(sum);
        teardown(f);
    }
}

static void combine_works_in_place_on_every_term(void)
{
    uint64_t seed = 2;
    for (int t = 0; t < 4; t++) {
        fixture *f = setup(sizes[3], 15, &seed);
        double *sum = oracle_sum(f);
        f->op.out[0] = &f->term[t];
        EXPECT(op_run(&f->op, 2) == VDN_OK);
        EXPECT_NEAR(&f->term[t], sum);
        free(sum);
        teardown(f);
    }
}

static void encode_codes_probabilities(void)
{
    uint64_t seed = 3;
    for (int i = 0; i < SIZES; i++) {
        for (int mode = 0; mode < 4; mode++) {
            const int64_t *s = sizes[i], plane = s[1] * s[2];
            vdni_tensor x = op_random(s[0], s[1], s[2], s[3], VDNI_F32, &seed);
            vdni_tensor y = op_copy(&x), p = op_copy(&x);
            op_randomize(&x, &seed, 6, 0);
            vdni_op op = { .kind = VDNI_OP_ENCODE, .in = { &x }, .out = { &y } };
            op.a.mode = mode % 2;
            op.a.scale = 0.3f;
            if (mode > 1) op.out[1] = &p;
            EXPECT(op_run(&op, 1) == VDN_OK);
            double *in = op_doubles(&x), *out = op_zeros(&x), *code = op_zeros(&x);
            for (int64_t at = 0; at < vdni_tensor_count(&x); at++) {
                const int64_t pixel = at / (plane * s[3]) * plane * s[3] + at % plane;
                double sum = 0;
                for (int64_t j = 0; j < s[3]; j++) sum += exp(in[pixel + j * plane]);
                out[at] = s[3] == 1 ? 1 / (1 + exp(-in[at])) : exp(in[at]) / sum;
                code[at] = mode % 2 ? out[at] : (double)0.3f * (2 * out[at] - 1);
            }
            EXPECT_NEAR(&y, code);
            if (mode > 1) EXPECT_NEAR(&p, out);
            op_expect_same_for_threads(&op, NULL);
            free(in);
            free(out);
            free(code);
            op_free(&x);
            op_free(&y);
            op_free(&p);
        }
    }
}

static void large_logits_code_as_the_ends(void)
{
    vdni_tensor x = op_tensor(1, 1, 2, 2, VDNI_F32), y = op_copy(&x);
    vdni_op op = { .kind = VDNI_OP_ENCODE, .a = { .scale = 1.0f }, .in = { &x }, .out = { &y } };
    op_set(&x, 0, 1000);
    op_set(&x, 1, -1000);
    op_set(&x, 2, -3e38);
    op_set(&x, 3, 3e38);
    EXPECT(op_run(&op, 1) == VDN_OK);
    for (int i = 0; i < 4; i++) EXPECT_LE(fabs(op_get(&y, i) - (i % 3 == 0 ? 1 : -1)), 0);
    op_free(&x);
    op_free(&y);
}

static void wrong_tensors_are_refused(void)
{
    for (int which = 0; which < 6; which++) {
        uint64_t seed = 4;
        fixture *f = setup(sizes[1], 15, &seed);
        vdni_tensor *const changed[] = { &f->term[0], &f->term[1],      &f->term[3],
                                         &f->y,       &f->coefficients, &f->coefficients };
        const vdni_tensor kept = *changed[which];
        if (which == 0 || which == 5) changed[which]->n = 1;
        if (which == 1) changed[which]->w = 4;
        if (which == 2 || which == 3) changed[which]->dtype = VDNI_BF16;
        if (which == 4) changed[which]->c = 3;
        op_expect_refused(&f->op);
        vdni_op negative = f->op;
        negative.a.scale = -1.0f;
        op_expect_refused(&negative);
        *changed[which] = kept;
        vdni_op op = { .kind = VDNI_OP_ENCODE, .in = { &f->term[0] }, .out = { &f->y } };
        op.out[1] = &f->term[1];
        op.a.scale = which == 0 ? 0.0f : which == 1 ? -1.0f : which == 2 ? INFINITY : 1.0f;
        op.a.mode = which == 3 ? 2 : 0;
        if (which == 4) f->y.c = 1;
        if (which == 5) f->term[1].dtype = VDNI_BF16;
        op_expect_refused(&op);
        f->y.c = f->term[0].c;
        f->term[1].dtype = VDNI_F32;
        teardown(f);
    }
}

int main(void)
{
    RUN(combine_is_the_weighted_sum);
    RUN(combine_is_cut_to_its_bound);
    RUN(combine_works_in_place_on_every_term);
    RUN(encode_codes_probabilities);
    RUN(large_logits_code_as_the_ends);
    RUN(wrong_tensors_are_refused);
    return test_result();
}
