#include "Base/status.h"

#include "Base/clock.h"
#include "Base/context.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { REPORT_INTERVAL_NS = 120 * 1000 * 1000 };

/* A path may hold a line break; a message may not. */
static void make_one_line(char *text)
{
    for (char *c = text; *c; c++)
        if (*c == '\n' || *c == '\r') *c = ' ';
}

vdn_status vdni_fail(vdn_ctx *ctx, vdn_status status, const char *format, ...)
{
    if (!ctx || ctx->error[0]) return status; /* A lower layer knew more: keep its reason. */
    va_list list;
    va_start(list, format);
    (void)vsnprintf(ctx->error, sizeof ctx->error, format, list);
    va_end(list);
    make_one_line(ctx->error);
    return status;
}

void vdni_clear_error(vdn_ctx *ctx)
{
    if (ctx) ctx->error[0] = '\0';
}

void vdni_note(vdn_ctx *ctx, const char *format, ...)
{
    char line[VDNI_ERROR_BYTES];
    if (!ctx || !ctx->log) return;
    va_list list;
    va_start(list, format);
    (void)vsnprintf(line, sizeof line, format, list);
    va_end(list);
    make_one_line(line);
    ctx->log(ctx->user, line);
}

vdn_status vdni_report(vdn_ctx *ctx, double fraction)
{
    if (!ctx->progress) return VDN_OK;
    const int64_t now = vdni_clock_ns();
    if (fraction < 1.0 && ctx->last_report_ns != 0 &&
        now - ctx->last_report_ns < REPORT_INTERVAL_NS)
        return VDN_OK;
    ctx->last_report_ns = now;
    const double whole = ctx->progress_floor + ctx->progress_scale * fraction;
    if (ctx->progress(ctx->user, whole, ctx->stage))
        return vdni_fail(ctx, VDN_ERR_ABORTED, "stopped by the caller during: %s", ctx->stage);
    return VDN_OK;
}

void vdni_ctx_init(vdn_ctx *ctx)
{
    memset(ctx, 0, sizeof *ctx);
    ctx->threads = 1;
    ctx->progress_scale = 1.0;
    ctx->refuse_after = -1;
}

void vdni_ctx_stage(vdn_ctx *ctx, double from, double to, const char *format, ...)
{
    va_list list;
    ctx->progress_floor = from;
    ctx->progress_scale = to - from;
    va_start(list, format);
    (void)vsnprintf(ctx->stage, sizeof ctx->stage, format, list);
    va_end(list);
}

const char *vdn_status_name(vdn_status status)
{
    switch (status) {
    case VDN_OK: return "VDN_OK";
    case VDN_ERR_ARGUMENT: return "VDN_ERR_ARGUMENT";
    case VDN_ERR_MEMORY: return "VDN_ERR_MEMORY";
    case VDN_ERR_IO: return "VDN_ERR_IO";
    case VDN_ERR_FORMAT: return "VDN_ERR_FORMAT";
    case VDN_ERR_UNSUPPORTED: return "VDN_ERR_UNSUPPORTED";
    case VDN_ERR_DEVICE: return "VDN_ERR_DEVICE";
    case VDN_ERR_ABORTED: return "VDN_ERR_ABORTED";
    case VDN_ERR_NUMERIC: return "VDN_ERR_NUMERIC";
    }
    return "unknown status";
}
