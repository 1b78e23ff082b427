#include "Graph/recompute.h"

#include "Base/memory.h"

#include <string.h>

enum { LONGEST = 64, SIZES = 32 };

static int is_map(const vdni_graph *g, vdni_id id)
{
    const vdni_graph_tensor *t = &g->tensors[id];
    return t->role == VDNI_ROLE_TEMP && t->t.h * t->t.w > 1;
}

/* last[id] = last forward node that reads id, -1 for none. */
static void find_last_reads(int64_t *last, const vdni_graph *g)
{
    for (int64_t i = 0; i < g->tensor_count; i++) last[i] = -1;
    for (int64_t k = 0; k < g->node_count; k++)
        for (int i = 0; i < VDNI_MAX_IN; i++)
            if (g->nodes[k].in[i] != VDNI_NONE) last[g->nodes[k].in[i]] = k;
}

/* ---- where to cut ---- */

/* What it takes to keep blocks: the maps that are read beyond a block stay, those inside it are there
 * while its backward pass runs. The sum of the first over all blocks plus the largest of the second is
 * what is made least. */
typedef struct {
    const vdni_graph *g;
    int64_t *made;    /* bytes of the maps of each node */
    int64_t *last;    /* last reader of each tensor */
    int64_t *maker;   /* node of each tensor, -1: an input */
    uint8_t *allowed; /* the node may run twice */
    int64_t *least;   /* (node_count + 1) bytes kept by the best blocks up to there */
    int64_t *from;    /* and where the last of them begins */
    int64_t total;
} cutting;

static void describe(cutting *c)
{
    const vdni_graph *g = c->g;
    for (int64_t i = 0; i < g->tensor_count; i++) c->maker[i] = -1;
    find_last_reads(c->last, g);
    for (int64_t k = 0; k < g->node_count; k++) {
        c->allowed[k] = (uint8_t)vdni_recompute_allowed(g, k, k);
        for (int i = 0; i < VDNI_MAX_OUT; i++) {
            const vdni_id id = g->nodes[k].out[i];
            if (id == VDNI_NONE || !is_map(g, id)) continue;
            c->maker[id] = k;
            if (c->last[id] > k) c->made[k] += vdni_tensor_bytes(&g->tensors[id].t);
        }
        c->total += c->made[k];
    }
}

/* Bytes of maps made from node @p first on that node @p k is the last to read. */
static int64_t freed(const cutting *c, int64_t first, int64_t k)
{
    const vdni_node *node = &c->g->nodes[k];
    int64_t bytes = 0;
    for (int i = 0; i < VDNI_MAX_IN; i++) {
        const vdni_id id = node->in[i];
        int before = 0;
        for (int j = 0; j < i; j++) before |= node->in[j] == id;
        if (id == VDNI_NONE || before || c->maker[id] < first || c->last[id] != k) continue;
        bytes += vdni_tensor_bytes(&c->g->tensors[id].t);
    }
    return bytes;
}

/* The best blocks of at most @p most bytes each (or one node); returns what they keep in all. */
static int64_t cut(cutting *c, int64_t most)
{
    const int64_t n = c->g->node_count;
    for (int64_t k = 1; k <= n; k++) c->least[k] = INT64_MAX;
    for (int64_t first = 0; first < n; first++) {
        int64_t inside = 0, kept = 0;
        int allowed = 1;
        for (int64_t k = first; k < n && k - first < LONGEST; k++) {
            inside += c->made[k];
            kept += c->made[k] - freed(c, first, k);
            allowed &= c->allowed[k];
            if (inside > most && k > first) break;
            const int64_t all = c->least[first] + (allowed ? kept : inside);
            if (all >= c->least[k + 1]) continue;
            c->least[k + 1] = all;
            c->from[k + 1] = first;
        }
    }
    return c->least[n];
}

static void find_ends(uint8_t *end, cutting *c)
{
    const int64_t n = c->g->node_count;
    int64_t best = INT64_MAX, chosen = 0;
    for (int64_t s = 1; s <= SIZES; s++) {
        const int64_t most = c->total * s * s / (SIZES * SIZES), bytes = cut(c, most) + most;
        if (bytes >= best) continue;
        best = bytes;
        chosen = most;
    }
    (void)cut(c, chosen);
    memset(end, 0, (size_t)n);
    for (int64_t k = n; k > 0; k = c->from[k]) end[k - 1] = 1;
}

vdn_status vdni_recompute_blocks(vdn_ctx *ctx, uint8_t *end, const vdni_graph *g)
{
    vdn_status status = VDN_OK;
    cutting c = { .g = g };

    VDN_TRY(VDNI_NEW(ctx, c.made, g->node_count));
    VDN_TRY(VDNI_NEW(ctx, c.allowed, g->node_count));
    VDN_TRY(VDNI_NEW(ctx, c.last, g->tensor_count));
    VDN_TRY(VDNI_NEW(ctx, c.maker, g->tensor_count));
    VDN_TRY(VDNI_NEW(ctx, c.least, g->node_count + 1));
    VDN_TRY(VDNI_NEW(ctx, c.from, g->node_count + 1));
    describe(&c);
    find_ends(end, &c);
done:
    vdni_free(ctx, c.made);
    vdni_free(ctx, c.allowed);
    vdni_free(ctx, c.last);
    vdni_free(ctx, c.maker);
    vdni_free(ctx, c.least);
    vdni_free(ctx, c.from);
    return status;
}

/* ---- copies ---- */

/* Batch norm moves its running statistics: twice would be wrong. */
int vdni_recompute_allowed(const vdni_graph *g, int64_t first, int64_t last)
{
    for (int64_t k = first; k <= last; k++) {
        if (g->nodes[k].kind == VDNI_OP_NORM)
            for (int i = 0; i < VDNI_MAX_IN; i++) {
                const vdni_id id = g->nodes[k].in[i];
                if (id == VDNI_NONE || g->tensors[id].role != VDNI_ROLE_PARAMETER) continue;
                if (!g->parameters->items[g->tensors[id].parameter].trainable) return 0;
            }
        for (int i = 0; i < VDNI_MAX_OUT; i++) {
            const vdni_id id = g->nodes[k].out[i];
            if (id != VDNI_NONE && g->tensors[id].role != VDNI_ROLE_TEMP &&
                g->tensors[id].role != VDNI_ROLE_OUTPUT)
                return 0;
        }
    }
    return 1;
}

static vdni_id copy_of(vdni_graph *g, vdni_id id)
{
    const vdni_tensor t = vdni_graph_get(g, id);
    const int64_t nhwc[4] = { t.n, t.h, t.w, t.c };
    const vdni_id copy = vdni_graph_temp(g, nhwc, t.dtype);
    if (copy != VDNI_NONE) g->tensors[copy].original = id;
    return copy;
}

void vdni_recompute_append(vdni_graph *g, int64_t first, int64_t last, vdni_id *map)
{
    for (int64_t k = first; k <= last && g->status == VDN_OK; k++) {
        vdni_node node = g->nodes[k];
        for (int i = 0; i < VDNI_MAX_IN; i++)
            if (node.in[i] != VDNI_NONE) node.in[i] = map[node.in[i]];
        for (int i = 0; i < VDNI_MAX_OUT; i++) {
            const vdni_id id = node.out[i];
            if (id == VDNI_NONE) continue;
            node.out[i] = copy_of(g, id);
            if (g->status == VDN_OK) map[id] = node.out[i];
        }
        vdni_graph_append(g, &node);
    }
}

static int is_copy(const vdni_graph *g, const vdni_node *node)
{
    for (int i = 0; i < VDNI_MAX_OUT; i++)
        if (node->out[i] != VDNI_NONE) return g->tensors[node->out[i]].original != VDNI_NONE;
    return 0;
}

static void count_reads(int32_t *reads, const vdni_node *node, int32_t by)
{
    for (int i = 0; i < VDNI_MAX_IN; i++)
        if (node->in[i] != VDNI_NONE) reads[node->in[i]] += by;
}

static int is_read(const int32_t *reads, const vdni_node *node)
{
    for (int i = 0; i < VDNI_MAX_OUT; i++)
        if (node->out[i] != VDNI_NONE && reads[node->out[i]] > 0) return 1;
    return 0;
}

vdn_status vdni_recompute_prune(vdn_ctx *ctx, vdni_graph *g, int64_t from)
{
    int32_t *reads = NULL;
    int64_t kept = g->node_count;

    VDN_CHECK(VDNI_NEW(ctx, reads, g->tensor_count));
    for (int64_t k = 0; k < g->node_count; k++) count_reads(reads, &g->nodes[k], 1);
    /* From the end, so that what fed a node that leaves can leave too; what stays moves to the end. */
    for (int64_t k = g->node_count - 1; k >= from; k--) {
        const vdni_node node = g->nodes[k];
        if (is_copy(g, &node) && !is_read(reads, &node))
            count_reads(reads, &node, -1);
        else
            g->nodes[--kept] = node;
    }
    const int64_t count = g->node_count - kept;
    memmove(g->nodes + from, g->nodes + kept, (size_t)count * sizeof *g->nodes);
    g->node_count = from + count;
    vdni_free(ctx, reads);
    return VDN_OK;
}
