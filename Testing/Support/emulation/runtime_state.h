/* What the parts of the emulated runtime share: its state, its errors, and its queues (streams.cpp). */
#ifndef VERDIFF_EMULATION_RUNTIME_STATE_H
#define VERDIFF_EMULATION_RUNTIME_STATE_H

#include "runtime_api.h"

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

typedef std::vector<std::function<cudaError_t()>> operations;

/* A place in a stream; an event is the last one that was recorded with it. */
struct place {
    cudaStream_t stream;
    bool reached;
    std::chrono::steady_clock::time_point at;
};
typedef std::shared_ptr<place> place_pointer;

struct queued {
    std::function<cudaError_t()> run;
    place_pointer after; /* only then; may be empty */
};

struct CUstream_st {
    bool capturing, spoilt;
    operations recorded;
    int number; /* 1 is the first */
    bool eager; /* does what it may as soon as it may */
    std::deque<queued> queue;
};
struct CUevent_st {
    place_pointer last;
};
struct CUgraph_st {
    operations nodes;
};
struct CUgraphExec_st {
    operations nodes;
};

namespace emulated
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
    std::map<char *, device_block> pinned;
    std::set<cudaStream_t> streams;
    CUstream_st null_stream = { false, false, {}, 0, true, {} };
    size_t allocated = 0;
    std::string fault;
    long mallocs = 0, launches = 0;
    cudaError_t sticky = cudaSuccess;
    int capturing = 0;
};

runtime &the();
cudaError_t fail(cudaError_t error);
/* Number behind "<name>:" in VERDIFF_EMULATION_FAULT, or 0. */
long fault_number(const char *name);
/* Whatever the call: no device, or a lost one. */
cudaError_t usable();
/* A letter for the log, see runtime_api.h. */
void note(char letter);

/* Do @p operation, or put it where its time will come. */
cudaError_t enqueue(cudaStream_t stream, std::function<cudaError_t()> operation);
/* All of the stream up to @p end, or to its end, and what that waits for in others. */
void run_until(cudaStream_t stream, const place_pointer &end);
void run_all();

} // namespace emulated

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

#endif
