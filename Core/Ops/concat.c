#include "Ops/concat.h"

#include <stdio.h>

vdn_status vdni_concat_check(vdn_ctx *ctx, const vdni_op *op)
{
    const int is_concat = op->kind == VDNI_OP_CONCAT;
    vdni_tensor *const *parts = is_concat ? op->in : op->out;
    const vdni_tensor *whole = is_concat ? op->out[0] : op->in[0];
    int64_t channels = 0;

    VDN_CHECK(vdni_need_float(ctx, op, whole, is_concat ? "y" : "g"));
    for (int i = 0; i < 6; i++) {
        char name[16];
        if (!parts[i]) continue;
        (void)snprintf(name, sizeof name, "%s%d", is_concat ? "x" : "dx", i);
        VDN_CHECK(vdni_need_float(ctx, op, parts[i], name));
        VDN_CHECK(vdni_need_shape(ctx, op, parts[i], name,
                                  (const int64_t[4]){ whole->n, whole->h, whole->w, parts[i]->c }));
        channels += parts[i]->c;
    }
    if (channels == whole->c) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s: parts of %lld channels, the whole has %lld",
                     vdni_op_name(op->kind), (long long)channels, (long long)whole->c);
}
