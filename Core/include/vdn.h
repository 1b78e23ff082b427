/* vdn.h: the public C interface of Verdiff, spine segmentation by conditional diffusion.
 *
 * In the order of the data: context, model, slices in, masks out, training, scoring.
 *
 * Rules that hold for every function below, so that they are written only once:
 *  - outputs come right after ctx, inputs follow; sizes are elements unless named _bytes;
 *  - lengths are mm, images are row-major (n, h, w) or (n, h, w, k), row 0 is superior, column 0 is
 *    anterior;
 *  - on any status but VDN_OK no output is written and vdn_ctx_error() explains why in one line;
 *  - what vdn_X_create/load returns is yours: pass it to vdn_X_free, NULL is accepted;
 *  - what vdn_X_get returns is borrowed and dies with X; nothing keeps a const pointer;
 *  - free models and writers before the ctx they were made with;
 *  - one ctx per thread at a time; different ctx never share state;
 *  - the library never exits, aborts, prints, reads the environment or opens a socket.
 *
 *     vdn_ctx *ctx = NULL;
 *     vdn_model *model = NULL;
 *     vdn_ctx_create(&ctx, NULL);
 *     if (vdn_model_load(ctx, &model, "verdiff-tiny.safetensors") == VDN_OK &&
 *         vdn_segment(ctx, probability, NULL, &slices, model, NULL) == VDN_OK) ...
 *     else puts(vdn_ctx_error(ctx));
 *     vdn_model_free(model);
 *     vdn_ctx_free(ctx);
 */
#ifndef VDN_H
#define VDN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VDN_VERSION_MAJOR 0
#define VDN_VERSION_MINOR 1
#define VDN_VERSION_PATCH 0
#define VDN_VERSION       "0.1.0"

#if defined(__GNUC__)
#define VDN_API       __attribute__((visibility("default")))
#define VDN_MUST_USE  __attribute__((warn_unused_result))
#else
#define VDN_API
#define VDN_MUST_USE
#endif

/* ---- status ------------------------------------------------------------------------------- */

typedef enum {
    VDN_OK = 0,
    VDN_ERR_ARGUMENT = -1,    /* a value is outside what the function documents */
    VDN_ERR_MEMORY = -2,      /* an allocation was refused, or a budget would be exceeded */
    VDN_ERR_IO = -3,          /* a file cannot be opened, read, written or renamed */
    VDN_ERR_FORMAT = -4,      /* a file was read but is damaged or not what it claims */
    VDN_ERR_UNSUPPORTED = -5, /* valid, but not implemented by this build or this device */
    VDN_ERR_DEVICE = -6,      /* the compute device failed or is absent */
    VDN_ERR_ABORTED = -7,     /* the caller's progress function asked to stop */
    VDN_ERR_NUMERIC = -8      /* NaN or infinity where a number is needed */
} vdn_status;

/* ---- context ------------------------------------------------------------------------------ */

typedef struct vdn_ctx vdn_ctx;

/* Called on the thread that called into the library, at most about ten times a second.
 * fraction runs 0..1 over the whole call and never falls. Return non-zero to stop: the call then
 * ends with VDN_ERR_ABORTED within one denoising or training step. */
typedef int (*vdn_progress)(void *user, double fraction, const char *comment);

/* One finished line without newline, for a log. */
typedef void (*vdn_log)(void *user, const char *line);

typedef struct {
    int32_t threads;         /* 0 = every processor this process may use */
    int64_t max_memory_bytes; /* of the host's memory, and of the device's if it has its own; a plan
                                 above it is refused before allocation. 0 = no limit on the host,
                                 90 % of what is free on a device */
    const char *device;      /* "cpu"; "cuda" or "cuda:N", N from 0; NULL or "auto": CUDA device 0 if
                                it can be opened, else the CPU after one line to log with the reason */
    vdn_progress progress;   /* NULL = none */
    vdn_log log;             /* NULL = none */
    void *user;              /* handed to progress and log */
    const char *cuda_library; /* file of the CUDA back end; NULL = look for libverdiff_cuda.so in the
                                 folder of the program (or shared object) that holds this library, in
                                 its ../lib and ../lib/verdiff, then where the system looks */
    char *why;               /* receives why vdn_ctx_create failed, one line; NULL = not wanted */
    size_t why_bytes;        /* size of that buffer; 1024 holds every reason */
} vdn_ctx_options;

/** Fill @p options with the defaults above. */
VDN_API void vdn_ctx_options_init(vdn_ctx_options *options);

/**
 * Create a context. @p options may be NULL. The CUDA library and the driver are touched only when
 * the device may be a CUDA one, and stay loaded until the process ends.
 * @return VDN_ERR_MEMORY; VDN_ERR_ARGUMENT (negative threads or memory, unknown device name);
 *         VDN_ERR_DEVICE when a device was named that is not there or cannot be opened;
 *         VDN_ERR_UNSUPPORTED when it is too old. On failure *out is NULL and the reason is in
 *         options->why, which a success leaves empty.
 */
VDN_API VDN_MUST_USE vdn_status vdn_ctx_create(vdn_ctx **out, const vdn_ctx_options *options);
/** Free @p ctx and the memory it holds; NULL is accepted. Nothing made with it may be in use. */
VDN_API void vdn_ctx_free(vdn_ctx *ctx);

/** Why the last call on @p ctx failed: one line, no newline. Empty after a success; borrowed, valid
 *  until the next call on @p ctx. */
VDN_API const char *vdn_ctx_error(const vdn_ctx *ctx);

/** "VDN_ERR_IO" and so on; never NULL. */
VDN_API const char *vdn_status_name(vdn_status status);

/** Name of the device in use, for a report: "cpu (oneDNN 2.6.3, amx bf16)". Borrowed. */
VDN_API const char *vdn_ctx_get_device(const vdn_ctx *ctx);

/** Bytes now held and the most ever held by the context, counted at the allocator. */
VDN_API void vdn_ctx_get_memory(const vdn_ctx *ctx, int64_t *now_bytes, int64_t *peak_bytes);

/** The same of a device with memory of its own (a graphics card); 0 and 0 on the CPU. */
VDN_API void vdn_ctx_get_device_memory(const vdn_ctx *ctx, int64_t *now_bytes,
                                       int64_t *peak_bytes);

/* ---- model -------------------------------------------------------------------------------- */

typedef struct vdn_model vdn_model;

enum { VDN_MAX_CLASSES = 64, VDN_NAME_BYTES = 64 };

typedef enum {
    VDN_PLANE_SAGITTAL = 0,
    VDN_PLANE_AXIAL = 1,
    VDN_PLANE_CORONAL = 2
} vdn_plane;

typedef struct {
    char config[VDN_NAME_BYTES];       /* "tiny" */
    int32_t image_channels;            /* Cb */
    int32_t classes;                   /* output classes with background, 2 for a binary model */
    char class_name[VDN_MAX_CLASSES][VDN_NAME_BYTES]; /* [0] is "background" */
    int32_t class_label[VDN_MAX_CLASSES]; /* value written to label volumes; [0] is 0 */
    float pixel_spacing_mm;            /* in-plane size at which the model works; 0 = native */
    float assumed_spacing_mm;          /* size taken for an image that records none; 0 = native */
    int32_t pad_multiple;              /* M: the library pads slices to multiples of it itself */
    int64_t parameters;                /* trainable values */
    const char *metadata_json;         /* training data, licence, scores; borrowed from the model */
    int32_t steps, samples;            /* the model's own defaults, as in vdn_segment_options */
    vdn_plane plane;                   /* how volumes are cut into slices */
    int32_t neighbours;                /* slices whose pixels are the channels of one: 1, 3 or 5 */
} vdn_model_info;

/**
 * Read a model file (safetensors, Resources/Formats/model.md).
 * @return VDN_ERR_IO; VDN_ERR_FORMAT naming the field, the value found and the value needed;
 *         VDN_ERR_MEMORY.
 */
VDN_API VDN_MUST_USE vdn_status vdn_model_load(vdn_ctx *ctx, vdn_model **out, const char *path);
/** Free @p model; NULL is accepted. */
VDN_API void vdn_model_free(vdn_model *model);
/** Fill @p out. Cannot fail; metadata_json lives as long as @p model. */
VDN_API void vdn_model_get_info(vdn_model_info *out, const vdn_model *model);

/**
 * Describe a model file or, when @p path is NULL, the named configuration, as one JSON object:
 * configuration, parameters per part and in total, GFLOP of one condition pass and one denoising
 * step, memory plan for inference and training at @p height x @p width, and the file's metadata.
 * @param[out] out  zero-terminated; free with vdn_string_free().
 * @return as vdn_model_load(); VDN_ERR_ARGUMENT for an unknown configuration or a size below 1.
 */
VDN_API VDN_MUST_USE vdn_status vdn_model_describe(vdn_ctx *ctx, char **out, const char *path,
                                                   const char *config, int64_t height,
                                                   int64_t width);
/** Free what vdn_model_describe() gave; NULL is accepted. */
VDN_API void vdn_string_free(char *string);

/* ---- slices in, probabilities out ---------------------------------------------------------- */

typedef enum {
    VDN_MODALITY_MR = 0,   /* clip to the 0.5 and 99.5 percentile, then z-score, per image */
    VDN_MODALITY_CT = 1,   /* clip to a fixed HU window, then z-score */
    VDN_MODALITY_XRAY = 2  /* as MR */
} vdn_modality;

typedef struct {
    int64_t count, height, width; /* n slices of h x w pixels at the model's pixel_spacing_mm */
    int32_t image_channels;       /* Cb, as the model's */
    const float *pixels;          /* (n, h, w, image_channels), raw intensities (HU for CT) */
    vdn_modality modality;
    uint32_t case_key;            /* makes the noise of two cases differ; any fixed number */
    int64_t first_index;          /* number of the first slice in its volume; keys the noise */
} vdn_slices;

typedef struct {
    int32_t steps;    /* S, denoising steps; 0 = the model's default (10) */
    int32_t samples;  /* N, ensemble size; 0 = the model's default (5) */
    int32_t start;    /* t0 of the truncated start, 1..T; 0 = the model's default (500) */
    float eta;        /* DDIM eta, 1 = ancestral; 0 = the model's default (0, deterministic) */
    uint64_t seed;    /* default 35 */
    int32_t prior_only; /* non-zero: return the condition U-Net's prior, no sampling */
    int32_t precision;  /* 0 = best for the device, 1 = f32, 2 = 16 bit: bf16, or f16 without it */
    int32_t batch;      /* slices x samples computed at once; 0 = one on the CPU, what fits on a GPU */
} vdn_segment_options;

/** Fill @p options with the defaults above. Call it before setting a member. */
VDN_API void vdn_segment_options_init(vdn_segment_options *options);

/**
 * Segment slices. @p options may be NULL.
 *
 * Each slice is normalised, padded to the model's multiple, given to the condition U-Net once and
 * refined by @p options->samples sampler runs. The result of a slice depends on its pixels, the
 * seed, case_key, its index and the options only: not on the other slices, threads or batches.
 * On a failure the slices before the failing one may have been written already.
 *
 * @param[out] probability  (n, h, w, classes) mean probability; sums to 1 over classes.
 * @param[out] uncertainty  (n, h, w) mutual information in nats, or NULL.
 * @return VDN_ERR_ARGUMENT; VDN_ERR_NUMERIC naming the slice and pixel of the first NaN or infinity;
 *         VDN_ERR_MEMORY; VDN_ERR_DEVICE; VDN_ERR_ABORTED.
 */
VDN_API VDN_MUST_USE vdn_status vdn_segment(vdn_ctx *ctx, float *probability, float *uncertainty,
                                            const vdn_slices *slices, const vdn_model *model,
                                            const vdn_segment_options *options);

/**
 * Resample one plane of @p channels interleaved values to another pixel grid that covers the same
 * field of view: out pixel i sits at (i + 1/2) * h / out_h - 1/2. Bilinear when enlarging, area
 * average when reducing; edges are repeated. Used for images and for probabilities.
 *
 * @param[out] out  out_height * out_width * channels values; does not overlap @p in.
 * @param      in   height * width * channels values.
 * @return VDN_ERR_ARGUMENT for a size below 1.
 */
VDN_API VDN_MUST_USE vdn_status vdn_resample(vdn_ctx *ctx, float *out, int64_t out_height,
                                             int64_t out_width, const float *in, int64_t height,
                                             int64_t width, int64_t channels);

/** Size of an axis of @p count pixels of @p spacing mm at @p target mm: max(1, round). */
VDN_API int64_t vdn_resampled_size(int64_t count, double spacing_mm, double target_mm);

/* ---- slice store: what training reads ------------------------------------------------------- */

typedef struct vdn_store_writer vdn_store_writer;

typedef struct {
    int32_t image_channels;      /* Cb */
    int32_t classes;             /* with background */
    char class_name[VDN_MAX_CLASSES][VDN_NAME_BYTES];
    int32_t class_label[VDN_MAX_CLASSES]; /* value in label files that each class came from */
    float pixel_spacing_mm;      /* working size of every slice; 0 = native */
    float assumed_spacing_mm;
    vdn_modality modality;       /* of slices that do not say otherwise */
    vdn_plane plane;             /* in which volumes were cut */
    int32_t neighbours;          /* 1, 3 or 5 slices of which Cb is the channels together, the middle
                                    one's labels being given; 0 = 1 */
} vdn_store_header;

typedef struct {
    const char *case_id;      /* file's case identifier */
    const char *subject;      /* splits never separate two slices of one subject */
    int64_t index;            /* slice number in its volume */
    vdn_modality modality;
    int64_t height, width;    /* working grid */
    const float *pixels;      /* (h, w, Cb) raw intensities */
    const uint8_t *labels;    /* (h, w) class index; 255 = ignore */
    int64_t native_height, native_width; /* grid of the file */
    const uint8_t *native_labels;        /* (native_h, native_w): scores are taken on it */
    float native_spacing_mm[2];          /* row, column; 0 = unknown */
} vdn_store_slice;

/**
 * Begin a store at @p path, written under a temporary name until vdn_store_finish(). End the writer
 * by exactly one of vdn_store_finish() and vdn_store_discard(), before its @p ctx is freed.
 * @return VDN_ERR_ARGUMENT naming the member of @p header; VDN_ERR_IO; VDN_ERR_MEMORY.
 */
VDN_API VDN_MUST_USE vdn_status vdn_store_create(vdn_ctx *ctx, vdn_store_writer **out,
                                                 const char *path, const vdn_store_header *header);
/**
 * Append one slice; nothing of @p slice is kept. A slice that is refused leaves the store as it was;
 * after a failed write the store cannot be finished.
 * @return VDN_ERR_ARGUMENT naming the member; VDN_ERR_NUMERIC for a pixel that is no number;
 *         VDN_ERR_IO; VDN_ERR_MEMORY.
 */
VDN_API VDN_MUST_USE vdn_status vdn_store_add(vdn_ctx *ctx, vdn_store_writer *writer,
                                              const vdn_store_slice *slice);
/** Flush, rename into place and free @p writer, also on failure; then nothing appears at its path.
 *  VDN_ERR_ARGUMENT for a store of no slices; VDN_ERR_IO. */
VDN_API VDN_MUST_USE vdn_status vdn_store_finish(vdn_ctx *ctx, vdn_store_writer *writer);
/** Throw an unfinished store away: the temporary file and @p writer, NULL is accepted. */
VDN_API void vdn_store_discard(vdn_ctx *ctx, vdn_store_writer *writer);

/* ---- training ------------------------------------------------------------------------------ */

/* One slice of a validation as the network sees it, for a picture; all borrowed. */
typedef struct {
    int64_t step;           /* finished optimiser steps */
    int32_t number, count;  /* number 0 .. count - 1 of the examples of this validation */
    const char *case_id;
    int64_t index;          /* slice number in its volume */
    int64_t height, width;
    int32_t image_channels;
    const float *pixels;    /* (height, width, image_channels), normalised */
    const uint8_t *labels;  /* (height, width) class of the reference; 255 = ignore */
    const uint8_t *prior;   /* class by the prior */
    const uint8_t *refined; /* by one pass of the refiner; NULL when there is none */
    double dice;            /* of refined, or of prior without it: mean over the foreground classes */
} vdn_train_example;

typedef void (*vdn_train_example_function)(void *user, const vdn_train_example *example);

typedef struct {
    const char *config;      /* unit, tiny, small, base, full; default "tiny" */
    const char *recipe;      /* "recommended" (default) or "paper" */
    int64_t steps;           /* optimiser steps; 0 = the recipe's number */
    double minutes;          /* stop (as if steps were reached) after so long; 0 = no limit */
    uint64_t seed;           /* default 35 */
    int32_t resume;          /* non-zero: continue the checkpoint in the folder, bit for bit */
    int32_t precision;       /* 0 = best for the device, 1 = f32, 2 = bf16 */
    int32_t crop;            /* side of training crops in pixels; 0 = whole slices */
    int64_t checkpoint_steps; /* steps between checkpoints; 0 = 250 */
    int64_t validate_steps;  /* steps between validations; 0 = 250 */
    const char *param;       /* output mode: "x0", "paper_literal" or another of settings.md; NULL
                                (default) = the preset's, or x0 */
    const char *licence;     /* copied into the model file; NULL = none stated */
    const char *data_name;   /* name of the training data in the model file */
    int32_t msfm, nsa;       /* blocks on (1, default) or off (0) */
    const char *settings;    /* JSON object of single settings on top of config and recipe (network,
                                loss, process ...): Resources/Formats/settings.md; NULL = none */
    const char *settings_name; /* where they came from, for messages; NULL = "settings" */
    const char *preset;      /* text of a preset, Resources/Presets: settings below all of the above;
                                options left at their defaults give way to it. NULL = none */
    const char *preset_name; /* where it came from, for messages; NULL = "preset" */
    const char *initial_model; /* model file to begin with instead of random values: same network, the
                                  heads are replaced when the classes differ. NULL = none */
    vdn_train_example_function example; /* called for some slices of every validation, always the same
                                           ones, on the thread that called vdn_train; NULL = none */
    void *example_user;
    int32_t examples;        /* how many of them; 0 = 4 */
} vdn_train_options;

/** Fill @p options with the defaults above. Call it before setting a member. */
VDN_API void vdn_train_options_init(vdn_train_options *options);

/**
 * Train on the slice store at @p store_path and leave in @p folder:
 *   model.safetensors        best weights (EMA) with metadata
 *   checkpoint.safetensors   everything the next step depends on
 *   log.csv                  one row per step, one per validation
 *   test.json                test-split table: prior, one pass, ensemble
 * Every file appears under its name only when complete.
 * @return VDN_ERR_ARGUMENT (no such configuration, too few subjects, ...); VDN_ERR_FORMAT;
 *         VDN_ERR_IO (disk full leaves the last good checkpoint); VDN_ERR_ABORTED after writing a
 *         checkpoint that resume continues from.
 */
VDN_API VDN_MUST_USE vdn_status vdn_train(vdn_ctx *ctx, const char *folder, const char *store_path,
                                          const vdn_train_options *options);

/* ---- scores -------------------------------------------------------------------------------- */

typedef struct {
    int64_t true_positive, false_positive, false_negative; /* voxels */
    double dice, iou;          /* both empty: 1; one empty: 0 */
    double hd95_mm;            /* 95 % Hausdorff distance; NaN when either is empty */
    double mean_distance_mm;   /* mean symmetric surface distance; NaN likewise */
} vdn_score;

/**
 * Compare two masks of one label on the same grid.
 *
 * A surface voxel has a face neighbour outside its mask. Distances are between voxel centres
 * (exact Euclidean, anisotropic); hd95 is the larger of the two directed 95th percentiles, the mean
 * distance is over the surface voxels of both.
 *
 * @param reference, prediction  depth * height * width values; a voxel belongs when == label.
 * @param spacing_mm             depth, height, width; all > 0. depth 1 is a 2D image.
 */
VDN_API VDN_MUST_USE vdn_status vdn_score_labels(vdn_ctx *ctx, vdn_score *out,
                                                 const uint16_t *reference,
                                                 const uint16_t *prediction, const int64_t size[3],
                                                 const double spacing_mm[3], uint16_t label);

enum { VDN_CALIBRATION_BINS = 15, VDN_COVERAGES = 10 };

/** Pixels in bins of equal width of the confidence, the probability of the predicted class; parts may
 *  be pooled. Zeroed: no pixels. */
typedef struct {
    int64_t pixels[VDN_CALIBRATION_BINS];
    double confidence[VDN_CALIBRATION_BINS]; /* sum over the bin's pixels */
    double correct[VDN_CALIBRATION_BINS];    /* how many of them are predicted right */
    double squares;                          /* sum over all pixels of their Brier score */
} vdn_calibration;

/** Add the pixels of @p part to @p sum. */
VDN_API void vdn_calibration_pool(vdn_calibration *sum, const vdn_calibration *part);
/** Expected calibration error: sum of n_m/n |right - confidence| over the bins m. NaN without pixels. */
VDN_API double vdn_calibration_ece(const vdn_calibration *calibration);
/** Brier score: mean of 1/2 sum over classes of (p - 1 or 0)^2. NaN without pixels. */
VDN_API double vdn_calibration_brier(const vdn_calibration *calibration);

typedef struct {
    vdn_calibration all;  /* every voxel */
    vdn_calibration band; /* within 5 voxels (of the finest axis) of the reference's boundary */
    double uncertainty;   /* mean over such a band around the boundary of probability > 1/2 */
    double dice;          /* of probability > 1/2 against the reference; both empty: 1 */
} vdn_probability_score;

/**
 * Compare the probability of being foreground with a reference mask on the same grid.
 *
 * @param reference    depth * height * width; 0 is background, all else foreground.
 * @param probability  0..1.
 * @param uncertainty  map whose mean is the uncertainty; NULL = entropy of the probability, in nats.
 * @param size, spacing_mm  depth, height, width; as in vdn_score_labels().
 * @return VDN_ERR_NUMERIC naming the first voxel that is no number or no probability;
 *         VDN_ERR_ARGUMENT; VDN_ERR_MEMORY.
 */
VDN_API VDN_MUST_USE vdn_status vdn_score_probability(vdn_ctx *ctx, vdn_probability_score *out,
                                                      const uint16_t *reference,
                                                      const float *probability,
                                                      const float *uncertainty,
                                                      const int64_t size[3],
                                                      const double spacing_mm[3]);

typedef struct {
    int64_t images;
    double pearson, spearman;   /* of uncertainty and risk; NaN where they have no meaning */
    double risk[VDN_COVERAGES]; /* mean risk of the surest 10, 20, .. 100 % of the images */
    double aurc;                /* area under the risk-coverage curve */
    double best_aurc;           /* of images sorted by the risk itself */
} vdn_selection;

/**
 * Whether the uncertainty of @p count images tells which have a high risk (1 - Dice).
 * @return VDN_ERR_ARGUMENT for no images; VDN_ERR_NUMERIC for a value that is no number.
 */
VDN_API VDN_MUST_USE vdn_status vdn_score_selection(vdn_ctx *ctx, vdn_selection *out,
                                                    const double *uncertainty, const double *risk,
                                                    int64_t count);

#ifdef __cplusplus
}
#endif
#endif
