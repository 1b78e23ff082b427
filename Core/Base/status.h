/* Status and messages. A failing function leaves one line in ctx and returns a code; a caller that
 * only passes the failure on adds nothing. */
#ifndef VDNI_STATUS_H
#define VDNI_STATUS_H

#include "vdn.h"

#if defined(__GNUC__)
#define VDNI_PRINTF(a, b) __attribute__((format(printf, a, b)))
#else
#define VDNI_PRINTF(a, b)
#endif

/* On failure: jump to `done` (the function owns something; `status` and the label exist). */
#define VDN_TRY(e)                                                                                 \
    do {                                                                                           \
        status = (e);                                                                              \
        if (status != VDN_OK) goto done;                                                           \
    } while (0)

/* On failure: return (the function owns nothing). */
#define VDN_CHECK(e)                                                                               \
    do {                                                                                           \
        const vdn_status vdn_check_ = (e);                                                         \
        if (vdn_check_ != VDN_OK) return vdn_check_;                                               \
    } while (0)

/* Record the reason (printf style, one line) and return @p status. ctx may be NULL. */
vdn_status vdni_fail(vdn_ctx *ctx, vdn_status status, const char *format, ...) VDNI_PRINTF(3, 4);

/* Forget the last reason; public functions call it first. */
void vdni_clear_error(vdn_ctx *ctx);

/* Send one line to the host's log, if it has one. */
void vdni_note(vdn_ctx *ctx, const char *format, ...) VDNI_PRINTF(2, 3);

/* Tell the host how far the running stage (vdni_ctx_stage) is, 0..1; VDN_ERR_ABORTED when it wants
 * to stop. */
VDN_MUST_USE vdn_status vdni_report(vdn_ctx *ctx, double fraction);

#endif
