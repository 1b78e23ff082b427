#include "Ops/conv.h"

#include <limits.h>

vdni_conv_roles vdni_conv_get_roles(const vdni_op *op)
{
    switch (op->kind) {
    case VDNI_OP_CONV:
    case VDNI_OP_DEPTHWISE:
        return (vdni_conv_roles){ op->in[0], op->out[0], op->in[1], op->in[2], op->in[3] };
    case VDNI_OP_CONV_DX:
    case VDNI_OP_DEPTHWISE_DX:
        return (vdni_conv_roles){ op->out[0], op->in[0], op->in[1], NULL, op->in[2] };
    default:
        return (vdni_conv_roles){ op->in[0], op->in[1], op->out[0], op->out[1], NULL };
    }
}

vdn_status vdni_window_check(vdn_ctx *ctx, const vdni_op *op, const vdni_conv_roles *roles)
{
    const vdni_attr *a = &op->a;
    const vdni_tensor *wide = roles->wide, *narrow = roles->narrow;

    if (a->kernel < 1 || a->kernel > VDNI_MAX_KERNEL || a->dilation < 1 || a->pad < 0 ||
        a->stride < 1 || a->stride > 2 || a->dilation > INT_MAX / 64 || a->pad > INT_MAX / 64)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "%s: kernel %d stride %d dilation %d pad %d; needed kernel 1..%d, "
                         "stride 1..2, dilation >= 1, pad >= 0",
                         vdni_op_name(op->kind), a->kernel, a->stride, a->dilation, a->pad,
                         VDNI_MAX_KERNEL);
    const int64_t h = vdni_window_extent(wide->h, a), w = vdni_window_extent(wide->w, a);
    if (h != narrow->h || w != narrow->w || wide->n != narrow->n)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "%s: an input of %lld x %lld x %lld gives %lld x %lld x %lld, but the "
                         "output side is %lld x %lld x %lld",
                         vdni_op_name(op->kind), (long long)wide->n, (long long)wide->h,
                         (long long)wide->w, (long long)wide->n, (long long)h, (long long)w,
                         (long long)narrow->n, (long long)narrow->h, (long long)narrow->w);
    return VDN_OK;
}

vdn_status vdni_conv_check(vdn_ctx *ctx, const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const vdni_tensor *like = op->kind == VDNI_OP_CONV ? r.narrow : r.wide;
    const int64_t k = op->a.kernel, co = r.narrow->c, ci = r.wide->c;

    VDN_CHECK(vdni_window_check(ctx, op, &r));
    VDN_CHECK(vdni_need_float(ctx, op, r.wide, "the input side"));
    VDN_CHECK(vdni_need_float(ctx, op, r.narrow, "the output side"));
    VDN_CHECK(vdni_need_type(ctx, op, r.w, "the weight", VDNI_F32));
    VDN_CHECK(vdni_need_shape(ctx, op, r.w, "the weight", (const int64_t[4]){ co, k, k, ci }));
    if (r.b) {
        VDN_CHECK(vdni_need_type(ctx, op, r.b, "the bias", VDNI_F32));
        VDN_CHECK(vdni_need_shape(ctx, op, r.b, "the bias", (const int64_t[4]){ 1, 1, 1, co }));
    }
    if (r.add) {
        VDN_CHECK(vdni_need_float(ctx, op, r.add, "the added tensor"));
        VDN_CHECK(vdni_need_shape(ctx, op, r.add, "the added tensor",
                                  (const int64_t[4]){ like->n, like->h, like->w, like->c }));
    }
    return VDN_OK;
}
