#include "Graph/plan.h"

#include "Base/memory.h"
#include "Graph/liveness.h"

#include <string.h>

struct vdni_plan {
    const vdni_backend *backend;
    vdni_device *device;
    vdni_graph_tensor *info; /* roles and parameter numbers, copied from the graph */
    vdni_tensor *tensors;
    int64_t *offsets;        /* in the arena, the state block or the flat arrays, by role */
    int64_t tensor_count;
    vdni_op *ops;
    int64_t op_count, forward_count, prepared_count;
    vdni_plan_memory memory;
    void *state, *workspace;
    int64_t homeless_count; /* borrowed tensors that nobody has placed yet */
};

/* State offsets follow each other; parameters are where the table says. */
static void give_offsets(int64_t *offsets, vdni_plan_memory *memory, const vdni_span *spans,
                         const vdni_graph *graph)
{
    for (int64_t i = 0; i < graph->tensor_count; i++) {
        const vdni_graph_tensor *t = &graph->tensors[i];
        switch (t->role) {
        case VDNI_ROLE_TEMP:
            offsets[i] = spans[i].offset;
            if (spans[i].last >= 0) memory->all_bytes += spans[i].bytes;
            break;
        case VDNI_ROLE_INPUT:
        case VDNI_ROLE_OUTPUT:
        case VDNI_ROLE_CONSTANT:
            if (t->borrowed) break;
            offsets[i] = memory->state_bytes;
            memory->state_bytes += spans[i].bytes;
            break;
        case VDNI_ROLE_PARAMETER:
        case VDNI_ROLE_GRADIENT:
            offsets[i] = graph->parameters->items[t->parameter].offset;
            break;
        }
    }
}

static vdn_status place(vdn_ctx *ctx, int64_t *offsets, vdni_plan_memory *memory,
                        const vdni_graph *graph)
{
    vdn_status status = VDN_OK;
    vdni_span *spans = NULL;

    memset(memory, 0, sizeof *memory);
    VDN_CHECK(vdni_graph_status(graph));
    VDN_TRY(VDNI_NEW(ctx, spans, graph->tensor_count));
    VDN_TRY(vdni_place(ctx, spans, &memory->arena_bytes, graph));
    give_offsets(offsets, memory, spans, graph);
done:
    vdni_free(ctx, spans);
    return status;
}

vdn_status vdni_plan_estimate(vdn_ctx *ctx, vdni_plan_memory *out, const vdni_graph *graph)
{
    vdn_status status = VDN_OK;
    int64_t *offsets = NULL;

    VDN_TRY(VDNI_NEW(ctx, offsets, graph->tensor_count));
    VDN_TRY(place(ctx, offsets, out, graph));
done:
    vdni_free(ctx, offsets);
    return status;
}

static void copy_ops(vdni_plan *plan, const vdni_graph *graph)
{
    for (int64_t k = 0; k < graph->node_count; k++) {
        const vdni_node *node = &graph->nodes[k];
        vdni_op *op = &plan->ops[k];
        op->kind = node->kind;
        op->a = node->a;
        for (int i = 0; i < VDNI_MAX_IN; i++)
            op->in[i] = node->in[i] == VDNI_NONE ? NULL : &plan->tensors[node->in[i]];
        for (int i = 0; i < VDNI_MAX_OUT; i++)
            op->out[i] = node->out[i] == VDNI_NONE ? NULL : &plan->tensors[node->out[i]];
    }
    plan->op_count = graph->node_count;
    plan->forward_count = graph->forward_count ? graph->forward_count : graph->node_count;
}

vdn_status vdni_plan_create(vdn_ctx *ctx, vdni_plan **out, const vdni_graph *graph,
                            const vdni_backend *backend, vdni_device *device)
{
    vdn_status status = VDN_OK;
    vdni_plan *plan = NULL;

    *out = NULL;
    VDN_TRY(VDNI_NEW(ctx, plan, 1));
    plan->backend = backend;
    plan->device = device;
    plan->tensor_count = graph->tensor_count;
    VDN_TRY(VDNI_NEW(ctx, plan->info, graph->tensor_count));
    VDN_TRY(VDNI_NEW(ctx, plan->tensors, graph->tensor_count));
    VDN_TRY(VDNI_NEW(ctx, plan->offsets, graph->tensor_count));
    VDN_TRY(VDNI_NEW(ctx, plan->ops, graph->node_count));
    VDN_TRY(place(ctx, plan->offsets, &plan->memory, graph));
    for (int64_t i = 0; i < graph->tensor_count; i++) {
        plan->info[i] = graph->tensors[i];
        plan->tensors[i] = graph->tensors[i].t;
    }
    copy_ops(plan, graph);
    for (int64_t k = 0; k < plan->op_count; k++) {
        VDN_TRY(backend->prepare(ctx, device, &plan->ops[k]));
        plan->prepared_count = k + 1;
        if (plan->ops[k].workspace_bytes > plan->memory.workspace_bytes)
            plan->memory.workspace_bytes = plan->ops[k].workspace_bytes;
    }
    *out = plan;
    plan = NULL;
done:
    vdni_plan_free(ctx, plan);
    return status;
}

void vdni_plan_free(vdn_ctx *ctx, vdni_plan *plan)
{
    if (!plan) return;
    for (int64_t k = 0; k < plan->prepared_count; k++)
        plan->backend->unprepare(ctx, plan->device, &plan->ops[k]);
    if (plan->state) plan->backend->release(ctx, plan->device, plan->state);
    vdni_free(ctx, plan->ops);
    vdni_free(ctx, plan->offsets);
    vdni_free(ctx, plan->tensors);
    vdni_free(ctx, plan->info);
    vdni_free(ctx, plan);
}

vdni_plan_memory vdni_plan_get_memory(const vdni_plan *plan) { return plan->memory; }

static void *address(const vdni_plan *plan, const vdni_plan_binding *binding, int64_t i)
{
    const int64_t offset = plan->offsets[i];
    switch (plan->info[i].role) {
    case VDNI_ROLE_TEMP: return (char *)binding->arena + offset;
    case VDNI_ROLE_PARAMETER: return binding->parameters + offset;
    case VDNI_ROLE_GRADIENT: return binding->gradients ? binding->gradients + offset : NULL;
    case VDNI_ROLE_INPUT:
    case VDNI_ROLE_OUTPUT:
    case VDNI_ROLE_CONSTANT: break;
    }
    if (plan->info[i].borrowed) return NULL;
    return (char *)plan->state + offset;
}

/* One image after the other, the same values. */
static vdn_status fill_constant(vdn_ctx *ctx, const vdni_plan *plan, int64_t i)
{
    const vdni_tensor *t = &plan->tensors[i];
    const int64_t bytes = t->c * (int64_t)sizeof(float);
    for (int64_t n = 0; n < t->n; n++)
        VDN_CHECK(plan->backend->put(ctx, plan->device, (char *)t->data + n * bytes,
                                     plan->info[i].constant, bytes));
    return VDN_OK;
}

vdn_status vdni_plan_bind(vdn_ctx *ctx, vdni_plan *plan, const vdni_plan_binding *binding)
{
    const int64_t bytes = plan->memory.state_bytes;
    if (!plan->state) {
        VDN_CHECK(plan->backend->allocate(ctx, plan->device, &plan->state, bytes));
        VDN_CHECK(plan->backend->zero(ctx, plan->device, plan->state, bytes));
    }
    plan->homeless_count = 0;
    for (int64_t i = 0; i < plan->tensor_count; i++) {
        plan->homeless_count += plan->info[i].borrowed;
        plan->tensors[i].data = address(plan, binding, i);
        plan->tensors[i].version =
            plan->info[i].role == VDNI_ROLE_PARAMETER ? binding->version : NULL;
        if (plan->info[i].role == VDNI_ROLE_CONSTANT) VDN_CHECK(fill_constant(ctx, plan, i));
    }
    if (plan->memory.workspace_bytes > 0 && !binding->workspace)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "a plan needs %lld bytes of workspace, none given",
                         (long long)plan->memory.workspace_bytes);
    plan->workspace = binding->workspace;
    return VDN_OK;
}

vdni_tensor *vdni_plan_tensor(vdni_plan *plan, vdni_id id)
{
    return id >= 0 && id < plan->tensor_count ? &plan->tensors[id] : NULL;
}

static int is_state(vdni_role role) { return role == VDNI_ROLE_INPUT || role == VDNI_ROLE_OUTPUT; }

vdn_status vdni_plan_alias(vdn_ctx *ctx, vdni_plan *plan, vdni_id id, const vdni_tensor *source)
{
    vdni_tensor *t = vdni_plan_tensor(plan, id);
    char needed[96], found[96];
    if (!t || !is_state(plan->info[id].role))
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "tensor %d is no input and no output", (int)id);
    if (!source || !source->data || !vdni_same_shape(t, source) || t->dtype != source->dtype)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s is %s, the source %s",
                         plan->info[id].name, vdni_tensor_print(t, needed, sizeof needed),
                         source ? vdni_tensor_print(source, found, sizeof found) : "absent");
    plan->homeless_count -= plan->info[id].borrowed && !t->data;
    t->data = source->data;
    return VDN_OK;
}

static vdn_status check_copy(vdn_ctx *ctx, const vdni_plan *plan, vdni_id id, int64_t bytes)
{
    if (id < 0 || id >= plan->tensor_count || !plan->tensors[id].data)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "tensor %d is not bound", (int)id);
    if (bytes != vdni_tensor_bytes(&plan->tensors[id]))
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "tensor %s has %lld bytes, %lld given",
                         plan->info[id].name, (long long)vdni_tensor_bytes(&plan->tensors[id]),
                         (long long)bytes);
    return VDN_OK;
}

vdn_status vdni_plan_put(vdn_ctx *ctx, vdni_plan *plan, vdni_id id, const void *from, int64_t bytes)
{
    VDN_CHECK(check_copy(ctx, plan, id, bytes));
    return plan->backend->put(ctx, plan->device, plan->tensors[id].data, from, bytes);
}

vdn_status vdni_plan_get(vdn_ctx *ctx, vdni_plan *plan, vdni_id id, void *to, int64_t bytes)
{
    VDN_CHECK(check_copy(ctx, plan, id, bytes));
    return plan->backend->get(ctx, plan->device, to, plan->tensors[id].data, bytes);
}

vdn_status vdni_plan_run(vdn_ctx *ctx, vdni_plan *plan, vdni_run_part part)
{
    const int64_t begin = part == VDNI_RUN_BACKWARD ? plan->forward_count : 0;
    const int64_t end = part == VDNI_RUN_FORWARD ? plan->forward_count : plan->op_count;
    if (plan->homeless_count > 0)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%lld borrowed tensors of a plan have no place",
                         (long long)plan->homeless_count);
    for (int64_t k = begin; k < end; k++)
        VDN_CHECK(plan->backend->run(ctx, plan->device, &plan->ops[k], plan->workspace));
    return VDN_OK;
}

int64_t vdni_graph_macs(const vdni_graph *graph)
{
    const int64_t end = graph->forward_count ? graph->forward_count : graph->node_count;
    int64_t macs = 0;
    for (int64_t k = 0; k < end; k++) {
        const vdni_node *node = &graph->nodes[k];
        vdni_op op = { .kind = node->kind };
        for (int i = 0; i < VDNI_MAX_IN; i++)
            if (node->in[i] != VDNI_NONE) op.in[i] = &graph->tensors[node->in[i]].t;
        for (int i = 0; i < VDNI_MAX_OUT; i++)
            if (node->out[i] != VDNI_NONE) op.out[i] = &graph->tensors[node->out[i]].t;
        macs += vdni_op_macs(&op);
    }
    return macs;
}
