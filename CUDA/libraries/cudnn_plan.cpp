#include "CUDA/libraries/cudnn_plan.h"

#include <string.h>

namespace {

enum { MOST_ENGINES = 64, MOST_NOTES = 32, ALIGNMENT = 16 };
enum { VIRTUAL_PRODUCT = 1, VIRTUAL_MIDDLE = 2 }; /* numbers of tensors that are never stored */

/* A descriptor that is destroyed with its scope. ok() is false once any call failed. */
class descriptor {
  public:
    descriptor(const vdni_cudnn_api *api, cudnnBackendDescriptorType_t type) : api_(api)
    {
        is_ok_ = api->create_descriptor(type, &descriptor_) == CUDNN_STATUS_SUCCESS;
        if (!is_ok_) descriptor_ = nullptr;
    }
    ~descriptor()
    {
        if (descriptor_) (void)api_->destroy_descriptor(descriptor_);
    }
    descriptor(const descriptor &) = delete;
    descriptor &operator=(const descriptor &) = delete;

    void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
             const void *values)
    {
        is_ok_ = is_ok_ && api_->set_attribute(descriptor_, name, type, count, values) ==
                               CUDNN_STATUS_SUCCESS;
    }
    void set(cudnnBackendAttributeName_t name, const descriptor &other)
    {
        is_ok_ = is_ok_ && other.is_ok_;
        set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &other.descriptor_);
    }
    void set(cudnnBackendAttributeName_t name, int64_t value)
    {
        set(name, CUDNN_TYPE_INT64, 1, &value);
    }
    void set(cudnnBackendAttributeName_t name, float value)
    {
        set(name, CUDNN_TYPE_FLOAT, 1, &value);
    }
    void finalize() { is_ok_ = is_ok_ && api_->finalize(descriptor_) == CUDNN_STATUS_SUCCESS; }
    bool get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t most,
             int64_t *count, void *values) const
    {
        return api_->get_attribute(descriptor_, name, type, most, count, values) ==
               CUDNN_STATUS_SUCCESS;
    }
    bool ok() const { return is_ok_; }
    cudnnBackendDescriptor_t raw() const { return descriptor_; }
    cudnnBackendDescriptor_t release()
    {
        cudnnBackendDescriptor_t kept = descriptor_;
        descriptor_ = nullptr;
        return kept;
    }

  private:
    const vdni_cudnn_api *api_;
    cudnnBackendDescriptor_t descriptor_ = nullptr;
    bool is_ok_ = false;
};

cudnnDataType_t type_of(int32_t dtype)
{
    return dtype == VDNI_BF16  ? CUDNN_DATA_BFLOAT16
           : dtype == VDNI_F16 ? CUDNN_DATA_HALF
                               : CUDNN_DATA_FLOAT;
}

/* A tensor whose channels are adjacent; dims are in cuDNN's order, images, channels, rows, columns.
 * A virtual one is never stored. */
void describe_tensor(descriptor *t, int64_t number, int32_t dtype, const int64_t dims[4],
                     bool is_virtual = false)
{
    const int64_t strides[4] = { dims[1] * dims[2] * dims[3], 1, dims[3] * dims[1], dims[1] };
    const cudnnDataType_t type = type_of(dtype);
    t->set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    t->set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    t->set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    t->set(CUDNN_ATTR_TENSOR_UNIQUE_ID, number);
    t->set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, (int64_t)ALIGNMENT);
    t->set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    t->finalize();
}

void describe_window(descriptor *d, const vdni_cudnn_conv *c)
{
    const cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const int64_t dilation[2] = { c->dilation, c->dilation }, pad[2] = { c->pad, c->pad };
    const int64_t stride[2] = { c->stride, c->stride };
    d->set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    d->set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    d->set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, (int64_t)2);
    d->set(CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation);
    d->set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride);
    d->set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pad);
    d->set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pad);
    d->finalize();
}

/* What the three kinds of operation are called. */
struct names {
    cudnnBackendDescriptorType_t operation;
    cudnnBackendAttributeName_t wide, weight, narrow, window, alpha, beta;
};

names names_of(int32_t kind)
{
    if (kind == VDNI_OP_CONV)
        return { CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA };
    if (kind == VDNI_OP_CONV_DX)
        return { CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA };
    return { CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA };
}

void describe_product(descriptor *operation, const vdni_cudnn_conv *c, const descriptor &x,
                      const descriptor &w, const descriptor &y, const descriptor &window)
{
    const names name = names_of(c->kind);
    operation->set(name.wide, x);
    operation->set(name.weight, w);
    operation->set(name.narrow, y);
    operation->set(name.window, window);
    operation->set(name.alpha, 1.0f);
    operation->set(name.beta, c->accumulate ? 1.0f : 0.0f);
    operation->finalize();
}

/* sum = a + b in f32. */
void describe_sum(descriptor *operation, const descriptor &sum, const descriptor &a,
                  const descriptor &b, descriptor *how)
{
    const cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
    const cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    how->set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    how->set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    how->finalize();
    operation->set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, *how);
    operation->set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, a);
    operation->set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    operation->set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, sum);
    operation->finalize();
}

/* The convolution, then the residual, then the bias: the order cuDNN's compiled engines know. */
bool describe_graph(const vdni_cudnn_api *api, descriptor *graph, const vdni_cudnn_conv *c,
                    const vdni_cudnn_rules *rules)
{
    const int64_t wide[4] = { c->n, c->ci, c->h, c->w }, narrow[4] = { c->n, c->co, c->oh, c->ow };
    const int64_t weight[4] = { c->co, c->ci, c->kernel, c->kernel }, row[4] = { 1, c->co, 1, 1 };
    const auto tensor = CUDNN_BACKEND_TENSOR_DESCRIPTOR;
    const auto sum = CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR;
    descriptor x(api, tensor), y(api, tensor), w(api, tensor), bias(api, tensor),
        residual(api, tensor), product(api, tensor), middle(api, tensor);
    descriptor window(api, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR),
        operation(api, names_of(c->kind).operation), with_residual(api, sum), with_bias(api, sum),
        how(api, CUDNN_BACKEND_POINTWISE_DESCRIPTOR),
        how_bias(api, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    cudnnBackendDescriptor_t operations[3] = { operation.raw() };
    int64_t count = 1;

    describe_tensor(&x, VDNI_CUDNN_WIDE, c->dtype, wide);
    describe_tensor(&y, VDNI_CUDNN_NARROW, c->dtype, narrow);
    describe_tensor(&w, VDNI_CUDNN_WEIGHT, c->dtype, weight);
    describe_window(&window, c);
    if (c->has_bias) {
        describe_tensor(&bias, VDNI_CUDNN_BIAS, c->dtype, row);
        describe_tensor(&product, VIRTUAL_PRODUCT, VDNI_F32, narrow, true);
        describe_tensor(&middle, VIRTUAL_MIDDLE, VDNI_F32, narrow, true);
    }
    describe_product(&operation, c, x, w, c->has_bias ? product : y, window);
    bool is_ok = operation.ok();
    if (c->has_residual) {
        describe_tensor(&residual, VDNI_CUDNN_RESIDUAL, c->dtype, narrow);
        describe_sum(&with_residual, middle, product, residual, &how);
        operations[count++] = with_residual.raw();
        is_ok = is_ok && with_residual.ok();
    }
    if (c->has_bias) {
        describe_sum(&with_bias, y, c->has_residual ? middle : product, bias, &how_bias);
        operations[count++] = with_bias.raw();
        is_ok = is_ok && with_bias.ok();
    }
    if (!is_ok) return false;
    graph->set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, operations);
    if (rules->handle)
        graph->set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &rules->handle);
    graph->finalize();
    return graph->ok();
}

/* The notes of an engine as bits. */
struct notes {
    uint32_t numerical, behavior;
    int64_t engine;
};

bool read_notes(const vdni_cudnn_api *api, notes *out, cudnnBackendDescriptor_t config)
{
    descriptor engine(api, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    cudnnBackendDescriptor_t raw = engine.raw();
    cudnnBackendNumericalNote_t numerical[MOST_NOTES];
    cudnnBackendBehaviorNote_t behavior[MOST_NOTES];
    int64_t count = 0, numerical_count = 0, behavior_count = 0;

    *out = {};
    if (!engine.ok() ||
        api->get_attribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                           &count, &raw) != CUDNN_STATUS_SUCCESS)
        return false;
    if (!engine.get(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, MOST_NOTES,
                    &numerical_count, numerical) ||
        !engine.get(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, MOST_NOTES,
                    &behavior_count, behavior))
        return false;
    for (int64_t i = 0; i < numerical_count && i < MOST_NOTES; i++)
        out->numerical |= 1u << numerical[i];
    for (int64_t i = 0; i < behavior_count && i < MOST_NOTES; i++)
        out->behavior |= 1u << behavior[i];
    return engine.get(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count, &out->engine);
}

constexpr uint32_t bit(int note) { return 1u << note; }

/* Sums and products in f32; the large tiles of Winograd and FFT lose digits, and transforms in 16
 * bits lose too many. */
constexpr uint32_t inexact_always =
    bit(CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS) |
    bit(CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION) | bit(CUDNN_NUMERICAL_NOTE_FFT) |
    bit(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6) | bit(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13);
constexpr uint32_t inexact_16 =
    bit(CUDNN_NUMERICAL_NOTE_WINOGRAD) | bit(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4);
constexpr uint32_t inexact_f32 = bit(CUDNN_NUMERICAL_NOTE_TENSOR_CORE);

/* The int8 notes want their operands rearranged, and cuBLAS may not be there. */
constexpr uint32_t unusable = bit(CUDNN_BEHAVIOR_NOTE_REQUIRES_FILTER_INT8x32_REORDER) |
                              bit(CUDNN_BEHAVIOR_NOTE_REQUIRES_BIAS_INT8x32_REORDER) |
                              bit(CUDNN_BEHAVIOR_NOTE_CUBLASLT_DEPENDENCY);

bool keeps_rules(const notes &n, const vdni_cudnn_conv *c, const vdni_cudnn_rules *rules,
                 vdni_cudnn_tally *tally)
{
    uint32_t inexact = c->dtype == VDNI_F32 ? 0 : inexact_always | inexact_16;
    if (c->dtype == VDNI_F32 && rules->strict_f32) inexact = inexact_always | inexact_f32;
    const uint32_t compiled = bit(CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION);
    const uint32_t tensor = bit(CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
    if (vdni_cudnn_is_half(c->dtype) && !(n.numerical & tensor)) return tally->slow++, false;
    if (n.numerical & inexact) return tally->inexact++, false;
    if (rules->deterministic && (n.numerical & bit(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC)))
        return tally->nondeterministic++, false;
    if ((n.behavior & unusable) || ((n.behavior & compiled) && !rules->runtime_compiled))
        return tally->compiled++, false;
    return true;
}

/* The one place that says which device is meant, for the heuristics and for the plan. */
class target {
  public:
    target(const vdni_cudnn_api *api, const vdni_cudnn_rules *rules)
        : handle_(rules->handle), properties_(api, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR)
    {
        if (handle_ || !rules->device_json) return;
        properties_.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                        (int64_t)strlen(rules->device_json) + 1, rules->device_json);
        properties_.finalize();
    }
    void name(descriptor *heuristics) const
    {
        if (!handle_) heuristics->set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, properties_);
    }
    void name_for_plan(descriptor *plan) const
    {
        if (handle_)
            plan->set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle_);
        else
            plan->set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, properties_);
    }

  private:
    cudnnHandle_t handle_;
    descriptor properties_;
};

/* A plan of one proposed configuration: true when it is taken. */
bool take(const vdni_cudnn_api *api, vdni_cudnn_plan *out, cudnnBackendDescriptor_t config,
          const vdni_cudnn_conv *c, const vdni_cudnn_rules *rules, const target &device)
{
    notes n;
    int64_t count = 0, bytes = 0;
    out->tally.proposed++;
    if (!read_notes(api, &n, config)) return out->tally.unfinished++, false;
    if (!keeps_rules(n, c, rules, &out->tally)) return false;

    descriptor plan(api, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config);
    device.name_for_plan(&plan);
    plan.finalize();
    if (!plan.ok() ||
        !plan.get(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count, &bytes))
        return out->tally.unfinished++, false;
    if (bytes > rules->workspace_cap) return out->tally.too_large++, false;
    out->plan = plan.release();
    out->workspace_bytes = bytes;
    out->engine = n.engine;
    out->is_repeatable = !(n.numerical & bit(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC));
    out->is_tensor = (n.numerical & bit(CUDNN_NUMERICAL_NOTE_TENSOR_CORE)) != 0;
    return true;
}

/* The configurations one heuristic proposes, in its order, until one is taken. */
bool ask(const vdni_cudnn_api *api, vdni_cudnn_plan *out, const descriptor &graph,
         cudnnBackendHeurMode_t mode, const vdni_cudnn_conv *c, const vdni_cudnn_rules *rules,
         const target &device)
{
    descriptor heuristics(api, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    int64_t count = 0;
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    device.name(&heuristics);
    heuristics.finalize();
    if (!heuristics.ok() || !heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                            CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, nullptr))
        return false;
    if (count > MOST_ENGINES) count = MOST_ENGINES;

    cudnnBackendDescriptor_t configs[MOST_ENGINES] = {};
    int64_t made = 0, found = 0;
    bool is_taken = false;
    while (made < count && api->create_descriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
                                                  &configs[made]) == CUDNN_STATUS_SUCCESS)
        made++;
    if (heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, made, &found,
                       configs))
        for (int64_t i = 0; i < found && i < made && !is_taken; i++)
            is_taken = take(api, out, configs[i], c, rules, device);
    for (int64_t i = 0; i < made; i++) (void)api->destroy_descriptor(configs[i]);
    return is_taken;
}

} // namespace

vdni_cudnn_conv vdni_cudnn_conv_of(const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    vdni_cudnn_conv c;
    memset(&c, 0, sizeof c);
    c.kind = op->kind;
    c.dtype = r.wide->dtype;
    c.kernel = op->a.kernel;
    c.stride = op->a.stride;
    c.dilation = op->a.dilation;
    c.pad = op->a.pad;
    c.n = r.wide->n;
    c.h = r.wide->h;
    c.w = r.wide->w;
    c.ci = r.wide->c;
    c.oh = r.narrow->h;
    c.ow = r.narrow->w;
    c.co = r.narrow->c;
    return c;
}

void vdni_cudnn_plan_build(const vdni_cudnn_api *api, vdni_cudnn_plan *plan,
                           const vdni_cudnn_conv *conv, const vdni_cudnn_rules *rules)
{
    const target device(api, rules);
    descriptor graph(api, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    memset(plan, 0, sizeof *plan);
    if (!describe_graph(api, &graph, conv, rules)) return;
    static const cudnnBackendHeurMode_t modes[] = { CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK };
    for (const cudnnBackendHeurMode_t mode : modes)
        if (ask(api, plan, graph, mode, conv, rules, device)) return;
}

void vdni_cudnn_plan_drop(const vdni_cudnn_api *api, vdni_cudnn_plan *plan)
{
    if (plan->plan) (void)api->destroy_descriptor(plan->plan);
    memset(plan, 0, sizeof *plan);
}
