#include "Ops/pool.h"

static vdn_status need(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t, const char *name,
                       int64_t n, int64_t h, int64_t w, int64_t c)
{
    if (!t) return VDN_OK;
    VDN_CHECK(vdni_need_float(ctx, op, t, name));
    return vdni_need_shape(ctx, op, t, name, (const int64_t[4]){ n, h, w, c });
}

static vdn_status need_argmax(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *t,
                              vdni_dtype dtype, const int64_t shape[4])
{
    if (!t) return VDN_OK;
    VDN_CHECK(vdni_need_type(ctx, op, t, "argmax", dtype));
    return vdni_need_shape(ctx, op, t, "argmax", shape);
}

/* wide: x or dx; narrow: y or g. */
static vdn_status check_max(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *wide,
                            const vdni_tensor *narrow, const vdni_tensor *argmax)
{
    const vdni_attr *a = &op->a;
    if ((a->kernel != 2 && a->kernel != 3) || a->stride != 2 || a->pad != a->kernel - 2)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "%s: kernel %d stride %d pad %d, needed 2, 2, 0 or 3, 2, 1",
                         vdni_op_name(op->kind), a->kernel, a->stride, a->pad);
    const int64_t shape[4] = { wide->n, vdni_pool_extent(wide->h, a), vdni_pool_extent(wide->w, a),
                               wide->c };
    VDN_CHECK(need(ctx, op, wide, "the large side", wide->n, wide->h, wide->w, wide->c));
    VDN_CHECK(need(ctx, op, narrow, "the small side", shape[0], shape[1], shape[2], shape[3]));
    return need_argmax(ctx, op, argmax, VDNI_U8, shape);
}

static vdn_status check_average(vdn_ctx *ctx, const vdni_op *op)
{
    const vdni_attr *a = &op->a;
    const vdni_tensor *x = op->in[0];
    if (a->kernel < 1 || a->kernel > 1024 || a->stride < 1 || a->pad < 0 || a->pad >= a->kernel)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "%s: kernel %d stride %d pad %d; needed kernel 1..1024, stride >= 1, "
                         "0 <= pad < kernel",
                         vdni_op_name(op->kind), a->kernel, a->stride, a->pad);
    VDN_CHECK(vdni_need(ctx, op,
                        a->mode == VDNI_POOL_SATURATE ||
                            (a->mode == VDNI_POOL_STEP && a->scale > 0.0f),
                        "mode is neither 0 nor 1 with a gain"));
    VDN_CHECK(vdni_need_float(ctx, op, x, "x"));
    return need(ctx, op, op->out[0], "y", x->n, vdni_pool_extent(x->h, a),
                vdni_pool_extent(x->w, a), x->c);
}

static vdn_status check_global(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *wide,
                               const vdni_tensor *narrow)
{
    VDN_CHECK(vdni_need_float(ctx, op, wide, "the large side"));
    VDN_CHECK(vdni_need_type(ctx, op, narrow, "the small side", VDNI_F32));
    return need(ctx, op, narrow, "the small side", wide->n, 1, 1, wide->c);
}

static vdn_status check_channel(vdn_ctx *ctx, const vdni_op *op, const vdni_tensor *wide,
                                const vdni_tensor *narrow, const vdni_tensor *argmax)
{
    const int64_t shape[4] = { wide->n, wide->h, wide->w, 1 };
    VDN_CHECK(vdni_need(ctx, op, wide->c <= 65536, "more than 65536 channels"));
    VDN_CHECK(vdni_need_float(ctx, op, wide, "the large side"));
    VDN_CHECK(need(ctx, op, narrow, "the small side", wide->n, wide->h, wide->w, 2));
    return need_argmax(ctx, op, argmax, VDNI_U16, shape);
}

vdn_status vdni_pool_check(vdn_ctx *ctx, const vdni_op *op)
{
    vdni_tensor *const *in = op->in, *const *out = op->out;
    const vdni_tensor *addend = NULL;

    switch (op->kind) {
    case VDNI_OP_MAX_POOL:
        return check_max(ctx, op, in[0], out[0], out[1]);
    case VDNI_OP_AVERAGE_POOL:
        return check_average(ctx, op);
    case VDNI_OP_GLOBAL_POOL:
        return check_global(ctx, op, in[0], out[0]);
    case VDNI_OP_CHANNEL_STATS:
        return check_channel(ctx, op, in[0], out[0], out[1]);
    case VDNI_OP_MAX_POOL_BACKWARD:
        VDN_CHECK(check_max(ctx, op, out[0], in[0], in[1]));
        addend = in[2];
        break;
    case VDNI_OP_GLOBAL_POOL_BACKWARD:
        VDN_CHECK(check_global(ctx, op, out[0], in[0]));
        addend = in[1];
        break;
    default:
        VDN_CHECK(check_channel(ctx, op, out[0], in[0], in[1]));
        addend = in[2];
        break;
    }
    return need(ctx, op, addend, "addend", out[0]->n, out[0]->h, out[0]->w, out[0]->c);
}
