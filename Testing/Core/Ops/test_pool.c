/* Oracles in doubles, NCHW, written per output element from Ops/pool.h. */
#include "Ops/pool.h"
#include "op_test.h"

static const int64_t shapes[][4] = {
    /* n, h, w, c: smallest, odd, many pixels, more channels than a block of floats */
    { 1, 2, 2, 1 },
    { 2, 7, 5, 3 },
    { 1, 37, 53, 8 },
    { 2, 4, 3, 1100 },
    { 1, 11, 130, 33 }
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static const vdni_dtype types[] = { VDNI_F32, VDNI_BF16 };

/* Element (n, c, h, w) of a tensor's doubles. */
static double at(const double *x, const vdni_tensor *t, int64_t n, int64_t c, int64_t h, int64_t w)
{
    return x[((n * t->c + c) * t->h + h) * t->w + w];
}

/* Values on a coarse grid, so that ties are frequent. */
static void quantize(vdni_tensor *t)
{
    for (int64_t i = 0; i < vdni_tensor_count(t); i++) op_set(t, i, floor(op_get(t, i) * 3) / 4);
}

static vdni_attr max_window(void) { return (vdni_attr){ .kernel = 2, .stride = 2 }; }

static void one_max_pool(const int64_t *s, vdni_dtype dtype)
{
    uint64_t seed = 3;
    vdni_tensor x = op_random(s[0], s[1], s[2], s[3], dtype, &seed);
    vdni_tensor y = op_tensor(s[0], s[1] / 2, s[2] / 2, s[3], dtype);
    vdni_tensor index = op_tensor(s[0], s[1] / 2, s[2] / 2, s[3], VDNI_U8);
    quantize(&x);
    vdni_op op = {
        .kind = VDNI_OP_MAX_POOL, .a = max_window(), .in = { &x }, .out = { &y, &index }
    };
    EXPECT(op_run(&op, 1) == VDN_OK);
    double *dx = op_doubles(&x);
    int wrong = 0;
    for (int64_t n = 0; n < y.n; n++)
        for (int64_t c = 0; c < y.c; c++)
            for (int64_t i = 0; i < y.h; i++)
                for (int64_t j = 0; j < y.w; j++) {
                    double best = -1e30;
                    int arg = -1;
                    for (int k = 0; k < 4; k++) {
                        const double v = at(dx, &x, n, c, 2 * i + k / 2, 2 * j + k % 2);
                        if (v > best) best = v, arg = k;
                    }
                    wrong += op_get(&y, op_index(&y, n, c, i, j)) != best;
                    wrong += op_get(&index, op_index(&y, n, c, i, j)) != arg;
                }
    EXPECT(wrong == 0);
    op_expect_same_for_threads(&op, NULL);

    vdni_tensor alone = op_tensor(y.n, y.h, y.w, y.c, dtype);
    op.out[0] = &alone;
    op.out[1] = NULL;
    EXPECT(op_run(&op, 2) == VDN_OK && op_same_bits(&alone, &y));
    free(dx);
    op_free(&x);
    op_free(&y);
    op_free(&index);
    op_free(&alone);
}

static void max_pool_takes_the_first_largest_of_four(void)
{
    for (int s = 0; s < SHAPES; s++)
        for (int t = 0; t < 2; t++) one_max_pool(shapes[s], types[t]);
}

/* 3 x 3 windows with stride 2 and pad 1: forward, and backward by scattering. */
static void one_overlapping(const int64_t *s, vdni_dtype dtype, int with_addend)
{
    uint64_t seed = 31;
    const vdni_attr a = { .kernel = 3, .stride = 2, .pad = 1 };
    const int64_t oh = (s[1] + 1) / 2, ow = (s[2] + 1) / 2;
    vdni_tensor x = op_random(s[0], s[1], s[2], s[3], dtype, &seed);
    vdni_tensor y = op_tensor(s[0], oh, ow, s[3], dtype), dx = op_tensor(s[0], s[1], s[2], s[3], dtype);
    vdni_tensor index = op_tensor(s[0], oh, ow, s[3], VDNI_U8);
    vdni_tensor g = op_random(s[0], oh, ow, s[3], dtype, &seed);
    quantize(&x);
    vdni_op op = { .kind = VDNI_OP_MAX_POOL, .a = a, .in = { &x }, .out = { &y, &index } };
    vdni_op back = { .kind = VDNI_OP_MAX_POOL_BACKWARD,
                     .a = a,
                     .in = { &g, &index, with_addend ? &x : NULL },
                     .out = { &dx } };
    EXPECT(op_run(&op, 1) == VDN_OK && op_run(&back, 1) == VDN_OK);
    double *values = op_doubles(&x), *dg = op_doubles(&g);
    double *expected = with_addend ? op_doubles(&x) : op_zeros(&x);
    int wrong = 0;
    for (int64_t m = 0; m < vdni_tensor_count(&y); m++) {
        const int64_t j = m % ow, i = m / ow % oh, plane = m / ow / oh;
        int64_t best = -1, arg = -1;
        for (int64_t k = 0; k < 9; k++) {
            const int64_t row = 2 * i + k / 3 - 1, column = 2 * j + k % 3 - 1;
            const int64_t from = (plane * s[1] + row) * s[2] + column;
            if (row < 0 || row >= s[1] || column < 0 || column >= s[2]) continue;
            if (best < 0 || values[from] > values[best]) best = from, arg = k;
        }
        const int64_t place = op_index(&y, plane / s[3], plane % s[3], i, j);
        wrong += op_get(&y, place) != values[best] || op_get(&index, place) != (double)arg;
        expected[best] += dg[m];
    }
    EXPECT(wrong == 0);
    EXPECT_NEAR(&dx, expected);
    op_expect_same_for_threads(&op, NULL);
    op_expect_same_for_threads(&back, NULL);
    free(values);
    free(dg);
    free(expected);
    vdni_tensor *all[] = { &x, &y, &dx, &index, &g };
    for (int i = 0; i < 5; i++) op_free(all[i]);
}

static void overlapping_windows_take_the_first_largest_of_nine(void)
{
    for (int s = 0; s < SHAPES; s++)
        for (int t = 0; t < 4; t++) one_overlapping(shapes[s], types[t & 1], t & 2);
}

static void max_pool_passes_nan_on(void)
{
    vdni_tensor x = op_tensor(1, 2, 8, 1, VDNI_F32), y = op_tensor(1, 1, 4, 1, VDNI_F32);
    op_fill(&x, 1);
    for (int64_t k = 0; k < 4; k++) op_set(&x, k / 2 * 8 + k % 2 + 2 * k, NAN);
    vdni_op op = { .kind = VDNI_OP_MAX_POOL, .a = max_window(), .in = { &x }, .out = { &y } };
    EXPECT(op_run(&op, 1) == VDN_OK);
    for (int64_t k = 0; k < 4; k++) EXPECT(isnan(op_get(&y, k)));
    op.a = (vdni_attr){ .kernel = 3, .stride = 2, .pad = 1 };
    EXPECT(op_run(&op, 1) == VDN_OK);
    for (int64_t k = 0; k < 4; k++) EXPECT(isnan(op_get(&y, k)));
    op_free(&x);
    op_free(&y);
}

static void one_max_backward(const int64_t *s, vdni_dtype dtype, int with_addend)
{
    uint64_t seed = 4;
    vdni_tensor g = op_random(s[0], s[1] / 2, s[2] / 2, s[3], dtype, &seed);
    vdni_tensor index = op_tensor(s[0], s[1] / 2, s[2] / 2, s[3], VDNI_U8);
    vdni_tensor addend = op_random(s[0], s[1], s[2], s[3], dtype, &seed);
    vdni_tensor dx = op_tensor(s[0], s[1], s[2], s[3], dtype);
    for (int64_t i = 0; i < vdni_tensor_count(&index); i++)
        op_set(&index, i, (double)(test_random_bits(&seed) % 4));
    vdni_op op = { .kind = VDNI_OP_MAX_POOL_BACKWARD,
                   .a = max_window(),
                   .in = { &g, &index, with_addend ? &addend : NULL },
                   .out = { &dx } };
    EXPECT(op_run(&op, 1) == VDN_OK);
    double *expected = with_addend ? op_doubles(&addend) : op_zeros(&addend);
    double *dg = op_doubles(&g), *di = op_doubles(&index);
    for (int64_t n = 0; n < g.n; n++)
        for (int64_t c = 0; c < g.c; c++)
            for (int64_t i = 0; i < g.h; i++)
                for (int64_t j = 0; j < g.w; j++) {
                    const int k = (int)at(di, &g, n, c, i, j);
                    const int64_t row = 2 * i + k / 2, column = 2 * j + k % 2;
                    expected[((n * dx.c + c) * dx.h + row) * dx.w + column] +=
                        at(dg, &g, n, c, i, j);
                }
    EXPECT_NEAR(&dx, expected);
    op_expect_same_for_threads(&op, NULL);
    free(expected);
    free(dg);
    free(di);
    op_free(&g);
    op_free(&index);
    op_free(&addend);
    op_free(&dx);
}

static void max_pool_backward_sends_g_to_the_argmax(void)
{
    for (int s = 0; s < SHAPES; s++)
        for (int t = 0; t < 4; t++) one_max_backward(shapes[s], types[t & 1], t & 2);
}

static void one_average(int64_t h, int64_t w, int64_t c, vdni_attr a, vdni_dtype dtype)
{
    uint64_t seed = 5;
    const int64_t oh = (h + 2 * a.pad - a.kernel) / a.stride + 1;
    const int64_t ow = (w + 2 * a.pad - a.kernel) / a.stride + 1;
    vdni_tensor x = op_random(2, h, w, c, dtype, &seed), y = op_tensor(2, oh, ow, c, dtype);
    vdni_op op = { .kind = VDNI_OP_AVERAGE_POOL, .a = a, .in = { &x }, .out = { &y } };
    EXPECT(op_run(&op, 1) == VDN_OK);
    double *dx = op_doubles(&x), *expected = op_zeros(&y);
    for (int64_t m = 0; m < vdni_tensor_count(&y); m++) {
        const int64_t j = m % ow, i = m / ow % oh, plane = m / ow / oh;
        for (int64_t row = 0; row < h; row++)
            for (int64_t column = 0; column < w; column++) {
                const int64_t dy = row - (i * a.stride - a.pad);
                const int64_t dxx = column - (j * a.stride - a.pad);
                if (dy >= 0 && dy < a.kernel && dxx >= 0 && dxx < a.kernel)
                    expected[m] += dx[(plane * h + row) * w + column] / a.kernel / a.kernel;
            }
    }
    for (int64_t m = 0; a.scale > 0 && m < vdni_tensor_count(&y); m++)
        expected[m] = a.mode == VDNI_POOL_STEP ? (double)a.scale * expected[m] >= 1
                                               : fmin(1, (double)a.scale * expected[m]);
    EXPECT_NEAR(&y, expected);
    op_expect_same_for_threads(&op, NULL);
    free(dx);
    free(expected);
    op_free(&x);
    op_free(&y);
}

static void average_pool_with_a_gain_saturates_at_1(void)
{
    for (int t = 0; t < 2; t++)
        one_average(13, 9, 1, (vdni_attr){ .kernel = 5, .stride = 1, .pad = 2, .scale = 9 },
                    types[t]);
}

static void average_pool_with_a_step_is_0_or_1(void)
{
    for (int t = 0; t < 2; t++)
        one_average(13, 9, 2,
                    (vdni_attr){ .kernel = 5, .stride = 1, .pad = 2, .scale = 9, .mode = VDNI_POOL_STEP },
                    types[t]);
}

static void average_pool_counts_the_zero_border(void)
{
    for (int t = 0; t < 2; t++) {
        one_average(16, 12, 1, (vdni_attr){ .kernel = 4, .stride = 4 }, types[t]);
        one_average(11, 7, 3, (vdni_attr){ .kernel = 2, .stride = 2 }, types[t]);
        one_average(13, 9, 1, (vdni_attr){ .kernel = 5, .stride = 1, .pad = 2 }, types[t]);
        one_average(1, 2, 2, (vdni_attr){ .kernel = 5, .stride = 1, .pad = 2 }, types[t]);
        one_average(5, 5, 1, (vdni_attr){ .kernel = 1, .stride = 1 }, types[t]);
    }
}

static void one_global(const int64_t *s, vdni_dtype dtype, int with_addend)
{
    uint64_t seed = 6;
    vdni_tensor x = op_random(s[0], s[1], s[2], s[3], dtype, &seed);
    vdni_tensor y = op_tensor(s[0], 1, 1, s[3], VDNI_F32);
    vdni_tensor g = op_random(s[0], 1, 1, s[3], VDNI_F32, &seed);
    vdni_tensor dx = op_tensor(s[0], s[1], s[2], s[3], dtype);
    vdni_op op = { .kind = VDNI_OP_GLOBAL_POOL, .in = { &x }, .out = { &y } };
    EXPECT(op_run(&op, 1) == VDN_OK);
    double *values = op_doubles(&x), *mean = op_zeros(&y), *dg = op_doubles(&g);
    const int64_t pixels = s[1] * s[2];
    for (int64_t i = 0; i < vdni_tensor_count(&x); i++)
        mean[i / pixels] += values[i] / (double)pixels;
    EXPECT_LE(op_distance(&y, mean, 1e-5, 1e-5), 1);
    op_expect_same_for_threads(&op, NULL);

    vdni_op back = { .kind = VDNI_OP_GLOBAL_POOL_BACKWARD,
                     .in = { &g, with_addend ? &x : NULL },
                     .out = { &dx } };
    EXPECT(op_run(&back, 1) == VDN_OK);
    for (int64_t i = 0; i < vdni_tensor_count(&x); i++)
        values[i] = dg[i / pixels] / (double)pixels + (with_addend ? values[i] : 0);
    EXPECT_NEAR(&dx, values);
    op_expect_same_for_threads(&back, NULL);
    free(values);
    free(mean);
    free(dg);
    op_free(&x);
    op_free(&y);
    op_free(&g);
    op_free(&dx);
}

static void global_pool_is_the_mean_and_its_gradient_is_spread_evenly(void)
{
    for (int s = 0; s < SHAPES; s++)
        for (int t = 0; t < 4; t++) one_global(shapes[s], types[t & 1], t & 2);
}

static void one_channel_stats(const int64_t *s, vdni_dtype dtype)
{
    uint64_t seed = 8;
    vdni_tensor x = op_random(s[0], s[1], s[2], s[3], dtype, &seed);
    vdni_tensor y = op_tensor(s[0], s[1], s[2], 2, dtype);
    vdni_tensor index = op_tensor(s[0], s[1], s[2], 1, VDNI_U16);
    quantize(&x);
    vdni_op op = { .kind = VDNI_OP_CHANNEL_STATS, .in = { &x }, .out = { &y, &index } };
    EXPECT(op_run(&op, 1) == VDN_OK);
    double *values = op_doubles(&x), *expected = op_zeros(&y);
    const int64_t pixels = s[1] * s[2];
    int wrong = 0;
    for (int64_t p = 0; p < s[0] * pixels; p++) {
        const int64_t n = p / pixels, i = p % pixels;
        double sum = 0, best = -1e30;
        int64_t arg = -1;
        for (int64_t c = 0; c < s[3]; c++) {
            const double v = values[(n * s[3] + c) * pixels + i];
            sum += v;
            if (v > best) best = v, arg = c;
        }
        expected[2 * n * pixels + i] = sum / (double)s[3];
        expected[(2 * n + 1) * pixels + i] = best;
        wrong += op_get(&index, p) != (double)arg;
    }
    EXPECT(wrong == 0);
    EXPECT_NEAR(&y, expected);
    op_expect_same_for_threads(&op, NULL);
    free(values);
    free(expected);
    op_free(&x);
    op_free(&y);
    op_free(&index);
}

static void channel_stats_are_mean_and_first_maximum(void)
{
    for (int s = 0; s < SHAPES; s++)
        for (int t = 0; t < 2; t++) one_channel_stats(shapes[s], types[t]);
}

static void one_channel_backward(const int64_t *s, vdni_dtype dtype, int with_addend)
{
    uint64_t seed = 9;
    vdni_tensor g = op_random(s[0], s[1], s[2], 2, dtype, &seed);
    vdni_tensor index = op_tensor(s[0], s[1], s[2], 1, VDNI_U16);
    vdni_tensor addend = op_random(s[0], s[1], s[2], s[3], dtype, &seed);
    vdni_tensor dx = op_tensor(s[0], s[1], s[2], s[3], dtype);
    for (int64_t i = 0; i < vdni_tensor_count(&index); i++)
        op_set(&index, i, (double)(test_random_bits(&seed) % (uint64_t)s[3]));
    vdni_op op = { .kind = VDNI_OP_CHANNEL_STATS_BACKWARD,
                   .in = { &g, &index, with_addend ? &addend : NULL },
                   .out = { &dx } };
    EXPECT(op_run(&op, 1) == VDN_OK);
    double *dg = op_doubles(&g), *expected = op_doubles(&addend);
    const int64_t pixels = s[1] * s[2];
    for (int64_t i = 0; i < vdni_tensor_count(&dx); i++) {
        const int64_t n = i / pixels / s[3], c = i / pixels % s[3], p = i % pixels;
        const double max = dg[(2 * n + 1) * pixels + p];
        expected[i] = (with_addend ? expected[i] : 0) + dg[2 * n * pixels + p] / (double)s[3] +
                      (op_get(&index, n * pixels + p) == (double)c ? max : 0);
    }
    EXPECT_NEAR(&dx, expected);
    op_expect_same_for_threads(&op, NULL);
    free(dg);
    free(expected);
    op_free(&g);
    op_free(&index);
    op_free(&addend);
    op_free(&dx);
}

static void channel_stats_backward_spreads_the_mean_and_routes_the_maximum(void)
{
    for (int s = 0; s < SHAPES; s++)
        for (int t = 0; t < 4; t++) one_channel_backward(shapes[s], types[t & 1], t & 2);
}

/* Forward and backward kinds together, by slopes of the forward on distinct values. */
typedef struct {
    vdni_op_kind kind;
    int64_t n, c, h, w;
    double *x, *g;
} slope_world;

static double slope_loss(void *user)
{
    const slope_world *v = user;
    const int64_t oh = v->h / 2, ow = v->w / 2, pixels = v->h * v->w;
    double sum = 0;
    for (int64_t i = 0; v->kind == VDNI_OP_MAX_POOL && i < v->n * v->c * oh * ow; i++) {
        const double *from = v->x + (i / ow / oh * v->h + i / ow % oh * 2) * v->w + i % ow * 2;
        sum += v->g[i] * fmax(fmax(from[0], from[1]), fmax(from[v->w], from[v->w + 1]));
    }
    for (int64_t p = 0; v->kind != VDNI_OP_MAX_POOL && p < v->n * pixels; p++) {
        const int64_t n = p / pixels, i = p % pixels;
        double total = 0, best = -1e30;
        for (int64_t c = 0; c < v->c; c++) {
            total += v->x[(n * v->c + c) * pixels + i];
            best = fmax(best, v->x[(n * v->c + c) * pixels + i]);
        }
        sum += v->g[2 * n * pixels + i] * total / (double)v->c;
        sum += v->g[(2 * n + 1) * pixels + i] * best;
    }
    return sum;
}

static void one_chain(vdni_op_kind kind)
{
    uint64_t seed = 12;
    const int is_max = kind == VDNI_OP_MAX_POOL;
    vdni_tensor x = op_random(2, 6, 5, 7, VDNI_F32, &seed), dx = op_tensor(2, 6, 5, 7, VDNI_F32);
    vdni_tensor y = is_max ? op_tensor(2, 3, 2, 7, VDNI_F32) : op_tensor(2, 6, 5, 2, VDNI_F32);
    vdni_tensor index = is_max ? op_tensor(2, 3, 2, 7, VDNI_U8) : op_tensor(2, 6, 5, 1, VDNI_U16);
    vdni_tensor g = op_random(y.n, y.h, y.w, y.c, VDNI_F32, &seed);
    vdni_op op = { .kind = kind, .a = max_window(), .in = { &x }, .out = { &y, &index } };
    vdni_op back = { .kind = kind + 1, .a = max_window(), .in = { &g, &index }, .out = { &dx } };
    EXPECT(op_run(&op, 1) == VDN_OK && op_run(&back, 1) == VDN_OK);
    slope_world v = { kind, 2, 7, 6, 5, op_doubles(&x), op_doubles(&g) };
    op_expect_slopes(&dx, NULL, slope_loss, &v, v.x);
    free(v.x);
    free(v.g);
    vdni_tensor *all[] = { &x, &dx, &y, &index, &g };
    for (int i = 0; i < 5; i++) op_free(all[i]);
}

static void backward_follows_the_slopes_of_forward(void)
{
    one_chain(VDNI_OP_MAX_POOL);
    one_chain(VDNI_OP_CHANNEL_STATS);
}

static void wrong_calls_are_refused(void)
{
    vdni_tensor x = op_tensor(1, 4, 6, 2, VDNI_F32), y = op_tensor(1, 2, 3, 2, VDNI_F32);
    vdni_tensor v = op_tensor(1, 1, 1, 2, VDNI_BF16), index = op_tensor(1, 2, 3, 2, VDNI_U16);
    vdni_op op = { .kind = VDNI_OP_MAX_POOL, .a = { .kernel = 3, .stride = 2 }, .in = { &x } };
    op.out[0] = &y;
    op_expect_refused(&op);
    op.a = max_window();
    op.out[1] = &index; /* u16, not u8 */
    op_expect_refused(&op);
    op.out[1] = NULL;
    op.out[0] = &x;
    op_expect_refused(&op);
    op.kind = VDNI_OP_AVERAGE_POOL;
    op.a.pad = 2;
    op_expect_refused(&op);
    op.a.pad = 0;
    op_expect_refused(&op);
    op.kind = VDNI_OP_GLOBAL_POOL;
    op.out[0] = &v; /* bf16, not f32 */
    op_expect_refused(&op);
    op.kind = VDNI_OP_CHANNEL_STATS;
    op.out[0] = &y;
    op_expect_refused(&op);
    vdni_op back = { .kind = VDNI_OP_CHANNEL_STATS_BACKWARD, .in = { &y, &index } };
    back.out[0] = &x;
    op_expect_refused(&back);
    op_free(&x);
    op_free(&y);
    op_free(&v);
    op_free(&index);
}

int main(void)
{
    RUN(max_pool_takes_the_first_largest_of_four);
    RUN(overlapping_windows_take_the_first_largest_of_nine);
    RUN(max_pool_passes_nan_on);
    RUN(max_pool_backward_sends_g_to_the_argmax);
    RUN(average_pool_counts_the_zero_border);
    RUN(average_pool_with_a_gain_saturates_at_1);
    RUN(average_pool_with_a_step_is_0_or_1);
    RUN(global_pool_is_the_mean_and_its_gradient_is_spread_evenly);
    RUN(channel_stats_are_mean_and_first_maximum);
    RUN(channel_stats_backward_spreads_the_mean_and_routes_the_maximum);
    RUN(backward_follows_the_slopes_of_forward);
    RUN(wrong_calls_are_refused);
    return test_result();
}
