#include "Net/keys.h"

#include "net_test.h"

static vdn_ctx ctx;

typedef struct {
    int32_t number, flag, word;
    int64_t wide;
    double real;
} record;

static const char *const words[] = { "none", "some", "all", NULL };
static const vdni_key items[] = {
    { "number", VDNI_KEY_INT, offsetof(record, number), NULL, 0 },
    { "flag", VDNI_KEY_SWITCH, offsetof(record, flag), NULL, 0 },
    { "word", VDNI_KEY_CHOICE, offsetof(record, word), words, 0 },
    { "wide", VDNI_KEY_LONG, offsetof(record, wide), NULL, 0 },
    { "real", VDNI_KEY_REAL, offsetof(record, real), NULL, 0 },
};
static const vdni_keys keys = { items, 5 };

static vdn_status read(record *r, const char *text)
{
    vdni_json *json = NULL;
    vdn_status status = vdni_json_parse(&ctx, &json, text, (int64_t)strlen(text), "preset.json");
    const vdni_json_value *v = status == VDN_OK ? vdni_json_first(vdni_json_root(json)) : NULL;
    for (; v && status == VDN_OK; v = vdni_json_next(v)) {
        const vdni_key *key = vdni_key_find(keys, v->name);
        EXPECT(key != NULL);
        if (key) status = vdni_key_set(&ctx, r, key, v);
    }
    vdni_json_free(&ctx, json);
    return status;
}

static void what_is_put_is_set_again(void)
{
    const record values[2] = { { 7, 1, 2, (int64_t)1 << 35, 0.1 }, { 0, 0, 0, 0, INFINITY } };
    for (int i = 0; i < 2; i++) {
        record found = { -1, -1, -1, -1, -1.0 };
        char *text = NULL;
        vdni_json_writer w;
        vdni_json_begin(&w, &ctx, 0);
        vdni_json_open_object(&w, NULL);
        for (int k = 0; k < keys.count; k++) vdni_key_put(&w, &items[k], &values[i]);
        vdni_json_close(&w);
        EXPECT_OK(&ctx, vdni_json_finish(&w, &text, NULL));
        EXPECT(
            strcmp(text, i ? "{\"number\":0,\"flag\":0,\"word\":\"none\",\"wide\":0,\"real\":null}"
                           : "{\"number\":7,\"flag\":1,\"word\":\"all\",\"wide\":34359738368,"
                             "\"real\":0.1}") == 0);
        EXPECT_OK(&ctx, read(&found, text));
        EXPECT(found.number == values[i].number && found.flag == values[i].flag);
        EXPECT(found.word == values[i].word && found.wide == values[i].wide);
        EXPECT(found.real == values[i].real);
        vdni_free(&ctx, text);
    }
    EXPECT(vdni_key_find(keys, "wor") == NULL && ctx.now_bytes == 0);
}

static void zero_is_found_in_every_kind(void)
{
    const record zero = { 0, 0, 0, 0, 0.0 },
                 full = { 1 << 30, 1, 2, (int64_t)1 << 35, 0.25 }; /* low words of the wide are 0 */
    for (int k = 0; k < keys.count; k++) {
        EXPECT(vdni_key_is_zero(&items[k], &zero));
        EXPECT(!vdni_key_is_zero(&items[k], &full));
    }
}

static void the_wrong_kind_is_refused_with_the_key(void)
{
    static const char *const texts[][2] = {
        { "{\"number\":1.5}", "number" },   { "{\"number\":-1}", "number" },
        { "{\"number\":\"1\"}", "number" }, { "{\"number\":2147483648}", "number" },
        { "{\"flag\":2}", "flag" },         { "{\"flag\":\"on\"}", "flag" },
        { "{\"word\":1}", "word" },         { "{\"word\":\"any\"}", "none, some, all" },
        { "{\"wide\":null}", "wide" },      { "{\"real\":\"much\"}", "real" },
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        record r;
        vdni_clear_error(&ctx);
        EXPECT(read(&r, texts[i][0]) == VDN_ERR_FORMAT);
        EXPECT(strstr(ctx.error, texts[i][1]) && strstr(ctx.error, "preset.json"));
        if (!strstr(ctx.error, texts[i][1])) printf("  %s: %s\n", texts[i][0], ctx.error);
    }
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(what_is_put_is_set_again);
    RUN(zero_is_found_in_every_kind);
    RUN(the_wrong_kind_is_refused_with_the_key);
    return test_result();
}
