/* CUDA twin of joining and splitting along the channels; the contract is Ops/concat.h. */
#include "CUDA/elements.cuh"

namespace {

enum { PARTS = 6 };

struct parts {
    vdni_view whole, part[PARTS];
    int64_t end[PARTS]; /* first channel behind each part */
    int64_t c;

    /* Part of channel @p channel. */
    __device__ int find(int64_t channel) const
    {
        int k = 0;
#pragma unroll
        for (int i = 0; i + 1 < PARTS; i++) k += channel >= end[i];
        return k;
    }
};

/* Chosen with constant indices: an array of the kernel's argument that is indexed at run time
 * would be copied to local memory. */
struct chosen {
    vdni_view part;
    int64_t at;

    __device__ chosen(const parts &p, int64_t whole_at)
    {
        const vdni_place place = vdni_place_of(whole_at, p.c);
        const int k = p.find(place.channel);
        int64_t begin = 0, end = p.end[0];
        part = p.part[0];
#pragma unroll
        for (int i = 1; i < PARTS; i++) {
            if (i != k) continue;
            part = p.part[i];
            begin = p.end[i - 1];
            end = p.end[i];
        }
        at = place.pixel * (end - begin) + (place.channel - begin);
    }
};

struct concat {
    parts p;

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        const chosen from(p, at);
        float row[V];
        vdni_load<T, V>(row, from.part, from.at);
        vdni_store<T, V>(p.whole, at, row);
    }
};

struct split {
    parts p;

    template <class T, int V>
    __device__ void at(int64_t at) const
    {
        const chosen to(p, at);
        float row[V];
        if (!to.part.data) return;
        vdni_load<T, V>(row, p.whole, at);
        vdni_store<T, V>(to.part, to.at, row);
    }
};

/* Slots without a tensor become parts of no channels. */
parts parts_of(const vdni_tensor *whole, vdni_tensor *const *slots)
{
    parts p = {};
    int64_t end = 0;
    p.whole = vdni_view_of(whole);
    p.c = whole->c;
    for (int k = 0; k < PARTS; k++) {
        if (slots[k]) end += slots[k]->c;
        p.part[k] = vdni_view_of(slots[k]);
        p.end[k] = end;
    }
    return p;
}

/* Wide when every part begins and ends at a multiple of the width. */
vdni_form form_of(const vdni_tensor *whole, vdni_tensor *const *slots)
{
    int64_t odd = 0;
    for (int k = 0; k < PARTS; k++)
        if (slots[k]) odd |= slots[k]->c % VDNI_WIDE;
    return vdni_form_of(odd, VDNI_WIDE,
                        { whole, slots[0], slots[1], slots[2], slots[3], slots[4], slots[5] });
}

vdn_status run_concat(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *y = op->out[0];
    const concat body = { parts_of(y, op->in) };
    return vdni_each(ctx, device, form_of(y, op->in), body, vdni_tensor_count(y));
}

vdn_status run_split(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *)
{
    const vdni_tensor *g = op->in[0];
    const split body = { parts_of(g, op->out) };
    return vdni_each(ctx, device, form_of(g, op->out), body, vdni_tensor_count(g));
}

} // namespace

const vdni_cuda_entry vdni_cuda_concat[2] = { { run_concat, nullptr, nullptr, nullptr },
                                              { run_split, nullptr, nullptr, nullptr } };
