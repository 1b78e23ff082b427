#include "Base/decimal.h"
#include "Base/json.h"
#include "Base/memory.h"
#include "Base/utf8.h"

#include <stdio.h>
#include <string.h>

static void append(vdni_json_writer *w, const char *text, int64_t bytes)
{
    if (w->status != VDN_OK) return;
    if (w->bytes + bytes + 1 > w->capacity) {
        const int64_t capacity = 2 * w->capacity + bytes + 1024;
        w->status = VDNI_RESIZE(w->ctx, w->text, capacity);
        if (w->status != VDN_OK) return;
        w->capacity = capacity;
    }
    memcpy(w->text + w->bytes, text, (size_t)bytes);
    w->bytes += bytes;
    w->text[w->bytes] = '\0';
}

static void append_text(vdni_json_writer *w, const char *text)
{
    append(w, text, (int64_t)strlen(text));
}

static void append_string(vdni_json_writer *w, const char *value)
{
    const int64_t bytes = (int64_t)strlen(value);
    append(w, "\"", 1);
    for (int64_t i = 0; i < bytes;) {
        const char c = value[i];
        const int length = vdni_utf8_length(value + i, bytes - i);
        if (length == 0) {
            append(w, "\xef\xbf\xbd", 3);
        } else if (c == '"' || c == '\\') {
            const char escaped[2] = { '\\', c };
            append(w, escaped, 2);
        } else if ((unsigned char)c < 0x20) {
            char escaped[8];
            (void)snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)c);
            append(w, escaped, 6);
        } else {
            append(w, value + i, length);
        }
        i += length ? length : 1;
    }
    append(w, "\"", 1);
}

static void new_line(vdni_json_writer *w)
{
    if (w->indent == 0) return;
    append(w, "\n", 1);
    for (int32_t i = 0; i < w->depth * w->indent; i++) append(w, " ", 1);
}

static void misuse(vdni_json_writer *w, const char *why)
{
    if (w->status == VDN_OK)
        w->status = vdni_fail(w->ctx, VDN_ERR_ARGUMENT, "JSON writer: %s (byte %lld)", why,
                              (long long)w->bytes);
}

/* Comma, line break and name in front of a value. */
static void lead_in(vdni_json_writer *w, const char *name)
{
    if (w->depth == 0) {
        if (w->count[0]++ > 0) misuse(w, "a second value at the top");
        return;
    }
    if (w->is_array[w->depth] == (name != NULL))
        misuse(w, name ? "a name inside an array" : "no name inside an object");
    if (w->count[w->depth]++ > 0) append(w, ",", 1);
    new_line(w);
    if (!name) return;
    append_string(w, name);
    append_text(w, w->indent ? ": " : ":");
}

void vdni_json_begin(vdni_json_writer *writer, vdn_ctx *ctx, int32_t indent)
{
    memset(writer, 0, sizeof *writer);
    writer->ctx = ctx;
    writer->indent = indent;
}

static void open_container(vdni_json_writer *w, const char *name, int32_t is_array)
{
    lead_in(w, name);
    append_text(w, is_array ? "[" : "{");
    if (w->depth == VDNI_JSON_MAX_DEPTH) {
        misuse(w, "nested too deeply");
        return;
    }
    w->depth++;
    w->is_array[w->depth] = is_array;
    w->count[w->depth] = 0;
}

void vdni_json_open_object(vdni_json_writer *writer, const char *name)
{
    open_container(writer, name, 0);
}

void vdni_json_open_array(vdni_json_writer *writer, const char *name)
{
    open_container(writer, name, 1);
}

void vdni_json_close(vdni_json_writer *writer)
{
    if (writer->depth == 0) {
        misuse(writer, "nothing is open");
        return;
    }
    const int32_t is_array = writer->is_array[writer->depth];
    const int32_t count = writer->count[writer->depth];
    writer->depth--;
    if (count > 0) new_line(writer);
    append_text(writer, is_array ? "]" : "}");
}

void vdni_json_put_raw(vdni_json_writer *writer, const char *name, const char *text)
{
    lead_in(writer, name);
    append_text(writer, text);
}

void vdni_json_put_string(vdni_json_writer *writer, const char *name, const char *value)
{
    lead_in(writer, name);
    append_string(writer, value);
}

void vdni_json_put_int(vdni_json_writer *writer, const char *name, int64_t value)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    vdni_json_put_raw(writer, name, text);
}

void vdni_json_put_double(vdni_json_writer *writer, const char *name, double value)
{
    char text[VDNI_DOUBLE_BYTES];
    vdni_json_put_raw(writer, name, vdni_print_double(text, value));
}

void vdni_json_put_bool(vdni_json_writer *writer, const char *name, int32_t value)
{
    vdni_json_put_raw(writer, name, value ? "true" : "false");
}

void vdni_json_put_null(vdni_json_writer *writer, const char *name)
{
    vdni_json_put_raw(writer, name, "null");
}

void vdni_json_drop(vdni_json_writer *writer)
{
    vdni_free(writer->ctx, writer->text);
    writer->text = NULL;
    writer->bytes = writer->capacity = 0;
}

vdn_status vdni_json_finish(vdni_json_writer *writer, char **out, int64_t *bytes)
{
    if (writer->depth > 0) misuse(writer, "a container is still open");
    if (writer->count[0] == 0) misuse(writer, "nothing was written");
    if (writer->indent) append(writer, "\n", 1);
    if (writer->status != VDN_OK) {
        vdni_json_drop(writer);
        return writer->status;
    }
    *out = writer->text;
    if (bytes) *bytes = writer->bytes;
    writer->text = NULL;
    return VDN_OK;
}
