/* The memory that was predicted is the memory that is taken. */
#include "Train/memory_plan.h"

#include "train_fixture.h"

enum { H = 96, W = 80, SUBJECTS = 4 };

/* Slices large enough for their maps to outweigh everything else. */
static void write_store(vdn_ctx *ctx)
{
    static float pixels[H * W];
    static uint8_t labels[H * W];
    const vdn_store_header header = fix_header(2);
    vdn_store_writer *writer = NULL;
    EXPECT_OK(ctx, vdni_store_create(ctx, &writer, fix_store, &header));
    for (int i = 0; i < SUBJECTS; i++) {
        char name[32];
        uint64_t seed = (uint64_t)i + 1;
        for (int k = 0; k < H * W; k++) {
            labels[k] = k / W % 24 < 16 && k % W > 20 && k % W < 50;
            pixels[k] = (float)(100.0 + 100.0 * labels[k] + 30.0 * test_random(&seed));
        }
        (void)snprintf(name, sizeof name, "subject%d", i);
        const vdn_store_slice s = { .case_id = name,
                                    .subject = name,
                                    .modality = VDN_MODALITY_MR,
                                    .height = H,
                                    .width = W,
                                    .pixels = pixels,
                                    .labels = labels,
                                    .native_height = H,
                                    .native_width = W,
                                    .native_labels = labels,
                                    .native_spacing_mm = { 1, 1 } };
        EXPECT_OK(ctx, vdni_store_add(ctx, writer, &s));
    }
    EXPECT_OK(ctx, vdni_store_finish(ctx, writer));
}

static vdn_train_options options(const char *config)
{
    vdn_train_options o = fix_options(2);
    o.config = config;
    o.settings = "{\"S\": 2, \"N\": 2, \"batch\": 2}";
    return o;
}

/* What vdni_memory_plan_make says, and the most that the training then has. */
typedef struct {
    vdni_memory_plan plan;
    int64_t peak;
    vdn_status status;
    char *values;
    int64_t bytes;
} result;

/* All values of the checkpoint; free() them. */
static char *read_values(vdn_ctx *ctx, int64_t *bytes)
{
    vdni_weights *w = NULL;
    char *all = NULL;
    *bytes = 0;
    EXPECT_OK(ctx, vdni_weights_open(ctx, &w, fix_path("checkpoint.safetensors")));
    for (int64_t i = 0; w && i < vdni_weights_count(w); i++) {
        const vdni_weights_entry *e = vdni_weights_at(w, i);
        all = realloc(all, (size_t)(*bytes + e->bytes));
        memcpy(all + *bytes, e->data, (size_t)e->bytes);
        *bytes += e->bytes;
    }
    vdni_weights_close(ctx, w);
    return all;
}

static result train(int32_t threads, const vdn_train_options *o, int64_t limit)
{
    vdn_ctx ctx;
    result r;
    memset(&r, 0, sizeof r);
    net_open(&ctx, threads, 0);
    ctx.max_memory_bytes = limit;
    vdni_trainer *t = fix_trainer(&ctx, o);
    r.plan = t->memory;
    vdni_trainer_free(&ctx, t);
    fix_clean();
    ctx.peak_bytes = ctx.now_bytes;
    r.status = fix_train(&ctx, o);
    r.peak = ctx.peak_bytes;
    ctx.max_memory_bytes = 0;
    if (r.status == VDN_OK) r.values = read_values(&ctx, &r.bytes);
    if (r.status != VDN_OK) printf("  %s\n", ctx.error);
    net_close(&ctx);
    return r;
}

static void the_peak_is_below_the_plan_and_near_it(void)
{
    for (int i = 0; i < 7; i++) {
        vdn_train_options o = options(i == 6 ? "unit" : "tiny");
        if (i == 1) o.settings = "{\"network\": \"condition\", \"batch\": 2}";
        if (i == 2) o.settings = "{\"S\": 2, \"N\": 2, \"cond_detach\": 0, \"prior_warmup\": 0}";
        if (i == 3) o.crop = 48;
        if (i == 4) o.precision = 2;
        if (i == 5) o.settings = "{\"S\": 2, \"N\": 2, \"batch\": 24}";
        const result r = train(i % 2 ? 8 : 1, &o, 0);
        printf("  %d: plan %.2f, taken %.2f MiB\n", i, (double)r.plan.peak / (1 << 20),
               (double)r.peak / (1 << 20));
        EXPECT(r.status == VDN_OK && r.plan.recompute == 0 && r.plan.device_peak == 0);
        EXPECT_LE(r.peak, r.plan.peak);
        EXPECT_LE(r.plan.peak, 1.05 * (double)r.peak + 4.0 * (1 << 20));
        free(r.values);
    }
}

static void a_limit_makes_it_compute_blocks_again_to_the_same_bits(void)
{
    const vdn_train_options o = options("tiny");
    const result whole = train(1, &o, 0);
    const result less = train(1, &o, whole.plan.peak - 1);
    printf("  %.2f MiB, with recomputation %.2f MiB\n", (double)whole.peak / (1 << 20),
           (double)less.peak / (1 << 20));
    EXPECT(whole.status == VDN_OK && less.status == VDN_OK);
    EXPECT(whole.plan.recompute == 0 && less.plan.recompute == 1);
    EXPECT_LE(less.plan.network, 0.7 * (double)whole.plan.network);
    EXPECT(less.peak <= less.plan.peak && less.peak < whole.peak);
    EXPECT(whole.bytes == less.bytes && whole.bytes > 100000);
    EXPECT(memcmp(whole.values, less.values, (size_t)whole.bytes) == 0);
    free(whole.values);
    free(less.values);
}

static void what_cannot_fit_is_refused_with_the_numbers(void)
{
    const vdn_train_options o = options("tiny");
    vdn_ctx ctx;
    vdni_trainer *t = NULL;
    net_open(&ctx, 1, 0);
    const int64_t held = ctx.now_bytes;
    ctx.max_memory_bytes = 8 << 20;
    vdni_clear_error(&ctx);
    EXPECT(vdni_trainer_create(&ctx, &t, fix_folder, fix_store, &o) == VDN_ERR_MEMORY);
    EXPECT(t == NULL && ctx.now_bytes == held && ctx.peak_bytes <= 8 << 20);
    EXPECT(strstr(ctx.error, "training needs") && strstr(ctx.error, "allowed are 8"));
    printf("  %s\n", ctx.error);
    ctx.max_memory_bytes = 0;
    net_close(&ctx);
}

int main(void)
{
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    fix_begin("test_memory_plan", 2);
    write_store(&ctx);
    RUN(the_peak_is_below_the_plan_and_near_it);
    RUN(a_limit_makes_it_compute_blocks_again_to_the_same_bits);
    RUN(what_cannot_fit_is_refused_with_the_numbers);
    fix_end();
    return test_result();
}
