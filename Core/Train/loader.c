#define _POSIX_C_SOURCE 200809L
#include "Train/loader.h"

#include "Base/clock.h"
#include "Base/memory.h"

#include <pthread.h>
#include <string.h>

enum { MOST_THREADS = 8, THREADS_EACH = 4 };

typedef struct {
    vdni_loader *loader;
    pthread_t thread;
    vdni_batch_scratch scratch;
} worker;

/* Below the lock: what is being made. The job and the spare images belong to the workers from begin()
 * until all images are finished, otherwise to the caller. */
struct vdni_loader {
    vdni_trainer *trainer;
    vdni_batch_images spare;
    worker workers[MOST_THREADS];
    int32_t worker_count;
    int64_t last;
    pthread_mutex_t lock, store_lock;
    pthread_cond_t begun, finished;
    int64_t step;       /* whose images are made; 0 = none */
    int32_t next, done; /* images begun and finished */
    int32_t quits, has_lock;
};

int32_t vdni_loader_threads(int32_t threads, int32_t batch)
{
    int32_t wanted = threads / THREADS_EACH;
    if (threads < 2) return 0;
    if (wanted < 1) wanted = 1;
    if (wanted > MOST_THREADS) wanted = MOST_THREADS;
    return wanted < batch ? wanted : batch;
}

/* The store marks what it has checked: one worker at a time. */
static void make_one(vdni_loader *l, const worker *w, int32_t j)
{
    (void)pthread_mutex_lock(&l->store_lock);
    vdni_batch_fetch(l->trainer, j);
    (void)pthread_mutex_unlock(&l->store_lock);
    vdni_batch_make(l->trainer, &l->spare, &w->scratch, j);
}

static void *work(void *user)
{
    worker *w = user;
    vdni_loader *l = w->loader;
    (void)pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->quits && (l->step == 0 || l->next == l->trainer->recipe.batch))
            (void)pthread_cond_wait(&l->begun, &l->lock);
        if (l->quits) break;
        const int32_t j = l->next++;
        (void)pthread_mutex_unlock(&l->lock);
        make_one(l, w, j);
        (void)pthread_mutex_lock(&l->lock);
        if (++l->done == l->trainer->recipe.batch) (void)pthread_cond_signal(&l->finished);
    }
    (void)pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void begin(vdni_loader *l, int64_t step)
{
    vdni_batch_choose(l->trainer, step);
    (void)pthread_mutex_lock(&l->lock);
    l->step = step;
    l->next = l->done = 0;
    (void)pthread_cond_broadcast(&l->begun);
    (void)pthread_mutex_unlock(&l->lock);
}

/* The step whose images are there now; 0 when none were being made. */
static int64_t wait_for_all(vdni_loader *l)
{
    (void)pthread_mutex_lock(&l->lock);
    while (l->step != 0 && l->done < l->trainer->recipe.batch)
        (void)pthread_cond_wait(&l->finished, &l->lock);
    const int64_t step = l->step;
    l->step = 0;
    (void)pthread_mutex_unlock(&l->lock);
    return step;
}

static void swap_images(vdni_loader *l)
{
    vdni_trainer *t = l->trainer;
    const vdni_batch_images used = { t->images, t->targets, t->valid };
    t->images = l->spare.images;
    t->targets = l->spare.targets;
    t->valid = l->spare.valid;
    l->spare = used;
}

static vdn_status take(vdn_ctx *ctx, vdni_loader *l, int64_t step)
{
    if (l->worker_count == 0) return vdni_batch_load(ctx, l->trainer, step);
    if (wait_for_all(l) != step) {
        begin(l, step);
        (void)wait_for_all(l);
    }
    const vdn_status status = vdni_batch_status(ctx, l->trainer);
    if (status != VDN_OK) return status;
    swap_images(l);
    if (step < l->last) begin(l, step + 1);
    return VDN_OK;
}

vdn_status vdni_loader_get(vdn_ctx *ctx, vdni_loader *l, int64_t step, double *waited)
{
    const int64_t from = vdni_clock_ns();
    const vdn_status status = take(ctx, l, step);
    *waited = (double)(vdni_clock_ns() - from) * 1e-9;
    return status;
}

static vdn_status start_locks(vdn_ctx *ctx, vdni_loader *l)
{
    if (pthread_mutex_init(&l->lock, NULL) != 0 || pthread_mutex_init(&l->store_lock, NULL) != 0 ||
        pthread_cond_init(&l->begun, NULL) != 0 || pthread_cond_init(&l->finished, NULL) != 0)
        return vdni_fail(ctx, VDN_ERR_MEMORY, "no locks for the loader threads");
    l->has_lock = 1;
    return VDN_OK;
}

/* A system that gives fewer threads than wanted, or none, trains all the same. */
static vdn_status start(vdn_ctx *ctx, vdni_loader *l)
{
    const int32_t wanted = vdni_loader_threads(ctx->threads, l->trainer->recipe.batch);
    if (wanted == 0) return VDN_OK;
    VDN_CHECK(vdni_batch_images_create(ctx, &l->spare, l->trainer));
    VDN_CHECK(start_locks(ctx, l));
    for (int32_t i = 0; i < wanted; i++) {
        worker *w = &l->workers[i];
        w->loader = l;
        VDN_CHECK(vdni_batch_scratch_create(ctx, &w->scratch, l->trainer));
        if (pthread_create(&w->thread, NULL, work, w) != 0) {
            vdni_batch_scratch_free(ctx, &w->scratch);
            break;
        }
        l->worker_count++;
    }
    return VDN_OK;
}

vdn_status vdni_loader_create(vdn_ctx *ctx, vdni_loader **out, vdni_trainer *t, int64_t last)
{
    vdn_status status = VDN_OK;
    vdni_loader *l = NULL;

    *out = NULL;
    VDN_TRY(VDNI_NEW(ctx, l, 1));
    l->trainer = t;
    l->last = last;
    VDN_TRY(start(ctx, l));
    *out = l;
    l = NULL;
done:
    vdni_loader_free(ctx, l);
    return status;
}

static void stop(vdni_loader *l)
{
    (void)pthread_mutex_lock(&l->lock);
    l->quits = 1;
    (void)pthread_cond_broadcast(&l->begun);
    (void)pthread_mutex_unlock(&l->lock);
    for (int32_t i = 0; i < l->worker_count; i++) (void)pthread_join(l->workers[i].thread, NULL);
    (void)pthread_cond_destroy(&l->begun);
    (void)pthread_cond_destroy(&l->finished);
    (void)pthread_mutex_destroy(&l->lock);
    (void)pthread_mutex_destroy(&l->store_lock);
}

void vdni_loader_free(vdn_ctx *ctx, vdni_loader *l)
{
    if (!l) return;
    if (l->has_lock) stop(l);
    for (int32_t i = 0; i < MOST_THREADS; i++) vdni_batch_scratch_free(ctx, &l->workers[i].scratch);
    vdni_batch_images_free(ctx, &l->spare);
    vdni_free(ctx, l);
}
