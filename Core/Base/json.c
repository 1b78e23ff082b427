#include "Base/json.h"

#include "Base/decimal.h"
#include "Base/memory.h"
#include "Base/utf8.h"

#include <string.h>

struct vdni_json {
    vdni_json_value *value; /* [0] the title, [1] the root */
    char *text;             /* decoded strings and the title */
};

typedef struct {
    const char *name; /* NULL = free */
    int32_t parent;   /* index of the object */
} known_name;

typedef struct {
    vdn_ctx *ctx;
    const char *title;
    const char *text;
    int64_t bytes, at;
    vdni_json_value *value;
    int32_t values, capacity;
    char *out;         /* next free byte for decoded strings */
    known_name *table; /* open addressing: finds repeated names */
    int64_t slots;     /* a power of two */
} parser;

static vdn_status complain(const parser *p, const char *why)
{
    return vdni_fail(p->ctx, VDN_ERR_FORMAT, "%s: JSON: %s (byte %lld)", p->title, why,
                     (long long)p->at);
}

static int peek(const parser *p) { return p->at < p->bytes ? (unsigned char)p->text[p->at] : -1; }

static void skip_space(parser *p)
{
    for (int c = peek(p); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = peek(p)) p->at++;
}

/* ---- strings ----------------------------------------------------------------------------------
 */

/* Four hex digits after "\u"; -1 when they are not. */
static int32_t read_hex(parser *p)
{
    int32_t code = 0;
    for (int i = 0; i < 4; i++) {
        const int c = peek(p);
        int digit = -1;
        if (c >= '0' && c <= '9') digit = c - '0';
        if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
        if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
        if (digit < 0) return -1;
        code = code * 16 + digit;
        p->at++;
    }
    return code;
}

static vdn_status read_unicode(parser *p)
{
    int32_t code = read_hex(p);
    if (code < 0) return complain(p, "\\u needs four hexadecimal digits");
    if (code == 0) return complain(p, "the character U+0000 is not accepted in a string");
    if (code >= 0xdc00 && code <= 0xdfff) return complain(p, "a low surrogate stands alone");
    if (code >= 0xd800 && code <= 0xdbff) {
        if (p->bytes - p->at < 6 || p->text[p->at] != '\\' || p->text[p->at + 1] != 'u')
            return complain(p, "a high surrogate stands alone");
        p->at += 2;
        const int32_t low = read_hex(p);
        if (low < 0xdc00 || low > 0xdfff) return complain(p, "a high surrogate stands alone");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    p->out = vdni_utf8_put(p->out, (uint32_t)code);
    return VDN_OK;
}

static vdn_status read_escape(parser *p)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const int c = peek(p);
    if (c == 'u') {
        p->at++;
        return read_unicode(p);
    }
    const char *const found = c > 0 ? strchr(from, c) : NULL;
    if (!found) return complain(p, "unknown escape in a string");
    *p->out++ = to[found - from];
    p->at++;
    return VDN_OK;
}

/* At the opening quote. A decoded string is never longer than its text, so the room suffices. */
static vdn_status read_string(parser *p, const char **out)
{
    *out = p->out;
    p->at++;
    for (;;) {
        const int c = peek(p);
        if (c < 0) return complain(p, "the text ends inside a string");
        if (c == '"') break;
        if (c < 0x20) return complain(p, "a control character stands in a string");
        if (c == '\\') {
            p->at++;
            VDN_CHECK(read_escape(p));
            continue;
        }
        const int length = vdni_utf8_length(p->text + p->at, p->bytes - p->at);
        if (length == 0) return complain(p, "a string is not valid UTF-8");
        memcpy(p->out, p->text + p->at, (size_t)length);
        p->out += length;
        p->at += length;
    }
    p->at++;
    *p->out++ = '\0';
    return VDN_OK;
}

/* ---- values -----------------------------------------------------------------------------------
 */

static vdn_status new_value(parser *p, vdni_json_value **out, int64_t offset)
{
    if (p->values == p->capacity) return complain(p, "too many values");
    vdni_json_value *const v = p->value + p->values;
    v->index = p->values++;
    v->span = 1;
    v->offset = offset;
    *out = v;
    return VDN_OK;
}

static vdn_status read_number(parser *p, vdni_json_value *v)
{
    const int64_t begin = p->at;
    int plain = 1;

    for (int c = peek(p); c > 0 && strchr("+-.eE0123456789", c); c = peek(p)) {
        if (c == '.' || c == 'e' || c == 'E') plain = 0;
        p->at++;
    }
    v->kind = VDNI_JSON_NUMBER;
    if (vdni_parse_double(&v->number, p->text + begin, p->at - begin) != VDN_OK) {
        p->at = begin;
        return complain(p, "not a number, or one beyond the range of double");
    }
    if (!plain) return VDN_OK;
    const int negative = p->text[begin] == '-';
    int64_t sum = 0; /* negated, so that INT64_MIN fits */
    for (int64_t i = begin + negative; i < p->at; i++) {
        const int digit = p->text[i] - '0';
        if (sum < (INT64_MIN + digit) / 10) return VDN_OK; /* a double only */
        sum = 10 * sum - digit;
    }
    if (!negative && sum == INT64_MIN) return VDN_OK;
    v->is_integer = 1;
    v->integer = negative ? sum : -sum;
    return VDN_OK;
}

static vdn_status read_word(parser *p, vdni_json_value *v)
{
    static const struct {
        const char *word;
        vdni_json_kind kind;
        int64_t integer;
    } known[] = { { "true", VDNI_JSON_BOOL, 1 },
                  { "false", VDNI_JSON_BOOL, 0 },
                  { "null", VDNI_JSON_NULL, 0 } };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const int64_t length = (int64_t)strlen(known[i].word);
        if (p->bytes - p->at < length ||
            memcmp(p->text + p->at, known[i].word, (size_t)length) != 0)
            continue;
        p->at += length;
        v->kind = known[i].kind;
        v->integer = known[i].integer;
        return VDN_OK;
    }
    return complain(p, p->at < p->bytes ? "a value is needed here" : "the text ends too early");
}

/* Remember (parent, name); complain when the pair is known. */
static vdn_status note_name(parser *p, int32_t parent, const char *name)
{
    uint64_t hash = 14695981039346656037u ^ (uint64_t)parent;
    for (const char *c = name; *c; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    for (uint64_t slot = hash ^ hash >> 29;; slot++) {
        known_name *const known = p->table + (slot & (uint64_t)(p->slots - 1));
        if (!known->name) {
            known->name = name;
            known->parent = parent;
            return VDN_OK;
        }
        if (known->parent == parent && strcmp(known->name, name) == 0)
            return complain(p, "a name appears twice in one object");
    }
}

static vdn_status read_value(parser *p, const char *name, int32_t depth);

static vdn_status read_member(parser *p, int32_t parent, int32_t depth)
{
    const char *name = NULL;
    skip_space(p);
    if (peek(p) != '"') return complain(p, "a member's name in quotes is needed here");
    VDN_CHECK(read_string(p, &name));
    VDN_CHECK(note_name(p, parent, name));
    skip_space(p);
    if (peek(p) != ':') return complain(p, "':' is needed here");
    p->at++;
    return read_value(p, name, depth);
}

static vdn_status read_container(parser *p, int32_t self, int32_t depth)
{
    const int is_object = p->value[self].kind == VDNI_JSON_OBJECT;
    const int closing = is_object ? '}' : ']';
    int32_t count = 0;

    p->at++;
    skip_space(p);
    if (peek(p) == closing) {
        p->at++;
        return VDN_OK;
    }
    for (;;) {
        const int32_t child = p->values;
        if (is_object)
            VDN_CHECK(read_member(p, self, depth + 1));
        else
            VDN_CHECK(read_value(p, NULL, depth + 1));
        count++;
        skip_space(p);
        const int c = peek(p);
        if (c != ',' && c != closing)
            return complain(p,
                            is_object ? "',' or '}' is needed here" : "',' or ']' is needed here");
        p->at++;
        if (c == closing) break;
        p->value[child].has_next = 1;
    }
    p->value[self].count = count;
    p->value[self].span = p->values - self;
    return VDN_OK;
}

static vdn_status read_value(parser *p, const char *name, int32_t depth)
{
    vdni_json_value *v = NULL;
    skip_space(p);
    if (depth > VDNI_JSON_MAX_DEPTH) return complain(p, "nested too deeply");
    VDN_CHECK(new_value(p, &v, p->at));
    v->name = name;
    const int c = peek(p);
    switch (c) {
    case '{':
    case '[':
        v->kind = c == '{' ? VDNI_JSON_OBJECT : VDNI_JSON_ARRAY;
        return read_container(p, v->index, depth);
    case '"':
        v->kind = VDNI_JSON_STRING;
        return read_string(p, &v->string);
    default:
        if (c == '-' || (c >= '0' && c <= '9')) return read_number(p, v);
        return read_word(p, v);
    }
}

static vdn_status read_text(parser *p)
{
    vdni_json_value *title = NULL;
    VDN_CHECK(new_value(p, &title, 0));
    title->string = p->title;
    VDN_CHECK(read_value(p, NULL, 1));
    skip_space(p);
    if (p->at != p->bytes) return complain(p, "something follows the value");
    return VDN_OK;
}

/* Every container has one more element than commas, or none: so many values and names at most. */
static void measure(parser *p)
{
    int64_t values = 2, names = 0;
    for (int64_t i = 0; i < p->bytes; i++) {
        const char c = p->text[i];
        values += c == ',' || c == '[' || c == '{';
        names += c == ':';
    }
    if (values > VDNI_JSON_MAX_VALUES) values = VDNI_JSON_MAX_VALUES;
    if (names > values) names = values;
    p->capacity = (int32_t)values;
    for (p->slots = 4; p->slots < 2 * names + 2; p->slots *= 2) continue;
}

vdn_status vdni_json_parse(vdn_ctx *ctx, vdni_json **out, const char *text, int64_t bytes,
                           const char *title)
{
    vdn_status status = VDN_OK;
    vdni_json *json = NULL;
    parser p = { .ctx = ctx, .title = title, .text = text, .bytes = bytes };
    const int64_t title_bytes = (int64_t)strlen(title) + 1;

    if (bytes < 0 || bytes > VDNI_JSON_MAX_BYTES)
        return vdni_fail(ctx, VDN_ERR_FORMAT, "%s: JSON of %lld bytes; at most %d are read", title,
                         (long long)bytes, VDNI_JSON_MAX_BYTES);
    measure(&p);
    VDN_TRY(VDNI_NEW(ctx, json, 1));
    VDN_TRY(VDNI_NEW(ctx, json->value, p.capacity));
    VDN_TRY(VDNI_NEW(ctx, json->text, title_bytes + bytes + 1));
    VDN_TRY(VDNI_NEW(ctx, p.table, p.slots));
    memcpy(json->text, title, (size_t)title_bytes);
    p.title = json->text;
    p.out = json->text + title_bytes;
    p.value = json->value;
    VDN_TRY(read_text(&p));

    *out = json;
    json = NULL;
done:
    vdni_free(ctx, p.table);
    vdni_json_free(ctx, json);
    return status;
}

void vdni_json_free(vdn_ctx *ctx, vdni_json *json)
{
    if (!json) return;
    vdni_free(ctx, json->value);
    vdni_free(ctx, json->text);
    vdni_free(ctx, json);
}

/* ---- getters ----------------------------------------------------------------------------------
 */

const vdni_json_value *vdni_json_root(const vdni_json *json) { return json->value + 1; }

const vdni_json_value *vdni_json_first(const vdni_json_value *container)
{
    return container && container->count > 0 ? container + 1 : NULL;
}

const vdni_json_value *vdni_json_next(const vdni_json_value *value)
{
    return value->has_next ? value + value->span : NULL;
}

const vdni_json_value *vdni_json_find(const vdni_json_value *object, const char *name)
{
    if (!object || object->kind != VDNI_JSON_OBJECT) return NULL;
    for (const vdni_json_value *v = vdni_json_first(object); v; v = vdni_json_next(v))
        if (strcmp(v->name, name) == 0) return v;
    return NULL;
}

static const char *title_of(const vdni_json_value *v) { return (v - v->index)->string; }

vdn_status vdni_json_complain(vdn_ctx *ctx, const vdni_json_value *value, const char *why)
{
    return vdni_fail(ctx, VDN_ERR_FORMAT, "%s: '%s': %s (byte %lld)", title_of(value),
                     value->name ? value->name : "value", why, (long long)value->offset);
}

static vdn_status need_kind(vdn_ctx *ctx, const vdni_json_value *v, vdni_json_kind kind)
{
    static const char *const word[] = { "null",     "true or false", "a number",
                                        "a string", "an array",      "an object" };
    if (v->kind == kind) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_FORMAT, "%s: '%s' is %s, needed is %s (byte %lld)", title_of(v),
                     v->name ? v->name : "value", word[v->kind], word[kind], (long long)v->offset);
}

static vdn_status find(vdn_ctx *ctx, const vdni_json_value **out, const vdni_json_value *object,
                       const char *name)
{
    VDN_CHECK(need_kind(ctx, object, VDNI_JSON_OBJECT));
    *out = vdni_json_find(object, name);
    if (*out) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_FORMAT, "%s: '%s' is missing (object at byte %lld)",
                     title_of(object), name, (long long)object->offset);
}

vdn_status vdni_json_to_string(vdn_ctx *ctx, const char **out, const vdni_json_value *value)
{
    VDN_CHECK(need_kind(ctx, value, VDNI_JSON_STRING));
    *out = value->string;
    return VDN_OK;
}

vdn_status vdni_json_to_int(vdn_ctx *ctx, int64_t *out, const vdni_json_value *value,
                            int64_t minimum, int64_t maximum)
{
    VDN_CHECK(need_kind(ctx, value, VDNI_JSON_NUMBER));
    if (!value->is_integer) return vdni_json_complain(ctx, value, "an integer is needed");
    if (value->integer < minimum || value->integer > maximum)
        return vdni_fail(ctx, VDN_ERR_FORMAT,
                         "%s: '%s' is %lld, needed is %lld to %lld (byte %lld)", title_of(value),
                         value->name ? value->name : "value", (long long)value->integer,
                         (long long)minimum, (long long)maximum, (long long)value->offset);
    *out = value->integer;
    return VDN_OK;
}

vdn_status vdni_json_to_double(vdn_ctx *ctx, double *out, const vdni_json_value *value)
{
    VDN_CHECK(need_kind(ctx, value, VDNI_JSON_NUMBER));
    *out = value->number;
    return VDN_OK;
}

vdn_status vdni_json_get_string(vdn_ctx *ctx, const char **out, const vdni_json_value *object,
                                const char *name)
{
    const vdni_json_value *v = NULL;
    VDN_CHECK(find(ctx, &v, object, name));
    return vdni_json_to_string(ctx, out, v);
}

vdn_status vdni_json_get_int(vdn_ctx *ctx, int64_t *out, const vdni_json_value *object,
                             const char *name, int64_t minimum, int64_t maximum)
{
    const vdni_json_value *v = NULL;
    VDN_CHECK(find(ctx, &v, object, name));
    return vdni_json_to_int(ctx, out, v, minimum, maximum);
}

vdn_status vdni_json_get_double(vdn_ctx *ctx, double *out, const vdni_json_value *object,
                                const char *name)
{
    const vdni_json_value *v = NULL;
    VDN_CHECK(find(ctx, &v, object, name));
    return vdni_json_to_double(ctx, out, v);
}

vdn_status vdni_json_get_bool(vdn_ctx *ctx, int32_t *out, const vdni_json_value *object,
                              const char *name)
{
    const vdni_json_value *v = NULL;
    VDN_CHECK(find(ctx, &v, object, name));
    VDN_CHECK(need_kind(ctx, v, VDNI_JSON_BOOL));
    *out = (int32_t)v->integer;
    return VDN_OK;
}

vdn_status vdni_json_get_array(vdn_ctx *ctx, const vdni_json_value **out,
                               const vdni_json_value *object, const char *name, int64_t min_count,
                               int64_t max_count)
{
    const vdni_json_value *v = NULL;
    VDN_CHECK(find(ctx, &v, object, name));
    VDN_CHECK(need_kind(ctx, v, VDNI_JSON_ARRAY));
    if (v->count < min_count || v->count > max_count)
        return vdni_fail(ctx, VDN_ERR_FORMAT,
                         "%s: '%s' has %d elements, needed are %lld to %lld (byte %lld)",
                         title_of(v), name, (int)v->count, (long long)min_count,
                         (long long)max_count, (long long)v->offset);
    *out = v;
    return VDN_OK;
}

vdn_status vdni_json_get_object(vdn_ctx *ctx, const vdni_json_value **out,
                                const vdni_json_value *object, const char *name)
{
    const vdni_json_value *v = NULL;
    VDN_CHECK(find(ctx, &v, object, name));
    VDN_CHECK(need_kind(ctx, v, VDNI_JSON_OBJECT));
    *out = v;
    return VDN_OK;
}
