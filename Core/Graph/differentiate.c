/* The reverse list: one rule per operator kind.
 *
 * Tensors are written once. A tensor's gradient begins as the first contribution and is replaced by
 * the sum with each further one; where an operator takes an addend the sum costs nothing extra. ADD
 * and residual inputs pass the incoming gradient on as it is. A tensor computed again shares the
 * gradient of its original. */
#include "Base/memory.h"
#include "Graph/recompute.h"

typedef void rule(vdni_graph *g, const vdni_node *node, vdni_id grad);

static int wants(const vdni_graph *g, vdni_id id)
{
    return id != VDNI_NONE && g->tensors[id].needs_gradient;
}

static vdni_id like(vdni_graph *g, vdni_id id)
{
    const vdni_tensor t = vdni_graph_get(g, id);
    const int64_t nhwc[4] = { t.n, t.h, t.w, t.c };
    return vdni_graph_temp(g, nhwc, t.dtype);
}

/* The tensor that keeps the gradient of @p id. */
static vdni_id keeper(const vdni_graph *g, vdni_id id)
{
    return g->tensors[id].original == VDNI_NONE ? id : g->tensors[id].original;
}

/* A finished contribution to the gradient of @p id. */
static void contribute(vdni_graph *g, vdni_id id, vdni_id part)
{
    if (g->status != VDN_OK || part == VDNI_NONE) return;
    id = keeper(g, id);
    const vdni_id before = g->tensors[id].gradient;
    if (before == VDNI_NONE)
        g->tensors[id].gradient = part;
    else {
        const vdni_id sum = vdni_add(g, before, part);
        g->tensors[id].gradient = sum;
    }
}

/* Append @p node whose output 0 is the gradient of @p id and whose input @p addend is free for what
 * came before. */
static void append_adding(vdni_graph *g, vdni_node *node, vdni_id id, int addend)
{
    if (g->status != VDN_OK) return;
    id = keeper(g, id);
    node->in[addend] = g->tensors[id].gradient;
    node->out[0] = like(g, id);
    vdni_graph_append(g, node);
    if (g->status == VDN_OK) g->tensors[id].gradient = node->out[0];
}

static vdni_node reverse_of(const vdni_node *node, vdni_op_kind kind)
{
    vdni_node back = vdni_node_of(kind);
    back.a = node->a;
    return back;
}

/* CONV, DEPTHWISE and LINEAR: kinds follow each other as y, dx, dw. */
static void weighted(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    const vdni_id x = node->in[0], w = node->in[1], b = node->in[2], residual = node->in[3];
    if (wants(g, w)) {
        vdni_node dw = reverse_of(node, node->kind + 2);
        dw.in[0] = x;
        dw.in[1] = grad;
        dw.out[0] = g->tensors[w].gradient;
        if (wants(g, b)) dw.out[1] = g->tensors[b].gradient;
        vdni_graph_append(g, &dw);
    }
    if (wants(g, x)) {
        vdni_node dx = reverse_of(node, node->kind + 1);
        dx.in[0] = grad;
        dx.in[1] = w;
        append_adding(g, &dx, x, 2);
    }
    if (wants(g, residual)) {
        const vdni_dtype type = vdni_graph_get(g, residual).dtype;
        const vdni_id part = vdni_graph_get(g, grad).dtype == type
                                 ? grad
                                 : vdni_concat(g, &grad, 1, type);
        contribute(g, residual, part);
    }
}

/* CONV_DX as a forward operator: its gradient is the convolution. */
static void transposed(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    const vdni_id x = node->in[0], w = node->in[1];
    if (wants(g, w)) {
        vdni_node dw = reverse_of(node, VDNI_OP_CONV_DW);
        dw.in[0] = grad;
        dw.in[1] = x;
        dw.out[0] = g->tensors[w].gradient;
        vdni_graph_append(g, &dw);
    }
    if (!wants(g, x)) return;
    vdni_node dx = reverse_of(node, VDNI_OP_CONV);
    dx.in[0] = grad;
    dx.in[1] = w;
    append_adding(g, &dx, x, 3);
}

static void bias(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    vdni_node back = reverse_of(node, VDNI_OP_BIAS_BACKWARD);
    back.in[0] = grad;
    back.out[0] = g->tensors[node->in[1]].gradient;
    if (wants(g, node->in[1])) vdni_graph_append(g, &back);
    if (wants(g, node->in[0])) contribute(g, node->in[0], grad);
}

static void norm(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    const vdni_id x = node->in[0], gamma = node->in[1], beta = node->in[2], mod = node->in[3];
    vdni_node back = reverse_of(node, VDNI_OP_NORM_BACKWARD);
    back.in[0] = grad;
    back.in[1] = x;
    back.in[2] = node->out[1];
    back.in[3] = gamma;
    back.in[4] = beta;
    back.in[5] = mod;
    if (wants(g, gamma)) back.out[1] = g->tensors[gamma].gradient;
    if (wants(g, beta)) back.out[2] = g->tensors[beta].gradient;
    if (mod != VDNI_NONE) back.out[3] = like(g, mod);
    append_adding(g, &back, x, 6);
    if (wants(g, mod)) contribute(g, mod, back.out[3]);
}

static void activation(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    vdni_node back = reverse_of(node, VDNI_OP_ACTIVATION_BACKWARD);
    back.in[0] = grad;
    back.in[1] = node->in[0];
    append_adding(g, &back, node->in[0], 2);
}

/* MAX_POOL and CHANNEL_STATS: the reverse kind follows, routed by the saved argmax. */
static void routed(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    vdni_node back = reverse_of(node, node->kind + 1);
    back.in[0] = grad;
    back.in[1] = node->out[1];
    append_adding(g, &back, node->in[0], 2);
}

/* GLOBAL_POOL and UPSAMPLE: linear, nothing saved. */
static void spread(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    vdni_node back = reverse_of(node, node->kind + 1);
    back.in[0] = grad;
    append_adding(g, &back, node->in[0], 1);
}

static void permuted(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    vdni_node back = reverse_of(
        node, node->kind == VDNI_OP_SHUFFLE ? VDNI_OP_UNSHUFFLE : VDNI_OP_SHUFFLE);
    back.in[0] = grad;
    back.out[0] = like(g, node->in[0]);
    vdni_graph_append(g, &back);
    contribute(g, node->in[0], back.out[0]);
}

static void concat(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    vdni_node back = reverse_of(node, VDNI_OP_SPLIT);
    back.in[0] = grad;
    for (int i = 0; i < VDNI_MAX_OUT; i++)
        if (wants(g, node->in[i])) back.out[i] = like(g, node->in[i]);
    /* SPLIT reads the channel layout from its outputs, so unwanted ones exist too. */
    for (int i = 0; i < VDNI_MAX_OUT; i++)
        if (node->in[i] != VDNI_NONE && back.out[i] == VDNI_NONE) back.out[i] = like(g, node->in[i]);
    vdni_graph_append(g, &back);
    for (int i = 0; i < VDNI_MAX_OUT; i++)
        if (wants(g, node->in[i])) contribute(g, node->in[i], back.out[i]);
}

static void add(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    if (wants(g, node->in[0])) contribute(g, node->in[0], grad);
    if (wants(g, node->in[1])) contribute(g, node->in[1], grad);
}

/* Reverse operators with one output per forward input: in = g, then the forward inputs named. */
static void per_input(vdni_graph *g, const vdni_node *node, vdni_node *back, int count)
{
    for (int i = 0; i < count; i++) back->out[i] = like(g, node->in[i]);
    vdni_graph_append(g, back);
    for (int i = 0; i < count; i++)
        if (wants(g, node->in[i])) contribute(g, node->in[i], back->out[i]);
}

static void product(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    const vdni_id lambda = node->in[2], u = node->in[3];
    vdni_node back = reverse_of(node, VDNI_OP_PRODUCT_BACKWARD);
    back.in[0] = grad;
    back.in[1] = node->in[0];
    back.in[2] = node->in[1];
    back.in[3] = lambda;
    if (wants(g, lambda)) back.out[2] = g->tensors[lambda].gradient;
    per_input(g, node, &back, 2);
    if (wants(g, u)) contribute(g, u, grad);
}

static void gate(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    vdni_node back = reverse_of(node, VDNI_OP_GATE_BACKWARD);
    back.in[0] = grad;
    for (int i = 0; i < 3; i++) back.in[1 + i] = node->in[i];
    per_input(g, node, &back, 3);
}

static void mix(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    vdni_node back = reverse_of(node, VDNI_OP_MIX_BACKWARD);
    back.in[0] = grad;
    back.in[1] = node->in[2];
    per_input(g, node, &back, 2);
}

static void modulate(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    const vdni_id x = node->in[0], mod = node->in[1];
    vdni_node back = reverse_of(node, VDNI_OP_MODULATE_BACKWARD);
    back.in[0] = grad;
    back.in[1] = x;
    back.in[2] = mod;
    back.out[1] = like(g, mod);
    append_adding(g, &back, x, 3);
    if (wants(g, mod)) contribute(g, mod, back.out[1]);
}

static void sk_select(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    vdni_node back = reverse_of(node, VDNI_OP_SK_SELECT_BACKWARD);
    back.in[0] = grad;
    for (int i = 0; i < 4; i++) back.in[1 + i] = node->in[i];
    per_input(g, node, &back, 4);
}

static void attention(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    vdni_node back = reverse_of(node, VDNI_OP_ATTENTION_BACKWARD);
    back.in[0] = grad;
    back.in[1] = node->in[0];
    back.in[2] = node->out[0];
    back.in[3] = node->out[1];
    per_input(g, node, &back, 1);
}

static void layer_norm(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    const vdni_id x = node->in[0], gamma = node->in[1], beta = node->in[2];
    vdni_node back = reverse_of(node, VDNI_OP_LAYER_NORM_BACKWARD);
    back.in[0] = grad;
    back.in[1] = x;
    back.in[2] = node->out[1];
    back.in[3] = gamma;
    if (wants(g, gamma)) back.out[1] = g->tensors[gamma].gradient;
    if (wants(g, beta)) back.out[2] = g->tensors[beta].gradient;
    append_adding(g, &back, x, 4);
}

static void window_attention(vdni_graph *g, const vdni_node *node, vdni_id grad)
{
    vdni_node back = reverse_of(node, VDNI_OP_WINDOW_ATTENTION_BACKWARD);
    back.in[0] = grad;
    back.in[1] = node->in[0];
    back.in[2] = node->in[1];
    back.in[3] = node->out[0];
    back.in[4] = node->out[1];
    back.out[1] = g->tensors[node->in[1]].gradient;
    per_input(g, node, &back, 1);
}

static rule *rule_of(vdni_op_kind kind)
{
    switch (kind) {
    case VDNI_OP_CONV:
    case VDNI_OP_DEPTHWISE:
    case VDNI_OP_LINEAR: return weighted;
    case VDNI_OP_CONV_DX: return transposed;
    case VDNI_OP_BIAS: return bias;
    case VDNI_OP_NORM: return norm;
    case VDNI_OP_ACTIVATION: return activation;
    case VDNI_OP_MAX_POOL:
    case VDNI_OP_CHANNEL_STATS: return routed;
    case VDNI_OP_GLOBAL_POOL:
    case VDNI_OP_UPSAMPLE: return spread;
    case VDNI_OP_UNSHUFFLE:
    case VDNI_OP_SHUFFLE: return permuted;
    case VDNI_OP_CONCAT: return concat;
    case VDNI_OP_ADD: return add;
    case VDNI_OP_PRODUCT: return product;
    case VDNI_OP_GATE: return gate;
    case VDNI_OP_MIX: return mix;
    case VDNI_OP_MODULATE: return modulate;
    case VDNI_OP_SK_SELECT: return sk_select;
    case VDNI_OP_ATTENTION: return attention;
    case VDNI_OP_LAYER_NORM: return layer_norm;
    case VDNI_OP_WINDOW_ATTENTION: return window_attention;
    default: return NULL;
    }
}

static int is_loss(vdni_op_kind kind)
{
    return kind >= VDNI_OP_SEGMENTATION_LOSS && kind <= VDNI_OP_BERNOULLI_LOSS;
}

void vdni_graph_seed(vdni_graph *g, vdni_id id, vdni_id gradient)
{
    if (g->status == VDN_OK) contribute(g, id, gradient);
}

/* The gradient that reaches a node: of its output 0, the only one that carries any. */
static void reverse(vdni_graph *g, const vdni_node *node)
{
    if (is_loss(node->kind)) {
        if (wants(g, node->in[0])) contribute(g, node->in[0], node->out[0]);
        return;
    }
    const vdni_id grad = g->tensors[keeper(g, node->out[0])].gradient;
    if (grad == VDNI_NONE || !wants(g, node->out[0])) return;
    rule *const apply = rule_of(node->kind);
    if (apply)
        apply(g, node, grad);
    else
        g->status = vdni_fail(g->ctx, VDN_ERR_UNSUPPORTED, "%s has no gradient",
                              vdni_op_name(node->kind));
}

/* The reverse of nodes first .. last, reading what @p map says instead of the tensors themselves. */
static void reverse_block(vdni_graph *g, int64_t first, int64_t last, const vdni_id *map)
{
    for (int64_t k = last; k >= first && g->status == VDN_OK; k--) {
        vdni_node node = g->nodes[k]; /* The list may move while it grows. */
        for (int i = 0; map && i < VDNI_MAX_IN; i++)
            if (node.in[i] != VDNI_NONE) node.in[i] = map[node.in[i]];
        for (int i = 0; map && i < VDNI_MAX_OUT; i++)
            if (node.out[i] != VDNI_NONE) node.out[i] = map[node.out[i]];
        reverse(g, &node);
    }
}

/* Block by block from the end, each computed again first; the last one has only just run. */
static vdn_status reverse_recomputing(vdni_graph *g)
{
    vdn_status status = VDN_OK;
    uint8_t *end = NULL;
    vdni_id *map = NULL;
    const int64_t tensors = g->tensor_count;

    VDN_TRY(VDNI_NEW(g->ctx, end, g->node_count));
    VDN_TRY(VDNI_NEW(g->ctx, map, tensors));
    VDN_TRY(vdni_recompute_blocks(g->ctx, end, g));
    for (int64_t last = g->forward_count - 1, first; last >= 0; last = first - 1) {
        for (first = last; first > 0 && !end[first - 1];) first--;
        for (int64_t i = 0; i < tensors; i++) map[i] = (vdni_id)i;
        if (last < g->forward_count - 1 && vdni_recompute_allowed(g, first, last))
            vdni_recompute_append(g, first, last, map);
        reverse_block(g, first, last, map);
        VDN_TRY(g->status);
    }
    VDN_TRY(vdni_recompute_prune(g->ctx, g, g->forward_count));
done:
    vdni_free(g->ctx, end);
    vdni_free(g->ctx, map);
    g->status = status;
    return status;
}

vdn_status vdni_graph_backward(vdni_graph *g)
{
    g->forward_count = g->node_count;
    if (g->status != VDN_OK) return g->status;
    if (g->recompute) return reverse_recomputing(g);
    reverse_block(g, 0, g->forward_count - 1, NULL);
    return g->status;
}

vdni_id vdni_graph_gradient(const vdni_graph *g, vdni_id id)
{
    return id >= 0 && id < g->tensor_count ? g->tensors[id].gradient : VDNI_NONE;
}
