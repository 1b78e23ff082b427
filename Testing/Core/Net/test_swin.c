#include "Net/swin.h"

#include "Net/model.h"
#include "graph_test.h"

enum { SIDE = VDNI_SWIN_MULTIPLE };

static void swin(vdn_ctx *ctx, vdni_config *c, const char *size, int32_t channels, int32_t k)
{
    EXPECT(vdni_config_get(ctx, c, size) == VDN_OK);
    c->image_channels = channels;
    c->mask_channels = k;
    EXPECT_OK(ctx, vdni_config_set_network(ctx, c, "swinunet"));
    EXPECT_OK(ctx, vdni_config_check(ctx, c));
}

/* A block of C channels and h heads: two norms, 3 C^2 and C^2 around the attention, 4 C^2 twice, a bias to
 * each, 13 x 13 positions a head. */
static int64_t block(int64_t c, int64_t heads) { return 12 * c * c + 13 * c + 169 * heads; }

/* The encoder's stages are Swin-T's with two blocks each; the count is the sum over the layers. */
static int64_t expected(const vdni_config *config)
{
    const int64_t c = config->condition[0];
    int64_t sum = 16 * config->image_channels * c + c + 2 * c; /* patches */
    for (int i = 0; i < 4; i++) {
        const int64_t f = c << i;
        sum += 2 * block(f, 3 << i);
        if (i == 3) break;
        sum += 2 * 4 * f + 4 * f * 2 * f;            /* merge */
        sum += 2 * f * 4 * f + 2 * f;                /* expand the stage below */
        sum += 2 * f * f + f + 2 * block(f, 3 << i); /* join, decode */
    }
    return sum + 2 * 8 * c + 2 * c + 16 * c * c + 2 * c + c * config->mask_channels;
}

static void parameters_follow_from_the_layers(void)
{
    static const char *const sizes[] = { "unit", "tiny", "small", "base", "full" };
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    for (int i = 0; i < 5; i++) {
        vdni_parameters table = { .items = NULL };
        vdni_config c;
        swin(&ctx, &c, sizes[i], 3, 9);
        EXPECT_OK(&ctx, vdni_model_trace(&ctx, &table, &c));
        EXPECT(table.trainable == expected(&c));
        if (i == 4) EXPECT(table.trainable == 27168900 && c.condition[3] == 768);
        vdni_parameters_free(&ctx, &table);
    }
}

/* A graph on an image of two by one multiples; returns the id of the result. */
static vdni_id build(bench *b, vdni_id *weight, int64_t rows, int32_t k)
{
    vdni_config c;
    swin(&b->ctx, &c, "unit", 1, k);
    const int64_t image[4] = { 1, rows * SIDE, SIDE, 1 }, logits[4] = { 1, rows * SIDE, SIDE, k };
    const vdni_id x = vdni_input(b->g, "image", image, VDNI_F32);
    *weight = vdni_input(b->g, "weight", logits, VDNI_F32);
    const vdni_id y = vdni_output(b->g, vdni_swin(b->g, &c, x), "y");
    const vdni_tensor t = vdni_graph_get(b->g, y);
    EXPECT(t.h == rows * SIDE && t.w == SIDE && t.c == k && t.dtype == VDNI_F32);
    vdni_graph_seed(b->g, y, *weight);
    EXPECT_OK(&b->ctx, vdni_graph_backward(b->g));
    return y;
}

static void every_parameter_has_a_gradient(void)
{
    for (int i = 0; i < 2; i++) {
        bench b;
        vdni_id weight;
        bench_begin(&b, i ? VDNI_BF16 : VDNI_F32, 1, 0);
        (void)build(&b, &weight, 2, 3);
        bench_every_parameter_learns(&b, 3);
        bench_end(&b);
    }
}

/* The backward pass that computes blocks again gives the same bits. */
static void recomputing_changes_no_bit(void)
{
    float *kept = NULL;
    int64_t arena = 0;
    for (int again = 0; again < 2; again++) {
        bench b;
        vdni_id weight;
        bench_begin(&b, VDNI_F32, 1, 0);
        b.g->recompute = again;
        (void)build(&b, &weight, 1, 2);
        if (bench_compile(&b)) {
            const int64_t count = b.table.total_floats;
            vdni_parameters_initialize(&b.table, b.values, 7);
            memset(b.gradients, 0, (size_t)count * sizeof *b.gradients);
            bench_run(&b, VDNI_RUN_ALL);
            if (again) {
                EXPECT(memcmp(kept, b.gradients, (size_t)count * sizeof *kept) == 0);
                EXPECT(b.memory.arena_bytes < arena);
            } else {
                kept = net_floats(count);
                memcpy(kept, b.gradients, (size_t)count * sizeof *kept);
                arena = b.memory.arena_bytes;
            }
        }
        bench_end(&b);
    }
    free(kept);
}

static void gradients_are_slopes(void)
{
    static const char *const names[] = {
        "cond.patch.weight",           "cond.patch_norm.gamma",     "cond.enc0.block1.position",
        "cond.enc2.block1.qkv.weight", "cond.merge1.reduce.weight", "cond.enc3.block0.fc0.weight",
        "cond.up2.widen.weight",       "cond.join1.linear.weight",  "cond.dec0.block1.proj.bias",
        "cond.last.norm.beta",         "cond.head.weight"
    };
    bench b;
    vdni_id weight;
    bench_begin(&b, VDNI_F32, 1, 0);
    const vdni_id y = build(&b, &weight, 1, 2);
    if (bench_compile(&b)) {
        vdni_parameters_initialize(&b.table, b.values, 5);
        memset(b.gradients, 0, (size_t)b.table.total_floats * sizeof *b.gradients);
        bench_run(&b, VDNI_RUN_ALL);
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            const vdni_parameter *p = NULL;
            for (int64_t k = 0; k < b.table.count; k++)
                if (strcmp(b.table.items[k].name, names[i]) == 0) p = &b.table.items[k];
            EXPECT(p != NULL);
            if (p)
                bench_slopes(&b, y, weight, b.values + p->offset, b.gradients + p->offset, 6, 5e-2);
        }
    }
    bench_end(&b);
}

int main(void)
{
    RUN(parameters_follow_from_the_layers);
    RUN(every_parameter_has_a_gradient);
    RUN(recomputing_changes_no_bit);
    RUN(gradients_are_slopes);
    return test_result();
}
