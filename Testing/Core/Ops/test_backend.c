#include "Base/memory.h"
#include "net_test.h"

enum { N = 2, H = 9, W = 7, CI = 5, CO = 6 };

static float x_data[N * H * W * CI], w_data[CO * 9 * CI], b_data[CO], y_data[N * H * W * CO];
static vdni_tensor x = { N, H, W, CI, VDNI_F32, x_data, NULL };
static vdni_tensor w = { CO, 3, 3, CI, VDNI_F32, w_data, NULL };
static vdni_tensor b = { 1, 1, 1, CO, VDNI_F32, b_data, NULL };
static vdni_tensor y = { N, H, W, CO, VDNI_F32, y_data, NULL };

static vdni_op conv_op(void)
{
    return (vdni_op){ .kind = VDNI_OP_CONV,
                      .a = { .kernel = 3, .stride = 1, .dilation = 1, .pad = 1 },
                      .in = { &x, &w, &b },
                      .out = { &y } };
}

/* One pixel in double precision. */
static double expected(int64_t n, int64_t h, int64_t v, int64_t o)
{
    double sum = b_data[o];
    for (int64_t kh = 0; kh < 3; kh++)
        for (int64_t kw = 0; kw < 3; kw++)
            for (int64_t i = 0; i < CI; i++) {
                const int64_t ih = h + kh - 1, iw = v + kw - 1;
                if (ih < 0 || ih >= H || iw < 0 || iw >= W) continue;
                sum += (double)x_data[((n * H + ih) * W + iw) * CI + i] *
                       w_data[((o * 3 + kh) * 3 + kw) * CI + i];
            }
    return sum;
}

static void expect_result(void)
{
    double worst = 0.0;
    for (int64_t i = 0; i < N * H * W * CO; i++) {
        const int64_t pixel = i / CO;
        const double d =
            fabs(y_data[i] - expected(pixel / (H * W), pixel / W % H, pixel % W, i % CO));
        if (!(d <= worst)) worst = d;
    }
    EXPECT_LE(worst, 1e-4);
}

static void fill(void)
{
    uint64_t seed = 1;
    for (int i = 0; i < N * H * W * CI; i++) x_data[i] = (float)test_random(&seed);
    for (int i = 0; i < CO * 9 * CI; i++) w_data[i] = (float)test_random(&seed);
    for (int i = 0; i < CO; i++) b_data[i] = (float)test_random(&seed);
}

static void one_run_computes_and_releases_everything(void)
{
    static const uint32_t flags[] = { 0, VDNI_PREPARE_PLAIN, VDNI_PREPARE_VERIFY };
    for (int f = 0; f < 3; f++) {
        vdn_ctx ctx;
        net_open(&ctx, 2, flags[f]);
        const int64_t before = ctx.now_bytes;
        for (int again = 0; again < 2; again++) {
            vdni_op op = conv_op();
            memset(y_data, 0xff, sizeof y_data); /* NaN */
            EXPECT_OK(&ctx, vdni_op_run_once(&ctx, ctx.backend, ctx.device, &op));
            expect_result();
            EXPECT(ctx.now_bytes == before && op.prepared == NULL);
        }
        net_close(&ctx);
    }
}

static void a_wrong_operator_is_not_run(void)
{
    vdn_ctx ctx;
    net_open(&ctx, 1, 0);
    const int64_t before = ctx.now_bytes;
    vdni_op op = conv_op();
    op.in[1] = NULL;
    memset(y_data, 0, sizeof y_data);
    EXPECT(vdni_op_run_once(&ctx, ctx.backend, ctx.device, &op) == VDN_ERR_ARGUMENT);
    EXPECT(strcmp(ctx.error, "CONV: input 1 is missing") == 0);
    EXPECT(y_data[0] == 0.0f && ctx.now_bytes == before);
    net_close(&ctx);
}

static void every_refused_allocation_is_survived(void)
{
    static const uint32_t flags[] = { 0, VDNI_PREPARE_PLAIN };
    for (int f = 0; f < 2; f++) {
        vdn_ctx ctx;
        net_open(&ctx, 1, flags[f]);
        const int64_t before = ctx.now_bytes, made = ctx.allocations;
        int64_t refusals = 0;
        for (;; refusals++) {
            vdni_op op = conv_op();
            vdni_clear_error(&ctx);
            ctx.allocations = made;
            ctx.refuse_after = made + refusals;
            const vdn_status status = vdni_op_run_once(&ctx, ctx.backend, ctx.device, &op);
            EXPECT(status == VDN_OK || status == VDN_ERR_MEMORY);
            EXPECT((status == VDN_OK) == (ctx.error[0] == '\0'));
            EXPECT(ctx.now_bytes == before && op.prepared == NULL);
            if (status == VDN_OK || refusals > 100) break;
        }
        EXPECT(refusals >= 1 && refusals <= 100); /* the workspace at least */
        expect_result();
        ctx.refuse_after = -1;
        net_close(&ctx);
    }
}

/* A back end that fails at a chosen call and writes down the order of all of them. */
static char calls[16];
static char fail_at;

static vdn_status called(vdn_ctx *ctx, char what)
{
    const size_t n = strlen(calls);
    if (n + 1 < sizeof calls) calls[n] = what;
    return what == fail_at ? vdni_fail(ctx, VDN_ERR_DEVICE, "no %c", what) : VDN_OK;
}

static vdn_status mock_prepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    (void)device;
    op->workspace_bytes = 100;
    return called(ctx, 'p');
}

static vdn_status mock_allocate(vdn_ctx *ctx, vdni_device *device, void **out, int64_t bytes)
{
    (void)device;
    EXPECT(bytes == 100);
    *out = NULL;
    VDN_CHECK(called(ctx, 'a'));
    return vdni_alloc(ctx, out, bytes, 1);
}

static void mock_release(vdn_ctx *ctx, vdni_device *device, void *block)
{
    (void)device;
    (void)called(ctx, 'f');
    vdni_free(ctx, block);
}

static vdn_status mock_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    (void)device;
    EXPECT(op->kind == VDNI_OP_CONV && workspace != NULL);
    return called(ctx, 'r');
}

static vdn_status mock_synchronize(vdn_ctx *ctx, vdni_device *device)
{
    (void)device;
    return called(ctx, 's');
}

static void mock_unprepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    (void)device;
    (void)op;
    (void)called(ctx, 'u');
}

static void what_was_begun_is_undone_when_a_call_fails(void)
{
    static const struct {
        char fail_at;
        const char *calls;
    } known[] = {
        { 0, "parsfu" }, { 'p', "pfu" }, { 'a', "pafu" }, { 'r', "parfu" }, { 's', "parsfu" }
    };
    const vdni_backend mock = { .prepare = mock_prepare,
                                .allocate = mock_allocate,
                                .release = mock_release,
                                .run = mock_run,
                                .synchronize = mock_synchronize,
                                .unprepare = mock_unprepare };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        vdn_ctx ctx;
        vdni_op op = conv_op();
        vdni_ctx_init(&ctx);
        memset(calls, 0, sizeof calls);
        fail_at = known[i].fail_at;
        EXPECT((vdni_op_run_once(&ctx, &mock, NULL, &op) == VDN_OK) == !fail_at);
        EXPECT(strcmp(calls, known[i].calls) == 0);
        EXPECT((ctx.error[0] == '\0') == !fail_at && ctx.now_bytes == 0);
    }
}

static void the_cpu_table_is_complete(void)
{
    const vdni_backend *const cpu = vdni_cpu_backend();
    EXPECT(cpu->abi == VDNI_BACKEND_ABI && cpu->size == sizeof(vdni_backend));
    EXPECT(strcmp(cpu->name, "cpu") == 0 && cpu->shares_host_memory);
    EXPECT(cpu->open && cpu->close && cpu->describe && cpu->allocate && cpu->release && cpu->put);
    EXPECT(cpu->get && cpu->zero && cpu->synchronize && cpu->prepare && cpu->unprepare && cpu->run);
    EXPECT(cpu->optimize != NULL);
    EXPECT(cpu->stage_create && cpu->stage_free && cpu->stage_send && cpu->stage_take);
    EXPECT(cpu->stage_fetch && cpu->stage_wait);
}

int main(void)
{
    fill();
    RUN(one_run_computes_and_releases_everything);
    RUN(a_wrong_operator_is_not_run);
    RUN(every_refused_allocation_is_survived);
    RUN(what_was_begun_is_undone_when_a_call_fails);
    RUN(the_cpu_table_is_complete);
    return test_result();
}
