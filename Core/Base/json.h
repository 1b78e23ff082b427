/* JSON, RFC 8259: a strict reader into one flat tree and a writer into memory.
 *
 * The reader trusts nothing: at most VDNI_JSON_MAX_BYTES bytes and VDNI_JSON_MAX_VALUES values,
 * nested at most VDNI_JSON_MAX_DEPTH deep; UTF-8 is validated, names of one object must differ,
 * numbers outside double are refused, and so is the character U+0000 (strings are C strings here).
 * Numbers are rounded to the nearest double, whatever the locale. Every message ends with the byte
 * offset in the text. */
#ifndef VDNI_JSON_H
#define VDNI_JSON_H

#include "Base/context.h"

enum { VDNI_JSON_MAX_DEPTH = 32, VDNI_JSON_MAX_VALUES = 1 << 20, VDNI_JSON_MAX_BYTES = 1 << 26 };

typedef enum {
    VDNI_JSON_NULL = 0,
    VDNI_JSON_BOOL,
    VDNI_JSON_NUMBER,
    VDNI_JSON_STRING,
    VDNI_JSON_ARRAY,
    VDNI_JSON_OBJECT
} vdni_json_kind;

/* One value; borrowed from its document. Values lie in reading order: the first child of a
 * container is the next value, its next sibling comes @p span values later. */
typedef struct vdni_json_value {
    vdni_json_kind kind;
    int32_t index;      /* of this value in the document; value 0 holds the document's title */
    int32_t span;       /* values in this subtree, itself included */
    int32_t count;      /* elements or members */
    int32_t has_next;   /* another element or member follows */
    int32_t is_integer; /* the number has no fraction or exponent and fits int64_t */
    int64_t offset;     /* byte of the text where it begins */
    int64_t integer;    /* exact, when is_integer; 0 or 1 for a BOOL */
    double number;
    const char *name;   /* of an object's member, else NULL */
    const char *string; /* UTF-8, zero-terminated */
} vdni_json_value;

typedef struct vdni_json vdni_json;

/* Parse @p bytes of @p text, which need not be terminated and is not kept. @p title names the
 * source in every message, also those of the getters: a path. Free with vdni_json_free().
 * VDN_ERR_FORMAT, VDN_ERR_MEMORY. */
VDN_MUST_USE vdn_status vdni_json_parse(vdn_ctx *ctx, vdni_json **out, const char *text,
                                        int64_t bytes, const char *title);
void vdni_json_free(vdn_ctx *ctx, vdni_json *json);

const vdni_json_value *vdni_json_root(const vdni_json *json);

/* Member of an object; NULL when absent or when @p object is no object (or NULL). */
const vdni_json_value *vdni_json_find(const vdni_json_value *object, const char *name);

/* Walk a container: first, then next until NULL. */
const vdni_json_value *vdni_json_first(const vdni_json_value *container);
const vdni_json_value *vdni_json_next(const vdni_json_value *value);

/* Required members. VDN_ERR_FORMAT naming the field, what was found and what is needed.
 * To make one optional, ask vdni_json_find() first. */
VDN_MUST_USE vdn_status vdni_json_get_string(vdn_ctx *ctx, const char **out,
                                             const vdni_json_value *object, const char *name);
VDN_MUST_USE vdn_status vdni_json_get_int(vdn_ctx *ctx, int64_t *out, const vdni_json_value *object,
                                          const char *name, int64_t minimum, int64_t maximum);
VDN_MUST_USE vdn_status vdni_json_get_double(vdn_ctx *ctx, double *out,
                                             const vdni_json_value *object, const char *name);
VDN_MUST_USE vdn_status vdni_json_get_bool(vdn_ctx *ctx, int32_t *out,
                                           const vdni_json_value *object, const char *name);
VDN_MUST_USE vdn_status vdni_json_get_array(vdn_ctx *ctx, const vdni_json_value **out,
                                            const vdni_json_value *object, const char *name,
                                            int64_t min_count, int64_t max_count);
VDN_MUST_USE vdn_status vdni_json_get_object(vdn_ctx *ctx, const vdni_json_value **out,
                                             const vdni_json_value *object, const char *name);

/* The same for an element in hand, e.g. of an array. */
VDN_MUST_USE vdn_status vdni_json_to_string(vdn_ctx *ctx, const char **out,
                                            const vdni_json_value *value);
VDN_MUST_USE vdn_status vdni_json_to_int(vdn_ctx *ctx, int64_t *out, const vdni_json_value *value,
                                         int64_t minimum, int64_t maximum);
VDN_MUST_USE vdn_status vdni_json_to_double(vdn_ctx *ctx, double *out,
                                            const vdni_json_value *value);

/* Record "<title>: '<name>': <why> (byte <offset>)" about @p value and return VDN_ERR_FORMAT. */
vdn_status vdni_json_complain(vdn_ctx *ctx, const vdni_json_value *value, const char *why);

/* Writer. Put values in order; @p name is the member's name inside an object and NULL inside an
 * array. The first failure is kept and vdni_json_finish() returns it, so the calls between need no
 * check. Strings must be UTF-8 (bytes that are not become U+FFFD). */
typedef struct vdni_json_writer {
    vdn_ctx *ctx;
    char *text;
    int64_t bytes;
    vdn_status status;
    int32_t depth;
    int32_t indent; /* spaces per level; 0 = one line, no spaces */
    int32_t is_array[VDNI_JSON_MAX_DEPTH + 1];
    int32_t count[VDNI_JSON_MAX_DEPTH + 1]; /* values put so far at each level */
    int64_t capacity;
} vdni_json_writer;

void vdni_json_begin(vdni_json_writer *writer, vdn_ctx *ctx, int32_t indent);
void vdni_json_open_object(vdni_json_writer *writer, const char *name);
void vdni_json_open_array(vdni_json_writer *writer, const char *name);
void vdni_json_close(vdni_json_writer *writer);
void vdni_json_put_string(vdni_json_writer *writer, const char *name, const char *value);
void vdni_json_put_int(vdni_json_writer *writer, const char *name, int64_t value);
void vdni_json_put_double(vdni_json_writer *writer, const char *name, double value);
void vdni_json_put_bool(vdni_json_writer *writer, const char *name, int32_t value);
void vdni_json_put_null(vdni_json_writer *writer, const char *name);
/* @p text is one complete JSON value, taken as it is. */
void vdni_json_put_raw(vdni_json_writer *writer, const char *name, const char *text);

/* Hand over the zero-terminated text (free with vdni_free) and its length; @p bytes may be NULL.
 * On failure nothing remains to be freed. Every container must be closed. */
VDN_MUST_USE vdn_status vdni_json_finish(vdni_json_writer *writer, char **out, int64_t *bytes);
/* Throw an unfinished text away. */
void vdni_json_drop(vdni_json_writer *writer);

#endif
