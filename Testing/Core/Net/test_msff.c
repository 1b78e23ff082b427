#include "Net/msff.h"

#include "Net/model.h"
#include "graph_test.h"

enum { H = 9, W = 7, C = 16, Q = 4, COUNT = H * W * C };

static const vdni_msff_kind kinds[] = { VDNI_MSFF_CASCADE, VDNI_MSFF_DILATED, VDNI_MSFF_ASPP };

typedef struct {
    bench b;
    vdni_config config;
    vdni_id x, y, weight, terms;
} module;

static int begin(module *m, vdni_msff_kind kind, int training)
{
    const int64_t nhwc[4] = { 1, H, W, C };
    bench_begin(&m->b, VDNI_F32, training, VDNI_PREPARE_PLAIN);
    EXPECT(vdni_config_get(&m->b.ctx, &m->config, "unit") == VDN_OK);
    m->config.msff = kind;
    m->x = vdni_input(m->b.g, "x", nhwc, VDNI_F32);
    m->weight = vdni_input(m->b.g, "weight", nhwc, VDNI_F32);
    if (training) vdni_require_gradient(m->b.g, m->x);
    m->y = vdni_output(m->b.g, vdni_msff(m->b.g, "m", m->x, &m->config), "y");
    if (training) {
        vdni_graph_seed(m->b.g, m->y, m->weight);
        EXPECT_OK(&m->b.ctx, vdni_graph_backward(m->b.g));
        vdni_output(m->b.g, vdni_graph_gradient(m->b.g, m->x), "dx");
    }
    return bench_compile(&m->b);
}

static float *values(module *m, const char *name)
{
    const int64_t i = vdni_parameters_find(&m->b.table, name);
    EXPECT(i >= 0);
    if (i < 0) exit(1);
    return m->b.values + m->b.table.items[i].offset;
}

/* ---- the equations once more, in double ---- */

typedef struct {
    double v[H * W][5 * C];
    int c;
} map;

static void convolve(map *out, const map *in, const float *w, int k, int dilation, int c)
{
    out->c = c;
    for (int i = 0; i < H * W; i++)
        for (int o = 0; o < c; o++) {
            double sum = 0.0;
            for (int t = 0; t < k * k; t++) {
                const int y = i / W + (t / k - k / 2) * dilation,
                          x = i % W + (t % k - k / 2) * dilation;
                if (y < 0 || y >= H || x < 0 || x >= W) continue;
                for (int j = 0; j < in->c; j++)
                    sum += in->v[y * W + x][j] * w[(o * k * k + t) * in->c + j];
            }
            out->v[i][o] = sum;
        }
}

/* Groups of channels; leaky: LeakyReLU behind it. */
static void normalize(map *m, const float *gamma, const float *beta, int groups, int leaky)
{
    const int width = m->c / groups;
    for (int g = 0; g < groups; g++) {
        double mean = 0.0, square = 0.0;
        for (int i = 0; i < H * W * width; i++) mean += m->v[i / width][g * width + i % width];
        mean /= H * W * width;
        for (int i = 0; i < H * W * width; i++) {
            const double d = m->v[i / width][g * width + i % width] - mean;
            square += d * d;
        }
        const double r = 1.0 / sqrt(square / (H * W * width) + 1e-5);
        for (int i = 0; i < H * W * width; i++) {
            const int c = g * width + i % width;
            const double y = (m->v[i / width][c] - mean) * r * gamma[c] + beta[c];
            m->v[i / width][c] = leaky && y < 0.0 ? 0.01 * y : y;
        }
    }
}

static void cna(module *m, map *out, const map *in, const char *name, int k, int dilation)
{
    char w[64], gamma[64], beta[64];
    (void)snprintf(w, sizeof w, "m.%s.conv.weight", name);
    (void)snprintf(gamma, sizeof gamma, "m.%s.norm.gamma", name);
    (void)snprintf(beta, sizeof beta, "m.%s.norm.beta", name);
    convolve(out, in, values(m, w), k, dilation, Q);
    normalize(out, values(m, gamma), values(m, beta), Q, 1);
}

static void linear(double *y, const double *x, const float *w, const float *b, int ci, int co)
{
    for (int o = 0; o < co; o++) {
        y[o] = b ? b[o] : 0.0;
        for (int i = 0; i < ci; i++) y[o] += x[i] * w[o * ci + i];
    }
}

static void pool(double *s, const map *m)
{
    for (int c = 0; c < m->c; c++) {
        s[c] = 0.0;
        for (int i = 0; i < H * W; i++) s[c] += m->v[i][c] / (H * W);
    }
}

static void put(map *to, int at, const map *from)
{
    for (int i = 0; i < H * W; i++)
        for (int c = 0; c < from->c; c++) to->v[i][at + c] = from->v[i][c];
}

static void oracle(module *m, double out[COUNT], vdni_msff_kind kind)
{
    static map x, u[4], all, y;
    static const int rates[3][3] = { { 1, 1, 1 }, { 1, 2, 4 }, { 6, 12, 18 } };
    double s[C], v[Q], a[C], hidden[Q];
    x.c = C;
    for (int i = 0; i < COUNT; i++) x.v[i / C][i % C] = bench_data(&m->b, m->x)[i];
    cna(m, &u[0], &x, "reduce", 1, 1);
    for (int k = 0; k < 3; k++) {
        char name[16];
        (void)snprintf(name, sizeof name, "scale%d", k);
        cna(m, &u[k + 1], kind == VDNI_MSFF_CASCADE ? &u[k] : &u[0], name, 3, rates[kind - 1][k]);
    }
    for (int k = 0; k < 4; k++) put(&all, k * Q, &u[k]);
    pool(s, &x);
    linear(v, s, values(m, "m.global.weight"), values(m, "m.global.bias"), C, Q);
    for (int k = 0; k < Q; k++) v[k] = v[k] > 0.0 ? v[k] : 0.0;
    linear(a, v, values(m, "m.join_global.weight"), NULL, Q, C);
    all.c = 4 * Q;
    convolve(&y, &all, values(m, "m.join.weight"), 1, 1, C);
    for (int i = 0; i < COUNT; i++) y.v[i / C][i % C] += a[i % C];
    normalize(&y, values(m, "m.norm.gamma"), values(m, "m.norm.beta"), vdni_norm_groups(C), 0);
    pool(s, &y);
    linear(hidden, s, values(m, "m.squeeze.weight"), values(m, "m.squeeze.bias"), C, Q);
    for (int k = 0; k < Q; k++) hidden[k] = hidden[k] > 0.0 ? hidden[k] : 0.0;
    linear(a, hidden, values(m, "m.gate.weight"), values(m, "m.gate.bias"), Q, C);
    for (int i = 0; i < COUNT; i++)
        out[i] = x.v[i / C][i % C] + y.v[i / C][i % C] / (1.0 + exp(-a[i % C]));
}

static void the_module_follows_its_equations(void)
{
    for (int k = 0; k < 3; k++) {
        module m;
        static double wanted[COUNT];
        double worst = 0.0;
        if (begin(&m, kinds[k], 0)) {
            bench_run(&m.b, VDNI_RUN_ALL);
            oracle(&m, wanted, kinds[k]);
            for (int i = 0; i < COUNT; i++)
                worst = fmax(worst, fabs(wanted[i] - bench_data(&m.b, m.y)[i]));
            EXPECT_LE(worst, 1e-5);
        }
        bench_end(&m.b);
    }
}

static void gradients_are_slopes(void)
{
    static const char *const names[] = { "m.reduce.conv.weight", "m.scale2.conv.weight",
                                         "m.global.weight",      "m.join_global.weight",
                                         "m.norm.gamma",         "m.squeeze.bias",
                                         "m.gate.weight" };
    for (int k = 0; k < 3; k++) {
        module m;
        if (begin(&m, kinds[k], 1)) {
            bench_run(&m.b, VDNI_RUN_ALL);
            const int64_t count = COUNT;
            float dx[COUNT];
            memcpy(dx, bench_data(&m.b, vdni_graph_find(m.b.g, "dx")), sizeof dx);
            bench_slopes(&m.b, m.y, m.weight, bench_data(&m.b, m.x), dx, count, 6e-2);
            for (int i = 0; i < 7; i++) {
                const int64_t at = vdni_parameters_find(&m.b.table, names[i]);
                const vdni_parameter *p = &m.b.table.items[at];
                bench_slopes(&m.b, m.y, m.weight, m.b.values + p->offset, m.b.gradients + p->offset,
                             p->n * p->h * p->w * p->c, 6e-2);
            }
        }
        bench_end(&m.b);
    }
}

/* 9 C q + 27 q^2 + 10 q + 3 C with q = C/4: model.md 4.2 prints 0.910, 0.065 and 0.016 million. */
static void parameters_are_those_of_the_design(void)
{
    static const struct {
        const char *name;
        int64_t c;
        double printed;
    } cases[] = { { "full", 480, .910e6 }, { "small", 128, .065e6 }, { "tiny", 64, .016e6 } };
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    for (int i = 0; i < 9; i++) {
        vdni_parameters without = { .items = NULL }, with = { .items = NULL };
        vdni_config config;
        const int64_t c = cases[i / 3].c, q = c / 4;
        EXPECT(vdni_config_get(&ctx, &config, cases[i / 3].name) == VDN_OK);
        EXPECT_OK(&ctx, vdni_model_trace(&ctx, &without, &config));
        config.msff = kinds[i % 3];
        EXPECT_OK(&ctx, vdni_model_trace(&ctx, &with, &config));
        const int64_t more = with.trainable - without.trainable;
        EXPECT(more == 9 * c * q + 27 * q * q + 10 * q + 3 * c);
        EXPECT(vdni_parameters_count(&with, "cond.msff") == more);
        EXPECT_LE(fabs((double)more - cases[i / 3].printed), 500.0);
        vdni_parameters_free(&ctx, &without);
        vdni_parameters_free(&ctx, &with);
    }
}

int main(void)
{
    RUN(the_module_follows_its_equations);
    RUN(gradients_are_slopes);
    RUN(parameters_are_those_of_the_design);
    return test_result();
}
