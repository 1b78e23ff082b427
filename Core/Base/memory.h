/* The only allocator of the library: 64-byte aligned, zeroed, counted, refusable.
 *
 * Every block carries its size in a header, so that the context always knows what it holds. Tests
 * set ctx->refuse_after to walk through every failure; max_memory_bytes bounds the sum. */
#ifndef VDNI_MEMORY_H
#define VDNI_MEMORY_H

#include "Base/context.h"

/* @p count items of @p item_bytes, zeroed. A count of 0 gives a valid block of no items.
 * VDN_ERR_MEMORY on overflow, refusal or when ctx->max_memory_bytes would be passed. */
VDN_MUST_USE vdn_status vdni_alloc(vdn_ctx *ctx, void **out, int64_t count, int64_t item_bytes);

/* Free a block of vdni_alloc; NULL is fine. The context may already be gone: ctx may be NULL. */
void vdni_free(vdn_ctx *ctx, void *block);

/* Grow or shrink to @p count items, keeping the contents; new items are zero. */
VDN_MUST_USE vdn_status vdni_resize(vdn_ctx *ctx, void **block, int64_t count, int64_t item_bytes);

/* Count bytes that come from elsewhere (a device's runtime) as one allocation under the same limits, and
 * take them off again. */
VDN_MUST_USE vdn_status vdni_hold_bytes(vdn_ctx *ctx, int64_t bytes);
void vdni_drop_bytes(vdn_ctx *ctx, int64_t bytes);

/* Copy of a string. */
VDN_MUST_USE vdn_status vdni_strdup(vdn_ctx *ctx, char **out, const char *text);

#define VDNI_NEW(ctx, pointer, count)                                                              \
    vdni_alloc(ctx, (void **)&(pointer), (int64_t)(count), (int64_t)sizeof *(pointer))

#define VDNI_RESIZE(ctx, pointer, count)                                                           \
    vdni_resize(ctx, (void **)&(pointer), (int64_t)(count), (int64_t)sizeof *(pointer))

#endif
