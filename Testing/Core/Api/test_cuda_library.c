/* Opening the CUDA library: VERDIFF_EMULATED is the emulation's file, VERDIFF_STAND_INS the start of
 * the names of libraries that must be refused; without them only what needs neither is tested. */
#include "Api/cuda_library.h"

#include "Net/model.h"
#include "Ops/backend.h"
#include "net_test.h"

#include <dlfcn.h>
#include <unistd.h>

static char lines[4][1024]; /* what the log received */
static int line_count;

static void note(void *user, const char *line)
{
    EXPECT(user == lines);
    if (line_count < 4) (void)snprintf(lines[line_count], sizeof lines[0], "%s", line);
    line_count++;
}

static char why[1024];

static vdn_status create(vdn_ctx **out, const char *device, const char *library)
{
    vdn_ctx_options options;
    vdn_ctx_options_init(&options);
    options.threads = 1;
    options.device = device;
    options.cuda_library = library;
    options.log = note;
    options.user = lines;
    options.why = why;
    options.why_bytes = sizeof why;
    (void)snprintf(why, sizeof why, "old");
    line_count = 0;
    const vdn_status status = vdn_ctx_create(out, &options);
    EXPECT((status == VDN_OK) == (*out != NULL) && (status == VDN_OK) == (why[0] == '\0'));
    return status;
}

/* The device is refused with @p status and one line that holds @p words, and nothing is logged. */
static void expect_refused(const char *device, const char *library, vdn_status status,
                           const char *words)
{
    vdn_ctx *ctx = NULL;
    const vdn_status found = create(&ctx, device, library);
    EXPECT(found == status);
    EXPECT(strstr(why, words) != NULL && !strchr(why, '\n') && line_count == 0);
    if (found != status || !strstr(why, words)) printf("  %s: %s\n", vdn_status_name(found), why);
    vdn_ctx_free(ctx);
}

/* "auto" runs on the CPU and says in one line that holds @p words why. */
static void expect_cpu(const char *library, const char *words)
{
    vdn_ctx *ctx = NULL;
    EXPECT(create(&ctx, "auto", library) == VDN_OK);
    if (!ctx) return;
    EXPECT(strncmp(vdn_ctx_get_device(ctx), "cpu", 3) == 0 && vdn_ctx_error(ctx)[0] == '\0');
    EXPECT(line_count == 1 && strncmp(lines[0], "cuda: ", 6) == 0);
    EXPECT(strstr(lines[0], words) && strstr(lines[0], "; running on the CPU"));
    if (!strstr(lines[0], words)) printf("  %s\n", lines[0]);
    vdn_ctx_free(ctx);
}

static int has_driver(void) { return dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL) != NULL; }

static void without_a_driver_the_reason_names_it(void)
{
    if (has_driver()) return;
    expect_refused("cuda", NULL, VDN_ERR_DEVICE, "no NVIDIA driver: libcuda.so.1");
    expect_refused("cuda:3", NULL, VDN_ERR_DEVICE, "no NVIDIA driver: libcuda.so.1");
    expect_cpu(NULL, "no NVIDIA driver: libcuda.so.1");
}

static void the_cpu_asks_for_no_library(void)
{
    vdn_ctx *ctx = NULL;
    EXPECT(create(&ctx, "cpu", "/nonexistent/library.so") == VDN_OK && line_count == 0);
    vdn_ctx_free(ctx);
}

static void a_file_that_cannot_be_loaded_is_named(void)
{
    static char endless[8000];
    char file[64];
    (void)snprintf(file, sizeof file, "test_cuda_library.%ld.so", (long)getpid());
    expect_refused("cuda", "/nonexistent/library.so", VDN_ERR_DEVICE, "/nonexistent/library.so: ");
    expect_refused("cuda", file, VDN_ERR_DEVICE, file); /* a bare name is a file of this folder */
    expect_refused("cuda", "libc.so.6", VDN_ERR_DEVICE, "./libc.so.6: ");
    expect_refused("cuda", "", VDN_ERR_DEVICE, "./: ");
    expect_refused("cuda", "a\nb", VDN_ERR_DEVICE, "a b");
    memset(endless, 'x', sizeof endless - 1);
    expect_refused("cuda", endless, VDN_ERR_DEVICE, "too long");
    FILE *f = fopen(file, "w");
    EXPECT(f && fputs("no library at all", f) >= 0 && fclose(f) == 0);
    expect_refused("cuda", file, VDN_ERR_DEVICE, file);
    expect_cpu(file, file);
    EXPECT(remove(file) == 0);
    expect_refused("cuda", "/", VDN_ERR_DEVICE, "CUDA library /");
}

static void the_reason_fits_its_buffer(void)
{
    vdn_ctx *ctx = NULL;
    char small[8];
    memset(small, '#', sizeof small);
    vdn_ctx_options options = { .device = "tpu", .why = small, .why_bytes = 5 };
    EXPECT(vdn_ctx_create(&ctx, &options) == VDN_ERR_ARGUMENT && !ctx);
    EXPECT(strcmp(small, "devi") == 0 && small[5] == '#');
    options.why_bytes = 0;
    EXPECT(vdn_ctx_create(&ctx, &options) == VDN_ERR_ARGUMENT && small[0] == 'd');
    options = (vdn_ctx_options){ .device = "tpu", .why = NULL, .why_bytes = 5 };
    EXPECT(vdn_ctx_create(&ctx, &options) == VDN_ERR_ARGUMENT);
    options = (vdn_ctx_options){ .threads = -3, .why = small, .why_bytes = sizeof small };
    EXPECT(vdn_ctx_create(&ctx, &options) == VDN_ERR_ARGUMENT && !strncmp(small, "-3 thre", 7));
}

#ifdef VERDIFF_EMULATED

static void a_library_of_another_build_is_refused(void)
{
    expect_refused("cuda", VERDIFF_STAND_INS "0.so", VDN_ERR_DEVICE,
                   "stand_in_0.so: it has no " VDNI_CUDA_ENTRY);
    expect_refused("cuda", VERDIFF_STAND_INS "1.so", VDN_ERR_DEVICE, "stand_in_1.so: of interface");
    expect_refused("cuda", VERDIFF_STAND_INS "2.so", VDN_ERR_DEVICE,
                   "stand_in_2.so: its interface");
    expect_refused("cuda", VERDIFF_STAND_INS "3.so", VDN_ERR_DEVICE, "did not say why");
    expect_cpu(VERDIFF_STAND_INS "1.so", "of interface");
}

static void the_real_entry_compares_what_is_asked(void)
{
    const vdni_backend_request right = { VDNI_BACKEND_ABI, sizeof(vdni_backend), sizeof(vdn_ctx),
                                         VDN_VERSION };
    vdni_backend_request wrong[4] = { right, right, right, right };
    vdni_backend_entry *entry;
    char reason[128];
    void *library = dlopen(VERDIFF_EMULATED, RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, VDNI_CUDA_ENTRY) : NULL;
    EXPECT(symbol != NULL);
    if (!symbol) return;
    memcpy(&entry, &symbol, sizeof entry);
    wrong[0].abi++;
    wrong[1].backend_bytes -= 8;
    wrong[2].context_bytes += 8;
    wrong[3].version = "9.9.9";
    for (int i = 0; i < 4; i++) {
        reason[0] = '\0';
        EXPECT(entry(&wrong[i], reason, sizeof reason) == NULL);
        EXPECT(strstr(reason, wrong[i].version) != NULL);
    }
    EXPECT(entry(&right, reason, sizeof reason) != NULL);
}

static void opening_twice_gives_the_same_table(void)
{
    const vdni_backend *a = NULL, *b = NULL;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    EXPECT_OK(&ctx, vdni_cuda_library_open(&ctx, &a, VERDIFF_EMULATED));
    EXPECT_OK(&ctx, vdni_cuda_library_open(&ctx, &b, VERDIFF_EMULATED));
    EXPECT(a && a == b && strcmp(a->name, "cuda") == 0 && ctx.now_bytes == 0);
    EXPECT(vdni_cuda_library_open(&ctx, &b, VERDIFF_STAND_INS "1.so") == VDN_ERR_DEVICE && !b);
}

static void the_device_opens_by_each_of_its_names(void)
{
    static const char *const names[] = { "cuda", "cuda:0", "auto", NULL };
    for (int i = 0; i < 4; i++) {
        vdn_ctx *ctx = NULL;
        EXPECT(create(&ctx, names[i], VERDIFF_EMULATED) == VDN_OK && line_count == 0);
        if (!ctx) continue;
        EXPECT(strncmp(vdn_ctx_get_device(ctx), "cuda:0 (emulated, sm_90", 23) == 0);
        vdn_ctx_free(ctx);
    }
}

static void a_device_that_is_not_there_is_refused_by_number(void)
{
    expect_refused("cuda:7", VERDIFF_EMULATED, VDN_ERR_DEVICE, "CUDA device 7 asked, there are 1");
    expect_refused("cuda:999", VERDIFF_EMULATED, VDN_ERR_DEVICE, "there are 1");
}

static void a_device_that_cannot_be_used_is_refused_with_the_reason(void)
{
    static const struct {
        const char *variable, *value;
        vdn_status status;
        const char *words;
    } cases[] = {
        { "VERDIFF_EMULATION_FAULT", "count", VDN_ERR_DEVICE, "driver version is insufficient" },
        { "VERDIFF_EMULATION_FAULT", "nodevice", VDN_ERR_DEVICE, "no CUDA-capable device" },
        { "VERDIFF_EMULATION_CAPABILITY", "70", VDN_ERR_UNSUPPORTED, "sm_75 or newer is needed" },
        { "VERDIFF_EMULATION_MEMORY", "1000", VDN_ERR_MEMORY, "out of memory" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)setenv(cases[i].variable, cases[i].value, 1);
        expect_refused("cuda", VERDIFF_EMULATED, cases[i].status, cases[i].words);
        expect_cpu(VERDIFF_EMULATED, cases[i].words);
        (void)unsetenv(cases[i].variable);
    }
}

/* ---- the whole way ---- */

enum { SIDE = 32, PIXELS = SIDE * SIDE };

static char model_file[64];

static void write_model(vdn_ctx *ctx)
{
    vdni_config config;
    vdni_domain domain;
    vdn_model *model = NULL;
    EXPECT_OK(ctx, vdni_config_get(ctx, &config, "unit"));
    vdni_domain_binary(&domain, "vertebra", 1);
    EXPECT_OK(ctx, vdni_model_create(ctx, &model, &config, &domain, 1));
    if (!model) exit(1);
    net_random(model->values, model->parameters.total_floats, 1);
    for (int64_t i = 0; i < model->parameters.total_floats; i++) model->values[i] *= 0.4f;
    EXPECT_OK(ctx, vdni_model_save(ctx, model_file, model, model->values));
    vdn_model_free(model);
}

static void segment(vdn_ctx *ctx, float *probability, float *uncertainty)
{
    float pixels[PIXELS];
    const vdn_slices slices = { 1, SIDE, SIDE, 1, pixels, VDN_MODALITY_MR, 3, 4 };
    vdn_segment_options options;
    vdn_model *model = NULL;
    for (int i = 0; i < PIXELS; i++)
        pixels[i] =
            500.0f + 300.0f * sinf(0.3f * (float)(i % SIDE)) * cosf(0.2f * (float)(i / SIDE));
    vdn_segment_options_init(&options);
    options.steps = 3;
    options.samples = 2;
    options.precision = 1;
    EXPECT_OK(ctx, vdn_model_load(ctx, &model, model_file));
    EXPECT_OK(ctx, vdn_segment(ctx, probability, uncertainty, &slices, model, &options));
    vdn_model_free(model);
}

static void both_devices_give_the_same_mask(void)
{
    float p[2][2 * PIXELS] = { { 0 } }, u[2][PIXELS] = { { 0 } };
    int64_t both = 0, found[2] = { 0, 0 };
    (void)snprintf(model_file, sizeof model_file, "test_cuda_library.%ld.st", (long)getpid());
    for (int d = 0; d < 2; d++) {
        vdn_ctx *ctx = NULL;
        EXPECT(create(&ctx, d ? "cuda" : "cpu", VERDIFF_EMULATED) == VDN_OK);
        if (!ctx) return;
        if (d == 0) write_model(ctx);
        segment(ctx, p[d], u[d]);
        vdn_ctx_free(ctx);
    }
    EXPECT(remove(model_file) == 0);
    for (int i = 0; i < PIXELS; i++) {
        const int a = p[0][2 * i + 1] > 0.5f, b = p[1][2 * i + 1] > 0.5f;
        both += a && b;
        found[0] += a;
        found[1] += b;
    }
    EXPECT(found[0] > PIXELS / 20 && found[0] < PIXELS * 19 / 20); /* a mask that says something */
    EXPECT_LE(0.999, 2.0 * (double)both / (double)(found[0] + found[1]));
    EXPECT_LE(net_distance(p[1], p[0], 2 * PIXELS), 1e-3);
    EXPECT_LE(net_distance(u[1], u[0], PIXELS), 1e-2);
}

static void memory_is_bounded_on_the_device(void)
{
    char reason[1024];
    vdn_ctx *ctx = NULL;
    vdni_device_info info;
    vdn_ctx_options options = { .device = "cuda",
                                .cuda_library = VERDIFF_EMULATED,
                                .max_memory_bytes = 64 << 20,
                                .why = reason,
                                .why_bytes = sizeof reason };
    EXPECT(vdn_ctx_create(&ctx, &options) == VDN_OK);
    if (!ctx) return;
    ctx->backend->describe(ctx->device, &info);
    EXPECT(info.limit_bytes == 64 << 20);
    void *block = NULL;
    EXPECT(ctx->backend->allocate(ctx, ctx->device, &block, 65 << 20) == VDN_ERR_MEMORY);
    vdn_ctx_free(ctx);
    options.max_memory_bytes = 0;
    EXPECT(vdn_ctx_create(&ctx, &options) == VDN_OK);
    if (!ctx) return;
    ctx->backend->describe(ctx->device, &info);
    EXPECT(info.limit_bytes == info.memory_bytes / 10 * 9);
    vdn_ctx_free(ctx);
}

/* ---- the search: a copy of this program in a tree of its own, with a driver that does nothing ---- */

static char tree[64];

static void shell(const char *format, const char *what)
{
    char command[4096];
    (void)snprintf(command, sizeof command, "cd '%s' && ", tree);
    const size_t used = strlen(command);
    (void)snprintf(command + used, sizeof command - used, format, what);
    EXPECT(system(command) == 0);
}

/* What the copy says when it is run by @p command. */
static void expect_said(const char *command, const char *words)
{
    char line[2048] = "", whole[512];
    (void)snprintf(whole, sizeof whole, "cd '%s' && LD_LIBRARY_PATH=\"$PWD/driver\" %s", tree,
                   command);
    FILE *f = popen(whole, "r");
    EXPECT(f && fgets(line, sizeof line, f) != NULL);
    EXPECT(f && pclose(f) == 0);
    EXPECT(strstr(line, words) != NULL);
    if (!strstr(line, words)) printf("  %s: %s\n", command, line);
}

/* Prints the device that a search finds, or why there is none. */
static int say_device(void)
{
    vdn_ctx *ctx = NULL;
    char reason[1024];
    const vdn_ctx_options options = { .device = "cuda", .why = reason, .why_bytes = sizeof reason };
    const vdn_status status = vdn_ctx_create(&ctx, &options);
    puts(status == VDN_OK ? vdn_ctx_get_device(ctx) : reason);
    vdn_ctx_free(ctx);
    return 0;
}

static void the_library_is_found_around_the_program_then_by_the_system(void)
{
    const char *run = "bin/prog search";
    (void)snprintf(tree, sizeof tree, "test_cuda_library.%ld", (long)getpid());
    char command[256];
    (void)snprintf(command, sizeof command, "rm -rf '%s' && mkdir '%s'", tree, tree);
    EXPECT(system(command) == 0);
    shell("mkdir -p bin lib/verdiff driver && cp /proc/%s/exe bin/prog", "$PPID");
    shell("ln -s '%s' driver/libcuda.so.1", VERDIFF_STAND_INS "0.so");
    expect_said(run, "no CUDA library: libverdiff_cuda.so: ");
    expect_said(run, "/bin, its ../lib or ../lib/verdiff)");
    shell("ln -s '%s' driver/libverdiff_cuda.so", VERDIFF_EMULATED);
    expect_said(run, "cuda:0 (emulated");
    shell("ln -s '%s' lib/verdiff/libverdiff_cuda.so", VERDIFF_STAND_INS "1.so");
    expect_said(run, "/bin/../lib/verdiff/libverdiff_cuda.so: of interface");
    shell("ln -s '%s' lib/libverdiff_cuda.so", VERDIFF_EMULATED);
    expect_said(run, "cuda:0 (emulated");
    shell("ln -s '%s' bin/libverdiff_cuda.so", VERDIFF_STAND_INS "3.so");
    expect_said(run, "/bin/libverdiff_cuda.so: it refused");
    /* By the search path of the shell, by a link from elsewhere: the program's own folder counts. */
    expect_said("PATH=\"$PWD/bin:$PATH\" prog search", "/bin/libverdiff_cuda.so: it refused");
    shell("ln -s '%s' driver/link", "../bin/prog");
    expect_said("driver/link search", "/bin/libverdiff_cuda.so: it refused");
    (void)snprintf(command, sizeof command, "rm -rf '%s'", tree);
    EXPECT(system(command) == 0);
}

#endif

int main(int argc, char **argv)
{
#ifdef VERDIFF_EMULATED
    if (argc > 1 && strcmp(argv[1], "search") == 0) return say_device();
#endif
    (void)argc, (void)argv;
    RUN(without_a_driver_the_reason_names_it);
    RUN(the_cpu_asks_for_no_library);
    RUN(a_file_that_cannot_be_loaded_is_named);
    RUN(the_reason_fits_its_buffer);
#ifdef VERDIFF_EMULATED
    RUN(a_library_of_another_build_is_refused);
    RUN(the_real_entry_compares_what_is_asked);
    RUN(opening_twice_gives_the_same_table);
    RUN(the_device_opens_by_each_of_its_names);
    RUN(a_device_that_is_not_there_is_refused_by_number);
    RUN(a_device_that_cannot_be_used_is_refused_with_the_reason);
    RUN(both_devices_give_the_same_mask);
    RUN(memory_is_bounded_on_the_device);
    RUN(the_library_is_found_around_the_program_then_by_the_system);
#endif
    return test_result();
}
