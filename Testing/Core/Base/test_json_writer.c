/* test_json.c checks the writer against the reader; here is every put function byte for byte. */
#include "Base/json.h"
#include "Base/memory.h"
#include "test.h"

static vdn_ctx ctx;

static void expect_text(vdni_json_writer *w, const char *wanted)
{
    char *text = NULL;
    int64_t bytes = -1;
    EXPECT(vdni_json_finish(w, &text, &bytes) == VDN_OK);
    EXPECT(text && strcmp(text, wanted) == 0);
    EXPECT(bytes == (int64_t)strlen(wanted));
    if (text && strcmp(text, wanted) != 0) printf("  %s\n", text);
    vdni_free(&ctx, text);
    EXPECT(ctx.now_bytes == 0);
}

static void every_kind_of_value_has_its_form(void)
{
    vdni_json_writer w;
    vdni_json_begin(&w, &ctx, 0);
    vdni_json_open_array(&w, NULL);
    vdni_json_put_string(&w, NULL, "");
    vdni_json_put_int(&w, NULL, INT64_MIN);
    vdni_json_put_int(&w, NULL, INT64_MAX);
    vdni_json_put_double(&w, NULL, -0.5);
    vdni_json_put_double(&w, NULL, (double)INFINITY);
    vdni_json_put_bool(&w, NULL, 0);
    vdni_json_put_bool(&w, NULL, 7);
    vdni_json_put_null(&w, NULL);
    vdni_json_put_raw(&w, NULL, "[1]");
    vdni_json_open_object(&w, NULL);
    vdni_json_put_null(&w, "a");
    vdni_json_open_array(&w, "b\"");
    vdni_json_close(&w);
    vdni_json_close(&w);
    vdni_json_close(&w);
    expect_text(&w, "[\"\",-9223372036854775808,9223372036854775807,-0.5,null,false,true,null,"
                    "[1],{\"a\":null,\"b\\\"\":[]}]");
}

static void one_value_is_a_document(void)
{
    vdni_json_writer w;
    vdni_json_begin(&w, &ctx, 0);
    vdni_json_put_int(&w, NULL, 5);
    expect_text(&w, "5");
    vdni_json_begin(&w, &ctx, 3);
    vdni_json_open_object(&w, NULL);
    vdni_json_close(&w);
    expect_text(&w, "{}\n");
}

static void strings_are_escaped_and_made_utf8(void)
{
    vdni_json_writer w;
    vdni_json_begin(&w, &ctx, 0);
    vdni_json_put_string(&w, NULL, "\"\\/\t\x1f\x7f\xe2\x82\xac\xe2\x82\xc0\xf0\x9f\x98\x80\xed");
    expect_text(&w, "\"\\\"\\\\/\\u0009\\u001f\x7f\xe2\x82\xac\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                    "\xf0\x9f\x98\x80\xef\xbf\xbd\"");
}

static void long_texts_grow(void)
{
    enum { COUNT = 20000 };
    vdni_json_writer w;
    vdni_json *json = NULL;
    char *text = NULL;
    int64_t bytes = 0, value = -1;
    vdni_json_begin(&w, &ctx, 0);
    vdni_json_open_array(&w, NULL);
    for (int64_t i = 0; i < COUNT; i++) vdni_json_put_int(&w, NULL, i);
    vdni_json_close(&w);
    EXPECT(vdni_json_finish(&w, &text, &bytes) == VDN_OK);
    EXPECT(vdni_json_parse(&ctx, &json, text, bytes, "long") == VDN_OK);
    const vdni_json_value *v = json ? vdni_json_first(vdni_json_root(json)) : NULL;
    for (int64_t i = 0; i < COUNT && v; i++, v = vdni_json_next(v))
        EXPECT(vdni_json_to_int(&ctx, &value, v, i, i) == VDN_OK);
    EXPECT(value == COUNT - 1 && v == NULL);
    vdni_json_free(&ctx, json);
    vdni_free(&ctx, text);
    EXPECT(ctx.now_bytes == 0);
}

static void the_first_failure_is_kept(void)
{
    vdni_json_writer w;
    char *text = NULL;
    vdni_clear_error(&ctx);
    vdni_json_begin(&w, &ctx, 0);
    vdni_json_open_array(&w, NULL);
    vdni_json_put_int(&w, "named", 1);
    vdni_json_close(&w);
    vdni_json_close(&w);
    vdni_json_put_int(&w, NULL, 1);
    EXPECT(vdni_json_finish(&w, &text, NULL) == VDN_ERR_ARGUMENT && text == NULL);
    EXPECT(strcmp(ctx.error, "JSON writer: a name inside an array (byte 1)") == 0);
    vdni_clear_error(&ctx);
    ctx.refuse_after = ctx.allocations;
    vdni_json_begin(&w, &ctx, 0);
    vdni_json_open_array(&w, NULL);
    vdni_json_put_int(&w, "named", 1); /* misuse after the refusal */
    EXPECT(vdni_json_finish(&w, &text, NULL) == VDN_ERR_MEMORY && text == NULL);
    ctx.refuse_after = -1;
    vdni_clear_error(&ctx);
    EXPECT(ctx.now_bytes == 0);
}

static void a_dropped_text_is_freed(void)
{
    vdni_json_writer w;
    vdni_json_begin(&w, &ctx, 0);
    vdni_json_drop(&w);
    vdni_json_begin(&w, &ctx, 0);
    vdni_json_open_array(&w, NULL);
    EXPECT(ctx.now_bytes > 0);
    vdni_json_drop(&w);
    vdni_json_drop(&w);
    EXPECT(ctx.now_bytes == 0);
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(every_kind_of_value_has_its_form);
    RUN(one_value_is_a_document);
    RUN(strings_are_escaped_and_made_utf8);
    RUN(long_texts_grow);
    RUN(the_first_failure_is_kept);
    RUN(a_dropped_text_is_freed);
    return test_result();
}
