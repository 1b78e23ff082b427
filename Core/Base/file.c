#undef _GNU_SOURCE /* the POSIX strerror_r */
#define _POSIX_C_SOURCE 200809L
#include "Base/file.h"

#include "Base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_ATTEMPTS = 10000, SUFFIX_BYTES = 32, MAX_CALL_BYTES = 1 << 30 };

struct vdni_file_writer {
    char *path;
    char *partial; /* temporary name; exists while descriptor >= 0 */
    int descriptor;
    int64_t bytes;
};

static vdn_status fail_with(vdn_ctx *ctx, const char *verb, const char *path, int number)
{
    char reason[128];
    if (strerror_r(number, reason, sizeof reason) != 0)
        (void)snprintf(reason, sizeof reason, "error %d", number);
    return vdni_fail(ctx, VDN_ERR_IO, "cannot %s %s: %s", verb, path, reason);
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static vdn_status write_all(vdn_ctx *ctx, const vdni_file_writer *w, const void *data,
                            int64_t bytes, int64_t offset)
{
    const char *from = data;
    while (bytes > 0) {
        const size_t part = bytes < MAX_CALL_BYTES ? (size_t)bytes : (size_t)MAX_CALL_BYTES;
        const ssize_t n = pwrite(w->descriptor, from, part, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_with(ctx, "write", w->path, errno);
        if (n == 0) return fail_with(ctx, "write", w->path, ENOSPC);
        from += n;
        offset += n;
        bytes -= n;
    }
    return VDN_OK;
}

/* A name nobody else has; the number only keeps concurrent writers apart. */
static vdn_status open_partial(vdn_ctx *ctx, vdni_file_writer *w)
{
    const size_t room = strlen(w->path) + SUFFIX_BYTES;
    for (long i = 0; i < NAME_ATTEMPTS; i++) {
        (void)snprintf(w->partial, room, "%s.%ld.partial", w->path, (long)getpid() + i);
        w->descriptor = open(w->partial, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (w->descriptor >= 0) return VDN_OK;
        if (errno != EEXIST) break;
    }
    return fail_with(ctx, "create", w->path, errno);
}

vdn_status vdni_file_create(vdn_ctx *ctx, vdni_file_writer **out, const char *path)
{
    vdn_status status = VDN_OK;
    vdni_file_writer *w = NULL;

    if (!path[0]) return vdni_fail(ctx, VDN_ERR_IO, "cannot create a file without a name");
    VDN_TRY(VDNI_NEW(ctx, w, 1));
    w->descriptor = -1;
    VDN_TRY(vdni_strdup(ctx, &w->path, path));
    VDN_TRY(VDNI_NEW(ctx, w->partial, strlen(path) + SUFFIX_BYTES));
    VDN_TRY(open_partial(ctx, w));

    *out = w;
    w = NULL;
done:
    vdni_file_discard(ctx, w);
    return status;
}

vdn_status vdni_file_append(vdn_ctx *ctx, vdni_file_writer *writer, const void *data, int64_t bytes)
{
    VDN_CHECK(write_all(ctx, writer, data, bytes, writer->bytes));
    writer->bytes += bytes;
    return VDN_OK;
}

vdn_status vdni_file_align(vdn_ctx *ctx, vdni_file_writer *writer, int64_t alignment)
{
    static const char zeros[256];
    int64_t rest = (alignment - writer->bytes % alignment) % alignment;
    while (rest > 0) {
        const int64_t part = rest < (int64_t)sizeof zeros ? rest : (int64_t)sizeof zeros;
        VDN_CHECK(vdni_file_append(ctx, writer, zeros, part));
        rest -= part;
    }
    return VDN_OK;
}

vdn_status vdni_file_patch(vdn_ctx *ctx, vdni_file_writer *writer, int64_t offset, const void *data,
                           int64_t bytes)
{
    if (offset < 0 || bytes < 0 || offset > writer->bytes - bytes)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "%s: patch of %lld bytes at %lld in a file of %lld",
                         writer->path, (long long)bytes, (long long)offset,
                         (long long)writer->bytes);
    return write_all(ctx, writer, data, bytes, offset);
}

int64_t vdni_file_position(const vdni_file_writer *writer) { return writer->bytes; }

/* The new name is on the device only once its folder is; not every file system can do this, and the
 * file itself is safe, so a failure is not one. */
static void flush_folder(vdni_file_writer *w)
{
    char *const slash = strrchr(w->partial, '/');
    const char *folder = ".";
    if (slash) {
        slash[slash == w->partial] = '\0';
        folder = w->partial;
    }
    const int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return;
    (void)fsync(descriptor);
    (void)close(descriptor);
}

vdn_status vdni_file_commit(vdn_ctx *ctx, vdni_file_writer *writer)
{
    vdn_status status = VDN_OK;
    int failed = fsync(writer->descriptor) != 0 && errno != EINVAL; /* EINVAL: cannot be flushed */
    if (failed) status = fail_with(ctx, "flush", writer->path, errno);

    failed = close(writer->descriptor) != 0;
    writer->descriptor = -1;
    if (failed && status == VDN_OK) status = fail_with(ctx, "close", writer->path, errno);
    if (status == VDN_OK && rename(writer->partial, writer->path) != 0)
        status = fail_with(ctx, "rename a temporary file to", writer->path, errno);
    if (status == VDN_OK)
        flush_folder(writer);
    else
        (void)unlink(writer->partial);
    vdni_file_discard(ctx, writer);
    return status;
}

void vdni_file_discard(vdn_ctx *ctx, vdni_file_writer *writer)
{
    if (!writer) return;
    if (writer->descriptor >= 0) {
        (void)close(writer->descriptor);
        (void)unlink(writer->partial);
    }
    vdni_free(ctx, writer->path);
    vdni_free(ctx, writer->partial);
    vdni_free(ctx, writer);
}

vdn_status vdni_file_write(vdn_ctx *ctx, const char *path, const void *data, int64_t bytes)
{
    vdni_file_writer *w = NULL;
    VDN_CHECK(vdni_file_create(ctx, &w, path));
    const vdn_status status = vdni_file_append(ctx, w, data, bytes);
    if (status != VDN_OK) {
        vdni_file_discard(ctx, w);
        return status;
    }
    return vdni_file_commit(ctx, w);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* Open a regular file and tell its size. */
static vdn_status open_regular(vdn_ctx *ctx, int *descriptor, int64_t *bytes, const char *path)
{
    struct stat info;
    const int d = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (d < 0) return fail_with(ctx, "open", path, errno);
    if (fstat(d, &info) != 0 || !S_ISREG(info.st_mode)) {
        (void)close(d);
        return vdni_fail(ctx, VDN_ERR_IO, "cannot open %s: not a regular file", path);
    }
    *descriptor = d;
    *bytes = (int64_t)info.st_size;
    return VDN_OK;
}

vdn_status vdni_file_read(vdn_ctx *ctx, char **out, int64_t *bytes, const char *path,
                          int64_t max_bytes)
{
    vdn_status status = VDN_OK;
    char *data = NULL;
    int descriptor = -1;
    int64_t size = 0;

    VDN_CHECK(open_regular(ctx, &descriptor, &size, path));
    if (size > max_bytes)
        VDN_TRY(vdni_fail(ctx, VDN_ERR_FORMAT, "%s has %lld bytes; at most %lld are read", path,
                          (long long)size, (long long)max_bytes));
    VDN_TRY(VDNI_NEW(ctx, data, size + 1));
    for (int64_t at = 0; at < size;) {
        const int64_t left = size - at;
        const ssize_t n = read(descriptor, data + at,
                               left < MAX_CALL_BYTES ? (size_t)left : (size_t)MAX_CALL_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) VDN_TRY(fail_with(ctx, "read", path, errno));
        if (n == 0)
            VDN_TRY(vdni_fail(ctx, VDN_ERR_IO, "cannot read %s: it ended at byte %lld of %lld",
                              path, (long long)at, (long long)size));
        at += n;
    }
    *out = data;
    *bytes = size;
    data = NULL;
done:
    (void)close(descriptor);
    vdni_free(ctx, data);
    return status;
}

vdn_status vdni_file_map_open(vdn_ctx *ctx, vdni_file_map *out, const char *path)
{
    int descriptor = -1;
    int64_t size = 0;
    VDN_CHECK(open_regular(ctx, &descriptor, &size, path));
    const char *data = "";
    if (size > 0) data = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    const int number = errno;
    (void)close(descriptor);
    if (data == MAP_FAILED) return fail_with(ctx, "map", path, number);
    out->data = data;
    out->bytes = size;
    return VDN_OK;
}

void vdni_file_map_close(vdni_file_map *map)
{
    if (map->bytes > 0) (void)munmap((void *)(uintptr_t)map->data, (size_t)map->bytes);
    map->data = NULL;
    map->bytes = 0;
}
