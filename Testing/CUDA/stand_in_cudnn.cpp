/* A library that answers to the calls of CUDA/libraries/cudnn_*.cpp and computes the convolutions
 * asked for by their definition, on the memory of the emulation. It shows that the right tensors,
 * numbers and workspace reach cuDNN; of cuDNN itself it says nothing.
 *
 * Every plan "needs" a workspace, which is overwritten before the sums are made, and accepts fused
 * graphs unless the output channels are a multiple of 40, so that both forms are met. */
#include <map>
#include <memory>
#include <string.h>
#include <vector>

/* After the library's own headers, whose reserved names the emulation's macros would meet. */
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cudnn.h>

namespace {

enum { WORKSPACE_BYTES = 5000 };

struct node;
typedef std::shared_ptr<node> link;

struct value {
    std::vector<unsigned char> bytes;
    std::vector<link> links;
};

struct node {
    cudnnBackendDescriptorType_t type;
    bool is_final = false;
    std::map<int, value> values;
};

/* What a caller holds. */
struct holder {
    link held;
};

const link &held(cudnnBackendDescriptor_t d) { return reinterpret_cast<holder *>(d)->held; }

size_t size_of(cudnnBackendAttributeType_t type)
{
    switch (type) {
    case CUDNN_TYPE_INT64:
        return sizeof(int64_t);
    case CUDNN_TYPE_FLOAT:
        return sizeof(float);
    case CUDNN_TYPE_BOOLEAN:
        return sizeof(bool);
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_HANDLE:
        return sizeof(void *);
    case CUDNN_TYPE_CHAR:
        return 1;
    default:
        return sizeof(int);
    }
}

template <class V> V get(const link &n, int name, int index = 0)
{
    V v;
    const auto &bytes = n->values.at(name).bytes;
    if ((index + 1) * sizeof v > bytes.size()) abort();
    memcpy(&v, bytes.data() + index * sizeof v, sizeof v);
    return v;
}

link to(const link &n, int name, int index = 0) { return n->values.at(name).links.at(index); }

/* ---- tensors ---- */

struct tensor {
    int64_t dims[4], strides[4];
    cudnnDataType_t type;
    char *data;

    float read(int64_t n, int64_t c, int64_t h, int64_t w) const
    {
        const int64_t i = n * strides[0] + c * strides[1] + h * strides[2] + w * strides[3];
        if (type == CUDNN_DATA_FLOAT) return reinterpret_cast<const float *>(data)[i];
        return type == CUDNN_DATA_HALF
                   ? __half2float(reinterpret_cast<const __half *>(data)[i])
                   : __bfloat162float(reinterpret_cast<const __nv_bfloat16 *>(data)[i]);
    }
    void write(int64_t n, int64_t c, int64_t h, int64_t w, double x) const
    {
        const int64_t i = n * strides[0] + c * strides[1] + h * strides[2] + w * strides[3];
        if (type == CUDNN_DATA_FLOAT)
            reinterpret_cast<float *>(data)[i] = (float)x;
        else if (type == CUDNN_DATA_HALF)
            reinterpret_cast<__half *>(data)[i] = __float2half_rn((float)x);
        else
            reinterpret_cast<__nv_bfloat16 *>(data)[i] = __float2bfloat16_rn((float)x);
    }
};

/* A virtual tensor has no number in the pack: data NULL. */
tensor tensor_of(const link &n, const link &pack)
{
    tensor t = {};
    const int64_t id = get<int64_t>(n, CUDNN_ATTR_TENSOR_UNIQUE_ID);
    const auto &ids = pack->values.at(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS).bytes;
    for (int i = 0; i < 4; i++) {
        t.dims[i] = get<int64_t>(n, CUDNN_ATTR_TENSOR_DIMENSIONS, i);
        t.strides[i] = get<int64_t>(n, CUDNN_ATTR_TENSOR_STRIDES, i);
    }
    t.type = get<cudnnDataType_t>(n, CUDNN_ATTR_TENSOR_DATA_TYPE);
    for (size_t i = 0; i < ids.size() / sizeof(int64_t); i++)
        if (get<int64_t>(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, (int)i) == id)
            t.data = get<char *>(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, (int)i);
    if (get<bool>(n, CUDNN_ATTR_TENSOR_IS_VIRTUAL) != !t.data) abort();
    if ((uintptr_t)t.data % get<int64_t>(n, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT) != 0) abort();
    return t;
}

/* ---- one plan ---- */

struct product {
    tensor x, w, y;
    cudnnBackendDescriptorType_t kind;
    int64_t pad, stride, dilation;
    float alpha, beta;
};

product product_of(const link &op, const link &pack)
{
    const bool forward = op->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
    const bool data = op->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR;
    const int x = forward ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X
                  : data  ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX
                          : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X;
    const int w = forward ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W
                  : data  ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W
                          : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW;
    const int y = forward ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y
                  : data  ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY
                          : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY;
    const int window = forward ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC
                       : data  ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC
                               : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC;
    const int alpha = forward ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA
                      : data  ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA
                              : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA;
    const int beta = forward ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA
                     : data  ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA
                             : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA;
    product p = { tensor_of(to(op, x), pack),
                  tensor_of(to(op, w), pack),
                  tensor_of(to(op, y), pack),
                  op->type,
                  0,
                  0,
                  0,
                  get<float>(op, alpha),
                  get<float>(op, beta) };
    p.pad = get<int64_t>(to(op, window), CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS);
    p.stride = get<int64_t>(to(op, window), CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES);
    p.dilation = get<int64_t>(to(op, window), CUDNN_ATTR_CONVOLUTION_DILATIONS);
    return p;
}

/* The sums of one convolution, in the order of the written tensor's dims. */
std::vector<double> multiply(const product &p, const tensor &out)
{
    std::vector<double> sums((size_t)(out.dims[0] * out.dims[1] * out.dims[2] * out.dims[3]));
    const auto at = [&](int64_t a, int64_t b, int64_t c, int64_t d) -> double & {
        return sums[(size_t)(((a * out.dims[1] + b) * out.dims[2] + c) * out.dims[3] + d)];
    };
    for (int64_t n = 0; n < p.y.dims[0]; n++)
        for (int64_t o = 0; o < p.y.dims[1]; o++)
            for (int64_t r = 0; r < p.y.dims[2]; r++)
                for (int64_t q = 0; q < p.y.dims[3]; q++)
                    for (int64_t kh = 0; kh < p.w.dims[2]; kh++)
                        for (int64_t kw = 0; kw < p.w.dims[3]; kw++) {
                            const int64_t h = r * p.stride + kh * p.dilation - p.pad;
                            const int64_t w = q * p.stride + kw * p.dilation - p.pad;
                            if (h < 0 || w < 0 || h >= p.x.dims[2] || w >= p.x.dims[3]) continue;
                            for (int64_t i = 0; i < p.x.dims[1]; i++) {
                                if (&out == &p.x)
                                    at(n, i, h, w) += p.y.read(n, o, r, q) * p.w.read(o, i, kh, kw);
                                else if (&out == &p.w)
                                    at(o, i, kh, kw) += p.y.read(n, o, r, q) * p.x.read(n, i, h, w);
                                else
                                    at(n, o, r, q) += p.x.read(n, i, h, w) * p.w.read(o, i, kh, kw);
                            }
                        }
    return sums;
}

cudnnStatus_t run(const link &graph, const link &pack)
{
    const auto &operations = graph->values.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).links;
    const product p = product_of(operations.at(0), pack);
    const tensor &written = p.kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR ? p.y
                            : p.kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR
                                ? p.x
                                : p.w;
    memset(get<void *>(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE), 0xee, WORKSPACE_BYTES);
    const std::vector<double> sums = multiply(p, written);
    tensor result = written;
    std::vector<tensor> added;
    for (size_t i = 1; i < operations.size(); i++) {
        added.push_back(tensor_of(to(operations[i], CUDNN_ATTR_OPERATION_POINTWISE_BDESC), pack));
        result = tensor_of(to(operations[i], CUDNN_ATTR_OPERATION_POINTWISE_YDESC), pack);
    }
    size_t k = 0;
    for (int64_t a = 0; a < result.dims[0]; a++)
        for (int64_t b = 0; b < result.dims[1]; b++)
            for (int64_t c = 0; c < result.dims[2]; c++)
                for (int64_t d = 0; d < result.dims[3]; d++, k++) {
                    double sum = p.alpha * sums[k];
                    if (p.beta != 0) sum += p.beta * written.read(a, b, c, d);
                    for (const tensor &t : added)
                        sum += t.dims[0] == result.dims[0] && t.dims[2] == result.dims[2] &&
                                       t.dims[3] == result.dims[3]
                                   ? t.read(a, b, c, d)
                                   : t.read(0, b, 0, 0);
                    result.write(a, b, c, d, sum);
                }
    return CUDNN_STATUS_SUCCESS;
}

/* The configuration of the one engine there is. */
link graph_of(const link &config) { return to(config, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH); }

bool is_half(const link &graph)
{
    const link op = to(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS);
    for (const auto &entry : op->values)
        for (const link &n : entry.second.links)
            if (n->type == CUDNN_BACKEND_TENSOR_DESCRIPTOR &&
                !get<bool>(n, CUDNN_ATTR_TENSOR_IS_VIRTUAL))
                return get<cudnnDataType_t>(n, CUDNN_ATTR_TENSOR_DATA_TYPE) != CUDNN_DATA_FLOAT;
    return false;
}

bool is_refused(const link &graph)
{
    const auto &operations = graph->values.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).links;
    if (operations.size() == 1) return false;
    const link y = to(operations.at(0), CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y);
    return get<int64_t>(y, CUDNN_ATTR_TENSOR_DIMENSIONS, 1) % 40 == 0;
}

/* One number out. */
template <class V> cudnnStatus_t give(const V &v, int64_t most, int64_t *count, void *out)
{
    *count = 1;
    if (most > 0) memcpy(out, &v, sizeof v);
    return CUDNN_STATUS_SUCCESS;
}

} // namespace

extern "C" {

size_t cudnnGetVersion(void) { return CUDNN_VERSION; }
const char *cudnnGetErrorString(cudnnStatus_t) { return "refused by the stand-in"; }

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    *handle = reinterpret_cast<cudnnHandle_t>(new int(0));
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    delete reinterpret_cast<int *>(handle);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t, cudaStream_t) { return CUDNN_STATUS_SUCCESS; }

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *out)
{
    holder *h = new holder{ std::make_shared<node>() };
    h->held->type = type;
    *out = reinterpret_cast<cudnnBackendDescriptor_t>(h);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d)
{
    delete reinterpret_cast<holder *>(d);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void *values)
{
    value &v = held(d)->values[name];
    if (held(d)->is_final) return CUDNN_STATUS_BAD_PARAM;
    v = value();
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
        for (int64_t i = 0; i < count; i++) {
            const link &n = held(static_cast<const cudnnBackendDescriptor_t *>(values)[i]);
            if (!n->is_final && n->type != CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)
                return CUDNN_STATUS_BAD_PARAM;
            v.links.push_back(n);
        }
    else
        v.bytes.assign(static_cast<const unsigned char *>(values),
                       static_cast<const unsigned char *>(values) + count * size_of(type));
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t d)
{
    const link &n = held(d);
    if (n->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR &&
        is_refused(graph_of(to(n, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG))))
        return CUDNN_STATUS_NOT_SUPPORTED;
    n->is_final = true;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t, int64_t most, int64_t *count,
                                       void *out)
{
    const link &n = held(d);
    switch (name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS:
        *count = 1;
        if (most > 0)
            held(*static_cast<cudnnBackendDescriptor_t *>(out))
                ->values[CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH]
                .links = { to(n, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH) };
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINECFG_ENGINE:
        *count = 1;
        held(*static_cast<cudnnBackendDescriptor_t *>(out))
            ->values[CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH]
            .links = { graph_of(n) };
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
        if (is_half(graph_of(n))) return give(CUDNN_NUMERICAL_NOTE_TENSOR_CORE, most, count, out);
        *count = 0;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE:
        *count = 0;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINE_GLOBAL_INDEX:
        return give((int64_t)1, most, count, out);
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
        return give((int64_t)WORKSPACE_BYTES, most, count, out);
    default:
        return CUDNN_STATUS_BAD_PARAM;
    }
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t pack)
{
    if (!held(plan)->is_final || !held(pack)->is_final) return CUDNN_STATUS_BAD_PARAM;
    return run(graph_of(to(held(plan), CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)), held(pack));
}
}
