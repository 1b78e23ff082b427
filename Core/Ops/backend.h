/* The twin interface: one table of functions per back end. The CPU's is linked in; the CUDA
 * library's is found at run time. A back end implements every kind of Ops/op.h.
 *
 * Life of an operator: prepare (choose an algorithm, build its compiled form, say how much
 * workspace) once; run any number of times; unprepare. run allocates nothing. */
#ifndef VDNI_BACKEND_H
#define VDNI_BACKEND_H

#include "Ops/op.h"

enum { VDNI_BACKEND_ABI = 4 };

typedef struct vdni_device vdni_device; /* each back end's own */
struct vdni_optimizer_step;

typedef struct vdni_device_info {
    char name[128];         /* for a report: "cpu (oneDNN 2.6.3, amx bf16)" */
    int32_t bf16_is_fast;   /* non-zero: bf16 is worth using for convolutions */
    int32_t f16_is_fast;    /* the same for f16 */
    int64_t memory_bytes, memory_free_bytes;    /* 0 = unknown */
    int64_t limit_bytes, now_bytes, peak_bytes; /* of what allocate gives out; 0 = the host's */
} vdni_device_info;

enum {
    VDNI_PREPARE_VERIFY = 1, /* check each compiled form against the plain C one on first use */
    VDNI_PREPARE_PLAIN = 2   /* plain C only: the executable specification */
};

/* A host block on its way to the device or back. With a twin, device memory of its size, the way
 * between the two runs beside the computing, each direction in an order of its own; what is taken out of the twin and
 * put into it keeps the order of the computing. Without a twin all of it keeps that order. On the CPU
 * the block is plain memory and everything is done at once. */
typedef struct vdni_stage {
    void *host, *twin; /* twin NULL: there is none */
    int64_t bytes;
    void *own; /* the back end's */
} vdni_stage;

typedef struct vdni_backend {
    uint32_t abi, size;
    const char *name;
    int32_t shares_host_memory; /* device pointers are host pointers */

    VDN_MUST_USE vdn_status (*open)(vdn_ctx *ctx, vdni_device **out, int32_t index,
                                    int32_t threads, uint32_t flags);
    void (*close)(vdn_ctx *ctx, vdni_device *device);
    void (*describe)(const vdni_device *device, vdni_device_info *out);

    /* Memory of the device; 64-byte aligned, contents undefined. */
    VDN_MUST_USE vdn_status (*allocate)(vdn_ctx *ctx, vdni_device *device, void **out,
                                        int64_t bytes);
    void (*release)(vdn_ctx *ctx, vdni_device *device, void *block);
    VDN_MUST_USE vdn_status (*put)(vdn_ctx *ctx, vdni_device *device, void *to, const void *from,
                                   int64_t bytes);
    VDN_MUST_USE vdn_status (*get)(vdn_ctx *ctx, vdni_device *device, void *to, const void *from,
                                   int64_t bytes);
    VDN_MUST_USE vdn_status (*copy)(vdn_ctx *ctx, vdni_device *device, void *to, const void *from,
                                    int64_t bytes); /* on the device, no overlap */
    VDN_MUST_USE vdn_status (*zero)(vdn_ctx *ctx, vdni_device *device, void *to, int64_t bytes);
    VDN_MUST_USE vdn_status (*synchronize)(vdn_ctx *ctx, vdni_device *device);

    /* Copies that the host does not wait for. create: zeroed; a twin where @p twin is asked and host and
     * device share no memory. One way at a time:
     *   there: host writes, send, take any number of times (bytes from @p offset on into @p to)
     *   back:  fetch (@p bytes from @p from into the host block's begin)
     * wait: the host waits until nothing is on its way, and may read and write the block again. A fetch
     * without that wait may follow another; free waits by itself. */
    VDN_MUST_USE vdn_status (*stage_create)(vdn_ctx *ctx, vdni_device *device, vdni_stage *out,
                                            int64_t bytes, int32_t twin);
    void (*stage_free)(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage);
    VDN_MUST_USE vdn_status (*stage_send)(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage);
    VDN_MUST_USE vdn_status (*stage_take)(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage,
                                          void *to, int64_t offset, int64_t bytes);
    VDN_MUST_USE vdn_status (*stage_fetch)(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage,
                                           const void *from, int64_t bytes);
    VDN_MUST_USE vdn_status (*stage_wait)(vdn_ctx *ctx, vdni_device *device, vdni_stage *stage);

    /* @p op has passed vdni_op_check; its tensors need no data yet. */
    VDN_MUST_USE vdn_status (*prepare)(vdn_ctx *ctx, vdni_device *device, vdni_op *op);
    void (*unprepare)(vdn_ctx *ctx, vdni_device *device, vdni_op *op);
    VDN_MUST_USE vdn_status (*run)(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                   void *workspace);

    /* Optimiser steps are not graph operators: flat f32 blocks of @p count values. See optimizer.h */
    VDN_MUST_USE vdn_status (*optimize)(vdn_ctx *ctx, vdni_device *device,
                                        const struct vdni_optimizer_step *step);

    /* Record what run, copy and zero enqueue between begin and end instead of doing it, and do it as
     * one call any number of times, on the same addresses. NULL where that gains nothing. */
    VDN_MUST_USE vdn_status (*record_begin)(vdn_ctx *ctx, vdni_device *device);
    VDN_MUST_USE vdn_status (*record_end)(vdn_ctx *ctx, vdni_device *device, void **recording);
    VDN_MUST_USE vdn_status (*replay)(vdn_ctx *ctx, vdni_device *device, void *recording);
    void (*forget)(vdn_ctx *ctx, vdni_device *device, void *recording);
} vdni_backend;

/* What a program tells a back end it opened at run time, so that mismatched builds part in time. */
typedef struct vdni_backend_request {
    uint32_t abi;
    int64_t backend_bytes, context_bytes;
    const char *version;
} vdni_backend_request;

/* The symbol of such a library: its table, or NULL with one line in @p why. */
typedef const vdni_backend *vdni_backend_entry(const vdni_backend_request *request, char *why,
                                               size_t why_bytes);
#define VDNI_CUDA_ENTRY "verdiff_cuda_backend"

/* Check, prepare, run once and unprepare; allocates. For tests and one-off calls. */
VDN_MUST_USE vdn_status vdni_op_run_once(vdn_ctx *ctx, const vdni_backend *backend,
                                         vdni_device *device, vdni_op *op);

/* The CPU back end (Core/CPU); always there. */
const vdni_backend *vdni_cpu_backend(void);

#endif
