/* CPU twin of the activation operators; the contract is Ops/activation.h. */
#include "Ops/activation.h"

#include "CPU/activation.h"
#include "CPU/vector_math.h"
#include "CPU/walk.h"

static VDNI_VECTOR void relu(float *x, int64_t count)
{
    /* Written so that NaN stays NaN. */
    for (int64_t i = 0; i < count; i++) x[i] = x[i] < 0.0f ? 0.0f : x[i];
}

static VDNI_VECTOR void leaky_relu(float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) x[i] = x[i] > 0.0f ? x[i] : 0.01f * x[i];
}

static VDNI_VECTOR void elu(float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const float negative = vdni_expm1(x[i]);
        x[i] = x[i] > 0.0f ? x[i] : negative;
    }
}

static VDNI_VECTOR void silu(float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) x[i] = x[i] / (1.0f + vdni_exp(-x[i]));
}

static VDNI_VECTOR void sigmoid(float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) x[i] = vdni_sigmoid(x[i]);
}

static VDNI_VECTOR void softplus(float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) x[i] = vdni_softplus(x[i]);
}

static VDNI_VECTOR void gelu(float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) x[i] *= vdni_normal_cdf(x[i]);
}

static VDNI_VECTOR void relu_backward(float *restrict g, const float *restrict x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) g[i] = x[i] > 0.0f ? g[i] : 0.0f;
}

static VDNI_VECTOR void leaky_relu_backward(float *restrict g, const float *restrict x,
                                            int64_t count)
{
    for (int64_t i = 0; i < count; i++) g[i] = x[i] > 0.0f ? g[i] : 0.01f * g[i];
}

static VDNI_VECTOR void elu_backward(float *restrict g, const float *restrict x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const float slope = vdni_exp(x[i]);
        g[i] *= x[i] > 0.0f ? 1.0f : slope;
    }
}

static VDNI_VECTOR void silu_backward(float *restrict g, const float *restrict x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const float s = vdni_sigmoid(x[i]);
        g[i] *= s * (1.0f + x[i] * (1.0f - s));
    }
}

static VDNI_VECTOR void sigmoid_backward(float *restrict g, const float *restrict x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const float s = vdni_sigmoid(x[i]);
        g[i] *= s * (1.0f - s);
    }
}

static VDNI_VECTOR void softplus_backward(float *restrict g, const float *restrict x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) g[i] *= vdni_sigmoid(x[i]);
}

static VDNI_VECTOR void gelu_backward(float *restrict g, const float *restrict x, int64_t count)
{
    const float per_root_2_pi = 0.398942280f;
    for (int64_t i = 0; i < count; i++) {
        const float density = per_root_2_pi * vdni_exp(-0.5f * x[i] * x[i]);
        g[i] *= vdni_normal_cdf(x[i]) + x[i] * density;
    }
}

void vdni_cpu_activate(vdni_activation act, float *x, int64_t count)
{
    switch (act) {
    case VDNI_ACT_NONE:
        return;
    case VDNI_ACT_RELU:
        relu(x, count);
        return;
    case VDNI_ACT_LEAKY_RELU:
        leaky_relu(x, count);
        return;
    case VDNI_ACT_ELU:
        elu(x, count);
        return;
    case VDNI_ACT_SILU:
        silu(x, count);
        return;
    case VDNI_ACT_SIGMOID:
        sigmoid(x, count);
        return;
    case VDNI_ACT_SOFTPLUS:
        softplus(x, count);
        return;
    case VDNI_ACT_GELU:
        gelu(x, count);
        return;
    }
}

void vdni_cpu_activate_backward(vdni_activation act, float *g, const float *x, int64_t count)
{
    switch (act) {
    case VDNI_ACT_NONE:
        return;
    case VDNI_ACT_RELU:
        relu_backward(g, x, count);
        return;
    case VDNI_ACT_LEAKY_RELU:
        leaky_relu_backward(g, x, count);
        return;
    case VDNI_ACT_ELU:
        elu_backward(g, x, count);
        return;
    case VDNI_ACT_SILU:
        silu_backward(g, x, count);
        return;
    case VDNI_ACT_SIGMOID:
        sigmoid_backward(g, x, count);
        return;
    case VDNI_ACT_SOFTPLUS:
        softplus_backward(g, x, count);
        return;
    case VDNI_ACT_GELU:
        gelu_backward(g, x, count);
        return;
    }
}

static void forward_block(void *user, const vdni_block *b)
{
    const vdni_op *op = user;
    float row[VDNI_WALK_LANES];
    vdni_cpu_read(row, op->in[0], b->at, b->count);
    vdni_cpu_activate(op->a.act, row, b->count);
    vdni_cpu_write(op->out[0], b->at, row, b->count);
}

static void backward_block(void *user, const vdni_block *b)
{
    const vdni_op *op = user;
    float row[VDNI_WALK_LANES], buffer[VDNI_WALK_LANES];
    vdni_cpu_read(row, op->in[0], b->at, b->count);
    vdni_cpu_activate_backward(op->a.act, row, vdni_row_read(buffer, op->in[1], b->at, b->count),
                               b->count);
    vdni_row_add(row, op->in[2], b->at, b->count);
    vdni_cpu_write(op->out[0], b->at, row, b->count);
}

static vdn_status run(vdni_device *device, const vdni_op *op, vdni_block_body *body)
{
    const vdni_walk walk = vdni_walk_of(op->out[0]);
    vdni_op copy = *op;
    vdni_walk_run(device->threads, &walk, body, &copy);
    return VDN_OK;
}

static vdn_status run_forward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    (void)ctx;
    (void)workspace;
    return run(device, op, forward_block);
}

static vdn_status run_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                               void *workspace)
{
    (void)ctx;
    (void)workspace;
    return run(device, op, backward_block);
}

const vdni_cpu_entry vdni_cpu_activation[2] = { { run_forward, NULL }, { run_backward, NULL } };
