#include "Net/fcn.h"

#include "Net/model.h"
#include "graph_test.h"

/* VGG-16 up to fc7 has 134,260,544 with three channels in; the scores come on top. */
static void parameters_are_those_of_the_publication(void)
{
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    for (int32_t k = 1; k <= 4; k += 3) {
        vdni_parameters table = { .items = NULL };
        vdni_config c;
        EXPECT(vdni_config_get(&ctx, &c, "full") == VDN_OK);
        c.image_channels = 3;
        c.mask_channels = k;
        EXPECT_OK(&ctx, vdni_config_set_network(&ctx, &c, "fcn8s"));
        EXPECT_OK(&ctx, vdni_model_trace(&ctx, &table, &c));
        const int64_t scores = (4096 + 512 + 256 + 3) * k + 2 * 16 * k * k;
        EXPECT(table.trainable == 134260544 + scores);
        vdni_parameters_free(&ctx, &table);
    }
}

/* Logits at the image's size for every named size, and a gradient for every parameter. */
static void every_size_gives_logits(void)
{
    static const char *const names[] = { "unit", "tiny" };
    for (int i = 0; i < 4; i++) {
        bench b;
        vdni_config c;
        bench_begin(&b, i / 2 ? VDNI_BF16 : VDNI_F32, 1, 0);
        EXPECT(vdni_config_get(&b.ctx, &c, names[i % 2]) == VDN_OK);
        c.mask_channels = 3;
        EXPECT_OK(&b.ctx, vdni_config_set_network(&b.ctx, &c, "fcn8s"));
        EXPECT_OK(&b.ctx, vdni_config_check(&b.ctx, &c));
        const int64_t image[4] = { 1, 64, 32, 1 }, logits[4] = { 1, 64, 32, 3 };
        const vdni_id x = vdni_input(b.g, "image", image, VDNI_F32);
        const vdni_id weight = vdni_input(b.g, "weight", logits, VDNI_F32);
        const vdni_id y = vdni_output(b.g, vdni_fcn(b.g, &c, x), "y");
        const vdni_tensor t = vdni_graph_get(b.g, y);
        EXPECT(t.h == 64 && t.w == 32 && t.c == 3 && t.dtype == VDNI_F32);
        vdni_graph_seed(b.g, y, weight);
        EXPECT_OK(&b.ctx, vdni_graph_backward(b.g));
        bench_every_parameter_learns(&b, 3);
        bench_end(&b);
    }
}

int main(void)
{
    RUN(parameters_are_those_of_the_publication);
    RUN(every_size_gives_logits);
    return test_result();
}
