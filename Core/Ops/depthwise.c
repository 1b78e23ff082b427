#include "Ops/depthwise.h"

vdn_status vdni_depthwise_check(vdn_ctx *ctx, const vdni_op *op)
{
    vdni_conv_roles r = vdni_conv_get_roles(op);
    const vdni_tensor *x = r.wide;
    const int64_t k = op->a.kernel, c = x->c;

    if (op->a.stride != 1)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s: stride %d, needed 1", vdni_op_name(op->kind),
                         op->a.stride);
    VDN_CHECK(vdni_window_check(ctx, op, &r));
    VDN_CHECK(vdni_need_float(ctx, op, r.wide, "the input side"));
    VDN_CHECK(vdni_need_float(ctx, op, r.narrow, "the output side"));
    VDN_CHECK(vdni_need_shape(ctx, op, r.narrow, "the output side",
                              (const int64_t[4]){ x->n, r.narrow->h, r.narrow->w, c }));
    VDN_CHECK(vdni_need_type(ctx, op, r.w, "the weight", VDNI_F32));
    VDN_CHECK(vdni_need_shape(ctx, op, r.w, "the weight", (const int64_t[4]){ 1, k, k, c }));
    if (r.b) {
        VDN_CHECK(vdni_need_type(ctx, op, r.b, "the bias", VDNI_F32));
        VDN_CHECK(vdni_need_shape(ctx, op, r.b, "the bias", (const int64_t[4]){ 1, 1, 1, c }));
    }
    if (r.add) {
        VDN_CHECK(vdni_need_float(ctx, op, r.add, "the added tensor"));
        VDN_CHECK(vdni_need_shape(ctx, op, r.add, "the added tensor",
                                  (const int64_t[4]){ x->n, x->h, x->w, c }));
    }
    return VDN_OK;
}
