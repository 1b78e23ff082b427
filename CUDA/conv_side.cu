/* The small passes beside a library's convolution: rounding weights, adding rounded gradients,
 * filling an output with what is added to it. */
#include "CUDA/conv.cuh"
#include "CUDA/conv.h"

namespace {

struct values {
    vdni_conv_side to, from; /* flat: only data and dtype are read */
    int64_t count;
};

/* Up to two conversions, one for each blockIdx.y. */
struct conversions {
    values item[2];
};

/* COUNT adjacent values a thread; every count is a multiple of it. */
template <int COUNT> __global__ void convert(conversions all)
{
    const values v = all.item[blockIdx.y];
    for (VDNI_GRID_STRIDE(i, v.count / COUNT)) {
        float x[COUNT] = {};
        if (v.from.data) vdni_load<COUNT>(x, v.from, i * COUNT);
        vdni_store<COUNT>(v.to, i * COUNT, x);
    }
}

template <int COUNT> __global__ void accumulate(values v)
{
    for (VDNI_GRID_STRIDE(i, v.count / COUNT)) {
        float x[COUNT], sum[COUNT];
        vdni_load<COUNT>(x, v.from, i * COUNT);
        vdni_load<COUNT>(sum, v.to, i * COUNT);
#pragma unroll
        for (int j = 0; j < COUNT; j++) sum[j] += x[j];
        vdni_store<COUNT>(v.to, i * COUNT, sum);
    }
}

template <int COUNT> __global__ void prime(values v, const float *bias, int32_t channels)
{
    for (VDNI_GRID_STRIDE(i, v.count / COUNT)) {
        const int32_t channel = (int32_t)(i * COUNT % channels);
        float x[COUNT] = {};
        if (v.from.data) vdni_load<COUNT>(x, v.from, i * COUNT);
#pragma unroll
        for (int j = 0; j < COUNT; j++)
            if (bias) x[j] += bias[channel + j];
        vdni_store<COUNT>(v.to, i * COUNT, x);
    }
}

bool in_quads(const vdni_conv_side &side)
{
    return (uintptr_t)side.data % (uintptr_t)(4 * vdni_dtype_bytes(side.dtype)) == 0;
}

values values_of(void *to, vdni_dtype to_type, const void *from, vdni_dtype from_type,
                 int64_t count)
{
    values v = {};
    v.to.data = to;
    v.to.dtype = to_type;
    v.from.data = const_cast<void *>(from);
    v.from.dtype = from_type;
    v.count = count;
    return v;
}

bool quads(const values &v, int64_t extent)
{
    return extent % 4 == 0 && in_quads(v.to) && in_quads(v.from);
}

} // namespace

vdn_status vdni_cuda_convert(vdn_ctx *ctx, vdni_device *device, const vdni_cuda_conversion *items,
                             int32_t item_count)
{
    conversions all = {};
    int64_t most = 0;
    bool wide = true;
    for (int32_t i = 0; i < item_count; i++) {
        const vdni_cuda_conversion &c = items[i];
        all.item[i] = values_of(c.to, c.to_type, c.from, c.from_type, c.count);
        wide = wide && quads(all.item[i], c.count);
        if (c.count > most) most = c.count;
    }
    if (item_count == 0) return VDN_OK;
    dim3 grid = vdni_blocks_for(device, wide ? most / 4 : most);
    grid.y = (unsigned)item_count;
    return vdni_launch(ctx, device, wide ? convert<4> : convert<1>, grid, dim3(VDNI_CUDA_BLOCK),
                       all);
}

vdn_status vdni_cuda_accumulate(vdn_ctx *ctx, vdni_device *device, float *to, const void *from,
                                vdni_dtype from_type, int64_t count)
{
    const values v = values_of(to, VDNI_F32, from, from_type, count);
    const bool wide = quads(v, count);
    return vdni_launch(ctx, device, wide ? accumulate<4> : accumulate<1>,
                       vdni_blocks_for(device, wide ? count / 4 : count), dim3(VDNI_CUDA_BLOCK), v);
}

vdn_status vdni_cuda_conv_prime(vdn_ctx *ctx, vdni_device *device, const vdni_tensor *y,
                                const vdni_tensor *addend, const vdni_tensor *bias)
{
    const int64_t count = vdni_tensor_count(y);
    const values v = values_of(y->data, y->dtype, addend ? addend->data : nullptr,
                               addend ? addend->dtype : VDNI_F32, count);
    const bool wide = quads(v, y->c);
    return vdni_launch(ctx, device, wide ? prime<4> : prime<1>,
                       vdni_blocks_for(device, wide ? count / 4 : count), dim3(VDNI_CUDA_BLOCK), v,
                       vdni_data<const float>(bias), (int32_t)y->c);
}
