/* The CPU twin: internal to Core/CPU. Every run_* is plain C and complete; faster forms stand beside
 * it (onednn/). Arguments were checked by Ops/<op>.c. */
#ifndef VDNI_CPU_H
#define VDNI_CPU_H

#include "Base/bf16.h"
#include "Base/parallel.h"
#include "Ops/backend.h"

struct vdni_device {
    int32_t threads;
    uint32_t flags;  /* VDNI_PREPARE_... */
    int32_t has_amx; /* bf16 matrix unit usable */
    void *onednn;    /* engine and stream, NULL without oneDNN */
    const struct vdni_simd *simd; /* vector kernels of this processor */
};

/* Signature of every operator. workspace has op->workspace_bytes. */
typedef vdn_status vdni_cpu_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                void *workspace);
/* Bytes of workspace a plain run needs. */
typedef int64_t vdni_cpu_workspace(const vdni_device *device, const vdni_op *op);

typedef struct vdni_cpu_entry {
    vdni_cpu_run *run;
    vdni_cpu_workspace *workspace; /* NULL = none */
} vdni_cpu_entry;

/* Tables of the stems, indexed by position of the kind inside the stem (op.h order). */
extern const vdni_cpu_entry vdni_cpu_conv[3], vdni_cpu_depthwise[3], vdni_cpu_linear[3],
    vdni_cpu_norm[2], vdni_cpu_activation[2], vdni_cpu_pool[7], vdni_cpu_resample[4],
    vdni_cpu_concat[2], vdni_cpu_arithmetic[11], vdni_cpu_sk_select[2], vdni_cpu_attention[2],
    vdni_cpu_layer_norm[2], vdni_cpu_window_attention[2], vdni_cpu_time_embedding[1], vdni_cpu_diffuse[2], vdni_cpu_draw[3], vdni_cpu_noise[1],
    vdni_cpu_loss[2], vdni_cpu_process_loss[2];

vdn_status vdni_cpu_optimize(vdn_ctx *ctx, vdni_device *device,
                             const struct vdni_optimizer_step *step);

/* Compile hot loops for the vector units this machine may have; the loader picks. The plain C text
 * stays the specification. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) &&     \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define VDNI_VECTOR __attribute__((target_clones("arch=sapphirerapids", "arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VDNI_VECTOR
#endif

/* Before a loop whose output is one of its inputs or lies apart from them, never shifted: the
 * vectoriser need not ask. */
#if defined(__GNUC__) && !defined(__clang__)
#define VDNI_SAME_OR_APART _Pragma("GCC ivdep")
#else
#define VDNI_SAME_OR_APART
#endif

/* Rows of float for kernels that compute in float whatever the storage: read @p count elements of
 * @p t from flat position @p at into @p to, and back. f32 and bf16 only. */
void vdni_cpu_read(float *to, const vdni_tensor *t, int64_t at, int64_t count);
void vdni_cpu_write(vdni_tensor *t, int64_t at, const float *from, int64_t count);

/* One element, for code where speed does not matter. */
static inline float vdni_cpu_get(const vdni_tensor *t, int64_t at)
{
    return t->dtype == VDNI_F32 ? ((const float *)t->data)[at]
                                : vdni_bf16_to_f32(((const vdni_bf16 *)t->data)[at]);
}

static inline void vdni_cpu_set(vdni_tensor *t, int64_t at, float value)
{
    if (t->dtype == VDNI_F32)
        ((float *)t->data)[at] = value;
    else
        ((vdni_bf16 *)t->data)[at] = vdni_f32_to_bf16(value);
}

/* Faster forms. prepare returns VDN_OK with op->prepared still NULL when it has none for this op. */
vdn_status vdni_onednn_open(vdn_ctx *ctx, vdni_device *device);
void vdni_onednn_close(vdn_ctx *ctx, vdni_device *device);
vdn_status vdni_onednn_prepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op);
void vdni_onednn_unprepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op);
vdn_status vdni_onednn_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace);

#endif
