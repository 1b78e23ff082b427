#include "Base/context.h"
#include "test.h"

#include <time.h>

static vdn_ctx ctx;

static void a_lower_message_is_never_overwritten(void)
{
    vdni_ctx_init(&ctx);
    EXPECT(vdni_fail(&ctx, VDN_ERR_IO, "%s: byte %d", "file", 7) == VDN_ERR_IO);
    EXPECT(vdni_fail(&ctx, VDN_ERR_FORMAT, "cannot load") == VDN_ERR_FORMAT);
    EXPECT(strcmp(ctx.error, "file: byte 7") == 0);
    vdni_clear_error(&ctx);
    EXPECT(ctx.error[0] == '\0');
    EXPECT(vdni_fail(&ctx, VDN_ERR_FORMAT, "cannot load") == VDN_ERR_FORMAT);
    EXPECT(strcmp(ctx.error, "cannot load") == 0);
}

static char logged[2 * VDNI_ERROR_BYTES];
static int lines;

static void keep_line(void *user, const char *line)
{
    EXPECT(user == &ctx);
    lines++;
    (void)snprintf(logged, sizeof logged, "%s", line);
}

static void a_message_is_one_line(void)
{
    vdni_ctx_init(&ctx);
    (void)vdni_fail(&ctx, VDN_ERR_IO, "a\nb\r\nc%s", "\n");
    EXPECT(strcmp(ctx.error, "a b  c ") == 0);
    ctx.log = keep_line;
    ctx.user = &ctx;
    vdni_note(&ctx, "x\ny %d\r", 3);
    EXPECT(lines == 1 && strcmp(logged, "x y 3 ") == 0);
}

static void a_long_message_is_cut(void)
{
    char text[3 * VDNI_ERROR_BYTES];
    memset(text, 'm', sizeof text);
    text[sizeof text - 1] = '\0';
    vdni_ctx_init(&ctx);
    (void)vdni_fail(&ctx, VDN_ERR_IO, "%s", text);
    EXPECT(strlen(ctx.error) == VDNI_ERROR_BYTES - 1);
    EXPECT(ctx.threads == 1); /* the field behind it */
    ctx.log = keep_line;
    ctx.user = &ctx;
    vdni_note(&ctx, "%s", text);
    EXPECT(strlen(logged) == VDNI_ERROR_BYTES - 1);
    vdni_ctx_stage(&ctx, 0.0, 1.0, "%s", text);
    EXPECT(strlen(ctx.stage) == sizeof ctx.stage - 1 && ctx.now_bytes == 0);
}

static void no_context_is_fine(void)
{
    EXPECT(vdni_fail(NULL, VDN_ERR_NUMERIC, "nobody listens %d", 1) == VDN_ERR_NUMERIC);
    vdni_clear_error(NULL);
    vdni_note(NULL, "nobody listens %d", 1);
    vdni_ctx_init(&ctx);
    vdni_note(&ctx, "no log");
    EXPECT(vdni_report(&ctx, 0.5) == VDN_OK);
    EXPECT(ctx.error[0] == '\0');
}

static double seen[64];
static int reports, stop_after;
static char last_comment[128];

static int keep_fraction(void *user, double fraction, const char *comment)
{
    EXPECT(user == &ctx);
    if (reports < 64) seen[reports] = fraction;
    (void)snprintf(last_comment, sizeof last_comment, "%s", comment);
    return ++reports == stop_after;
}

static void start_reports(int stop)
{
    vdni_ctx_init(&ctx);
    ctx.progress = keep_fraction;
    ctx.user = &ctx;
    reports = 0;
    stop_after = stop;
}

static void stages_share_the_whole_and_progress_never_falls(void)
{
    const struct timespec pause = { 0, 130 * 1000 * 1000 };
    start_reports(0);
    for (int stage = 0; stage < 4; stage++) {
        vdni_ctx_stage(&ctx, 0.25 * stage, 0.25 * (stage + 1), "Part %d", stage);
        for (int i = 0; i <= 4; i++) EXPECT(vdni_report(&ctx, 0.25 * i) == VDN_OK);
        if (stage == 1) EXPECT(nanosleep(&pause, NULL) == 0); /* so that the next one is heard */
    }
    EXPECT(reports >= 6 && reports <= 64);
    EXPECT(seen[0] == 0.0 && seen[reports - 1] == 1.0);
    for (int i = 1; i < reports && i < 64; i++) EXPECT(seen[i] >= seen[i - 1]);
    EXPECT(strcmp(last_comment, "Part 3") == 0);
}

static void the_caller_is_called_about_ten_times_a_second(void)
{
    start_reports(0);
    for (int i = 0; i < 100000; i++) EXPECT(vdni_report(&ctx, i / 100000.0) == VDN_OK);
    EXPECT(reports >= 1 && reports <= 60); /* 100000 calls take well below 6 s */
    const int before = reports;
    EXPECT(vdni_report(&ctx, 1.0) == VDN_OK);
    EXPECT(reports == before + 1 && seen[0] == 0.0);
}

static void the_caller_can_stop(void)
{
    start_reports(2);
    vdni_ctx_stage(&ctx, 0.0, 1.0, "Slice %d", 4);
    EXPECT(vdni_report(&ctx, 0.0) == VDN_OK);
    EXPECT(vdni_report(&ctx, 1.0) == VDN_ERR_ABORTED);
    EXPECT(strcmp(ctx.error, "stopped by the caller during: Slice 4") == 0);
}

static void every_status_has_its_name(void)
{
    static const char *const names[] = { "VDN_OK",          "VDN_ERR_ARGUMENT",
                                         "VDN_ERR_MEMORY",  "VDN_ERR_IO",
                                         "VDN_ERR_FORMAT",  "VDN_ERR_UNSUPPORTED",
                                         "VDN_ERR_DEVICE",  "VDN_ERR_ABORTED",
                                         "VDN_ERR_NUMERIC", "unknown status" };
    for (int i = 0; i < 10; i++) EXPECT(strcmp(vdn_status_name((vdn_status)-i), names[i]) == 0);
    EXPECT(strcmp(vdn_status_name((vdn_status)1), "unknown status") == 0);
}

int main(void)
{
    RUN(a_lower_message_is_never_overwritten);
    RUN(a_message_is_one_line);
    RUN(a_long_message_is_cut);
    RUN(no_context_is_fine);
    RUN(stages_share_the_whole_and_progress_never_falls);
    RUN(the_caller_is_called_about_ten_times_a_second);
    RUN(the_caller_can_stop);
    RUN(every_status_has_its_name);
    return test_result();
}
