#include "Net/msfm.h"

#include "graph_test.h"

enum { H = 9, W = 7, F = 8, COUNT = H * W * F };

typedef struct {
    bench b;
    vdni_config config;
    vdni_id image, x;
} module;

static vdni_msfm_norm norm = VDNI_MSFM_LAYER_NORM;

/* 9 x 7 pixels, two image channels, 8 features, z of width 4; random parameters. */
static int begin(module *m)
{
    const int64_t image[4] = { 1, H, W, 2 };
    bench_begin(&m->b, VDNI_F32, 0, VDNI_PREPARE_PLAIN);
    EXPECT(vdni_config_get(&m->b.ctx, &m->config, "unit") == VDN_OK);
    m->config.msfm_norm = norm;
    m->image = vdni_input(m->b.g, "image", image, VDNI_F32);
    m->x = vdni_output(m->b.g, vdni_msfm(m->b.g, "m", m->image, F, &m->config), "x");
    return bench_compile(&m->b);
}

static float *values(module *m, const char *name, int64_t *count)
{
    const int64_t i = vdni_parameters_find(&m->b.table, name);
    EXPECT(i >= 0);
    if (i < 0) exit(1);
    const vdni_parameter *p = &m->b.table.items[i];
    if (count) *count = p->n * p->h * p->w * p->c;
    return m->b.values + p->offset;
}

static void fill(module *m, const char *name, float value)
{
    int64_t count = 0;
    float *v = values(m, name, &count);
    for (int64_t i = 0; i < count; i++) v[i] = value;
}

/* The kernel of @p name becomes that of conv3 with zeros around it, its norm that of conv3. */
static void embed(module *m, int k)
{
    char name[32], norm[32];
    (void)snprintf(name, sizeof name, "m.conv%d.weight", k);
    (void)snprintf(norm, sizeof norm, "m.norm%d.gamma", k);
    const float *small = values(m, "m.conv3.weight", NULL);
    float *wide = values(m, name, NULL);
    const int edge = (k - 3) / 2;
    fill(m, name, 0.0f);
    for (int f = 0; f < F; f++)
        for (int y = 0; y < 3; y++)
            for (int x = 0; x < 3; x++)
                for (int c = 0; c < 2; c++)
                    wide[((f * k + y + edge) * k + x + edge) * 2 + c] =
                        small[((f * 3 + y) * 3 + x) * 2 + c];
    memcpy(values(m, norm, NULL), values(m, "m.norm3.gamma", NULL), F * sizeof(float));
    (void)snprintf(norm, sizeof norm, "m.norm%d.beta", k);
    memcpy(values(m, norm, NULL), values(m, "m.norm3.beta", NULL), F * sizeof(float));
}

/* Three equal branches: whatever the weights are, X is the branch, because they sum to 1. */
static void the_weights_of_the_branches_sum_to_one(void)
{
    module m;
    if (begin(&m)) {
        float equal[COUNT], other[COUNT];
        embed(&m, 5);
        embed(&m, 7);
        bench_run(&m.b, VDNI_RUN_ALL);
        memcpy(equal, bench_data(&m.b, m.x), sizeof equal);
        float *select = values(&m, "m.select.weight", NULL);
        for (int i = 0; i < 3 * F * 4; i++) select[i] *= -3.0f;
        bench_run(&m.b, VDNI_RUN_ALL);
        memcpy(other, bench_data(&m.b, m.x), sizeof other);
        EXPECT_LE(net_distance(other, equal, COUNT), 1e-6);
        double sum = 0.0;
        for (int i = 0; i < COUNT; i++) {
            EXPECT(equal[i] >= 0.0f); /* ReLU */
            sum += equal[i];
        }
        EXPECT_LE(1.0, sum);
    }
    bench_end(&m.b);
}

/* z = 1 and rows of 20 select one branch: what the other two hold no longer matters. */
static void one_branch_can_be_chosen_for_every_channel(void)
{
    for (int chosen = 0; chosen < 3; chosen++) {
        module m;
        if (begin(&m)) {
            float before[COUNT];
            float *select = values(&m, "m.select.weight", NULL); /* rows: 3 x 3, 5 x 5, 7 x 7 */
            fill(&m, "m.norm.gamma", 0.0f);
            fill(&m, "m.norm.beta", 1.0f);
            for (int i = 0; i < 3 * F * 4; i++) select[i] = i / (F * 4) == chosen ? 20.0f : 0.0f;
            bench_run(&m.b, VDNI_RUN_ALL);
            memcpy(before, bench_data(&m.b, m.x), sizeof before);
            for (int k = 0; k < 3; k++) {
                char name[32];
                (void)snprintf(name, sizeof name, "m.norm%d.gamma", 3 + 2 * k);
                values(&m, name, NULL)[1] += 1.0f;
                bench_run(&m.b, VDNI_RUN_ALL);
                const double moved = net_distance(bench_data(&m.b, m.x), before, COUNT);
                if (k == chosen)
                    EXPECT_LE(0.01, moved);
                else
                    EXPECT_LE(moved, 1e-6);
                values(&m, name, NULL)[1] -= 1.0f;
            }
        }
        bench_end(&m.b);
    }
}

/* The choice is made from the whole image: one pixel far away changes X everywhere. */
static void the_choice_depends_on_the_whole_image(void)
{
    module m;
    if (begin(&m)) {
        float before[COUNT];
        bench_run(&m.b, VDNI_RUN_ALL);
        memcpy(before, bench_data(&m.b, m.x), sizeof before);
        bench_data(&m.b, m.image)[0] += 3.0f;
        bench_run(&m.b, VDNI_RUN_ALL);
        const float *after = bench_data(&m.b, m.x);
        EXPECT(memcmp(before + COUNT - F, after + COUNT - F, F * sizeof(float)) != 0);
    }
    bench_end(&m.b);
}

static void parameters_are_those_of_the_design(void)
{
    module m;
    if (begin(&m)) /* three convolutions of Cb = 2, their norms, W_z, LN, A B C */
        EXPECT(m.b.table.trainable ==
               (9 + 25 + 49) * 2 * F + 3 * 2 * F + 4 * F + 2 * 4 + 3 * F * 4);
    bench_end(&m.b);
}

/* ---- the equations once more, in double ---- */

/* U_k = ReLU(IN(Conv_k(image))). */
static void branch(module *m, double u[COUNT], int k)
{
    char name[32];
    (void)snprintf(name, sizeof name, "m.conv%d.weight", k);
    const float *w = values(m, name, NULL), *image = bench_data(&m->b, m->image);
    (void)snprintf(name, sizeof name, "m.norm%d.gamma", k);
    const float *gamma = values(m, name, NULL);
    (void)snprintf(name, sizeof name, "m.norm%d.beta", k);
    const float *beta = values(m, name, NULL);
    double mean[F] = { 0.0 }, square[F] = { 0.0 };
    for (int i = 0; i < COUNT; i++) {
        u[i] = 0.0;
        for (int t = 0; t < k * k; t++) {
            const int y = i / F / W + t / k - k / 2, x = i / F % W + t % k - k / 2;
            for (int c = 0; c < 2 && y >= 0 && y < H && x >= 0 && x < W; c++)
                u[i] += (double)image[(y * W + x) * 2 + c] * w[(i % F * k * k + t) * 2 + c];
        }
        mean[i % F] += u[i] / (H * W);
    }
    for (int i = 0; i < COUNT; i++) square[i % F] += pow(u[i] - mean[i % F], 2) / (H * W);
    for (int i = 0; i < COUNT; i++) {
        const int f = i % F;
        u[i] = fmax(0.0, (u[i] - mean[f]) / sqrt(square[f] + 1e-5) * gamma[f] + beta[f]);
    }
}

/* z = ELU(W_z s), with LN between unless @p gamma is NULL. */
static void squeeze(double z[4], const double s[F], const float *w, const float *gamma,
                    const float *beta)
{
    double mean = 0.0, square = 0.0;
    for (int d = 0; d < 4; d++) {
        z[d] = 0.0;
        for (int f = 0; f < F; f++) z[d] += w[d * F + f] * s[f];
        mean += z[d] / 4.0;
    }
    for (int d = 0; d < 4; d++) square += (z[d] - mean) * (z[d] - mean) / 4.0;
    for (int d = 0; d < 4; d++) {
        if (gamma) z[d] = (z[d] - mean) / sqrt(square + 1e-5) * gamma[d] + beta[d];
        z[d] = z[d] > 0.0 ? z[d] : expm1(z[d]);
    }
}

static void oracle(module *m, double out[COUNT], int normed)
{
    static double u[3][COUNT];
    double s[F] = { 0.0 }, z[4];
    const float *select = values(m, "m.select.weight", NULL);
    for (int k = 0; k < 3; k++) {
        branch(m, u[k], 3 + 2 * k);
        for (int i = 0; i < COUNT; i++) s[i % F] += u[k][i] / (H * W);
    }
    squeeze(z, s, values(m, "m.squeeze.weight", NULL),
            normed ? values(m, "m.norm.gamma", NULL) : NULL,
            normed ? values(m, "m.norm.beta", NULL) : NULL);
    for (int i = 0; i < COUNT; i++) {
        double above = 0.0, below = 0.0;
        for (int k = 0; k < 3; k++) {
            double logit = 0.0;
            for (int d = 0; d < 4; d++) logit += select[(k * F + i % F) * 4 + d] * z[d];
            above += exp(logit) * u[k][i];
            below += exp(logit);
        }
        out[i] = above / below;
    }
}

static void the_module_follows_its_equations_with_and_without_a_norm(void)
{
    for (int normed = 0; normed < 2; normed++) {
        static double wanted[COUNT];
        double worst = 0.0;
        module m;
        norm = normed ? VDNI_MSFM_LAYER_NORM : VDNI_MSFM_NO_NORM;
        if (begin(&m)) {
            EXPECT((vdni_parameters_find(&m.b.table, "m.norm.gamma") >= 0) == normed);
            EXPECT(m.b.table.count == (normed ? 13 : 11));
            bench_run(&m.b, VDNI_RUN_ALL);
            oracle(&m, wanted, normed);
            for (int i = 0; i < COUNT; i++)
                worst = fmax(worst, fabs(wanted[i] - bench_data(&m.b, m.x)[i]));
            EXPECT_LE(worst, 1e-5);
        }
        bench_end(&m.b);
    }
    norm = VDNI_MSFM_LAYER_NORM;
}

int main(void)
{
    RUN(the_weights_of_the_branches_sum_to_one);
    RUN(one_branch_can_be_chosen_for_every_channel);
    RUN(the_choice_depends_on_the_whole_image);
    RUN(parameters_are_those_of_the_design);
    RUN(the_module_follows_its_equations_with_and_without_a_norm);
    return test_result();
}
