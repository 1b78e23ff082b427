/* CUDA twin of the arithmetic operators; the contract is Ops/arithmetic.h. MODULATE is in
 * modulate.cu. */
#include "CUDA/channel_sums.cuh"
#include "CUDA/modulate.cuh"

namespace {

/* ---- ADD, PRODUCT ---------------------------------------------------------------------------- */

struct addition {
    vdni_view a, b, y; /* y may be a */

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        float row[V];
        vdni_load<T, V>(row, a, at);
        vdni_add<T, V>(row, b, at);
        vdni_store<T, V>(y, at, row);
    }
};

template <int V>
__device__ inline void multiply(float *y, const float *a)
{
#pragma unroll
    for (int k = 0; k < V; k++) y[k] *= a[k];
}

struct product {
    vdni_view v, n, u, y;
    const float *lambda;
    int64_t c;

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        float row[V], other[V];
        vdni_load<T, V>(row, v, at);
        vdni_load<T, V>(other, n, at);
        multiply<V>(row, other);
        if (lambda) {
            vdni_load_row<V>(other, lambda, vdni_place_of(at, c).channel);
            multiply<V>(row, other);
        }
        vdni_add<T, V>(row, u, at);
        vdni_store<T, V>(y, at, row);
    }
};

struct product_backward {
    enum { KINDS = 1 };
    vdni_view g, v, n, dv, dn;
    const float *lambda;
    float *dlambda;
    int64_t c;

    template <class T, int V>
    __device__ void gradients(float *gvn, int64_t at, int64_t channel) const
    {
        float gs[V], vs[V], ns[V];
        vdni_load<T, V>(gs, g, at);
        vdni_load<T, V>(vs, v, at);
        vdni_load<T, V>(ns, n, at);
#pragma unroll
        for (int k = 0; k < V; k++) gvn[k] += gs[k] * vs[k] * ns[k];
        if (lambda) {
            float row[V];
            vdni_load_row<V>(row, lambda, channel);
            multiply<V>(gs, row);
        }
        multiply<V>(ns, gs);
        multiply<V>(vs, gs);
        vdni_store<T, V>(dv, at, ns);
        vdni_store<T, V>(dn, at, vs);
    }

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        float unused[V] = {};
        gradients<T, V>(unused, at, lambda ? vdni_place_of(at, c).channel : 0);
    }

    template <class T, int V>
    __device__ void add(float (*sums)[V], int64_t, int64_t pixel, int64_t channel) const
    {
        gradients<T, V>(sums[0], pixel * c + channel, channel);
    }

    __device__ void finish(const double *total, int64_t, int64_t channel) const
    {
        dlambda[channel] += (float)total[0];
    }
};

vdn_status run_add(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *a = op->in[0], *b = op->in[1], *y = op->out[0];
    const int64_t count = vdni_tensor_count(y);
    const addition body = { vdni_view_of(a), vdni_view_of(b), vdni_view_of(y) };
    return vdni_each(ctx, device, vdni_form_of(count, VDNI_WIDE, { a, b, y }), body, count);
}

vdn_status run_product(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *v = op->in[0], *n = op->in[1], *lambda = op->in[2], *u = op->in[3];
    const vdni_tensor *y = op->out[0];
    const int64_t count = vdni_tensor_count(y);
    const vdni_form form =
        vdni_form_of(lambda ? y->c : count, VDNI_WIDE, { v, n, u, y }, { lambda });
    const product body = { vdni_view_of(v), vdni_view_of(n),          vdni_view_of(u),
                           vdni_view_of(y), vdni_data<float>(lambda), y->c };
    return vdni_each(ctx, device, form, body, count);
}

/* The batch counts as one image: dlambda is one vector. */
vdni_sums product_sums(const vdni_op *op, void *workspace)
{
    const vdni_tensor *v = op->in[1];
    return vdni_sums_of(1, v->n * v->h * v->w, v->c, workspace);
}

vdn_status run_product_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                void *workspace)
{
    const vdni_tensor *g = op->in[0], *v = op->in[1], *n = op->in[2], *lambda = op->in[3];
    const vdni_tensor *dv = op->out[0], *dn = op->out[1], *dlambda = op->out[2];
    const int width = dlambda ? (int)VDNI_SUM_WIDE : (int)VDNI_WIDE;
    const vdni_form form =
        vdni_form_of(lambda ? v->c : vdni_tensor_count(v), width, { g, v, n, dv, dn }, { lambda });
    const product_backward body = { vdni_view_of(g),           vdni_view_of(v),
                                    vdni_view_of(n),           vdni_view_of(dv),
                                    vdni_view_of(dn),          vdni_data<float>(lambda),
                                    vdni_data<float>(dlambda), v->c };
    if (!dlambda) return vdni_each(ctx, device, form, body, vdni_tensor_count(v));
    return vdni_sum_channels(ctx, device, form, body, product_sums(op, workspace));
}

int64_t product_backward_bytes(const vdni_device *, const vdni_op *op)
{
    return op->out[2] ? vdni_sums_bytes(product_sums(op, nullptr), product_backward::KINDS) : 0;
}

/* ---- GATE, MIX: maps per pixel --------------------------------------------------------------- */

/* y = first a + second b, (first, second) = (t0, t1) of a gate, (m, 1 - m) of a mixture. */
struct blend {
    vdni_view a, b, map, y;
    int64_t c, maps; /* maps per pixel; 0 = a mixture of one */

    __device__ void weights(float w[2], int64_t pixel) const
    {
        w[0] = vdni_value(map, maps == 2 ? 2 * pixel : pixel);
        w[1] = maps == 2 ? vdni_value(map, 2 * pixel + 1) : maps == 1 ? w[0] : 1.0f - w[0];
    }

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        float row[V], other[V], w[2];
        vdni_load<T, V>(row, a, at);
        vdni_load<T, V>(other, b, at);
        weights(w, vdni_quotient(at, c));
#pragma unroll
        for (int k = 0; k < V; k++) row[k] = w[0] * row[k] + w[1] * other[k];
        vdni_store<T, V>(y, at, row);
    }
};

struct mix_backward {
    vdni_view g, m, da, db;
    int64_t c;

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        float row[V], rest[V];
        vdni_load<T, V>(row, g, at);
        const float weight = vdni_value(m, vdni_quotient(at, c));
#pragma unroll
        for (int k = 0; k < V; k++) {
            rest[k] = (1.0f - weight) * row[k];
            row[k] *= weight;
        }
        vdni_store<T, V>(da, at, row);
        vdni_store<T, V>(db, at, rest);
    }
};

struct gate_gradient {
    vdni_view g, a, b, t, da, db, dt;
    int64_t pixels, c, maps;
    int32_t team; /* threads to a pixel */
};

/* One branch at one place: the gradient is written, the map's part returned. */
template <class T, int V>
__device__ inline float gate_branch(const float *g, const vdni_view &a, const vdni_view &da,
                                    float map, int64_t at)
{
    float x[V], sum = 0.0f;
    vdni_load<T, V>(x, a, at);
#pragma unroll
    for (int k = 0; k < V; k++) {
        sum += g[k] * x[k];
        x[k] = map * g[k];
    }
    vdni_store<T, V>(da, at, x);
    return sum;
}

template <class T, int V>
__global__ void __launch_bounds__(VDNI_CUDA_BLOCK) gate_backward_kernel(gate_gradient k)
{
    const int lane = (int)threadIdx.x % k.team, mine = (int)threadIdx.x / k.team;
    const int64_t each = VDNI_CUDA_BLOCK / k.team;
    /* The same turns for every thread of a block: the sums need whole warps. */
    for (int64_t first = blockIdx.x * each; first < k.pixels; first += gridDim.x * each) {
        const int64_t pixel = first + mine;
        const bool inside = pixel < k.pixels;
        float sum0 = 0.0f, sum1 = 0.0f;
        if (inside) {
            const float t0 = vdni_value(k.t, pixel * k.maps);
            const float t1 = k.maps == 2 ? vdni_value(k.t, 2 * pixel + 1) : t0;
            for (int64_t c = (int64_t)lane * V; c < k.c; c += (int64_t)k.team * V) {
                const int64_t at = pixel * k.c + c;
                float g[V];
                vdni_load<T, V>(g, k.g, at);
                sum0 += gate_branch<T, V>(g, k.a, k.da, t0, at);
                sum1 += gate_branch<T, V>(g, k.b, k.db, t1, at);
            }
        }
        sum0 = vdni_team_sum(sum0, k.team);
        sum1 = vdni_team_sum(sum1, k.team);
        if (!inside || lane != 0) continue;
        vdni_set_value(k.dt, pixel * k.maps, k.maps == 2 ? sum0 : sum0 + sum1);
        if (k.maps == 2) vdni_set_value(k.dt, 2 * pixel + 1, sum1);
    }
}

template <class T, int V>
vdn_status gate_backward_as(vdn_ctx *ctx, vdni_device *device, gate_gradient k)
{
    k.team = vdni_team_of(k.c, V);
    return vdni_launch(ctx, device, gate_backward_kernel<T, V>,
                       vdni_blocks_for(device, k.pixels * k.team), dim3(VDNI_CUDA_BLOCK), k);
}

vdn_status run_blend(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, int64_t maps)
{
    const vdni_tensor *a = op->in[0], *b = op->in[1], *y = op->out[0];
    const blend body = {
        vdni_view_of(a), vdni_view_of(b), vdni_view_of(op->in[2]), vdni_view_of(y), y->c, maps
    };
    return vdni_each(ctx, device, vdni_form_of(y->c, VDNI_WIDE, { a, b, y }), body,
                     vdni_tensor_count(y));
}

vdn_status run_gate(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    return run_blend(ctx, device, op, op->in[2]->c);
}

vdn_status run_mix(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    return run_blend(ctx, device, op, 0);
}

vdn_status run_gate_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *g = op->in[0], *a = op->in[1], *b = op->in[2], *t = op->in[3];
    const vdni_tensor *da = op->out[0], *db = op->out[1];
    const gate_gradient k = { vdni_view_of(g),
                              vdni_view_of(a),
                              vdni_view_of(b),
                              vdni_view_of(t),
                              vdni_view_of(da),
                              vdni_view_of(db),
                              vdni_view_of(op->out[2]),
                              g->n * g->h * g->w,
                              g->c,
                              t->c,
                              0 };
    const vdni_form form = vdni_form_of(g->c, VDNI_WIDE, { g, a, b, da, db });
    return VDNI_BY_FORM(form, VDNI_WIDE, gate_backward_as, ctx, device, k);
}

vdn_status run_mix_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *g = op->in[0], *da = op->out[0], *db = op->out[1];
    const mix_backward body = { vdni_view_of(g), vdni_view_of(op->in[1]), vdni_view_of(da),
                                vdni_view_of(db), g->c };
    return vdni_each(ctx, device, vdni_form_of(g->c, VDNI_WIDE, { g, da, db }), body,
                     vdni_tensor_count(g));
}

/* ---- BIAS ------------------------------------------------------------------------------------ */

struct bias {
    vdni_view x, y;
    const float *b;
    int64_t c;

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        float row[V], other[V];
        vdni_load<T, V>(row, x, at);
        vdni_load_row<V>(other, b, vdni_place_of(at, c).channel);
#pragma unroll
        for (int k = 0; k < V; k++) row[k] += other[k];
        vdni_store<T, V>(y, at, row);
    }
};

struct bias_backward {
    enum { SUM, KINDS };
    vdni_view g;
    float *db;
    int64_t c;

    template <class T, int V>
    __device__ void add(float (*sums)[V], int64_t, int64_t pixel, int64_t channel) const
    {
        float row[V];
        vdni_load<T, V>(row, g, pixel * c + channel);
#pragma unroll
        for (int k = 0; k < V; k++) sums[SUM][k] += row[k];
    }

    __device__ void finish(const double *total, int64_t, int64_t channel) const
    {
        db[channel] += (float)total[SUM];
    }
};

vdn_status run_bias(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *x = op->in[0], *b = op->in[1], *y = op->out[0];
    const bias body = { vdni_view_of(x), vdni_view_of(y), vdni_data<float>(b), x->c };
    return vdni_each(ctx, device, vdni_form_of(x->c, VDNI_WIDE, { x, y }, { b }), body,
                     vdni_tensor_count(y));
}

/* The batch counts as one image. */
vdni_sums bias_sums(const vdni_op *op, void *workspace)
{
    const vdni_tensor *g = op->in[0];
    return vdni_sums_of(1, g->n * g->h * g->w, g->c, workspace);
}

vdn_status run_bias_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const vdni_tensor *g = op->in[0];
    const bias_backward body = { vdni_view_of(g), vdni_data<float>(op->out[0]), g->c };
    return vdni_sum_channels(ctx, device, vdni_form_of(g->c, VDNI_SUM_WIDE, { g }, {}), body,
                             bias_sums(op, workspace));
}

int64_t bias_backward_bytes(const vdni_device *, const vdni_op *op)
{
    return vdni_sums_bytes(bias_sums(op, nullptr), bias_backward::KINDS);
}

} // namespace

const vdni_cuda_entry vdni_cuda_arithmetic[11] = {
    { run_add, nullptr, nullptr, nullptr },
    { run_product, nullptr, nullptr, nullptr },
    { run_product_backward, product_backward_bytes, nullptr, nullptr },
    { run_gate, nullptr, nullptr, nullptr },
    { run_gate_backward, nullptr, nullptr, nullptr },
    { run_mix, nullptr, nullptr, nullptr },
    { run_mix_backward, nullptr, nullptr, nullptr },
    { vdni_cuda_run_modulate, nullptr, nullptr, nullptr },
    { vdni_cuda_run_modulate_backward, vdni_cuda_modulate_backward_bytes, nullptr, nullptr },
    { run_bias, nullptr, nullptr, nullptr },
    { run_bias_backward, bias_backward_bytes, nullptr, nullptr },
};
