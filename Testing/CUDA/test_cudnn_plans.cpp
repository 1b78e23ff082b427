/* Every convolution of the networks has a plan of cuDNN on every architecture, found without a GPU.
 *
 * The operators are those of the graphs of the configurations tiny, small, base and full, both
 * nets, forward and backward, for batches of 8 images of 320 x 320. Each distinct one is put to
 * cuDNN for seven devices described in device_properties.h, with the rules of a real run. Nothing
 * is executed: that an engine exists and what it promises is shown here, not that it computes. */
extern "C" {
#include "Net/condition_unet.h"
#include "Net/diffusion_unet.h"
}

#include "CUDA/libraries/cudnn_plan.h"
#include "device_properties.h"
#include "test.h"

namespace {

enum { IMAGES = 8, SIZE = 320, MOST_OPS = 4096, MOST_LEVELS = VDNI_MAX_LEVELS };

/* A distinct operator: what it is, and what cuDNN is asked for it. */
struct item {
    vdni_cudnn_conv key;
    vdni_cudnn_conv forms[VDNI_CUDNN_MOST_FORMS];
    int form_count; /* 0: own kernel by rule */
};

struct op_list {
    item items[MOST_OPS];
    int count;
    int calls, attention; /* not only distinct ones */
};

vdn_ctx ctx;
vdni_cudnn_api api;
op_list f32_ops, bf16_ops, f16_ops;

/* ---- the operators ---- */

vdni_id plane(vdni_graph *g, const char *name, int64_t channels, int64_t down, vdni_dtype dtype)
{
    const int64_t nhwc[4] = { IMAGES, SIZE / down, SIZE / down, channels };
    return vdni_input(g, name, nhwc, dtype);
}

vdni_id row(vdni_graph *g, const char *name, int64_t count)
{
    const int64_t nhwc[4] = { IMAGES, 1, 1, count };
    return vdni_input(g, name, nhwc, VDNI_F32);
}

void add_loss(vdni_graph *g, vdni_id logits)
{
    const vdni_loss_weights lambda = { 1.0f, 1.0f, 1.0f, 0.0f, 0 };
    const vdni_id target = plane(g, "target", 1, 1, VDNI_U8);
    vdni_output(g,
                vdni_segmentation_loss(g, logits, target, row(g, "weights", 2), VDNI_NONE, lambda),
                "terms");
}

void name_level(char out[VDNI_TENSOR_NAME_BYTES], const char *stem, int level)
{
    (void)snprintf(out, VDNI_TENSOR_NAME_BYTES, "%s%d", stem, level);
}

/* The condition net with gradients arriving at its features too, as in joint training. */
void build_condition(vdni_graph *g, const vdni_config *c)
{
    char name[VDNI_TENSOR_NAME_BYTES];
    const vdni_condition net =
        vdni_condition_unet(g, c, plane(g, "image", c->image_channels, 1, VDNI_F32), nullptr);
    add_loss(g, net.logits);
    for (int i = 0; i < c->condition_levels; i++) {
        name_level(name, "seed", i);
        vdni_graph_seed(g, net.feature[i],
                        plane(g, name, c->condition[i], (int64_t)1 << i, g->activation));
    }
}

void build_diffusion(vdni_graph *g, const vdni_config *c)
{
    char name[VDNI_TENSOR_NAME_BYTES];
    vdni_id feature[MOST_LEVELS];
    for (int i = 0; i < c->condition_levels; i++) {
        name_level(name, "feature", i);
        feature[i] = plane(g, name, c->condition[i], (int64_t)1 << i, g->activation);
        vdni_require_gradient(g, feature[i]);
    }
    const vdni_cache cache =
        vdni_condition_cache(g, c, feature, plane(g, "foreground", 1, 1, VDNI_F32));
    const vdni_step_inputs in = { plane(g, "x", c->mask_channels, 1, VDNI_F32), VDNI_NONE,
                                  plane(g, "prior", c->mask_channels, 1, VDNI_F32),
                                  plane(g, "image", c->image_channels, 1, VDNI_F32), VDNI_NONE,
                                  row(g, "t", 1) };
    add_loss(g, vdni_diffusion_unet(g, c, &in, &cache));
}

bool is_convolution(vdni_op_kind kind)
{
    return kind == VDNI_OP_CONV || kind == VDNI_OP_CONV_DX || kind == VDNI_OP_CONV_DW;
}

void add_op(op_list *list, const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    item x = {};
    x.key = vdni_cudnn_conv_of(op);
    x.key.has_bias = r.b != nullptr;
    x.key.has_residual = r.add != nullptr;
    x.key.reserved = r.narrow->dtype;
    x.form_count = vdni_cudnn_forms(op, x.forms);
    list->calls++;
    for (int i = 0; i < list->count; i++)
        if (memcmp(&list->items[i].key, &x.key, sizeof x.key) == 0) return;
    EXPECT(list->count < MOST_OPS);
    if (list->count < MOST_OPS) list->items[list->count++] = x;
}

void collect(op_list *list, const vdni_graph *g)
{
    for (int64_t k = 0; k < g->node_count; k++) {
        const vdni_node *node = &g->nodes[k];
        vdni_op op = {};
        list->attention +=
            node->kind == VDNI_OP_ATTENTION || node->kind == VDNI_OP_ATTENTION_BACKWARD;
        if (!is_convolution(node->kind)) continue;
        op.kind = node->kind;
        op.a = node->a;
        for (int i = 0; i < VDNI_MAX_IN; i++)
            if (node->in[i] != VDNI_NONE) op.in[i] = &g->tensors[node->in[i]].t;
        for (int i = 0; i < VDNI_MAX_OUT; i++)
            if (node->out[i] != VDNI_NONE) op.out[i] = &g->tensors[node->out[i]].t;
        add_op(list, &op);
    }
}

void collect_configuration(op_list *list, const char *name, vdni_dtype activation)
{
    vdni_config config;
    EXPECT(vdni_config_get(&ctx, &config, name) == VDN_OK);
    for (int net = 0; net < 2; net++) {
        vdni_parameters parameters = {};
        vdni_graph *g = nullptr;
        EXPECT(vdni_graph_create(&ctx, &g, &parameters, activation, 1) == VDN_OK);
        if (net == 0)
            build_condition(g, &config);
        else
            build_diffusion(g, &config);
        EXPECT(vdni_graph_status(g) == VDN_OK);
        const vdn_status status = vdni_graph_backward(g);
        EXPECT(status == VDN_OK);
        if (status != VDN_OK) printf("  %s: %s\n", name, ctx.error);
        collect(list, g);
        vdni_graph_free(&ctx, g);
        vdni_parameters_free(&ctx, &parameters);
    }
}

void collect_all(op_list *list, vdni_dtype activation)
{
    static const char *const names[] = { "tiny", "small", "base", "full" };
    for (const char *name : names) collect_configuration(list, name, activation);
    EXPECT(list->count > 100 && list->attention > 0);
}

/* ---- the plans ---- */

struct summary {
    int library, fused, own, none;
    int tensor;          /* of library: on the tensor cores */
    int refused_inexact; /* operators for which an engine was passed over for its products */
    int refused_random;  /* .. or for its order of sums */
    int refused_large;   /* .. or for its workspace */
    int64_t largest;     /* workspace */
};

/* The plan of the first form that has one, as vdni_cudnn_prepare takes it; returns the form, -1. */
int plan_item(const item &x, const vdni_cudnn_rules &rules, vdni_cudnn_plan *plan, summary *s)
{
    for (int i = 0; i < x.form_count; i++) {
        vdni_cudnn_plan_build(&api, plan, &x.forms[i], &rules);
        s->refused_inexact += plan->tally.inexact > 0;
        s->refused_random += plan->tally.nondeterministic > 0;
        s->refused_large += plan->tally.too_large > 0;
        if (plan->plan) return i;
    }
    return -1;
}

void tell_missing(const device_properties &device, const vdni_cudnn_conv &c)
{
    printf("  %s: no plan: kind %d type %s n %d h %d w %d ci %d co %d k %d s %d d %d p %d\n",
           device.name, c.kind, vdni_dtype_name((vdni_dtype)c.dtype), (int)c.n, (int)c.h, (int)c.w,
           (int)c.ci, (int)c.co, c.kernel, c.stride, c.dilation, c.pad);
}

summary plan_all(const device_properties &device, const op_list &list, vdni_cudnn_rules rules,
                 bool is_expected)
{
    summary s = {};
    for (int i = 0; i < list.count; i++) {
        vdni_cudnn_plan plan = {};
        const item &x = list.items[i];
        if (x.form_count == 0) {
            s.own++;
            continue;
        }
        const int form = plan_item(x, rules, &plan, &s);
        if (form < 0) s.none++;
        if (form < 0 && is_expected && s.none <= 5) tell_missing(device, x.key);
        if (form < 0) continue;
        s.library++;
        s.fused += x.forms[form].has_bias;
        s.tensor += plan.is_tensor;
        if (plan.workspace_bytes > s.largest) s.largest = plan.workspace_bytes;
        EXPECT(plan.workspace_bytes <= rules.workspace_cap);
        EXPECT(plan.is_repeatable || !rules.deterministic);
        if (x.key.dtype != VDNI_F32)
            EXPECT(plan.is_tensor);
        else if (rules.strict_f32)
            EXPECT(!plan.is_tensor);
        vdni_cudnn_plan_drop(&api, &plan);
    }
    return s;
}

void print_row(const device_properties &device, const char *type, const op_list &list,
               const summary &s)
{
    printf("%-9s sm_%-3d %-4s %4d  %4d %5d %6d %4d %4d  %6d %6d %6d  %8.2f\n", device.name,
           device.capability, type, list.count, s.library, s.fused, s.tensor, s.own, s.none,
           s.refused_inexact, s.refused_random, s.refused_large, (double)s.largest / 1e6);
    (void)fflush(stdout);
}

void print_head(void)
{
    printf("cuDNN %zu of %s\n", api.version, api.path);
    printf("distinct convolutions of tiny, small, base, full; both nets, forward and backward; "
           "%d x %d x %d; workspace cap %.0f MB\n",
           (int)IMAGES, (int)SIZE, (int)SIZE, VDNI_CUDNN_WORKSPACE_CAP / 1e6);
    printf("attention (%d calls in the lists): own kernels on every device, by rule\n",
           f32_ops.attention);
    printf("weight gradients of f16: own kernels, by rule (f16 has not their range)\n");
    printf("lib: plan found; fused: with bias; tensor: on tensor cores; own: own kernel by rule; "
           "none: own kernel because no engine\n"
           "passed over because of: inex products, rand order of sums, large workspace\n\n");
    printf("%-9s %-6s %-4s %4s  %4s %5s %6s %4s %4s  %6s %6s %6s  %8s\n", "device", "", "type",
           "ops", "lib", "fused", "tensor", "own", "none", "inex", "rand", "large", "MB");
}

void every_convolution_has_a_plan_that_keeps_the_rules(void)
{
    print_head();
    for (const device_properties &device : device_table) {
        char json[DEVICE_JSON_BYTES];
        device_json(json, &device);
        const vdni_cudnn_rules rules = vdni_cudnn_device_rules(nullptr, json);
        const bool has_bf16 = device.capability >= 80;

        const summary f32 = plan_all(device, f32_ops, rules, true);
        print_row(device, "f32", f32_ops, f32);
        EXPECT(f32.library > 0 && f32.none == 0 && f32.tensor == 0);

        const summary bf16 = plan_all(device, bf16_ops, rules, has_bf16);
        print_row(device, "bf16", bf16_ops, bf16);
        if (bf16.library == 0) printf("          bf16: none; f16 is used there\n");
        EXPECT(has_bf16 ? bf16.none == 0 && bf16.library > 0 : bf16.library == 0);

        const summary f16 = plan_all(device, f16_ops, rules, true);
        print_row(device, "f16", f16_ops, f16);
        EXPECT(f16.library > 0 && f16.none == 0);
    }
}

/* Without its rules the search takes engines that a run must not have: the rules do something. */
void the_rules_are_what_keeps_other_engines_out(void)
{
    int tensor = 0, random = 0, larger = 0;
    for (const device_properties &device : device_table) {
        char json[DEVICE_JSON_BYTES];
        device_json(json, &device);
        vdni_cudnn_rules rules = vdni_cudnn_device_rules(nullptr, json);
        rules.strict_f32 = 0;
        rules.deterministic = 0;
        rules.workspace_cap = INT64_MAX;
        const summary s = plan_all(device, f32_ops, rules, true);
        tensor += s.tensor;
        larger += s.largest > VDNI_CUDNN_WORKSPACE_CAP;
        rules.deterministic = 1;
        random += plan_all(device, f32_ops, rules, true).refused_random;
    }
    printf("without strict_f32 %d plans are on tensor cores; deterministic passes over engines for "
           "%d; without a cap %d devices have plans above it\n",
           tensor, random, larger);
    EXPECT(tensor > 0 && random > 0 && larger > 0);
}

} // namespace

int main(void)
{
    char why[640];
    if (!vdni_cudnn_load(&api, why, sizeof why)) return test_skip(why);
    vdni_ctx_init(&ctx);
    collect_all(&f32_ops, VDNI_F32);
    collect_all(&bf16_ops, VDNI_BF16);
    collect_all(&f16_ops, VDNI_F16);
    RUN(every_convolution_has_a_plan_that_keeps_the_rules);
    RUN(the_rules_are_what_keeps_other_engines_out);
    vdni_cudnn_unload(&api);
    return test_result();
}
