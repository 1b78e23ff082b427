/* Convolutions through oneDNN, for processors with a bf16 matrix unit: there the library is several
 * times faster than f32. Everything else stays with our own stems: they reach the multiply-add peak
 * in f32 as the library does, minimal filtering (winograd.h) passes it, they read and write bf16 at
 * the same speed, and their bits do not depend on threads or batch.
 *
 * Known defects of oneDNN 2.6 to 3.5 and what is done about them:
 *  - bf16 weight gradients of 3x3, stride 1, pad 1 are noise, or never return, for most image sizes
 *    (fixed by 65c2c756ac): they are always computed in strips of rows, which takes another path;
 *  - descriptors with gaps between images are a thousand times slower: strips are cut per image;
 *  - "ref" implementations are never taken (primitive.c);
 *  - the first result of every form can be verified (verify.c). */
#include "CPU/onednn/form.h"

#include "Base/memory.h"

#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#endif

enum { MIN_INPUT_CHANNELS = 4, MIN_OUTPUT_CHANNELS = 8 };

/* The library takes the team size from OpenMP: set ours, give back the caller's. */
static int enter_team(const vdni_device *device)
{
#ifdef _OPENMP
    const int before = omp_get_max_threads();
    omp_set_num_threads(device->threads);
    return before;
#else
    (void)device;
    return 1;
#endif
}

static void leave_team(int before)
{
#ifdef _OPENMP
    omp_set_num_threads(before);
#else
    (void)before;
#endif
}

vdn_status vdni_onednn_open(vdn_ctx *ctx, vdni_device *device)
{
    vdn_status status = VDN_OK;
    vdni_onednn_state *state = NULL;

    VDN_TRY(VDNI_NEW(ctx, state, 1));
    VDN_TRY(vdni_dnnl_open(ctx, &state->dnnl));
    device->has_amx = vdni_dnnl_has_amx();
    device->onednn = state;
    state = NULL;
done:
    vdni_free(ctx, state);
    return status;
}

void vdni_onednn_close(vdn_ctx *ctx, vdni_device *device)
{
    vdni_onednn_state *state = device->onednn;
    if (!state) return;
    vdni_dnnl_close(ctx, state->dnnl);
    vdni_free(ctx, state);
    device->onednn = NULL;
}

uint64_t vdni_onednn_key(const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const int64_t values[] = { op->kind,      r.wide->n,       r.wide->h,      r.wide->w,
                               r.wide->c,     r.narrow->h,     r.narrow->w,    r.narrow->c,
                               op->a.kernel,  op->a.stride,    op->a.dilation, op->a.pad,
                               r.wide->dtype, r.narrow->dtype, r.b != NULL,    r.add != NULL };
    uint64_t key = 0xcbf29ce484222325u;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        key = (key ^ (uint64_t)values[i]) * 0x100000001b3u;
    return key;
}

static int is_bad(const vdni_onednn_state *state, uint64_t key)
{
    for (int32_t i = 0; i < state->bad_count; i++)
        if (state->bad[i] == key) return 1;
    return 0;
}

/* Worth the library: bf16 on both sides of the product, and channels enough to fill its blocks. */
static int is_wanted(const vdni_device *device, const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);

    if (op->kind != VDNI_OP_CONV && op->kind != VDNI_OP_CONV_DX && op->kind != VDNI_OP_CONV_DW)
        return 0;
    if (!device->has_amx || r.wide->c < MIN_INPUT_CHANNELS || r.narrow->c < MIN_OUTPUT_CHANNELS)
        return 0;
    if (op->kind == VDNI_OP_CONV) return r.wide->dtype == VDNI_BF16;
    if (op->kind == VDNI_OP_CONV_DX) return r.narrow->dtype == VDNI_BF16;
    return r.wide->dtype == VDNI_BF16 && r.narrow->dtype == VDNI_BF16;
}

static vdni_dnnl_shape whole_shape(const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const vdni_attr *a = &op->a;
    vdni_dnnl_shape s = { .direction = VDNI_DNNL_FORWARD, .packed = VDNI_BF16 };
    const vdni_tensor *wide = r.wide, *narrow = r.narrow;
    int64_t pad = a->pad;

    if (op->kind == VDNI_OP_CONV_DW) {
        s.direction = VDNI_DNNL_TO_WEIGHT;
        s.packed = VDNI_F32;
    } else if (op->kind == VDNI_OP_CONV_DX && a->stride > 1) {
        s.direction = VDNI_DNNL_TO_INPUT;
    } else if (op->kind == VDNI_OP_CONV_DX) {
        wide = r.narrow;
        narrow = r.wide;
        pad = (int64_t)a->dilation * (a->kernel - 1) - a->pad;
    }
    s.n = wide->n;
    s.h = wide->h;
    s.w = wide->w;
    s.ci = wide->c;
    s.oh = narrow->h;
    s.ow = narrow->w;
    s.co = narrow->c;
    s.kernel = a->kernel;
    s.stride = a->stride;
    s.dilation = a->dilation;
    for (int i = 0; i < 4; i++) s.pad[i] = pad;
    s.wide = wide->dtype;
    s.narrow = narrow->dtype;
    s.has_bias = r.b != NULL;
    s.has_add = r.add != NULL && s.direction == VDNI_DNNL_FORWARD;
    if (r.add) s.add = r.add->dtype;
    if (s.direction == VDNI_DNNL_TO_INPUT && r.add) s.wide = VDNI_F32; /* added to, then rounded */
    return s;
}

/* Rows [from, to) of the narrow side as a convolution of their own: the rows of the wide side they
 * read, padding only at the true border. */
static vdni_dnnl_shape strip_shape(const vdni_dnnl_shape *whole, int64_t from, int64_t to,
                                   int64_t *wide_row)
{
    const int64_t reach = whole->dilation * (whole->kernel - 1);
    const int64_t first = from - whole->pad[0], last = to - 1 - whole->pad[0] + reach;
    vdni_dnnl_shape s = *whole;

    *wide_row = first > 0 ? first : 0;
    s.n = 1;
    s.oh = to - from;
    s.h = (last < whole->h ? last + 1 : whole->h) - *wide_row;
    s.pad[0] = first < 0 ? -first : 0;
    s.pad[2] = last >= whole->h ? last - whole->h + 1 : 0;
    return s;
}

static int needs_strips(const vdni_dnnl_shape *s)
{
    return s->direction == VDNI_DNNL_TO_WEIGHT && s->kernel == 3 && s->stride == 1;
}

/* Primitives of the form; form->count stays 0 when the library has nothing good. */
static vdn_status create_strips(vdn_ctx *ctx, vdni_dnnl *dnnl, vdni_onednn_form *form,
                                const vdni_dnnl_shape *whole)
{
    const int cut = needs_strips(whole);
    const int32_t count = cut ? VDNI_ONEDNN_STRIPS : 1;

    for (int i = 0; i < 4; i++)
        if (whole->pad[i] < 0) return VDN_OK;
    if (whole->oh < count) return VDN_OK;
    for (int32_t i = 0; i < count; i++) {
        const int64_t from = whole->oh * i / count, to = whole->oh * (i + 1) / count;
        vdni_dnnl_shape s = *whole;
        if (cut) s = strip_shape(whole, from, to, &form->strips[i].wide_row);
        if (s.h < 1) return VDN_OK;
        VDN_CHECK(vdni_dnnl_create(ctx, dnnl, &form->strips[i].conv, &s));
        if (!form->strips[i].conv) return VDN_OK;
        form->strips[i].narrow_row = from;
    }
    form->same_packing = 1;
    for (int32_t i = 1; i < count; i++)
        form->same_packing &= vdni_dnnl_same_packing(form->strips[0].conv, form->strips[i].conv);
    form->count = count;
    return VDN_OK;
}

static vdni_onednn_piece take(int64_t *used, int64_t bytes)
{
    const vdni_onednn_piece piece = { *used, bytes };
    *used += (bytes + 63) / 64 * 64;
    return piece;
}

/* Lay out the workspace; returns its size. */
static int64_t lay_out(vdni_onednn_form *form, const vdni_op *op)
{
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const int64_t weight = vdni_tensor_bytes(r.w), bias = r.narrow->c * (int64_t)sizeof(float);
    int64_t used = 0, scratch = 0, packed = 0;

    for (int32_t i = 0; i < form->count; i++) {
        const int64_t s = vdni_dnnl_scratch_bytes(form->strips[i].conv);
        const int64_t p = vdni_dnnl_packed_bytes(form->strips[i].conv);
        if (s > scratch) scratch = s;
        if (p > packed) packed = p;
    }
    form->scratch = take(&used, scratch);
    if (form->flipped) form->turned = take(&used, weight);
    if (form->direction == VDNI_DNNL_TO_INPUT && r.add && r.wide->dtype == VDNI_BF16)
        form->input_gradient = take(&used, vdni_tensor_count(r.wide) * (int64_t)sizeof(float));
    if (form->direction == VDNI_DNNL_TO_WEIGHT) {
        form->part = take(&used, packed);
        form->sum = take(&used, packed);
        form->plain = take(&used, weight);
        form->total = take(&used, weight);
        form->bias = take(&used, bias);
        form->bias_total = take(&used, bias);
    }
    return used;
}

vdn_status vdni_onednn_prepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    vdn_status status = VDN_OK;
    vdni_onednn_state *state = device->onednn;
    vdni_onednn_form *form = NULL;

    if (!is_wanted(device, op) || is_bad(state, vdni_onednn_key(op))) return VDN_OK;
    const int team = enter_team(device);
    const vdni_dnnl_shape whole = whole_shape(op);
    VDN_TRY(VDNI_NEW(ctx, form, 1));
    VDN_TRY(create_strips(ctx, state->dnnl, form, &whole));
    if (form->count > 0) {
        form->direction = whole.direction;
        form->flipped = op->kind == VDNI_OP_CONV_DX && whole.direction == VDNI_DNNL_FORWARD;
        form->fallback = &vdni_cpu_conv[op->kind - VDNI_OP_CONV];
        form->check = (device->flags & VDNI_PREPARE_VERIFY) != 0;
        form->key = vdni_onednn_key(op);
        if (whole.direction != VDNI_DNNL_TO_WEIGHT)
            VDN_TRY(
                vdni_alloc(ctx, &form->packed, vdni_dnnl_packed_bytes(form->strips[0].conv), 1));
        const int64_t bytes = lay_out(form, op);
        /* A form that may prove wrong needs the fallback's room too; cpu_prepare has set that. */
        if (!form->check || bytes > op->workspace_bytes) op->workspace_bytes = bytes;
        op->prepared = form;
        form = NULL;
    }
done:
    leave_team(team);
    if (form) {
        op->prepared = form;
        vdni_onednn_unprepare(ctx, device, op);
        op->prepared = NULL;
    }
    return status;
}

void vdni_onednn_unprepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    vdni_onednn_form *form = op->prepared;
    (void)device;
    if (!form) return;
    for (int i = 0; i < VDNI_ONEDNN_STRIPS; i++) vdni_dnnl_free(ctx, form->strips[i].conv);
    vdni_free(ctx, form->packed);
    vdni_free(ctx, form);
}

/* --- Running ---------------------------------------------------------------------------------------- */

enum { ADD_PIECE = 1 << 14 };

/* out = a + b, any float types; pieces of one flat array. */
typedef struct {
    vdni_tensor out, a, b;
    int64_t count;
} addition;

static void add_piece(void *user, int64_t piece)
{
    addition *job = user;
    float a[256], b[256];
    const int64_t end = (piece + 1) * ADD_PIECE < job->count ? (piece + 1) * ADD_PIECE : job->count;

    for (int64_t i = piece * ADD_PIECE; i < end; i += 256) {
        const int64_t count = end - i < 256 ? end - i : 256;
        vdni_cpu_read(a, &job->a, i, count);
        vdni_cpu_read(b, &job->b, i, count);
        for (int64_t j = 0; j < count; j++) a[j] += b[j];
        vdni_cpu_write(&job->out, i, a, count);
    }
}

static void add_arrays(const vdni_device *device, addition job)
{
    vdni_parallel_for(device->threads, (job.count + ADD_PIECE - 1) / ADD_PIECE, add_piece, &job);
}

static void accumulate(const vdni_device *device, float *to, const float *from, int64_t count)
{
    const vdni_tensor target = { .dtype = VDNI_F32, .data = to };
    const vdni_tensor source = { .dtype = VDNI_F32, .data = (void *)from };
    add_arrays(device, (addition){ target, target, source, count });
}

static void *at(void *workspace, vdni_onednn_piece piece) { return (char *)workspace + piece.at; }

/* The kernel turned by 180 degrees with its channel axes exchanged: (co,k,k,ci) -> (ci,k,k,co). */
static const float *turn(const vdni_tensor *w, float *to)
{
    const float *from = w->data;
    const int64_t taps = w->h * w->w;
    for (int64_t o = 0; o < w->n; o++)
        for (int64_t t = 0; t < taps; t++)
            for (int64_t i = 0; i < w->c; i++)
                to[(i * taps + taps - 1 - t) * w->n + o] = from[(o * taps + t) * w->c + i];
    return to;
}

static vdn_status refresh_packed(vdn_ctx *ctx, vdni_dnnl *dnnl, vdni_onednn_form *form,
                                 const vdni_tensor *w, void *workspace)
{
    const float *plain = w->data;

    if (form->has_packed && w->version && *w->version == form->packed_version) return VDN_OK;
    if (form->flipped) plain = turn(w, at(workspace, form->turned));
    VDN_CHECK(vdni_dnnl_pack(ctx, dnnl, form->strips[0].conv, form->packed, plain,
                             at(workspace, form->scratch)));
    form->has_packed = w->version != NULL;
    form->packed_version = w->version ? *w->version : 0;
    return VDN_OK;
}

static vdn_status run_forward(vdn_ctx *ctx, const vdni_device *device, vdni_onednn_form *form,
                              const vdni_op *op, void *workspace)
{
    vdni_dnnl *dnnl = ((vdni_onednn_state *)device->onednn)->dnnl;
    const vdni_conv_roles r = vdni_conv_get_roles(op);
    const int to_input = form->direction == VDNI_DNNL_TO_INPUT;
    vdni_dnnl_pointers p = { .wide = form->flipped ? r.narrow->data : r.wide->data,
                             .narrow = form->flipped ? r.wide->data : r.narrow->data,
                             .packed = form->packed,
                             .bias = r.b ? r.b->data : NULL,
                             .add = r.add ? r.add->data : NULL,
                             .scratch = at(workspace, form->scratch) };

    VDN_CHECK(refresh_packed(ctx, dnnl, form, r.w, workspace));
    if (form->input_gradient.bytes) p.wide = at(workspace, form->input_gradient);
    VDN_CHECK(vdni_dnnl_run(ctx, dnnl, form->strips[0].conv, &p));
    if (to_input && r.add) {
        const vdni_tensor sum = { .dtype = VDNI_F32, .data = p.wide };
        add_arrays(device, (addition){ *r.wide, sum, *r.add, vdni_tensor_count(r.wide) });
    }
    return VDN_OK;
}

/* One strip of one image, its sums in part and bias. */
static vdn_status run_strip(vdn_ctx *ctx, vdni_dnnl *dnnl, const vdni_onednn_form *form,
                            const vdni_op *op, void *workspace, int64_t image, int32_t strip)
{
    const vdni_tensor *x = op->in[0], *g = op->in[1];
    const int64_t x_row = image * x->h + form->strips[strip].wide_row;
    const int64_t g_row = image * g->h + form->strips[strip].narrow_row;
    const vdni_dnnl_pointers p = {
        .wide = (char *)x->data + x_row * x->w * x->c * vdni_dtype_bytes(x->dtype),
        .narrow = (char *)g->data + g_row * g->w * g->c * vdni_dtype_bytes(g->dtype),
        .packed = at(workspace, form->part),
        .bias = at(workspace, form->bias),
        .scratch = at(workspace, form->scratch),
    };
    return vdni_dnnl_run(ctx, dnnl, form->strips[strip].conv, &p);
}

/* Sum all strips of all images, in order, into total (co, k, k, ci) and bias_total. */
static vdn_status sum_strips(vdn_ctx *ctx, const vdni_device *device, const vdni_onednn_form *form,
                             const vdni_op *op, void *workspace)
{
    vdni_dnnl *dnnl = ((vdni_onednn_state *)device->onednn)->dnnl;
    const int64_t weights = vdni_tensor_count(op->out[0]), biases = op->in[1]->c;
    const int64_t packed = form->sum.bytes / (int64_t)sizeof(float);
    const int64_t images = form->count > 1 ? op->in[0]->n : 1;
    float *part = at(workspace, form->part), *sum = at(workspace, form->sum);
    float *plain = at(workspace, form->plain), *total = at(workspace, form->total);
    void *scratch = at(workspace, form->scratch);

    memset(sum, 0, (size_t)form->sum.bytes);
    memset(total, 0, (size_t)form->total.bytes);
    memset(at(workspace, form->bias_total), 0, (size_t)form->bias_total.bytes);
    for (int64_t i = 0; i < images * form->count; i++) {
        const int32_t strip = (int32_t)(i % form->count);
        VDN_CHECK(run_strip(ctx, dnnl, form, op, workspace, i / form->count, strip));
        if (op->out[1])
            accumulate(device, at(workspace, form->bias_total), at(workspace, form->bias), biases);
        if (form->same_packing) {
            accumulate(device, sum, part, packed);
            continue;
        }
        VDN_CHECK(vdni_dnnl_unpack(ctx, dnnl, form->strips[strip].conv, plain, part, scratch));
        accumulate(device, total, plain, weights);
    }
    if (!form->same_packing) return VDN_OK;
    return vdni_dnnl_unpack(ctx, dnnl, form->strips[0].conv, total, sum, scratch);
}

/* Remember that this shape came out wrong and use the plain form from now on. */
static void condemn(vdn_ctx *ctx, vdni_onednn_state *state, vdni_onednn_form *form,
                    const vdni_op *op)
{
    char text[96];
    form->broken = 1;
    if (state->bad_count < VDNI_ONEDNN_BAD_SHAPES) state->bad[state->bad_count++] = form->key;
    vdni_note(ctx, "oneDNN's %s computes a wrong %s of %s; using the plain form",
              vdni_dnnl_name(form->strips[0].conv), vdni_op_name(op->kind),
              vdni_tensor_print(op->in[0], text, sizeof text));
}

static vdn_status run_checked(vdn_ctx *ctx, vdni_device *device, vdni_onednn_form *form,
                              const vdni_op *op, void *workspace)
{
    const int to_weight = form->direction == VDNI_DNNL_TO_WEIGHT;
    float *total = at(workspace, form->total), *bias = at(workspace, form->bias_total);
    const int check = form->check;

    if (to_weight)
        VDN_CHECK(sum_strips(ctx, device, form, op, workspace));
    else
        VDN_CHECK(run_forward(ctx, device, form, op, workspace));
    form->check = 0;
    if (check && !vdni_onednn_agrees(op, to_weight ? VDNI_F32 : VDNI_BF16, total, bias)) {
        condemn(ctx, device->onednn, form, op);
        return VDN_OK;
    }
    if (to_weight) {
        accumulate(device, op->out[0]->data, total, vdni_tensor_count(op->out[0]));
        if (op->out[1]) accumulate(device, op->out[1]->data, bias, op->out[1]->c);
    }
    return VDN_OK;
}

vdn_status vdni_onednn_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    vdni_onednn_form *form = op->prepared;

    if (!form->broken) {
        const int team = enter_team(device);
        const vdn_status status = run_checked(ctx, device, form, op, workspace);
        leave_team(team);
        if (status != VDN_OK || !form->broken) return status;
    }
    return form->fallback->run(ctx, device, op, workspace);
}
