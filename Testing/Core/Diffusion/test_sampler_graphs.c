#include "Diffusion/sampler_state.h"

#include "net_test.h"

/* Every graph has the inputs that a run writes and the outputs that it reads, in the shape of the batch. */
static void graphs_have_what_a_run_needs(void)
{
    static const struct {
        int which;
        const char *name;
        int64_t c; /* channels; 0 = any */
    } wanted[] = {
        { PLAN_CONDITION, "image", 1 },
        { PLAN_CONDITION, "logits", 3 },
        { PLAN_CONDITION, "projection0", 0 },
        { PLAN_GATES, "foreground", 1 },
        { PLAN_GATES, "gate0", 1 },
        { PLAN_START, "keys", VDNI_NOISE_KEY_WORDS },
        { PLAN_START, "prior", 3 },
        { PLAN_START, "x", 3 },
        { PLAN_STEP, "x", 3 },
        { PLAN_STEP, "prior", 3 },
        { PLAN_STEP, "skip", 3 },
        { PLAN_STEP, "t", 1 },
        { PLAN_STEP, "probability", 3 },
        { PLAN_STEP, "next", 3 },
    };
    vdn_ctx ctx;
    vdni_parameters table = { .items = NULL };
    vdni_sampler s;
    vdni_graph *graphs[PLAN_COUNT];
    net_open(&ctx, 1, VDNI_PREPARE_PLAIN);
    memset(&s, 0, sizeof s);
    EXPECT_OK(&ctx, vdni_config_get(&ctx, &s.config, "unit"));
    s.config.mask_channels = 3;
    s.options = (vdni_sampler_options){ 16, 12, VDNI_F32, 4, 500, 0.0, 2 };
    EXPECT(vdni_sampler_plans(&s.config) == PLAN_COUNT);
    for (int i = 0; i < PLAN_COUNT; i++)
        EXPECT_OK(&ctx, vdni_sampler_graph(&ctx, &graphs[i], &s, i, &table));
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        const vdni_graph *g = graphs[wanted[i].which];
        const vdni_id id = vdni_graph_find(g, wanted[i].name);
        EXPECT(id != VDNI_NONE);
        if (id == VDNI_NONE) {
            printf("  %s\n", wanted[i].name);
            continue;
        }
        const vdni_tensor t = vdni_graph_get(g, id);
        EXPECT(t.n == 2 && (wanted[i].c == 0 || t.c == wanted[i].c));
    }
    for (int i = 0; i < PLAN_COUNT; i++) vdni_graph_free(&ctx, graphs[i]);
    EXPECT(vdni_parameters_count(&table, "diff.") > 0);
    vdni_parameters_free(&ctx, &table);
    s.config.network = VDNI_NETWORK_CONDITION;
    EXPECT(vdni_sampler_plans(&s.config) == 1);
    net_close(&ctx);
}

int main(void)
{
    RUN(graphs_have_what_a_run_needs);
    return test_result();
}
