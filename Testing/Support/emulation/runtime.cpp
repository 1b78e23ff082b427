/* The runtime of runtime_api.h: memory, errors, faults on demand. Streams, graphs and events are in
 * streams.cpp. */
#include "runtime_state.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

using namespace emulated;

runtime &emulated::the()
{
    static runtime *r = new runtime;
    return *r;
}

static thread_local cudaError_t last_error = cudaSuccess;

cudaError_t emulated::fail(cudaError_t error)
{
    if (error != cudaSuccess) last_error = error;
    return error;
}

/* Number behind "<name>:", or 0. */
long emulated::fault_number(const char *name)
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

static size_t memory_bytes()
{
    const char *text = getenv("VERDIFF_EMULATION_MEMORY");
    return text ? (size_t)strtoull(text, nullptr, 10) : (size_t)4 << 30;
}

static int capability()
{
    const char *text = getenv("VERDIFF_EMULATION_CAPABILITY");
    return text ? atoi(text) : 90;
}

/* Whatever the call: no device, or a lost one. */
cudaError_t emulated::usable()
{
    if (fault_number("count")) return cudaErrorInsufficientDriver;
    if (fault_number("nodevice")) return cudaErrorNoDevice;
    return the().sticky;
}

static bool on_device(const void *p, size_t bytes)
{
    char *at = static_cast<char *>(const_cast<void *>(p));
    auto behind = the().blocks.upper_bound(at);
    if (behind == the().blocks.begin()) return false;
    --behind;
    return at + bytes <= behind->first + behind->second.bytes;
}

static bool touches_device(const void *p) { return on_device(p, 0); }

void emulated::note(char letter)
{
    const char *name = getenv("VERDIFF_EMULATION_LOG");
    if (!name || !name[0]) return;
    if (FILE *file = fopen(name, "a")) {
        fputc(letter, file);
        fclose(file);
    }
}

static bool is_pinned(const void *p, size_t bytes)
{
    char *at = static_cast<char *>(const_cast<void *>(p));
    auto behind = the().pinned.upper_bound(at);
    if (behind == the().pinned.begin()) return false;
    --behind;
    return at + bytes <= behind->first + behind->second.bytes;
}

static bool filled(const char *from, const char *to)
{
    for (; from < to; from++)
        if (*from != (char)FILLER) return false;
    return true;
}

static cudaError_t check_copy(void *to, const void *from, size_t bytes, cudaMemcpyKind *kind)
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

static const struct {
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
    run_all();
    return fail(the().sticky);
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
static bool make_block(device_block *out, char **data, size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t inside = (bytes + ALIGNMENT + page - 1) / page * page;
    char *mapping = static_cast<char *>(mmap(nullptr, inside + 2 * page, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (mapping == MAP_FAILED) return false;
    mprotect(mapping, page, PROT_NONE);
    mprotect(mapping + page + inside, page, PROT_NONE);
    char *end = mapping + page + inside;
    *data = end - (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    memset(mapping + page, FILLER, (size_t)(*data - mapping) - page);
    memset(*data, 0xff, bytes);
    memset(*data + bytes, FILLER, (size_t)(end - *data) - bytes);
    *out = { bytes, mapping, inside + 2 * page };
    return true;
}

static void drop_block(const device_block &b, const char *data, const char *what)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (!filled(b.mapping + page, data) ||
        !filled(data + b.bytes, b.mapping + b.mapping_bytes - page)) {
        fprintf(stderr, "emulation: something was written outside a %s block of %zu bytes\n", what,
                b.bytes);
        abort();
    }
    munmap(b.mapping, b.mapping_bytes);
}

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    *out = nullptr;
    VERDIFF_ENTER();
    VERDIFF_NOT_CAPTURED();
    runtime &r = the();
    const long refused = fault_number("malloc");
    note('A');
    if (++r.mallocs == refused || bytes > memory_bytes() || r.allocated > memory_bytes() - bytes)
        return fail(cudaErrorMemoryAllocation);
    if (bytes == 0) return cudaSuccess;
    device_block b;
    char *data;
    if (!make_block(&b, &data, bytes)) return fail(cudaErrorMemoryAllocation);
    r.blocks[data] = b;
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
    run_all();
    const device_block b = found->second;
    r.allocated -= b.bytes;
    r.blocks.erase(found);
    drop_block(b, data, "device");
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    *out = nullptr;
    VERDIFF_ENTER();
    VERDIFF_NOT_CAPTURED();
    device_block b;
    char *data;
    note('A');
    if (++the().mallocs == fault_number("malloc") || !make_block(&b, &data, bytes))
        return fail(cudaErrorMemoryAllocation);
    the().pinned[data] = b;
    *out = data;
    return cudaSuccess;
}

/* Waits for nothing: a copy that still needs the block meets no memory. */
cudaError_t cudaFreeHost(void *block)
{
    VERDIFF_ENTER();
    VERDIFF_NOT_CAPTURED();
    if (!block) return cudaSuccess;
    char *data = static_cast<char *>(block);
    const auto found = the().pinned.find(data);
    if (found == the().pinned.end()) return fail(cudaErrorInvalidValue);
    drop_block(found->second, data, "pinned");
    the().pinned.erase(found);
    return cudaSuccess;
}

/* Letter of a copy, see runtime_api.h. */
static char letter_of(cudaMemcpyKind kind, bool pinned, cudaStream_t stream)
{
    const bool there = kind == cudaMemcpyHostToDevice;
    if (!there && kind != cudaMemcpyDeviceToHost) return 'D';
    if (!pinned) return there ? 'H' : 'G';
    if (stream && stream->number > 1) return there ? 'S' : 'F';
    return there ? 's' : 'f';
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
    const bool there = kind == cudaMemcpyHostToDevice;
    const bool pinned = there ? is_pinned(from, bytes) : is_pinned(to, bytes);
    const char letter = letter_of(kind, pinned, stream);
    note(letter);
    std::vector<char> staged; /* the runtime has its own copy of what may change at once */
    if (letter == 'H' && stream && !(stream->eager && stream->queue.empty()))
        staged.assign(static_cast<const char *>(from), static_cast<const char *>(from) + bytes);
    const cudaError_t enqueued = enqueue(stream, [=] {
        memcpy(to, staged.empty() ? from : staged.data(), bytes);
        return cudaSuccess;
    });
    if (letter == 'G' && stream && !stream->capturing) run_until(stream, nullptr);
    return enqueued != cudaSuccess ? enqueued : fail(the().sticky);
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
    note('Z');
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
