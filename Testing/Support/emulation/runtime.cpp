/* The runtime of runtime_api.h: memory, streams, graphs, faults on demand. */
#include "runtime_api.h"

#include "threads.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

typedef std::vector<std::function<cudaError_t()>> operations;

struct CUstream_st {
    bool capturing, spoilt;
    operations recorded;
};
struct CUevent_st {
    bool recorded;
    std::chrono::steady_clock::time_point at;
};
struct CUgraph_st {
    operations nodes;
};
struct CUgraphExec_st {
    operations nodes;
};

namespace
{

enum { ALIGNMENT = 256, FILLER = 0xfd };

struct device_block {
    size_t bytes;
    char *mapping;
    size_t mapping_bytes;
};

/* Never destroyed: the host may still call while the process ends. */
struct runtime {
    std::recursive_mutex lock;
    std::map<char *, device_block> blocks;
    std::map<char *, size_t> pinned;
    std::set<cudaStream_t> streams;
    CUstream_st null_stream = {};
    size_t allocated = 0;
    std::string fault;
    long mallocs = 0, launches = 0;
    cudaError_t sticky = cudaSuccess;
    int capturing = 0;
};

runtime &the()
{
    static runtime *r = new runtime;
    return *r;
}

thread_local cudaError_t last_error = cudaSuccess;

cudaError_t fail(cudaError_t error)
{
    if (error != cudaSuccess) last_error = error;
    return error;
}

/* Number behind "<name>:", or 0. */
long fault_number(const char *name)
{
    runtime &r = the();
    const char *now = getenv("VERDIFF_EMULATION_FAULT");
    const size_t length = strlen(name);
    if (r.fault != (now ? now : "")) {
        r.fault = now ? now : "";
        r.mallocs = r.launches = 0;
        r.sticky = cudaSuccess;
    }
    if (r.fault.compare(0, length, name)) return 0;
    return r.fault.size() > length ? atol(r.fault.c_str() + length + 1) : 1;
}

size_t memory_bytes()
{
    const char *text = getenv("VERDIFF_EMULATION_MEMORY");
    return text ? (size_t)strtoull(text, nullptr, 10) : (size_t)4 << 30;
}

int capability()
{
    const char *text = getenv("VERDIFF_EMULATION_CAPABILITY");
    return text ? atoi(text) : 90;
}

/* Whatever the call: no device, or a lost one. */
cudaError_t usable()
{
    if (fault_number("count")) return cudaErrorInsufficientDriver;
    if (fault_number("nodevice")) return cudaErrorNoDevice;
    return the().sticky;
}

#define VERDIFF_ENTER()                                     \
    std::lock_guard<std::recursive_mutex> lock(the().lock); \
    do {                                                    \
        const cudaError_t error_ = usable();                \
        if (error_ != cudaSuccess) return fail(error_);     \
    } while (0)

/* What may not be done while a stream is captured, and ends the capture. */
#define VERDIFF_NOT_CAPTURED()                                              \
    do {                                                                    \
        if (the().capturing) {                                              \
            for (cudaStream_t s : the().streams) s->spoilt |= s->capturing; \
            return fail(cudaErrorStreamCaptureUnsupported);                 \
        }                                                                   \
    } while (0)

bool on_device(const void *p, size_t bytes)
{
    char *at = static_cast<char *>(const_cast<void *>(p));
    auto behind = the().blocks.upper_bound(at);
    if (behind == the().blocks.begin()) return false;
    --behind;
    return at + bytes <= behind->first + behind->second.bytes;
}

bool touches_device(const void *p) { return on_device(p, 0); }

bool is_pinned(const void *p, size_t bytes)
{
    char *at = static_cast<char *>(const_cast<void *>(p));
    auto behind = the().pinned.upper_bound(at);
    if (behind == the().pinned.begin()) return false;
    --behind;
    return at + bytes <= behind->first + behind->second;
}

bool filled(const char *from, const char *to)
{
    for (; from < to; from++)
        if (*from != (char)FILLER) return false;
    return true;
}

cudaError_t enqueue(cudaStream_t stream, std::function<cudaError_t()> operation)
{
    runtime &r = the();
    if (!stream)
        stream = &r.null_stream;
    else if (!r.streams.count(stream))
        return fail(cudaErrorInvalidResourceHandle);
    if (!stream->capturing) return fail(operation());
    stream->recorded.push_back(std::move(operation));
    return cudaSuccess;
}

cudaError_t check_copy(void *to, const void *from, size_t bytes, cudaMemcpyKind *kind)
{
    if (*kind == cudaMemcpyDefault)
        *kind = touches_device(to)
                    ? touches_device(from) ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice
                : touches_device(from) ? cudaMemcpyDeviceToHost
                                       : cudaMemcpyHostToHost;
    const bool to_device = *kind == cudaMemcpyHostToDevice || *kind == cudaMemcpyDeviceToDevice;
    const bool from_device = *kind == cudaMemcpyDeviceToHost || *kind == cudaMemcpyDeviceToDevice;
    if (bytes == 0) return cudaSuccess;
    if (to_device ? !on_device(to, bytes) : touches_device(to)) return cudaErrorInvalidValue;
    if (from_device ? !on_device(from, bytes) : touches_device(from)) return cudaErrorInvalidValue;
    const char *a = static_cast<char *>(to), *b = static_cast<const char *>(from);
    if (to_device && from_device && a < b + bytes && b < a + bytes) return cudaErrorInvalidValue;
    return cudaSuccess;
}

const struct {
    cudaError_t error;
    const char *name, *text;
} errors[] = {
    { cudaSuccess, "cudaSuccess", "no error" },
    { cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument" },
    { cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory" },
    { cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
      "invalid configuration argument" },
    { cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
      "CUDA driver version is insufficient for CUDA runtime version" },
    { cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected" },
    { cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal" },
    { cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle" },
    { cudaErrorNotReady, "cudaErrorNotReady", "device not ready" },
    { cudaErrorIllegalAddress, "cudaErrorIllegalAddress",
      "an illegal memory access was encountered" },
    { cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure" },
    { cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported" },
    { cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
      "operation not permitted when stream is capturing" },
    { cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
      "operation failed due to a previous error during capture" },
};

} // namespace

const char *cudaGetErrorString(cudaError_t error)
{
    for (const auto &e : errors)
        if (e.error == error) return e.text;
    return "unrecognized error code";
}

const char *cudaGetErrorName(cudaError_t error)
{
    for (const auto &e : errors)
        if (e.error == error) return e.name;
    return "unrecognized error code";
}

cudaError_t cudaPeekAtLastError()
{
    return the().sticky != cudaSuccess ? the().sticky : last_error;
}

cudaError_t cudaGetLastError()
{
    const cudaError_t error = cudaPeekAtLastError();
    last_error = cudaSuccess;
    return error;
}

/* ---- device ---- */

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 0;
    VERDIFF_ENTER();
    *count = 1;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    VERDIFF_ENTER();
    return fail(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaGetDevice(int *device)
{
    VERDIFF_ENTER();
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device)
{
    VERDIFF_ENTER();
    if (device != 0) return fail(cudaErrorInvalidDevice);
    *properties = {};
    snprintf(properties->name, sizeof properties->name, "emulated");
    properties->totalGlobalMem = memory_bytes();
    properties->sharedMemPerBlock = 48 * 1024;
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = 1024;
    properties->maxThreadsPerMultiProcessor = 2048;
    properties->maxThreadsDim[0] = properties->maxThreadsDim[1] = 1024;
    properties->maxThreadsDim[2] = 64;
    properties->maxGridSize[0] = 0x7fffffff;
    properties->maxGridSize[1] = properties->maxGridSize[2] = 65535;
    properties->major = capability() / 10;
    properties->minor = capability() % 10;
    properties->multiProcessorCount = 16;
    properties->l2CacheSize = 4 << 20;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device)
{
    cudaDeviceProp p;
    const cudaError_t error = cudaGetDeviceProperties(&p, device);
    if (error != cudaSuccess) return error;
    switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
        *value = p.maxThreadsPerBlock;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = (int)p.sharedMemPerBlock;
        break;
    case cudaDevAttrWarpSize:
        *value = p.warpSize;
        break;
    case cudaDevAttrMultiProcessorCount:
        *value = p.multiProcessorCount;
        break;
    case cudaDevAttrL2CacheSize:
        *value = p.l2CacheSize;
        break;
    case cudaDevAttrComputeCapabilityMajor:
        *value = p.major;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = p.minor;
        break;
    default:
        return fail(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize()
{
    VERDIFF_ENTER();
    VERDIFF_NOT_CAPTURED();
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    VERDIFF_ENTER();
    *total_bytes = memory_bytes();
    *free_bytes = *total_bytes > the().allocated ? *total_bytes - the().allocated : 0;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

/* ---- memory ---- */

/* The end of a block is as near as its alignment lets it be to a page nobody may touch. */
cudaError_t cudaMalloc(void **out, size_t bytes)
{
    *out = nullptr;
    VERDIFF_ENTER();
    VERDIFF_NOT_CAPTURED();
    runtime &r = the();
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const long refused = fault_number("malloc");
    if (++r.mallocs == refused || bytes > memory_bytes() || r.allocated > memory_bytes() - bytes)
        return fail(cudaErrorMemoryAllocation);
    if (bytes == 0) return cudaSuccess;
    const size_t inside = (bytes + ALIGNMENT + page - 1) / page * page;
    char *mapping = static_cast<char *>(mmap(nullptr, inside + 2 * page, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (mapping == MAP_FAILED) return fail(cudaErrorMemoryAllocation);
    mprotect(mapping, page, PROT_NONE);
    mprotect(mapping + page + inside, page, PROT_NONE);
    char *end = mapping + page + inside;
    char *data = end - (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    memset(mapping + page, FILLER, (size_t)(data - mapping) - page);
    memset(data, 0xff, bytes);
    memset(data + bytes, FILLER, (size_t)(end - data) - bytes);
    r.blocks[data] = { bytes, mapping, inside + 2 * page };
    r.allocated += bytes;
    *out = data;
    return cudaSuccess;
}

cudaError_t cudaFree(void *block)
{
    VERDIFF_ENTER();
    VERDIFF_NOT_CAPTURED();
    if (!block) return cudaSuccess;
    runtime &r = the();
    char *data = static_cast<char *>(block);
    const auto found = r.blocks.find(data);
    if (found == r.blocks.end()) return fail(cudaErrorInvalidValue);
    const device_block b = found->second;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (!filled(b.mapping + page, data) ||
        !filled(data + b.bytes, b.mapping + b.mapping_bytes - page)) {
        fprintf(stderr, "emulation: something was written outside a device block of %zu bytes\n",
                b.bytes);
        abort();
    }
    r.allocated -= b.bytes;
    r.blocks.erase(found);
    munmap(b.mapping, b.mapping_bytes);
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    *out = nullptr;
    VERDIFF_ENTER();
    VERDIFF_NOT_CAPTURED();
    if (posix_memalign(out, 4096, bytes ? bytes : 1)) return fail(cudaErrorMemoryAllocation);
    the().pinned[static_cast<char *>(*out)] = bytes;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *block)
{
    VERDIFF_ENTER();
    VERDIFF_NOT_CAPTURED();
    if (!block) return cudaSuccess;
    if (!the().pinned.erase(static_cast<char *>(block))) return fail(cudaErrorInvalidValue);
    free(block);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    VERDIFF_ENTER();
    const cudaError_t error = check_copy(to, from, bytes, &kind);
    if (error != cudaSuccess) return fail(error);
    if (stream && the().streams.count(stream) && stream->capturing) {
        if (kind == cudaMemcpyHostToDevice && !is_pinned(from, bytes)) VERDIFF_NOT_CAPTURED();
        if (kind == cudaMemcpyDeviceToHost && !is_pinned(to, bytes)) VERDIFF_NOT_CAPTURED();
    }
    return enqueue(stream, [=] {
        memcpy(to, from, bytes);
        return cudaSuccess;
    });
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    VERDIFF_ENTER();
    VERDIFF_NOT_CAPTURED();
    return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    VERDIFF_ENTER();
    if (bytes && !on_device(to, bytes)) return fail(cudaErrorInvalidValue);
    return enqueue(stream, [=] {
        memset(to, value, bytes);
        return cudaSuccess;
    });
}

cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
    VERDIFF_ENTER();
    VERDIFF_NOT_CAPTURED();
    return cudaMemsetAsync(to, value, bytes, nullptr);
}

/* ---- streams and kernels ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    *stream = nullptr;
    VERDIFF_ENTER();
    if (flags > cudaStreamNonBlocking) return fail(cudaErrorInvalidValue);
    *stream = new CUstream_st();
    the().streams.insert(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    VERDIFF_ENTER();
    if (!the().streams.erase(stream)) return fail(cudaErrorInvalidResourceHandle);
    the().capturing -= stream->capturing;
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    VERDIFF_ENTER();
    if (stream && !the().streams.count(stream)) return fail(cudaErrorInvalidResourceHandle);
    if (!stream || stream->capturing) VERDIFF_NOT_CAPTURED();
    return cudaSuccess;
}

cudaError_t emulation::launch(const void *kernel, dim3 grid, dim3 block, size_t shared,
                              cudaStream_t stream, std::function<void()> body)
{
    VERDIFF_ENTER();
    const uint64_t threads = (uint64_t)block.x * block.y * block.z;
    if (!grid.x || !grid.y || !grid.z || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535 ||
        !threads || threads > 1024 || block.z > 64)
        return fail(cudaErrorInvalidConfiguration);
    if (shared > 48 * 1024) return fail(cudaErrorInvalidValue);
    return enqueue(stream, [=] {
        const long lost = fault_number("launch");
        if (lost && ++the().launches >= lost) return the().sticky = cudaErrorIllegalAddress;
        run_grid(kernel, grid, block, body);
        return cudaSuccess;
    });
}

/* ---- graphs ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode)
{
    VERDIFF_ENTER();
    if (!stream) return fail(cudaErrorStreamCaptureUnsupported);
    if (!the().streams.count(stream)) return fail(cudaErrorInvalidResourceHandle);
    if (stream->capturing) return fail(cudaErrorInvalidValue);
    stream->capturing = true;
    stream->spoilt = false;
    the().capturing++;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    *graph = nullptr;
    VERDIFF_ENTER();
    if (!stream || !the().streams.count(stream)) return fail(cudaErrorInvalidResourceHandle);
    if (!stream->capturing) return fail(cudaErrorInvalidValue);
    stream->capturing = false;
    the().capturing--;
    operations recorded = std::move(stream->recorded);
    stream->recorded.clear();
    if (stream->spoilt) return fail(cudaErrorStreamCaptureInvalidated);
    *graph = new CUgraph_st{ std::move(recorded) };
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *executable, cudaGraph_t graph, unsigned long long)
{
    *executable = nullptr;
    VERDIFF_ENTER();
    if (!graph) return fail(cudaErrorInvalidValue);
    *executable = new CUgraphExec_st{ graph->nodes };
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    if (!graph) return fail(cudaErrorInvalidValue);
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream)
{
    VERDIFF_ENTER();
    if (!executable) return fail(cudaErrorInvalidValue);
    for (const auto &node : executable->nodes) {
        const cudaError_t error = enqueue(stream, node);
        if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable)
{
    if (!executable) return fail(cudaErrorInvalidValue);
    delete executable;
    return cudaSuccess;
}

/* ---- events ---- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned)
{
    *event = nullptr;
    VERDIFF_ENTER();
    *event = new CUevent_st();
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    VERDIFF_ENTER();
    if (!event) return fail(cudaErrorInvalidResourceHandle);
    return enqueue(stream, [=] {
        event->recorded = true;
        event->at = std::chrono::steady_clock::now();
        return cudaSuccess;
    });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    VERDIFF_ENTER();
    return event ? cudaSuccess : fail(cudaErrorInvalidResourceHandle);
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to)
{
    VERDIFF_ENTER();
    if (!from || !to || !from->recorded || !to->recorded)
        return fail(cudaErrorInvalidResourceHandle);
    *milliseconds = std::chrono::duration<float, std::milli>(to->at - from->at).count();
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    VERDIFF_ENTER();
    if (!event) return fail(cudaErrorInvalidResourceHandle);
    delete event;
    return cudaSuccess;
}
