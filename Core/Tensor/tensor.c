#include "Tensor/tensor.h"

#include <stdio.h>

int64_t vdni_dtype_bytes(vdni_dtype dtype)
{
    switch (dtype) {
    case VDNI_F32: return 4;
    case VDNI_BF16: return 2;
    case VDNI_U8: return 1;
    case VDNI_U16: return 2;
    case VDNI_I32: return 4;
    case VDNI_F16: return 2;
    }
    return 0;
}

const char *vdni_dtype_name(vdni_dtype dtype)
{
    switch (dtype) {
    case VDNI_F32: return "f32";
    case VDNI_BF16: return "bf16";
    case VDNI_U8: return "u8";
    case VDNI_U16: return "u16";
    case VDNI_I32: return "i32";
    case VDNI_F16: return "f16";
    }
    return "unknown type";
}

const char *vdni_tensor_print(const vdni_tensor *t, char *text, size_t text_bytes)
{
    (void)snprintf(text, text_bytes, "(%lld, %lld, %lld, %lld) %s", (long long)t->n,
                   (long long)t->h, (long long)t->w, (long long)t->c, vdni_dtype_name(t->dtype));
    return text;
}

vdn_status vdni_tensor_check(vdn_ctx *ctx, const vdni_tensor *t, const char *name)
{
    const int64_t extent[4] = { t->n, t->h, t->w, t->c };
    int64_t room = INT64_MAX / 8;

    for (int i = 0; i < 4; i++) {
        if (extent[i] < 1 || extent[i] > room) {
            char text[96];
            return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s has shape %s; extents must be 1 or more",
                             name, vdni_tensor_print(t, text, sizeof text));
        }
        room /= extent[i];
    }
    return VDN_OK;
}
