#include "Net/deeplab.h"

#include "Net/model.h"
#include "graph_test.h"

static void deeplab(vdn_ctx *ctx, vdni_config *c, const char *size, int32_t channels, int32_t k)
{
    EXPECT(vdni_config_get(ctx, c, size) == VDN_OK);
    c->image_channels = channels;
    c->mask_channels = k;
    EXPECT_OK(ctx, vdni_config_set_network(ctx, c, "deeplabv3"));
    EXPECT_OK(ctx, vdni_config_check(ctx, c));
}

/* ResNet-50 without its last layer has 23,508,032 with three channels in. The head: five branches and
 * a join of 256 channels, a 3 x 3, seven norms, the scores. With one class 39,633,729, torchvision's
 * deeplabv3_resnet50 without its auxiliary head; a group norm has as many as a batch norm. */
static void parameters_are_those_of_the_variant(void)
{
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    for (int32_t k = 1; k <= 21; k += 20) {
        vdni_parameters table = { .items = NULL };
        vdni_config c;
        deeplab(&ctx, &c, "full", 3, k);
        EXPECT_OK(&ctx, vdni_model_trace(&ctx, &table, &c));
        const int64_t head = 2 * 2048 * 256 + 3 * 9 * 2048 * 256 + 5 * 256 * 256 + 9 * 256 * 256 +
                             7 * 2 * 256 + 257 * k;
        EXPECT(table.trainable == 23508032 + head);
        if (k == 1) EXPECT(table.trainable == 39633729);
        vdni_parameters_free(&ctx, &table);
    }
}

/* Every parameter has a gradient, in both types of activation. */
static void every_size_gives_logits(void)
{
    static const char *const names[] = { "unit", "tiny" };
    for (int i = 0; i < 4; i++) {
        bench b;
        vdni_config c;
        bench_begin(&b, i / 2 ? VDNI_BF16 : VDNI_F32, 1, 0);
        deeplab(&b.ctx, &c, names[i % 2], 1, 3);
        const int64_t image[4] = { 1, 64, 48, 1 }, logits[4] = { 1, 64, 48, 3 };
        const vdni_id x = vdni_input(b.g, "image", image, VDNI_F32);
        const vdni_id weight = vdni_input(b.g, "weight", logits, VDNI_F32);
        const vdni_id y = vdni_output(b.g, vdni_deeplab(b.g, &c, x), "y");
        const vdni_tensor t = vdni_graph_get(b.g, y);
        EXPECT(t.h == 64 && t.w == 48 && t.c == 3 && t.dtype == VDNI_F32);
        vdni_graph_seed(b.g, y, weight);
        EXPECT_OK(&b.ctx, vdni_graph_backward(b.g));
        bench_every_parameter_learns(&b, 3);
        bench_end(&b);
    }
}

static float *values_of(bench *b, const char *name, int64_t *offset)
{
    for (int64_t p = 0; p < b->table.count; p++)
        if (strcmp(b->table.items[p].name, name) == 0) {
            *offset = b->table.items[p].offset;
            return b->values + *offset;
        }
    EXPECT(name == NULL);
    return NULL;
}

/* Parameters of every kind of place, from the scores down to the first stage; below it fifty rectified
 * layers leave nothing smooth to difference. */
static void gradients_are_slopes(void)
{
    static const char *const names[] = { "cond.score.weight",      "cond.last.norm.gamma",
                                         "cond.join.weight",       "cond.join_mean.weight",
                                         "cond.mean.weight",       "cond.atrous3.norm.beta",
                                         "cond.atrous1.norm.gamma" };
    bench b;
    vdni_config c;
    bench_begin(&b, VDNI_F32, 1, 0);
    deeplab(&b.ctx, &c, "unit", 1, 2);
    const int64_t image[4] = { 1, 64, 64, 1 }, logits[4] = { 1, 64, 64, 2 };
    const vdni_id x = vdni_input(b.g, "image", image, VDNI_F32);
    const vdni_id weight = vdni_input(b.g, "weight", logits, VDNI_F32);
    const vdni_id y = vdni_output(b.g, vdni_deeplab(b.g, &c, x), "y");
    vdni_graph_seed(b.g, y, weight);
    EXPECT_OK(&b.ctx, vdni_graph_backward(b.g));
    if (bench_compile(&b)) {
        vdni_parameters_initialize(&b.table, b.values, 5);
        memset(b.gradients, 0, (size_t)b.table.total_floats * sizeof *b.gradients);
        bench_run(&b, VDNI_RUN_ALL);
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            int64_t at = 0;
            float *p = values_of(&b, names[i], &at);
            if (p) bench_slopes(&b, y, weight, p, b.gradients + at, 8, 3e-2);
        }
    }
    bench_end(&b);
}

int main(void)
{
    RUN(parameters_are_those_of_the_variant);
    RUN(every_size_gives_logits);
    RUN(gradients_are_slopes);
    return test_result();
}
