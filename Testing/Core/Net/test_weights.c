#include "Net/weights.h"

#include "Base/file.h"
#include "Base/memory.h"
#include "test.h"

#include <unistd.h>

static vdn_ctx ctx;
static char path[64];

static const float w_values[6] = { 1, -2, 3.5f, 1e-30f, 0, 6 };
static const int64_t step_value[1] = { INT64_MAX };
static const uint8_t mask_values[3] = { 1, 0, 255 };

static vdn_status save_sample(void)
{
    const vdni_weights_entry entries[3] = {
        { .name = "a.w",
          .type = VDNI_WEIGHTS_F32,
          .dimensions = 2,
          .shape = { 2, 3 },
          .data = w_values },
        { .name = "mask",
          .type = VDNI_WEIGHTS_U8,
          .dimensions = 1,
          .shape = { 3 },
          .data = mask_values },
        { .name = "step", .type = VDNI_WEIGHTS_I64, .data = step_value },
    };
    const vdni_weights_metadatum metadata[2] = { { "config", "tiny" },
                                                 { "note", "\"quoted\"\n\xc3\xa9" } };
    return vdni_weights_save(&ctx, path, entries, 3, metadata, 2);
}

static vdn_status open_file(vdni_weights **w)
{
    vdni_clear_error(&ctx);
    const vdn_status status = vdni_weights_open(&ctx, w, path);
    EXPECT((status == VDN_OK) == (*w != NULL));
    EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
    return status;
}

static void what_was_saved_is_read(void)
{
    vdni_weights *w = NULL;
    float values[6];
    int64_t step = 0;
    EXPECT(save_sample() == VDN_OK);
    EXPECT(open_file(&w) == VDN_OK);
    if (!w) return;
    EXPECT(vdni_weights_count(w) == 3);
    const vdni_weights_entry *a = vdni_weights_find(w, "a.w");
    EXPECT(a && a->dimensions == 2 && a->shape[0] == 2 && a->shape[1] == 3 && a->count == 6);
    EXPECT(a && a->shape[2] == 1 && a->bytes == 24 && a->type == VDNI_WEIGHTS_F32);
    EXPECT(vdni_weights_copy(&ctx, values, w, "a.w", VDNI_WEIGHTS_F32, 6) == VDN_OK);
    EXPECT(memcmp(values, w_values, sizeof values) == 0);
    EXPECT(vdni_weights_copy(&ctx, &step, w, "step", VDNI_WEIGHTS_I64, 1) == VDN_OK);
    EXPECT(step == INT64_MAX);
    EXPECT(strcmp(vdni_weights_metadata(w, "config"), "tiny") == 0);
    EXPECT(strcmp(vdni_weights_metadata(w, "note"), "\"quoted\"\n\xc3\xa9") == 0);
    EXPECT(vdni_weights_metadata(w, "absent") == NULL);
    EXPECT(vdni_weights_find(w, "absent") == NULL);
    EXPECT(vdni_weights_at(w, -1) == NULL && vdni_weights_at(w, 3) == NULL);
    EXPECT(vdni_weights_copy(&ctx, values, w, "a.w", VDNI_WEIGHTS_F32, 5) == VDN_ERR_FORMAT);
    EXPECT(strcmp(ctx.error, "tensor a.w is 6 x F32, needed 5 x F32") == 0);
    vdni_clear_error(&ctx);
    EXPECT(vdni_weights_copy(&ctx, values, w, "a.w", VDNI_WEIGHTS_I32, 6) == VDN_ERR_FORMAT);
    vdni_clear_error(&ctx);
    EXPECT(vdni_weights_copy(&ctx, values, w, "b", VDNI_WEIGHTS_F32, 6) == VDN_ERR_FORMAT);
    vdni_weights_close(&ctx, w);
    vdni_weights_close(&ctx, NULL);
    EXPECT(ctx.now_bytes == 0);
}

static void values_begin_on_a_64_byte_boundary(void)
{
    char *data = NULL;
    int64_t bytes = 0;
    EXPECT(save_sample() == VDN_OK);
    EXPECT(vdni_file_read(&ctx, &data, &bytes, path, 10000) == VDN_OK);
    const int64_t header = (uint8_t)data[0] + 256 * (uint8_t)data[1];
    EXPECT((8 + header) % 64 == 0 && bytes == 8 + header + 24 + 3 + 8);
    EXPECT(memcmp(data + 8 + header, w_values, 24) == 0);
    vdni_free(&ctx, data);
}

/* Without the flush of vdni_file_write(), which would take most of the test's time. */
static void write_plainly(const char *data, int64_t bytes)
{
    FILE *file = fopen(path, "wb");
    EXPECT(file != NULL);
    if (!file) return;
    EXPECT(fwrite(data, 1, (size_t)bytes, file) == (size_t)bytes);
    EXPECT(fclose(file) == 0);
}

/* Every prefix is refused; every changed byte is refused or leaves a file that can be used. */
static void damage_is_survived(void)
{
    char *data = NULL;
    int64_t bytes = 0;
    uint64_t seed = 1;
    EXPECT(save_sample() == VDN_OK);
    EXPECT(vdni_file_read(&ctx, &data, &bytes, path, 10000) == VDN_OK);
    int refused = 0;
    for (int64_t i = 0; i < bytes; i++) {
        vdni_weights *w = NULL;
        write_plainly(data, i);
        EXPECT(open_file(&w) == VDN_ERR_FORMAT);
        EXPECT(strstr(ctx.error, path) != NULL);
        const char kept = data[i];
        data[i] = (char)(kept ^ (1 + test_random_bits(&seed) % 255));
        vdni_clear_error(&ctx);
        write_plainly(data, bytes);
        const vdn_status status = open_file(&w);
        EXPECT(status == VDN_OK || status == VDN_ERR_FORMAT);
        refused += status != VDN_OK;
        for (int64_t k = 0; w && k < vdni_weights_count(w); k++) {
            const vdni_weights_entry *entry = vdni_weights_at(w, k);
            char *copy = malloc((size_t)entry->bytes);
            memcpy(copy, entry->data, (size_t)entry->bytes);
            free(copy);
        }
        vdni_weights_close(&ctx, w);
        data[i] = kept;
    }
    EXPECT(refused > 150);
    vdni_free(&ctx, data);
    EXPECT(ctx.now_bytes == 0);
}

/* A file of the given header, followed by @p tail zero bytes. */
static void write_header(const char *header, int64_t tail)
{
    char data[2048] = { 0 };
    const int64_t length = (int64_t)strlen(header);
    data[0] = (char)(length % 256);
    data[1] = (char)(length / 256);
    memcpy(data + 8, header, (size_t)length);
    vdni_clear_error(&ctx);
    write_plainly(data, 8 + length + tail);
}

#define TENSOR(type, shape, begin, end) \
    "{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static void hostile_headers_are_refused(void)
{
    static const struct {
        const char *header;
        int64_t tail;
        const char *message;
    } bad[] = {
        { "[]", 0, "no JSON object" },
        { "{\"a\":1}", 0, "'a' is a number" },
        { "{\"a\":{}}", 0, "'dtype' is missing" },
        { "{\"a\":" TENSOR("F64", "[1]", "0", "8") "}", 8, "F32" },
        { "{\"a\":" TENSOR("F32", "[2]", "0", "4") "}", 4, "do not enclose" },
        { "{\"a\":" TENSOR("F32", "[1]", "0", "8") "}", 8, "do not enclose" },
        { "{\"a\":" TENSOR("F32", "[1]", "0", "4") "}", 3, "needed is 0 to 3" },
        { "{\"a\":" TENSOR("F32", "[1]", "4", "0") "}", 4, "needed is 4 to 4" },
        { "{\"a\":" TENSOR("F32", "[1]", "-4", "0") "}", 4, "needed is 0" },
        { "{\"a\":" TENSOR("F32", "[1]", "0.5", "4") "}", 4, "an integer" },
        { "{\"a\":" TENSOR("F32", "[0]", "0", "0") "}", 0, "needed is 1" },
        { "{\"a\":" TENSOR("F32", "[-1]", "0", "4") "}", 4, "needed is 1" },
        { "{\"a\":" TENSOR("F32", "[4294967296,4294967296]", "0", "0") "}", 0, "needed is 1" },
        { "{\"a\":" TENSOR("F32", "[9223372036854775807,4]", "0", "4") "}", 4, "needed is 1" },
        { "{\"a\":" TENSOR("F32", "[1,1,1,1,1]", "0", "4") "}", 4, "5 elements" },
        { "{\"a\":" TENSOR("F32", "[1]", "0", "4") ",\"b\":" TENSOR("F32", "[1]", "0", "4") "}", 4,
          "share bytes" },
        { "{\"a\":" TENSOR("F32", "[2]", "0", "8") ",\"b\":" TENSOR("F32", "[1]", "4", "8") "}", 8,
          "share bytes" },
        { "{\"a\":" TENSOR("F32", "[1]", "0", "4") ",\"b\":" TENSOR("F32", "[1]", "8", "12") "}",
          12, "4 unused bytes" },
        { "{\"a\":" TENSOR("F32", "[1]", "4", "8") "}", 8, "4 unused bytes" },
        { "{\"a\":" TENSOR("F32", "[1]", "0", "4") "}", 5, "1 bytes follow" },
        { "{}", 1, "1 bytes follow" },
        { "{\"a\":" TENSOR("F32", "[1]", "0", "4") ",\"a\":" TENSOR("F32", "[1]", "4", "8") "}", 8,
          "twice" },
        { "{\"__metadata__\":1}", 0, "no object" },
        { "{\"__metadata__\":{\"k\":1}}", 0, "strings" },
        { "{\"0123456789012345678901234567890123456789012345678901234567890123456789012345678"
          "9\":" TENSOR("F32", "[1]", "0", "4") "}",
          4, "too long" },
        { "{\"a\":", 0, "JSON" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        vdni_weights *w = NULL;
        write_header(bad[i].header, bad[i].tail);
        EXPECT(open_file(&w) == VDN_ERR_FORMAT);
        EXPECT(strstr(ctx.error, bad[i].message) && strstr(ctx.error, path));
        if (!strstr(ctx.error, bad[i].message)) printf("  %s: %s\n", bad[i].header, ctx.error);
        vdni_weights_close(&ctx, w);
    }
    vdni_weights *w = NULL;
    write_header(
        "{\"b\":" TENSOR("I32", "[1]", "4", "8") ",\"a\":" TENSOR("F32", "[]", "0", "4") "}", 8);
    EXPECT(open_file(&w) == VDN_OK); /* any order, and a scalar */
    EXPECT(w && strcmp(vdni_weights_at(w, 0)->name, "a") == 0);
    vdni_weights_close(&ctx, w);
    EXPECT(ctx.now_bytes == 0);
}

static void header_lengths_beyond_the_file_are_refused(void)
{
    static const unsigned char lengths[][8] = {
        { 3, 0, 0, 0, 0, 0, 0, 0 },
        { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
        { 0, 0, 0, 0, 0, 0, 0, 0x80 },
        { 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
    };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        char data[10] = "        {}";
        vdni_weights *w = NULL;
        memcpy(data, lengths[i], 8);
        vdni_clear_error(&ctx);
        write_plainly(data, 10);
        EXPECT(open_file(&w) == VDN_ERR_FORMAT);
    }
}

static void empty_tensors_are_not_saved(void)
{
    const vdni_weights_entry none = { .name = "n", .dimensions = 1, .shape = { 0 } };
    vdni_clear_error(&ctx);
    EXPECT(vdni_weights_save(&ctx, path, &none, 1, NULL, 0) == VDN_ERR_ARGUMENT);
}

static void every_refused_allocation_is_survived(void)
{
    for (int64_t refusals = 0;; refusals++) {
        vdni_weights *w = NULL;
        vdni_ctx_init(&ctx);
        ctx.refuse_after = refusals;
        vdn_status status = save_sample();
        if (status == VDN_OK) status = vdni_weights_open(&ctx, &w, path);
        EXPECT((status == VDN_OK) == (w != NULL));
        EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
        vdni_weights_close(&ctx, w);
        EXPECT(ctx.now_bytes == 0);
        if (status == VDN_OK) {
            EXPECT(refusals >= 8);
            break;
        }
    }
    vdni_ctx_init(&ctx);
}

int main(void)
{
    vdni_ctx_init(&ctx);
    (void)snprintf(path, sizeof path, "test_weights.%ld.safetensors", (long)getpid());
    RUN(what_was_saved_is_read);
    RUN(values_begin_on_a_64_byte_boundary);
    RUN(damage_is_survived);
    RUN(hostile_headers_are_refused);
    RUN(header_lengths_beyond_the_file_are_refused);
    RUN(empty_tensors_are_not_saved);
    RUN(every_refused_allocation_is_survived);
    EXPECT(unlink(path) == 0);
    return test_result();
}
