/* The emulation itself: conversions, collectives, order, tiles, capture, faults. */
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <mma.h>

#include "test.h"

#include <sys/wait.h>
#include <unistd.h>

namespace
{

template <class... P, class... A>
cudaError_t start(void (*kernel)(P...), dim3 grid, dim3 block, cudaStream_t stream, A... arguments)
{
    return [&](P... values) {
        void *pointers[] = { &values..., nullptr };
        return cudaLaunchKernel(kernel, grid, block, pointers, 0, stream);
    }(static_cast<P>(arguments)...);
}

template <class T> T *device_array(size_t count)
{
    T *p = nullptr;
    EXPECT(cudaMalloc(&p, count * sizeof(T)) == cudaSuccess);
    return p;
}

void set_order(const char *order) { setenv("VERDIFF_EMULATION_ORDER", order, 1); }

const char *const orders[] = { "up", "down", "random:1", "random:2" };

/* The nearest of the finite values around x, by search: what a conversion has to give. */
uint16_t nearest(float x, float (*value)(uint16_t), uint16_t infinity)
{
    uint16_t low = 0, high = infinity;
    const float size = fabsf(x);
    while (high - low > 1) {
        const uint16_t middle = (uint16_t)((low + high) / 2);
        if (value(middle) <= size)
            low = middle;
        else
            high = middle;
    }
    const double below = (double)size - (double)value(low);
    const double top = high == infinity ? 2 * (double)value((uint16_t)(high - 1)) -
                                              (double)value((uint16_t)(high - 2))
                                        : (double)value(high);
    const double above = top - (double)size;
    uint16_t found = below < above || (!(above < below) && !(low & 1)) ? low : high;
    if (size > (float)top || std::isinf(size)) found = infinity;
    return (uint16_t)(found | (std::signbit(x) ? 0x8000 : 0));
}

void conversions_are_to_the_nearest_even()
{
    uint64_t seed = 1;
    int wrong = 0;
    for (int i = 0; i < 400000; i++) {
        const float x = __uint_as_float((unsigned)test_random_bits(&seed));
        const float y = ldexpf((float)test_random(&seed), (int)(test_random_bits(&seed) % 46) - 27);
        if (x == x) {
            wrong += emulation::to_bf16(x) != nearest(x, emulation::of_bf16, 0x7f80);
            wrong += emulation::to_half(x) != nearest(x, emulation::of_half, 0x7c00);
        }
        wrong += emulation::to_half(y) != nearest(y, emulation::of_half, 0x7c00);
    }
    EXPECT(wrong == 0);
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        const float h = emulation::of_half((uint16_t)bits), b = emulation::of_bf16((uint16_t)bits);
        wrong +=
            h == h ? emulation::to_half(h) != bits : (emulation::to_half(h) & 0x7fff) <= 0x7c00;
        wrong +=
            b == b ? emulation::to_bf16(b) != bits : (emulation::to_bf16(b) & 0x7fff) <= 0x7f80;
    }
    EXPECT(wrong == 0);
    EXPECT(emulation::to_half(65519.996f) == 0x7bff && emulation::to_half(65520.0f) == 0x7c00);
    EXPECT(emulation::of_half(1) == 0x1p-24f && emulation::to_half(0x1p-25f) == 0);
    EXPECT(emulation::to_half(-0.0f) == 0x8000 && std::isinf(emulation::of_half(0xfc00)));
}

__global__ void sum_by_shuffles(const int *x, long long *y)
{
    __shared__ long long parts[32];
    long long sum = x[blockIdx.x * blockDim.x + threadIdx.x];
    for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x) return;
    for (unsigned i = 1; i < blockDim.x / 32; i++) sum += parts[i];
    y[blockIdx.x] = sum;
}

__global__ void sum_by_memory(const int *x, long long *y)
{
    __shared__ long long parts[1024];
    parts[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
    __syncthreads();
    for (unsigned n = blockDim.x / 2; n > 0; n /= 2) {
        if (threadIdx.x < n) parts[threadIdx.x] += parts[threadIdx.x + n];
        __syncthreads();
    }
    if (threadIdx.x == 0) y[blockIdx.x] = parts[0];
}

void sums_over_a_block_are_right_in_every_order()
{
    for (const char *order : orders) {
        for (unsigned threads : { 32u, 64u, 256u, 1024u }) {
            const unsigned blocks = 5;
            int *x = device_array<int>(threads * blocks);
            long long *y = device_array<long long>(2 * blocks);
            set_order(order);
            for (unsigned i = 0; i < threads * blocks; i++) x[i] = (int)(i * i % 1009);
            EXPECT(start(sum_by_shuffles, blocks, threads, nullptr, x, y) == cudaSuccess);
            EXPECT(start(sum_by_memory, blocks, threads, nullptr, x, y + blocks) == cudaSuccess);
            for (unsigned b = 0; b < blocks; b++) {
                long long sum = 0;
                for (unsigned i = 0; i < threads; i++) sum += x[b * threads + i];
                EXPECT(y[b] == sum && y[blocks + b] == sum);
            }
            EXPECT(cudaFree(x) == cudaSuccess && cudaFree(y) == cudaSuccess);
        }
    }
}

__global__ void lanes(unsigned *y)
{
    const int lane = (int)threadIdx.x;
    unsigned *mine = y + 8 * lane;
    mine[0] = __ballot_sync(0xffffffffu, lane % 3 == 0);
    mine[1] = (unsigned)__shfl_down_sync(0xffffffffu, lane, 5);
    mine[2] = (unsigned)__shfl_up_sync(0xffffffffu, lane, 3, 8);
    mine[3] = (unsigned)__shfl_sync(0xffffffffu, lane, 9, 8);
    mine[4] = (unsigned)__any_sync(0xffffffffu, lane == 31);
    mine[5] = (unsigned)__all_sync(0xffffffffu, lane < 31);
    if (lane < 16) mine[6] = (unsigned)__shfl_xor_sync(0xffffu, lane, 1);
    __syncwarp();
    mine[7] = y[8 * (31 - lane)];
}

void warp_operations_follow_their_definitions()
{
    for (const char *order : orders) {
        unsigned *y = device_array<unsigned>(256);
        set_order(order);
        EXPECT(start(lanes, 1, 32, nullptr, y) == cudaSuccess);
        for (unsigned i = 0; i < 32; i++) {
            const unsigned *mine = y + 8 * i;
            EXPECT(mine[0] == 0x49249249u && mine[7] == mine[0]);
            EXPECT(mine[1] == (i + 5 < 32 ? i + 5 : i));
            EXPECT(mine[2] == (i % 8 >= 3 ? i - 3 : i));
            EXPECT(mine[3] == i / 8 * 8 + 1);
            EXPECT(mine[4] == 1 && mine[5] == 0);
            EXPECT(i >= 16 || mine[6] == (i ^ 1u));
        }
        EXPECT(cudaFree(y) == cudaSuccess);
    }
}

__global__ void neighbours(int *y, int with_barrier)
{
    __shared__ int values[64];
    values[threadIdx.x] = -1;
    __syncthreads();
    values[threadIdx.x] = (int)threadIdx.x;
    if (with_barrier) __syncthreads();
    y[threadIdx.x] = values[(threadIdx.x + 1) % blockDim.x];
}

void a_missing_barrier_changes_the_result_with_the_order()
{
    int *y = device_array<int>(64), found[2][64];
    for (int barrier = 0; barrier < 2; barrier++) {
        for (int i = 0; i < 2; i++) {
            set_order(orders[i]);
            EXPECT(start(neighbours, 1, 64, nullptr, y, barrier) == cudaSuccess);
            memcpy(found[i], y, sizeof found[i]);
        }
        EXPECT((memcmp(found[0], found[1], sizeof found[0]) == 0) == (barrier != 0));
    }
    EXPECT(cudaFree(y) == cudaSuccess);
}

__global__ void half_a_barrier()
{
    if (threadIdx.x < 31) __syncthreads();
}
__global__ void half_a_warp(int *y)
{
    if (threadIdx.x < 31) y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1, 1);
}
__global__ void out_of_bounds(char *y) { y[4096 + threadIdx.x] = 1; }
__global__ void just_out_of_bounds(char *y) { y[100 + threadIdx.x] = 1; }

/* What a process of its own says last when it does @p what; "" when it ends well. */
void last_words(void (*what)(), char *text, size_t bytes)
{
    int ends[2], status = 0;
    if (pipe(ends)) exit(1);
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        what();
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t n; (n = read(ends[0], text + length, bytes - 1 - length)) > 0;)
        length += (size_t)n;
    text[length] = 0;
    close(ends[0]);
    waitpid(child, &status, 0);
    EXPECT(WIFSIGNALED(status));
}

void wrong_kernels_are_stopped_with_a_reason()
{
    const struct {
        void (*what)();
        const char *says;
    } cases[] = {
        { [] { (void)start(half_a_barrier, 2, 64, nullptr); },
          "of 64 threads 31 wait at a barrier" },
        { [] { (void)start(half_a_warp, 1, 32, nullptr, device_array<int>(32)); },
          "31 in a warp operation" },
        { [] { (void)start(out_of_bounds, 1, 32, nullptr, device_array<char>(4096)); },
          "out_of_bounds" },
        { [] {
             char *p = device_array<char>(100);
             (void)start(just_out_of_bounds, 1, 1, nullptr, p);
             (void)cudaFree(p);
         },
          "outside a device block of 100 bytes" },
    };
    for (const auto &c : cases) {
        char text[1000];
        last_words(c.what, text, sizeof text);
        EXPECT(strstr(text, c.says) != nullptr);
        if (!strstr(text, c.says)) printf("  %s", text);
    }
}

template <class T, class LayoutA, class LayoutB>
__global__ void tile(const T *a, const T *b, float *c)
{
    using namespace nvcuda::wmma;
    fragment<matrix_a, 16, 16, 16, T, LayoutA> fa;
    fragment<matrix_b, 16, 16, 16, T, LayoutB> fb;
    fragment<accumulator, 16, 16, 16, float> sum;
    fill_fragment(sum, 1.0f);
    for (int k = 0; k < 2; k++) {
        load_matrix_sync(fa, a + k * (std::is_same<LayoutA, row_major>::value ? 16 : 16 * 32), 32);
        load_matrix_sync(fb, b + k * (std::is_same<LayoutB, row_major>::value ? 16 * 32 : 16), 32);
        mma_sync(sum, fa, fb, sum);
    }
    for (int i = 0; i < sum.num_elements; i++) sum.x[i] *= 2;
    store_matrix_sync(c, sum, 16, mem_row_major);
    load_matrix_sync(sum, c, 16, mem_row_major);
    store_matrix_sync(c + 256, sum, 16, mem_col_major);
}

template <class T, class LayoutA, class LayoutB> void check_tile()
{
    using nvcuda::wmma::row_major;
    T *a = device_array<T>(32 * 32), *b = device_array<T>(32 * 32);
    float *c = device_array<float>(512);
    uint64_t seed = 3;
    for (int i = 0; i < 32 * 32; i++)
        a[i] = (float)test_random(&seed), b[i] = (float)test_random(&seed);
    EXPECT(start(tile<T, LayoutA, LayoutB>, 1, 32, nullptr, a, b, c) == cudaSuccess);
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 16; column++) {
            double sum = 1;
            for (int k = 0; k < 32; k++)
                sum +=
                    (double)
                        a[std::is_same<LayoutA, row_major>::value ? row * 32 + k : k * 32 + row] *
                    (double)b[std::is_same<LayoutB, row_major>::value ? k * 32 + column
                                                                      : column * 32 + k];
            EXPECT_LE(fabs(c[row * 16 + column] - 2 * sum), 1e-5);
            EXPECT(c[256 + column * 16 + row] == c[row * 16 + column]);
        }
    EXPECT(cudaFree(a) == cudaSuccess && cudaFree(b) == cudaSuccess && cudaFree(c) == cudaSuccess);
}

void tiles_multiply_as_matrices_do()
{
    using nvcuda::wmma::col_major;
    using nvcuda::wmma::row_major;
    check_tile<__nv_bfloat16, row_major, row_major>();
    check_tile<__nv_bfloat16, col_major, row_major>();
    check_tile<__half, row_major, col_major>();
    check_tile<__half, col_major, col_major>();
}

__global__ void add_number(int *y, int x) { y[threadIdx.x] += x; }

void a_captured_stream_does_nothing_until_its_graph_is_launched()
{
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    int *y = device_array<int>(32), host[32], x = 5;
    EXPECT(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
    memset(y, 0, 32 * sizeof *y);
    EXPECT(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    EXPECT(cudaMemsetAsync(y, 0, 32 * sizeof *y, stream) == cudaSuccess);
    EXPECT(start(add_number, 1, 32, stream, y, x) == cudaSuccess);
    x = 7; /* the recording has its own copy */
    EXPECT(start(add_number, 1, 32, stream, y, x) == cudaSuccess);
    EXPECT(y[3] == 0);
    EXPECT(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
    EXPECT(cudaGraphInstantiate(&executable, graph) == cudaSuccess);
    EXPECT(cudaGraphDestroy(graph) == cudaSuccess);
    for (int i = 0; i < 2; i++) {
        EXPECT(cudaGraphLaunch(executable, stream) == cudaSuccess);
        EXPECT(cudaMemcpyAsync(host, y, sizeof host, cudaMemcpyDeviceToHost, stream) ==
               cudaSuccess);
        EXPECT(cudaStreamSynchronize(stream) == cudaSuccess);
        EXPECT(host[0] == 12 && host[31] == 12);
    }
    EXPECT(cudaGraphExecDestroy(executable) == cudaSuccess);

    for (int which = 0; which < 3; which++) {
        void *p = nullptr;
        EXPECT(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
        const cudaError_t error =
            which == 0   ? cudaMalloc(&p, 16)
            : which == 1 ? cudaStreamSynchronize(stream)
                         : cudaMemcpyAsync(y, host, sizeof host, cudaMemcpyHostToDevice, stream);
        EXPECT(error == cudaErrorStreamCaptureUnsupported && !p);
        EXPECT(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated);
        EXPECT(cudaGetLastError() == cudaErrorStreamCaptureInvalidated);
        EXPECT(cudaGetLastError() == cudaSuccess);
    }
    EXPECT(cudaStreamDestroy(stream) == cudaSuccess && cudaFree(y) == cudaSuccess);
}

void faults_come_when_they_are_asked_for()
{
    void *p = nullptr, *q = nullptr;
    int count = 0, host = 0, *y = device_array<int>(32);
    size_t free_bytes = 0, total = 0;
    setenv("VERDIFF_EMULATION_FAULT", "malloc:2", 1);
    EXPECT(cudaMalloc(&p, 8) == cudaSuccess && cudaMalloc(&q, 8) == cudaErrorMemoryAllocation);
    EXPECT(cudaMalloc(&q, 8) == cudaSuccess && cudaFree(p) == cudaSuccess &&
           cudaFree(q) == cudaSuccess);
    setenv("VERDIFF_EMULATION_FAULT", "launch:2", 1);
    EXPECT(start(add_number, 1, 32, nullptr, y, 1) == cudaSuccess);
    EXPECT(start(add_number, 1, 32, nullptr, y, 1) == cudaErrorIllegalAddress);
    EXPECT(cudaMemcpy(&host, y, 4, cudaMemcpyDeviceToHost) == cudaErrorIllegalAddress);
    EXPECT(cudaGetLastError() == cudaErrorIllegalAddress);
    EXPECT(cudaGetLastError() == cudaErrorIllegalAddress);
    setenv("VERDIFF_EMULATION_FAULT", "count", 1);
    EXPECT(cudaGetDeviceCount(&count) == cudaErrorInsufficientDriver && count == 0);
    setenv("VERDIFF_EMULATION_FAULT", "nodevice", 1);
    EXPECT(cudaGetDeviceCount(&count) == cudaErrorNoDevice);
    unsetenv("VERDIFF_EMULATION_FAULT");
    EXPECT(cudaGetDeviceCount(&count) == cudaSuccess && count == 1);

    setenv("VERDIFF_EMULATION_MEMORY", "1000", 1);
    EXPECT(cudaMemGetInfo(&free_bytes, &total) == cudaSuccess && total == 1000);
    EXPECT(free_bytes == 1000 - 32 * sizeof *y);
    EXPECT(cudaMalloc(&p, 900) == cudaErrorMemoryAllocation && !p);
    unsetenv("VERDIFF_EMULATION_MEMORY");
    EXPECT(cudaFree(&host) == cudaErrorInvalidValue);
    EXPECT(cudaMemcpy(y, &host, 129, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
    EXPECT(cudaMemcpy(&host, &count, 4, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
    EXPECT(start(add_number, 1, 1025, nullptr, y, 1) == cudaErrorInvalidConfiguration);
    EXPECT(start(add_number, 0, 32, nullptr, y, 1) == cudaErrorInvalidConfiguration);
    EXPECT(start(add_number, dim3(1, 65536), 32, nullptr, y, 1) == cudaErrorInvalidConfiguration);
    EXPECT(cudaFree(y) == cudaSuccess);
    (void)cudaGetLastError();
}

} // namespace

/* What two streams do with one cell, by how eager they are: the first adds 1 and the second doubles when
 * the event says so, and one that does not ask for the event shows it. */
__global__ void twice(int *x)
{
    *x *= 2;
}
__global__ void one_more(int *x)
{
    *x += 1;
}
void streams_keep_their_order_only_where_they_are_told()
{
    const struct {
        const char *mode;
        int without; /* the event, from 1: (1 + 1) * 2 or 1 * 2 + 1 */
    } cases[] = { { "", 4 }, { "late", 4 }, { "copies", 3 }, { "computing", 4 } };
    for (const auto &c : cases) {
        for (int waits = 0; waits < 2; waits++) {
            cudaStream_t first, second;
            cudaEvent_t event;
            int *x, *host, start_value = 1;
            setenv("VERDIFF_EMULATION_STREAMS", c.mode, 1);
            EXPECT(cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking) == cudaSuccess);
            EXPECT(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking) == cudaSuccess);
            EXPECT(cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess);
            EXPECT(cudaMalloc(&x, sizeof *x) == cudaSuccess);
            EXPECT(cudaMallocHost((void **)&host, sizeof *host) == cudaSuccess);
            EXPECT(cudaMemcpy(x, &start_value, sizeof *x, cudaMemcpyHostToDevice) == cudaSuccess);
            *host = -1;
            EXPECT(start(one_more, 1, 1, first, x) == cudaSuccess);
            EXPECT(cudaEventRecord(event, first) == cudaSuccess);
            if (waits) EXPECT(cudaStreamWaitEvent(second, event, 0) == cudaSuccess);
            EXPECT(start(twice, 1, 1, second, x) == cudaSuccess);
            if (!waits) EXPECT(cudaEventSynchronize(event) == cudaSuccess);
            EXPECT(cudaMemcpyAsync(host, x, sizeof *x, cudaMemcpyDeviceToHost, second) ==
                   cudaSuccess);
            EXPECT(!waits || !strcmp(c.mode, "") || *host == -1);
            EXPECT(cudaStreamSynchronize(second) == cudaSuccess);
            EXPECT(*host == (waits ? 4 : c.without));
            if (*host != (waits ? 4 : c.without)) printf("  %s: %d\n", c.mode, *host);
            EXPECT(cudaFree(x) == cudaSuccess && cudaFreeHost(host) == cudaSuccess);
            EXPECT(cudaEventDestroy(event) == cudaSuccess);
            EXPECT(cudaStreamDestroy(second) == cudaSuccess);
            EXPECT(cudaStreamDestroy(first) == cudaSuccess);
        }
    }
    unsetenv("VERDIFF_EMULATION_STREAMS");
}

int main()
{
    RUN(conversions_are_to_the_nearest_even);
    RUN(sums_over_a_block_are_right_in_every_order);
    RUN(warp_operations_follow_their_definitions);
    RUN(a_missing_barrier_changes_the_result_with_the_order);
    RUN(wrong_kernels_are_stopped_with_a_reason);
    RUN(tiles_multiply_as_matrices_do);
    RUN(a_captured_stream_does_nothing_until_its_graph_is_launched);
    RUN(streams_keep_their_order_only_where_they_are_told);
    RUN(faults_come_when_they_are_asked_for);
    return test_result();
}
