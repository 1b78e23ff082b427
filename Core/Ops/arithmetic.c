#include "Ops/arithmetic.h"

/* t, when it is there, is f32 or bf16 in the shape of x. */
static vdn_status need_like(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t, const char *name,
                            const vdni_tensor *x)
{
    if (!t) return VDN_OK;
    VDN_CHECK(vdni_need_float(ctx, op, t, name));
    return vdni_need_shape(ctx, op, t, name, (const int64_t[4]){ x->n, x->h, x->w, x->c });
}

static vdn_status need_vector(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t,
                              const char *name, int64_t n, int64_t c)
{
    if (!t) return VDN_OK;
    VDN_CHECK(vdni_need_type(ctx, op, t, name, VDNI_F32));
    return vdni_need_shape(ctx, op, t, name, (const int64_t[4]){ n, 1, 1, c });
}

/* A map of @p channels values per pixel of x. */
static vdn_status need_map(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t, const char *name,
                           const vdni_tensor *x, int64_t channels)
{
    VDN_CHECK(vdni_need_float(ctx, op, t, name));
    return vdni_need_shape(ctx, op, t, name, (const int64_t[4]){ x->n, x->h, x->w, channels });
}

static vdn_status check_add(vdn_ctx *ctx, const vdni_op *op)
{
    const vdni_tensor *a = op->in[0], *b = op->in[1], *y = op->out[0];
    VDN_CHECK(need_like(ctx, op, a, "a", a));
    VDN_CHECK(need_like(ctx, op, b, "b", a));
    VDN_CHECK(need_like(ctx, op, y, "y", a));
    VDN_CHECK(vdni_need(ctx, op, !y->data || y->data != b->data, "y may be a, but not b"));
    return vdni_need(ctx, op, !y->data || y->data != a->data || y->dtype == a->dtype,
                     "in place needs a and y of one type");
}

static vdn_status check_product(vdn_ctx *ctx, const vdni_op *op)
{
    const vdni_tensor *v = op->in[0];
    VDN_CHECK(need_like(ctx, op, v, "v", v));
    VDN_CHECK(need_like(ctx, op, op->in[1], "n", v));
    VDN_CHECK(need_vector(ctx, op, op->in[2], "lambda", 1, v->c));
    VDN_CHECK(need_like(ctx, op, op->in[3], "u", v));
    return need_like(ctx, op, op->out[0], "y", v);
}

static vdn_status check_product_backward(vdn_ctx *ctx, const vdni_op *op)
{
    const vdni_tensor *v = op->in[1];
    VDN_CHECK(need_like(ctx, op, v, "v", v));
    VDN_CHECK(need_like(ctx, op, op->in[0], "g", v));
    VDN_CHECK(need_like(ctx, op, op->in[2], "n", v));
    VDN_CHECK(need_vector(ctx, op, op->in[3], "lambda", 1, v->c));
    VDN_CHECK(need_like(ctx, op, op->out[0], "dv", v));
    VDN_CHECK(need_like(ctx, op, op->out[1], "dn", v));
    VDN_CHECK(vdni_need(ctx, op, !op->out[2] || op->in[3], "dlambda needs lambda"));
    return need_vector(ctx, op, op->out[2], "dlambda", 1, v->c);
}

static vdn_status check_gate(vdn_ctx *ctx, const vdni_op *op)
{
    const vdni_tensor *a = op->in[0];
    VDN_CHECK(need_like(ctx, op, a, "a", a));
    VDN_CHECK(need_like(ctx, op, op->in[1], "b", a));
    VDN_CHECK(need_map(ctx, op, op->in[2], "t", a, op->in[2]->c == 1 ? 1 : 2));
    return need_like(ctx, op, op->out[0], "y", a);
}

static vdn_status check_gate_backward(vdn_ctx *ctx, const vdni_op *op)
{
    const vdni_tensor *a = op->in[1], *t = op->in[3];
    VDN_CHECK(need_like(ctx, op, a, "a", a));
    VDN_CHECK(need_like(ctx, op, op->in[0], "g", a));
    VDN_CHECK(need_like(ctx, op, op->in[2], "b", a));
    VDN_CHECK(need_map(ctx, op, t, "t", a, t->c == 1 ? 1 : 2));
    VDN_CHECK(need_like(ctx, op, op->out[0], "da", a));
    VDN_CHECK(need_like(ctx, op, op->out[1], "db", a));
    return need_map(ctx, op, op->out[2], "dt", a, t->c);
}

static vdn_status check_mix(vdn_ctx *ctx, const vdni_op *op)
{
    const int is_forward = op->kind == VDNI_OP_MIX;
    const vdni_tensor *a = op->in[0], *m = is_forward ? op->in[2] : op->in[1];
    VDN_CHECK(need_like(ctx, op, a, is_forward ? "a" : "g", a));
    VDN_CHECK(need_like(ctx, op, is_forward ? op->in[1] : NULL, "b", a));
    VDN_CHECK(need_map(ctx, op, m, "m", a, 1));
    VDN_CHECK(need_like(ctx, op, op->out[0], is_forward ? "y" : "da", a));
    return need_like(ctx, op, op->out[1], "db", a);
}

static vdn_status check_modulate(vdn_ctx *ctx, const vdni_op *op)
{
    const int is_forward = op->kind == VDNI_OP_MODULATE;
    const vdni_tensor *x = op->in[is_forward ? 0 : 1], *mod = op->in[is_forward ? 1 : 2];
    const int is_scale = op->a.mode == VDNI_MODULATE_SCALE;
    const int64_t width = mod->c == x->c || is_scale ? x->c : 2 * x->c;
    VDN_CHECK(vdni_need(ctx, op, is_scale || op->a.mode == VDNI_MODULATE_SHIFT, "an unknown mode"));
    VDN_CHECK(need_like(ctx, op, x, "x", x));
    VDN_CHECK(need_vector(ctx, op, mod, "mod", x->n, width));
    VDN_CHECK(need_like(ctx, op, op->out[0], is_forward ? "y" : "dx", x));
    if (is_forward) return VDN_OK;
    VDN_CHECK(need_like(ctx, op, op->in[0], "g", x));
    VDN_CHECK(need_like(ctx, op, op->in[3], "addend", x));
    return need_vector(ctx, op, op->out[1], "dmod", x->n, width);
}

static vdn_status check_bias(vdn_ctx *ctx, const vdni_op *op)
{
    const vdni_tensor *x = op->in[0];
    const int is_forward = op->kind == VDNI_OP_BIAS;
    VDN_CHECK(need_like(ctx, op, x, is_forward ? "x" : "g", x));
    if (!is_forward) return need_vector(ctx, op, op->out[0], "db", 1, x->c);
    VDN_CHECK(need_vector(ctx, op, op->in[1], "b", 1, x->c));
    return need_like(ctx, op, op->out[0], "y", x);
}

vdn_status vdni_arithmetic_check(vdn_ctx *ctx, const vdni_op *op)
{
    switch (op->kind) {
    case VDNI_OP_ADD:
        return check_add(ctx, op);
    case VDNI_OP_PRODUCT:
        return check_product(ctx, op);
    case VDNI_OP_PRODUCT_BACKWARD:
        return check_product_backward(ctx, op);
    case VDNI_OP_GATE:
        return check_gate(ctx, op);
    case VDNI_OP_GATE_BACKWARD:
        return check_gate_backward(ctx, op);
    case VDNI_OP_MIX:
    case VDNI_OP_MIX_BACKWARD:
        return check_mix(ctx, op);
    case VDNI_OP_BIAS:
    case VDNI_OP_BIAS_BACKWARD:
        return check_bias(ctx, op);
    default:
        return check_modulate(ctx, op);
    }
}
