/* Parts that the two directions of the CPU's attention share. */
#ifndef VDNI_CPU_ATTENTION_H
#define VDNI_CPU_ATTENTION_H

#include "CPU/cpu.h"
#include "CPU/simd.h"
#include "Ops/attention.h"

/* A tile of queries by keys. Both are multiples of 30, so that whole tiles of CPU/simd.h cover them
 * exactly for either register width and never write into a neighbour's rows; keys also of the lanes. */
enum { VDNI_QUERIES = 60, VDNI_KEYS = 240, VDNI_QUERY_ROWS = VDNI_QUERIES + VDNI_TILE_SLACK };

/* One head of one image; item = image * heads + head. */
typedef struct vdni_head {
    const vdni_simd *simd;
    const vdni_tensor *qkv;
    int64_t n, index;          /* image, head */
    int64_t tokens, d, blocks; /* L, channels of the head, lane blocks that cover them */
    int64_t channels;          /* C of the image */
} vdni_head;

vdni_head vdni_head_get(const vdni_device *device, const vdni_tensor *qkv, int64_t heads,
                        int64_t item);

/* Position of channel 0 of the head's part (0 q, 1 k, 2 v) of token @p i in qkv, and in o or g. */
static inline int64_t vdni_head_at(const vdni_head *h, int64_t part, int64_t i)
{
    return (h->n * h->tokens + i) * 3 * h->channels + part * h->channels + h->index * h->d;
}

static inline int64_t vdni_head_out(const vdni_head *h, int64_t i)
{
    return (h->n * h->tokens + i) * h->channels + h->index * h->d;
}

/* Floats of the two packings of all tokens. */
int64_t vdni_by_token_floats(const vdni_head *h);
int64_t vdni_by_channel_floats(const vdni_head *h);

/* Tokens as lanes: to[block of 16 tokens][channel][16], absent tokens 0. */
void vdni_pack_by_token(float *to, const vdni_head *h, int64_t part);

/* Channels as lanes: to[block of 16 channels][token][16], times @p scale, absent channels 0. Element
 * (i, c) is read from @p t at at + i * step + c. */
void vdni_pack_by_channel(float *to, const vdni_head *h, const vdni_tensor *t, int64_t at,
                          int64_t step, float scale);

/* S[i][j] (rows of VDNI_KEYS) = x[i].k[j] for @p queries rows x of d floats and keys first .. first +
 * keys - 1, packed by token. */
void vdni_scores(float *s, const float *x, const float *packed, const vdni_head *h, int64_t queries,
                 int64_t first, int64_t keys);

vdn_status vdni_cpu_attention_backward(vdn_ctx *ctx, vdni_device *device, const vdni_op *op,
                                       void *workspace);
int64_t vdni_cpu_attention_backward_workspace(const vdni_device *device, const vdni_op *op);

#endif
