/* Trainings that are killed, or whose disk is full, in processes of their own. */
#define _DEFAULT_SOURCE
#include "train_fixture.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { STEPS = 40, INTERVAL = 2 };

static vdn_ctx ctx;

static vdn_train_options options(void)
{
    vdn_train_options o = fix_options(STEPS);
    o.validate_steps = 5;
    o.checkpoint_steps = INTERVAL;
    return o;
}

/* What happens to a process whose file passes its limit. */
typedef enum at_limit {
    IS_TOLD, /* the write fails, as on a full disk */
    IS_KILLED /* the system's signal ends it between two bytes of that file */
} at_limit;

/* A process that trains, with at most @p bytes in any file (0: as many as it likes). It ends with
 * 0 when the training is done, otherwise with the status' number. */
static pid_t begin(int resume, int64_t bytes, at_limit then)
{
    (void)fflush(NULL);
    const pid_t child = fork();
    if (child != 0) return child;
    vdn_train_options o = options();
    o.resume = resume;
    if (bytes > 0) {
        const struct rlimit limit = { (rlim_t)bytes, (rlim_t)bytes }, no_core = { 0, 0 };
        (void)signal(SIGXFSZ, then == IS_KILLED ? SIG_DFL : SIG_IGN);
        if (setrlimit(RLIMIT_CORE, &no_core) != 0) _exit(99);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(99);
    }
    const vdn_status status = fix_train(&ctx, &o);
    if (status != VDN_OK) {
        FILE *why = fopen(fix_path("why"), "w");
        if (why) {
            (void)fputs(ctx.error, why);
            (void)fclose(why);
        }
    }
    _exit(-(int)status);
}

static int end_of(pid_t child)
{
    int how = 0;
    EXPECT(waitpid(child, &how, 0) == child);
    return how;
}

static int count_partial(void)
{
    DIR *folder = opendir(fix_folder);
    int count = 0;
    for (const struct dirent *e = folder ? readdir(folder) : NULL; e; e = readdir(folder))
        count += strstr(e->d_name, ".partial") != NULL;
    if (folder) (void)closedir(folder);
    return count;
}

/* Step of the checkpoint that is there; -1: none, or it cannot be read. */
static int64_t saved_step(void)
{
    vdn_train_options o = options();
    vdni_trainer *t = NULL;
    o.resume = 1;
    vdni_clear_error(&ctx);
    if (!fix_is_there("checkpoint.safetensors")) return -1;
    EXPECT_OK(&ctx, vdni_trainer_create(&ctx, &t, fix_folder, fix_store, &o));
    const int64_t step = t ? t->state.step : -1;
    vdni_trainer_free(&ctx, t);
    return step;
}

static char *whole;
static int64_t whole_bytes;

static void expect_whole(void)
{
    int64_t bytes = 0;
    char *model = fix_tensors(&ctx, "checkpoint.safetensors", &bytes);
    EXPECT(bytes == whole_bytes && memcmp(model, whole, (size_t)bytes) == 0);
    EXPECT(fix_rows("log.csv") == STEPS && fix_rows("validation.csv") == STEPS / 5);
    EXPECT(fix_is_there("test.json") && count_partial() == 0);
    free(model);
}

static void a_training_in_a_process_ends_well(void)
{
    fix_clean();
    const int how = end_of(begin(0, 0, IS_TOLD));
    EXPECT(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    whole = fix_tensors(&ctx, "checkpoint.safetensors", &whole_bytes);
    EXPECT(whole_bytes > 100000);
}

/* Killed at random moments until it is done: never more than an interval is lost, and the result is
 * that of the run nobody killed. Which of these kills fall into a write is up to the machine; the next
 * case aims. */
static void kills_at_any_moment_lose_one_interval(void)
{
    uint64_t seed = 12;
    int kills = 0, in_writing = 0, done = 0;
    int64_t resumed = -1, patience_us = 20000; /* grows when a busy machine gets nowhere */
    fix_clean();
    for (int run = 0; run < 400 && !done; run++) {
        const pid_t child = begin(resumed >= 0, 0, IS_TOLD);
        (void)usleep((useconds_t)(test_random_bits(&seed) % (uint64_t)patience_us));
        (void)kill(child, SIGKILL);
        const int how = end_of(child);
        done = WIFEXITED(how) && WEXITSTATUS(how) == 0;
        EXPECT(done || (WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL));
        if (done) break;
        kills++;
        in_writing += count_partial() > 0;
        const int rows = fix_rows("log.csv"); /* saved_step() cuts the table to its step */
        const int64_t step = saved_step();
        EXPECT(step >= resumed);
        if (rows > 0) EXPECT_LE(rows - (step < 0 ? 0 : (int)step), INTERVAL);
        if (step >= 0) EXPECT(count_partial() == 0);
        if (step == resumed) patience_us += patience_us / 8;
        resumed = step;
    }
    printf("  %d kills, %d of them while a file was written\n", kills, in_writing);
    EXPECT(done && kills >= 1);
    expect_whole();
}

/* Trains until a checkpoint is there and kills it. The step of that checkpoint. */
static int64_t first_checkpoint(void)
{
    fix_clean();
    const pid_t child = begin(0, 0, IS_TOLD);
    while (!fix_is_there("checkpoint.safetensors")) (void)usleep(500);
    (void)kill(child, SIGKILL);
    (void)end_of(child);
    const int64_t step = saved_step();
    EXPECT(step >= INTERVAL && step < STEPS);
    return step;
}

/* The process ends at a chosen byte of the checkpoint it writes: half a file is left beside the last
 * good one, the next run takes it away, goes on from the good one, and ends as if nothing had been. */
static void a_kill_within_a_checkpoint_loses_that_one_only(void)
{
    const int64_t step = first_checkpoint();
    for (int tenth = 1; tenth <= 9; tenth += 4) {
        const int how = end_of(begin(1, whole_bytes * tenth / 10, IS_KILLED));
        EXPECT(WIFSIGNALED(how) && WTERMSIG(how) == SIGXFSZ);
        EXPECT(count_partial() == 1);
        EXPECT(saved_step() == step && count_partial() == 0);
    }
    const int last = end_of(begin(1, 0, IS_TOLD));
    EXPECT(WIFEXITED(last) && WEXITSTATUS(last) == 0);
    expect_whole();
}

static void a_full_disk_leaves_the_last_checkpoint(void)
{
    char *why = NULL;
    const int64_t step = first_checkpoint();
    const int how = end_of(begin(1, 50000, IS_TOLD)); /* half a checkpoint */
    EXPECT(WIFEXITED(how) && WEXITSTATUS(how) == -VDN_ERR_IO);
    why = fix_read("why", NULL);
    EXPECT(why && strstr(why, "cannot write") && strstr(why, "checkpoint.safetensors"));
    EXPECT(count_partial() == 0 && saved_step() == step);
    free(why);
    (void)unlink(fix_path("why"));
    const int last = end_of(begin(1, 0, IS_TOLD));
    EXPECT(WIFEXITED(last) && WEXITSTATUS(last) == 0);
    expect_whole();
}

int main(void)
{
    net_open(&ctx, 1, VDNI_PREPARE_PLAIN);
    fix_begin("test_killed", 2);
    RUN(a_training_in_a_process_ends_well);
    RUN(kills_at_any_moment_lose_one_interval);
    RUN(a_kill_within_a_checkpoint_loses_that_one_only);
    RUN(a_full_disk_leaves_the_last_checkpoint);
    free(whole);
    fix_end();
    net_close(&ctx);
    return test_result();
}
