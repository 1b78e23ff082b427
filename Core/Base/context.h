/* The context every function receives: options, last reason, allocator counters. Core/Api opens the
 * device and stores it here; the layers between only hand the pointers on. */
#ifndef VDNI_CONTEXT_H
#define VDNI_CONTEXT_H

#include "Base/status.h"

struct vdni_backend;
struct vdni_device;

enum { VDNI_ERROR_BYTES = 1024 };

struct vdn_ctx {
    char error[VDNI_ERROR_BYTES];
    int32_t threads;
    int64_t max_memory_bytes;
    vdn_progress progress;
    vdn_log log;
    void *user;
    double progress_floor, progress_scale; /* the running stage covers [floor, floor + scale] */
    int64_t last_report_ns;
    char stage[96]; /* comment of the running stage */

    int64_t now_bytes, peak_bytes; /* counted by Base/memory */
    int64_t allocations;           /* ever made; tests compare it before and after a step */
    int64_t refuse_after;          /* tests: refuse every allocation from this one on; -1 never */

    const struct vdni_backend *backend; /* NULL in tests of the lower layers */
    struct vdni_device *device;
    char device_name[128];

    /* Plans kept between calls (Segment/segment.c), and how to let go of them. */
    void *kept;
    void (*kept_free)(vdn_ctx *ctx, void *kept);
    int64_t models_made; /* serial numbers of models */
};

/* Defaults for a context on the caller's stack: no device, no limits, one thread. */
void vdni_ctx_init(vdn_ctx *ctx);

/* Let the next stage report 0..1 inside [from, to] of the whole call, under one comment (printf
 * style). */
void vdni_ctx_stage(vdn_ctx *ctx, double from, double to, const char *format, ...)
    VDNI_PRINTF(4, 5);

#endif
