/* Oracles in doubles, NCHW. Bilinear is evaluated at its source coordinate; the gradient of a linear
 * operator is its adjoint, built here as a sum over every output that reads an input. */
#include "op_test.h"

static const int64_t shapes[][4] = {
    { 1, 1, 1, 1 },   { 2, 7, 5, 3 },   { 1, 37, 53, 8 },
    { 2, 3, 2, 600 }, { 1, 5, 40, 33 }, { 1, 2, 1, 256 },
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static const vdni_dtype types[] = { VDNI_F32, VDNI_BF16 };

/* Weight of source i in output o along an axis of n sources. */
static double weight(vdni_upsample_mode mode, int64_t o, int64_t i, int64_t n)
{
    if (mode == VDNI_UPSAMPLE_NEAREST) return o / 2 == i ? 1 : 0;
    const double at = fmin(fmax(((double)o + 0.5) / 2 - 0.5, 0), (double)(n - 1));
    return fmax(0, 1 - fabs(at - (double)i));
}

/* large += or small += (adjoint) over all pairs; planes of NCHW doubles. */
static void oracle(vdni_upsample_mode mode, double *small, double *large, int64_t planes, int64_t h,
                   int64_t w, int adjoint)
{
    for (int64_t p = 0; p < planes; p++)
        for (int64_t o = 0; o < 4 * h * w; o++)
            for (int64_t di = -2; di <= 2; di++)
                for (int64_t dj = -2; dj <= 2; dj++) {
                    const int64_t oi = o / (2 * w), oj = o % (2 * w);
                    const int64_t i = oi / 2 + di, j = oj / 2 + dj;
                    if (i < 0 || j < 0 || i >= h || j >= w) continue;
                    const double a = weight(mode, oi, i, h) * weight(mode, oj, j, w);
                    double *s = &small[(p * h + i) * w + j], *l = &large[p * 4 * h * w + o];
                    if (adjoint)
                        *s += a * *l;
                    else
                        *l += a * *s;
                }
}

static void one_forward(const int64_t *s, vdni_upsample_mode mode, vdni_dtype from, vdni_dtype to)
{
    uint64_t seed = 21;
    vdni_tensor x = op_random(s[0], s[1], s[2], s[3], from, &seed);
    vdni_tensor y = op_tensor(s[0], 2 * s[1], 2 * s[2], s[3], to);
    vdni_op op = {
        .kind = VDNI_OP_UPSAMPLE, .a.factor = 2, .a.mode = mode, .in = { &x }, .out = { &y }
    };
    EXPECT(op_run(&op, 1) == VDN_OK);
    double *dx = op_doubles(&x), *expected = op_zeros(&y);
    oracle(mode, dx, expected, s[0] * s[3], s[1], s[2], 0);
    EXPECT_NEAR(&y, expected);
    op_expect_same_for_threads(&op, NULL);
    free(dx);
    free(expected);
    op_free(&x);
    op_free(&y);
}

/* With skip: the up-sampled channels as without it, then those of skip as they are. */
static void one_joined(const int64_t *s, vdni_upsample_mode mode, vdni_dtype from, vdni_dtype to)
{
    uint64_t seed = 23;
    const int64_t pixels = 4 * s[1] * s[2], more = s[3] + 5;
    vdni_tensor x = op_random(s[0], s[1], s[2], s[3], from, &seed);
    vdni_tensor skip = op_random(s[0], 2 * s[1], 2 * s[2], more, to, &seed);
    vdni_tensor y = op_tensor(s[0], 2 * s[1], 2 * s[2], s[3] + more, to);
    vdni_op op = { .kind = VDNI_OP_UPSAMPLE,
                   .a.factor = 2,
                   .a.mode = mode,
                   .in = { &x, &skip },
                   .out = { &y } };
    EXPECT(op_run(&op, 1) == VDN_OK);
    double *dx = op_doubles(&x), *ds = op_doubles(&skip), *expected = op_zeros(&y);
    for (int64_t n = 0; n < s[0]; n++) {
        double *image = expected + n * (s[3] + more) * pixels;
        oracle(mode, dx + n * s[3] * s[1] * s[2], image, s[3], s[1], s[2], 0);
        memcpy(image + s[3] * pixels, ds + n * more * pixels,
               (size_t)(more * pixels) * sizeof *ds);
    }
    EXPECT_NEAR(&y, expected);
    op_expect_same_for_threads(&op, NULL);
    skip.c--;
    op_expect_refused(&op);
    free(dx);
    free(ds);
    free(expected);
    op_free(&x);
    skip.c++;
    op_free(&skip);
    op_free(&y);
}

static void skip_follows_the_upsampled_channels(void)
{
    for (int s = 0; s < SHAPES; s++)
        for (int t = 0; t < 8; t++)
            one_joined(shapes[s], t & 4 ? VDNI_UPSAMPLE_BILINEAR : VDNI_UPSAMPLE_NEAREST,
                       types[t & 1], types[t / 2 & 1]);
}

static void one_backward(const int64_t *s, vdni_upsample_mode mode, vdni_dtype dtype,
                         int with_addend)
{
    uint64_t seed = 22;
    vdni_tensor g = op_random(s[0], 2 * s[1], 2 * s[2], s[3], dtype, &seed);
    vdni_tensor addend = op_random(s[0], s[1], s[2], s[3], dtype, &seed);
    vdni_tensor dx = op_tensor(s[0], s[1], s[2], s[3], dtype);
    vdni_op op = { .kind = VDNI_OP_UPSAMPLE_BACKWARD,
                   .a.factor = 2,
                   .a.mode = mode,
                   .in = { &g, with_addend ? &addend : NULL },
                   .out = { &dx } };
    EXPECT(op_run(&op, 1) == VDN_OK);
    double *dg = op_doubles(&g), *expected = with_addend ? op_doubles(&addend) : op_zeros(&dx);
    oracle(mode, expected, dg, s[0] * s[3], s[1], s[2], 1);
    EXPECT_NEAR(&dx, expected);
    op_expect_same_for_threads(&op, NULL);
    free(dg);
    free(expected);
    op_free(&g);
    op_free(&addend);
    op_free(&dx);
}

static void nearest_repeats_and_its_gradient_sums(void)
{
    for (int s = 0; s < SHAPES; s++)
        for (int t = 0; t < 4; t++) {
            one_forward(shapes[s], VDNI_UPSAMPLE_NEAREST, types[t & 1], types[t / 2]);
            one_backward(shapes[s], VDNI_UPSAMPLE_NEAREST, types[t & 1], t / 2);
        }
}

static void bilinear_interpolates_at_half_pixels_and_its_gradient_is_the_adjoint(void)
{
    for (int s = 0; s < SHAPES; s++)
        for (int t = 0; t < 4; t++) {
            one_forward(shapes[s], VDNI_UPSAMPLE_BILINEAR, types[t & 1], types[t / 2]);
            one_backward(shapes[s], VDNI_UPSAMPLE_BILINEAR, types[t & 1], t / 2);
        }
}

/* The definition by its numbers, as the weights above could share a mistake with nobody but us. */
static void bilinear_of_0_1_is_0_quarter_three_quarters_1(void)
{
    vdni_tensor x = op_tensor(1, 1, 2, 1, VDNI_F32), y = op_tensor(1, 2, 4, 1, VDNI_F32);
    op_set(&x, 0, 0);
    op_set(&x, 1, 1);
    vdni_op op = { .kind = VDNI_OP_UPSAMPLE,
                   .a.factor = 2,
                   .a.mode = VDNI_UPSAMPLE_BILINEAR,
                   .in = { &x },
                   .out = { &y } };
    EXPECT(op_run(&op, 1) == VDN_OK);
    const double expected[4] = { 0, 0.25, 0.75, 1 };
    for (int64_t i = 0; i < 8; i++) EXPECT(op_get(&y, i) == expected[i % 4]);
    op_free(&x);
    op_free(&y);
}

typedef struct {
    vdni_upsample_mode mode;
    double *x, *g, *y;
    int64_t planes, h, w;
} slope_world;

static double loss(void *user)
{
    slope_world *v = user;
    const int64_t count = v->planes * 4 * v->h * v->w;
    double sum = 0;
    memset(v->y, 0, (size_t)count * sizeof *v->y);
    oracle(v->mode, v->x, v->y, v->planes, v->h, v->w, 0);
    for (int64_t i = 0; i < count; i++) sum += v->y[i] * v->g[i];
    return sum;
}

static void backward_follows_the_slopes_of_forward(void)
{
    for (int mode = 0; mode < 2; mode++) {
        uint64_t seed = 23;
        vdni_tensor x = op_random(2, 5, 4, 3, VDNI_F32, &seed), dx = op_copy(&x);
        vdni_tensor g = op_random(2, 10, 8, 3, VDNI_F32, &seed);
        vdni_op op = { .kind = VDNI_OP_UPSAMPLE_BACKWARD,
                       .a.factor = 2,
                       .a.mode = mode,
                       .in = { &g },
                       .out = { &dx } };
        EXPECT(op_run(&op, 1) == VDN_OK);
        slope_world v = { mode, op_doubles(&x), op_doubles(&g), op_zeros(&g), 6, 5, 4 };
        op_expect_slopes(&dx, NULL, loss, &v, v.x);
        free(v.x);
        free(v.g);
        free(v.y);
        op_free(&x);
        op_free(&dx);
        op_free(&g);
    }
}

static void one_shuffle(int64_t n, int64_t h, int64_t w, int64_t c, int64_t r, vdni_dtype from,
                        vdni_dtype to)
{
    uint64_t seed = 24;
    vdni_tensor x = op_random(n, h * r, w * r, c, from, &seed);
    vdni_tensor y = op_tensor(n, h, w, c * r * r, to), back = op_copy(&x);
    vdni_op op = { .kind = VDNI_OP_UNSHUFFLE, .a.factor = (int32_t)r, .in = { &x }, .out = { &y } };
    EXPECT(op_run(&op, 1) == VDN_OK);
    double *dx = op_doubles(&x), *dy = op_zeros(&y);
    for (int64_t at = 0; at < vdni_tensor_count(&x); at++) {
        const int64_t j = at % (w * r), i = at / (w * r) % (h * r), plane = at / (w * h * r * r);
        const int64_t channel = plane % c * r * r + i % r * r + j % r;
        dy[((plane / c * c * r * r + channel) * h + i / r) * w + j / r] = dx[at];
    }
    EXPECT_NEAR(&y, dy);
    op_expect_same_for_threads(&op, NULL);

    op_fill(&back, NAN);
    vdni_op inverse = {
        .kind = VDNI_OP_SHUFFLE, .a.factor = (int32_t)r, .in = { &y }, .out = { &back }
    };
    EXPECT(op_run(&inverse, 1) == VDN_OK);
    EXPECT_LE(op_distance(&back, dx, op_relative(to), 1e-5), 1);
    op_expect_same_for_threads(&inverse, NULL);
    if (from == to) EXPECT(op_same_bits(&back, &x));
    free(dx);
    free(dy);
    op_free(&x);
    op_free(&y);
    op_free(&back);
}

static void unshuffle_orders_channels_c_then_row_then_column_and_shuffle_undoes_it(void)
{
    for (int t = 0; t < 4; t++) {
        one_shuffle(1, 1, 1, 1, 1, types[t & 1], types[t / 2]);
        one_shuffle(2, 3, 5, 3, 2, types[t & 1], types[t / 2]);
        one_shuffle(1, 2, 7, 2, 3, types[t & 1], types[t / 2]);
    }
}

static void wrong_calls_are_refused(void)
{
    vdni_tensor x = op_tensor(1, 4, 6, 4, VDNI_F32), y = op_tensor(1, 8, 12, 4, VDNI_F32);
    vdni_op op = { .kind = VDNI_OP_UPSAMPLE, .a.factor = 3, .in = { &x }, .out = { &y } };
    op_expect_refused(&op);
    op.a.factor = 2;
    op.a.mode = 2;
    op_expect_refused(&op);
    op.a.mode = 0;
    op.out[0] = &x;
    op_expect_refused(&op);
    vdni_op back = { .kind = VDNI_OP_UPSAMPLE_BACKWARD, .a.factor = 2, .in = { &y, &y } };
    back.out[0] = &x; /* the addend has the wrong shape */
    op_expect_refused(&back);
    vdni_op shuffle = { .kind = VDNI_OP_UNSHUFFLE, .a.factor = 4, .in = { &x }, .out = { &y } };
    op_expect_refused(&shuffle); /* 4 does not divide 6 */
    shuffle.a.factor = 2;
    op_expect_refused(&shuffle);
    shuffle.kind = VDNI_OP_SHUFFLE;
    op_expect_refused(&shuffle);
    op_free(&x);
    op_free(&y);
}

int main(void)
{
    RUN(nearest_repeats_and_its_gradient_sums);
    RUN(skip_follows_the_upsampled_channels);
    RUN(bilinear_interpolates_at_half_pixels_and_its_gradient_is_the_adjoint);
    RUN(bilinear_of_0_1_is_0_quarter_three_quarters_1);
    RUN(backward_follows_the_slopes_of_forward);
    RUN(unshuffle_orders_channels_c_then_row_then_column_and_shuffle_undoes_it);
    RUN(wrong_calls_are_refused);
    return test_result();
}
