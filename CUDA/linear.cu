/* CUDA twin of the linear layer; the contract is Core/Ops/linear.h. A few images, so every weight is
 * read once for IMAGES of them; every value is summed in one fixed order. */
extern "C" {
#include "Ops/linear.h"
}

#include "CUDA/lanes.cuh"
#include "CUDA/libraries.h"

namespace
{

enum { IMAGES = 4, WARPS = VDNI_CUDA_BLOCK / VDNI_CUDA_WARP };

struct layer {
    int32_t n, ci, co;
    const float *x, *w, *b, *g, *add;
    float *y, *dx, *dw, *db;
};

/* Block (WARPS outputs, IMAGES images): a warp takes one output. V: inputs a lane reads at a time. */
template <int V> __global__ void __launch_bounds__(VDNI_CUDA_BLOCK) forward_kernel(layer k)
{
    const int lane = (int)threadIdx.x % VDNI_CUDA_WARP;
    const int o = (int)blockIdx.x * WARPS + (int)threadIdx.x / VDNI_CUDA_WARP;
    const int first = (int)blockIdx.y * IMAGES;
    float sum[IMAGES] = {};

    if (o >= k.co) return; /* the whole warp */
    for (int i = lane * V; i < k.ci; i += VDNI_CUDA_WARP * V) {
        float w[V];
        vdni_load_row<V>(w, k.w, (int64_t)o * k.ci + i);
#pragma unroll
        for (int m = 0; m < IMAGES; m++) {
            float x[V];
            if (first + m >= k.n) break;
            vdni_load_row<V>(x, k.x, (int64_t)(first + m) * k.ci + i);
#pragma unroll
            for (int l = 0; l < V; l++) sum[m] += x[l] * w[l];
        }
    }
#pragma unroll
    for (int m = 0; m < IMAGES; m++) {
        const float total = vdni_warp_sum(sum[m]);
        if (lane == 0 && first + m < k.n)
            k.y[(int64_t)(first + m) * k.co + o] = (k.b ? k.b[o] : 0.0f) + total;
    }
}

/* Block (a warp of inputs, IMAGES images): warp j sums over the outputs j, j + WARPS, .. */
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) input_kernel(layer k)
{
    __shared__ float sums[WARPS][IMAGES][VDNI_CUDA_WARP];
    const int lane = (int)threadIdx.x % VDNI_CUDA_WARP, warp = (int)threadIdx.x / VDNI_CUDA_WARP;
    const int i = (int)blockIdx.x * VDNI_CUDA_WARP + lane, first = (int)blockIdx.y * IMAGES;
    float sum[IMAGES] = {};

    if (i < k.ci)
        for (int o = warp; o < k.co; o += WARPS) {
            const float w = k.w[(int64_t)o * k.ci + i];
#pragma unroll
            for (int m = 0; m < IMAGES; m++)
                if (first + m < k.n) sum[m] += k.g[(int64_t)(first + m) * k.co + o] * w;
        }
#pragma unroll
    for (int m = 0; m < IMAGES; m++) sums[warp][m][lane] = sum[m];
    __syncthreads();
    if (warp >= IMAGES || first + warp >= k.n || i >= k.ci) return;
    const int64_t at = (int64_t)(first + warp) * k.ci + i; /* warp: now an image */
    float total = 0;
    for (int j = 0; j < WARPS; j++) total += sums[j][warp][lane];
    k.dx[at] = (k.add ? k.add[at] : 0.0f) + total;
}

__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) weights_kernel(layer k)
{
    for (VDNI_GRID_STRIDE(at, (int64_t)k.co * k.ci)) {
        const int o = (int)(at / k.ci), i = (int)(at % k.ci);
        float sum = 0, bias = 0;
        for (int64_t n = 0; n < k.n; n++) {
            const float g = k.g[n * k.co + o];
            sum += g * k.x[n * k.ci + i];
            bias += g;
        }
        k.dw[at] += sum;
        if (i == 0 && k.db) k.db[o] += bias;
    }
}

unsigned blocks_of(int64_t items, int64_t each) { return (unsigned)((items + each - 1) / each); }

vdn_status forward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    layer k = {};
    if (op->prepared) return vdni_cuda_library_run(ctx, device, op, workspace);
    k.n = (int32_t)op->in[0]->n;
    k.ci = (int32_t)op->in[0]->c;
    k.co = (int32_t)op->in[1]->n;
    k.x = vdni_data<float>(op->in[0]);
    k.w = vdni_data<float>(op->in[1]);
    k.b = vdni_data<float>(op->in[2]);
    k.y = vdni_data<float>(op->out[0]);
    const dim3 grid(blocks_of(k.co, WARPS), blocks_of(k.n, IMAGES));
    const bool is_wide = k.ci % 4 == 0 && vdni_is_aligned(op->in[0]) && vdni_is_aligned(op->in[1]);
    return vdni_launch(ctx, device, is_wide ? forward_kernel<4> : forward_kernel<1>, grid,
                       VDNI_CUDA_BLOCK, k);
}

vdn_status backward_input(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    layer k = {};
    if (op->prepared) return vdni_cuda_library_run(ctx, device, op, workspace);
    k.n = (int32_t)op->in[0]->n;
    k.ci = (int32_t)op->in[1]->c;
    k.co = (int32_t)op->in[1]->n;
    k.g = vdni_data<float>(op->in[0]);
    k.w = vdni_data<float>(op->in[1]);
    k.add = vdni_data<float>(op->in[2]);
    k.dx = vdni_data<float>(op->out[0]);
    return vdni_launch(ctx, device, input_kernel,
                       dim3(blocks_of(k.ci, VDNI_CUDA_WARP), blocks_of(k.n, IMAGES)),
                       VDNI_CUDA_BLOCK, k);
}

vdn_status backward_weights(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    layer k = {};
    if (op->prepared) return vdni_cuda_library_run(ctx, device, op, workspace);
    k.n = (int32_t)op->in[0]->n;
    k.ci = (int32_t)op->in[0]->c;
    k.co = (int32_t)op->in[1]->c;
    k.x = vdni_data<float>(op->in[0]);
    k.g = vdni_data<float>(op->in[1]);
    k.dw = vdni_data<float>(op->out[0]);
    k.db = vdni_data<float>(op->out[1]);
    return vdni_launch(ctx, device, weights_kernel, vdni_blocks_for(device, (int64_t)k.co * k.ci),
                       VDNI_CUDA_BLOCK, k);
}

} // namespace

const vdni_cuda_entry vdni_cuda_linear[3] = {
    { forward, nullptr, vdni_cuda_library_prepare, vdni_cuda_library_unprepare },
    { backward_input, nullptr, vdni_cuda_library_prepare, vdni_cuda_library_unprepare },
    { backward_weights, nullptr, vdni_cuda_library_prepare, vdni_cuda_library_unprepare },
};
