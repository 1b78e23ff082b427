#include "Base/decimal.h"
#include "Base/json.h"
#include "Base/memory.h"
#include "test.h"

#include <locale.h>

static vdn_ctx ctx;

static vdni_json *parse(const char *text)
{
    vdni_json *json = NULL;
    vdni_clear_error(&ctx);
    const vdn_status status =
        vdni_json_parse(&ctx, &json, text, (int64_t)strlen(text), "file.json");
    EXPECT((status == VDN_OK) == (json != NULL));
    EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
    return json;
}

static void a_document_reads_back(void)
{
    vdni_json *json =
        parse(" { \"a\" : [1, -2.5e1, true, false, null, \"\\u00e9\\n\\ud83d\\ude00\"],"
              "\"b\":{\"c\":\"d\"},\"e\":[],\"f\":{} } ");
    if (!json) {
        EXPECT(!"parsed");
        return;
    }
    const vdni_json_value *root = vdni_json_root(json), *v = NULL;
    const char *text = NULL;
    EXPECT(root->count == 4);
    EXPECT(vdni_json_get_array(&ctx, &v, root, "a", 6, 6) == VDN_OK);
    v = vdni_json_first(v);
    EXPECT(v->is_integer && v->integer == 1 && v->number == 1.0 && v->name == NULL);
    v = vdni_json_next(v);
    EXPECT(!v->is_integer && v->number == -25.0);
    v = vdni_json_next(v);
    EXPECT(v->kind == VDNI_JSON_BOOL && v->integer == 1);
    v = vdni_json_next(v);
    EXPECT(v->kind == VDNI_JSON_BOOL && v->integer == 0);
    v = vdni_json_next(v);
    EXPECT(v->kind == VDNI_JSON_NULL);
    v = vdni_json_next(v);
    EXPECT(vdni_json_to_string(&ctx, &text, v) == VDN_OK);
    EXPECT(strcmp(text, "\xc3\xa9\n\xf0\x9f\x98\x80") == 0);
    EXPECT(vdni_json_next(v) == NULL);
    EXPECT(vdni_json_get_object(&ctx, &v, root, "b") == VDN_OK);
    EXPECT(vdni_json_get_string(&ctx, &text, v, "c") == VDN_OK && strcmp(text, "d") == 0);
    EXPECT(vdni_json_find(root, "e")->count == 0 &&
           vdni_json_first(vdni_json_find(root, "e")) == NULL);
    EXPECT(vdni_json_next(vdni_json_find(root, "f")) == NULL);
    EXPECT(vdni_json_find(root, "g") == NULL);
    vdni_json_free(&ctx, json);
    EXPECT(ctx.now_bytes == 0);
}

static void what_is_not_json_is_refused_with_its_place(void)
{
    static const struct {
        const char *text, *message;
    } bad[] = {
        { "", "byte 0" },
        { "{", "byte 1" },
        { "[1,]", "byte 3" },
        { "[1 2]", "byte 3" },
        { "{\"a\":1,}", "byte 7" },
        { "{\"a\" 1}", "':'" },
        { "{a:1}", "byte 1" },
        { "{\"a\":1,\"b\":2,\"a\":3}", "twice" },
        { "{\"a\":1,\"\\u0061\":3}", "twice" },
        { "01", "not a number" },
        { "-", "not a number" },
        { "+1", "value is needed" },
        { ".5", "value is needed" },
        { "1.", "not a number" },
        { "1e", "not a number" },
        { "1e+", "not a number" },
        { "1e999", "not a number" },
        { "-1e309", "not a number" },
        { "0x10", "follows" },
        { "NaN", "value is needed" },
        { "Infinity", "value is needed" },
        { "nul", "value is needed" },
        { "nulll", "follows" },
        { "1 1", "follows" },
        { "\"a", "ends inside" },
        { "\"\\", "escape" },
        { "\"\\q\"", "escape" },
        { "\"\\u12g4\"", "hexadecimal" },
        { "\"\\u0000\"", "U+0000" },
        { "\"\\ud800\"", "surrogate" },
        { "\"\\ud800\\u0041\"", "surrogate" },
        { "\"\\udc00\"", "surrogate" },
        { "\"\n\"", "control" },
        { "\"\xc0\x80\"", "UTF-8" },
        { "\"\xed\xa0\x80\"", "UTF-8" },
        { "\"\xf4\x90\x80\x80\"", "UTF-8" },
        { "\"\xe2\x82\"", "UTF-8" },
        { "\"\x80\"", "UTF-8" },
        { "\xef\xbb\xbf{}", "value is needed" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        vdni_json *json = parse(bad[i].text);
        EXPECT(json == NULL);
        EXPECT(strstr(ctx.error, bad[i].message) != NULL);
        EXPECT(strstr(ctx.error, "file.json: JSON: ") == ctx.error);
        EXPECT(strstr(ctx.error, "(byte ") != NULL);
        if (json || !strstr(ctx.error, bad[i].message))
            printf("  %s: %s\n", bad[i].text, ctx.error);
        vdni_json_free(&ctx, json);
        EXPECT(ctx.now_bytes == 0);
    }
}

static void depth_is_bounded(void)
{
    char text[100] = "";
    for (int depth = 30; depth <= 34; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        text[2 * depth] = '\0';
        vdni_json *json = parse(text);
        EXPECT((json != NULL) == (depth <= VDNI_JSON_MAX_DEPTH));
        vdni_json_free(&ctx, json);
    }
}

static void the_number_of_values_is_bounded(void)
{
    const int64_t n = VDNI_JSON_MAX_VALUES;
    char *text = malloc((size_t)(2 * n + 8));
    vdni_json *json = NULL;
    vdni_clear_error(&ctx);
    text[0] = '[';
    for (int64_t i = 0; i < n; i++) memcpy(text + 1 + 2 * i, "0,", 2);
    text[2 * n] = ']';
    EXPECT(vdni_json_parse(&ctx, &json, text, 2 * n + 1, "many") == VDN_ERR_FORMAT);
    EXPECT(strstr(ctx.error, "too many values") != NULL);
    vdni_clear_error(&ctx);
    text[2 * (n - 2)] = ']'; /* title, array and n - 2 elements */
    EXPECT(vdni_json_parse(&ctx, &json, text, 2 * (n - 2) + 1, "many") == VDN_OK);
    vdni_json_free(&ctx, json);
    free(text);
}

static void different_objects_may_share_names(void)
{
    enum { OBJECTS = 5000, EACH = 13 };
    static char text[OBJECTS * EACH + 2];
    for (int i = 0; i < OBJECTS; i++) memcpy(text + EACH * i, ",[{\"a\":[[]]}]", EACH + 1);
    text[0] = '[';
    text[strlen(text)] = ']';
    vdni_json *json = parse(text);
    EXPECT(json && vdni_json_root(json)->count == OBJECTS);
    vdni_json_free(&ctx, json);
}

/* Every prefix and every changed byte of a valid text ends in VDN_OK or in a message. */
static void damage_is_survived(void)
{
    const char good[] = "{\"a\":[1,-2.5e-3,true],\"b\":{\"c\":\"d\\u00e9\\n\"},\"e\":null}";
    const int64_t bytes = (int64_t)sizeof good - 1;
    for (int64_t cut = 0; cut < bytes; cut++) {
        char *part = malloc((size_t)cut + 1); /* exact size: a sanitizer sees any overrun */
        vdni_json *json = NULL;
        memcpy(part, good, (size_t)cut);
        vdni_clear_error(&ctx);
        EXPECT(vdni_json_parse(&ctx, &json, part, cut, "cut") == VDN_ERR_FORMAT);
        free(part);
        for (int value = 0; value < 256; value += 5) {
            char changed[sizeof good];
            memcpy(changed, good, sizeof good);
            changed[cut] = (char)value;
            vdni_clear_error(&ctx);
            const vdn_status status = vdni_json_parse(&ctx, &json, changed, bytes, "changed");
            EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
            if (status == VDN_OK) vdni_json_free(&ctx, json);
        }
    }
    EXPECT(ctx.now_bytes == 0);
}

static void getters_name_field_found_and_needed(void)
{
    vdni_json *json = parse("{\"n\":12,\"x\":1.5,\"s\":\"t\",\"big\":9223372036854775808,"
                            "\"min\":-9223372036854775808,\"list\":[1,2,3]}");
    const vdni_json_value *root = vdni_json_root(json), *v = NULL;
    int64_t n = -1;
    double x = 0;
    const char *s = NULL;
    int32_t flag = 0;
    EXPECT(vdni_json_get_int(&ctx, &n, root, "n", 1, 12) == VDN_OK && n == 12);
    EXPECT(vdni_json_get_int(&ctx, &n, root, "min", INT64_MIN, 0) == VDN_OK && n == INT64_MIN);
    EXPECT(vdni_json_get_double(&ctx, &x, root, "big") == VDN_OK && x == 9223372036854775808.0);
    EXPECT(vdni_json_get_int(&ctx, &n, root, "n", 1, 11) == VDN_ERR_FORMAT);
    EXPECT(strcmp(ctx.error, "file.json: 'n' is 12, needed is 1 to 11 (byte 5)") == 0);
    vdni_clear_error(&ctx);
    EXPECT(vdni_json_get_int(&ctx, &n, root, "x", 1, 11) == VDN_ERR_FORMAT);
    vdni_clear_error(&ctx);
    EXPECT(vdni_json_get_int(&ctx, &n, root, "big", 0, INT64_MAX) == VDN_ERR_FORMAT);
    vdni_clear_error(&ctx);
    EXPECT(vdni_json_get_string(&ctx, &s, root, "n") == VDN_ERR_FORMAT);
    EXPECT(strcmp(ctx.error, "file.json: 'n' is a number, needed is a string (byte 5)") == 0);
    vdni_clear_error(&ctx);
    EXPECT(vdni_json_get_string(&ctx, &s, root, "absent") == VDN_ERR_FORMAT);
    EXPECT(strstr(ctx.error, "'absent' is missing") != NULL);
    vdni_clear_error(&ctx);
    EXPECT(vdni_json_get_array(&ctx, &v, root, "list", 4, 5) == VDN_ERR_FORMAT);
    vdni_clear_error(&ctx);
    EXPECT(vdni_json_get_bool(&ctx, &flag, root, "s") == VDN_ERR_FORMAT);
    vdni_clear_error(&ctx);
    EXPECT(vdni_json_get_object(&ctx, &v, root, "s") == VDN_ERR_FORMAT);
    vdni_clear_error(&ctx);
    EXPECT(vdni_json_get_int(&ctx, &n, vdni_json_find(root, "list"), "n", 0, 9) == VDN_ERR_FORMAT);
    vdni_json_free(&ctx, json);
}

/* The C library's strtod is the oracle: it rounds correctly too. */
static void numbers_are_the_nearest_double(void)
{
    static const char *const hard[] = {
        "0",
        "-0",
        "1",
        "0.1",
        "123456789012345678",
        "9007199254740993",
        "9007199254740992.99",
        "9007199254740993.0000000000000000000000000000000001",
        "1e22",
        "1e23",
        "8.5e22",
        "2.2250738585072014e-308",
        "2.2250738585072011e-308",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1e-400",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "5e-324",
        "0.000000000000000000000000000000000001e36",
        "100000000000000000000000000000000000000000000000000e-50",
        "6.631236846766476e-316",
        "3.141592653589793238462643383279502884197169399375105820974944592307816406286",
        "179769313486231580793728971405301e276",
        "0.5000000000000000000000000000000001",
    };
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof hard / sizeof hard[0]; i++) {
        double x = -1;
        EXPECT(vdni_parse_double(&x, hard[i], (int64_t)strlen(hard[i])) == VDN_OK);
        const double y = strtod(hard[i], NULL);
        EXPECT(memcmp(&x, &y, sizeof x) == 0);
        if (memcmp(&x, &y, sizeof x) != 0) printf("  %s: %.17g, not %.17g\n", hard[i], x, y);
    }
    for (int i = 0; i < 20000; i++) {
        const uint64_t bits = test_random_bits(&seed);
        double value, back = 0;
        char text[64];
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        (void)snprintf(text, sizeof text, "%.*g", 1 + (int)(bits % 20), value);
        const double y = strtod(text, NULL);
        if (isinf(y)) continue;
        EXPECT(vdni_parse_double(&back, text, (int64_t)strlen(text)) == VDN_OK);
        EXPECT(memcmp(&back, &y, sizeof y) == 0);
        vdni_print_double(text, value);
        EXPECT(vdni_parse_double(&back, text, (int64_t)strlen(text)) == VDN_OK);
        EXPECT(memcmp(&back, &value, sizeof value) == 0);
    }
}

/* Exactly half way between two doubles, plus or minus a digit 760 places later. */
static void far_digits_break_ties(void)
{
    char text[1200];
    double x = 0;
    static const char half[] = "9007199254740993.";
    memset(text, '0', sizeof text);
    memcpy(text, half, sizeof half - 1);
    text[1100] = '1';
    EXPECT(vdni_parse_double(&x, text, 1101) == VDN_OK && x == 9007199254740994.0);
    EXPECT(vdni_parse_double(&x, text, 1100) == VDN_OK && x == 9007199254740992.0);
}

static void numbers_ignore_the_locale(void)
{
    char text[VDNI_DOUBLE_BYTES];
    double x = 0;
    const char *const set = setlocale(LC_NUMERIC, "de_DE.UTF-8");
    EXPECT(strcmp(vdni_print_double(text, 0.25), "0.25") == 0);
    EXPECT(vdni_parse_double(&x, "0.25", 4) == VDN_OK && x == 0.25);
    if (!set) printf("  (no German locale here: checked in the C locale only)\n");
    (void)setlocale(LC_NUMERIC, "C");
    EXPECT(strcmp(vdni_print_double(text, (double)NAN), "null") == 0);
}

static char *write_sample(vdn_ctx *c, vdn_status *status)
{
    vdni_json_writer w;
    char *text = NULL;
    vdni_json_begin(&w, c, 0);
    vdni_json_open_object(&w, NULL);
    vdni_json_put_string(&w, "s", "a\"b\\c\n\x01\xff\xc3\xa9");
    vdni_json_put_int(&w, "i", INT64_MIN);
    vdni_json_put_double(&w, "x", 0.1);
    vdni_json_put_double(&w, "nan", (double)NAN);
    vdni_json_open_array(&w, "l");
    vdni_json_put_bool(&w, NULL, 1);
    vdni_json_put_raw(&w, NULL, "{\"raw\":1}");
    vdni_json_open_object(&w, NULL);
    vdni_json_close(&w);
    vdni_json_close(&w);
    vdni_json_close(&w);
    *status = vdni_json_finish(&w, &text, NULL);
    return text;
}

static void the_writer_writes_what_the_reader_reads(void)
{
    vdn_status status = VDN_OK;
    char *text = write_sample(&ctx, &status);
    EXPECT(status == VDN_OK);
    EXPECT(strcmp(text, "{\"s\":\"a\\\"b\\\\c\\u000a\\u0001\xef\xbf\xbd\xc3\xa9\","
                        "\"i\":-9223372036854775808,\"x\":0.1,\"nan\":null,"
                        "\"l\":[true,{\"raw\":1},{}]}") == 0);
    vdni_json *json = parse(text);
    EXPECT(json != NULL);
    vdni_json_free(&ctx, json);
    vdni_free(&ctx, text);
}

static void the_writer_indents(void)
{
    vdni_json_writer w;
    char *text = NULL;
    vdni_json_begin(&w, &ctx, 2);
    vdni_json_open_object(&w, NULL);
    vdni_json_put_int(&w, "a", 1);
    vdni_json_open_array(&w, "b");
    vdni_json_put_int(&w, NULL, 2);
    vdni_json_close(&w);
    vdni_json_close(&w);
    EXPECT(vdni_json_finish(&w, &text, NULL) == VDN_OK);
    EXPECT(strcmp(text, "{\n  \"a\": 1,\n  \"b\": [\n    2\n  ]\n}\n") == 0);
    vdni_free(&ctx, text);
}

static void the_writer_refuses_misuse(void)
{
    for (int which = 0; which < 6; which++) {
        vdni_json_writer w;
        char *text = NULL;
        vdni_clear_error(&ctx);
        vdni_json_begin(&w, &ctx, 0);
        if (which != 0) vdni_json_open_object(&w, NULL);
        if (which == 1) vdni_json_put_int(&w, NULL, 1);
        if (which == 3) vdni_json_close(&w);
        if (which == 3) vdni_json_close(&w);
        if (which == 4) vdni_json_open_array(&w, "a");
        if (which == 4) vdni_json_put_int(&w, "n", 1);
        if (which == 4) vdni_json_close(&w);
        if (which == 4) vdni_json_close(&w);
        if (which == 5) {
            for (int i = 0; i < 40; i++) vdni_json_open_object(&w, "deeper");
            for (int i = 0; i < 33; i++) vdni_json_close(&w);
        }
        EXPECT(vdni_json_finish(&w, &text, NULL) == VDN_ERR_ARGUMENT);
        EXPECT(text == NULL && ctx.error[0] != '\0' && ctx.now_bytes == 0);
    }
}

static void every_refused_allocation_is_survived(void)
{
    int64_t refusals = 0;
    for (;; refusals++) {
        vdni_ctx_init(&ctx);
        ctx.refuse_after = refusals;
        vdn_status status = VDN_OK;
        vdni_json *json = NULL;
        char *text = write_sample(&ctx, &status);
        EXPECT((status == VDN_OK) == (text != NULL));
        if (status == VDN_OK)
            status = vdni_json_parse(&ctx, &json, text, (int64_t)strlen(text), "t");
        EXPECT((status == VDN_OK) == (json != NULL));
        EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
        vdni_json_free(&ctx, json);
        vdni_free(&ctx, text);
        EXPECT(ctx.now_bytes == 0);
        if (status == VDN_OK) break;
    }
    EXPECT(refusals == 5);
    vdni_ctx_init(&ctx);
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(a_document_reads_back);
    RUN(what_is_not_json_is_refused_with_its_place);
    RUN(depth_is_bounded);
    RUN(the_number_of_values_is_bounded);
    RUN(different_objects_may_share_names);
    RUN(damage_is_survived);
    RUN(getters_name_field_found_and_needed);
    RUN(numbers_are_the_nearest_double);
    RUN(far_digits_break_ties);
    RUN(numbers_ignore_the_locale);
    RUN(the_writer_writes_what_the_reader_reads);
    RUN(the_writer_indents);
    RUN(the_writer_refuses_misuse);
    RUN(every_refused_allocation_is_survived);
    return test_result();
}
