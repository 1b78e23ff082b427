#include "Train/log.h"

#include "Base/decimal.h"
#include "Base/file.h"
#include "Base/memory.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_TABLE_BYTES = 1 << 30, STEP_BYTES = 24 };

struct vdni_log {
    FILE *file;
    char *path;
    char *row;
    int32_t columns;
};

static vdn_status fail_io(vdn_ctx *ctx, const char *verb, const char *path, int number)
{
    return vdni_fail(ctx, VDN_ERR_IO, "cannot %s %s: error %d", verb, path, number);
}

static int32_t count_columns(const char *columns)
{
    int32_t count = 1;
    for (const char *c = columns; *c; c++) count += *c == ',';
    return count;
}

static void free_log(vdn_ctx *ctx, vdni_log *log)
{
    if (!log) return;
    vdni_free(ctx, log->row);
    vdni_free(ctx, log->path);
    vdni_free(ctx, log);
}

/* Open for appending. Unbuffered, and a row is one write: what is in the file is whole rows. */
static vdn_status open_log(vdn_ctx *ctx, vdni_log **out, const char *path, const char *columns)
{
    vdn_status status = VDN_OK;
    vdni_log *log = NULL;

    VDN_TRY(VDNI_NEW(ctx, log, 1));
    log->columns = count_columns(columns);
    VDN_TRY(vdni_strdup(ctx, &log->path, path));
    VDN_TRY(VDNI_NEW(ctx, log->row, STEP_BYTES + log->columns * (VDNI_DOUBLE_BYTES + 1)));
    log->file = fopen(path, "ab");
    if (!log->file) VDN_TRY(fail_io(ctx, "open", path, errno));
    (void)setvbuf(log->file, NULL, _IONBF, 0);
    *out = log;
    log = NULL;
done:
    free_log(ctx, log);
    return status;
}

static vdn_status check_columns(vdn_ctx *ctx, const char *path, const char *columns)
{
    const int32_t count = count_columns(columns);
    if (strncmp(columns, "step", 4) == 0 && count <= VDNI_LOG_MAX_COLUMNS) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                     "%s: %d columns beginning '%.8s', needed at most %d beginning 'step'", path,
                     (int)count, columns, VDNI_LOG_MAX_COLUMNS);
}

/* Title row and then @p bytes of @p rows, as a whole file. */
static vdn_status write_table(vdn_ctx *ctx, const char *path, const char *columns, const char *rows,
                              int64_t bytes)
{
    vdn_status status = VDN_OK;
    vdni_file_writer *file = NULL;

    VDN_TRY(vdni_file_create(ctx, &file, path));
    VDN_TRY(vdni_file_append(ctx, file, columns, (int64_t)strlen(columns)));
    VDN_TRY(vdni_file_append(ctx, file, "\n", 1));
    VDN_TRY(vdni_file_append(ctx, file, rows, bytes));
    vdni_file_writer *const whole = file;
    file = NULL;
    VDN_TRY(vdni_file_commit(ctx, whole));
done:
    vdni_file_discard(ctx, file);
    return status;
}

vdn_status vdni_log_create(vdn_ctx *ctx, vdni_log **out, const char *path, const char *columns)
{
    VDN_CHECK(check_columns(ctx, path, columns));
    VDN_CHECK(write_table(ctx, path, columns, "", 0));
    return open_log(ctx, out, path, columns);
}

/* Step of a row, or -1 when the row does not begin with one of at most 18 digits. */
static int64_t step_of(const char *row, const char *end)
{
    int64_t step = 0;
    const char *c = row;
    for (; c < end && *c >= '0' && *c <= '9' && c - row < 18; c++) step = 10 * step + (*c - '0');
    return c > row && (c == end || *c == ',') ? step : -1;
}

/* Bytes of the whole rows up to @p step at the start of @p rows. */
static int64_t rows_to_keep(const char *rows, int64_t bytes, int32_t columns, int64_t step)
{
    int64_t kept = 0;
    while (kept < bytes) {
        const char *const row = rows + kept;
        const char *const end = memchr(row, '\n', (size_t)(bytes - kept));
        if (!end) break;
        int32_t fields = 1;
        for (const char *c = row; c < end; c++) fields += *c == ',';
        const int64_t found = step_of(row, end);
        if (fields != columns || found < 0 || found > step) break;
        kept = end + 1 - rows;
    }
    return kept;
}

vdn_status vdni_log_resume(vdn_ctx *ctx, vdni_log **out, const char *path, const char *columns,
                           int64_t step)
{
    const int64_t title = (int64_t)strlen(columns);
    vdn_status status = VDN_OK;
    char *text = NULL;
    int64_t bytes = 0;

    VDN_CHECK(check_columns(ctx, path, columns));
    FILE *const there = fopen(path, "rb");
    if (!there && errno == ENOENT) return vdni_log_create(ctx, out, path, columns);
    if (there) (void)fclose(there);
    VDN_TRY(vdni_file_read(ctx, &text, &bytes, path, MAX_TABLE_BYTES));
    if (bytes <= title || memcmp(text, columns, (size_t)title) != 0 || text[title] != '\n')
        VDN_TRY(vdni_fail(ctx, VDN_ERR_FORMAT, "%s: the first row is not '%s'", path, columns));
    const char *const rows = text + title + 1;
    const int64_t kept = rows_to_keep(rows, bytes - title - 1, count_columns(columns), step);
    if (kept < bytes - title - 1) VDN_TRY(write_table(ctx, path, columns, rows, kept));
    VDN_TRY(open_log(ctx, out, path, columns));
done:
    vdni_free(ctx, text);
    return status;
}

vdn_status vdni_log_add(vdn_ctx *ctx, vdni_log *log, int64_t step, const double *values)
{
    char *to = log->row;

    to += snprintf(to, STEP_BYTES, "%lld", (long long)step);
    for (int32_t i = 0; i + 1 < log->columns; i++) {
        *to++ = ',';
        if (!isfinite(values[i])) continue;
        to += strlen(vdni_print_double(to, values[i]));
    }
    *to++ = '\n';
    const size_t bytes = (size_t)(to - log->row);
    if (fwrite(log->row, 1, bytes, log->file) != bytes)
        return fail_io(ctx, "write", log->path, errno);
    return VDN_OK;
}

vdn_status vdni_log_close(vdn_ctx *ctx, vdni_log *log)
{
    vdn_status status = VDN_OK;
    if (!log) return VDN_OK;
    if (fclose(log->file) != 0) status = fail_io(ctx, "close", log->path, errno);
    free_log(ctx, log);
    return status;
}
