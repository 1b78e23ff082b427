#include "Base/memory.h"
#include "test.h"

static vdn_ctx ctx;

static void blocks_are_aligned_and_zeroed(void)
{
    static const int64_t sizes[] = { 0, 1, 63, 64, 65, 127, 128, 1000003 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *block = NULL;
        for (int again = 0; again < 2; again++) { /* the second one reuses dirty memory */
            EXPECT(VDNI_NEW(&ctx, block, sizes[i]) == VDN_OK && block != NULL);
            EXPECT((uintptr_t)block % 64 == 0);
            int64_t set = 0;
            for (int64_t k = 0; k < sizes[i]; k++) set += block[k] != 0;
            EXPECT(set == 0);
            memset(block, 0xff, (size_t)sizes[i]);
            vdni_free(&ctx, block);
        }
    }
    EXPECT(ctx.now_bytes == 0);
}

static void bytes_are_counted(void)
{
    double *a = NULL;
    char *b = NULL;
    vdni_ctx_init(&ctx);
    EXPECT(VDNI_NEW(&ctx, a, 100) == VDN_OK && ctx.now_bytes == 800);
    EXPECT(vdni_strdup(&ctx, &b, "seven c") == VDN_OK && ctx.now_bytes == 808);
    EXPECT(strcmp(b, "seven c") == 0);
    vdni_free(&ctx, a);
    EXPECT(ctx.now_bytes == 8 && ctx.peak_bytes == 808 && ctx.allocations == 2);
    vdni_free(&ctx, b);
    vdni_free(&ctx, NULL);
    vdni_free(NULL, NULL);
    EXPECT(ctx.now_bytes == 0 && ctx.peak_bytes == 808 && ctx.error[0] == '\0');
    EXPECT(VDNI_NEW(&ctx, a, 1) == VDN_OK);
    vdni_free(NULL, a); /* the context may already be gone */
    EXPECT(ctx.now_bytes == 8);
    vdni_ctx_init(&ctx);
}

static void expect_refused(int64_t count, int64_t item_bytes, const char *why)
{
    int there = 0;
    void *block = &there;
    const int64_t held = ctx.now_bytes, made = ctx.allocations;
    vdni_clear_error(&ctx);
    EXPECT(vdni_alloc(&ctx, &block, count, item_bytes) == VDN_ERR_MEMORY && block == NULL);
    EXPECT(strstr(ctx.error, why) != NULL);
    EXPECT(ctx.now_bytes == held && ctx.allocations == made);
    vdni_clear_error(&ctx);
}

static void sizes_that_overflow_are_refused(void)
{
    expect_refused(-1, 1, "overflows");
    expect_refused(1, 0, "overflows");
    expect_refused(1, -8, "overflows");
    expect_refused(INT64_MAX, 1, "overflows");
    expect_refused(INT64_MAX / 8 + 1, 8, "overflows");
    expect_refused(INT64_C(1) << 32, INT64_C(1) << 32, "4294967296 x 4294967296 bytes");
#ifndef __SANITIZE_ADDRESS__ /* it ends the program instead */
    expect_refused(INT64_C(1) << 60, 1, "the system has no more");
#endif
}

static void a_refusal_lasts(void)
{
    char *block = NULL;
    vdni_ctx_init(&ctx);
    ctx.refuse_after = 2;
    EXPECT(VDNI_NEW(&ctx, block, 1) == VDN_OK);
    vdni_free(&ctx, block);
    EXPECT(VDNI_NEW(&ctx, block, 1) == VDN_OK);
    expect_refused(1, 1, "refused by a test");
    expect_refused(1, 1, "refused by a test");
    EXPECT(VDNI_RESIZE(&ctx, block, 2) == VDN_ERR_MEMORY);
    vdni_free(&ctx, block);
    EXPECT(ctx.now_bytes == 0);
    vdni_ctx_init(&ctx);
}

static void the_limit_bounds_the_sum(void)
{
    char *a = NULL, *b = NULL;
    vdni_ctx_init(&ctx);
    ctx.max_memory_bytes = 1000;
    expect_refused(1001, 1, "over the memory limit (0 held)");
    EXPECT(VDNI_NEW(&ctx, a, 600) == VDN_OK);
    expect_refused(401, 1, "over the memory limit (600 held)");
    expect_refused(INT64_MAX - 1000, 1, "over the memory limit");
    EXPECT(VDNI_NEW(&ctx, b, 400) == VDN_OK && ctx.now_bytes == 1000);
    vdni_free(&ctx, a);
    vdni_free(&ctx, b);
    EXPECT(VDNI_NEW(&ctx, a, 1000) == VDN_OK);
    vdni_free(&ctx, a);
    vdni_ctx_init(&ctx);
}

static void resizing_keeps_what_fits(void)
{
    int32_t *x = NULL;
    EXPECT(VDNI_RESIZE(&ctx, x, 5) == VDN_OK && x != NULL);
    for (int32_t i = 0; i < 5; i++) x[i] = i + 1;
    EXPECT(VDNI_RESIZE(&ctx, x, 5000) == VDN_OK && ctx.now_bytes == 20000);
    for (int32_t i = 0; i < 5000; i++) EXPECT(x[i] == (i < 5 ? i + 1 : 0));
    EXPECT(VDNI_RESIZE(&ctx, x, 3) == VDN_OK && ctx.now_bytes == 12);
    EXPECT(x[0] == 1 && x[1] == 2 && x[2] == 3);
    ctx.refuse_after = ctx.allocations;
    int32_t *const before = x;
    EXPECT(VDNI_RESIZE(&ctx, x, 9) == VDN_ERR_MEMORY);
    EXPECT(x == before && x[2] == 3 && ctx.now_bytes == 12);
    vdni_free(&ctx, x);
    EXPECT(ctx.now_bytes == 0);
    vdni_ctx_init(&ctx);
}

/* A device's runtime gives pinned memory: it counts like the rest. */
static void bytes_from_elsewhere_are_counted(void)
{
    vdni_ctx_init(&ctx);
    ctx.max_memory_bytes = 1000;
    EXPECT(vdni_hold_bytes(&ctx, 600) == VDN_OK && ctx.now_bytes == 600 && ctx.allocations == 1);
    EXPECT(vdni_hold_bytes(&ctx, 401) == VDN_ERR_MEMORY && ctx.now_bytes == 600);
    EXPECT(strstr(ctx.error, "over the memory limit (600 held)") != NULL);
    EXPECT(vdni_hold_bytes(&ctx, -1) == VDN_ERR_MEMORY);
    expect_refused(401, 1, "over the memory limit (600 held)");
    vdni_drop_bytes(&ctx, 600);
    EXPECT(ctx.now_bytes == 0 && ctx.peak_bytes == 600);
    ctx.refuse_after = ctx.allocations;
    EXPECT(vdni_hold_bytes(&ctx, 1) == VDN_ERR_MEMORY && ctx.now_bytes == 0);
    vdni_ctx_init(&ctx);
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(blocks_are_aligned_and_zeroed);
    RUN(bytes_are_counted);
    RUN(sizes_that_overflow_are_refused);
    RUN(a_refusal_lasts);
    RUN(the_limit_bounds_the_sum);
    RUN(resizing_keeps_what_fits);
    RUN(bytes_from_elsewhere_are_counted);
    return test_result();
}
