#include "Net/blocks.h"

#include "graph_test.h"

static const int64_t shape[4] = { 1, 4, 6, 16 }, row[4] = { 1, 1, 1, 12 };

static void start_values(bench *b)
{
    vdni_parameters_initialize(&b->table, b->values, 3);
    b->version++;
}

static const vdni_parameter *find(const bench *b, const char *name)
{
    const int64_t i = vdni_parameters_find(&b->table, name);
    EXPECT(i >= 0);
    if (i < 0) printf("  no parameter %s\n", name);
    return i < 0 ? &b->table.items[0] : &b->table.items[i];
}

static int has_shape(const bench *b, const char *name, int64_t n, int64_t h, int64_t w, int64_t c)
{
    const vdni_parameter *p = find(b, name);
    return p->n == n && p->h == h && p->w == w && p->c == c;
}

static int same_values(bench *b, vdni_id x, vdni_id y)
{
    const size_t bytes = (size_t)vdni_tensor_bytes(vdni_plan_tensor(b->plan, x));
    return memcmp(bench_data(b, x), bench_data(b, y), bytes) == 0;
}

static void names_of_children(void)
{
    char out[VDNI_PARAMETER_NAME_BYTES];
    EXPECT(strcmp(vdni_child(out, "diff.mid", "res", 0), "diff.mid.res0") == 0);
    EXPECT(strcmp(vdni_child(out, "diff.mid", "att", -1), "diff.mid.att") == 0);
}

/* RES and ATT of model.md 2.5: the last layer of each starts at zero. */
static void new_residual_and_attention_blocks_pass_their_input_on(void)
{
    for (int32_t scale_shift = 0; scale_shift < 2; scale_shift++) {
        bench b;
        bench_begin(&b, VDNI_F32, 0, VDNI_PREPARE_PLAIN);
        const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
        const vdni_id e = vdni_input(b.g, "e", row, VDNI_F32);
        const vdni_id h = vdni_residual_block(b.g, "r", x, e, 16, scale_shift);
        const vdni_id y = vdni_output(b.g, vdni_attention_block(b.g, "a", h, 8), "y");
        if (bench_compile(&b)) {
            start_values(&b);
            bench_run(&b, VDNI_RUN_ALL);
            EXPECT(same_values(&b, x, y));
            EXPECT(has_shape(&b, "r.emb.weight", scale_shift ? 32 : 16, 1, 1, 12));
            EXPECT(has_shape(&b, "a.qkv.weight", 48, 1, 1, 16));
            EXPECT(vdni_parameters_find(&b.table, "r.skip.weight") < 0);
        }
        bench_end(&b);
    }
}

/* With other channels the input goes through a 1 x 1 convolution. */
static void a_new_block_that_changes_channels_is_its_skip(void)
{
    bench b;
    bench_begin(&b, VDNI_F32, 0, VDNI_PREPARE_PLAIN);
    const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
    const vdni_id e = vdni_input(b.g, "e", row, VDNI_F32);
    const vdni_conv_spec skip = { 24, 1, 1, 1, VDNI_INIT_UNIFORM_FAN_IN, 0, 1 };
    const vdni_id y = vdni_output(b.g, vdni_residual_block(b.g, "r", x, e, 24, 1), "y");
    const vdni_id s = vdni_output(b.g, vdni_conv_block(b.g, "r.skip", x, VDNI_NONE, &skip), "s");
    if (bench_compile(&b)) {
        start_values(&b);
        bench_run(&b, VDNI_RUN_ALL);
        EXPECT(same_values(&b, s, y));
        EXPECT(has_shape(&b, "r.conv0.weight", 24, 3, 3, 16));
        EXPECT(has_shape(&b, "r.conv1.weight", 24, 3, 3, 24));
        EXPECT(has_shape(&b, "r.norm1.gamma", 1, 1, 1, 24));
    }
    bench_end(&b);
}

/* The embedding acts through the second norm only when the last convolution is not zero. */
static void the_embedding_moves_a_trained_block(void)
{
    for (int32_t scale_shift = 0; scale_shift < 2; scale_shift++) {
        bench b;
        bench_begin(&b, VDNI_F32, 0, VDNI_PREPARE_PLAIN);
        const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
        const vdni_id e = vdni_input(b.g, "e", row, VDNI_F32);
        const vdni_id y =
            vdni_output(b.g, vdni_residual_block(b.g, "r", x, e, 16, scale_shift), "y");
        if (bench_compile(&b)) {
            float before[384];
            bench_run(&b, VDNI_RUN_ALL);
            memcpy(before, bench_data(&b, y), sizeof before);
            bench_data(&b, e)[0] += 1.0f;
            bench_run(&b, VDNI_RUN_ALL);
            EXPECT_LE(1e-3, net_distance(bench_data(&b, y), before, 384));
        }
        bench_end(&b);
    }
}

static void the_head_of_a_bf16_graph_can_be_f32(void)
{
    bench b;
    bench_begin(&b, VDNI_BF16, 0, VDNI_PREPARE_PLAIN);
    const vdni_id x = vdni_input(b.g, "x", shape, VDNI_BF16);
    const vdni_conv_spec plain = { 5, 3, 2, 0, VDNI_INIT_HE_NORMAL, 0, 1 };
    const vdni_conv_spec head = { 5, 1, 1, 1, VDNI_INIT_ZERO, 1, 1 };
    EXPECT(vdni_graph_get(b.g, vdni_conv_block(b.g, "p", x, VDNI_NONE, &plain)).dtype == VDNI_BF16);
    const vdni_tensor t = vdni_graph_get(b.g, vdni_conv_block(b.g, "h", x, VDNI_NONE, &head));
    EXPECT(t.dtype == VDNI_F32 && t.c == 5 && t.h == 4);
    EXPECT(vdni_parameters_find(&b.table, "p.bias") < 0 && has_shape(&b, "h.bias", 1, 1, 1, 5));
    bench_end(&b);
}

/* Instance norm sees one image, batch norm in use sees what training has counted. */
static void the_condition_norms_differ_in_what_they_count(void)
{
    bench b;
    bench_begin(&b, VDNI_F32, 0, VDNI_PREPARE_PLAIN);
    const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
    const vdni_id i = vdni_output(
        b.g, vdni_condition_norm_block(b.g, "i", x, VDNI_CONDITION_INSTANCE, VDNI_ACT_NONE), "i");
    const vdni_id n = vdni_output(
        b.g, vdni_condition_norm_block(b.g, "n", x, VDNI_CONDITION_BATCH, VDNI_ACT_NONE), "n");
    if (bench_compile(&b)) {
        EXPECT(has_shape(&b, "n.running", 1, 1, 1, 32) &&
               vdni_parameters_find(&b.table, "i.running") < 0);
        start_values(&b);
        float *running = b.values + find(&b, "n.running")->offset;
        for (int c = 0; c < 16; c++) {
            running[c] = 0.25f;     /* mean */
            running[16 + c] = 4.0f; /* variance */
        }
        bench_run(&b, VDNI_RUN_ALL);
        const float *in = bench_data(&b, x), *instance = bench_data(&b, i),
                    *batch = bench_data(&b, n);
        double mean = 0.0, square = 0.0;
        for (int k = 0; k < 24; k++) {
            mean += instance[16 * k + 3] / 24.0;
            square += instance[16 * k + 3] * instance[16 * k + 3] / 24.0;
            EXPECT_LE(fabs(batch[16 * k + 3] - (in[16 * k + 3] - 0.25) / sqrt(4.0 + 1e-5)), 1e-6);
        }
        EXPECT_LE(fabs(mean), 1e-6);
        EXPECT_LE(fabs(square - 1.0), 1e-3);
    }
    bench_end(&b);
}

/* y[2i + a, 2j + b] = bias + sum over ci of x[i, j] w[ci, a, b], and its slopes. */
static void a_transposed_convolution_doubles_the_size(void)
{
    const int64_t nhwc[4] = { 1, 3, 2, 5 }, twice[4] = { 1, 6, 4, 4 };
    bench b;
    bench_begin(&b, VDNI_F32, 1, VDNI_PREPARE_PLAIN);
    const vdni_id x = vdni_input(b.g, "x", nhwc, VDNI_F32);
    const vdni_id weight = vdni_input(b.g, "weight", twice, VDNI_F32);
    vdni_require_gradient(b.g, x);
    const vdni_id y = vdni_output(b.g, vdni_double_block(b.g, "d", x, 4, 1), "y");
    vdni_graph_seed(b.g, y, weight);
    EXPECT_OK(&b.ctx, vdni_graph_backward(b.g));
    vdni_output(b.g, vdni_graph_gradient(b.g, x), "dx");
    if (bench_compile(&b)) {
        const vdni_parameter *w = &b.table.items[vdni_parameters_find(&b.table, "d.weight")];
        const vdni_parameter *bias = &b.table.items[vdni_parameters_find(&b.table, "d.bias")];
        EXPECT(b.table.trainable == 4 * 5 * 4 + 4);
        bench_run(&b, VDNI_RUN_ALL);
        for (int i = 0; i < 96; i++) {
            const int c = i % 4, column = i / 4 % 4, row = i / 16;
            double sum = b.values[bias->offset + c];
            for (int k = 0; k < 5; k++)
                sum += (double)bench_data(&b, x)[(row / 2 * 2 + column / 2) * 5 + k] *
                       b.values[w->offset + ((k * 2 + row % 2) * 2 + column % 2) * 4 + c];
            EXPECT_LE(fabs(sum - bench_data(&b, y)[i]), 1e-5);
        }
        float dx[30];
        memcpy(dx, bench_data(&b, vdni_graph_find(b.g, "dx")), sizeof dx);
        bench_slopes(&b, y, weight, bench_data(&b, x), dx, 30, 5e-3);
        bench_slopes(&b, y, weight, b.values + w->offset, b.gradients + w->offset, 80, 5e-3);
        bench_slopes(&b, y, weight, b.values + bias->offset, b.gradients + bias->offset, 4, 5e-3);
    }
    bench_end(&b);
}

int main(void)
{
    RUN(a_transposed_convolution_doubles_the_size);
    RUN(names_of_children);
    RUN(new_residual_and_attention_blocks_pass_their_input_on);
    RUN(a_new_block_that_changes_channels_is_its_skip);
    RUN(the_embedding_moves_a_trained_block);
    RUN(the_head_of_a_bf16_graph_can_be_f32);
    RUN(the_condition_norms_differ_in_what_they_count);
    return test_result();
}
