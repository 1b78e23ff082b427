/* Gradients of whole graphs against central differences of their f32 forward pass. The operators
 * have their own tests; here it is which gradient goes where, and that several of one tensor are
 * added. */
#include "graph_test.h"

static const int64_t shape[4] = { 1, 4, 6, 8 };
static const vdni_window three = { 3, 1, 1, 1 };

typedef vdni_id net(vdni_graph *g, vdni_id x);

static vdni_id parameter(vdni_graph *g, const char *name, int64_t n, int64_t k, int64_t c)
{
    const int64_t nhwc[4] = { n, k, k, c };
    return vdni_parameter_of(g, name, nhwc, VDNI_INIT_ONE, 1);
}

static vdni_id conv(vdni_graph *g, const char *name, vdni_id x, vdni_id residual, int64_t co)
{
    char bias[64];
    const int64_t ci = vdni_graph_get(g, x).c;
    (void)snprintf(bias, sizeof bias, "%s.bias", name);
    const vdni_id w = parameter(g, name, co, 3, ci), b = parameter(g, bias, 1, 1, co);
    return vdni_conv(g, x, w, b, residual, three, VDNI_F32);
}

static vdni_id linear(vdni_graph *g, const char *name, vdni_id x, int64_t co)
{
    return vdni_linear(g, x, parameter(g, name, co, 1, vdni_graph_get(g, x).c), VDNI_NONE);
}

static vdni_id norm(vdni_graph *g, const char *name, vdni_id x, vdni_id mod, vdni_activation act)
{
    char beta[64];
    const int64_t c = vdni_graph_get(g, x).c;
    (void)snprintf(beta, sizeof beta, "%s.beta", name);
    const vdni_id gamma = parameter(g, name, 1, 1, c), b = parameter(g, beta, 1, 1, c);
    return vdni_norm(g, x, gamma, b, mod, 2, act);
}

/* ---- nets: each makes a (1, 4, 6, 8) tensor of x ---- */

static vdni_id chain(vdni_graph *g, vdni_id x)
{
    return vdni_activate(g, conv(g, "a", x, VDNI_NONE, 8), VDNI_ACT_SILU);
}

static vdni_id twice(vdni_graph *g, vdni_id x) { return vdni_add(g, x, x); }

static vdni_id output_used_again(vdni_graph *g, vdni_id x)
{
    const vdni_id y = conv(g, "a", x, VDNI_NONE, 8), z = vdni_activate(g, y, VDNI_ACT_SILU);
    return vdni_add(g, vdni_add(g, z, y), x);
}

static vdni_id residual(vdni_graph *g, vdni_id x)
{
    const vdni_id h = vdni_activate(g, conv(g, "a", x, VDNI_NONE, 8), VDNI_ACT_SILU);
    return conv(g, "b", h, x, 8);
}

static vdni_id shared_weight(vdni_graph *g, vdni_id x)
{
    const vdni_id h = vdni_activate(g, conv(g, "a", x, VDNI_NONE, 8), VDNI_ACT_SILU);
    return conv(g, "a", h, x, 8);
}

static vdni_id four_consumers(vdni_graph *g, vdni_id x)
{
    const vdni_id a = conv(g, "a", x, VDNI_NONE, 8), b = conv(g, "b", x, VDNI_NONE, 8);
    const vdni_id c = norm(g, "n", x, VDNI_NONE, VDNI_ACT_SILU);
    const vdni_id d = vdni_depthwise(g, x, parameter(g, "d", 1, 3, 8), VDNI_NONE, three);
    return vdni_add(g, vdni_add(g, a, b), vdni_add(g, c, d));
}

static vdni_id modulated(vdni_graph *g, vdni_id x)
{
    const vdni_id e = vdni_activate(g, vdni_global_pool(g, x), VDNI_ACT_SILU);
    const vdni_id h = norm(g, "n", x, linear(g, "m", e, 16), VDNI_ACT_SILU);
    return vdni_modulate(g, h, linear(g, "o", e, 8));
}

static vdni_id sizes(vdni_graph *g, vdni_id x)
{
    const vdni_id small = conv(g, "a", vdni_max_pool(g, x), VDNI_NONE, 8);
    const vdni_id parts[2] = { vdni_upsample(g, small, VDNI_UPSAMPLE_BILINEAR), x };
    const vdni_id joined = vdni_concat(g, parts, 2, VDNI_F32);
    const vdni_id other = vdni_upsample(g, small, VDNI_UPSAMPLE_NEAREST);
    return vdni_add(g, conv(g, "b", joined, VDNI_NONE, 8), other);
}

static vdni_id folds(vdni_graph *g, vdni_id x)
{
    const vdni_id h = conv(g, "a", vdni_unshuffle(g, x, 2), VDNI_NONE, 32);
    return vdni_add(g, vdni_shuffle(g, h, 2), x);
}

static vdni_id attends(vdni_graph *g, vdni_id x)
{
    const vdni_id h = vdni_attention(g, conv(g, "a", x, VDNI_NONE, 24), 2);
    return conv(g, "b", h, x, 8);
}

static vdni_id selects(vdni_graph *g, vdni_id x)
{
    const vdni_id u3 = vdni_activate(g, conv(g, "a", x, VDNI_NONE, 8), VDNI_ACT_SILU);
    const vdni_id u5 = vdni_activate(g, conv(g, "b", x, VDNI_NONE, 8), VDNI_ACT_SILU);
    const vdni_id s = vdni_add(g, vdni_global_pool(g, u3), vdni_global_pool(g, u5));
    return vdni_sk_select(g, u3, u5, x, linear(g, "s", s, 24));
}

static vdni_id gates(vdni_graph *g, vdni_id x)
{
    const int64_t map[4] = { 1, 4, 6, 1 };
    const vdni_id m = vdni_input(g, "map", map, VDNI_F32);
    const vdni_id f = vdni_mix(g, conv(g, "a", x, VDNI_NONE, 8), conv(g, "b", x, VDNI_NONE, 8), m);
    const vdni_id stats = vdni_channel_stats(g, f);
    const vdni_id t = vdni_activate(g, conv(g, "t", stats, VDNI_NONE, 2), VDNI_ACT_SIGMOID);
    const vdni_id v = vdni_gate(g, f, x, t);
    return vdni_product(g, v, x, parameter(g, "lambda", 1, 1, 8), x);
}

/* A random DAG: every node takes any tensors made before it, so most have several consumers. */
static uint64_t dag_seed;

static vdni_id pick(const vdni_id *made, int count)
{
    return made[test_random_bits(&dag_seed) % (uint64_t)count];
}

static vdni_id random_node(vdni_graph *g, const vdni_id *made, int count)
{
    static const char *const names[3] = { "p", "q", "r" };
    const vdni_id a = pick(made, count), b = pick(made, count), c = pick(made, count);
    char name[16];
    const uint64_t which = test_random_bits(&dag_seed) % 7;
    (void)snprintf(name, sizeof name, "%s%d", names[test_random_bits(&dag_seed) % 3], (int)which);
    switch (which) {
    case 0:
        return conv(g, name, a, count % 2 ? b : VDNI_NONE, 8);
    case 1:
        return vdni_depthwise(g, a, parameter(g, name, 1, 3, 8), VDNI_NONE, three);
    case 2:
        return norm(g, name, a, VDNI_NONE, VDNI_ACT_SILU);
    case 3:
        return vdni_product(g, vdni_activate(g, a, VDNI_ACT_SIGMOID), b,
                            parameter(g, name, 1, 1, 8), c);
    case 4:
        return vdni_activate(g, a, VDNI_ACT_SILU);
    case 5:
        return vdni_modulate(g, a, linear(g, name, vdni_global_pool(g, b), 16));
    default:
        return vdni_add(g, a, b);
    }
}

static vdni_id random_dag(vdni_graph *g, vdni_id x)
{
    vdni_id made[12] = { x };
    int count = 1;
    for (; count < 12; count++) made[count] = random_node(g, made, count);
    return norm(g, "last", made[11], VDNI_NONE, VDNI_ACT_NONE); /* keeps the numbers in range */
}

/* ---- the check ---- */

/* Gradients of sum(weight * net(x)) by x and by every parameter. */
static void check_net(net *make, double bound)
{
    bench b;
    bench_begin(&b, VDNI_F32, 1, VDNI_PREPARE_PLAIN);
    const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
    vdni_require_gradient(b.g, x);
    const vdni_id y = vdni_output(b.g, make(b.g, x), "y");
    const vdni_id weight = vdni_input(b.g, "weight", shape, VDNI_F32);
    vdni_graph_seed(b.g, y, weight);
    EXPECT_OK(&b.ctx, vdni_graph_backward(b.g));
    const vdni_id dx = vdni_output(b.g, vdni_graph_gradient(b.g, x), "dx");
    if (bench_compile(&b)) {
        const int64_t count = vdni_tensor_count(vdni_plan_tensor(b.plan, x));
        float *found = net_floats(count), *all = net_floats(b.table.total_floats);
        bench_run(&b, VDNI_RUN_ALL);
        memcpy(found, bench_data(&b, dx), (size_t)count * sizeof *found);
        memcpy(all, b.gradients, (size_t)b.table.total_floats * sizeof *all);
        bench_slopes(&b, y, weight, bench_data(&b, x), found, count, bound);
        for (int64_t i = 0; i < b.table.count; i++) {
            const vdni_parameter *p = &b.table.items[i];
            bench_slopes(&b, y, weight, b.values + p->offset, all + p->offset,
                         p->n * p->h * p->w * p->c, bound);
        }
        free(found);
        free(all);
    }
    bench_end(&b);
}

static void gradients_of_every_rule_are_the_slopes(void)
{
    net *const nets[] = { chain,         twice,          output_used_again, residual,
                          shared_weight, four_consumers, modulated,         sizes,
                          folds,         attends,        selects,           gates };
    for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++) {
        const int before = test_failures;
        check_net(nets[i], nets[i] == gates || nets[i] == sizes ? 3e-2 : 5e-3);
        if (test_failures != before) printf("  net %d\n", (int)i);
    }
}

static void gradients_of_random_graphs_are_the_slopes(void)
{
    for (uint64_t i = 1; i <= 12; i++) {
        const int before = test_failures;
        dag_seed = i;
        check_net(random_dag, 5e-3);
        if (test_failures != before) printf("  graph %d\n", (int)i);
    }
}

static int64_t count_of(const vdni_graph *g, vdni_op_kind kind)
{
    int64_t count = 0;
    for (int64_t k = g->forward_count; k < g->node_count; k++) count += g->nodes[k].kind == kind;
    return count;
}

/* Three convolutions of x: the first makes its gradient, the others take it as their addend. */
static void further_contributions_ride_on_the_addend(void)
{
    bench b;
    bench_begin(&b, VDNI_F32, 1, VDNI_PREPARE_PLAIN);
    const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
    vdni_require_gradient(b.g, x);
    const vdni_id p = conv(b.g, "p", x, VDNI_NONE, 8), q = conv(b.g, "q", x, p, 8);
    const vdni_id r = conv(b.g, "r", x, q, 8);
    vdni_graph_seed(b.g, r, vdni_input(b.g, "weight", shape, VDNI_F32));
    EXPECT_OK(&b.ctx, vdni_graph_backward(b.g));
    EXPECT(count_of(b.g, VDNI_OP_CONV_DX) == 3 && count_of(b.g, VDNI_OP_CONV_DW) == 3);
    EXPECT(count_of(b.g, VDNI_OP_ADD) == 0);
    EXPECT(b.g->node_count == 9);
    bench_end(&b);
}

/* An input without vdni_require_gradient costs no backward operator; nor do parameters outside
 * training. */
static void nothing_is_made_that_nobody_wants(void)
{
    bench b;
    bench_begin(&b, VDNI_F32, 1, VDNI_PREPARE_PLAIN);
    vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
    vdni_graph_seed(b.g, conv(b.g, "p", x, VDNI_NONE, 8), vdni_input(b.g, "w", shape, VDNI_F32));
    EXPECT_OK(&b.ctx, vdni_graph_backward(b.g));
    EXPECT(count_of(b.g, VDNI_OP_CONV_DX) == 0 && count_of(b.g, VDNI_OP_CONV_DW) == 1);
    EXPECT(vdni_graph_gradient(b.g, x) == VDNI_NONE);
    bench_end(&b);
    bench_begin(&b, VDNI_F32, 0, VDNI_PREPARE_PLAIN);
    x = vdni_input(b.g, "x", shape, VDNI_F32);
    vdni_require_gradient(b.g, x);
    vdni_graph_seed(b.g, conv(b.g, "p", x, VDNI_NONE, 8), vdni_input(b.g, "w", shape, VDNI_F32));
    EXPECT_OK(&b.ctx, vdni_graph_backward(b.g));
    EXPECT(count_of(b.g, VDNI_OP_CONV_DX) == 1 && count_of(b.g, VDNI_OP_CONV_DW) == 0);
    bench_end(&b);
}

/* A branch that no loss reaches gets no gradient and stops nothing. */
static void a_dead_branch_has_no_gradient(void)
{
    bench b;
    bench_begin(&b, VDNI_F32, 1, VDNI_PREPARE_PLAIN);
    const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
    vdni_require_gradient(b.g, x);
    (void)conv(b.g, "dead", x, VDNI_NONE, 8);
    vdni_graph_seed(b.g, conv(b.g, "p", x, VDNI_NONE, 8), vdni_input(b.g, "w", shape, VDNI_F32));
    EXPECT_OK(&b.ctx, vdni_graph_backward(b.g));
    EXPECT(count_of(b.g, VDNI_OP_CONV_DX) == 1 && count_of(b.g, VDNI_OP_CONV_DW) == 1);
    bench_end(&b);
}

/* Parameter gradients are added: two runs give twice the gradient of one, which is how a batch is
 * accumulated. */
static void parameter_gradients_accumulate_over_runs(void)
{
    bench b;
    bench_begin(&b, VDNI_F32, 1, VDNI_PREPARE_PLAIN);
    const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
    const vdni_id y = four_consumers(b.g, x);
    vdni_graph_seed(b.g, y, vdni_input(b.g, "w", shape, VDNI_F32));
    EXPECT_OK(&b.ctx, vdni_graph_backward(b.g));
    if (bench_compile(&b)) {
        float *once = net_floats(b.table.total_floats);
        bench_run(&b, VDNI_RUN_ALL);
        memcpy(once, b.gradients, (size_t)b.table.total_floats * sizeof *once);
        bench_run(&b, VDNI_RUN_ALL);
        for (int64_t i = 0; i < b.table.total_floats; i++) once[i] *= 2.0f;
        EXPECT_LE(net_distance(b.gradients, once, b.table.total_floats), 1e-6);
        free(once);
    }
    bench_end(&b);
}

/* The gradient of a loss needs no seed, is scaled by weights[1], and adds to one that is there. */
static void losses_start_gradients_and_seeds_add_to_them(void)
{
    static const int64_t two[4] = { 1, 1, 1, 2 }, one[4] = { 1, 4, 6, 1 };
    for (int seeded = 0; seeded < 2; seeded++) {
        bench b;
        bench_begin(&b, VDNI_F32, 1, VDNI_PREPARE_PLAIN);
        const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
        const vdni_id s = vdni_output(b.g, conv(b.g, "a", x, VDNI_NONE, 1), "s");
        const vdni_id target = vdni_input(b.g, "target", one, VDNI_U8);
        const vdni_id weights = vdni_input(b.g, "weights", two, VDNI_F32);
        const vdni_id seed = vdni_input(b.g, "seed", one, VDNI_F32);
        (void)vdni_segmentation_loss(b.g, s, target, weights, VDNI_NONE,
                                     (vdni_loss_weights){ 0.0f, 1.0f, 0.0f, 0.0f, 0 });
        if (seeded) vdni_graph_seed(b.g, s, seed);
        EXPECT_OK(&b.ctx, vdni_graph_backward(b.g));
        if (bench_compile(&b)) {
            bench_data(&b, weights)[1] = 3.0f;
            bench_run(&b, VDNI_RUN_ALL);
            double sum = 0.0; /* the bias' gradient is the sum of ds */
            for (int i = 0; i < 24; i++) {
                const double p = 1.0 / (1.0 + exp(-(double)bench_data(&b, s)[i]));
                const uint8_t m = ((uint8_t *)vdni_plan_tensor(b.plan, target)->data)[i];
                sum += 3.0 * (p - m) / 24.0 + (seeded ? bench_data(&b, seed)[i] : 0.0);
            }
            const vdni_parameter *bias = &b.table.items[1];
            EXPECT(strcmp(bias->name, "a.bias") == 0);
            EXPECT_LE(fabs(b.gradients[bias->offset] - sum), 1e-5);
        }
        bench_end(&b);
    }
}

static void an_operator_without_a_rule_is_refused_by_name(void)
{
    bench b;
    bench_begin(&b, VDNI_F32, 1, VDNI_PREPARE_PLAIN);
    const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
    const vdni_id y = vdni_average_pool(b.g, conv(b.g, "a", x, VDNI_NONE, 8), 5, 1, 2, 0.0f);
    vdni_graph_seed(b.g, y, vdni_input(b.g, "w", shape, VDNI_F32));
    EXPECT(vdni_graph_backward(b.g) == VDN_ERR_UNSUPPORTED);
    EXPECT(strcmp(b.ctx.error, "AVERAGE_POOL has no gradient") == 0);
    bench_end(&b);
}

/* Gradients between f32 and bf16 tensors take the tensor's own type. */
static void gradients_have_the_type_of_their_tensor(void)
{
    bench b;
    bench_begin(&b, VDNI_BF16, 1, VDNI_PREPARE_PLAIN);
    const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
    vdni_require_gradient(b.g, x);
    const vdni_id cast = vdni_concat(b.g, &x, 1, VDNI_BF16);
    const vdni_id w = parameter(b.g, "w", 8, 3, 8);
    const vdni_id y = vdni_conv(b.g, cast, w, VDNI_NONE, cast, three, VDNI_F32); /* f32 result */
    vdni_graph_seed(b.g, y, vdni_input(b.g, "s", shape, VDNI_F32));
    EXPECT_OK(&b.ctx, vdni_graph_backward(b.g));
    EXPECT(vdni_graph_get(b.g, vdni_graph_gradient(b.g, cast)).dtype == VDNI_BF16);
    EXPECT(vdni_graph_get(b.g, vdni_graph_gradient(b.g, x)).dtype == VDNI_F32);
    if (bench_compile(&b)) bench_run(&b, VDNI_RUN_ALL);
    bench_end(&b);
}

int main(void)
{
    RUN(gradients_of_every_rule_are_the_slopes);
    RUN(gradients_of_random_graphs_are_the_slopes);
    RUN(further_contributions_ride_on_the_addend);
    RUN(nothing_is_made_that_nobody_wants);
    RUN(a_dead_branch_has_no_gradient);
    RUN(parameter_gradients_accumulate_over_runs);
    RUN(losses_start_gradients_and_seeds_add_to_them);
    RUN(an_operator_without_a_rule_is_refused_by_name);
    RUN(gradients_have_the_type_of_their_tensor);
    return test_result();
}
