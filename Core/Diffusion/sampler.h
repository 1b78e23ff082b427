/* A batch of images through the whole model: condition pass once, then any number of samples, each a
 * few denoising steps that start at the prior. Design: model.md 1.7, 2.3, 2.5.
 *
 * Everything is planned and allocated at creation for one image size and batch; a run allocates
 * nothing. Where the back end can record, a step is enqueued as one recording, and the host waits
 * for the device at the end of a run only.
 *
 * In parts, so that a device computes while the host prepares what comes next and handles what came
 * before (_begin enqueues, _end waits; what _end gives may be changed until the second _begin after it,
 * and ends come in the order of begins, at most two behind):
 *
 *     get_image, send_image            while anything else computes
 *     condition_begin, condition_end, set_prior
 *     run_begin, run_end               the next begin may stand before this end */
#ifndef VDNI_SAMPLER_H
#define VDNI_SAMPLER_H

#include "Base/philox.h"
#include "Diffusion/prior.h"
#include "Graph/plan.h"
#include "Net/config.h"

typedef struct vdni_sampler vdni_sampler;

typedef struct vdni_sampler_options {
    int64_t height, width; /* padded: multiples of the padding multiple */
    vdni_dtype activation; /* f32 or bf16 */
    int32_t steps, start;  /* S, t0 */
    double eta;            /* 0 DDIM .. 1 ancestral */
    int64_t batch;         /* images at once, B below; 0 = 1 */
} vdni_sampler_options;

/* Where the weights are: device memory in the table's layout. */
typedef struct vdni_sampler_weights {
    vdni_parameters *table;
    float *values;
    const uint64_t *version;
} vdni_sampler_weights;

/* VDN_ERR_MEMORY: it does not fit; a smaller batch may.
 * VDN_ERR_ARGUMENT: a size that is no multiple of M, steps or start out of range. */
VDN_MUST_USE vdn_status vdni_sampler_create(vdn_ctx *ctx, vdni_sampler **out,
                                            const vdni_config *config,
                                            const vdni_sampler_weights *weights,
                                            const vdni_sampler_options *options);
void vdni_sampler_free(vdn_ctx *ctx, vdni_sampler *sampler);

/* Bytes that vdni_sampler_create would allocate on the device, without allocating them and without
 * the operators' workspace. */
VDN_MUST_USE vdn_status vdni_sampler_estimate(vdn_ctx *ctx, int64_t *bytes,
                                              const vdni_config *config,
                                              const vdni_sampler_options *options);

/* The condition pass; with mirror the mean of four, over the flips of height and width. @p image
 * (B,H,W,Cb) normalised; @p prior (B,H,W,K) probabilities, host memory.
 * The prior also becomes the sampler's start until vdni_sampler_set_prior replaces it. */
VDN_MUST_USE vdn_status vdni_sampler_condition(vdn_ctx *ctx, vdni_sampler *sampler, float *prior,
                                               const float *image);

/* Use @p prior (B,H,W,K) probabilities instead of the condition net's. */
VDN_MUST_USE vdn_status vdni_sampler_set_prior(vdn_ctx *ctx, vdni_sampler *sampler,
                                               const float *prior);

/* Without a refiner (vdni_has_refiner) the prior is the sample, whatever the key.
 * One sample of each image last given to vdni_sampler_condition: @p probability (B,H,W,K).
 * @p keys (B) name the noise; purpose and step are set here. */
VDN_MUST_USE vdn_status vdni_sampler_run(vdn_ctx *ctx, vdni_sampler *sampler, float *probability,
                                         const vdni_noise_key *keys);

/* The parts; see above. Room for the next images (B,H,W,Cb), normalised; send them; the condition pass,
 * whose prior is a sampler's start only through vdni_sampler_set_prior. run_* need a refiner. */
VDN_MUST_USE vdn_status vdni_sampler_get_image(vdn_ctx *ctx, vdni_sampler *sampler, float **image);
VDN_MUST_USE vdn_status vdni_sampler_send_image(vdn_ctx *ctx, vdni_sampler *sampler);
VDN_MUST_USE vdn_status vdni_sampler_condition_begin(vdn_ctx *ctx, vdni_sampler *sampler);
VDN_MUST_USE vdn_status vdni_sampler_condition_end(vdn_ctx *ctx, vdni_sampler *sampler,
                                                   const float **prior);
VDN_MUST_USE vdn_status vdni_sampler_run_begin(vdn_ctx *ctx, vdni_sampler *sampler,
                                               const vdni_noise_key *keys);
VDN_MUST_USE vdn_status vdni_sampler_run_end(vdn_ctx *ctx, vdni_sampler *sampler,
                                             const float **probability);
/* Forget what was begun and not ended. */
void vdni_sampler_restart(vdni_sampler *sampler);

/* Times of the steps, for a report: t of step i, i = 0 .. steps-1 (first executed first). */
int64_t vdni_sampler_time(const vdni_sampler *sampler, int32_t i);

#endif
