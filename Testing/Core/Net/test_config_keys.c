#include "Net/config_keys.h"

#include "Net/model.h"
#include "net_test.h"

static vdn_ctx ctx;

static int32_t value_at(const vdni_config *c, const vdni_key *key)
{
    int32_t value;
    memcpy(&value, (const char *)c + key->offset, sizeof value);
    return value;
}

/* Every key of a model file comes back, its words too; a file without them means 0. */
static void keys_of_files_come_back(void)
{
    const vdni_keys keys = vdni_config_keys();
    int32_t in_file = 0;
    for (int32_t i = 0; i < keys.count; i++) {
        if (keys.items[i].format != 2) continue;
        in_file++;
        const char *const *words = keys.items[i].choices;
        const int is_switch = keys.items[i].kind == VDNI_KEY_SWITCH;
        for (int32_t word = 0; words ? words[word] != NULL : is_switch && word < 2; word++) {
            vdni_config c, read;
            vdni_domain domain, read_domain;
            char *text = NULL;
            EXPECT(vdni_config_get(&ctx, &c, "unit") == VDN_OK);
            vdni_domain_binary(&domain, "vertebra", 1);
            EXPECT(value_at(&c, &keys.items[i]) == 0); /* as the first files mean it */
            memcpy((char *)&c + keys.items[i].offset, &word, sizeof word);
            if (vdni_config_check(&ctx, &c) != VDN_OK) continue; /* not with the other fields */
            EXPECT_OK(&ctx, vdni_config_to_json(&ctx, &text, &c, &domain));
            EXPECT((strstr(text, "\"format\":2") != NULL) == (word != 0));
            EXPECT((strstr(text, keys.items[i].name) != NULL) >= (word != 0));
            EXPECT_OK(&ctx, vdni_config_from_json(&ctx, &read, &read_domain, text, "file"));
            EXPECT(memcmp(&c, &read, sizeof c) == 0);
            vdni_free(&ctx, text);
        }
    }
    EXPECT(in_file >= 2 && ctx.now_bytes == 0);
}

static void a_number_of_a_file_comes_back(void)
{
    static const double values[4] = { 0.0, 1.0, 0.1, 1e-300 };
    for (int i = 0; i < 4; i++) {
        vdni_config c, read;
        vdni_domain domain, read_domain;
        char *text = NULL;
        EXPECT(vdni_config_get(&ctx, &c, "unit") == VDN_OK);
        vdni_domain_binary(&domain, "vertebra", 1);
        c.eta = values[i];
        EXPECT_OK(&ctx, vdni_config_to_json(&ctx, &text, &c, &domain));
        EXPECT((strstr(text, "\"format\":2") != NULL) == (i > 0));
        EXPECT_OK(&ctx, vdni_config_from_json(&ctx, &read, &read_domain, text, "file"));
        EXPECT(read.eta == c.eta);
        vdni_free(&ctx, text);
    }
}

/* Words fit the ranges that vdni_config_check knows: no word is refused for being too large. */
static void every_word_is_a_value(void)
{
    const vdni_keys keys = vdni_config_keys();
    for (int32_t i = 0; i < keys.count; i++) {
        char range[64];
        vdni_config c;
        int32_t words = 0;
        if (!keys.items[i].choices) continue;
        while (keys.items[i].choices[words]) words++;
        EXPECT(vdni_config_get(&ctx, &c, "unit") == VDN_OK);
        memcpy((char *)&c + keys.items[i].offset, &words, sizeof words);
        vdni_clear_error(&ctx);
        EXPECT(vdni_config_check(&ctx, &c) == VDN_ERR_ARGUMENT);
        (void)snprintf(range, sizeof range, "needed 0 to %d", (int)words - 1);
        EXPECT(strstr(ctx.error, range) != NULL);
        if (!strstr(ctx.error, range)) printf("  %s: %s\n", keys.items[i].name, ctx.error);
    }
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(keys_of_files_come_back);
    RUN(a_number_of_a_file_comes_back);
    RUN(every_word_is_a_value);
    return test_result();
}
