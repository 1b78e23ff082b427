/* Convolution with the own kernels: CONV and CONV_DX in single precision. The contract is
 * Core/Ops/conv.h; the tensor cores' form of the same products is conv_tensor.cu, the weight
 * gradient conv_weights.cu.
 *
 * Every product is an f32 multiply-add, whatever the storage types. A block makes a tile of 128
 * pixels by 64 channels, or of 256 by 4 for the heads, 16 positions of the depth at a time; while
 * one step is multiplied the next is on its way into registers. */
#include "CUDA/conv.cuh"
#include "CUDA/conv.h"
#include "CUDA/libraries.h"

namespace {

enum { K = 16, THREADS = 256, PAD = 4, QUADS_PER_PIXEL = K / 4 };

/* A tile of M pixels by N channels, of which a thread sums TM x TN. */
template <int PIXELS, int CHANNELS, int ROWS, int COLUMNS> struct shape {
    enum { M = PIXELS, N = CHANNELS, TM = ROWS, TN = COLUMNS };
    enum { A_QUADS = M * K / 4 / THREADS }; /* loads of one thread and step */
    enum { B_THREADS = N * K / 4 };         /* threads that load one quad of the weight */
    enum { THREADS_OF_ROW = N / TN };
    static_assert(M / TM * THREADS_OF_ROW == (int)THREADS && B_THREADS <= (int)THREADS, "");
};
typedef shape<128, 64, 8, 4> wide;
typedef shape<256, 4, 1, 4> narrow;

template <class S> struct tile {
    vdni_conv_pixel pixels[S::M];
    alignas(16) float a[2][K][S::M + PAD];
    alignas(16) float b[2][K][S::N + PAD];
};

/* One step on its way from memory to the tile. */
template <class S> struct step {
    float a[S::A_QUADS][4], b[4];
};

/* Adjacent threads read adjacent memory: along the depth, or along the columns of a transposed
 * weight. */
template <class S>
__device__ void weight_place(const vdni_conv_pass &p, int32_t *k, int32_t *column)
{
    const int32_t t = (int32_t)threadIdx.x;
    *k = (p.transposed ? t / S::N : t % (K / 4)) * 4;
    *column = p.transposed ? t % S::N : t / (K / 4);
}

template <class S>
__device__ void fetch(step<S> *s, const tile<S> &t, const vdni_conv_pass &p,
                      const vdni_conv_phase &f, int32_t first, int32_t k0)
{
    const int32_t thread = (int32_t)threadIdx.x;
    int32_t k, column;
#pragma unroll
    for (int i = 0; i < S::A_QUADS; i++) {
        const int32_t unit = thread + i * THREADS;
        vdni_conv_gather(s->a[i], p, f, t.pixels[unit / QUADS_PER_PIXEL],
                         k0 + unit % QUADS_PER_PIXEL * 4);
    }
    if (thread >= S::B_THREADS) return;
    weight_place<S>(p, &k, &column);
    vdni_conv_weights<4>(s->b, p, f, k0 + k, first + column);
}

template <class S>
__device__ void put(tile<S> *t, const step<S> &s, const vdni_conv_pass &p, int at)
{
    const int32_t thread = (int32_t)threadIdx.x;
    int32_t k, column;
#pragma unroll
    for (int i = 0; i < S::A_QUADS; i++) {
        const int32_t unit = thread + i * THREADS;
#pragma unroll
        for (int j = 0; j < 4; j++)
            t->a[at][unit % QUADS_PER_PIXEL * 4 + j][unit / QUADS_PER_PIXEL] = s.a[i][j];
    }
    if (thread >= S::B_THREADS) return;
    weight_place<S>(p, &k, &column);
#pragma unroll
    for (int j = 0; j < 4; j++) t->b[at][k + j][column] = s.b[j];
}

template <class S> __device__ void multiply(float (*sums)[S::TN], const tile<S> &t, int at)
{
    const int32_t row = (int32_t)threadIdx.x / S::THREADS_OF_ROW * S::TM;
    const int32_t column = (int32_t)threadIdx.x % S::THREADS_OF_ROW * S::TN;
#pragma unroll
    for (int k = 0; k < K; k++) {
        float a[S::TM], b[S::TN];
#pragma unroll
        for (int i = 0; i < S::TM; i++) a[i] = t.a[at][k][row + i];
#pragma unroll
        for (int j = 0; j < S::TN; j++) b[j] = t.b[at][k][column + j];
#pragma unroll
        for (int i = 0; i < S::TM; i++)
#pragma unroll
            for (int j = 0; j < S::TN; j++) sums[i][j] = fmaf(a[i], b[j], sums[i][j]);
    }
}

template <class S>
__global__ void __launch_bounds__(THREADS)
    conv_plain(vdni_conv_pass p, vdni_conv_phases phases, int32_t column_tiles)
{
    __shared__ tile<S> t;
    const vdni_conv_phase f = phases.item[blockIdx.z];
    const int32_t thread = (int32_t)threadIdx.x;
    const int64_t pixel = (int64_t)(blockIdx.x / (unsigned)column_tiles) * S::M;
    const int32_t first = (int32_t)(blockIdx.x % (unsigned)column_tiles) * S::N;
    float sums[S::TM][S::TN] = {};
    step<S> s;

    if (thread < S::M) t.pixels[thread] = vdni_conv_pixel_of(p, f, pixel + thread);
    __syncthreads();
    fetch<S>(&s, t, p, f, first, 0);
    put<S>(&t, s, p, 0);
    __syncthreads();
    for (int32_t k0 = 0, at = 0; k0 < f.depth; k0 += K, at ^= 1) {
        const bool more = k0 + K < f.depth;
        if (more) fetch<S>(&s, t, p, f, first, k0 + K);
        multiply<S>(sums, t, at);
        if (more) put<S>(&t, s, p, at ^ 1);
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < S::TM; i++) {
        const int32_t to = t.pixels[thread / S::THREADS_OF_ROW * S::TM + i].at;
        if (to >= 0) vdni_conv_finish(p, to, first + thread % S::THREADS_OF_ROW * S::TN, sums[i]);
    }
}

vdni_conv_side side_of(const vdni_tensor *t)
{
    if (!t) return {};
    return { t->data, t->dtype, (int32_t)t->h, (int32_t)t->w, (int32_t)t->c };
}

/* Channels one access may take: they divide c, and 16 bytes of them lie on their boundary. */
int32_t piece_of(const vdni_conv_side &side)
{
    const int64_t bytes = vdni_dtype_bytes(side.dtype);
    const auto address = (uintptr_t)side.data;
    if (bytes == 2 && side.c % 8 == 0 && address % 16 == 0) return 8;
    return side.c % 4 == 0 && address % (uintptr_t)(4 * bytes) == 0 ? 4 : 1;
}

/* Positions and pixels are counted in 32 bits; no tensor that fits a device comes near. */
vdn_status check_counts(vdn_ctx *ctx, const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const int64_t most = r.wide->c > r.narrow->c ? r.wide->c : r.narrow->c;
    const int64_t pixels = r.wide->n * r.wide->h * r.wide->w,
                  others = r.narrow->n * r.narrow->h * r.narrow->w;
    if (pixels < INT32_MAX && others < INT32_MAX && most < VDNI_CONV_MOST_DEPTH / 16 &&
        most * op->a.kernel * op->a.kernel < VDNI_CONV_MOST_DEPTH)
        return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_UNSUPPORTED,
                     "%s: %lld pixels of %lld channels, kernel %d: too large for this back end",
                     vdni_op_name(op->kind), (long long)pixels, (long long)most, (int)op->a.kernel);
}

template <class S>
vdn_status run_plain(vdn_ctx *ctx, vdni_device *device, const vdni_conv_pass &pass)
{
    vdni_conv_phases phases;
    const int32_t count = vdni_conv_phases_of(pass, &phases);
    const int32_t tiles = (pass.dst.c + S::N - 1) / S::N;
    const int64_t rows = (phases.item[0].pixels + (int64_t)S::M - 1) / S::M;
    return vdni_launch(ctx, device, conv_plain<S>,
                       dim3((unsigned)(rows * tiles), 1, (unsigned)count), dim3(THREADS), pass,
                       phases, tiles);
}

vdn_status run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    return op->prepared ? vdni_cuda_library_run(ctx, device, op, workspace)
                        : vdni_cuda_conv_own(ctx, device, op, workspace);
}

} // namespace

vdni_conv_pass vdni_conv_pass_of(const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const bool transposed = op->kind == VDNI_OP_CONV_DX;
    const vdni_attr &a = op->a;
    vdni_conv_pass p = {};

    p.src = side_of(transposed ? r.narrow : r.wide);
    p.dst = side_of(transposed ? r.wide : r.narrow);
    p.add = side_of(r.add);
    p.weight = vdni_data<const float>(r.w);
    p.bias = op->kind == VDNI_OP_CONV ? vdni_data<const float>(r.b) : nullptr;
    p.images = (int32_t)r.wide->n;
    p.kernel = a.kernel;
    p.up = transposed ? 1 : a.stride;
    p.step = transposed ? -a.dilation : a.dilation;
    p.shift = transposed ? -a.pad : a.pad;
    p.down = transposed ? a.stride : 1;
    p.transposed = transposed;
    p.weight_quads = !transposed && a.kernel * a.kernel * p.src.c % 4 == 0 &&
                     (uintptr_t)p.weight % (4 * sizeof(float)) == 0;
    p.piece = piece_of(p.src);
    p.dst_piece = piece_of(p.dst);
    if (p.add.data && piece_of(p.add) < p.dst_piece) p.dst_piece = piece_of(p.add);
    p.by_channels = vdni_divider_of(p.src.c);
    return p;
}

bool vdni_conv_is_tensor(const vdni_device *device, const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const vdni_dtype type = op->kind == VDNI_OP_CONV_DX ? r.narrow->dtype : r.wide->dtype;
    if (device->flags & VDNI_PREPARE_PLAIN) return false;
    if (op->kind == VDNI_OP_CONV_DW && r.narrow->dtype != type) return false;
    return type == VDNI_F16 || (type == VDNI_BF16 && device->capability >= 80);
}

vdn_status vdni_cuda_conv_own(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    VDN_CHECK(check_counts(ctx, op));
    if (op->kind == VDNI_OP_CONV_DW) return vdni_cuda_conv_weights(ctx, device, op, workspace);
    const vdni_conv_pass pass = vdni_conv_pass_of(op);
    if (vdni_conv_is_tensor(device, op)) return vdni_cuda_conv_tensor(ctx, device, &pass);
    return pass.dst.c <= narrow::N ? run_plain<narrow>(ctx, device, pass)
                                   : run_plain<wide>(ctx, device, pass);
}

int64_t vdni_cuda_conv_own_workspace(const vdni_device *device, const vdni_op *op)
{
    return op->kind == VDNI_OP_CONV_DW ? vdni_cuda_conv_weights_workspace(device, op) : 0;
}

#define ENTRY                                                                                     \
    {                                                                                             \
        run, vdni_cuda_conv_own_workspace, vdni_cuda_library_prepare, vdni_cuda_library_unprepare \
    }
const vdni_cuda_entry vdni_cuda_conv[3] = { ENTRY, ENTRY, ENTRY };
