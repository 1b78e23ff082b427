/* Which convolutions cuDNN is asked for, and in what form. */
#include "CUDA/libraries/cudnn_plan.h"

namespace {

/* Below this many channels on either side the own kernels run: cuDNN pads such tensors in the
 * workspace (12.5 MB for a 3-channel stem or a 1-channel head at 320 x 320). */
enum { LEAST_CHANNELS = 8 };

/* A weight gradient of f16 sides would arrive in f16, whose 65504 a sum over an image can pass;
 * bf16 has the range of f32. */
bool is_suitable(const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    if (op->kind == VDNI_OP_CONV_DW && r.wide->dtype == VDNI_F16) return false;
    const int64_t few = r.wide->c < r.narrow->c ? r.wide->c : r.narrow->c;
    if (r.wide->dtype != r.narrow->dtype || few < LEAST_CHANNELS) return false;
    if (r.add && r.add->dtype != r.narrow->dtype) return false;
    return !vdni_cudnn_is_half(r.wide->dtype) || (r.wide->c % 8 == 0 && r.narrow->c % 8 == 0);
}

} // namespace

int vdni_cudnn_is_half(int32_t dtype) { return dtype == VDNI_BF16 || dtype == VDNI_F16; }

vdni_cudnn_rules vdni_cudnn_device_rules(cudnnHandle_t handle, const char *device_json)
{
    vdni_cudnn_rules rules = {};
    rules.handle = handle;
    rules.device_json = device_json;
    rules.deterministic = 1;
    rules.strict_f32 = 1;
    rules.workspace_cap = VDNI_CUDNN_WORKSPACE_CAP;
    return rules;
}

int vdni_cudnn_forms(const vdni_op *op, vdni_cudnn_conv out[VDNI_CUDNN_MOST_FORMS])
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    if (!is_suitable(op)) return 0;
    out[0] = out[1] = vdni_cudnn_conv_of(op);
    if (op->kind == VDNI_OP_CONV_DW) {
        out[0].accumulate = !vdni_cudnn_is_half(out[0].dtype);
        return 1;
    }
    if (!r.add && !r.b) return 1;
    out[1].accumulate = 1;
    if (op->kind == VDNI_OP_CONV_DX) {
        out[0] = out[1];
        return 1;
    }
    out[0].has_bias = 1;
    out[0].has_residual = r.add != nullptr;
    return vdni_cudnn_is_half(out[0].dtype) ? 1 : 2; /* else y would be rounded twice */
}
