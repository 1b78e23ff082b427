/* The back end operator tests run on, and the way of their data to a device and back.
 *
 * VERDIFF_TEST_BACKEND names a library with the symbol VDNI_CUDA_ENTRY: libverdiff_cuda.so on a
 * machine with a GPU, its emulation elsewhere. Without it the CPU's table is used. */
#ifndef VERDIFF_OP_BACKEND_H
#define VERDIFF_OP_BACKEND_H

#include "test.h"

#include "Base/memory.h"
#include "Ops/backend.h"

#include <dlfcn.h>

/* On a device, what lies before and behind a block: large numbers in f32 and bf16, NaN in f16. */
enum { OP_GUARD_BYTES = 256, OP_DEVICE_GUARD = 0xfe, OP_MOST_BLOCKS = 16 };

static inline const vdni_backend *op_open_backend(const char *path)
{
    const vdni_backend_request request = { VDNI_BACKEND_ABI, sizeof(vdni_backend), sizeof(vdn_ctx),
                                           VDN_VERSION };
    char why[512] = "it has no symbol " VDNI_CUDA_ENTRY;
    const vdni_backend *table = NULL;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) (void)snprintf(why, sizeof why, "%s", dlerror());
    void *symbol = library ? dlsym(library, VDNI_CUDA_ENTRY) : NULL;
    if (symbol) {
        vdni_backend_entry *entry;
        memcpy(&entry, &symbol, sizeof entry);
        table = entry(&request, why, sizeof why);
    }
    if (!table) {
        printf("VERDIFF_TEST_BACKEND=%s: %s\n", path, why);
        exit(1);
    }
    return table;
}

static inline const vdni_backend *op_backend(void)
{
    static const vdni_backend *table;
    const char *path = getenv("VERDIFF_TEST_BACKEND");
    if (!table) table = path && path[0] ? op_open_backend(path) : vdni_cpu_backend();
    return table;
}

/* Order of the emulation's threads and blocks from now on; NULL = as the caller of the program has
 * it. Means nothing to a real device. */
static inline void op_set_order(const char *order)
{
    static char callers[64];
    const char *now = getenv("VERDIFF_EMULATION_ORDER");
    if (order) {
        (void)snprintf(callers, sizeof callers, "%s", now ? now : "up");
        (void)setenv("VERDIFF_EMULATION_ORDER", order, 1);
    } else {
        (void)setenv("VERDIFF_EMULATION_ORDER", callers, 1);
    }
}

/* A device block between guards. */
typedef struct {
    unsigned char *block, *data;
    int64_t bytes;
} op_zone;

/* @p from NULL: filled with 0xff, which is NaN. */
static inline vdn_status op_zone_make(vdn_ctx *ctx, vdni_device *device, op_zone *zone,
                                      const void *from, int64_t bytes)
{
    const vdni_backend *backend = op_backend();
    const size_t all = (size_t)(bytes + 2 * OP_GUARD_BYTES);
    void *block = NULL;
    VDN_CHECK(backend->allocate(ctx, device, &block, (int64_t)all));
    zone->block = block;
    zone->data = zone->block + OP_GUARD_BYTES;
    zone->bytes = bytes;
    unsigned char *image = malloc(all);
    if (!image) exit(1);
    memset(image, OP_DEVICE_GUARD, all);
    if (from)
        memcpy(image + OP_GUARD_BYTES, from, (size_t)bytes);
    else
        memset(image + OP_GUARD_BYTES, 0xff, (size_t)bytes);
    vdn_status status = backend->put(ctx, device, block, image, (int64_t)all);
    if (status == VDN_OK) status = backend->synchronize(ctx, device);
    free(image);
    return status;
}

/* The guards are whole. */
static inline vdn_status op_zone_check(vdn_ctx *ctx, vdni_device *device, const op_zone *zone)
{
    const vdni_backend *backend = op_backend();
    unsigned char guard[2][OP_GUARD_BYTES];
    int intact = 1;
    VDN_CHECK(backend->get(ctx, device, guard[0], zone->block, OP_GUARD_BYTES));
    VDN_CHECK(backend->get(ctx, device, guard[1], zone->data + zone->bytes, OP_GUARD_BYTES));
    for (int i = 0; i < OP_GUARD_BYTES; i++)
        intact &= guard[0][i] == OP_DEVICE_GUARD && guard[1][i] == OP_DEVICE_GUARD;
    EXPECT(intact);
    return VDN_OK;
}

static inline void op_zone_drop(vdn_ctx *ctx, vdni_device *device, op_zone *zone)
{
    op_backend()->release(ctx, device, zone->block);
    *zone = (op_zone){ 0 };
}

/* Host ranges and the device blocks that stand for them; ranges that overlap share one. */
typedef struct {
    int count;
    struct {
        unsigned char *host;
        int64_t bytes;
        int written;
        op_zone zone;
    } block[OP_MOST_BLOCKS];
} op_moves;

static inline void op_moves_add(op_moves *m, void *host, int64_t bytes, int written)
{
    unsigned char *first = host, *last = first + bytes;
    if (!host) return;
    for (int i = 0; i < m->count;) {
        unsigned char *start = m->block[i].host, *end = start + m->block[i].bytes;
        if (last <= start || end <= first) {
            i++;
            continue;
        }
        if (start < first) first = start;
        if (end > last) last = end;
        written |= m->block[i].written;
        m->block[i] = m->block[--m->count];
        i = 0;
    }
    if (m->count == OP_MOST_BLOCKS) exit(1);
    m->block[m->count].host = first;
    m->block[m->count].bytes = last - first;
    m->block[m->count++].written = written;
}

static inline vdn_status op_moves_there(vdn_ctx *ctx, vdni_device *device, op_moves *m)
{
    for (int i = 0; i < m->count; i++)
        VDN_CHECK(
            op_zone_make(ctx, device, &m->block[i].zone, m->block[i].host, m->block[i].bytes));
    return VDN_OK;
}

/* Where @p host is on the device; NULL stays NULL. */
static inline void *op_moved(const op_moves *m, const void *host)
{
    const unsigned char *at = host;
    for (int i = 0; at && i < m->count; i++)
        if (at >= m->block[i].host && at < m->block[i].host + m->block[i].bytes)
            return m->block[i].zone.data + (at - m->block[i].host);
    return NULL;
}

static inline vdn_status op_moves_back(vdn_ctx *ctx, vdni_device *device, op_moves *m)
{
    for (int i = 0; i < m->count; i++) {
        const size_t bytes = (size_t)m->block[i].bytes;
        unsigned char *found = malloc(bytes);
        if (!found) exit(1);
        vdn_status status = op_zone_check(ctx, device, &m->block[i].zone);
        if (status == VDN_OK)
            status = op_backend()->get(ctx, device, found, m->block[i].zone.data, (int64_t)bytes);
        if (status == VDN_OK) {
            if (m->block[i].written)
                memcpy(m->block[i].host, found, bytes);
            else
                EXPECT(memcmp(m->block[i].host, found, bytes) == 0);
        }
        free(found);
        VDN_CHECK(status);
    }
    return VDN_OK;
}

static inline void op_moves_drop(vdn_ctx *ctx, vdni_device *device, op_moves *m)
{
    for (int i = 0; i < m->count; i++) op_zone_drop(ctx, device, &m->block[i].zone);
}

#endif
