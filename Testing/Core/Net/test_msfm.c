#include "Net/msfm.h"

#include "graph_test.h"

enum { H = 9, W = 7, F = 8, COUNT = H * W * F };

typedef struct {
    bench b;
    vdni_config config;
    vdni_id image, x;
} module;

/* 9 x 7 pixels, two image channels, 8 features, z of width 4; random parameters. */
static int begin(module *m)
{
    const int64_t image[4] = { 1, H, W, 2 };
    bench_begin(&m->b, VDNI_F32, 0, VDNI_PREPARE_PLAIN);
    EXPECT(vdni_config_get(&m->b.ctx, &m->config, "unit") == VDN_OK);
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

int main(void)
{
    RUN(the_weights_of_the_branches_sum_to_one);
    RUN(one_branch_can_be_chosen_for_every_channel);
    RUN(the_choice_depends_on_the_whole_image);
    RUN(parameters_are_those_of_the_design);
    return test_result();
}
