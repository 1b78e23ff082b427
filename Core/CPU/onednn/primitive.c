#include "CPU/onednn/primitive.h"

#include "Base/memory.h"

#include <oneapi/dnnl/dnnl.h>
#include <string.h>

#if DNNL_VERSION_MAJOR < 2 || (DNNL_VERSION_MAJOR == 2 && DNNL_VERSION_MINOR < 6)
#error "oneDNN 2.6 or newer is needed; configure with VERDIFF_ONEDNN=OFF to build without it"
#endif

/* Version 3 made memory descriptors objects and took the operation descriptors away. */
#if DNNL_VERSION_MAJOR == 2
typedef dnnl_memory_desc_t description;
typedef const dnnl_memory_desc_t *description_pointer;
#define POINTER(d) (&(d))
#else
typedef dnnl_memory_desc_t description;
typedef const_dnnl_memory_desc_t description_pointer;
#define POINTER(d) (d)
#endif

struct vdni_dnnl {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
};

struct vdni_dnnl_conv {
    vdni_dnnl_shape shape;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive, reorder;
    dnnl_memory_t wide, narrow, packed, bias, add, scratch; /* no memory of their own */
    dnnl_memory_t plain, reorder_scratch;
    int64_t packed_bytes, scratch_bytes;
    char name[64];
};

/* Descriptions of one shape while a primitive is built. */
typedef struct {
    description wide, narrow, packed, bias, add, plain;
} descriptions;

static vdn_status failed(vdn_ctx *ctx, const char *what, dnnl_status_t code)
{
    return vdni_fail(ctx, code == dnnl_out_of_memory ? VDN_ERR_MEMORY : VDN_ERR_DEVICE,
                     "oneDNN: %s failed with status %d", what, (int)code);
}

vdn_status vdni_dnnl_open(vdn_ctx *ctx, vdni_dnnl **out)
{
    vdn_status status = VDN_OK;
    vdni_dnnl *dnnl = NULL;
    dnnl_status_t code;

    *out = NULL;
    VDN_TRY(VDNI_NEW(ctx, dnnl, 1));
    code = dnnl_engine_create(&dnnl->engine, dnnl_cpu, 0);
    if (code == dnnl_success)
        code = dnnl_stream_create(&dnnl->stream, dnnl->engine, dnnl_stream_default_flags);
    if (code != dnnl_success) VDN_TRY(failed(ctx, "opening the engine", code));
    *out = dnnl;
    dnnl = NULL;
done:
    vdni_dnnl_close(ctx, dnnl);
    return status;
}

void vdni_dnnl_close(vdn_ctx *ctx, vdni_dnnl *dnnl)
{
    if (!dnnl) return;
    if (dnnl->stream) (void)dnnl_stream_destroy(dnnl->stream);
    if (dnnl->engine) (void)dnnl_engine_destroy(dnnl->engine);
    vdni_free(ctx, dnnl);
}

int vdni_dnnl_has_amx(void)
{
    return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_amx) ==
           dnnl_cpu_isa_avx512_core_amx;
}

/* --- Differences between the two interfaces ------------------------------------------------------- */

static dnnl_data_type_t type_of(vdni_dtype dtype)
{
    return dtype == VDNI_BF16 ? dnnl_bf16 : dnnl_f32;
}

static dnnl_status_t describe(description *d, int ndims, const dnnl_dims_t dims, vdni_dtype dtype,
                              dnnl_format_tag_t tag)
{
#if DNNL_VERSION_MAJOR == 2
    return dnnl_memory_desc_init_by_tag(d, ndims, dims, type_of(dtype), tag);
#else
    return dnnl_memory_desc_create_with_tag(d, ndims, dims, type_of(dtype), tag);
#endif
}

static void forget(descriptions *d)
{
#if DNNL_VERSION_MAJOR == 2
    (void)d;
#else
    description *const all[] = { &d->wide, &d->narrow, &d->packed, &d->bias, &d->add, &d->plain };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (*all[i]) (void)dnnl_memory_desc_destroy(*all[i]);
#endif
}

static description_pointer query(const_dnnl_primitive_desc_t desc, dnnl_query_t what)
{
    return dnnl_primitive_desc_query_md(desc, what, 0);
}

static int64_t bytes_of(description_pointer d) { return (int64_t)dnnl_memory_desc_get_size(d); }

static dnnl_status_t create_desc(dnnl_primitive_desc_t *out, vdni_dnnl *dnnl,
                                 const vdni_dnnl_shape *s, const descriptions *d,
                                 dnnl_primitive_attr_t attr, dnnl_primitive_desc_t hint)
{
    const dnnl_dims_t strides = { s->stride, s->stride };
    const dnnl_dims_t dilates = { s->dilation - 1, s->dilation - 1 };
    const dnnl_dims_t before = { s->pad[0], s->pad[1] }, after = { s->pad[2], s->pad[3] };
    const dnnl_alg_kind_t alg = dnnl_convolution_direct;
    const vdni_dnnl_direction direction = hint ? s->direction : VDNI_DNNL_FORWARD;
    const dnnl_prop_kind_t prop =
        s->direction == VDNI_DNNL_FORWARD ? dnnl_forward_inference : dnnl_forward_training;
#if DNNL_VERSION_MAJOR == 2
    const dnnl_memory_desc_t *bias = s->has_bias ? &d->bias : NULL;
    dnnl_convolution_desc_t c;
    dnnl_status_t code;
    switch (direction) {
    case VDNI_DNNL_FORWARD:
        code = dnnl_dilated_convolution_forward_desc_init(
            &c, prop, alg, &d->wide, &d->packed, bias, &d->narrow, strides, dilates, before, after);
        break;
    case VDNI_DNNL_TO_INPUT:
        code = dnnl_dilated_convolution_backward_data_desc_init(
            &c, alg, &d->wide, &d->packed, &d->narrow, strides, dilates, before, after);
        break;
    default:
        code = dnnl_dilated_convolution_backward_weights_desc_init(
            &c, alg, &d->wide, &d->packed, bias, &d->narrow, strides, dilates, before, after);
    }
    if (code != dnnl_success) return code;
    return dnnl_primitive_desc_create(out, &c, attr, dnnl->engine, hint);
#else
    const_dnnl_memory_desc_t bias = s->has_bias ? d->bias : NULL;
    switch (direction) {
    case VDNI_DNNL_FORWARD:
        return dnnl_convolution_forward_primitive_desc_create(out, dnnl->engine, prop, alg, d->wide,
                                                              d->packed, bias, d->narrow, strides,
                                                              dilates, before, after, attr);
    case VDNI_DNNL_TO_INPUT:
        return dnnl_convolution_backward_data_primitive_desc_create(
            out, dnnl->engine, alg, d->wide, d->packed, d->narrow, strides, dilates, before, after,
            hint, attr);
    default:
        return dnnl_convolution_backward_weights_primitive_desc_create(
            out, dnnl->engine, alg, d->wide, d->packed, bias, d->narrow, strides, dilates, before,
            after, hint, attr);
    }
#endif
}

/* --- Building ----------------------------------------------------------------------------------------- */

static dnnl_status_t describe_all(descriptions *d, const vdni_dnnl_shape *s)
{
    const dnnl_dims_t wide = { s->n, s->ci, s->h, s->w }, narrow = { s->n, s->co, s->oh, s->ow };
    const dnnl_dims_t weight = { s->co, s->ci, s->kernel, s->kernel }, bias = { s->co };
    dnnl_status_t code;

    if ((code = describe(&d->wide, 4, wide, s->wide, dnnl_nhwc)) != dnnl_success) return code;
    if ((code = describe(&d->narrow, 4, narrow, s->narrow, dnnl_nhwc)) != dnnl_success) return code;
    if ((code = describe(&d->plain, 4, weight, VDNI_F32, dnnl_ohwi)) != dnnl_success) return code;
    if ((code = describe(&d->bias, 1, bias, VDNI_F32, dnnl_x)) != dnnl_success) return code;
    if (s->has_add && (code = describe(&d->add, 4, narrow, s->add, dnnl_nhwc)) != dnnl_success)
        return code;
    return describe(&d->packed, 4, weight, s->packed, dnnl_format_tag_any);
}

/* Scratch memory is ours; the residual is a binary addition, as the library reads any NHWC tensor. */
static dnnl_status_t make_attributes(dnnl_primitive_attr_t *attr, const vdni_dnnl_shape *s,
                                     const descriptions *d)
{
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t code = dnnl_primitive_attr_create(attr);

    if (code == dnnl_success)
        code = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    if (code != dnnl_success || !s->has_add) return code;
    code = dnnl_post_ops_create(&ops);
    if (code == dnnl_success)
        code = dnnl_post_ops_append_binary(ops, dnnl_binary_add, POINTER(d->add));
    if (code == dnnl_success) code = dnnl_primitive_attr_set_post_ops(*attr, ops);
    if (ops) (void)dnnl_post_ops_destroy(ops);
    return code;
}

/* Backward primitives want the forward one they belong to, in one type throughout. */
static dnnl_status_t create_hint(dnnl_primitive_desc_t *out, vdni_dnnl *dnnl,
                                 const vdni_dnnl_shape *s)
{
    const int bf16 = s->wide == VDNI_BF16 || s->narrow == VDNI_BF16;
    vdni_dnnl_shape forward = *s;
    descriptions d;

    memset(&d, 0, sizeof d);
    forward.wide = forward.narrow = forward.packed = bf16 ? VDNI_BF16 : VDNI_F32;
    dnnl_status_t code = describe_all(&d, &forward);
    if (code == dnnl_success) code = create_desc(out, dnnl, &forward, &d, NULL, NULL);
    forget(&d);
    return code;
}

static dnnl_status_t create_with_hint(dnnl_primitive_desc_t *out, vdni_dnnl *dnnl,
                                      const vdni_dnnl_shape *s, const descriptions *d,
                                      dnnl_primitive_attr_t attr)
{
    dnnl_primitive_desc_t hint = NULL;
    dnnl_status_t code = dnnl_success;

    if (s->direction == VDNI_DNNL_FORWARD) return create_desc(out, dnnl, s, d, attr, NULL);
    code = create_hint(&hint, dnnl, s);
    if (code == dnnl_success) code = create_desc(out, dnnl, s, d, attr, hint);
    if (hint) (void)dnnl_primitive_desc_destroy(hint);
    return code;
}

static dnnl_status_t make_memory(dnnl_memory_t *memory, vdni_dnnl *dnnl, description_pointer d)
{
    return dnnl_memory_create(memory, d, dnnl->engine, DNNL_MEMORY_NONE);
}

/* The reorder between (co, k, k, ci) f32 and the library's order, in the direction of use. */
static dnnl_status_t create_reorder(vdni_dnnl_conv *conv, vdni_dnnl *dnnl,
                                    description_pointer packed, description_pointer plain)
{
    const int unpack = conv->shape.direction == VDNI_DNNL_TO_WEIGHT;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t code = dnnl_primitive_attr_create(&attr);

    if (code == dnnl_success)
        code = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (code == dnnl_success)
        code = dnnl_reorder_primitive_desc_create(&desc, unpack ? packed : plain, dnnl->engine,
                                                  unpack ? plain : packed, dnnl->engine, attr);
    if (code == dnnl_success) code = dnnl_primitive_create(&conv->reorder, desc);
    if (code == dnnl_success) {
        const int64_t bytes = bytes_of(query(desc, dnnl_query_scratchpad_md));
        if (bytes > conv->scratch_bytes) conv->scratch_bytes = bytes;
        code = make_memory(&conv->reorder_scratch, dnnl, query(desc, dnnl_query_scratchpad_md));
    }
    if (code == dnnl_success) code = make_memory(&conv->plain, dnnl, plain);
    if (desc) (void)dnnl_primitive_desc_destroy(desc);
    if (attr) (void)dnnl_primitive_attr_destroy(attr);
    return code;
}

/* The order of the packed weights or weight gradients. */
static description_pointer packing(const vdni_dnnl_conv *conv)
{
    return query(conv->desc, conv->shape.direction == VDNI_DNNL_TO_WEIGHT
                                 ? dnnl_query_diff_weights_md
                                 : dnnl_query_weights_md);
}

static dnnl_status_t create_memories(vdni_dnnl_conv *conv, vdni_dnnl *dnnl, const descriptions *d)
{
    const vdni_dnnl_shape *s = &conv->shape;
    const description_pointer scratch = query(conv->desc, dnnl_query_scratchpad_md);
    const description_pointer packed = packing(conv);
    dnnl_status_t code;

    conv->packed_bytes = bytes_of(packed);
    conv->scratch_bytes = bytes_of(scratch);
    if ((code = make_memory(&conv->wide, dnnl, POINTER(d->wide))) != dnnl_success) return code;
    if ((code = make_memory(&conv->narrow, dnnl, POINTER(d->narrow))) != dnnl_success) return code;
    if ((code = make_memory(&conv->packed, dnnl, packed)) != dnnl_success) return code;
    if ((code = make_memory(&conv->bias, dnnl, POINTER(d->bias))) != dnnl_success) return code;
    if ((code = make_memory(&conv->scratch, dnnl, scratch)) != dnnl_success) return code;
    if (s->has_add && (code = make_memory(&conv->add, dnnl, POINTER(d->add))) != dnnl_success)
        return code;
    return create_reorder(conv, dnnl, packed, POINTER(d->plain));
}

/* Status of one attempt; anything but success means: no fast form. */
static dnnl_status_t build(vdni_dnnl_conv *conv, vdni_dnnl *dnnl)
{
    descriptions d;
    dnnl_primitive_attr_t attr = NULL;
    const char *name = NULL;
    dnnl_status_t code;

    memset(&d, 0, sizeof d);
    code = describe_all(&d, &conv->shape);
    if (code == dnnl_success) code = make_attributes(&attr, &conv->shape, &d);
    if (code == dnnl_success) code = create_with_hint(&conv->desc, dnnl, &conv->shape, &d, attr);
    if (code == dnnl_success)
        code = dnnl_primitive_desc_query(conv->desc, dnnl_query_impl_info_str, 0, &name);
    if (code == dnnl_success) {
        strncpy(conv->name, name, sizeof conv->name - 1);
        if (strncmp(name, "ref", 3) == 0) code = dnnl_unimplemented; /* a thousand times slower */
    }
    if (code == dnnl_success) code = dnnl_primitive_create(&conv->primitive, conv->desc);
    if (code == dnnl_success) code = create_memories(conv, dnnl, &d);
    if (attr) (void)dnnl_primitive_attr_destroy(attr);
    forget(&d);
    return code;
}

vdn_status vdni_dnnl_create(vdn_ctx *ctx, vdni_dnnl *dnnl, vdni_dnnl_conv **out,
                            const vdni_dnnl_shape *shape)
{
    vdni_dnnl_conv *conv = NULL;
    dnnl_status_t code;

    *out = NULL;
    VDN_CHECK(VDNI_NEW(ctx, conv, 1));
    conv->shape = *shape;
    code = build(conv, dnnl);
    if (code == dnnl_success) {
        *out = conv;
        return VDN_OK;
    }
    vdni_dnnl_free(ctx, conv);
    return code == dnnl_out_of_memory ? failed(ctx, "building a convolution", code) : VDN_OK;
}

void vdni_dnnl_free(vdn_ctx *ctx, vdni_dnnl_conv *conv)
{
    if (!conv) return;
    dnnl_memory_t const memories[] = { conv->wide,   conv->narrow,
                                       conv->packed, conv->bias,
                                       conv->add,    conv->scratch,
                                       conv->plain,  conv->reorder_scratch };
    for (size_t i = 0; i < sizeof memories / sizeof memories[0]; i++)
        if (memories[i]) (void)dnnl_memory_destroy(memories[i]);
    if (conv->reorder) (void)dnnl_primitive_destroy(conv->reorder);
    if (conv->primitive) (void)dnnl_primitive_destroy(conv->primitive);
    if (conv->desc) (void)dnnl_primitive_desc_destroy(conv->desc);
    vdni_free(ctx, conv);
}

int64_t vdni_dnnl_packed_bytes(const vdni_dnnl_conv *conv) { return conv->packed_bytes; }

int64_t vdni_dnnl_scratch_bytes(const vdni_dnnl_conv *conv) { return conv->scratch_bytes; }

int vdni_dnnl_same_packing(const vdni_dnnl_conv *a, const vdni_dnnl_conv *b)
{
    return dnnl_memory_desc_equal(packing(a), packing(b));
}

const char *vdni_dnnl_name(const vdni_dnnl_conv *conv) { return conv->name; }

/* --- Running ---------------------------------------------------------------------------------------- */

static void append(dnnl_exec_arg_t *arguments, int *count, int arg, dnnl_memory_t memory,
                   const void *at)
{
    (void)dnnl_memory_set_data_handle(memory, (void *)at);
    arguments[(*count)++] = (dnnl_exec_arg_t){ arg, memory };
}

static dnnl_status_t execute(vdni_dnnl *dnnl, dnnl_primitive_t primitive, int count,
                             const dnnl_exec_arg_t *arguments)
{
    const dnnl_status_t code = dnnl_primitive_execute(primitive, dnnl->stream, count, arguments);
    return code == dnnl_success ? dnnl_stream_wait(dnnl->stream) : code;
}

vdn_status vdni_dnnl_run(vdn_ctx *ctx, vdni_dnnl *dnnl, const vdni_dnnl_conv *conv,
                         const vdni_dnnl_pointers *at)
{
    const vdni_dnnl_shape *s = &conv->shape;
    const int forward = s->direction == VDNI_DNNL_FORWARD;
    const int to_weight = s->direction == VDNI_DNNL_TO_WEIGHT;
    dnnl_exec_arg_t a[8];
    int n = 0;

    append(a, &n, s->direction == VDNI_DNNL_TO_INPUT ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, conv->wide,
           at->wide);
    append(a, &n, forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, conv->narrow, at->narrow);
    append(a, &n, to_weight ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS, conv->packed, at->packed);
    if (s->has_bias)
        append(a, &n, to_weight ? DNNL_ARG_DIFF_BIAS : DNNL_ARG_BIAS, conv->bias, at->bias);
    if (s->has_add)
        append(a, &n, DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, conv->add, at->add);
    append(a, &n, DNNL_ARG_SCRATCHPAD, conv->scratch, at->scratch);
    const dnnl_status_t code = execute(dnnl, conv->primitive, n, a);
    return code == dnnl_success ? VDN_OK : failed(ctx, conv->name, code);
}

static vdn_status reorder(vdn_ctx *ctx, vdni_dnnl *dnnl, const vdni_dnnl_conv *conv,
                          const void *plain, const void *packed, void *scratch)
{
    const int unpack = conv->shape.direction == VDNI_DNNL_TO_WEIGHT;
    dnnl_exec_arg_t a[3];
    int n = 0;

    append(a, &n, unpack ? DNNL_ARG_TO : DNNL_ARG_FROM, conv->plain, plain);
    append(a, &n, unpack ? DNNL_ARG_FROM : DNNL_ARG_TO, conv->packed, packed);
    append(a, &n, DNNL_ARG_SCRATCHPAD, conv->reorder_scratch, scratch);
    const dnnl_status_t code = execute(dnnl, conv->reorder, n, a);
    return code == dnnl_success ? VDN_OK : failed(ctx, "packing weights", code);
}

vdn_status vdni_dnnl_pack(vdn_ctx *ctx, vdni_dnnl *dnnl, const vdni_dnnl_conv *conv, void *packed,
                          const void *plain, void *scratch)
{
    return reorder(ctx, dnnl, conv, plain, packed, scratch);
}

vdn_status vdni_dnnl_unpack(vdn_ctx *ctx, vdni_dnnl *dnnl, const vdni_dnnl_conv *conv, void *plain,
                            const void *packed, void *scratch)
{
    return reorder(ctx, dnnl, conv, plain, packed, scratch);
}
