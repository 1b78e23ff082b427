/* The images of one optimiser step: which slices, normalised, augmented, on the training canvas.
 * Image j of step s depends on (seed, s, j) and the split only: not on threads, nor on a resume. */
#include "Base/memory.h"
#include "Base/parallel.h"
#include "Tensor/normalize.h"
#include "Train/augment.h"
#include "Train/trainer_state.h"

#include <string.h>

enum { ALIGNMENT = 64, MAX_BATCH = 64 };

int64_t vdni_batch_work_bytes(const vdni_trainer *t)
{
    const vdni_slice_list *train = &t->parts[VDNI_PART_TRAIN];
    const int64_t augment = vdni_augment_workspace_bytes(
        &t->recipe.augment, train->height, train->width, t->model->config.image_channels);
    const int64_t corrupt =
        vdni_corruption_workspace_bytes(t->height, t->width, t->model->config.mask_channels);
    const int64_t most = augment > corrupt ? augment : corrupt;
    return (most + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Fisher and Yates, keyed by the epoch. */
static void shuffle(vdni_trainer *t, int64_t epoch)
{
    const vdni_slice_list *train = &t->parts[VDNI_PART_TRAIN];
    const vdni_noise_key key = { .seed = t->options.seed,
                                 .purpose = VDNI_FOR_ORDER,
                                 .step = (uint32_t)epoch };
    memcpy(t->order, train->ids, (size_t)train->count * sizeof *t->order);
    for (int64_t i = train->count - 1; i > 0; i--) {
        const int64_t k = vdni_philox_below(&key, (uint32_t)i, i + 1), kept = t->order[i];
        t->order[i] = t->order[k];
        t->order[k] = kept;
    }
    t->epoch = epoch;
}

/* The slice of image @p number, counted from 0 over the whole training. */
static int64_t slice_of(vdni_trainer *t, int64_t number)
{
    const int64_t count = t->parts[VDNI_PART_TRAIN].count, epoch = number / count;
    if (t->epoch != epoch) shuffle(t, epoch);
    return t->order[number % count];
}

struct vdni_batch_job {
    vdni_trainer *trainer;
    vdn_store_slice slices[MAX_BATCH];
    int64_t ids[MAX_BATCH];
    vdn_status status[MAX_BATCH];
    vdn_ctx errors[MAX_BATCH]; /* messages of the threads */
    int64_t step;
};

static double aspect_of(const vdn_store_slice *s)
{
    const float row = s->native_spacing_mm[0], column = s->native_spacing_mm[1];
    if (!(row > 0.0f && column > 0.0f)) return 1.0;
    return (row * (double)s->native_height / (double)s->height) /
           (column * (double)s->native_width / (double)s->width);
}

static vdn_status make_image(vdn_ctx *ctx, const vdni_batch_job *work, int64_t j)
{
    vdni_trainer *t = work->trainer;
    const vdn_store_slice *s = &work->slices[j];
    const int32_t channels = t->model->config.image_channels;
    const vdni_slice_list *train = &t->parts[VDNI_PART_TRAIN];
    const int64_t size[3] = { s->height, s->width, channels };
    float *normalized = t->normalized + j * train->height * train->width * channels;
    vdni_augment_target target = { .h = t->height,
                                   .w = t->width,
                                   .image = t->images + j * t->height * t->width * channels,
                                   .labels = t->targets + j * t->height * t->width };
    const vdni_augment_source source = { s->height, s->width,    channels,    normalized,
                                         s->labels, s->modality, aspect_of(s) };
    const vdni_noise_key key = { .seed = t->options.seed,
                                 .case_key = (uint32_t)work->ids[j],
                                 .step = (uint32_t)work->step,
                                 .sample = (uint32_t)j };

    VDN_CHECK(vdni_normalize_slice(ctx, normalized, s->pixels, size, s->modality, s->index));
    VDN_CHECK(vdni_augment(ctx, &target, &source, &t->recipe.augment, key,
                           t->work + j * t->work_bytes));
    t->valid[2 * j] = target.valid_h;
    t->valid[2 * j + 1] = target.valid_w;
    return VDN_OK;
}

static void run_one(void *user, int64_t j)
{
    vdni_batch_job *work = user;
    vdni_ctx_init(&work->errors[j]);
    work->status[j] = make_image(&work->errors[j], work, j);
}

vdn_status vdni_batch_load(vdn_ctx *ctx, vdni_trainer *t, int64_t step)
{
    vdn_status status = VDN_OK;
    const int32_t batch = t->recipe.batch;
    vdni_batch_job *work = t->job;

    work->trainer = t;
    work->step = step;
    for (int32_t j = 0; j < batch; j++) {
        work->ids[j] = slice_of(t, (step - 1) * batch + j);
        VDN_CHECK(vdni_store_get_slice(ctx, &work->slices[j], t->store, work->ids[j]));
    }
    vdni_parallel_for(ctx->threads, batch, run_one, work);
    for (int32_t j = 0; j < batch && status == VDN_OK; j++)
        if (work->status[j] != VDN_OK)
            status = vdni_fail(ctx, work->status[j], "case %s: %s", work->slices[j].case_id,
                               work->errors[j].error);
    return status;
}

vdn_status vdni_batch_create(vdn_ctx *ctx, vdni_trainer *t)
{
    vdni_batch_job *work = NULL;
    if (t->recipe.batch < 1 || t->recipe.batch > MAX_BATCH)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "a batch of %d images, needed 1 to %d",
                         t->recipe.batch, MAX_BATCH);
    VDN_CHECK(VDNI_NEW(ctx, work, 1));
    t->job = work;
    t->epoch = -1;
    return VDN_OK;
}
