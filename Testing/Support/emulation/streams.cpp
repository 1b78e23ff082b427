/* Streams, graphs and events of runtime_api.h. */
#include "runtime_state.h"

#include "threads.h"

using namespace emulated;

static bool is_eager(int number)
{
    const char *text = getenv("VERDIFF_EMULATION_STREAMS");
    const std::string mode = text ? text : "";
    if (mode == "late") return false;
    if (mode == "copies") return number > 1;
    return mode != "computing" || number == 1;
}

/* The first thing in the queue; a fault stays for the calls to come. */
static void run_first(cudaStream_t stream)
{
    const queued first = std::move(stream->queue.front());
    stream->queue.pop_front();
    const cudaError_t error = first.run();
    if (error != cudaSuccess && the().sticky == cudaSuccess) the().sticky = error;
}

/* What eager streams may do now. */
static void run_eager()
{
    for (bool moved = true; moved;) {
        moved = false;
        for (cudaStream_t s : the().streams)
            while (s->eager && !s->queue.empty() &&
                   (!s->queue.front().after || s->queue.front().after->reached)) {
                run_first(s);
                moved = true;
            }
    }
}

void emulated::run_until(cudaStream_t stream, const place_pointer &end)
{
    while (!stream->queue.empty() && !(end && end->reached)) {
        const place_pointer after = stream->queue.front().after;
        if (after && !after->reached) {
            run_until(after->stream, after); /* and with it, maybe, some of this stream */
            continue;
        }
        run_first(stream);
        run_eager();
    }
}

void emulated::run_all()
{
    for (cudaStream_t s : the().streams) run_until(s, nullptr);
}

cudaError_t emulated::enqueue(cudaStream_t stream, std::function<cudaError_t()> operation)
{
    runtime &r = the();
    if (!stream)
        stream = &r.null_stream;
    else if (!r.streams.count(stream))
        return fail(cudaErrorInvalidResourceHandle);
    if (stream->capturing) {
        stream->recorded.push_back(std::move(operation));
        return cudaSuccess;
    }
    if (stream->eager && stream->queue.empty()) return fail(operation());
    stream->queue.push_back({ std::move(operation), nullptr });
    return cudaSuccess;
}

/* ---- streams and kernels ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    *stream = nullptr;
    VERDIFF_ENTER();
    if (flags > cudaStreamNonBlocking) return fail(cudaErrorInvalidValue);
    const int number = (int)the().streams.size() + 1;
    *stream = new CUstream_st{ false, false, {}, number, is_eager(number), {} };
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
    if (!the().streams.count(stream)) return fail(cudaErrorInvalidResourceHandle);
    run_until(stream, nullptr);
    the().streams.erase(stream);
    the().capturing -= stream->capturing;
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    VERDIFF_ENTER();
    if (stream && !the().streams.count(stream)) return fail(cudaErrorInvalidResourceHandle);
    if (!stream || stream->capturing) VERDIFF_NOT_CAPTURED();
    if (stream && !stream->queue.empty()) {
        note('Y');
        run_until(stream, nullptr);
    }
    return fail(the().sticky);
}

/* Of what is in the event's stream now, not of what comes. */
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    VERDIFF_ENTER();
    if (!event || !the().streams.count(stream)) return fail(cudaErrorInvalidResourceHandle);
    if (flags) return fail(cudaErrorInvalidValue);
    if (stream->capturing) VERDIFF_NOT_CAPTURED(); /* nothing here records across streams */
    if (event->last && !event->last->reached)
        stream->queue.push_back({ [] { return cudaSuccess; }, event->last });
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
    if (!stream || !stream->capturing) note('K');
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
    note('K');
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
    const place_pointer here = std::make_shared<place>();
    here->stream = stream ? stream : &the().null_stream;
    event->last = here;
    const cudaError_t error = enqueue(stream, [=] {
        here->reached = true;
        here->at = std::chrono::steady_clock::now();
        return cudaSuccess;
    });
    run_eager();
    return error;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    VERDIFF_ENTER();
    if (!event) return fail(cudaErrorInvalidResourceHandle);
    if (event->last && !event->last->reached) {
        note('W');
        run_until(event->last->stream, event->last);
    }
    return fail(the().sticky);
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to)
{
    VERDIFF_ENTER();
    if (!from || !to || !from->last || !to->last) return fail(cudaErrorInvalidResourceHandle);
    if (!from->last->reached || !to->last->reached) return fail(cudaErrorNotReady);
    *milliseconds = std::chrono::duration<float, std::milli>(to->last->at - from->last->at).count();
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    VERDIFF_ENTER();
    if (!event) return fail(cudaErrorInvalidResourceHandle);
    delete event;
    return cudaSuccess;
}
