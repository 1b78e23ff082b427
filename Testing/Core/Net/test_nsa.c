#include "Net/nsa.h"

#include "graph_test.h"

enum { H = 6, W = 8, C = 8, COUNT = H * W * C };

static vdni_config config = { .nsa = VDNI_NSA_MASK_SOFT };

typedef struct {
    bench b;
    vdni_id u, gate, out;
} module;

static int begin(module *m)
{
    const int64_t shape[4] = { 1, H, W, C }, map[4] = { 1, H, W, 1 };
    bench_begin(&m->b, VDNI_F32, 0, VDNI_PREPARE_PLAIN);
    m->u = vdni_input(m->b.g, "u", shape, VDNI_F32);
    m->gate = vdni_input(m->b.g, "gate", map, VDNI_F32);
    m->out = vdni_output(m->b.g, vdni_nsa(m->b.g, "n", &config, m->u, m->gate), "out");
    return bench_compile(&m->b);
}

static float *values(module *m, const char *name)
{
    const int64_t i = vdni_parameters_find(&m->b.table, name);
    EXPECT(i >= 0);
    if (i < 0) exit(1);
    return m->b.values + m->b.table.items[i].offset;
}

static void set_gate(module *m, float g)
{
    for (int i = 0; i < H * W; i++) bench_data(&m->b, m->gate)[i] = g;
}

/* How far the result moves when the kernel of @p name changes. */
static double moved_by(module *m, const char *name)
{
    float before[COUNT];
    bench_run(&m->b, VDNI_RUN_ALL);
    memcpy(before, bench_data(&m->b, m->out), sizeof before);
    values(m, name)[0] += 1.0f;
    m->b.version++;
    bench_run(&m->b, VDNI_RUN_ALL);
    values(m, name)[0] -= 1.0f;
    m->b.version++;
    return net_distance(bench_data(&m->b, m->out), before, COUNT);
}

/* F = g DW3 + (1 - g) DW5. */
static void gate_one_takes_the_small_kernel_and_gate_zero_the_large_one(void)
{
    module m;
    if (begin(&m)) {
        set_gate(&m, 1.0f);
        EXPECT(moved_by(&m, "n.dw5.weight") == 0.0 && moved_by(&m, "n.dw5.bias") == 0.0);
        EXPECT_LE(1e-3, moved_by(&m, "n.dw3.weight"));
        set_gate(&m, 0.0f);
        EXPECT(moved_by(&m, "n.dw3.weight") == 0.0 && moved_by(&m, "n.dw3.bias") == 0.0);
        EXPECT_LE(1e-3, moved_by(&m, "n.dw5.weight"));
        set_gate(&m, 0.5f);
        EXPECT_LE(1e-3, moved_by(&m, "n.dw3.weight"));
        EXPECT_LE(1e-3, moved_by(&m, "n.dw5.weight"));
    }
    bench_end(&m.b);
}

static void lambda_zero_passes_the_input_on(void)
{
    module m;
    if (begin(&m)) {
        memset(values(&m, "n.lambda"), 0, C * sizeof(float));
        bench_run(&m.b, VDNI_RUN_ALL);
        EXPECT(memcmp(bench_data(&m.b, m.u), bench_data(&m.b, m.out), COUNT * sizeof(float)) == 0);
    }
    bench_end(&m.b);
}

static void a_new_block_adds_a_hundredth(void)
{
    module m;
    if (begin(&m)) {
        vdni_parameters_initialize(&m.b.table, m.b.values, 1);
        for (int c = 0; c < C; c++) EXPECT(values(&m, "n.lambda")[c] == 1e-2f);
        bench_run(&m.b, VDNI_RUN_ALL);
        const double moved = net_distance(bench_data(&m.b, m.out), bench_data(&m.b, m.u), COUNT);
        EXPECT_LE(1e-6, moved);
        EXPECT_LE(moved, 0.05);
    }
    bench_end(&m.b);
}

static void parameters_are_those_of_the_design(void)
{
    const int64_t shape[4] = { 1, 4, 4, 128 }, map[4] = { 1, 4, 4, 1 };
    bench b;
    bench_begin(&b, VDNI_F32, 0, VDNI_PREPARE_PLAIN);
    const vdni_id u = vdni_input(b.g, "u", shape, VDNI_F32);
    (void)vdni_nsa(b.g, "n", &config, u, vdni_input(b.g, "gate", map, VDNI_F32));
    EXPECT(b.table.trainable == 36422); /* model.md 2.6 */
    bench_end(&b);
}

/* The other forms: which kernels there are, one map or two, and the wrap. */
static void every_form_has_its_parameters(void)
{
    static const struct {
        vdni_nsa_kind nsa;
        int32_t shared, literal;
        int64_t parameters; /* 128 channels */
    } forms[] = {
        { VDNI_NSA_MASK_HARD, 0, 0, 36422 },
        { VDNI_NSA_K3, 0, 0, 36422 - 26 * 128 },
        { VDNI_NSA_K5, 0, 0, 36422 - 10 * 128 },
        { VDNI_NSA_MASK_SOFT, 1, 0, 36422 - 99 },
        { VDNI_NSA_MASK_SOFT, 0, 1, 36422 - 3 * 128 },
        { VDNI_NSA_SK, 0, 0, 36422 + 128 + 1 },
        { VDNI_NSA_SK, 1, 1, 36422 + 128 + 1 - 99 - 3 * 128 },
    };
    const int64_t shape[4] = { 1, 4, 4, 128 }, map[4] = { 1, 4, 4, 1 };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        const vdni_config form = { .nsa = forms[i].nsa,
                                   .nsa_shared = forms[i].shared,
                                   .nsa_literal = forms[i].literal };
        bench b;
        bench_begin(&b, VDNI_F32, 1, VDNI_PREPARE_PLAIN);
        const vdni_id u = vdni_input(b.g, "u", shape, VDNI_F32);
        const vdni_id gate =
            vdni_has_gates(&form) ? vdni_input(b.g, "gate", map, VDNI_F32) : VDNI_NONE;
        (void)vdni_nsa(b.g, "n", &form, u, gate);
        EXPECT_OK(&b.ctx, vdni_graph_status(b.g));
        EXPECT(b.table.trainable == forms[i].parameters);
        bench_end(&b);
    }
}

/* Without residual and lambda: an expansion of zero gives zero, not the input. */
static void the_literal_wrap_is_the_product_alone(void)
{
    module m;
    config.nsa_literal = 1;
    if (begin(&m)) {
        memset(values(&m, "n.expand.weight"), 0, C * C / 2 * sizeof(float));
        for (int c = 0; c < C; c++) values(&m, "n.expand.bias")[c] = 2.0f;
        bench_run(&m.b, VDNI_RUN_ALL);
        for (int i = 0; i < COUNT; i++)
            EXPECT(bench_data(&m.b, m.out)[i] == 2.0f * bench_data(&m.b, m.u)[i]);
    }
    bench_end(&m.b);
    config.nsa_literal = 0;
}

/* ---- the map that is learned: nsa sk ---- */

enum { N = 2, HALF = C / 2, ALL = N * COUNT };

typedef struct {
    bench b;
    vdni_id u, y, weight;
} learned;

static int begin_learned(learned *m, int training, int recompute)
{
    static const vdni_config sk = { .nsa = VDNI_NSA_SK };
    const int64_t shape[4] = { N, H, W, C };
    bench_begin(&m->b, VDNI_F32, training, VDNI_PREPARE_PLAIN);
    m->b.g->recompute = recompute;
    m->u = vdni_input(m->b.g, "u", shape, VDNI_F32);
    m->weight = vdni_input(m->b.g, "weight", shape, VDNI_F32);
    if (training) vdni_require_gradient(m->b.g, m->u);
    m->y = vdni_output(m->b.g, vdni_nsa(m->b.g, "n", &sk, m->u, VDNI_NONE), "y");
    if (training) {
        vdni_graph_seed(m->b.g, m->y, m->weight);
        EXPECT_OK(&m->b.ctx, vdni_graph_backward(m->b.g));
        vdni_output(m->b.g, vdni_graph_gradient(m->b.g, m->u), "du");
    }
    return bench_compile(&m->b);
}

static const float *learned_values(const learned *m, const char *name)
{
    const int64_t i = vdni_parameters_find(&m->b.table, name);
    EXPECT(i >= 0);
    if (i < 0) exit(1);
    return m->b.values + m->b.table.items[i].offset;
}

/* The block once more, in double, for one image. */
typedef double map[H * W][C];

static void group_norm(map out, const float *u, const float *gamma, const float *beta)
{
    const int groups = vdni_norm_groups(C), width = C / groups;
    for (int k = 0; k < groups; k++) {
        double mean = 0.0, square = 0.0;
        for (int i = 0; i < COUNT; i++)
            if (i % C / width == k) mean += u[i] / (double)(H * W * width);
        for (int i = 0; i < COUNT; i++)
            if (i % C / width == k) square += (u[i] - mean) * (u[i] - mean) / (H * W * width);
        for (int i = 0; i < COUNT; i++)
            if (i % C / width == k)
                out[i / C][i % C] =
                    (u[i] - mean) / sqrt(square + 1e-5) * gamma[i % C] + beta[i % C];
    }
}

static void depthwise(map out, map in, const float *w, const float *bias, int k, int dilation)
{
    for (int i = 0; i < COUNT; i++) {
        const int c = i % C;
        double sum = bias[c];
        for (int t = 0; t < k * k; t++) {
            const int y = i / C / W + (t / k - k / 2) * dilation,
                      x = i / C % W + (t % k - k / 2) * dilation;
            if (y >= 0 && y < H && x >= 0 && x < W) sum += in[y * W + x][c] * w[t * C + c];
        }
        out[i / C][c] = sum;
    }
}

static void pointwise(map out, map in, const float *w, const float *bias, int ci, int co)
{
    for (int i = 0; i < H * W; i++)
        for (int o = 0; o < co; o++) {
            double sum = bias[o];
            for (int c = 0; c < ci; c++) sum += in[i][c] * w[o * ci + c];
            out[i][o] = sum;
        }
}

static double squash(double z) { return 1.0 / (1.0 + exp(-z)); }

/* T from the mean and the largest of F' and S'. */
static void spatial(map t, map f, map s, const float *w, const float *bias)
{
    double stats[H * W][2];
    for (int i = 0; i < H * W; i++) {
        stats[i][0] = 0.0;
        stats[i][1] = f[i][0];
        for (int c = 0; c < HALF; c++) {
            stats[i][0] += (f[i][c] + s[i][c]) / C;
            stats[i][1] = fmax(stats[i][1], fmax(f[i][c], s[i][c]));
        }
    }
    for (int i = 0; i < H * W; i++)
        for (int o = 0; o < 2; o++) {
            double sum = bias[o];
            for (int k = 0; k < 49; k++) {
                const int y = i / W + k / 7 - 3, x = i % W + k % 7 - 3;
                for (int c = 0; c < 2 && y >= 0 && y < H && x >= 0 && x < W; c++)
                    sum += stats[y * W + x][c] * w[(o * 49 + k) * 2 + c];
            }
            t[i][o] = squash(sum);
        }
}

#define P(name) learned_values(m, "n." name ".weight"), learned_values(m, "n." name ".bias")
static void oracle(const learned *m, double out[COUNT], const float *u)
{
    static map n, fine, coarse, g, f, s, half_f, half_s, t, v;
    const float *lambda = learned_values(m, "n.lambda");
    group_norm(n, u, learned_values(m, "n.norm.gamma"), learned_values(m, "n.norm.beta"));
    depthwise(fine, n, P("dw3"), 3, 1);
    depthwise(coarse, n, P("dw5"), 5, 1);
    pointwise(g, n, P("select"), C, 1);
    for (int i = 0; i < COUNT; i++) {
        const double a = squash(g[i / C][0]);
        f[i / C][i % C] = a * fine[i / C][i % C] + (1.0 - a) * coarse[i / C][i % C];
    }
    depthwise(s, f, P("dw7"), 7, 3);
    pointwise(half_f, f, P("reduce_f"), C, HALF);
    pointwise(half_s, s, P("reduce_s"), C, HALF);
    spatial(t, half_f, half_s, P("gate"));
    for (int i = 0; i < H * W; i++)
        for (int c = 0; c < HALF; c++)
            half_f[i][c] = half_f[i][c] * t[i][0] + half_s[i][c] * t[i][1];
    pointwise(v, half_f, P("expand"), HALF, C);
    for (int i = 0; i < COUNT; i++)
        out[i] = u[i] + lambda[i % C] * v[i / C][i % C] * n[i / C][i % C];
}
#undef P

/* As it is trained and as it runs alone: two lists of operators, one set of equations. */
static void the_learned_map_follows_the_equations(void)
{
    for (int training = 0; training < 2; training++) {
        learned m;
        double wanted[COUNT], worst = 0.0, moved = 0.0;
        if (begin_learned(&m, training, 0)) {
            bench_run(&m.b, VDNI_RUN_ALL);
            for (int n = 0; n < N; n++) {
                const float *u = bench_data(&m.b, m.u) + n * COUNT;
                oracle(&m, wanted, u);
                for (int i = 0; i < COUNT; i++) {
                    worst = fmax(worst, fabs(wanted[i] - bench_data(&m.b, m.y)[n * COUNT + i]));
                    moved = fmax(moved, fabs(wanted[i] - u[i]));
                }
            }
            EXPECT_LE(worst, 1e-5);
            EXPECT_LE(0.1, moved);
        }
        bench_end(&m.b);
    }
}

/* Of the input and of every parameter, also where the block is computed again. */
static void gradients_of_the_learned_map_are_slopes(void)
{
    for (int recompute = 0; recompute < 2; recompute++) {
        learned m;
        if (begin_learned(&m, 1, recompute)) {
            float du[ALL];
            bench_run(&m.b, VDNI_RUN_ALL);
            memcpy(du, bench_data(&m.b, vdni_graph_find(m.b.g, "du")), sizeof du);
            EXPECT(m.b.table.count == 19);
            bench_slopes(&m.b, m.y, m.weight, bench_data(&m.b, m.u), du, ALL, 6e-2);
            for (int64_t i = 0; i < m.b.table.count; i++) {
                const vdni_parameter *p = &m.b.table.items[i];
                bench_slopes(&m.b, m.y, m.weight, m.b.values + p->offset, m.b.gradients + p->offset,
                             p->n * p->h * p->w * p->c, 6e-2);
            }
        }
        bench_end(&m.b);
    }
}

/* ---- the gate ---- */

/* Gate of a foreground that is 1 at (y, x) in rows y0..y1 and columns x0..x1 of 16 x 16. */
static void make_gate(float *out, int32_t ds, int y0, int y1, int x0, int x1, float value)
{
    const int64_t plane[4] = { 1, 16, 16, 1 };
    bench b;
    bench_begin(&b, VDNI_F32, 1, VDNI_PREPARE_PLAIN);
    const vdni_id p = vdni_input(b.g, "p", plane, VDNI_F32);
    const vdni_id gate = vdni_output(b.g, vdni_nsa_gate(b.g, &config, p, ds), "gate");
    EXPECT(!b.g->tensors[gate].needs_gradient);
    if (bench_compile(&b)) {
        for (int i = 0; i < 256; i++)
            bench_data(&b, p)[i] =
                i / 16 >= y0 && i / 16 <= y1 && i % 16 >= x0 && i % 16 <= x1 ? value : 0.0f;
        bench_run(&b, VDNI_RUN_ALL);
        EXPECT(vdni_tensor_count(vdni_plan_tensor(b.plan, gate)) == 256 / ds / ds);
        memcpy(out, bench_data(&b, gate), 4 * (size_t)(256 / ds / ds));
    }
    bench_end(&b);
}

/* g = min(1, o / 0.2), o the mean of 5 x 5 pixels, zero outside, divisor 25. */
static void the_gate_follows_the_prior_around_it(void)
{
    float g[256];
    make_gate(g, 1, 0, 15, 0, 15, 1.0f);
    for (int i = 0; i < 256; i++) EXPECT(g[i] == 1.0f); /* 9 of 25 at a corner are enough */
    make_gate(g, 1, 99, 99, 0, 0, 1.0f);
    for (int i = 0; i < 256; i++) EXPECT(g[i] == 0.0f);
    make_gate(g, 1, 8, 8, 8, 8, 1.0f); /* one pixel: a fifth, as far as two pixels away */
    for (int y = 0; y < 16; y++)
        for (int x = 0; x < 16; x++) {
            const int near = abs(y - 8) <= 2 && abs(x - 8) <= 2;
            EXPECT_LE(fabs(g[16 * y + x] - (near ? 0.2 : 0.0)), 1e-6);
        }
    make_gate(g, 1, 0, 15, 8, 8, 1.0f); /* one column of five: full */
    EXPECT_LE(fabs(g[16 * 8 + 8] - 1.0), 1e-6);
    EXPECT_LE(fabs(g[16 * 8 + 6] - 1.0), 1e-6);
    EXPECT(g[16 * 8 + 5] == 0.0f);
    EXPECT_LE(fabs(g[16 * 0 + 8] - 0.6), 1e-6); /* three of the five rows are inside */
    make_gate(g, 1, 0, 15, 0, 15, 0.1f);
    EXPECT_LE(fabs(g[16 * 8 + 8] - 0.5), 1e-6);
}

static void coarser_levels_average_first(void)
{
    float g[256];
    make_gate(g, 2, 8, 8, 8, 8, 1.0f); /* a quarter of one coarse pixel */
    EXPECT_LE(fabs(g[8 * 4 + 4] - 0.05), 1e-6);
    EXPECT_LE(fabs(g[8 * 2 + 6] - 0.05), 1e-6);
    EXPECT(g[8 * 1 + 4] == 0.0f);
    make_gate(g, 8, 0, 7, 0, 7, 1.0f); /* one of 2 x 2 coarse pixels */
    for (int i = 0; i < 4; i++) EXPECT_LE(fabs(g[i] - 0.2), 1e-6);
}

/* g = 1 where o >= 0.02: half a pixel of mask among 25. */
static void the_hard_gate_is_a_step(void)
{
    float g[256];
    config.nsa = VDNI_NSA_MASK_HARD;
    make_gate(g, 1, 8, 8, 8, 8, 0.51f);
    for (int i = 0; i < 256; i++)
        EXPECT(g[i] == (abs(i / 16 - 8) <= 2 && abs(i % 16 - 8) <= 2 ? 1.0f : 0.0f));
    make_gate(g, 1, 8, 8, 8, 8, 0.49f);
    for (int i = 0; i < 256; i++) EXPECT(g[i] == 0.0f);
    config.nsa = VDNI_NSA_MASK_SOFT;
}

int main(void)
{
    RUN(gate_one_takes_the_small_kernel_and_gate_zero_the_large_one);
    RUN(lambda_zero_passes_the_input_on);
    RUN(a_new_block_adds_a_hundredth);
    RUN(parameters_are_those_of_the_design);
    RUN(every_form_has_its_parameters);
    RUN(the_literal_wrap_is_the_product_alone);
    RUN(the_learned_map_follows_the_equations);
    RUN(gradients_of_the_learned_map_are_slopes);
    RUN(the_hard_gate_is_a_step);
    RUN(the_gate_follows_the_prior_around_it);
    RUN(coarser_levels_average_first);
    return test_result();
}
