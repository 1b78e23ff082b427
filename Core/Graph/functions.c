/* The forward functions of graph.h: each works out the shape of its result and appends one node. */
#include "Graph/graph.h"
#include "Ops/arithmetic.h"
#include "Ops/pool.h"

typedef struct {
    int64_t nhwc[4];
} shape;

static shape shape_of(const vdni_graph *g, vdni_id id)
{
    const vdni_tensor t = vdni_graph_get(g, id);
    return (shape){ { t.n, t.h, t.w, t.c } };
}

static vdni_id finish(vdni_graph *g, vdni_node *node, shape s, vdni_dtype dtype)
{
    node->out[0] = vdni_graph_temp(g, s.nhwc, dtype);
    vdni_graph_append(g, node);
    return g->status == VDN_OK ? node->out[0] : VDNI_NONE;
}

static vdni_dtype type_of(const vdni_graph *g, vdni_id id) { return vdni_graph_get(g, id).dtype; }

/* Node with up to four inputs. */
static vdni_node node4(vdni_op_kind kind, vdni_id a, vdni_id b, vdni_id c, vdni_id d)
{
    vdni_node node = vdni_node_of(kind);
    node.in[0] = a;
    node.in[1] = b;
    node.in[2] = c;
    node.in[3] = d;
    return node;
}

static int64_t window_out(int64_t extent, vdni_window k)
{
    return (extent + 2 * k.pad - (int64_t)k.dilation * (k.kernel - 1) - 1) / k.stride + 1;
}

static void set_window(vdni_node *node, vdni_window k)
{
    node->a.kernel = k.kernel;
    node->a.stride = k.stride;
    node->a.dilation = k.dilation;
    node->a.pad = k.pad;
}

vdni_id vdni_conv(vdni_graph *g, vdni_id x, vdni_id w, vdni_id b, vdni_id residual,
                  vdni_window window, vdni_dtype dtype)
{
    vdni_node node = node4(VDNI_OP_CONV, x, w, b, residual);
    shape s = shape_of(g, x);
    set_window(&node, window);
    s.nhwc[1] = window_out(s.nhwc[1], window);
    s.nhwc[2] = window_out(s.nhwc[2], window);
    s.nhwc[3] = vdni_graph_get(g, w).n;
    return finish(g, &node, s, dtype);
}

vdni_id vdni_depthwise(vdni_graph *g, vdni_id x, vdni_id w, vdni_id b, vdni_window window)
{
    vdni_node node = node4(VDNI_OP_DEPTHWISE, x, w, b, VDNI_NONE);
    set_window(&node, window);
    return finish(g, &node, shape_of(g, x), type_of(g, x));
}

vdni_id vdni_linear(vdni_graph *g, vdni_id x, vdni_id w, vdni_id b)
{
    vdni_node node = node4(VDNI_OP_LINEAR, x, w, b, VDNI_NONE);
    shape s = shape_of(g, x);
    s.nhwc[3] = vdni_graph_get(g, w).n;
    return finish(g, &node, s, VDNI_F32);
}

static vdni_id normalize(vdni_graph *g, vdni_node *node, int64_t n, int64_t groups)
{
    const int64_t stats[4] = { n, 1, 1, 2 * groups };
    node->a.eps = 1e-5f;
    node->out[1] = vdni_graph_temp(g, stats, VDNI_F32);
    return finish(g, node, shape_of(g, node->in[0]), type_of(g, node->in[0]));
}

vdni_id vdni_norm(vdni_graph *g, vdni_id x, vdni_id gamma, vdni_id beta, vdni_id mod,
                  int32_t groups, vdni_activation act)
{
    vdni_node node = node4(VDNI_OP_NORM, x, gamma, beta, mod);
    node.a.groups = groups;
    node.a.act = act;
    return normalize(g, &node, vdni_graph_get(g, x).n, groups);
}

vdni_id vdni_batch_norm(vdni_graph *g, vdni_id x, vdni_id gamma, vdni_id beta, vdni_id running,
                        vdni_activation act)
{
    const int64_t c = vdni_graph_get(g, x).c;
    vdni_node node = node4(VDNI_OP_NORM, x, gamma, beta, VDNI_NONE);
    node.in[4] = running;
    node.a.groups = (int32_t)c;
    node.a.act = act;
    node.a.mode = g->training ? VDNI_NORM_BATCH_TRAIN : VDNI_NORM_BATCH_EVAL;
    return normalize(g, &node, 1, c);
}

vdni_id vdni_activate(vdni_graph *g, vdni_id x, vdni_activation act)
{
    vdni_node node = node4(VDNI_OP_ACTIVATION, x, VDNI_NONE, VDNI_NONE, VDNI_NONE);
    node.a.act = act;
    return finish(g, &node, shape_of(g, x), type_of(g, x));
}

static vdni_id largest(vdni_graph *g, vdni_id x, vdni_window window)
{
    vdni_node node = node4(VDNI_OP_MAX_POOL, x, VDNI_NONE, VDNI_NONE, VDNI_NONE);
    shape s = shape_of(g, x);
    set_window(&node, window);
    s.nhwc[1] = window_out(s.nhwc[1], window);
    s.nhwc[2] = window_out(s.nhwc[2], window);
    if (g->training) node.out[1] = vdni_graph_temp(g, s.nhwc, VDNI_U8);
    return finish(g, &node, s, type_of(g, x));
}

vdni_id vdni_max_pool(vdni_graph *g, vdni_id x)
{ return largest(g, x, (vdni_window){ 2, 2, 1, 0 }); }

vdni_id vdni_max_pool_overlapping(vdni_graph *g, vdni_id x)
{ return largest(g, x, (vdni_window){ 3, 2, 1, 1 }); }

static vdni_id average(vdni_graph *g, vdni_id x, vdni_window window, float gain, int32_t mode)
{
    vdni_node node = node4(VDNI_OP_AVERAGE_POOL, x, VDNI_NONE, VDNI_NONE, VDNI_NONE);
    shape s = shape_of(g, x);
    set_window(&node, window);
    node.a.scale = gain;
    node.a.mode = mode;
    s.nhwc[1] = window_out(s.nhwc[1], window);
    s.nhwc[2] = window_out(s.nhwc[2], window);
    return finish(g, &node, s, type_of(g, x));
}

vdni_id vdni_average_pool(vdni_graph *g, vdni_id x, int32_t kernel, int32_t stride, int32_t pad,
                          float gain)
{
    return average(g, x, (vdni_window){ kernel, stride, 1, pad }, gain, VDNI_POOL_SATURATE);
}

vdni_id vdni_average_step(vdni_graph *g, vdni_id x, int32_t kernel, int32_t stride, int32_t pad,
                          float gain)
{
    return average(g, x, (vdni_window){ kernel, stride, 1, pad }, gain, VDNI_POOL_STEP);
}

vdni_id vdni_global_pool(vdni_graph *g, vdni_id x)
{
    vdni_node node = node4(VDNI_OP_GLOBAL_POOL, x, VDNI_NONE, VDNI_NONE, VDNI_NONE);
    shape s = shape_of(g, x);
    s.nhwc[1] = s.nhwc[2] = 1;
    return finish(g, &node, s, VDNI_F32);
}

vdni_id vdni_channel_stats(vdni_graph *g, vdni_id x)
{
    vdni_node node = node4(VDNI_OP_CHANNEL_STATS, x, VDNI_NONE, VDNI_NONE, VDNI_NONE);
    shape s = shape_of(g, x);
    s.nhwc[3] = 1;
    if (g->training) node.out[1] = vdni_graph_temp(g, s.nhwc, VDNI_U16);
    s.nhwc[3] = 2;
    return finish(g, &node, s, type_of(g, x));
}

vdni_id vdni_upsample(vdni_graph *g, vdni_id x, vdni_upsample_mode mode)
{
    vdni_node node = node4(VDNI_OP_UPSAMPLE, x, VDNI_NONE, VDNI_NONE, VDNI_NONE);
    shape s = shape_of(g, x);
    node.a.factor = 2;
    node.a.mode = mode;
    s.nhwc[1] *= 2;
    s.nhwc[2] *= 2;
    return finish(g, &node, s, type_of(g, x));
}

vdni_id vdni_upsample_join(vdni_graph *g, vdni_id x, vdni_id skip, vdni_upsample_mode mode)
{
    vdni_node node = node4(VDNI_OP_UPSAMPLE, x, skip, VDNI_NONE, VDNI_NONE);
    shape s = shape_of(g, skip);
    if (g->training) {
        const vdni_id both[2] = { vdni_upsample(g, x, mode), skip };
        return vdni_concat(g, both, 2, type_of(g, x));
    }
    node.a.factor = 2;
    node.a.mode = mode;
    s.nhwc[3] += vdni_graph_get(g, x).c;
    return finish(g, &node, s, type_of(g, x));
}

vdni_id vdni_unshuffle(vdni_graph *g, vdni_id x, int32_t factor)
{
    vdni_node node = node4(VDNI_OP_UNSHUFFLE, x, VDNI_NONE, VDNI_NONE, VDNI_NONE);
    shape s = shape_of(g, x);
    node.a.factor = factor;
    s.nhwc[1] /= factor;
    s.nhwc[2] /= factor;
    s.nhwc[3] *= (int64_t)factor * factor;
    return finish(g, &node, s, type_of(g, x));
}

vdni_id vdni_shuffle(vdni_graph *g, vdni_id x, int32_t factor)
{
    vdni_node node = node4(VDNI_OP_SHUFFLE, x, VDNI_NONE, VDNI_NONE, VDNI_NONE);
    shape s = shape_of(g, x);
    node.a.factor = factor;
    s.nhwc[1] *= factor;
    s.nhwc[2] *= factor;
    s.nhwc[3] /= (int64_t)factor * factor;
    return finish(g, &node, s, type_of(g, x));
}

/* Operators that take a list: @p count of at most @p most. */
static int fits(vdni_graph *g, vdni_op_kind kind, int32_t count, int32_t most)
{
    if (g->status == VDN_OK && (count < 1 || count > most))
        g->status = vdni_fail(g->ctx, VDN_ERR_ARGUMENT, "%s of %d tensors, needed 1 to %d",
                              vdni_op_name(kind), count, most);
    return g->status == VDN_OK;
}

vdni_id vdni_concat(vdni_graph *g, const vdni_id *x, int32_t count, vdni_dtype dtype)
{
    vdni_node node = vdni_node_of(VDNI_OP_CONCAT);
    if (!fits(g, VDNI_OP_CONCAT, count, VDNI_MAX_OUT)) return VDNI_NONE; /* outputs of SPLIT */
    shape s = shape_of(g, x[0]);
    s.nhwc[3] = 0;
    for (int32_t i = 0; i < count; i++) {
        node.in[i] = x[i];
        s.nhwc[3] += vdni_graph_get(g, x[i]).c;
    }
    return finish(g, &node, s, dtype);
}

vdni_id vdni_add(vdni_graph *g, vdni_id a, vdni_id b)
{
    vdni_node node = node4(VDNI_OP_ADD, a, b, VDNI_NONE, VDNI_NONE);
    return finish(g, &node, shape_of(g, a), type_of(g, a));
}

vdni_id vdni_product(vdni_graph *g, vdni_id v, vdni_id n, vdni_id lambda, vdni_id u)
{
    vdni_node node = node4(VDNI_OP_PRODUCT, v, n, lambda, u);
    return finish(g, &node, shape_of(g, v), type_of(g, v));
}

vdni_id vdni_gate(vdni_graph *g, vdni_id a, vdni_id b, vdni_id t)
{
    vdni_node node = node4(VDNI_OP_GATE, a, b, t, VDNI_NONE);
    return finish(g, &node, shape_of(g, a), type_of(g, a));
}

vdni_id vdni_mix(vdni_graph *g, vdni_id a, vdni_id b, vdni_id m)
{
    vdni_node node = node4(VDNI_OP_MIX, a, b, m, VDNI_NONE);
    return finish(g, &node, shape_of(g, a), type_of(g, a));
}

vdni_id vdni_modulate(vdni_graph *g, vdni_id x, vdni_id mod)
{
    vdni_node node = node4(VDNI_OP_MODULATE, x, mod, VDNI_NONE, VDNI_NONE);
    return finish(g, &node, shape_of(g, x), type_of(g, x));
}

vdni_id vdni_scale(vdni_graph *g, vdni_id x, vdni_id a)
{
    vdni_node node = node4(VDNI_OP_MODULATE, x, a, VDNI_NONE, VDNI_NONE);
    node.a.mode = VDNI_MODULATE_SCALE;
    return finish(g, &node, shape_of(g, x), type_of(g, x));
}

vdni_id vdni_bias(vdni_graph *g, vdni_id x, vdni_id b)
{
    vdni_node node = node4(VDNI_OP_BIAS, x, b, VDNI_NONE, VDNI_NONE);
    return finish(g, &node, shape_of(g, x), type_of(g, x));
}

vdni_id vdni_conv_transposed(vdni_graph *g, vdni_id x, vdni_id w, vdni_window window,
                             vdni_dtype dtype)
{
    vdni_node node = node4(VDNI_OP_CONV_DX, x, w, VDNI_NONE, VDNI_NONE);
    shape s = shape_of(g, x);
    set_window(&node, window);
    for (int i = 1; i < 3; i++)
        s.nhwc[i] = (s.nhwc[i] - 1) * window.stride + window.dilation * (window.kernel - 1) + 1 -
                    2 * (int64_t)window.pad;
    s.nhwc[3] = vdni_graph_get(g, w).c;
    return finish(g, &node, s, dtype);
}

vdni_id vdni_sk_select(vdni_graph *g, vdni_id u3, vdni_id u5, vdni_id u7, vdni_id logits)
{
    vdni_node node = node4(VDNI_OP_SK_SELECT, u3, u5, u7, logits);
    return finish(g, &node, shape_of(g, u3), type_of(g, u3));
}

vdni_id vdni_attention(vdni_graph *g, vdni_id qkv, int32_t heads)
{
    vdni_node node = node4(VDNI_OP_ATTENTION, qkv, VDNI_NONE, VDNI_NONE, VDNI_NONE);
    shape s = shape_of(g, qkv);
    const int64_t lse[4] = { s.nhwc[0], 1, heads, s.nhwc[1] * s.nhwc[2] };
    node.a.heads = heads;
    node.out[1] = vdni_graph_temp(g, lse, VDNI_F32);
    s.nhwc[3] /= 3;
    return finish(g, &node, s, type_of(g, qkv));
}

vdni_id vdni_layer_norm(vdni_graph *g, vdni_id x, vdni_id gamma, vdni_id beta)
{
    vdni_node node = node4(VDNI_OP_LAYER_NORM, x, gamma, beta, VDNI_NONE);
    shape s = shape_of(g, x);
    node.a.eps = 1e-5f;
    s.nhwc[3] = 2;
    node.out[1] = vdni_graph_temp(g, s.nhwc, VDNI_F32);
    return finish(g, &node, shape_of(g, x), type_of(g, x));
}

vdni_id vdni_window_attention(vdni_graph *g, vdni_id qkv, vdni_id table, int32_t window,
                              int32_t shift, int32_t heads)
{
    vdni_node node = node4(VDNI_OP_WINDOW_ATTENTION, qkv, table, VDNI_NONE, VDNI_NONE);
    shape s = shape_of(g, qkv), lse = s;
    node.a.kernel = window;
    node.a.pad = shift;
    node.a.heads = heads;
    lse.nhwc[3] = heads;
    node.out[1] = vdni_graph_temp(g, lse.nhwc, VDNI_F32);
    s.nhwc[3] /= 3;
    return finish(g, &node, s, type_of(g, qkv));
}

vdni_id vdni_time_embedding(vdni_graph *g, vdni_id t, int64_t width)
{
    vdni_node node = node4(VDNI_OP_TIME_EMBEDDING, t, VDNI_NONE, VDNI_NONE, VDNI_NONE);
    shape s = shape_of(g, t);
    s.nhwc[3] = width;
    return finish(g, &node, s, VDNI_F32);
}

vdni_id vdni_combine(vdni_graph *g, vdni_id coefficients, const vdni_id *x, int32_t count)
{
    return vdni_combine_bounded(g, coefficients, x, count, 0.0f);
}

vdni_id vdni_combine_bounded(vdni_graph *g, vdni_id coefficients, const vdni_id *x, int32_t count,
                             float bound)
{
    if (!fits(g, VDNI_OP_COMBINE, count, 4)) return VDNI_NONE;
    vdni_node node = node4(VDNI_OP_COMBINE, x[0], coefficients, VDNI_NONE, VDNI_NONE);
    for (int32_t i = 1; i < count; i++) node.in[1 + i] = x[i];
    node.a.scale = bound;
    return finish(g, &node, shape_of(g, x[0]), VDNI_F32);
}

void vdni_split(vdni_graph *g, vdni_id x, int64_t channels, vdni_id parts[2])
{
    vdni_node node = vdni_node_of(VDNI_OP_SPLIT);
    shape s = shape_of(g, x);
    const int64_t all = s.nhwc[3];
    node.in[0] = x;
    s.nhwc[3] = all - channels;
    node.out[1] = vdni_graph_temp(g, s.nhwc, type_of(g, x));
    s.nhwc[3] = channels;
    parts[0] = finish(g, &node, s, type_of(g, x));
    parts[1] = parts[0] == VDNI_NONE ? VDNI_NONE : node.out[1];
}

vdni_id vdni_ancestral(vdni_graph *g, vdni_id mean, vdni_id v, vdni_id noise, vdni_id coefficients)
{
    vdni_node node = node4(VDNI_OP_ANCESTRAL, mean, v, noise, coefficients);
    return finish(g, &node, shape_of(g, mean), VDNI_F32);
}

vdni_id vdni_draw(vdni_graph *g, vdni_id p, vdni_id noise)
{
    vdni_node node = node4(VDNI_OP_DRAW, p, noise, VDNI_NONE, VDNI_NONE);
    return finish(g, &node, shape_of(g, p), VDNI_F32);
}

vdni_id vdni_flip(vdni_graph *g, vdni_id z, vdni_id x)
{
    vdni_node node = node4(VDNI_OP_FLIP, z, x, VDNI_NONE, VDNI_NONE);
    return finish(g, &node, shape_of(g, z), VDNI_F32);
}

vdni_id vdni_encode(vdni_graph *g, vdni_id logits, float rho, int32_t zero_one, vdni_id *p)
{
    vdni_node node = node4(VDNI_OP_ENCODE, logits, VDNI_NONE, VDNI_NONE, VDNI_NONE);
    const shape s = shape_of(g, logits);
    node.a.scale = rho;
    node.a.mode = zero_one;
    if (p) *p = node.out[1] = vdni_graph_temp(g, s.nhwc, VDNI_F32);
    return finish(g, &node, s, VDNI_F32);
}

vdni_id vdni_noise(vdni_graph *g, vdni_id keys, const int64_t nhwc[4])
{
    vdni_node node = node4(VDNI_OP_NOISE, keys, VDNI_NONE, VDNI_NONE, VDNI_NONE);
    return finish(g, &node, (shape){ { nhwc[0], nhwc[1], nhwc[2], nhwc[3] } }, VDNI_F32);
}

/* out[0] is the gradient of the logits, out[1] the terms. */
static vdni_id loss(vdni_graph *g, vdni_node *node)
{
    const shape s = shape_of(g, node->in[0]);
    const int64_t terms[4] = { s.nhwc[0], 1, 1, 4 };
    node->out[1] = vdni_graph_temp(g, terms, VDNI_F32);
    return finish(g, node, s, VDNI_F32) == VDNI_NONE ? VDNI_NONE : node->out[1];
}

vdni_id vdni_segmentation_loss(vdni_graph *g, vdni_id logits, vdni_id target, vdni_id weights,
                               vdni_id class_weights, vdni_loss_weights lambda)
{
    vdni_node node =
        node4(VDNI_OP_SEGMENTATION_LOSS, logits, target, weights, class_weights);
    node.a.lambda[0] = lambda.simple;
    node.a.lambda[1] = lambda.cross_entropy;
    node.a.lambda[2] = lambda.dice;
    node.a.scale = lambda.focal;
    node.a.mode = lambda.per_pixel;
    return loss(g, &node);
}

vdni_id vdni_noise_loss(vdni_graph *g, vdni_id z, vdni_id eps, vdni_id target, vdni_id weights)
{
    vdni_node node = node4(VDNI_OP_NOISE_LOSS, z, eps, target, weights);
    return loss(g, &node);
}

vdni_id vdni_epsilon_loss(vdni_graph *g, vdni_id z, vdni_id eps, vdni_id target, vdni_id weights,
                          const float lambda[3])
{
    vdni_node node = node4(VDNI_OP_EPSILON_LOSS, z, eps, target, weights);
    for (int i = 0; i < 3; i++) node.a.lambda[i] = lambda[i];
    return loss(g, &node);
}

vdni_id vdni_bernoulli_loss(vdni_graph *g, vdni_id z, vdni_id x, vdni_id f, vdni_id target,
                            vdni_id weights, const float lambda[3])
{
    vdni_node node = node4(VDNI_OP_BERNOULLI_LOSS, z, x, f, target);
    node.in[4] = weights;
    for (int i = 0; i < 3; i++) node.a.lambda[i] = lambda[i];
    return loss(g, &node);
}
