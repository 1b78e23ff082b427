/* A table that grows by one row per step, as CSV (RFC 4180, \n ends a line), and survives a resume.
 * Resources/Formats/training-log.md lists the columns.
 *
 * Rows are appended and flushed one by one, so that a running training can be watched; a crash can
 * leave half a row at the end. Opening for resume rewrites the file, whole or not at all, with the
 * complete rows up to the checkpoint's step; what the lost steps had written is written again. */
#ifndef VDNI_LOG_H
#define VDNI_LOG_H

#include "Base/context.h"

enum { VDNI_LOG_MAX_COLUMNS = 64 };

typedef struct vdni_log vdni_log;

/* Begin a new table at @p path with the title row @p columns: names split by commas, the first is
 * "step". An older file is replaced. VDN_ERR_IO, VDN_ERR_MEMORY, VDN_ERR_ARGUMENT. */
VDN_MUST_USE vdn_status vdni_log_create(vdn_ctx *ctx, vdni_log **out, const char *path,
                                        const char *columns);

/* Continue a table after step @p step; a file that is not there begins empty.
 * VDN_ERR_FORMAT when its title row is another one. */
VDN_MUST_USE vdn_status vdni_log_resume(vdn_ctx *ctx, vdni_log **out, const char *path,
                                        const char *columns, int64_t step);

/* Append a row: @p step and one value for every further column. NaN and infinity are left empty.
 * Allocates nothing. VDN_ERR_IO: the table keeps the rows it has. */
VDN_MUST_USE vdn_status vdni_log_add(vdn_ctx *ctx, vdni_log *log, int64_t step,
                                     const double *values);

/* Close; NULL is fine. VDN_ERR_IO when the last bytes could not be written. */
vdn_status vdni_log_close(vdn_ctx *ctx, vdni_log *log);

#define VDNI_TRAINING_COLUMNS   "step,seconds,lr,loss,simple,ce,dice,prior_ce,prior_dice,grad_norm,data_wait"
#define VDNI_VALIDATION_COLUMNS "step,seconds,loss,prior_dice,onepass_dice"

#endif
