/* Less memory for training: what a block of the network makes inside is not kept for the backward pass
 * but computed again from the block's input just before it is needed (Chen et al. 2016,
 * arXiv:1604.06174). One more forward pass, the same bits. */
#ifndef VDNI_RECOMPUTE_H
#define VDNI_RECOMPUTE_H

#include "Graph/graph.h"

/* end[k] = 1 where a block of the forward list ends after node k, so that the maps which must be kept and
 * those inside the largest block together are as small as can be; @p end has node_count entries, the
 * last is 1. */
VDN_MUST_USE vdn_status vdni_recompute_blocks(vdn_ctx *ctx, uint8_t *end, const vdni_graph *g);

/* Whether nodes first .. last may run twice: none changes anything but its own outputs. */
int vdni_recompute_allowed(const vdni_graph *g, int64_t first, int64_t last);

/* Append nodes first .. last again; map[id] of what they make becomes the copy's id, whose `original`
 * is id. */
void vdni_recompute_append(vdni_graph *g, int64_t first, int64_t last, vdni_id *map);

/* Take the copied nodes out again whose results nobody reads; all nodes from @p from on are looked at,
 * but only copies leave. */
VDN_MUST_USE vdn_status vdni_recompute_prune(vdn_ctx *ctx, vdni_graph *g, int64_t from);

#endif
