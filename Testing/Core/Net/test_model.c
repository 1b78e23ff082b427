#include "Net/model.h"

#include "Base/file.h"
#include "Net/weights.h"
#include "net_test.h"

#include <unistd.h>

static vdn_ctx ctx;
static char path[64];

static vdn_model *make(const char *name, int32_t k, uint64_t seed)
{
    vdn_model *model = NULL;
    vdni_config config;
    vdni_domain domain;
    EXPECT(vdni_config_get(&ctx, &config, name) == VDN_OK);
    config.mask_channels = k;
    vdni_domain_binary(&domain, "vertebra", 7);
    if (k > 1) domain.classes = k;
    for (int32_t i = 2; i < k; i++)
        (void)snprintf(domain.class_name[i], VDN_NAME_BYTES, "class %d", (int)i);
    EXPECT_OK(&ctx, vdni_model_create(&ctx, &model, &config, &domain, seed));
    if (!model) exit(1);
    return model;
}

static void what_was_saved_is_loaded_bit_for_bit(void)
{
    static const int32_t classes[3] = { 1, 3, VDN_MAX_CLASSES };
    for (int i = 0; i < 3; i++) {
        vdn_model *model = make("unit", classes[i], 5), *loaded = NULL;
        EXPECT_OK(&ctx, vdni_model_save(&ctx, path, model, NULL));
        EXPECT_OK(&ctx, vdn_model_load(&ctx, &loaded, path));
        EXPECT(loaded && memcmp(&loaded->config, &model->config, sizeof model->config) == 0);
        EXPECT(loaded && memcmp(&loaded->domain, &model->domain, sizeof model->domain) == 0);
        EXPECT(loaded && loaded->parameters.total_floats == model->parameters.total_floats);
        EXPECT(loaded && memcmp(loaded->values, model->values,
                                4 * (size_t)model->parameters.total_floats) == 0);
        EXPECT(loaded && strcmp(loaded->notes, "{}") == 0);
        EXPECT(loaded && loaded->serial != model->serial);
        vdn_model_free(loaded);
        vdn_model_free(model);
        EXPECT(ctx.now_bytes == 0);
    }
}

static void other_values_can_be_saved(void)
{
    vdn_model *model = make("unit", 1, 5), *other = make("unit", 1, 6), *loaded = NULL;
    EXPECT(memcmp(model->values, other->values, 4 * (size_t)model->parameters.total_floats) != 0);
    EXPECT_OK(&ctx, vdni_model_save(&ctx, path, model, other->values));
    EXPECT_OK(&ctx, vdn_model_load(&ctx, &loaded, path));
    EXPECT(loaded &&
           memcmp(loaded->values, other->values, 4 * (size_t)model->parameters.total_floats) == 0);
    vdn_model_free(loaded);
    vdn_model_free(other);
    vdn_model_free(model);
}

static void a_failed_save_leaves_the_old_file(void)
{
    vdn_model *model = make("unit", 1, 5), *loaded = NULL;
    EXPECT_OK(&ctx, vdni_model_save(&ctx, path, model, NULL));
    EXPECT(vdni_model_save(&ctx, "/no/such/folder/model", model, NULL) == VDN_ERR_IO);
    ctx.refuse_after = ctx.allocations + 1;
    EXPECT(vdni_model_save(&ctx, path, model, NULL) == VDN_ERR_MEMORY);
    ctx.refuse_after = -1;
    EXPECT_OK(&ctx, vdn_model_load(&ctx, &loaded, path));
    vdn_model_free(loaded);
    vdn_model_free(model);
}

static void the_info_says_what_the_model_is(void)
{
    vdn_model *model = make("unit", 1, 5);
    vdn_model_info info;
    model->domain.pixel_spacing_mm = 0.75;
    vdn_model_get_info(&info, model);
    EXPECT(strcmp(info.config, "unit") == 0 && info.classes == 2 && info.image_channels == 1);
    EXPECT(strcmp(info.class_name[1], "vertebra") == 0 && info.class_label[1] == 7);
    EXPECT(info.parameters == 48670 && info.pad_multiple == 2 && info.pixel_spacing_mm == 0.75f);
    EXPECT(info.metadata_json == model->notes);
    vdn_model_free(model);
    vdn_model_free(NULL);
}

/* Start values: the rules of model.md 2.3, 2.5 and 2.6, of tiny. */
static void start_values_follow_the_rules(void)
{
    vdn_model *model = make("tiny", 1, 35);
    for (int64_t i = 0; i < model->parameters.count; i++) {
        const vdni_parameter *p = &model->parameters.items[i];
        const float *v = model->values + p->offset;
        const int64_t count = p->n * p->h * p->w * p->c;
        const char *end = strrchr(p->name, '.');
        double square = 0.0, largest = 0.0;
        for (int64_t k = 0; k < count; k++) {
            square += (double)v[k] * v[k];
            if (!(fabsf(v[k]) <= largest)) largest = fabsf(v[k]);
        }
        const double rms = sqrt(square / (double)count);
        const double fan_in = (double)(p->h * p->w * (strstr(p->name, ".dw") ? 1 : p->c));
        const int is_zero = strstr(p->name, ".conv1.") || strstr(p->name, ".proj.") ||
                            strstr(p->name, "diff.out.conv.");
        if (strcmp(end, ".gamma") == 0)
            EXPECT(v[0] == 1.0f && rms == 1.0);
        else if (strcmp(end, ".beta") == 0)
            EXPECT(largest == 0.0);
        else if (strcmp(end, ".lambda") == 0)
            EXPECT(v[0] == 1e-2f);
        else if (strncmp(p->name, "diff.", 5) == 0 && is_zero)
            EXPECT(largest == 0.0);
        else if (strcmp(end, ".weight") == 0 && count >= 200) {
            const int he = strncmp(p->name, "cond.", 5) == 0 && !strstr(p->name, "squeeze") &&
                           !strstr(p->name, "select");
            const double wanted = he ? sqrt(2.0 / 1.0001 / fan_in) : 1.0 / sqrt(3.0 * fan_in);
            EXPECT_LE(fabs(rms / wanted - 1.0), 4.0 / sqrt(2.0 * (double)count));
            if (!he) EXPECT_LE(largest, 1.0 / sqrt(fan_in));
        }
        EXPECT(p->decays == (strcmp(end, ".weight") == 0) && p->offset % 16 == 0);
    }
    vdn_model_free(model);
}

/* Batch norm in the condition net: running statistics are saved, not trained, and start at 0 and
 * 1. */
static void running_statistics_belong_to_the_model(void)
{
    vdn_model *model = NULL, *loaded = NULL;
    vdni_config config;
    vdni_domain domain;
    int64_t running = 0;
    EXPECT(vdni_config_get(&ctx, &config, "unit") == VDN_OK);
    config.condition_norm = VDNI_CONDITION_BATCH;
    vdni_domain_binary(&domain, "vertebra", 1);
    EXPECT_OK(&ctx, vdni_model_create(&ctx, &model, &config, &domain, 1));
    EXPECT(model->parameters.trainable == 48670);
    for (int64_t i = 0; i < model->parameters.count; i++) {
        const vdni_parameter *p = &model->parameters.items[i];
        const float *v = model->values + p->offset;
        if (p->trainable) continue;
        running++;
        EXPECT(!p->decays);
        for (int64_t c = 0; c < p->c; c++) EXPECT(v[c] == (c < p->c / 2 ? 0.0f : 1.0f));
    }
    EXPECT(running == 6); /* three of MSFM, enc0, enc1, dec0 */
    EXPECT_OK(&ctx, vdni_model_save(&ctx, path, model, NULL));
    EXPECT_OK(&ctx, vdn_model_load(&ctx, &loaded, path));
    EXPECT(loaded && loaded->parameters.count == model->parameters.count);
    vdn_model_free(loaded);
    vdn_model_free(model);
}

/* ---- damage ---- */

static void write_plainly(const char *data, int64_t bytes)
{
    FILE *file = fopen(path, "wb");
    EXPECT(file && fwrite(data, 1, (size_t)bytes, file) == (size_t)bytes);
    if (file) EXPECT(fclose(file) == 0);
}

static vdn_status load(void)
{
    vdn_model *model = NULL;
    const vdn_status status = vdn_model_load(&ctx, &model, path);
    EXPECT((status == VDN_OK) == (model != NULL));
    EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
    vdn_model_free(model);
    EXPECT(ctx.now_bytes == 0);
    return status;
}

static void damaged_files_are_refused(void)
{
    vdn_model *model = make("unit", 1, 5);
    char *data = NULL;
    int64_t bytes = 0, refused = 0;
    uint64_t seed = 3;
    EXPECT_OK(&ctx, vdni_model_save(&ctx, path, model, NULL));
    vdn_model_free(model);
    EXPECT_OK(&ctx, vdni_file_read(&ctx, &data, &bytes, path, 1 << 20));
    char *copy = malloc((size_t)bytes);
    memcpy(copy, data, (size_t)bytes);
    vdni_free(&ctx, data);
    for (int i = 0; i < 60; i++) { /* cut: near both ends and at random */
        const int64_t cut = i < 20   ? i
                            : i < 40 ? bytes - 1 - (i - 20)
                                     : (int64_t)(test_random_bits(&seed) % (uint64_t)bytes);
        write_plainly(copy, cut);
        EXPECT(load() == VDN_ERR_FORMAT);
        EXPECT(strstr(ctx.error, path) != NULL);
    }
    for (int i = 0; i < 400; i++) { /* flipped: the header decides, so most flips fall there */
        const int64_t header = 8 + (uint8_t)copy[0] + 256 * (uint8_t)copy[1];
        const int64_t at = (int64_t)(test_random_bits(&seed) % (uint64_t)(i % 8 ? header : bytes));
        const char kept = copy[at];
        copy[at] = (char)(kept ^ (1 + test_random_bits(&seed) % 255));
        write_plainly(copy, bytes);
        const vdn_status status = load();
        EXPECT(status == VDN_OK || status == VDN_ERR_FORMAT);
        refused += status != VDN_OK;
        copy[at] = kept;
    }
    EXPECT(refused > 200);
    free(copy);
}

/* The same model written with one thing wrong: which tensor, and what. */
typedef enum {
    MISSING,
    SHAPE,
    TYPE,
    NAN_VALUE,
    INFINITE,
    EXTRA,
    NO_CONFIG,
    CHANNELS,
    FAULTS
} fault;

static vdn_status save_with(fault f)
{
    vdn_model *model = make("unit", 1, 5);
    const vdni_parameters *table = &model->parameters;
    vdni_weights_entry *e = calloc((size_t)table->count + 1, sizeof *e);
    char *json = NULL;
    int64_t count = table->count;

    if (f == NAN_VALUE) model->values[table->items[7].offset + 1] = NAN;
    if (f == INFINITE) model->values[table->items[7].offset + 1] = INFINITY;
    if (f == CHANNELS) model->config.image_channels = 2;
    for (int64_t i = 0; i < table->count; i++) {
        const vdni_parameter *p = &table->items[i];
        e[i] = (vdni_weights_entry){ .dimensions = 4,
                                     .shape = { p->n, p->h, p->w, p->c },
                                     .data = model->values + p->offset };
        memcpy(e[i].name, p->name, sizeof p->name);
    }
    if (f == MISSING) e[3] = e[--count];
    if (f == SHAPE) { /* as many values, another order */
        e[3].shape[0] = table->items[3].c;
        e[3].shape[3] = table->items[3].n;
    }
    if (f == TYPE) e[3].type = VDNI_WEIGHTS_I32;
    if (f == EXTRA) {
        e[count] = e[0];
        (void)snprintf(e[count++].name, 16, "cond.more");
    }
    EXPECT_OK(&ctx, vdni_config_to_json(&ctx, &json, &model->config, &model->domain));
    const vdni_weights_metadatum m = { f == NO_CONFIG ? "other" : "verdiff.model", json };
    EXPECT_OK(&ctx, vdni_weights_save(&ctx, path, e, count, &m, 1));
    vdni_free(&ctx, json);
    free(e);
    vdn_model_free(model);
    return load();
}

static void a_file_that_does_not_fit_is_refused_with_the_tensor(void)
{
    static const char *const words[FAULTS] = { "missing",       "needed",     "F32",
                                               "not finite",    "not finite", "tensors",
                                               "verdiff.model", "needed" };
    for (int f = 0; f < FAULTS; f++) {
        EXPECT(save_with((fault)f) == VDN_ERR_FORMAT);
        EXPECT(strstr(ctx.error, words[f]) != NULL);
        if (f != TYPE) EXPECT(strstr(ctx.error, path) != NULL);
        if (!strstr(ctx.error, words[f])) printf("  %s: %s\n", words[f], ctx.error);
    }
    EXPECT(save_with(FAULTS) == VDN_OK); /* without a fault the same writer's file is a model */
}

static void a_file_that_is_not_there_is_named(void)
{
    vdn_model *model = NULL;
    EXPECT(vdn_model_load(&ctx, &model, "/no/such/model") == VDN_ERR_IO && model == NULL);
    EXPECT(strstr(ctx.error, "/no/such/model") != NULL);
}

static void survives_every_refused_allocation(void)
{
    vdn_model *model = make("unit", 1, 5);
    vdni_config config = model->config;
    vdni_domain domain = model->domain;
    EXPECT_OK(&ctx, vdni_model_save(&ctx, path, model, NULL));
    vdn_model_free(model);
    for (int64_t refuse = 0; refuse < 10000; refuse++) {
        vdn_model *made = NULL, *loaded = NULL;
        vdni_ctx_init(&ctx);
        ctx.refuse_after = refuse;
        const vdn_status status = vdni_model_create(&ctx, &made, &config, &domain, 1);
        EXPECT((status == VDN_OK) == (made != NULL));
        vdn_model_free(made);
        EXPECT(ctx.now_bytes == 0);
        ctx.refuse_after = ctx.allocations + refuse;
        const vdn_status second = vdn_model_load(&ctx, &loaded, path);
        EXPECT((second == VDN_OK) == (loaded != NULL));
        EXPECT(second == VDN_OK || second == VDN_ERR_MEMORY);
        vdn_model_free(loaded);
        EXPECT(ctx.now_bytes == 0);
        if (second == VDN_OK) {
            EXPECT(status == VDN_OK && refuse > 8);
            break;
        }
    }
    vdni_ctx_init(&ctx);
}

int main(void)
{
    (void)snprintf(path, sizeof path, "test_model.%d.safetensors", (int)getpid());
    vdni_ctx_init(&ctx);
    RUN(what_was_saved_is_loaded_bit_for_bit);
    RUN(other_values_can_be_saved);
    RUN(a_failed_save_leaves_the_old_file);
    RUN(the_info_says_what_the_model_is);
    RUN(start_values_follow_the_rules);
    RUN(running_statistics_belong_to_the_model);
    RUN(damaged_files_are_refused);
    RUN(a_file_that_does_not_fit_is_refused_with_the_tensor);
    RUN(a_file_that_is_not_there_is_named);
    RUN(survives_every_refused_allocation);
    (void)unlink(path);
    return test_result();
}
