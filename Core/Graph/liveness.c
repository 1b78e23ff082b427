#include "Graph/liveness.h"

#include "Base/memory.h"

#include <stdlib.h>

enum { ALIGNMENT = 64 };

static void touch(vdni_span *spans, vdni_id id, int64_t position)
{
    if (id == VDNI_NONE) return;
    if (position < spans[id].first) spans[id].first = position;
    if (position > spans[id].last) spans[id].last = position;
}

static void find_spans(vdni_span *spans, const vdni_graph *graph)
{
    for (int64_t i = 0; i < graph->tensor_count; i++) {
        const int64_t bytes = vdni_tensor_bytes(&graph->tensors[i].t);
        spans[i] = (vdni_span){ .first = INT64_MAX, .last = -1,
                                .bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT,
                                .host = i };
    }
    for (int64_t k = 0; k < graph->node_count; k++) {
        for (int i = 0; i < VDNI_MAX_IN; i++) touch(spans, graph->nodes[k].in[i], k);
        for (int i = 0; i < VDNI_MAX_OUT; i++) touch(spans, graph->nodes[k].out[i], k);
    }
}

static int is_read_once(const vdni_node *node, vdni_id id)
{
    int count = 0;
    for (int i = 0; i < VDNI_MAX_IN; i++) count += node->in[i] == id;
    return count == 1;
}

/* Where the operator may work in place and nobody reads its input afterwards, the output takes over
 * the input's bytes: one long life instead of two that meet. */
static void join_in_place(vdni_span *spans, const vdni_graph *graph)
{
    for (int64_t i = 0; i < graph->tensor_count; i++) spans[i].end = spans[i].last;
    for (int64_t k = 0; k < graph->node_count; k++) {
        const vdni_node *node = &graph->nodes[k];
        const vdni_id in = node->in[0], out = node->out[0];
        if (!vdni_op_works_in_place(node->kind) || in == VDNI_NONE || out == VDNI_NONE) continue;
        const vdni_graph_tensor *from = &graph->tensors[in], *to = &graph->tensors[out];
        vdni_span *host = &spans[spans[in].host];
        if (from->role != VDNI_ROLE_TEMP || to->role != VDNI_ROLE_TEMP ||
            host->end != k || spans[out].first != k || !is_read_once(node, in) ||
            from->t.dtype != to->t.dtype || !vdni_same_shape(&from->t, &to->t))
            continue;
        spans[out].host = spans[in].host;
        host->end = spans[out].last;
    }
}

typedef struct {
    int64_t bytes, id;
} entry;

/* Largest first; ties by id, so that the layout is the same everywhere. */
static int by_size(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int meet(const vdni_span *a, const vdni_span *b)
{
    return a->first <= b->end && b->first <= a->end;
}

/* Lowest gap among the placed neighbours in time. `placed` is sorted by offset. */
static int64_t find_gap(const vdni_span *spans, const int64_t *placed, int64_t count,
                        const vdni_span *wanted)
{
    int64_t at = 0;
    for (int64_t i = 0; i < count; i++) {
        const vdni_span *other = &spans[placed[i]];
        if (!meet(wanted, other)) continue;
        if (other->offset >= at + wanted->bytes) break;
        if (other->offset + other->bytes > at) at = other->offset + other->bytes;
    }
    return at;
}

static void insert_by_offset(const vdni_span *spans, int64_t *placed, int64_t count, int64_t id)
{
    int64_t i = count;
    for (; i > 0 && spans[placed[i - 1]].offset > spans[id].offset; i--) placed[i] = placed[i - 1];
    placed[i] = id;
}

vdn_status vdni_place(vdn_ctx *ctx, vdni_span *spans, int64_t *arena_bytes, const vdni_graph *graph)
{
    vdn_status status = VDN_OK;
    entry *order = NULL;
    int64_t *placed = NULL, count = 0, done_count = 0;

    *arena_bytes = 0;
    VDN_TRY(VDNI_NEW(ctx, order, graph->tensor_count));
    VDN_TRY(VDNI_NEW(ctx, placed, graph->tensor_count));
    find_spans(spans, graph);
    join_in_place(spans, graph);
    for (int64_t i = 0; i < graph->tensor_count; i++)
        if (graph->tensors[i].role == VDNI_ROLE_TEMP && spans[i].last >= 0 && spans[i].host == i)
            order[count++] = (entry){ spans[i].bytes, i };
    qsort(order, (size_t)count, sizeof *order, by_size);
    for (int64_t k = 0; k < count; k++) {
        vdni_span *span = &spans[order[k].id];
        span->offset = find_gap(spans, placed, done_count, span);
        insert_by_offset(spans, placed, done_count++, order[k].id);
        if (span->offset + span->bytes > *arena_bytes) *arena_bytes = span->offset + span->bytes;
    }
    for (int64_t i = 0; i < graph->tensor_count; i++) spans[i].offset = spans[spans[i].host].offset;
done:
    vdni_free(ctx, placed);
    vdni_free(ctx, order);
    return status;
}
