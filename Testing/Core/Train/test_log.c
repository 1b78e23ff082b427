#include "Train/log.h"

#include "test.h"

static const char path[] = "test_log.csv";
static const char columns[] = "step,seconds,loss";

static const char *contents(void)
{
    static char text[4096];
    FILE *const file = fopen(path, "rb");
    const size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[n] = '\0';
    if (file) (void)fclose(file);
    return text;
}

static void put(const char *text)
{
    FILE *const file = fopen(path, "wb");
    EXPECT(file && fwrite(text, 1, strlen(text), file) == strlen(text));
    if (file) (void)fclose(file);
}

static void rows_are_there_as_soon_as_they_are_added(void)
{
    vdni_log *log = NULL;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    put("an older file");
    EXPECT(vdni_log_create(&ctx, &log, path, columns) == VDN_OK);
    EXPECT(strcmp(contents(), "step,seconds,loss\n") == 0);
    const int64_t allocations = ctx.allocations;
    EXPECT(vdni_log_add(&ctx, log, 1, (const double[]){ 0.5, 1.25 }) == VDN_OK);
    EXPECT(strcmp(contents(), "step,seconds,loss\n1,0.5,1.25\n") == 0);
    EXPECT(vdni_log_add(&ctx, log, 20, (const double[]){ NAN, -INFINITY }) == VDN_OK);
    EXPECT(vdni_log_add(&ctx, log, INT64_MAX,
                        (const double[]){ -2.2250738585072014e-308, 1e300 }) == VDN_OK);
    EXPECT(ctx.allocations == allocations);
    EXPECT(vdni_log_close(&ctx, log) == VDN_OK);
    EXPECT(strcmp(contents(), "step,seconds,loss\n1,0.5,1.25\n20,,\n"
                              "9223372036854775807,-2.2250738585072014e-308,1e+300\n") == 0);
    EXPECT(ctx.now_bytes == 0);
}

/* Resume at step 3 from @p before; the file has to be @p after. */
static void expect_resumed(const char *before, const char *after)
{
    vdni_log *log = NULL;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    put(before);
    EXPECT(vdni_log_resume(&ctx, &log, path, columns, 3) == VDN_OK);
    EXPECT(strcmp(contents(), after) == 0);
    EXPECT(vdni_log_add(&ctx, log, 4, (const double[]){ 1.0, 2.0 }) == VDN_OK);
    EXPECT(vdni_log_close(&ctx, log) == VDN_OK);
    const char *const text = contents();
    EXPECT(strncmp(text, after, strlen(after)) == 0 &&
           strcmp(text + strlen(after), "4,1,2\n") == 0);
    EXPECT(ctx.now_bytes == 0);
}

static void resume_keeps_the_rows_up_to_the_checkpoint(void)
{
    expect_resumed("step,seconds,loss\n1,1,1\n2,2,2\n3,3,3\n",
                   "step,seconds,loss\n1,1,1\n2,2,2\n3,3,3\n");
    expect_resumed("step,seconds,loss\n1,1,1\n3,3,3\n4,4,4\n5,5,5\n",
                   "step,seconds,loss\n1,1,1\n3,3,3\n");
    expect_resumed("step,seconds,loss\n", "step,seconds,loss\n");
    expect_resumed("step,seconds,loss\n7,1,1\n", "step,seconds,loss\n");
}

static void resume_drops_what_a_crash_left(void)
{
    expect_resumed("step,seconds,loss\n1,1,1\n2,2", "step,seconds,loss\n1,1,1\n");
    expect_resumed("step,seconds,loss\n1,1,1\n2,2\n3,3,3\n", "step,seconds,loss\n1,1,1\n");
    expect_resumed("step,seconds,loss\n1,1,1\nx,2,2\n", "step,seconds,loss\n1,1,1\n");
    expect_resumed("step,seconds,loss\n1,1,1\n99999999999999999999999,2,2\n",
                   "step,seconds,loss\n1,1,1\n");
}

static void resume_without_a_file_begins_one(void)
{
    vdni_log *log = NULL;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    (void)remove(path);
    EXPECT(vdni_log_resume(&ctx, &log, path, columns, 3) == VDN_OK);
    EXPECT(vdni_log_close(&ctx, log) == VDN_OK);
    EXPECT(strcmp(contents(), "step,seconds,loss\n") == 0);
}

static void another_table_is_not_touched(void)
{
    static const char *const others[] = { "", "step,seconds\n1,2\n", "step,seconds,loss",
                                          "step,seconds,losses\n", "something else" };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        vdni_log *log = NULL;
        vdn_ctx ctx;
        vdni_ctx_init(&ctx);
        put(others[i]);
        EXPECT(vdni_log_resume(&ctx, &log, path, columns, 3) == VDN_ERR_FORMAT);
        EXPECT(log == NULL && strstr(ctx.error, path) != NULL && ctx.now_bytes == 0);
        EXPECT(strcmp(contents(), others[i]) == 0);
    }
}

static void bad_names_are_refused(void)
{
    vdni_log *log = NULL;
    vdn_ctx ctx;
    vdni_ctx_init(&ctx);
    EXPECT(vdni_log_create(&ctx, &log, path, "loss,step") == VDN_ERR_ARGUMENT);
    vdni_clear_error(&ctx);
    EXPECT(vdni_log_create(&ctx, &log, "no_such_folder/log.csv", columns) == VDN_ERR_IO);
    EXPECT(log == NULL && ctx.now_bytes == 0);
    EXPECT(vdni_log_close(&ctx, NULL) == VDN_OK);
}

static void survives_every_refused_allocation(void)
{
    for (int64_t refuse = 0;; refuse++) {
        vdni_log *log = NULL;
        vdn_ctx ctx;
        vdni_ctx_init(&ctx);
        put("step,seconds,loss\n1,1,1\n9,9,9\n");
        ctx.refuse_after = refuse;
        const vdn_status status = vdni_log_resume(&ctx, &log, path, columns, 3);
        EXPECT((status == VDN_OK) == (log != NULL));
        EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
        EXPECT(vdni_log_close(&ctx, log) == VDN_OK);
        EXPECT(ctx.now_bytes == 0);
        EXPECT(strncmp(contents(), "step,seconds,loss\n1,1,1\n", 24) == 0);
        if (status == VDN_OK) {
            EXPECT(refuse >= 4);
            break;
        }
    }
}

int main(void)
{
    RUN(rows_are_there_as_soon_as_they_are_added);
    RUN(resume_keeps_the_rows_up_to_the_checkpoint);
    RUN(resume_drops_what_a_crash_left);
    RUN(resume_without_a_file_begins_one);
    RUN(another_table_is_not_touched);
    RUN(bad_names_are_refused);
    RUN(survives_every_refused_allocation);
    (void)remove(path);
    return test_result();
}
