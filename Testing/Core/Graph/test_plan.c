#include "Graph/plan.h"

#include "Net/condition_unet.h"
#include "Net/diffusion_unet.h"
#include "graph_test.h"

static const int64_t shape[4] = { 1, 4, 6, 8 };

typedef struct {
    vdni_id terms, s, logits;
} outputs;

/* The refiner of unit behind its condition net, with losses and gradients, 16 x 12. */
static outputs build_training(bench *b, uint32_t flags, vdni_dtype activation)
{
    const int64_t plane[4] = { 1, 16, 12, 1 }, one[4] = { 1, 1, 1, 1 }, two[4] = { 1, 1, 1, 2 };
    const vdni_loss_weights lambda = { 1.0f, 1.0f, 1.0f, 0.0f, 0 };
    vdni_config config;
    vdni_step_inputs in;
    outputs out;
    bench_begin(b, activation, 1, flags);
    EXPECT(vdni_config_get(&b->ctx, &config, "unit") == VDN_OK);
    in.image = vdni_input(b->g, "image", plane, VDNI_F32);
    in.x = vdni_input(b->g, "x", plane, VDNI_F32);
    in.prior = vdni_input(b->g, "prior", plane, VDNI_F32);
    in.t = vdni_input(b->g, "t", one, VDNI_F32);
    in.skip = VDNI_NONE;
    const vdni_id target = vdni_input(b->g, "target", plane, VDNI_U8);
    const vdni_id weights = vdni_input(b->g, "weights", two, VDNI_F32);
    const vdni_condition c = vdni_condition_unet(b->g, &config, in.image, NULL);
    const vdni_cache cache = vdni_condition_cache(b->g, &config, c.feature, in.prior);
    out.logits = vdni_output(b->g, c.logits, "logits");
    out.s = vdni_output(b->g, vdni_diffusion_unet(b->g, &config, &in, &cache), "s");
    (void)vdni_segmentation_loss(b->g, c.logits, target, weights, VDNI_NONE, lambda);
    out.terms = vdni_output(
        b->g, vdni_segmentation_loss(b->g, out.s, target, weights, VDNI_NONE, lambda), "terms");
    EXPECT_OK(&b->ctx, vdni_graph_backward(b->g));
    return out;
}

/* What a run leaves: outputs and gradients. */
typedef struct {
    float *numbers;
    int64_t count;
} result;

static result read_result(bench *b, const outputs *o)
{
    const int64_t pixels = 16 * 12;
    result r = { net_floats(2 * pixels + 4 + b->table.total_floats), 0 };
    memcpy(r.numbers, bench_data(b, o->logits), 4 * (size_t)pixels);
    memcpy(r.numbers + pixels, bench_data(b, o->s), 4 * (size_t)pixels);
    memcpy(r.numbers + 2 * pixels, bench_data(b, o->terms), 16);
    memcpy(r.numbers + 2 * pixels + 4, b->gradients, 4 * (size_t)b->table.total_floats);
    r.count = 2 * pixels + 4 + b->table.total_floats;
    return r;
}

static result run_again(bench *b, const outputs *o)
{
    memset(b->gradients, 0, 4 * (size_t)b->table.total_floats);
    memset(b->arena, 0xff, (size_t)b->memory.arena_bytes); /* NaN: nothing stale may be read */
    memset(b->workspace, 0xff, (size_t)b->memory.workspace_bytes);
    bench_run(b, VDNI_RUN_ALL);
    return read_result(b, o);
}

static int is_same(const result *a, const result *b)
{
    return a->count == b->count && memcmp(a->numbers, b->numbers, 4 * (size_t)a->count) == 0;
}

static int is_finite(const result *r)
{
    for (int64_t i = 0; i < r->count; i++)
        if (!isfinite(r->numbers[i])) return 0;
    return 1;
}

static void a_run_gives_the_same_bits_and_reads_nothing_stale(void)
{
    static const uint32_t flags[2] = { VDNI_PREPARE_PLAIN, 0 };
    for (int i = 0; i < 4; i++) {
        bench b;
        const outputs o = build_training(&b, flags[i % 2], i / 2 ? VDNI_BF16 : VDNI_F32);
        if (bench_compile(&b)) {
            result first = run_again(&b, &o), second = run_again(&b, &o);
            EXPECT(is_finite(&first));
            EXPECT(is_same(&first, &second));
            free(first.numbers);
            free(second.numbers);
        }
        bench_end(&b);
    }
}

/* Every temporary in memory of its own instead of the arena: the same bits, so sharing is
 * harmless. */
static void sharing_the_arena_changes_nothing(void)
{
    bench b;
    const outputs o = build_training(&b, VDNI_PREPARE_PLAIN, VDNI_F32);
    if (bench_compile(&b)) {
        result shared = run_again(&b, &o);
        char **own = calloc((size_t)b.g->tensor_count, sizeof *own);
        for (int64_t i = 0; i < b.g->tensor_count; i++) {
            if (b.g->tensors[i].role != VDNI_ROLE_TEMP) continue;
            vdni_tensor *t = vdni_plan_tensor(b.plan, (vdni_id)i);
            own[i] = aligned_alloc(64, (size_t)bench_padded(vdni_tensor_bytes(t)));
            t->data = own[i];
        }
        result alone = run_again(&b, &o);
        EXPECT(is_same(&shared, &alone));
        for (int64_t i = 0; i < b.g->tensor_count; i++) free(own[i]);
        free(own);
        free(shared.numbers);
        free(alone.numbers);
    }
    bench_end(&b);
}

static void the_two_halves_are_the_whole(void)
{
    bench b;
    const outputs o = build_training(&b, VDNI_PREPARE_PLAIN, VDNI_F32);
    if (bench_compile(&b)) {
        result whole = run_again(&b, &o);
        memset(b.gradients, 0, 4 * (size_t)b.table.total_floats);
        bench_run(&b, VDNI_RUN_FORWARD);
        for (int64_t i = 0; i < b.table.total_floats; i++) EXPECT(b.gradients[i] == 0.0f);
        bench_run(&b, VDNI_RUN_BACKWARD);
        result halves = read_result(&b, &o);
        EXPECT(is_same(&whole, &halves));
        free(whole.numbers);
        free(halves.numbers);
    }
    bench_end(&b);
}

static void a_run_allocates_nothing(void)
{
    static const uint32_t flags[2] = { VDNI_PREPARE_PLAIN, 0 };
    for (int i = 0; i < 2; i++) {
        bench b;
        const outputs o = build_training(&b, flags[i], VDNI_F32);
        if (bench_compile(&b)) {
            result r = run_again(&b, &o);
            free(r.numbers);
            const int64_t allocations = b.ctx.allocations;
            r = run_again(&b, &o);
            free(r.numbers);
            b.version++; /* weights have changed: packed copies are renewed in place */
            r = run_again(&b, &o);
            free(r.numbers);
            EXPECT(b.ctx.allocations == allocations);
        }
        bench_end(&b);
    }
}

static void the_estimate_is_what_the_plan_takes(void)
{
    bench b;
    vdni_plan_memory estimate;
    (void)build_training(&b, VDNI_PREPARE_PLAIN, VDNI_F32);
    const int64_t held = b.ctx.now_bytes;
    EXPECT_OK(&b.ctx, vdni_plan_estimate(&b.ctx, &estimate, b.g));
    EXPECT(b.ctx.now_bytes == held);
    if (bench_compile(&b)) {
        EXPECT(estimate.arena_bytes == b.memory.arena_bytes && estimate.arena_bytes > 0);
        EXPECT(estimate.state_bytes == b.memory.state_bytes && estimate.state_bytes > 0);
        EXPECT(estimate.all_bytes == b.memory.all_bytes);
        EXPECT(estimate.workspace_bytes == 0 && b.memory.workspace_bytes > 0);
        EXPECT(estimate.all_bytes > estimate.arena_bytes);
    }
    bench_end(&b);
}

static void the_graph_may_be_gone(void)
{
    bench b;
    bench_begin(&b, VDNI_F32, 0, VDNI_PREPARE_PLAIN);
    const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
    const vdni_id y = vdni_output(b.g, vdni_add(b.g, x, x), "y");
    if (bench_compile(&b)) {
        vdni_graph_free(&b.ctx, b.g);
        b.g = NULL;
        bench_run(&b, VDNI_RUN_ALL);
        EXPECT(bench_data(&b, y)[5] == 2.0f * bench_data(&b, x)[5]);
    }
    bench_end(&b);
}

static void copies_have_the_size_of_the_tensor(void)
{
    float host[192] = { 0.0f };
    bench b;
    bench_begin(&b, VDNI_F32, 0, VDNI_PREPARE_PLAIN);
    const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
    const vdni_id y = vdni_output(b.g, vdni_add(b.g, x, x), "y");
    if (bench_compile(&b)) {
        net_random(host, 192, 3);
        EXPECT_OK(&b.ctx, vdni_plan_put(&b.ctx, b.plan, x, host, sizeof host));
        bench_run(&b, VDNI_RUN_ALL);
        const float wanted = 2.0f * host[191];
        EXPECT_OK(&b.ctx, vdni_plan_get(&b.ctx, b.plan, y, host, sizeof host));
        EXPECT(host[191] == wanted);
        EXPECT(vdni_plan_put(&b.ctx, b.plan, x, host, 4 * 191) == VDN_ERR_ARGUMENT);
        EXPECT(strstr(b.ctx.error, "x has 768 bytes, 764 given") != NULL);
        EXPECT(vdni_plan_get(&b.ctx, b.plan, y, host, 4 * 193) == VDN_ERR_ARGUMENT);
        EXPECT(vdni_plan_get(&b.ctx, b.plan, VDNI_NONE, host, 4) == VDN_ERR_ARGUMENT);
        EXPECT(vdni_plan_put(&b.ctx, b.plan, 100, host, 4) == VDN_ERR_ARGUMENT);
        EXPECT(vdni_plan_tensor(b.plan, VDNI_NONE) == NULL);
        EXPECT(vdni_plan_tensor(b.plan, 100) == NULL);
    }
    bench_end(&b);
}

/* Two tensors of one plan in one place: what is written to one is the other. */
static void an_alias_is_the_same_memory_and_needs_the_same_shape(void)
{
    static const int64_t other[4] = { 1, 4, 6, 7 };
    bench b;
    bench_begin(&b, VDNI_F32, 0, VDNI_PREPARE_PLAIN);
    const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
    const vdni_id wide = vdni_input(b.g, "wide", other, VDNI_F32);
    const vdni_id half = vdni_input(b.g, "half", shape, VDNI_BF16);
    const vdni_id middle = vdni_add(b.g, x, x);
    const vdni_id y = vdni_output(b.g, vdni_add(b.g, x, middle), "y"); /* in place on its first */
    (void)vdni_output(b.g, vdni_activate(b.g, wide, VDNI_ACT_RELU), "z");
    (void)vdni_output(b.g, vdni_activate(b.g, half, VDNI_ACT_RELU), "u");
    if (bench_compile(&b)) {
        vdni_tensor *source = vdni_plan_tensor(b.plan, x);
        EXPECT_OK(&b.ctx, vdni_plan_alias(&b.ctx, b.plan, y, source));
        const float before = bench_data(&b, x)[3];
        bench_run(&b, VDNI_RUN_ALL);
        EXPECT(bench_data(&b, x)[3] == 3.0f * before);
        EXPECT(vdni_plan_alias(&b.ctx, b.plan, wide, source) == VDN_ERR_ARGUMENT);
        EXPECT(strstr(b.ctx.error, "wide is (1, 4, 6, 7) f32, the source (1, 4, 6, 8) f32"));
        vdni_clear_error(&b.ctx);
        EXPECT(vdni_plan_alias(&b.ctx, b.plan, half, source) == VDN_ERR_ARGUMENT);
        EXPECT(vdni_plan_alias(&b.ctx, b.plan, middle, source) == VDN_ERR_ARGUMENT);
        EXPECT(vdni_plan_alias(&b.ctx, b.plan, x, NULL) == VDN_ERR_ARGUMENT);
        EXPECT(vdni_plan_alias(&b.ctx, b.plan, VDNI_NONE, source) == VDN_ERR_ARGUMENT);
    }
    bench_end(&b);
}

/* A borrowed input has no memory of its own, and a plan does not run until somebody lends it some. */
static void a_borrowed_tensor_needs_a_place(void)
{
    bench b;
    bench_begin(&b, VDNI_F32, 0, VDNI_PREPARE_PLAIN);
    const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
    const vdni_id lent = vdni_borrow(b.g, vdni_input(b.g, "lent", shape, VDNI_F32));
    const vdni_id y = vdni_output(b.g, vdni_add(b.g, x, lent), "y");
    if (bench_compile(&b)) {
        EXPECT(b.memory.state_bytes == 2 * 768);
        EXPECT(vdni_plan_run(&b.ctx, b.plan, VDNI_RUN_ALL) == VDN_ERR_ARGUMENT);
        EXPECT(strstr(b.ctx.error, "1 borrowed tensors"));
        vdni_clear_error(&b.ctx);
        EXPECT_OK(&b.ctx, vdni_plan_alias(&b.ctx, b.plan, lent, vdni_plan_tensor(b.plan, x)));
        bench_run(&b, VDNI_RUN_ALL);
        EXPECT(bench_data(&b, y)[5] == 2.0f * bench_data(&b, x)[5]);
    }
    bench_end(&b);
}

/* Packed copies of weights are renewed when *version changes, so every parameter must show it. */
static void parameters_carry_the_version_of_the_weights(void)
{
    bench b;
    (void)build_training(&b, VDNI_PREPARE_PLAIN, VDNI_F32);
    if (bench_compile(&b))
        for (int64_t i = 0; i < b.g->tensor_count; i++) {
            const int is_parameter = b.g->tensors[i].role == VDNI_ROLE_PARAMETER;
            EXPECT(vdni_plan_tensor(b.plan, (vdni_id)i)->version ==
                   (is_parameter ? &b.version : NULL));
        }
    bench_end(&b);
}

static void a_plan_that_needs_workspace_is_not_bound_without(void)
{
    bench b;
    (void)build_training(&b, VDNI_PREPARE_PLAIN, VDNI_F32);
    if (bench_compile(&b)) {
        vdni_plan_binding binding = { b.arena, NULL, b.values, b.gradients, &b.version };
        EXPECT(b.memory.workspace_bytes > 0);
        EXPECT(vdni_plan_bind(&b.ctx, b.plan, &binding) == VDN_ERR_ARGUMENT);
        EXPECT(strstr(b.ctx.error, "workspace") != NULL);
    }
    bench_end(&b);
}

static void a_failed_graph_gives_no_plan(void)
{
    static const int64_t other[4] = { 1, 4, 6, 5 };
    vdni_plan_memory memory;
    bench b;
    bench_begin(&b, VDNI_F32, 0, VDNI_PREPARE_PLAIN);
    const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
    (void)vdni_add(b.g, x, vdni_input(b.g, "y", other, VDNI_F32));
    EXPECT(vdni_plan_create(&b.ctx, &b.plan, b.g, b.ctx.backend, b.ctx.device) == VDN_ERR_ARGUMENT);
    EXPECT(b.plan == NULL);
    EXPECT(vdni_plan_estimate(&b.ctx, &memory, b.g) == VDN_ERR_ARGUMENT);
    EXPECT(strncmp(b.ctx.error, "ADD: ", 5) == 0);
    bench_end(&b);
}

/* Multiply-adds of one convolution, one linear layer and the forward half only. */
static void work_is_counted_as_in_the_design(void)
{
    static const int64_t w[4] = { 5, 3, 3, 8 };
    bench b;
    bench_begin(&b, VDNI_F32, 1, VDNI_PREPARE_PLAIN);
    const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
    const vdni_id y = vdni_conv(b.g, x, vdni_parameter_of(b.g, "w", w, VDNI_INIT_ONE, 1), VDNI_NONE,
                                VDNI_NONE, (vdni_window){ 3, 1, 1, 1 }, VDNI_F32);
    EXPECT(vdni_graph_macs(b.g) == 4 * 6 * 5 * 9 * 8);
    vdni_graph_seed(b.g, y, vdni_activate(b.g, y, VDNI_ACT_RELU));
    EXPECT_OK(&b.ctx, vdni_graph_backward(b.g));
    EXPECT(vdni_graph_macs(b.g) == 4 * 6 * 5 * 9 * 8);
    bench_end(&b);
}

static void survives_every_refused_allocation(void)
{
    static const uint32_t flags[2] = { VDNI_PREPARE_PLAIN, 0 };
    for (int i = 0; i < 2; i++) {
        bench b;
        (void)build_training(&b, flags[i], VDNI_BF16);
        char *values = calloc(1, 4 * (size_t)b.table.total_floats);
        const int64_t held = b.ctx.now_bytes;
        int64_t refuse = 0;
        for (; refuse < 5000; refuse++) {
            vdni_plan *plan = NULL;
            vdni_clear_error(&b.ctx);
            b.ctx.refuse_after = b.ctx.allocations + refuse;
            vdn_status status = vdni_plan_create(&b.ctx, &plan, b.g, b.ctx.backend, b.ctx.device);
            EXPECT((status == VDN_OK) == (plan != NULL));
            if (plan) {
                const vdni_plan_binding binding = { values, values, (float *)values,
                                                    (float *)values, &b.version };
                status = vdni_plan_bind(&b.ctx, plan, &binding);
            }
            b.ctx.refuse_after = -1;
            EXPECT(status == VDN_OK || status == VDN_ERR_MEMORY);
            EXPECT((status == VDN_OK) == (b.ctx.error[0] == '\0'));
            vdni_plan_free(&b.ctx, plan);
            EXPECT(b.ctx.now_bytes == held);
            if (status == VDN_OK) break;
        }
        EXPECT(refuse >= 9 && refuse < 5000);
        printf("  %d refusals survived\n", (int)refuse);
        vdni_plan_free(&b.ctx, NULL);
        free(values);
        bench_end(&b);
    }
}

/* Filled when the plan is bound, for every image; runs and other inputs leave it alone. */
static void a_constant_is_there_for_every_image(void)
{
    static const float values[3] = { -2.0f, 1.0f, 0.25f };
    const int64_t shape[4] = { 2, 2, 3, 3 };
    bench b;
    bench_begin(&b, VDNI_F32, 0, VDNI_PREPARE_PLAIN);
    const vdni_id x = vdni_input(b.g, "x", shape, VDNI_F32);
    const vdni_id c = vdni_constant(b.g, 2, values, 3);
    const vdni_id y = vdni_output(b.g, vdni_scale(b.g, x, c), "y");
    if (bench_compile(&b)) {
        EXPECT(vdni_plan_alias(&b.ctx, b.plan, c, vdni_plan_tensor(b.plan, c)) ==
               VDN_ERR_ARGUMENT);
        for (int pass = 0; pass < 2; pass++) {
            bench_run(&b, VDNI_RUN_ALL);
            for (int i = 0; i < 36; i++)
                EXPECT(bench_data(&b, y)[i] == bench_data(&b, x)[i] * values[i % 3]);
        }
    }
    vdni_clear_error(&b.ctx);
    EXPECT(vdni_constant(b.g, 1, values, 5) == VDNI_NONE);
    EXPECT(vdni_graph_status(b.g) == VDN_ERR_ARGUMENT && strstr(b.ctx.error, "5 values"));
    bench_end(&b);
}

int main(void)
{
    RUN(a_run_gives_the_same_bits_and_reads_nothing_stale);
    RUN(sharing_the_arena_changes_nothing);
    RUN(the_two_halves_are_the_whole);
    RUN(a_run_allocates_nothing);
    RUN(the_estimate_is_what_the_plan_takes);
    RUN(the_graph_may_be_gone);
    RUN(copies_have_the_size_of_the_tensor);
    RUN(an_alias_is_the_same_memory_and_needs_the_same_shape);
    RUN(a_borrowed_tensor_needs_a_place);
    RUN(parameters_carry_the_version_of_the_weights);
    RUN(a_plan_that_needs_workspace_is_not_bound_without);
    RUN(a_failed_graph_gives_no_plan);
    RUN(work_is_counted_as_in_the_design);
    RUN(a_constant_is_there_for_every_image);
    RUN(survives_every_refused_allocation);
    return test_result();
}
