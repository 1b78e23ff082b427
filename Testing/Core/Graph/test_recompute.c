/* Blocks computed again give the same bits in less memory. */
#include "Graph/recompute.h"

#include "graph_test.h"

enum { SIDE = 16, WIDTH = 16, BLOCKS = 6 };

static vdni_id parameter(vdni_graph *g, const char *stem, int i, const int64_t nhwc[4])
{
    char name[VDNI_PARAMETER_NAME_BYTES];
    (void)snprintf(name, sizeof name, "%s%d.weight", stem, i);
    return vdni_parameter_of(g, name, nhwc, VDNI_INIT_UNIFORM_FAN_IN, WIDTH);
}

/* norm, convolution, norm with modulation, convolution, and the input added. */
static vdni_id residual_block(vdni_graph *g, vdni_id x, vdni_id mod, int i, vdni_id running)
{
    static const vdni_window same = { 3, 1, 1, 1 };
    const int64_t vector[4] = { 1, 1, 1, WIDTH }, weight[4] = { WIDTH, 3, 3, WIDTH };
    const vdni_id one = running == VDNI_NONE
                            ? vdni_norm(g, x, parameter(g, "a", i, vector),
                                        parameter(g, "b", i, vector), VDNI_NONE, 4, VDNI_ACT_SILU)
                            : vdni_batch_norm(g, x, parameter(g, "a", i, vector),
                                              parameter(g, "b", i, vector), running, VDNI_ACT_SILU);
    const vdni_id two =
        vdni_conv(g, one, parameter(g, "c", i, weight), VDNI_NONE, VDNI_NONE, same, VDNI_F32);
    const vdni_id three = vdni_norm(g, two, parameter(g, "d", i, vector),
                                    parameter(g, "e", i, vector), mod, 4, VDNI_ACT_SILU);
    return vdni_conv(g, three, parameter(g, "f", i, weight), VDNI_NONE, x, same, VDNI_F32);
}

/* A small U: blocks down, blocks up with skips, a loss. @p batch: block 1 has batch norm. */
static void build(bench *b, int recompute, int batch)
{
    vdni_graph *g = b->g;
    const int64_t image[4] = { 1, SIDE, SIDE, WIDTH }, row[4] = { 1, 1, 1, 2 * WIDTH };
    const int64_t plane[4] = { 1, SIDE, SIDE, 1 }, two[4] = { 1, 1, 1, 2 };
    const int64_t head[4] = { 1, 1, 1, WIDTH }, statistics[4] = { 1, 1, 1, 2 * WIDTH };
    static const vdni_window point = { 1, 1, 1, 0 };
    vdni_id kept[BLOCKS / 2], x = vdni_input(g, "x", image, VDNI_F32);
    const vdni_id mod = vdni_input(g, "mod", row, VDNI_F32);
    vdni_require_gradient(g, x);
    vdni_require_gradient(g, mod);
    const vdni_id running =
        batch ? vdni_parameter_of(g, "bn.running", statistics, VDNI_INIT_ONE, WIDTH) : VDNI_NONE;
    const vdni_id start = x;
    for (int i = 0; i < BLOCKS / 2; i++)
        kept[i] = x = residual_block(g, x, mod, i, i == 1 ? running : VDNI_NONE);
    for (int i = BLOCKS / 2; i < BLOCKS; i++)
        x = residual_block(g, vdni_add(g, x, kept[BLOCKS - 1 - i]), mod, i, VDNI_NONE);
    const vdni_id logits =
        vdni_conv(g, x, parameter(g, "head", 0, head), VDNI_NONE, VDNI_NONE, point, VDNI_F32);
    const vdni_loss_weights lambda = { 1.0f, 1.0f, 1.0f, 0.0f, 0 };
    vdni_output(g,
                vdni_segmentation_loss(g, logits, vdni_input(g, "target", plane, VDNI_U8),
                                       vdni_input(g, "weights", two, VDNI_F32), VDNI_NONE, lambda),
                "terms");
    g->recompute = recompute;
    EXPECT_OK(&b->ctx, vdni_graph_backward(g));
    vdni_output(g, vdni_graph_gradient(g, start), "dx");
    vdni_output(g, vdni_graph_gradient(g, mod), "dmod");
}

typedef struct {
    float *gradients, *values;
    float dx[SIDE * SIDE * WIDTH], dmod[2 * WIDTH], terms[4];
    int64_t floats, arena, nodes;
} result;

static void read_output(bench *b, const char *name, float *to)
{
    const vdni_tensor *t = vdni_plan_tensor(b->plan, vdni_graph_find(b->g, name));
    memcpy(to, t->data, (size_t)vdni_tensor_bytes(t));
}

static result run(int recompute, int batch)
{
    static const float weights[2] = { 2.0f, 1.0f };
    static const char *const inputs[2] = { "x", "mod" };
    bench b;
    result r;
    memset(&r, 0, sizeof r);
    bench_begin(&b, VDNI_F32, 1, VDNI_PREPARE_PLAIN);
    build(&b, recompute, batch);
    if (!bench_compile(&b)) exit(1);
    for (uint64_t i = 0; i < 2; i++)
        bench_random(vdni_plan_tensor(b.plan, vdni_graph_find(b.g, inputs[i])), 7 + i);
    bench_random(vdni_plan_tensor(b.plan, vdni_graph_find(b.g, "target")), 9);
    EXPECT_OK(&b.ctx, vdni_plan_put(&b.ctx, b.plan, vdni_graph_find(b.g, "weights"), weights, 8));
    EXPECT_OK(&b.ctx, vdni_plan_run(&b.ctx, b.plan, VDNI_RUN_FORWARD));
    EXPECT_OK(&b.ctx, vdni_plan_run(&b.ctx, b.plan, VDNI_RUN_BACKWARD));
    r.floats = b.table.total_floats;
    r.gradients = net_floats(r.floats);
    r.values = net_floats(r.floats);
    memcpy(r.gradients, b.gradients, 4 * (size_t)r.floats);
    memcpy(r.values, b.values, 4 * (size_t)r.floats);
    read_output(&b, "dx", r.dx);
    read_output(&b, "dmod", r.dmod);
    read_output(&b, "terms", r.terms);
    r.arena = b.memory.arena_bytes;
    r.nodes = b.g->node_count;
    bench_end(&b);
    return r;
}

static double norm_of(const float *x, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return sqrt(sum);
}

static void compare(int batch)
{
    result a = run(0, batch), b = run(1, batch);
    EXPECT(a.floats == b.floats && norm_of(a.gradients, a.floats) > 1e-3);
    EXPECT(norm_of(a.dx, SIDE * SIDE * WIDTH) > 1e-6 && norm_of(a.dmod, 2 * WIDTH) > 1e-6);
    EXPECT(memcmp(a.gradients, b.gradients, 4 * (size_t)a.floats) == 0);
    EXPECT(memcmp(a.values, b.values, 4 * (size_t)a.floats) == 0); /* running statistics */
    EXPECT(memcmp(a.dx, b.dx, sizeof a.dx) == 0 && memcmp(a.dmod, b.dmod, sizeof a.dmod) == 0);
    EXPECT(memcmp(a.terms, b.terms, sizeof a.terms) == 0);
    printf("  arena %lld, again %lld bytes; %lld and %lld operators\n", (long long)a.arena,
           (long long)b.arena, (long long)a.nodes, (long long)b.nodes);
    EXPECT(b.nodes > a.nodes);
    EXPECT_LE(b.arena, 0.75 * (double)a.arena);
    free(a.gradients);
    free(a.values);
    free(b.gradients);
    free(b.values);
}

static void blocks_computed_again_give_the_same_bits_in_less_memory(void) { compare(0); }

/* Its running statistics move once a step, not twice. */
static void a_block_with_batch_norm_runs_once(void) { compare(1); }

/* Each residual block ends with the one map that is read later, and no result goes unread. */
static void blocks_end_where_one_map_is_left(void)
{
    bench b;
    uint8_t end[256] = { 0 };
    int ends = 0;
    bench_begin(&b, VDNI_F32, 1, VDNI_PREPARE_PLAIN);
    build(&b, 1, 0);
    b.g->node_count = b.g->forward_count;
    EXPECT_OK(&b.ctx, vdni_recompute_blocks(&b.ctx, end, b.g));
    for (int64_t k = 0; k < b.g->forward_count; k++) ends += end[k];
    EXPECT(ends >= BLOCKS && end[b.g->forward_count - 1]);
    bench_end(&b);
}

static void copies_that_nobody_reads_are_left_out(void)
{
    bench b;
    bench_begin(&b, VDNI_F32, 1, VDNI_PREPARE_PLAIN);
    build(&b, 1, 0);
    for (int64_t k = b.g->forward_count; k < b.g->node_count; k++) {
        const vdni_node *node = &b.g->nodes[k];
        int copy = 0, read = 0;
        for (int i = 0; i < VDNI_MAX_OUT; i++) {
            if (node->out[i] == VDNI_NONE) continue;
            copy |= b.g->tensors[node->out[i]].original != VDNI_NONE;
            for (int64_t j = k + 1; j < b.g->node_count; j++)
                for (int m = 0; m < VDNI_MAX_IN; m++) read |= b.g->nodes[j].in[m] == node->out[i];
        }
        EXPECT(!copy || read);
    }
    bench_end(&b);
}

static void survives_every_refused_allocation(void)
{
    for (int64_t refuse = 0; refuse < 300; refuse++) {
        bench b;
        memset(&b, 0, sizeof b);
        net_open(&b.ctx, 1, VDNI_PREPARE_PLAIN);
        b.ctx.refuse_after = b.ctx.allocations + refuse;
        vdn_status status = vdni_graph_create(&b.ctx, &b.g, &b.table, VDNI_F32, 1);
        const int64_t nhwc[4] = { 1, SIDE, SIDE, WIDTH }, row[4] = { 1, 1, 1, 2 * WIDTH };
        if (status == VDN_OK) {
            const vdni_id mod = vdni_input(b.g, "mod", row, VDNI_F32);
            vdni_id x = vdni_input(b.g, "x", nhwc, VDNI_F32);
            for (int i = 0; i < 2; i++) x = residual_block(b.g, x, mod, i, VDNI_NONE);
            b.g->recompute = 1;
            status = vdni_graph_backward(b.g);
        }
        b.ctx.refuse_after = -1;
        EXPECT(status == VDN_OK || status == VDN_ERR_MEMORY);
        bench_end(&b);
        if (status == VDN_OK) {
            EXPECT(refuse >= 5);
            return;
        }
    }
    EXPECT(0);
}

int main(void)
{
    RUN(blocks_computed_again_give_the_same_bits_in_less_memory);
    RUN(a_block_with_batch_norm_runs_once);
    RUN(blocks_end_where_one_map_is_left);
    RUN(copies_that_nobody_reads_are_left_out);
    RUN(survives_every_refused_allocation);
    return test_result();
}
