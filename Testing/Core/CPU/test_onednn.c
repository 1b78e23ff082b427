/* The library's forms against the plain C ones, on bf16 tensors. Without a matrix unit the forms are
 * not used, but where the library knows bf16 at all it computes the same functions more slowly; the
 * test asks for them by saying that the unit is there. */
#include "op_test.h"

#include "Base/memory.h"
#include "CPU/onednn/form.h"

static vdn_ctx ctx;
static vdni_device *fast, *plain;

typedef struct {
    int64_t n, h, w, ci, co;
    int32_t k, s, p;
} shape;

/* Weights rounded to bf16, as the library computes with them: then only the order of the sums and
 * the rounding of the result differ. */
static vdni_tensor rounded_weights(const shape *c, uint64_t *seed)
{
    vdni_tensor w = op_random(c->co, c->k, c->k, c->ci, VDNI_F32, seed);
    float *v = w.data;
    for (int64_t i = 0; i < vdni_tensor_count(&w); i++)
        v[i] = vdni_bf16_to_f32(vdni_f32_to_bf16(v[i]));
    return w;
}

/* Prepare, run and unprepare on @p device; says whether a library form was used. */
static int run_on(vdni_device *device, vdni_op *op)
{
    const vdni_backend *cpu = vdni_cpu_backend();
    void *workspace = NULL;
    int used = 0;

    EXPECT(vdni_op_check(&ctx, op) == VDN_OK);
    EXPECT(cpu->prepare(&ctx, device, op) == VDN_OK);
    used = op->prepared != NULL;
    EXPECT(cpu->allocate(&ctx, device, &workspace, op->workspace_bytes) == VDN_OK);
    memset(workspace, 0xff, (size_t)op->workspace_bytes); /* NaN: nothing may be read unwritten */
    const int64_t allocations = ctx.allocations;
    EXPECT(cpu->run(&ctx, device, op, workspace) == VDN_OK);
    EXPECT(ctx.allocations == allocations);
    EXPECT(!used || !((vdni_onednn_form *)op->prepared)->broken);
    cpu->release(&ctx, device, workspace);
    cpu->unprepare(&ctx, device, op);
    return used;
}

/* Largest difference over the largest value, forgiving each bf16 value one rounding. */
static double difference(const vdni_tensor *a, const vdni_tensor *b)
{
    double worst = 0, largest = 1e-30;
    for (int64_t i = 0; i < vdni_tensor_count(a); i++) {
        const double x = op_get(a, i), y = op_get(b, i);
        const double d = fabs(x - y) - (a->dtype == VDNI_BF16 ? fabs(y) / 128 : 0);
        if (!(d <= worst)) worst = d;
        if (fabs(y) > largest) largest = fabs(y);
        if (isnan(worst)) break;
    }
    return worst / largest;
}

/* The same operator on both devices; @p out are its outputs. */
static void compare(vdni_op *op, int needs_form)
{
    vdni_tensor first[2] = { { 0 } };
    for (int i = 0; i < 2; i++)
        if (op->out[i]) first[i] = op_copy(op->out[i]);
    EXPECT(run_on(plain, op) == 0);
    for (int i = 0; i < 2; i++) {
        if (!op->out[i]) continue;
        const vdni_tensor expected = op_copy(op->out[i]);
        memcpy(op->out[i]->data, first[i].data, (size_t)vdni_tensor_bytes(&first[i]));
        op_free(&first[i]);
        first[i] = expected;
    }
    const int used = run_on(fast, op);
    EXPECT(used || !needs_form);
    for (int i = 0; i < 2; i++) {
        if (!op->out[i]) continue;
        EXPECT_LE(difference(op->out[i], &first[i]), 2e-5);
        op_free(&first[i]);
    }
}

static const shape shapes[] = {
    { 1, 7, 5, 16, 16, 1, 1, 0 },   { 2, 9, 8, 8, 16, 3, 1, 1 },    { 1, 37, 53, 12, 32, 3, 1, 1 },
    { 3, 16, 16, 32, 8, 5, 1, 2 },  { 1, 20, 20, 64, 48, 3, 2, 1 }, { 2, 13, 11, 24, 40, 3, 2, 1 },
    { 1, 12, 31, 4, 64, 7, 1, 3 },  { 1, 2, 3, 16, 16, 3, 1, 1 },   { 1, 1, 40, 16, 16, 3, 1, 1 },
    { 2, 10, 10, 48, 24, 1, 1, 0 }, { 1, 6, 7, 16, 16, 3, 1, 0 },   { 1, 9, 9, 16, 16, 1, 1, 1 },
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static vdni_attr attributes(const shape *c)
{
    return (vdni_attr){ .kernel = c->k, .stride = c->s, .dilation = 1, .pad = c->p };
}

/* One shape in all directions; @p out: type of y, dx and what is added. */
static void compare_shape(const shape *c, vdni_dtype out, int optional)
{
    uint64_t seed = (uint64_t)(c->h * 100 + c->w + c->k);
    const vdni_attr a = attributes(c);
    const int64_t oh = vdni_window_extent(c->h, &a), ow = vdni_window_extent(c->w, &a);
    vdni_tensor x = op_random(c->n, c->h, c->w, c->ci, VDNI_BF16, &seed);
    vdni_tensor g = op_random(c->n, oh, ow, c->co, VDNI_BF16, &seed);
    vdni_tensor w = rounded_weights(c, &seed), b = op_random(1, 1, 1, c->co, VDNI_F32, &seed);
    vdni_tensor residual = op_random(c->n, oh, ow, c->co, out, &seed);
    vdni_tensor addend = op_random(c->n, c->h, c->w, c->ci, out, &seed);
    vdni_tensor y = op_tensor(c->n, oh, ow, c->co, out),
                dx = op_tensor(c->n, c->h, c->w, c->ci, out);
    vdni_tensor dw = op_random(c->co, c->k, c->k, c->ci, VDNI_F32, &seed);
    vdni_tensor db = op_random(1, 1, 1, c->co, VDNI_F32, &seed);
    vdni_op forward = { .kind = VDNI_OP_CONV, .a = a, .in = { &x, &w }, .out = { &y } };
    vdni_op input = { .kind = VDNI_OP_CONV_DX, .a = a, .in = { &g, &w }, .out = { &dx } };
    vdni_op weight = { .kind = VDNI_OP_CONV_DW, .a = a, .in = { &x, &g }, .out = { &dw } };

    if (optional) {
        forward.in[2] = &b;
        forward.in[3] = &residual;
        input.in[2] = &addend;
        weight.out[1] = &db;
    }
    compare(&forward, 1);
    compare(&input, c->p <= c->k - 1);
    compare(&weight, c->k != 3 || oh > 1);
    vdni_tensor *const all[] = { &x, &g, &w, &b, &residual, &addend, &y, &dx, &dw, &db };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) op_free(all[i]);
}

static void every_shape_agrees_with_the_plain_form(void)
{
    for (int i = 0; i < SHAPES; i++)
        for (int optional = 0; optional < 2; optional++) {
            compare_shape(&shapes[i], VDNI_BF16, optional);
            compare_shape(&shapes[i], VDNI_F32, optional);
        }
}

/* Sizes at which oneDNN before 3.6 returns noise (the first three) or never returns. */
static void weight_gradients_are_right_where_the_library_is_not(void)
{
    static const int64_t sizes[][2] = { { 166, 369 }, { 288, 288 }, { 512, 512 }, { 880, 880 } };
    for (int i = 0; i < 4; i++) {
        const shape c = { 1, sizes[i][0], sizes[i][1], 16, 16, 3, 1, 1 };
        const vdni_attr a = attributes(&c);
        uint64_t seed = 11;
        vdni_tensor x = op_random(1, c.h, c.w, 16, VDNI_BF16, &seed);
        vdni_tensor g = op_random(1, c.h, c.w, 16, VDNI_BF16, &seed);
        vdni_tensor dw = op_random(16, 3, 3, 16, VDNI_F32, &seed);
        vdni_tensor db = op_random(1, 1, 1, 16, VDNI_F32, &seed);
        vdni_op op = { .kind = VDNI_OP_CONV_DW, .a = a, .in = { &x, &g }, .out = { &dw, &db } };
        compare(&op, 1);
        op_free(&x);
        op_free(&g);
        op_free(&dw);
        op_free(&db);
    }
}

/* A prepared CONV with weights of its own, for the claims about packing. */
typedef struct {
    vdni_tensor x, w, y;
    uint64_t version;
    vdni_op op;
    void *workspace;
} prepared;

static void make_prepared(prepared *p, vdni_device *device)
{
    const shape c = { 1, 12, 14, 16, 16, 3, 1, 1 };
    uint64_t seed = 21;
    p->x = op_random(1, c.h, c.w, c.ci, VDNI_BF16, &seed);
    p->w = rounded_weights(&c, &seed);
    p->y = op_tensor(1, c.h, c.w, c.co, VDNI_F32);
    p->version = 1;
    p->w.version = &p->version;
    p->op = (vdni_op){
        .kind = VDNI_OP_CONV, .a = attributes(&c), .in = { &p->x, &p->w }, .out = { &p->y }
    };
    EXPECT(vdni_cpu_backend()->prepare(&ctx, device, &p->op) == VDN_OK);
    EXPECT(vdni_cpu_backend()->allocate(&ctx, device, &p->workspace, p->op.workspace_bytes) ==
           VDN_OK);
}

static void free_prepared(prepared *p, vdni_device *device)
{
    vdni_cpu_backend()->release(&ctx, device, p->workspace);
    vdni_cpu_backend()->unprepare(&ctx, device, &p->op);
    op_free(&p->x);
    op_free(&p->w);
    op_free(&p->y);
}

static double run_prepared(prepared *p, vdni_device *device)
{
    EXPECT(vdni_cpu_backend()->run(&ctx, device, &p->op, p->workspace) == VDN_OK);
    return op_get(&p->y, 17);
}

static void weights_are_packed_again_when_their_version_changes_and_only_then(void)
{
    prepared p;
    make_prepared(&p, fast);
    const double before = run_prepared(&p, fast);
    for (int64_t i = 0; i < vdni_tensor_count(&p.w); i++) op_set(&p.w, i, 2 * op_get(&p.w, i));
    EXPECT(run_prepared(&p, fast) == before);
    p.version++;
    EXPECT(run_prepared(&p, fast) == 2 * before);
    p.w.version = NULL;
    for (int64_t i = 0; i < vdni_tensor_count(&p.w); i++) op_set(&p.w, i, 2 * op_get(&p.w, i));
    EXPECT(run_prepared(&p, fast) == 4 * before);
    free_prepared(&p, fast);
}

static void a_wrong_form_is_found_replaced_and_not_prepared_again(void)
{
    vdni_device *suspicious = NULL;
    prepared p;

    EXPECT(vdni_cpu_backend()->open(&ctx, &suspicious, 0, 1, VDNI_PREPARE_VERIFY) == VDN_OK);
    suspicious->has_amx = 1;
    make_prepared(&p, suspicious);
    vdni_onednn_form *form = p.op.prepared;
    const vdni_tensor right = op_copy(&p.y);
    p.op.out[0] = (vdni_tensor *)&right;
    EXPECT(run_on(plain, &p.op) == 0);
    p.op.out[0] = &p.y;

    /* Weights that were never packed: every output comes out 0. */
    p.op.prepared = form;
    form->has_packed = 1;
    form->packed_version = p.version;
    (void)run_prepared(&p, suspicious);
    EXPECT(form->broken);
    EXPECT_LE(difference(&p.y, &right), 1e-6);

    vdni_op again = p.op;
    EXPECT(vdni_cpu_backend()->prepare(&ctx, suspicious, &again) == VDN_OK);
    EXPECT(again.prepared == NULL);
    op_free((vdni_tensor *)&right);
    free_prepared(&p, suspicious);
    vdni_cpu_backend()->close(&ctx, suspicious);
}

static void refused_allocations_leave_nothing_behind(void)
{
    prepared p;
    make_prepared(&p, fast);
    vdni_op op = p.op;
    const int64_t held = ctx.now_bytes;

    for (int64_t refuse = 0;; refuse++) {
        ctx.refuse_after = ctx.allocations + refuse;
        const vdn_status status = vdni_cpu_backend()->prepare(&ctx, fast, &op);
        ctx.refuse_after = -1;
        EXPECT((status == VDN_OK) == (op.prepared != NULL));
        if (status == VDN_OK) {
            EXPECT(refuse == 3); /* The form, one primitive, the packed weights. */
            break;
        }
        EXPECT(status == VDN_ERR_MEMORY);
        EXPECT(ctx.now_bytes == held);
    }
    vdni_cpu_backend()->unprepare(&ctx, fast, &op);
    free_prepared(&p, fast);
}

static void forward_and_input_gradient_do_not_depend_on_the_thread_count(void)
{
    vdni_tensor kept = { 0 };
    for (int32_t threads = 1; threads <= 3; threads++) {
        vdni_device *device = NULL;
        prepared p;
        EXPECT(vdni_cpu_backend()->open(&ctx, &device, 0, threads, 0) == VDN_OK);
        device->has_amx = 1;
        make_prepared(&p, device);
        (void)run_prepared(&p, device);
        if (threads == 1)
            kept = op_copy(&p.y);
        else
            EXPECT(op_same_bits(&kept, &p.y));
        free_prepared(&p, device);
        vdni_cpu_backend()->close(&ctx, device);
    }
    op_free(&kept);
}

/* Whether the library has a bf16 form on this processor at all. */
static int has_forms(void)
{
    prepared p;
    make_prepared(&p, fast);
    const int found = p.op.prepared != NULL;
    free_prepared(&p, fast);
    return found;
}

int main(void)
{
    vdni_ctx_init(&ctx);
    if (vdni_cpu_backend()->open(&ctx, &fast, 0, 2, VDNI_PREPARE_VERIFY) != VDN_OK ||
        vdni_cpu_backend()->open(&ctx, &plain, 0, 2, VDNI_PREPARE_PLAIN) != VDN_OK)
        return 1;
    if (!fast->onednn) return test_skip("built without oneDNN");
    fast->has_amx = 1;
    if (!has_forms()) return test_skip("oneDNN has no bf16 on this processor");
    RUN(every_shape_agrees_with_the_plain_form);
    RUN(weight_gradients_are_right_where_the_library_is_not);
    RUN(weights_are_packed_again_when_their_version_changes_and_only_then);
    RUN(a_wrong_form_is_found_replaced_and_not_prepared_again);
    RUN(refused_allocations_leave_nothing_behind);
    RUN(forward_and_input_gradient_do_not_depend_on_the_thread_count);
    vdni_cpu_backend()->close(&ctx, fast);
    vdni_cpu_backend()->close(&ctx, plain);
    EXPECT(ctx.now_bytes == 0);
    return test_result();
}
