/* When each tensor of a graph is alive, and where it then lies. Internal to Graph/. */
#ifndef VDNI_LIVENESS_H
#define VDNI_LIVENESS_H

#include "Graph/graph.h"

typedef struct vdni_span {
    int64_t first, last; /* list positions, inclusive; first > last: never used */
    int64_t bytes, offset;
    int64_t host; /* the tensor whose bytes this one takes over in place, or itself */
    int64_t end;  /* of a host: last use of the bytes by it and all that took them over */
} vdni_span;

/* Spans of all tensors, with arena offsets for temporaries; spans has graph->tensor_count items.
 * *arena_bytes is the arena's size. */
VDN_MUST_USE vdn_status vdni_place(vdn_ctx *ctx, vdni_span *spans, int64_t *arena_bytes,
                                   const vdni_graph *graph);

#endif
