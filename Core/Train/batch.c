/* The images of one optimiser step: which slices, normalised, augmented, on the training canvas.
 * Image j of step s depends on (seed, s, j) and the split only: not on threads, nor on a resume. */
#include "Base/memory.h"
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

/* What a step is made of; images may be made on several threads, each its own. */
struct vdni_batch_job {
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

static vdn_status make_image(vdn_ctx *ctx, const vdni_trainer *t, const vdni_batch_images *to,
                             const vdni_batch_scratch *scratch, int32_t j)
{
    const vdni_batch_job *job = t->job;
    const vdn_store_slice *s = &job->slices[j];
    const int32_t channels = t->model->config.image_channels;
    const int64_t size[3] = { s->height, s->width, channels };
    vdni_augment_target target = { .h = t->height,
                                   .w = t->width,
                                   .image = to->images + j * t->height * t->width * channels,
                                   .labels = to->targets + j * t->height * t->width };
    const vdni_augment_source source = {
        s->height, s->width, channels, scratch->normalized, s->labels, s->modality, aspect_of(s)
    };
    const vdni_noise_key key = { .seed = t->options.seed,
                                 .case_key = (uint32_t)job->ids[j],
                                 .step = (uint32_t)job->step,
                                 .sample = (uint32_t)j };

    VDN_CHECK(vdni_normalize_slice(ctx, scratch->normalized, s->pixels, size, s->modality,
                                   s->index));
    VDN_CHECK(vdni_augment(ctx, &target, &source, &t->recipe.augment, key, scratch->work));
    to->valid[2 * j] = target.valid_h;
    to->valid[2 * j + 1] = target.valid_w;
    return VDN_OK;
}

void vdni_batch_choose(vdni_trainer *t, int64_t step)
{
    const int32_t batch = t->recipe.batch;
    t->job->step = step;
    for (int32_t j = 0; j < batch; j++) t->job->ids[j] = slice_of(t, (step - 1) * batch + j);
}

void vdni_batch_fetch(vdni_trainer *t, int32_t j)
{
    vdni_batch_job *job = t->job;
    vdni_ctx_init(&job->errors[j]);
    job->status[j] =
        vdni_store_get_slice(&job->errors[j], &job->slices[j], t->store, job->ids[j]);
}

void vdni_batch_make(const vdni_trainer *t, const vdni_batch_images *to,
                     const vdni_batch_scratch *scratch, int32_t j)
{
    vdni_batch_job *job = t->job;
    if (job->status[j] == VDN_OK)
        job->status[j] = make_image(&job->errors[j], t, to, scratch, j);
}

vdn_status vdni_batch_status(vdn_ctx *ctx, const vdni_trainer *t)
{
    const vdni_batch_job *job = t->job;
    for (int32_t j = 0; j < t->recipe.batch; j++)
        if (job->status[j] != VDN_OK)
            return vdni_fail(ctx, job->status[j], "slice %lld of the store: %s",
                             (long long)job->ids[j], job->errors[j].error);
    return VDN_OK;
}

vdn_status vdni_batch_load(vdn_ctx *ctx, vdni_trainer *t, int64_t step)
{
    const vdni_batch_images to = { t->images, t->targets, t->valid };
    const vdni_batch_scratch scratch = { t->normalized, t->work };
    vdni_batch_choose(t, step);
    for (int32_t j = 0; j < t->recipe.batch; j++) {
        vdni_batch_fetch(t, j);
        vdni_batch_make(t, &to, &scratch, j);
    }
    return vdni_batch_status(ctx, t);
}

/* ---- memory ---- */

vdn_status vdni_batch_images_create(vdn_ctx *ctx, vdni_batch_images *out, const vdni_trainer *t)
{
    const int64_t pixels = t->recipe.batch * t->height * t->width;
    VDN_CHECK(VDNI_NEW(ctx, out->images, pixels * t->model->config.image_channels));
    VDN_CHECK(VDNI_NEW(ctx, out->targets, pixels));
    return VDNI_NEW(ctx, out->valid, 2 * t->recipe.batch);
}

void vdni_batch_images_free(vdn_ctx *ctx, vdni_batch_images *b)
{
    vdni_free(ctx, b->images);
    vdni_free(ctx, b->targets);
    vdni_free(ctx, b->valid);
    *b = (vdni_batch_images){ NULL, NULL, NULL };
}

vdn_status vdni_batch_scratch_create(vdn_ctx *ctx, vdni_batch_scratch *out, const vdni_trainer *t)
{
    const vdni_slice_list *train = &t->parts[VDNI_PART_TRAIN];
    VDN_CHECK(VDNI_NEW(ctx, out->normalized,
                       train->height * train->width * t->model->config.image_channels));
    return VDNI_NEW(ctx, out->work, vdni_batch_work_bytes(t));
}

void vdni_batch_scratch_free(vdn_ctx *ctx, vdni_batch_scratch *s)
{
    vdni_free(ctx, s->normalized);
    vdni_free(ctx, s->work);
    *s = (vdni_batch_scratch){ NULL, NULL };
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
