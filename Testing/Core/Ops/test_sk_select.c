#include "op_test.h"

static const int64_t shapes[][4] = {
    { 1, 1, 1, 1 }, { 2, 7, 5, 3 }, { 1, 37, 53, 8 }, { 2, 3, 2, 1031 }, { 2, 13, 11, 32 },
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static const vdni_dtype types[] = { VDNI_F32, VDNI_BF16 };

typedef struct {
    vdni_tensor u[3], logits, g, y;
    double *x[3], *l, *dg, *dy;
} world;

static world make_world(const int64_t *s, vdni_dtype dtype)
{
    uint64_t seed = 51;
    world w = { .y = op_tensor(s[0], s[1], s[2], s[3], dtype) };
    for (int k = 0; k < 3; k++) {
        w.u[k] = op_random(s[0], s[1], s[2], s[3], dtype, &seed);
        w.x[k] = op_doubles(&w.u[k]);
    }
    w.g = op_random(s[0], s[1], s[2], s[3], dtype, &seed);
    w.logits = op_random(s[0], 1, 1, 3 * s[3], VDNI_F32, &seed);
    op_randomize(&w.logits, &seed, 3, 100); /* exp(100) overflows a careless softmax in float */
    w.l = op_doubles(&w.logits);
    w.dg = op_doubles(&w.g);
    w.dy = op_zeros(&w.y);
    return w;
}

static void free_world(world *w)
{
    vdni_tensor *tensors[] = { &w->u[0], &w->u[1], &w->u[2], &w->logits, &w->g, &w->y };
    double *arrays[] = { w->x[0], w->x[1], w->x[2], w->l, w->dg, w->dy };
    for (int i = 0; i < 6; i++) {
        op_free(tensors[i]);
        free(arrays[i]);
    }
}

static double loss(void *user)
{
    world *w = user;
    const int64_t plane = w->y.h * w->y.w, c = w->y.c;
    double sum = 0;
    for (int64_t at = 0; at < vdni_tensor_count(&w->y); at++) {
        const double *l = w->l + at / plane / c * 3 * c + at / plane % c;
        double weights = 0, total = 0;
        for (int k = 0; k < 3; k++) {
            weights += exp(l[k * c] - 100);
            total += exp(l[k * c] - 100) * w->x[k][at];
        }
        w->dy[at] = total / weights;
        sum += w->dy[at] * w->dg[at];
    }
    return sum;
}

static void one_case(const int64_t *s, vdni_dtype dtype)
{
    world w = make_world(s, dtype);
    vdni_op op = { .kind = VDNI_OP_SK_SELECT,
                   .in = { &w.u[0], &w.u[1], &w.u[2], &w.logits },
                   .out = { &w.y } };
    EXPECT(op_run(&op, 1) == VDN_OK);
    (void)loss(&w);
    EXPECT_NEAR(&w.y, w.dy);
    op_expect_same_for_threads(&op, NULL);
    op_expect_in_place(&op);

    vdni_tensor du[3], dlogits = op_tensor(s[0], 1, 1, 3 * s[3], VDNI_F32);
    vdni_op back = { .kind = VDNI_OP_SK_SELECT_BACKWARD,
                     .in = { &w.g, &w.u[0], &w.u[1], &w.u[2], &w.logits } };
    for (int k = 0; k < 3; k++) {
        du[k] = op_tensor(s[0], s[1], s[2], s[3], dtype);
        back.out[k] = &du[k];
    }
    back.out[3] = &dlogits;
    EXPECT(op_run(&back, 1) == VDN_OK);
    op_expect_same_for_threads(&back, NULL);
    for (int k = 0; k < 3; k++) {
        op_expect_slopes(&du[k], NULL, loss, &w, w.x[k]);
        op_free(&du[k]);
    }
    op_expect_slopes(&dlogits, NULL, loss, &w, w.l);
    op_free(&dlogits);
    free_world(&w);
}

static void selects_by_softmax_and_its_gradients_follow_the_slopes(void)
{
    for (int s = 0; s < SHAPES; s++)
        for (int t = 0; t < 2; t++) one_case(shapes[s], types[t]);
}

static void wrong_calls_are_refused(void)
{
    world w = make_world(shapes[1], VDNI_F32);
    vdni_tensor other = op_tensor(2, 5, 7, 3, VDNI_F32), short_ = op_tensor(2, 1, 1, 3, VDNI_F32);
    const vdni_op op = { .kind = VDNI_OP_SK_SELECT,
                         .in = { &w.u[0], &w.u[1], &w.u[2], &w.logits },
                         .out = { &w.y } };
    vdni_op bad = op;
    bad.in[2] = &other;
    op_expect_refused(&bad);
    bad = op;
    bad.in[3] = &short_;
    op_expect_refused(&bad);
    bad = op;
    bad.out[0] = &other;
    op_expect_refused(&bad);
    op_free(&other);
    op_free(&short_);
    free_world(&w);
}

int main(void)
{
    RUN(selects_by_softmax_and_its_gradients_follow_the_slopes);
    RUN(wrong_calls_are_refused);
    return test_result();
}
