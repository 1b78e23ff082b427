#include "Graph/graph.h"

#include "Base/memory.h"

#include <stdio.h>
#include <string.h>

vdn_status vdni_graph_create(vdn_ctx *ctx, vdni_graph **out, vdni_parameters *parameters,
                             vdni_dtype activation, int32_t training)
{
    vdni_graph *g = NULL;
    *out = NULL;
    VDN_CHECK(VDNI_NEW(ctx, g, 1));
    g->ctx = ctx;
    g->parameters = parameters;
    g->activation = activation;
    g->training = training;
    *out = g;
    return VDN_OK;
}

void vdni_graph_free(vdn_ctx *ctx, vdni_graph *g)
{
    if (!g) return;
    vdni_free(ctx, g->tensors);
    vdni_free(ctx, g->nodes);
    vdni_free(ctx, g);
}

vdn_status vdni_graph_status(const vdni_graph *g) { return g->status; }

vdni_tensor vdni_graph_get(const vdni_graph *g, vdni_id id)
{
    const vdni_tensor none = { .n = 0 };
    return id >= 0 && id < g->tensor_count ? g->tensors[id].t : none;
}

static vdn_status grow_tensors(vdni_graph *g)
{
    if (g->tensor_count < g->tensor_capacity) return VDN_OK;
    const int64_t capacity = g->tensor_capacity ? 2 * g->tensor_capacity : 256;
    VDN_CHECK(VDNI_RESIZE(g->ctx, g->tensors, capacity));
    g->tensor_capacity = capacity;
    return VDN_OK;
}

vdni_id vdni_graph_temp(vdni_graph *g, const int64_t nhwc[4], vdni_dtype dtype)
{
    if (g->status != VDN_OK) return VDNI_NONE;
    g->status = grow_tensors(g);
    if (g->status != VDN_OK) return VDNI_NONE;
    vdni_graph_tensor *added = &g->tensors[g->tensor_count];
    memset(added, 0, sizeof *added);
    added->t = (vdni_tensor){ .n = nhwc[0], .h = nhwc[1], .w = nhwc[2], .c = nhwc[3],
                              .dtype = dtype };
    added->parameter = -1;
    added->gradient = added->original = VDNI_NONE;
    return (vdni_id)g->tensor_count++;
}

static vdni_id named(vdni_graph *g, vdni_id id, const char *name, vdni_role role)
{
    if (id == VDNI_NONE || g->status != VDN_OK) return VDNI_NONE;
    if (strlen(name) >= VDNI_TENSOR_NAME_BYTES || vdni_graph_find(g, name) != VDNI_NONE) {
        g->status = vdni_fail(g->ctx, VDN_ERR_ARGUMENT, "tensor name %s is taken or too long", name);
        return VDNI_NONE;
    }
    (void)snprintf(g->tensors[id].name, VDNI_TENSOR_NAME_BYTES, "%s", name);
    g->tensors[id].role = role;
    return id;
}

vdni_id vdni_input(vdni_graph *g, const char *name, const int64_t nhwc[4], vdni_dtype dtype)
{
    return named(g, vdni_graph_temp(g, nhwc, dtype), name, VDNI_ROLE_INPUT);
}

void vdni_require_gradient(vdni_graph *g, vdni_id id)
{
    if (id != VDNI_NONE) g->tensors[id].needs_gradient = 1;
}

vdni_id vdni_output(vdni_graph *g, vdni_id id, const char *name)
{
    return named(g, id, name, VDNI_ROLE_OUTPUT);
}

vdni_id vdni_borrow(vdni_graph *g, vdni_id id)
{
    if (id != VDNI_NONE) g->tensors[id].borrowed = 1;
    return id;
}

vdni_id vdni_constant(vdni_graph *g, int64_t n, const float *values, int32_t count)
{
    const int64_t nhwc[4] = { n, 1, 1, count };
    if (g->status == VDN_OK && (count < 1 || count > VDNI_MAX_CONSTANT))
        g->status = vdni_fail(g->ctx, VDN_ERR_ARGUMENT, "a constant of %d values, needed 1 to %d",
                              count, VDNI_MAX_CONSTANT);
    const vdni_id id = vdni_graph_temp(g, nhwc, VDNI_F32);
    if (id == VDNI_NONE) return VDNI_NONE;
    g->tensors[id].role = VDNI_ROLE_CONSTANT;
    memcpy(g->tensors[id].constant, values, (size_t)count * sizeof *values);
    return id;
}

vdni_id vdni_graph_find(const vdni_graph *g, const char *name)
{
    for (int64_t i = 0; i < g->tensor_count; i++)
        if (g->tensors[i].name[0] && strcmp(g->tensors[i].name, name) == 0) return (vdni_id)i;
    return VDNI_NONE;
}

/* The graph tensor of parameter @p index, made on first use. */
static vdni_id parameter_tensor(vdni_graph *g, int64_t index, vdni_role role)
{
    for (int64_t i = 0; i < g->tensor_count; i++)
        if (g->tensors[i].parameter == index && g->tensors[i].role == role) return (vdni_id)i;
    const vdni_parameter *p = &g->parameters->items[index];
    const int64_t nhwc[4] = { p->n, p->h, p->w, p->c };
    const int32_t trainable = p->trainable;
    const vdni_id id = vdni_graph_temp(g, nhwc, VDNI_F32);
    if (id == VDNI_NONE) return id;
    g->tensors[id].role = role;
    g->tensors[id].parameter = index;
    if (role == VDNI_ROLE_PARAMETER && trainable && g->training) {
        g->tensors[id].needs_gradient = 1;
        const vdni_id gradient = parameter_tensor(g, index, VDNI_ROLE_GRADIENT);
        g->tensors[id].gradient = gradient;
    }
    return id;
}

/* Weight decay is for weights. A 1 x 1 head of one class has the shape of a vector: names decide. */
static int is_weight(const char *name)
{
    const char *end = strrchr(name, '.');
    return end && strcmp(end, ".weight") == 0;
}

vdni_id vdni_parameter_of(vdni_graph *g, const char *name, const int64_t nhwc[4], vdni_init init,
                          int64_t fan_in)
{
    int64_t index = -1;
    vdni_parameter item = { .n = nhwc[0],     .h = nhwc[1],
                            .w = nhwc[2],     .c = nhwc[3],
                            .fan_in = fan_in, .init = init,
                            .trainable = strstr(name, ".running") == NULL,
                            .decays = is_weight(name) };
    if (g->status != VDN_OK) return VDNI_NONE;
    if (strlen(name) >= sizeof item.name) {
        g->status = vdni_fail(g->ctx, VDN_ERR_ARGUMENT, "parameter name %s is too long", name);
        return VDNI_NONE;
    }
    memcpy(item.name, name, strlen(name) + 1);
    g->status = vdni_parameters_add(g->ctx, &index, g->parameters, &item);
    return g->status == VDN_OK ? parameter_tensor(g, index, VDNI_ROLE_PARAMETER) : VDNI_NONE;
}

vdni_node vdni_node_of(vdni_op_kind kind)
{
    vdni_node node;
    memset(&node, 0, sizeof node);
    node.kind = kind;
    for (int i = 0; i < VDNI_MAX_IN; i++) node.in[i] = VDNI_NONE;
    for (int i = 0; i < VDNI_MAX_OUT; i++) node.out[i] = VDNI_NONE;
    return node;
}

/* Shapes are checked here, where the network's author sees which line is wrong. */
static vdn_status check_node(const vdni_graph *g, const vdni_node *node)
{
    vdni_op op = { .kind = node->kind, .a = node->a };
    for (int i = 0; i < VDNI_MAX_IN; i++)
        if (node->in[i] != VDNI_NONE) op.in[i] = &g->tensors[node->in[i]].t;
    for (int i = 0; i < VDNI_MAX_OUT; i++)
        if (node->out[i] != VDNI_NONE) op.out[i] = &g->tensors[node->out[i]].t;
    return vdni_op_check(g->ctx, &op);
}

void vdni_graph_append(vdni_graph *g, const vdni_node *node)
{
    if (g->status != VDN_OK) return;
    g->status = check_node(g, node);
    if (g->status != VDN_OK) return;
    if (g->node_count == g->node_capacity) {
        const int64_t capacity = g->node_capacity ? 2 * g->node_capacity : 256;
        g->status = VDNI_RESIZE(g->ctx, g->nodes, capacity);
        if (g->status != VDN_OK) return;
        g->node_capacity = capacity;
    }
    g->nodes[g->node_count++] = *node;
    int32_t needs = 0;
    for (int i = 0; i < VDNI_MAX_IN; i++)
        if (node->in[i] != VDNI_NONE) needs |= g->tensors[node->in[i]].needs_gradient;
    for (int i = 0; i < VDNI_MAX_OUT; i++)
        if (node->out[i] != VDNI_NONE && g->tensors[node->out[i]].role != VDNI_ROLE_GRADIENT)
            g->tensors[node->out[i]].needs_gradient |= needs;
}
