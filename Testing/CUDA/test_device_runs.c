/* Whole runs on the library that VERDIFF_TEST_BACKEND names, beside the same on the CPU: segmenting,
 * training, running out of memory, losing the device. What needs faults made to order runs on the
 * emulated device only. */
#include "Segment/segment.h"

#include "Net/model.h"
#include "../Core/Train/train_fixture.h"

enum { N = 3, H = 16, W = 16, PIXELS = H * W, SAMPLES = 2, ROWS = N * SAMPLES };

static char notes[4096];

static void keep_note(void *user, const char *line)
{
    (void)user;
    (void)strncat(notes, line, sizeof notes - strlen(notes) - 2);
    (void)strncat(notes, "\n", 2);
}

static const char *library(void) { return getenv("VERDIFF_TEST_BACKEND"); }

static vdn_ctx *open_ctx(const char *device, int64_t max_memory_bytes)
{
    vdn_ctx *ctx = NULL;
    char why[1024];
    vdn_ctx_options o;
    vdn_ctx_options_init(&o);
    o.device = device;
    o.cuda_library = library();
    o.threads = 1;
    o.max_memory_bytes = max_memory_bytes;
    o.log = keep_note;
    o.why = why;
    o.why_bytes = sizeof why;
    notes[0] = '\0';
    if (vdn_ctx_create(&ctx, &o) != VDN_OK) printf("  %s\n", why);
    EXPECT(ctx != NULL);
    if (!ctx) exit(1);
    return ctx;
}

static int is_emulated(void)
{
    vdn_ctx *ctx = open_ctx("cuda", 0);
    const int found = strstr(vdn_ctx_get_device(ctx), "emulated") != NULL;
    vdn_ctx_free(ctx);
    return found;
}

/* A call ends where its comment begins so. */
static const char *stop_at;

static int stop(void *user, double fraction, const char *comment)
{
    vdn_ctx *ctx = user;
    (void)fraction;
    ctx->last_report_ns = 0; /* report every time, not ten times a second */
    return strncmp(comment, stop_at, strlen(stop_at)) == 0;
}

/* ---- segmenting ---- */

typedef struct {
    vdn_ctx *ctx;
    vdn_model *model;
    float pixels[N * PIXELS], p[2 * N * PIXELS], u[N * PIXELS];
    vdn_slices slices;
    vdn_segment_options options;
} world;

static void open_world(world *v, const char *device, int64_t max_memory_bytes)
{
    vdni_config config;
    vdni_domain domain;
    memset(v, 0, sizeof *v);
    v->ctx = open_ctx(device, max_memory_bytes);
    EXPECT_OK(v->ctx, vdni_config_get(v->ctx, &config, "unit"));
    vdni_domain_binary(&domain, "vertebra", 1);
    EXPECT_OK(v->ctx, vdni_model_create(v->ctx, &v->model, &config, &domain, 3));
    if (!v->model) exit(1);
    net_random(v->model->values, v->model->parameters.total_floats, 3);
    for (int64_t i = 0; i < v->model->parameters.total_floats; i++) v->model->values[i] *= 0.4f;
    net_random(v->pixels, N * PIXELS, 5);
    v->slices = (vdn_slices){ .count = N, .height = H, .width = W, .image_channels = 1,
                              .pixels = v->pixels, .modality = VDN_MODALITY_MR };
    v->options = (vdn_segment_options){ .seed = 35, .precision = 1, .steps = 3,
                                        .samples = SAMPLES };
}

static void close_world(world *v)
{
    vdn_model_free(v->model);
    vdn_ctx_free(v->ctx);
}

static vdn_status segment(world *v)
{
    return vdn_segment(v->ctx, v->p, v->u, &v->slices, v->model, &v->options);
}

/* Largest difference of probabilities, and the Dice of the masks at 1/2. */
static double dice(const world *a, const world *b, double *difference)
{
    double both = 0, sum = 0;
    *difference = 0;
    for (int i = 0; i < N * PIXELS; i++) {
        const float p = a->p[2 * i + 1], q = b->p[2 * i + 1];
        both += p > 0.5f && q > 0.5f;
        sum += (p > 0.5f) + (q > 0.5f);
        if (!(fabs((double)p - q) <= *difference)) *difference = fabs((double)p - q);
    }
    EXPECT(sum > 0);
    return 2 * both / sum;
}

/* Any batch and a limit on memory give what the CPU gives. */
static void segments_as_the_cpu_does(void)
{
    static const int32_t batches[] = { 0, 1, 4 };
    world cpu, gpu;
    double difference;
    open_world(&cpu, "cpu", 0);
    EXPECT_OK(cpu.ctx, segment(&cpu));
    for (int i = 0; i < 3; i++) {
        open_world(&gpu, "cuda", 0);
        gpu.options.batch = batches[i];
        EXPECT_OK(gpu.ctx, segment(&gpu));
        EXPECT(dice(&cpu, &gpu, &difference) >= 0.999);
        EXPECT_LE(difference, 1e-3);
        EXPECT(!strstr(notes, "could not be recorded"));
        close_world(&gpu);
    }
    close_world(&cpu);
}

/* The same inputs give the same bits, replayed or not. */
static void runs_are_bit_equal(void)
{
    world a, b;
    open_world(&a, "cuda", 0);
    open_world(&b, "cuda", 0);
    EXPECT_OK(a.ctx, segment(&a));
    EXPECT_OK(a.ctx, segment(&a)); /* every step is a replay now */
    EXPECT_OK(b.ctx, segment(&b));
    EXPECT(memcmp(a.p, b.p, sizeof a.p) == 0 && memcmp(a.u, b.u, sizeof a.u) == 0);
    close_world(&a);
    close_world(&b);
}

static void a_batch_that_does_not_fit_is_made_smaller(void)
{
    world cpu, gpu;
    double difference;
    int smaller = 0;
    open_world(&cpu, "cpu", 0);
    EXPECT_OK(cpu.ctx, segment(&cpu));
    for (int64_t limit = 2 << 20; limit > 300 << 10; limit -= limit / 6) {
        vdn_status status;
        int64_t now = -1, peak = -1;
        open_world(&gpu, "cuda", limit);
        gpu.options.batch = ROWS;
        status = segment(&gpu);
        vdn_ctx_get_device_memory(gpu.ctx, &now, &peak);
        EXPECT(now > 0 && now <= peak && peak <= limit);
        if (status == VDN_OK && strstr(notes, "6 slices at once do not fit")) {
            EXPECT(strstr(notes, "trying 3") != NULL);
            EXPECT(dice(&cpu, &gpu, &difference) >= 0.999);
            smaller++;
        }
        EXPECT(status == VDN_OK || status == VDN_ERR_MEMORY);
        close_world(&gpu);
        if (smaller == 1 || status == VDN_ERR_MEMORY) break;
    }
    EXPECT(smaller > 0);
    close_world(&cpu);
}

/* What the kept plans hold must not count against the next call, which needs them. */
static void the_next_call_keeps_the_plans(void)
{
    world gpu;
    for (int64_t mib = 257; mib < 260; mib++) { /* 256 are left for workspace */
        open_world(&gpu, "cuda", mib << 20);
        EXPECT_OK(gpu.ctx, segment(&gpu));
        const void *kept = gpu.ctx->kept;
        const int64_t allocations = gpu.ctx->allocations;
        EXPECT_OK(gpu.ctx, segment(&gpu));
        EXPECT(kept && gpu.ctx->kept == kept && gpu.ctx->allocations == allocations);
        close_world(&gpu);
    }
}

/* ---- copies beside the computing: emulated only, where streams can be made slow ---- */

static void set_streams(const char *mode, const char *log)
{
    (void)setenv("VERDIFF_EMULATION_STREAMS", mode, 1);
    (void)setenv("VERDIFF_EMULATION_LOG", log, 1);
}

/* However late one stream is behind the other: no host block is read before its copy arrives, none
 * written before it has left. A call that was stopped half-way leaves nothing behind. */
static void late_streams_change_no_bit(void)
{
    static const char *const modes[] = { "late", "copies", "computing" };
    world wanted, v;
    for (int i = 0; i < 6; i++) {
        const int prior_only = i / 3, batch = prior_only ? 2 : 1;
        open_world(&wanted, "cuda", 0);
        wanted.options.prior_only = prior_only;
        wanted.options.samples = 3;
        wanted.options.steps = 2;
        wanted.options.batch = batch;
        EXPECT_OK(wanted.ctx, segment(&wanted));
        set_streams(modes[i % 3], "");
        open_world(&v, "cuda", 0);
        v.options = wanted.options;
        for (int again = 0; again < 2; again++) {
            EXPECT_OK(v.ctx, segment(&v));
            EXPECT(memcmp(v.p, wanted.p, sizeof v.p) == 0 && memcmp(v.u, wanted.u, sizeof v.u) == 0);
            memset(v.p, 0, sizeof v.p);
            stop_at = batch == 1 ? "slice 2" : "slice 3";
            v.ctx->progress = stop;
            v.ctx->user = v.ctx;
            EXPECT(segment(&v) == VDN_ERR_ABORTED);
            v.ctx->progress = NULL;
            v.ctx->user = NULL;
        }
        close_world(&v);
        close_world(&wanted);
        set_streams("", "");
    }
}

/* What was asked of the device, see runtime_api.h, without the letters of @p without. */
static void read_log(char *out, size_t bytes, const char *name, const char *without)
{
    char *text = fix_read(name, NULL);
    size_t count = 0;
    for (const char *p = text; p && *p && count + 1 < bytes; p++)
        if (!strchr(without, *p)) out[count++] = *p;
    out[count] = '\0';
    free(text);
}

/* Three groups of a slice: the images of the next one are sent (S) and the way back of its prior is begun
 * (F) before the host waits (W) for the samples of the one before; then it waits for that prior. No
 * memory is allocated (A), the host waits for no whole stream (Y) and no copy needs it to (H, G). */
static void the_next_slices_are_sent_before_the_last_results_are_waited_for(void)
{
    static const char *const wanted[] = { "SFW" "FSFWW" "FSFWW" "FW",
                                          "SFW" "FFSWFWW" "FFSWFWW" "FFWW" };
    for (int32_t samples = 1; samples <= 2; samples++) {
        char log[256], path[4200];
        world v;
        (void)snprintf(path, sizeof path, "%s/operations", fix_folder);
        set_streams("late", "");
        open_world(&v, "cuda", 0);
        v.options.batch = 1;
        v.options.samples = samples;
        EXPECT_OK(v.ctx, segment(&v));
        set_streams("late", path);
        EXPECT_OK(v.ctx, segment(&v));
        set_streams("", "");
        read_log(log, sizeof log, "operations", "KZDs");
        EXPECT(strcmp(log, wanted[samples - 1]) == 0);
        if (strcmp(log, wanted[samples - 1]) != 0) printf("  %s\n", log);
        close_world(&v);
        (void)remove(path);
    }
}

/* Emulated only. Every allocation of the device refused in turn, then every launch faulty. */
static void faults_become_a_status(void)
{
    char fault[64];
    int refused = 0;
    for (int i = 2; i < 20; i += 3) { /* the first is the device's own */
        world v;
        open_world(&v, "cuda", 0);
        v.options.batch = 1;
        (void)snprintf(fault, sizeof fault, "malloc:%d", i - 1);
        (void)setenv("VERDIFF_EMULATION_FAULT", fault, 1);
        const vdn_status status = segment(&v);
        EXPECT(status == VDN_OK || status == VDN_ERR_MEMORY);
        if (status == VDN_ERR_MEMORY) {
            refused++;
            EXPECT(strstr(vdn_ctx_error(v.ctx), "allocating"));
        }
        (void)unsetenv("VERDIFF_EMULATION_FAULT");
        EXPECT_OK(v.ctx, segment(&v)); /* it was no sticky one */
        close_world(&v);
    }
    EXPECT(refused >= 3);
    for (int i = 1; i < 400; i += 197) {
        world v;
        open_world(&v, "cuda", 0);
        (void)snprintf(fault, sizeof fault, "launch:%d", i);
        (void)setenv("VERDIFF_EMULATION_FAULT", fault, 1);
        EXPECT(segment(&v) == VDN_ERR_DEVICE);
        EXPECT(strstr(vdn_ctx_error(v.ctx), "illegal memory access"));
        EXPECT(segment(&v) == VDN_ERR_DEVICE); /* and stays so */
        close_world(&v);
        (void)unsetenv("VERDIFF_EMULATION_FAULT");
    }
}

/* ---- training ---- */

/* The numbers of a table without its times: the second column and, of the log, the eleventh. */
static int read_numbers(double *out, int most, const char *name)
{
    char *text = fix_read(name, NULL);
    int count = 0, column = 0;
    char *p = text ? strchr(text, '\n') : NULL;
    for (p = p ? p + 1 : NULL; p && *p && count < most;) {
        char *end = p;
        const double value = strtod(p, &end);
        if (end != p && column != 1 && column != 10) out[count++] = value;
        p = end + strcspn(end, ",\n");
        column = *p == ',' ? column + 1 : 0;
        if (*p) p++;
    }
    free(text);
    return count;
}

static vdn_train_options training(int64_t steps)
{
    vdn_train_options o = fix_options(steps);
    o.validate_steps = 2;
    o.checkpoint_steps = 2;
    return o;
}

/* Training ends where the scoring of the test slices would begin: that is segmenting again. */
static vdn_status train_until(vdn_ctx *ctx, const char *comment, const vdn_train_options *o)
{
    stop_at = comment;
    ctx->progress = stop;
    ctx->user = ctx;
    const vdn_status status = vdn_train(ctx, fix_folder, fix_store, o);
    ctx->progress = NULL;
    ctx->user = NULL;
    return status;
}

static void trains_as_the_cpu_does(void)
{
    enum { MOST = 256 };
    double wanted[MOST], found[MOST], worst = 0;
    const vdn_train_options o = training(4);
    vdn_ctx *ctx = open_ctx("cpu", 0);
    EXPECT(train_until(ctx, "Scoring", &o) == VDN_ERR_ABORTED);
    const int count = read_numbers(wanted, MOST, "log.csv");
    vdn_ctx_free(ctx);
    fix_clean();
    ctx = open_ctx("cuda", 0);
    EXPECT(train_until(ctx, "Scoring", &o) == VDN_ERR_ABORTED);
    EXPECT(strstr(notes, "images at once") != NULL); /* the CPU takes one after the other */
    EXPECT(read_numbers(found, MOST, "log.csv") == count && count > 20);
    vdn_ctx_free(ctx);
    fix_clean();
    for (int i = 0; i < count; i++) {
        const double d = fabs(found[i] - wanted[i]) / (fabs(wanted[i]) + 1e-3);
        if (!(d <= worst)) worst = d;
    }
    printf("  losses and norms of 4 steps: %.1e relative\n", worst);
    EXPECT_LE(worst, 1e-3);
}

static void a_training_resumes_bit_by_bit(void)
{
    int64_t bytes[2];
    vdn_train_options o = training(4);
    vdn_ctx *ctx = open_ctx("cuda", 0);
    EXPECT(train_until(ctx, "Scoring", &o) == VDN_ERR_ABORTED);
    char *whole = fix_tensors(ctx, "checkpoint.safetensors", &bytes[0]);
    vdn_ctx_free(ctx);
    fix_clean();
    ctx = open_ctx("cuda", 0);
    EXPECT(train_until(ctx, "Training step 3", &o) == VDN_ERR_ABORTED);
    vdn_ctx_free(ctx);
    ctx = open_ctx("cuda", 0);
    o.resume = 1;
    EXPECT(train_until(ctx, "Scoring", &o) == VDN_ERR_ABORTED);
    char *parts = fix_tensors(ctx, "checkpoint.safetensors", &bytes[1]);
    EXPECT(bytes[0] == bytes[1] && memcmp(whole, parts, (size_t)bytes[0]) == 0);
    vdn_ctx_free(ctx);
    free(whole);
    free(parts);
    fix_clean();
}

/* Emulated only. As many images in a pass as the device has room for, down to one; the losses stay. */
static void a_device_with_less_memory_takes_fewer_images_at_once(void)
{
    static const int32_t at_once[] = { 4, 2, 1 };
    enum { MOST = 64 };
    double wanted[MOST], found[MOST], worst = 0;
    vdn_train_options o = training(1);
    o.settings = "{\"batch\": 4, \"prior_warmup\": 0}";
    for (int i = 0; i < 3; i++) {
        char memory[32];
        int64_t now = 0, peak = 0;
        vdni_trainer *t = NULL;
        vdn_ctx *ctx = open_ctx("cuda", 0);
        EXPECT_OK(ctx, vdni_trainer_create(ctx, &t, fix_folder, fix_store, &o));
        if (!t) exit(1);
        const vdni_memory_plan plan = t->memory;
        vdni_trainer_free(ctx, t);
        fix_clean();
        EXPECT(train_until(ctx, "Scoring", &o) == VDN_ERR_ABORTED);
        const int count = read_numbers(i ? found : wanted, MOST, "log.csv");
        vdn_ctx_get_device_memory(ctx, &now, &peak);
        EXPECT(peak <= plan.device_peak && count > 5);
        EXPECT(plan.images_at_once == at_once[i] && !plan.recompute);
        EXPECT((strstr(notes, "images at once") != NULL) == (i < 2));
        printf("  %d at once: %.2f MiB planned\n", plan.images_at_once,
               (double)plan.device_peak / (1 << 20));
        for (int k = 0; i > 0 && k < count; k++)
            worst = fmax(worst, fabs(found[k] - wanted[k]) / (fabs(wanted[k]) + 1e-3));
        vdn_ctx_free(ctx);
        fix_clean();
        (void)snprintf(memory, sizeof memory, "%lld", (long long)(plan.device_peak - 1) / 9 * 10);
        (void)setenv("VERDIFF_EMULATION_MEMORY", memory, 1); /* nine tenths of it are taken */
    }
    (void)unsetenv("VERDIFF_EMULATION_MEMORY");
    EXPECT_LE(worst, 1e-5);
}

/* Emulated only: the device is lost after the first checkpoint; another context goes on from it. */
static void a_lost_device_leaves_the_checkpoint(void)
{
    vdn_train_options o = training(6);
    vdn_ctx *ctx = open_ctx("cuda", 0);
    int lost = 0;
    for (int launch = 4000; launch < 200000 && !lost; launch += 4000) {
        char fault[64];
        (void)snprintf(fault, sizeof fault, "launch:%d", launch);
        (void)setenv("VERDIFF_EMULATION_FAULT", fault, 1);
        const vdn_status status = vdn_train(ctx, fix_folder, fix_store, &o);
        lost = status == VDN_ERR_DEVICE && fix_is_there("checkpoint.safetensors");
        vdn_ctx_free(ctx);
        (void)unsetenv("VERDIFF_EMULATION_FAULT");
        ctx = open_ctx("cuda", 0);
        EXPECT(status == VDN_ERR_DEVICE); /* the whole run has more launches */
        if (status != VDN_ERR_DEVICE) break;
        if (!lost) fix_clean();
    }
    EXPECT(lost);
    o.resume = 1;
    EXPECT(train_until(ctx, "Scoring", &o) == VDN_ERR_ABORTED);
    EXPECT(fix_rows("log.csv") == 6);
    vdn_ctx_free(ctx);
    fix_clean();
}

int main(void)
{
    if (!library()) {
        printf("skipped: VERDIFF_TEST_BACKEND names no CUDA library\n");
        return 77;
    }
    RUN(segments_as_the_cpu_does);
    RUN(runs_are_bit_equal);
    RUN(a_batch_that_does_not_fit_is_made_smaller);
    RUN(the_next_call_keeps_the_plans);
    fix_begin("test_device_runs", 2);
    RUN(trains_as_the_cpu_does);
    RUN(a_training_resumes_bit_by_bit);
    if (is_emulated()) {
        RUN(a_device_with_less_memory_takes_fewer_images_at_once);
        RUN(late_streams_change_no_bit);
        RUN(the_next_slices_are_sent_before_the_last_results_are_waited_for);
        RUN(faults_become_a_status);
        RUN(a_lost_device_leaves_the_checkpoint);
    }
    fix_end();
    return test_result();
}
