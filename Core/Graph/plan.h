/* A graph placed in memory and compiled for a back end.
 *
 * Every temporary gets an offset in one arena: two share bytes only when their lives (first write to
 * last read, in list order) do not meet. Sizes are known before anything is allocated, from
 * vdni_plan_estimate. After vdni_plan_bind a run allocates nothing. */
#ifndef VDNI_PLAN_H
#define VDNI_PLAN_H

#include "Graph/graph.h"
#include "Ops/backend.h"

typedef struct vdni_plan_memory {
    int64_t arena_bytes;     /* temporaries, shared between plans that do not run together */
    int64_t workspace_bytes; /* largest operator's; 0 from an estimate */
    int64_t state_bytes;     /* inputs and outputs */
    int64_t all_bytes;       /* temporaries if nothing were shared */
} vdni_plan_memory;

typedef struct vdni_plan vdni_plan;

/* Memory of @p graph without building anything on a device. */
VDN_MUST_USE vdn_status vdni_plan_estimate(vdn_ctx *ctx, vdni_plan_memory *out,
                                           const vdni_graph *graph);

/* Copy the list, place the tensors, prepare every operator. The graph may be freed afterwards. */
VDN_MUST_USE vdn_status vdni_plan_create(vdn_ctx *ctx, vdni_plan **out, const vdni_graph *graph,
                                         const vdni_backend *backend, vdni_device *device);
void vdni_plan_free(vdn_ctx *ctx, vdni_plan *plan);

vdni_plan_memory vdni_plan_get_memory(const vdni_plan *plan);

/* Where a plan finds its memory: all on the device, all the caller's, all outliving the plan. */
typedef struct vdni_plan_binding {
    void *arena;              /* arena_bytes */
    void *workspace;          /* workspace_bytes */
    float *parameters;        /* the model's flat array */
    float *gradients;         /* same layout; NULL when the graph has none */
    const uint64_t *version;  /* changes whenever parameters do */
} vdni_plan_binding;

/* Give the plan its memory and allocate the state block (zeroed inputs and outputs). */
VDN_MUST_USE vdn_status vdni_plan_bind(vdn_ctx *ctx, vdni_plan *plan,
                                       const vdni_plan_binding *binding);

/* The placed tensor of a graph id (same number as in the graph). */
vdni_tensor *vdni_plan_tensor(vdni_plan *plan, vdni_id id);

/* Let an input or output use the memory of @p source, a bound tensor of this or another plan, instead
 * of its own; one that is borrowed (vdni_borrow) has none of its own. Shape and type must agree. */
VDN_MUST_USE vdn_status vdni_plan_alias(vdn_ctx *ctx, vdni_plan *plan, vdni_id id,
                                        const vdni_tensor *source);

/* Copy host values into an input / out of an output. Bytes must match the tensor's. */
VDN_MUST_USE vdn_status vdni_plan_put(vdn_ctx *ctx, vdni_plan *plan, vdni_id id, const void *from,
                                      int64_t bytes);
VDN_MUST_USE vdn_status vdni_plan_get(vdn_ctx *ctx, vdni_plan *plan, vdni_id id, void *to,
                                      int64_t bytes);

typedef enum { VDNI_RUN_ALL, VDNI_RUN_FORWARD, VDNI_RUN_BACKWARD } vdni_run_part;

/* Run the list or one half of it. Allocates nothing.
 * VDN_ERR_ARGUMENT: a borrowed tensor has no place yet. */
VDN_MUST_USE vdn_status vdni_plan_run(vdn_ctx *ctx, vdni_plan *plan, vdni_run_part part);

/* Multiply-adds of the forward half, as model.md 2.2 counts them. */
int64_t vdni_graph_macs(const vdni_graph *graph);

#endif
