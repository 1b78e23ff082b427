#include "Base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

/* One alignment unit in front of every block. */
typedef struct {
    int64_t bytes;
} header;

static header *header_of(void *block) { return (header *)((char *)block - ALIGNMENT); }

static vdn_status refuse(vdn_ctx *ctx, int64_t count, int64_t item_bytes, const char *why)
{
    return vdni_fail(ctx, VDN_ERR_MEMORY, "cannot allocate %lld x %lld bytes: %s (%lld held)",
                     (long long)count, (long long)item_bytes, why, (long long)ctx->now_bytes);
}

/* Whether the context allows so much more. */
static vdn_status check_room(vdn_ctx *ctx, int64_t count, int64_t item_bytes)
{
    if (count < 0 || item_bytes < 1 || count > (INT64_MAX - 2 * ALIGNMENT) / item_bytes)
        return refuse(ctx, count, item_bytes, "size overflows");
    if (ctx->refuse_after >= 0 && ctx->allocations >= ctx->refuse_after)
        return refuse(ctx, count, item_bytes, "refused by a test");
    if (ctx->max_memory_bytes > 0 && ctx->now_bytes > ctx->max_memory_bytes - count * item_bytes)
        return refuse(ctx, count, item_bytes, "over the memory limit");
    return VDN_OK;
}

static void count_bytes(vdn_ctx *ctx, int64_t bytes)
{
    ctx->allocations++;
    ctx->now_bytes += bytes;
    if (ctx->now_bytes > ctx->peak_bytes) ctx->peak_bytes = ctx->now_bytes;
}

vdn_status vdni_alloc(vdn_ctx *ctx, void **out, int64_t count, int64_t item_bytes)
{
    *out = NULL;
    VDN_CHECK(check_room(ctx, count, item_bytes));
    const int64_t bytes = count * item_bytes;
    const size_t total = ((size_t)bytes + 2 * ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    char *raw = aligned_alloc(ALIGNMENT, total);
    if (!raw) return refuse(ctx, count, item_bytes, "the system has no more");
    memset(raw, 0, total);
    *out = raw + ALIGNMENT;
    header_of(*out)->bytes = bytes;
    count_bytes(ctx, bytes);
    return VDN_OK;
}

vdn_status vdni_hold_bytes(vdn_ctx *ctx, int64_t bytes)
{
    VDN_CHECK(check_room(ctx, bytes, 1));
    count_bytes(ctx, bytes);
    return VDN_OK;
}

void vdni_drop_bytes(vdn_ctx *ctx, int64_t bytes) { ctx->now_bytes -= bytes; }

void vdni_free(vdn_ctx *ctx, void *block)
{
    if (!block) return;
    if (ctx) ctx->now_bytes -= header_of(block)->bytes;
    free((char *)block - ALIGNMENT);
}

vdn_status vdni_resize(vdn_ctx *ctx, void **block, int64_t count, int64_t item_bytes)
{
    void *grown = NULL;
    VDN_CHECK(vdni_alloc(ctx, &grown, count, item_bytes));
    if (*block) {
        const int64_t old_bytes = header_of(*block)->bytes, new_bytes = header_of(grown)->bytes;
        memcpy(grown, *block, (size_t)(old_bytes < new_bytes ? old_bytes : new_bytes));
        vdni_free(ctx, *block);
    }
    *block = grown;
    return VDN_OK;
}

vdn_status vdni_strdup(vdn_ctx *ctx, char **out, const char *text)
{
    const size_t bytes = strlen(text) + 1;
    VDN_CHECK(VDNI_NEW(ctx, *out, bytes));
    memcpy(*out, text, bytes);
    return VDN_OK;
}
