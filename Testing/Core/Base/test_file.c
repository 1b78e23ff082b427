#include "Base/file.h"
#include "Base/memory.h"
#include "test.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static vdn_ctx ctx;
static char folder[64];
static char path[128];

/* Entries of the test folder whose name contains @p part. */
static int entries(const char *part)
{
    DIR *dir = opendir(folder);
    int n = 0;
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir))
        n += e->d_name[0] != '.' && strstr(e->d_name, part) != NULL;
    if (dir) (void)closedir(dir);
    return n;
}

static void expect_contents(const char *text)
{
    char *data = NULL;
    int64_t bytes = -1;
    EXPECT(vdni_file_read(&ctx, &data, &bytes, path, 1000) == VDN_OK);
    EXPECT(data && bytes == (int64_t)strlen(text) && strcmp(data, text) == 0);
    vdni_free(&ctx, data);
}

static void a_file_is_written_whole(void)
{
    EXPECT(vdni_file_write(&ctx, path, "hello", 5) == VDN_OK);
    expect_contents("hello");
    EXPECT(vdni_file_write(&ctx, path, "", 0) == VDN_OK);
    expect_contents("");
    EXPECT(entries("") == 1);
    EXPECT(ctx.now_bytes == 0);
}

static void a_file_grows_in_pieces(void)
{
    vdni_file_writer *w = NULL;
    EXPECT(vdni_file_write(&ctx, path, "old", 3) == VDN_OK);
    EXPECT(vdni_file_create(&ctx, &w, path) == VDN_OK);
    EXPECT(vdni_file_append(&ctx, w, "0123", 4) == VDN_OK);
    EXPECT(vdni_file_align(&ctx, w, 8) == VDN_OK && vdni_file_position(w) == 8);
    EXPECT(vdni_file_align(&ctx, w, 8) == VDN_OK && vdni_file_position(w) == 8);
    EXPECT(vdni_file_append(&ctx, w, "89", 2) == VDN_OK);
    EXPECT(vdni_file_patch(&ctx, w, 4, "4567", 4) == VDN_OK);
    EXPECT(vdni_file_patch(&ctx, w, 7, "xxxx", 4) == VDN_ERR_ARGUMENT);
    EXPECT(vdni_file_patch(&ctx, w, -1, "x", 1) == VDN_ERR_ARGUMENT);
    vdni_clear_error(&ctx);
    expect_contents("old"); /* Until the commit the old file stands. */
    EXPECT(vdni_file_commit(&ctx, w) == VDN_OK);
    expect_contents("0123456789");
    EXPECT(entries("") == 1);
    EXPECT(ctx.now_bytes == 0);
}

static void a_discarded_file_leaves_the_old_one(void)
{
    vdni_file_writer *w = NULL, *second = NULL;
    EXPECT(vdni_file_write(&ctx, path, "old", 3) == VDN_OK);
    EXPECT(vdni_file_create(&ctx, &w, path) == VDN_OK);
    EXPECT(vdni_file_create(&ctx, &second, path) == VDN_OK);
    EXPECT(vdni_file_append(&ctx, w, "new", 3) == VDN_OK);
    EXPECT(entries("partial") == 2);
    vdni_file_discard(&ctx, w);
    vdni_file_discard(&ctx, second);
    vdni_file_discard(&ctx, NULL);
    EXPECT(entries("partial") == 0);
    expect_contents("old");
    EXPECT(ctx.now_bytes == 0);
}

static void failures_name_the_path_and_the_reason(void)
{
    char missing[160], *data = NULL;
    int64_t bytes = 0;
    vdni_file_map map = { NULL, 0 };
    (void)snprintf(missing, sizeof missing, "%s/absent/file", folder);
    vdni_clear_error(&ctx);
    EXPECT(vdni_file_write(&ctx, missing, "x", 1) == VDN_ERR_IO);
    EXPECT(strstr(ctx.error, missing) && strstr(ctx.error, "No such file or directory"));
    vdni_clear_error(&ctx);
    EXPECT(vdni_file_read(&ctx, &data, &bytes, missing, 10) == VDN_ERR_IO && !data);
    EXPECT(strstr(ctx.error, missing) && strstr(ctx.error, "No such file or directory"));
    vdni_clear_error(&ctx);
    EXPECT(vdni_file_map_open(&ctx, &map, missing) == VDN_ERR_IO && !map.data);
    EXPECT(strstr(ctx.error, missing) != NULL);
    vdni_clear_error(&ctx);
    EXPECT(vdni_file_read(&ctx, &data, &bytes, folder, 10) == VDN_ERR_IO);
    EXPECT(strstr(ctx.error, "not a regular file") != NULL);
    vdni_clear_error(&ctx);
    (void)snprintf(missing, sizeof missing, "%s/sub", folder);
    EXPECT(mkdir(missing, 0777) == 0);
    EXPECT(vdni_file_write(&ctx, missing, "x", 1) == VDN_ERR_IO); /* a folder is not replaced */
    EXPECT(strstr(ctx.error, missing) != NULL);
    EXPECT(entries("partial") == 0);
    EXPECT(rmdir(missing) == 0);
    vdni_clear_error(&ctx);
    EXPECT(vdni_file_write(&ctx, "", "x", 1) == VDN_ERR_IO);
    vdni_clear_error(&ctx);
    EXPECT(vdni_file_write(&ctx, path, "0123456789", 10) == VDN_OK);
    EXPECT(vdni_file_read(&ctx, &data, &bytes, path, 9) == VDN_ERR_FORMAT);
    EXPECT(strstr(ctx.error, "10 bytes; at most 9") != NULL);
    EXPECT(ctx.now_bytes == 0);
    EXPECT(entries("partial") == 0);
}

static void a_full_disk_is_reported_and_leaves_the_old_file(void)
{
    static const char data[10000];
    struct rlimit old, small;
    EXPECT(vdni_file_write(&ctx, path, "old", 3) == VDN_OK);
    EXPECT(getrlimit(RLIMIT_FSIZE, &old) == 0);
    small = old;
    small.rlim_cur = 4096;
    (void)signal(SIGXFSZ, SIG_IGN);
    EXPECT(setrlimit(RLIMIT_FSIZE, &small) == 0);
    vdni_clear_error(&ctx);
    EXPECT(vdni_file_write(&ctx, path, data, sizeof data) == VDN_ERR_IO);
    EXPECT(strstr(ctx.error, path) && strstr(ctx.error, "too large"));
    EXPECT(setrlimit(RLIMIT_FSIZE, &old) == 0);
    EXPECT(entries("") == 1);
    expect_contents("old");
    EXPECT(ctx.now_bytes == 0);
}

static void a_planted_link_is_not_followed(void)
{
    char victim[160], link_name[160];
    (void)snprintf(victim, sizeof victim, "%s/victim", folder);
    (void)snprintf(link_name, sizeof link_name, "%s.%ld.partial", path, (long)getpid());
    EXPECT(symlink("victim", link_name) == 0);
    EXPECT(vdni_file_write(&ctx, path, "x", 1) == VDN_OK);
    EXPECT(access(victim, F_OK) != 0);
    EXPECT(unlink(link_name) == 0);
}

static void a_map_shows_the_file(void)
{
    vdni_file_map map = { NULL, 0 };
    EXPECT(vdni_file_write(&ctx, path, "mapped", 6) == VDN_OK);
    EXPECT(vdni_file_map_open(&ctx, &map, path) == VDN_OK);
    EXPECT(map.bytes == 6 && memcmp(map.data, "mapped", 6) == 0);
    EXPECT(vdni_file_write(&ctx, path, "other", 5) == VDN_OK);
    EXPECT(memcmp(map.data, "mapped", 6) == 0);
    vdni_file_map_close(&map);
    vdni_file_map_close(&map);
    EXPECT(vdni_file_write(&ctx, path, "", 0) == VDN_OK);
    EXPECT(vdni_file_map_open(&ctx, &map, path) == VDN_OK && map.data && map.bytes == 0);
    vdni_file_map_close(&map);
}

static void every_refused_allocation_is_survived(void)
{
    EXPECT(vdni_file_write(&ctx, path, "old", 3) == VDN_OK);
    for (int64_t refusals = 0;; refusals++) {
        char *data = NULL;
        int64_t bytes = 0;
        vdni_ctx_init(&ctx);
        ctx.refuse_after = refusals;
        vdn_status status = vdni_file_write(&ctx, path, "new", 3);
        if (status == VDN_OK) status = vdni_file_read(&ctx, &data, &bytes, path, 10);
        EXPECT((status == VDN_OK) == (data != NULL));
        EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
        vdni_free(&ctx, data);
        EXPECT(ctx.now_bytes == 0 && entries("partial") == 0);
        if (status == VDN_OK) {
            EXPECT(refusals == 4);
            break;
        }
    }
    vdni_ctx_init(&ctx);
}

int main(void)
{
    vdni_ctx_init(&ctx);
    (void)snprintf(folder, sizeof folder, "test_file.%ld", (long)getpid());
    (void)snprintf(path, sizeof path, "%s/file.bin", folder);
    EXPECT(mkdir(folder, 0777) == 0);
    RUN(a_file_is_written_whole);
    RUN(a_file_grows_in_pieces);
    RUN(a_discarded_file_leaves_the_old_one);
    RUN(failures_name_the_path_and_the_reason);
    RUN(a_full_disk_is_reported_and_leaves_the_old_file);
    RUN(a_planted_link_is_not_followed);
    RUN(a_map_shows_the_file);
    RUN(every_refused_allocation_is_survived);
    EXPECT(unlink(path) == 0);
    EXPECT(rmdir(folder) == 0);
    return test_result();
}
