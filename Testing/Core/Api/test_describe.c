/* vdn_model_describe: the JSON is valid and its totals are those of the design, model.md 2.2. */
#include "Base/json.h"
#include "Net/model.h"
#include "test.h"
#include "vdn.h"

#include <unistd.h>

static vdn_ctx *user;  /* as a program has it */
static vdn_ctx reader; /* parses what came back */

static vdni_json *describe(const char *path, const char *config, int64_t height, int64_t width)
{
    char *text = NULL;
    vdni_json *json = NULL;
    EXPECT(vdn_model_describe(user, &text, path, config, height, width) == VDN_OK);
    EXPECT(vdn_ctx_error(user)[0] == '\0' && text != NULL);
    if (!text) {
        printf("  %s\n", vdn_ctx_error(user));
        exit(1);
    }
    vdni_clear_error(&reader);
    EXPECT(vdni_json_parse(&reader, &json, text, (int64_t)strlen(text), "describe") == VDN_OK);
    if (!json) {
        printf("  %s\n%s\n", reader.error, text);
        exit(1);
    }
    vdn_string_free(text);
    return json;
}

/* Number @p name of object @p part; NaN when absent. */
static double number(const vdni_json *json, const char *part, const char *name)
{
    const vdni_json_value *object = NULL;
    double x = (double)NAN;
    vdni_clear_error(&reader);
    EXPECT(vdni_json_get_object(&reader, &object, vdni_json_root(json), part) == VDN_OK);
    if (object) EXPECT(vdni_json_get_double(&reader, &x, object, name) == VDN_OK);
    return x;
}

static void the_parameters_are_those_of_the_design(void)
{
    static const struct {
        const char *config;
        double condition, diffusion, total;
    } known[] = { { "unit", 1441, 47229, 48670 },
                  { "tiny", 237969, 931964, 1169933 },
                  { "small", 1254433, 3687132, 4941565 },
                  { "base", 5036289, 19915231, 24951520 },
                  { "full", 18267777, 119585573, 137853350 } };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const char *name = NULL, *version = NULL;
        vdni_json *json = describe(NULL, known[i].config, 64, 64);
        const vdni_json_value *const root = vdni_json_root(json);
        EXPECT(number(json, "parameters", "condition_net") == known[i].condition);
        EXPECT(number(json, "parameters", "diffusion_net") == known[i].diffusion);
        EXPECT(number(json, "parameters", "total") == known[i].total);
        EXPECT(vdni_json_get_string(&reader, &name, vdni_json_find(root, "configuration"),
                                    "name") == VDN_OK &&
               strcmp(name, known[i].config) == 0);
        EXPECT(vdni_json_get_string(&reader, &version, root, "verdiff") == VDN_OK &&
               strcmp(version, VDN_VERSION) == 0);
        vdni_json_free(&reader, json);
    }
    EXPECT(reader.now_bytes == 0);
}

static void sizes_are_padded_and_cost_grows_with_them(void)
{
    vdni_json *small = describe(NULL, "tiny", 33, 64), *large = describe(NULL, "tiny", 96, 128);
    static const char *const costs[] = { "condition_gflop", "step_gflop", "inference_bytes",
                                         "training_bytes" };
    EXPECT(number(small, "cost", "padded_height") == 48 &&
           number(small, "cost", "padded_width") == 64);
    EXPECT(number(large, "cost", "padded_height") == 96);
    for (int i = 0; i < 4; i++) {
        EXPECT(number(small, "cost", costs[i]) > 0.0);
        EXPECT(number(large, "cost", costs[i]) > number(small, "cost", costs[i]));
    }
    EXPECT(number(small, "cost", "training_bytes") > number(small, "cost", "inference_bytes"));
    EXPECT(number(small, "cost", "weights_bytes") == number(large, "cost", "weights_bytes"));
    vdni_json_free(&reader, small);
    vdni_json_free(&reader, large);
}

static void the_largest_size_is_65536(void)
{
    vdni_json *high = describe(NULL, "unit", 65536, 1), *wide = describe(NULL, "unit", 1, 65536);
    EXPECT(number(high, "cost", "padded_height") == 65536);
    EXPECT(number(wide, "cost", "padded_width") == 65536);
    vdni_json_free(&reader, high);
    vdni_json_free(&reader, wide);
}

static void a_model_file_is_described_as_its_configuration_with_notes(void)
{
    char path[64];
    vdni_config config;
    vdni_domain domain;
    vdn_model *model = NULL;
    (void)snprintf(path, sizeof path, "test_describe.%ld.safetensors", (long)getpid());
    EXPECT(vdni_config_get(user, &config, "unit") == VDN_OK);
    vdni_domain_binary(&domain, "vertebra", 7);
    EXPECT(vdni_model_create(user, &model, &config, &domain, 1) == VDN_OK);
    EXPECT(vdni_model_save(user, path, model, model->values) == VDN_OK);
    vdn_model_free(model);

    vdni_json *file = describe(path, NULL, 20, 22), *named = describe(NULL, "unit", 20, 22);
    EXPECT(number(file, "parameters", "total") == 48670);
    EXPECT(number(file, "cost", "step_gflop") == number(named, "cost", "step_gflop"));
    EXPECT(vdni_json_find(vdni_json_root(file), "notes") != NULL);
    EXPECT(vdni_json_find(vdni_json_root(named), "notes") == NULL);
    vdni_json_free(&reader, file);
    vdni_json_free(&reader, named);
    EXPECT(unlink(path) == 0);
}

/* A file with this configuration can be described, whatever its refiner gives. */
static void expect_described(const vdni_config *config)
{
    char path[64];
    vdni_domain domain;
    vdn_model *model = NULL;
    (void)snprintf(path, sizeof path, "test_describe.%ld.safetensors", (long)getpid());
    vdni_domain_binary(&domain, "vertebra", 1);
    EXPECT(vdni_model_create(user, &model, config, &domain, 1) == VDN_OK);
    if (!model) return;
    EXPECT(vdni_model_save(user, path, model, model->values) == VDN_OK);
    vdn_model_free(model);
    vdni_json *file = describe(path, NULL, 64, 64);
    EXPECT(number(file, "cost", "inference_bytes") > 0.0);
    vdni_json_free(&reader, file);
    EXPECT(unlink(path) == 0);
}

static void every_network_and_output_is_described(void)
{
    static const char *const networks[] = { "verdiff",   "condition",  "msff",
                                            "unet",      "nnunet2d",   "fcn8s",
                                            "deeplabv3", "medsegdiff", "swinunet" };
    vdni_config config;
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        EXPECT(vdni_config_get(user, &config, "unit") == VDN_OK);
        EXPECT(vdni_config_set_network(user, &config, networks[i]) == VDN_OK);
        expect_described(&config);
    }
    for (int i = 0; i < 4; i++) {
        EXPECT(vdni_config_get(user, &config, "unit") == VDN_OK);
        config.prior_skip = 0;
        config.param = i == 0 ? VDNI_PARAM_LITERAL : i == 3 ? VDNI_PARAM_X0 : VDNI_PARAM_EPS;
        config.learn_sigma = i == 2;
        if (i == 0) config.sample_steps = config.sample_start = config.time_steps;
        if (i == 3) config.process = VDNI_PROCESS_BERNOULLI;
        expect_described(&config);
    }
}

static void wrong_arguments_are_refused(void)
{
    static const struct {
        const char *path, *config;
        int64_t height, width;
        vdn_status status;
        const char *why;
    } bad[] = { { NULL, "tiny", 0, 64, VDN_ERR_ARGUMENT, "0 x 64" },
                { NULL, "tiny", 64, -1, VDN_ERR_ARGUMENT, "64 x -1" },
                { NULL, "tiny", 65537, 64, VDN_ERR_ARGUMENT, "65537" },
                { NULL, "tiny", 64, 65537, VDN_ERR_ARGUMENT, "65537" },
                { NULL, "huge", 64, 64, VDN_ERR_ARGUMENT, "huge" },
                { NULL, NULL, 64, 64, VDN_ERR_ARGUMENT, "neither" },
                { "absent.safetensors", NULL, 64, 64, VDN_ERR_IO, "absent.safetensors" } };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char here = 0, *text = &here;
        EXPECT(vdn_model_describe(user, &text, bad[i].path, bad[i].config, bad[i].height,
                                  bad[i].width) == bad[i].status);
        EXPECT(text == NULL && strstr(vdn_ctx_error(user), bad[i].why) != NULL);
    }
    char *text = NULL;
    EXPECT(vdn_model_describe(user, NULL, NULL, "tiny", 64, 64) == VDN_ERR_ARGUMENT);
    EXPECT(vdn_model_describe(NULL, &text, NULL, "tiny", 64, 64) == VDN_ERR_ARGUMENT);
    vdn_string_free(NULL);
}

static void every_refused_allocation_is_survived(void)
{
    int64_t before = 0, now = 0;
    vdn_ctx_get_memory(user, &before, NULL);
    const int64_t made = user->allocations;
    vdni_json_free(&reader, describe(NULL, "unit", 16, 16));
    const int64_t each = user->allocations - made;
    const int64_t stride = each > 40 ? each / 40 : 1; /* planning makes many */
    vdn_ctx_get_memory(user, &before, NULL);
    for (int64_t refusals = 0; refusals < each; refusals += stride) {
        char *text = NULL;
        user->refuse_after = user->allocations + refusals;
        EXPECT(vdn_model_describe(user, &text, NULL, "unit", 16, 16) == VDN_ERR_MEMORY);
        EXPECT(text == NULL && vdn_ctx_error(user)[0] != '\0');
        vdn_ctx_get_memory(user, &now, NULL);
        EXPECT(now == before);
    }
    user->refuse_after = -1;
}

int main(void)
{
    const vdn_ctx_options options = { .threads = 1, .device = "cpu" };
    vdni_ctx_init(&reader);
    if (vdn_ctx_create(&user, &options) != VDN_OK) return 1;
    RUN(the_parameters_are_those_of_the_design);
    RUN(sizes_are_padded_and_cost_grows_with_them);
    RUN(the_largest_size_is_65536);
    RUN(every_network_and_output_is_described);
    RUN(a_model_file_is_described_as_its_configuration_with_notes);
    RUN(wrong_arguments_are_refused);
    RUN(every_refused_allocation_is_survived);
    vdn_ctx_free(user);
    return test_result();
}
