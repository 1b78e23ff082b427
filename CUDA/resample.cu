/* CUDA twin of the resampling operators; the contract is Ops/resample.h. */
#include "CUDA/elements.cuh"

namespace {

__device__ inline int64_t clamped(int64_t i, int64_t extent)
{
    return i < 0 ? 0 : i < extent ? i : extent - 1;
}

/* The small side has n images of h x w pixels, the large side of 2h x 2w. Bodies go over the small
 * side. */
struct extents {
    int64_t h, w, c;
    int64_t wide; /* channels of the large side: c, and those that are joined to it */

    __device__ int64_t small(const vdni_pixel &p, int64_t i, int64_t j, int64_t channel) const
    {
        return ((p.n * h + i) * w + j) * c + channel;
    }

    __device__ int64_t large(const vdni_pixel &p, int64_t i, int64_t j, int64_t channel) const
    {
        return ((p.n * 2 * h + i) * 2 * w + j) * wide + channel;
    }
};

struct nearest {
    vdni_view x, y;
    extents e;

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        const vdni_place place = vdni_place_of(at, e.c);
        const vdni_pixel p = vdni_pixel_of(place.pixel, e.h, e.w);
        float row[V];
        vdni_load<T, V>(row, x, at);
#pragma unroll
        for (int k = 0; k < 4; k++)
            vdni_store<T, V>(y, e.large(p, 2 * p.i + k / 2, 2 * p.j + k % 2, place.channel), row);
    }
};

struct nearest_backward {
    vdni_view g, addend, dx;
    extents e;

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        const vdni_place place = vdni_place_of(at, e.c);
        const vdni_pixel p = vdni_pixel_of(place.pixel, e.h, e.w);
        float part[4][V];
#pragma unroll
        for (int k = 0; k < 4; k++)
            vdni_load<T, V>(part[k], g,
                            e.large(p, 2 * p.i + k / 2, 2 * p.j + k % 2, place.channel));
#pragma unroll
        for (int k = 0; k < V; k++)
            part[0][k] = (part[0][k] + part[1][k]) + (part[2][k] + part[3][k]);
        vdni_add<T, V>(part[0], addend, at);
        vdni_store<T, V>(dx, at, part[0]);
    }
};

struct bilinear {
    vdni_view x, y;
    extents e;

    /* 3/4 of row i and 1/4 of row `far` at column j. */
    template <class T, int V>
    __device__ void column(float *to, const vdni_pixel &p, int64_t far, int64_t j,
                           int64_t channel) const
    {
        float other[V];
        vdni_load<T, V>(to, x, e.small(p, p.i, j, channel));
        vdni_load<T, V>(other, x, e.small(p, far, j, channel));
#pragma unroll
        for (int k = 0; k < V; k++) to[k] = 0.75f * to[k] + 0.25f * other[k];
    }

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        const vdni_place place = vdni_place_of(at, e.c);
        const vdni_pixel p = vdni_pixel_of(place.pixel, e.h, e.w);
#pragma unroll
        for (int side = 0; side < 2; side++) {
            const int64_t far = clamped(side ? p.i + 1 : p.i - 1, e.h);
            float left[V], middle[V], right[V];
            column<T, V>(left, p, far, clamped(p.j - 1, e.w), place.channel);
            column<T, V>(middle, p, far, p.j, place.channel);
            column<T, V>(right, p, far, clamped(p.j + 1, e.w), place.channel);
#pragma unroll
            for (int k = 0; k < V; k++) {
                left[k] = 0.75f * middle[k] + 0.25f * left[k];
                right[k] = 0.75f * middle[k] + 0.25f * right[k];
            }
            const int64_t to = e.large(p, 2 * p.i + side, 2 * p.j, place.channel);
            vdni_store<T, V>(y, to, left);
            vdni_store<T, V>(y, to + e.wide, right);
        }
    }
};

/* The channels of skip behind those of x. */
struct beside {
    vdni_view skip, y;
    int64_t c, first, wide;

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        const vdni_place place = vdni_place_of(at, c);
        float row[V];
        vdni_load<T, V>(row, skip, at);
        vdni_store<T, V>(y, place.pixel * wide + first + place.channel, row);
    }
};

struct bilinear_backward {
    vdni_view g, addend, dx;
    extents e;

    /* One row of the large side: 1/4, 3/4, 3/4, 1/4 of four neighbouring columns. */
    template <class T, int V>
    __device__ void add_row(float *sum, float weight, const vdni_pixel &p, int64_t i,
                            int64_t channel) const
    {
        float column[4][V];
#pragma unroll
        for (int k = 0; k < 4; k++)
            vdni_load<T, V>(column[k], g,
                            e.large(p, i, clamped(2 * p.j + k - 1, 2 * e.w), channel));
#pragma unroll
        for (int k = 0; k < V; k++)
            sum[k] += weight * (0.25f * (column[0][k] + column[3][k]) +
                                0.75f * (column[1][k] + column[2][k]));
    }

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        const vdni_place place = vdni_place_of(at, e.c);
        const vdni_pixel p = vdni_pixel_of(place.pixel, e.h, e.w);
        float sum[V] = {};
#pragma unroll
        for (int k = 0; k < 4; k++)
            add_row<T, V>(sum, k == 1 || k == 2 ? 0.75f : 0.25f, p,
                          clamped(2 * p.i + k - 1, 2 * e.h), place.channel);
        vdni_add<T, V>(sum, addend, at);
        vdni_store<T, V>(dx, at, sum);
    }
};

/* ---- pixels into channels and back ----------------------------------------------------------- */

/* The fine side has h x w pixels of c channels, the coarse side h/r x w/r of c r^2. Over the coarse
 * side, whose V elements are V / r^2 whole channels of the r^2 fine pixels, or over single
 * elements. */
struct shuffle {
    vdni_view fine, coarse;
    int64_t h, w, c, r;
    bool to_coarse;

    __device__ int64_t fine_at(int64_t at, int64_t *sub) const
    {
        const vdni_place place = vdni_place_of(at, c * r * r);
        const vdni_pixel p = vdni_pixel_of(place.pixel, h / r, w / r);
        const int64_t channel = vdni_quotient(place.channel, r * r);
        *sub = place.channel - channel * r * r;
        return ((p.n * h + p.i * r) * w + p.j * r) * c + channel;
    }

    __device__ int64_t step(int64_t sub) const
    {
        const int64_t a = vdni_quotient(sub, r);
        return (a * w + (sub - a * r)) * c;
    }

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        int64_t sub;
        const int64_t from = fine_at(at, &sub);
        if constexpr (V == 1) {
            const int64_t there = from + step(sub);
            float x;
            if (to_coarse) {
                vdni_load<T, 1>(&x, fine, there);
                vdni_store<T, 1>(coarse, at, &x);
            } else {
                vdni_load<T, 1>(&x, coarse, at);
                vdni_store<T, 1>(fine, there, &x);
            }
        } else {
            pairs<T, V>(at, from);
        }
    }

    /* r = 2: V / 4 channels of each of the four fine pixels. */
    template <class T, int V>
    __device__ void pairs(int64_t at, int64_t from) const
    {
        constexpr int CHANNELS = V / 4;
        float row[V], part[CHANNELS];
        if (!to_coarse) vdni_load<T, V>(row, coarse, at);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            const int64_t there = from + (k / 2 * w + k % 2) * c;
            if (to_coarse) vdni_load<T, CHANNELS>(part, fine, there);
#pragma unroll
            for (int i = 0; i < CHANNELS; i++) {
                if (to_coarse)
                    row[4 * i + k] = part[i];
                else
                    part[i] = row[4 * i + k];
            }
            if (!to_coarse) vdni_store<T, CHANNELS>(fine, there, part);
        }
        if (to_coarse) vdni_store<T, V>(coarse, at, row);
    }
};

/* ---- table ----------------------------------------------------------------------------------- */

vdn_status run_upsample(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *x = op->in[0], *skip = op->in[1], *y = op->out[0];
    const extents e = { x->h, x->w, x->c, y->c };
    const vdni_form form = vdni_form_of(x->c | y->c, VDNI_WIDE, { x, y });
    const int64_t count = vdni_tensor_count(x);
    const vdni_view from = vdni_view_of(x), to = vdni_view_of(y);
    if (op->a.mode == VDNI_UPSAMPLE_NEAREST)
        VDN_CHECK(vdni_each(ctx, device, form, nearest{ from, to, e }, count));
    else
        VDN_CHECK(vdni_each(ctx, device, form, bilinear{ from, to, e }, count));
    if (!skip) return VDN_OK;
    const beside body = { vdni_view_of(skip), to, skip->c, x->c, y->c };
    return vdni_each(ctx, device, vdni_form_of(x->c | skip->c, VDNI_WIDE, { skip, y }), body,
                     vdni_tensor_count(skip));
}

template <class Body>
vdn_status run_backward_as(vdn_ctx *ctx, vdni_device *device, const vdni_op *op)
{
    const vdni_tensor *g = op->in[0], *addend = op->in[1], *dx = op->out[0];
    const Body body = {
        vdni_view_of(g), vdni_view_of(addend), vdni_view_of(dx), { dx->h, dx->w, dx->c, dx->c }
    };
    return vdni_each(ctx, device, vdni_form_of(dx->c, VDNI_WIDE, { g, addend, dx }), body,
                     vdni_tensor_count(dx));
}

vdn_status run_upsample_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    return op->a.mode == VDNI_UPSAMPLE_NEAREST
               ? run_backward_as<nearest_backward>(ctx, device, op)
               : run_backward_as<bilinear_backward>(ctx, device, op);
}

vdn_status shuffle_between(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, bool to_coarse)
{
    const vdni_tensor *fine = op->in[0], *coarse = op->out[0];
    if (!to_coarse) {
        fine = op->out[0];
        coarse = op->in[0];
    }
    const shuffle body = {
        vdni_view_of(fine), vdni_view_of(coarse), fine->h, fine->w, fine->c, op->a.factor, to_coarse
    };
    const int64_t run = op->a.factor == 2 ? coarse->c : 1;
    return vdni_each(ctx, device, vdni_form_of(run, VDNI_WIDE, { fine, coarse }), body,
                     vdni_tensor_count(coarse));
}

vdn_status run_unshuffle(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    return shuffle_between(ctx, device, op, true);
}

vdn_status run_shuffle(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    return shuffle_between(ctx, device, op, false);
}

} // namespace

const vdni_cuda_entry vdni_cuda_resample[4] = {
    { run_upsample, nullptr, nullptr, nullptr },
    { run_upsample_backward, nullptr, nullptr, nullptr },
    { run_unshuffle, nullptr, nullptr, nullptr },
    { run_shuffle, nullptr, nullptr, nullptr },
};
