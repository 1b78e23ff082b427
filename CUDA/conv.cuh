/* What the convolution kernels share: the pass as a product of matrices, and where its elements
 * lie.
 *
 * CONV and CONV_DX gather: out (pixels, columns) = source (pixels, depth) x weights (depth,
 * columns) with depth = (tap, source channel). CONV_DW reduces the same gathered matrix over the
 * pixels. The source of output row r at kernel row t is row (r * up + t * step - shift) / down when
 * that is whole and inside, 0 otherwise; columns likewise:
 *
 *     CONV, CONV_DW  up = stride  step = dilation   shift = pad    down = 1
 *     CONV_DX        up = 1       step = -dilation  shift = -pad   down = stride */
#ifndef VDNI_CUDA_CONV_CUH
#define VDNI_CUDA_CONV_CUH

#include "CUDA/launch.cuh"
#include "CUDA/scalar.cuh"

extern "C" {
#include "Ops/conv.h"
}

#include <string.h>
#include <type_traits>

/* Division of 0 .. 2^22 by a divisor below 2^18 as one multiplication. */
struct vdni_divider {
    uint64_t factor;
    int32_t divisor;
};

enum { VDNI_CONV_MOST_DEPTH = 1 << 22 };

static inline vdni_divider vdni_divider_of(int32_t divisor)
{
    return { ((uint64_t)1 << 40) / (uint64_t)divisor + 1, divisor };
}

__device__ static inline int32_t vdni_divide(const vdni_divider &d, int32_t x)
{
    return (int32_t)(((uint64_t)x * d.factor) >> 40);
}

struct vdni_conv_side {
    void *data;
    vdni_dtype dtype;
    int32_t h, w, c;
};

struct vdni_conv_pass {
    vdni_conv_side src, dst; /* CONV_DW: x and g */
    const float *weight;
    const float *bias;
    vdni_conv_side add; /* data NULL: nothing is added */
    int32_t images, kernel, up, step, shift, down;
    int32_t piece;        /* channels of the source that one load takes: 8, 4 or 1 */
    int32_t dst_piece;    /* the same of dst and what is added to it: 8, 4 or 1 */
    int32_t transposed;   /* CONV_DX: the weight is read with its channels exchanged */
    int32_t weight_quads; /* four adjacent weights along the depth lie on their boundary */
    vdni_divider by_channels;
};

/* With stride 2 each of the four parities of (row, column) of dx meets its own subset of the taps:
 * they are computed as four passes of their own, without the products that are always 0. */
struct vdni_conv_phase {
    int32_t row, column;                /* first of this parity */
    int32_t rows, columns;              /* how many */
    int32_t first_h, first_w, tap_step; /* the taps: first_h + i * tap_step */
    int32_t taps_h, taps_w;
    int32_t pixels, depth;
    vdni_divider by_taps_w;
};

/* Of one pass, at most four. */
struct vdni_conv_phases {
    vdni_conv_phase item[4];
};

/* The first tap that output row (or column) @p offset meets, and how many it does. */
static inline int32_t vdni_conv_first_tap(const vdni_conv_pass &p, int32_t offset, int32_t *count)
{
    *count = p.kernel;
    if (p.down == 1) return 0;
    const bool alternate = p.step % 2 != 0;
    for (int32_t first = 0; first < 2; first++) {
        if ((offset - p.shift + first * p.step) % 2 != 0) continue;
        *count = !alternate ? p.kernel : p.kernel > first ? (p.kernel - first + 1) / 2 : 0;
        return first;
    }
    *count = 0;
    return 0;
}

/* Returns how many there are. */
static inline int32_t vdni_conv_phases_of(const vdni_conv_pass &p, vdni_conv_phases *out)
{
    int32_t count = 0;
    for (int32_t row = 0; row < p.down; row++)
        for (int32_t column = 0; column < p.down; column++) {
            vdni_conv_phase f = {};
            f.row = row;
            f.column = column;
            f.rows = (p.dst.h - row + p.down - 1) / p.down;
            f.columns = (p.dst.w - column + p.down - 1) / p.down;
            f.first_h = vdni_conv_first_tap(p, row, &f.taps_h);
            f.first_w = vdni_conv_first_tap(p, column, &f.taps_w);
            f.tap_step = p.down == 2 && p.step % 2 != 0 ? 2 : 1;
            f.pixels = p.images * f.rows * f.columns;
            f.depth = f.taps_h * f.taps_w * p.src.c;
            f.by_taps_w = vdni_divider_of(f.taps_w > 0 ? f.taps_w : 1);
            out->item[count++] = f;
        }
    return count;
}

/* An output pixel as the gather sees it: row and column are the source's before the tap is added.
 * Without a pixel row is far outside and at, its flat number in dst, is -1. */
struct vdni_conv_pixel {
    int32_t image, row, column, at;
};

__device__ static inline vdni_conv_pixel vdni_conv_no_pixel()
{
    return { 0, INT32_MIN / 2, 0, -1 };
}

__device__ static inline vdni_conv_pixel vdni_conv_pixel_of(const vdni_conv_pass &p,
                                                            const vdni_conv_phase &f, int64_t i)
{
    if (i >= f.pixels) return vdni_conv_no_pixel();
    const int32_t line = (int32_t)i / f.columns;
    const int32_t column = ((int32_t)i - line * f.columns) * p.down + f.column;
    const int32_t image = line / f.rows, row = (line - image * f.rows) * p.down + f.row;
    return { image, row * p.up - p.shift, column * p.up - p.shift,
             (image * p.dst.h + row) * p.dst.w + column };
}

/* A position along the depth. */
struct vdni_conv_tap {
    int32_t number; /* kernel row * kernel + kernel column */
    int32_t row, column, channel;
};

__device__ static inline vdni_conv_tap vdni_conv_tap_of(const vdni_conv_pass &p,
                                                        const vdni_conv_phase &f, int32_t k)
{
    const int32_t tap = vdni_divide(p.by_channels, k), i = vdni_divide(f.by_taps_w, tap);
    const int32_t h = f.first_h + i * f.tap_step;
    const int32_t w = f.first_w + (tap - i * f.taps_w) * f.tap_step;
    return { h * p.kernel + w, h * p.step, w * p.step, k - tap * p.src.c };
}

/* Element of the source under a tap, or -1 outside. */
__device__ static inline int64_t
vdni_conv_source(const vdni_conv_pass &p, const vdni_conv_pixel &pixel, const vdni_conv_tap &tap)
{
    const int32_t row = pixel.row + tap.row, column = pixel.column + tap.column;
    if (row < 0 || column < 0) return -1;
    const int32_t h = row >> (p.down - 1), w = column >> (p.down - 1);
    if (h >= p.src.h || w >= p.src.w) return -1;
    return (((int64_t)pixel.image * p.src.h + h) * p.src.w + w) * p.src.c + tap.channel;
}

/* ---- loads and stores of a type known at run time ---- */

template <int BYTES> struct alignas(BYTES) vdni_words {
    typename std::conditional<BYTES % 4 == 0, uint32_t, uint16_t>::type
        word[BYTES % 4 == 0 ? BYTES / 4 : BYTES / 2];
};

/* COUNT adjacent values in one access; the address is aligned to their size. */
template <int COUNT, class T>
__device__ static inline void vdni_load_piece(float *to, const T *from)
{
    const auto words = *reinterpret_cast<const vdni_words<COUNT *(int)sizeof(T)> *>(from);
    T values[COUNT];
    memcpy(values, &words, sizeof values);
#pragma unroll
    for (int i = 0; i < COUNT; i++) to[i] = vdni_read(&values[i]);
}

template <int COUNT, class T>
__device__ static inline void vdni_store_piece(T *to, const float *from)
{
    vdni_words<COUNT *(int)sizeof(T)> words;
    T values[COUNT];
#pragma unroll
    for (int i = 0; i < COUNT; i++) vdni_write(&values[i], from[i]);
    memcpy(&words, values, sizeof values);
    *reinterpret_cast<vdni_words<COUNT *(int)sizeof(T)> *>(to) = words;
}

template <int COUNT>
__device__ static inline void vdni_load(float *to, const vdni_conv_side &side, int64_t at)
{
    if (side.dtype == VDNI_F32)
        vdni_load_piece<COUNT>(to, static_cast<const float *>(side.data) + at);
    else if (side.dtype == VDNI_BF16)
        vdni_load_piece<COUNT>(to, static_cast<const __nv_bfloat16 *>(side.data) + at);
    else
        vdni_load_piece<COUNT>(to, static_cast<const __half *>(side.data) + at);
}

template <int COUNT>
__device__ static inline void vdni_store(const vdni_conv_side &side, int64_t at, const float *from)
{
    if (side.dtype == VDNI_F32)
        vdni_store_piece<COUNT>(static_cast<float *>(side.data) + at, from);
    else if (side.dtype == VDNI_BF16)
        vdni_store_piece<COUNT>(static_cast<__nv_bfloat16 *>(side.data) + at, from);
    else
        vdni_store_piece<COUNT>(static_cast<__half *>(side.data) + at, from);
}

/* Whether the tensor cores being compiled for multiply T: Turing knows f16 only. */
template <class T> struct vdni_has_product {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
    static constexpr bool value = std::is_same<T, __half>::value;
#else
    static constexpr bool value = true;
#endif
};

/* ---- the gathered matrix ---- */

/* Four adjacent positions of the depth, from k on, of one pixel. */
__device__ static inline void vdni_conv_gather(float *to, const vdni_conv_pass &p,
                                               const vdni_conv_phase &f,
                                               const vdni_conv_pixel &pixel, int32_t k)
{
    to[0] = to[1] = to[2] = to[3] = 0;
    if (p.piece >= 4) {
        if (k >= f.depth) return;
        const int64_t at = vdni_conv_source(p, pixel, vdni_conv_tap_of(p, f, k));
        if (at >= 0) vdni_load<4>(to, p.src, at);
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (k + i >= f.depth) return;
        const int64_t at = vdni_conv_source(p, pixel, vdni_conv_tap_of(p, f, k + i));
        if (at >= 0) vdni_load<1>(to + i, p.src, at);
    }
}

/* What the tensor cores' kernels move at once: eight 16-bit values. */
enum { VDNI_CONV_UNIT = 8 };
typedef vdni_words<VDNI_CONV_UNIT * 2> vdni_unit;

/* PIECE adjacent channels of one pixel, or zeros. */
template <int PIECE, class T>
__device__ static inline void vdni_conv_gather_piece(T *to, const vdni_conv_pass &p,
                                                     const vdni_conv_phase &f,
                                                     const vdni_conv_pixel &pixel, int32_t k)
{
    typedef vdni_words<PIECE * 2> words;
    words value = {};
    if (k < f.depth) {
        const int64_t at = vdni_conv_source(p, pixel, vdni_conv_tap_of(p, f, k));
        if (at >= 0)
            value = *reinterpret_cast<const words *>(static_cast<const T *>(p.src.data) + at);
    }
    memcpy(to, &value, sizeof value);
}

/* Eight adjacent positions of the depth, from k on, of one pixel. */
template <class T>
__device__ static inline vdni_unit vdni_conv_gather_unit(const vdni_conv_pass &p,
                                                         const vdni_conv_phase &f,
                                                         const vdni_conv_pixel &pixel, int32_t k)
{
    vdni_unit words;
    T values[VDNI_CONV_UNIT];
    if (p.piece == 8) {
        vdni_conv_gather_piece<8>(values, p, f, pixel, k);
    } else if (p.piece == 4) {
        vdni_conv_gather_piece<4>(values, p, f, pixel, k);
        vdni_conv_gather_piece<4>(values + 4, p, f, pixel, k + 4);
    } else {
#pragma unroll
        for (int i = 0; i < VDNI_CONV_UNIT; i++)
            vdni_conv_gather_piece<1>(values + i, p, f, pixel, k + i);
    }
    memcpy(&words, values, sizeof words);
    return words;
}

/* ---- what both forms of the forward kernels do ---- */

/* COUNT (4 or 8) adjacent positions of the depth, from k on, of one weight column. */
template <int COUNT>
__device__ static inline void vdni_conv_weights(float *to, const vdni_conv_pass &p,
                                                const vdni_conv_phase &f, int32_t k, int32_t column)
{
    const bool inside = column < p.dst.c;
    if (p.weight_quads) {
        const float *from = p.weight + (int64_t)column * f.depth + k;
#pragma unroll
        for (int i = 0; i < COUNT; i += 4) {
            if (inside && k + i < f.depth)
                vdni_load_piece<4>(to + i, from + i);
            else
                to[i] = to[i + 1] = to[i + 2] = to[i + 3] = 0;
        }
        return;
    }
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        to[i] = 0;
        if (!inside || k + i >= f.depth) continue;
        if (!p.transposed) {
            to[i] = p.weight[(int64_t)column * f.depth + k + i];
            continue;
        }
        const vdni_conv_tap tap = vdni_conv_tap_of(p, f, k + i);
        const int64_t row = (int64_t)tap.channel * p.kernel * p.kernel + tap.number;
        to[i] = p.weight[row * p.dst.c + column];
    }
}

/* Four adjacent columns of one output pixel, sums to results. */
__device__ static inline void vdni_conv_finish(const vdni_conv_pass &p, int32_t pixel,
                                               int32_t column, const float *sums)
{
    const int64_t at = (int64_t)pixel * p.dst.c + column;
    if (p.dst_piece >= 4) {
        float value[4], add[4];
        if (column >= p.dst.c) return;
        if (p.add.data) vdni_load<4>(add, p.add, at);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            value[i] = sums[i];
            if (p.bias) value[i] += p.bias[column + i];
            if (p.add.data) value[i] += add[i];
        }
        vdni_store<4>(p.dst, at, value);
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float value = sums[i], add;
        if (column + i >= p.dst.c) return;
        if (p.bias) value += p.bias[column + i];
        if (p.add.data) {
            vdni_load<1>(&add, p.add, at + i);
            value += add;
        }
        vdni_store<1>(p.dst, at + i, &value);
    }
}

/* ---- host side ---- */

/* CONV and CONV_DX; for CONV_DW src is x, dst is g, nothing is added and the weight is dw. */
vdni_conv_pass vdni_conv_pass_of(const vdni_op *op);

/* Whether the tensor cores' kernels take this operator: the gathered sides share one 16-bit type
 * the device multiplies, and the caller did not ask for the plain kernels. They round the weight to
 * that type, as the libraries do. */
bool vdni_conv_is_tensor(const vdni_device *device, const vdni_op *op);

/* Enqueue CONV or CONV_DX on the tensor cores. */
vdn_status vdni_cuda_conv_tensor(vdn_ctx *ctx, vdni_device *device, const vdni_conv_pass *pass);

/* CONV_DW with the own kernels, and its workspace. */
vdn_status vdni_cuda_conv_weights(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                  void *workspace);
int64_t vdni_cuda_conv_weights_workspace(const vdni_device *device, const vdni_op *op);

#endif
