#include "Graph/graph.h"

#include "net_test.h"

static vdn_ctx ctx;
static vdni_parameters table;

static vdni_graph *make(int32_t training)
{
    vdni_graph *g = NULL;
    vdni_parameters_free(&ctx, &table);
    vdni_clear_error(&ctx);
    EXPECT_OK(&ctx, vdni_graph_create(&ctx, &g, &table, VDNI_F32, training));
    if (!g) exit(1);
    return g;
}

static void release(vdni_graph *g)
{
    vdni_graph_free(&ctx, g);
    vdni_graph_free(&ctx, NULL);
    vdni_parameters_free(&ctx, &table);
    EXPECT(ctx.now_bytes == 0);
}

static const int64_t shape[4] = { 1, 4, 6, 8 }, other[4] = { 1, 4, 6, 5 };

static void the_first_failure_sticks_with_its_message(void)
{
    vdni_graph *g = make(0);
    const vdni_id a = vdni_input(g, "a", shape, VDNI_F32), b = vdni_input(g, "b", other, VDNI_F32);
    EXPECT(a != VDNI_NONE && b != VDNI_NONE && vdni_graph_status(g) == VDN_OK);
    EXPECT(vdni_add(g, a, b) == VDNI_NONE);
    EXPECT(vdni_graph_status(g) == VDN_ERR_ARGUMENT);
    EXPECT(strncmp(ctx.error, "ADD: ", 5) == 0);
    EXPECT(strstr(ctx.error, "(1, 4, 6, 5)") && strstr(ctx.error, "(1, 4, 6, 8)"));
    char message[VDNI_ERROR_BYTES];
    memcpy(message, ctx.error, sizeof message);
    const int64_t nodes = g->node_count;
    EXPECT(vdni_add(g, a, a) == VDNI_NONE);
    EXPECT(vdni_input(g, "c", shape, VDNI_F32) == VDNI_NONE);
    EXPECT(vdni_parameter_of(g, "w", shape, VDNI_INIT_ONE, 1) == VDNI_NONE);
    EXPECT(vdni_output(g, a, "y") == VDNI_NONE);
    vdni_graph_seed(g, a, b);
    vdni_require_gradient(g, VDNI_NONE);
    EXPECT(vdni_graph_backward(g) == VDN_ERR_ARGUMENT);
    EXPECT(g->node_count == nodes && table.count == 0);
    EXPECT(strcmp(message, ctx.error) == 0);
    release(g);
}

static void what_follows_a_missing_tensor_fails_too(void)
{
    vdni_graph *g = make(0);
    EXPECT(vdni_add(g, VDNI_NONE, VDNI_NONE) == VDNI_NONE);
    EXPECT(vdni_graph_status(g) == VDN_ERR_ARGUMENT);
    release(g);
}

static void names_are_found_and_used_once(void)
{
    vdni_graph *g = make(0);
    const vdni_id a = vdni_input(g, "a", shape, VDNI_F32);
    const vdni_id y = vdni_output(g, vdni_add(g, a, a), "y");
    EXPECT(vdni_graph_find(g, "a") == a && vdni_graph_find(g, "y") == y && y != VDNI_NONE);
    EXPECT(vdni_graph_find(g, "b") == VDNI_NONE);
    EXPECT(g->tensors[y].role == VDNI_ROLE_OUTPUT && g->tensors[a].role == VDNI_ROLE_INPUT);
    EXPECT(vdni_input(g, "y", shape, VDNI_F32) == VDNI_NONE);
    EXPECT(vdni_graph_status(g) == VDN_ERR_ARGUMENT && strstr(ctx.error, "y is taken"));
    release(g);
    g = make(0);
    EXPECT(vdni_input(g, "a name that is longer than there is room", shape, VDNI_F32) == VDNI_NONE);
    EXPECT(vdni_graph_status(g) == VDN_ERR_ARGUMENT);
    release(g);
}

static void a_parameter_is_one_tensor_however_often_it_is_asked_for(void)
{
    vdni_graph *g = make(1);
    const vdni_id w = vdni_parameter_of(g, "a.weight", shape, VDNI_INIT_ONE, 1);
    const vdni_id v = vdni_parameter_of(g, "b.weight", shape, VDNI_INIT_ONE, 1);
    EXPECT(w != VDNI_NONE && v != w);
    EXPECT(vdni_parameter_of(g, "a.weight", shape, VDNI_INIT_ONE, 1) == w);
    EXPECT(vdni_graph_gradient(g, w) != VDNI_NONE);
    EXPECT(vdni_graph_gradient(g, w) != vdni_graph_gradient(g, v));
    EXPECT(g->tensors[vdni_graph_gradient(g, w)].role == VDNI_ROLE_GRADIENT);
    EXPECT(vdni_parameter_of(g, "a.weight", other, VDNI_INIT_ONE, 1) == VDNI_NONE);
    EXPECT(vdni_graph_status(g) == VDN_ERR_ARGUMENT && strstr(ctx.error, "a.weight"));
    release(g);
    g = make(1);
    char name[80];
    memset(name, 'n', sizeof name);
    name[79] = '\0';
    EXPECT(vdni_parameter_of(g, name, shape, VDNI_INIT_ONE, 1) == VDNI_NONE);
    EXPECT(vdni_graph_status(g) == VDN_ERR_ARGUMENT);
    release(g);
}

static void only_weights_decay_and_running_statistics_are_not_trained(void)
{
    static const int64_t vector[4] = { 1, 1, 1, 8 };
    vdni_graph *g = make(1);
    (void)vdni_parameter_of(g, "cond.head.weight", vector, VDNI_INIT_ONE, 8);
    (void)vdni_parameter_of(g, "cond.head.bias", vector, VDNI_INIT_ONE, 8);
    const vdni_id r = vdni_parameter_of(g, "cond.norm0.running", vector, VDNI_INIT_ZERO, 0);
    EXPECT(table.items[0].decays && !table.items[1].decays && !table.items[2].decays);
    EXPECT(table.items[0].trainable && table.items[1].trainable && !table.items[2].trainable);
    EXPECT(vdni_graph_gradient(g, r) == VDNI_NONE && !g->tensors[r].needs_gradient);
    release(g);
}

/* What a parameter or a marked input reaches needs a gradient; the rest does not. */
static void need_of_gradients_spreads_from_parameters_in_training_only(void)
{
    for (int32_t training = 0; training < 2; training++) {
        vdni_graph *g = make(training);
        static const int64_t weight[4] = { 8, 3, 3, 8 };
        const vdni_id a = vdni_input(g, "a", shape, VDNI_F32),
                      b = vdni_input(g, "b", shape, VDNI_F32);
        const vdni_id w = vdni_parameter_of(g, "w.weight", weight, VDNI_INIT_ONE, 1);
        const vdni_id plain = vdni_add(g, a, a);
        const vdni_id y =
            vdni_conv(g, plain, w, VDNI_NONE, VDNI_NONE, (vdni_window){ 3, 1, 1, 1 }, VDNI_F32);
        vdni_require_gradient(g, b);
        const vdni_id z = vdni_add(g, b, a);
        EXPECT(!g->tensors[a].needs_gradient && !g->tensors[plain].needs_gradient);
        EXPECT(g->tensors[w].needs_gradient == training &&
               g->tensors[y].needs_gradient == training);
        EXPECT(g->tensors[z].needs_gradient);
        release(g);
    }
}

static void an_unknown_id_has_no_shape_and_no_gradient(void)
{
    vdni_graph *g = make(0);
    const vdni_id ids[3] = { VDNI_NONE, 0, 1000 };
    for (int i = 0; i < 3; i++) {
        const vdni_tensor t = vdni_graph_get(g, ids[i]);
        EXPECT(t.n == 0 && t.c == 0 && vdni_graph_gradient(g, ids[i]) == VDNI_NONE);
    }
    release(g);
}

static void survives_every_refused_allocation(void)
{
    for (int64_t refuse = 0; refuse < 100; refuse++) {
        vdni_graph *g = NULL;
        vdni_ctx_init(&ctx);
        ctx.refuse_after = refuse;
        vdn_status status = vdni_graph_create(&ctx, &g, &table, VDNI_F32, 1);
        EXPECT((status == VDN_OK) == (g != NULL));
        if (g) {
            vdni_id x = vdni_input(g, "x", shape, VDNI_F32);
            for (int i = 0; i < 600; i++) x = vdni_add(g, x, x); /* both lists grow */
            (void)vdni_parameter_of(g, "w", shape, VDNI_INIT_ONE, 1);
            status = vdni_graph_status(g);
            EXPECT((status == VDN_OK) == (g->node_count == 600 && table.count == 1));
        }
        EXPECT(status == VDN_OK || status == VDN_ERR_MEMORY);
        EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
        vdni_graph_free(&ctx, g);
        vdni_parameters_free(&ctx, &table);
        EXPECT(ctx.now_bytes == 0);
        if (status == VDN_OK) {
            EXPECT(refuse == 8); /* graph, 3 sizes of tensors, 3 of nodes, the table */
            break;
        }
    }
    vdni_ctx_init(&ctx);
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(the_first_failure_sticks_with_its_message);
    RUN(what_follows_a_missing_tensor_fails_too);
    RUN(names_are_found_and_used_once);
    RUN(a_parameter_is_one_tensor_however_often_it_is_asked_for);
    RUN(only_weights_decay_and_running_statistics_are_not_trained);
    RUN(need_of_gradients_spreads_from_parameters_in_training_only);
    RUN(an_unknown_id_has_no_shape_and_no_gradient);
    RUN(survives_every_refused_allocation);
    return test_result();
}
