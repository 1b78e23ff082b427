/* What the operators of a network achieve on a device, one after the other, through the back-end
 * table: prepare, run many times, wait. One JSON object a line; first the device's ceilings.
 *
 *     bench_cuda [--config full] [--size 320x320] [--batch 8] [--dtype bf16|f16|f32] [--ms 30]
 *                [--ceiling 8192] [--limit 60] [--device cuda|cpu] [--cuda-library FILE]
 *
 * Every distinct convolution, forward, to the input (_DX) and to the weight (_DW); depthwise
 * convolutions, norms and attention, forward and backward; activations; each as the network has it.
 * tflops counts two for a multiply-add; gbps counts each tensor once. An operator has the median of
 * three rounds of about --ms milliseconds; --limit seconds end the list with a line that says so.
 *
 * Ceilings: a 1x1 convolution of --ceiling channels in and out over that many pixels, which is a
 * matrix product, and a copy on the device, bytes read and written. */
#include "bench_device.h"

#include "Net/condition_unet.h"
#include "Net/diffusion_unet.h"
#include "Ops/conv.h"

enum { MOST_FORMS = 1024, ROUNDS = 3, ALIGN = 256 };

typedef struct {
    const char *config, *dtype;
    long size[2], batch, ms, ceiling, limit;
    bench_place place;
} arguments;

/* An operator as the network has it: shapes without data. */
typedef struct {
    vdni_op_kind kind;
    vdni_attr a;
    vdni_tensor in[VDNI_MAX_IN], out[VDNI_MAX_OUT];
    uint32_t has_in, has_out;
} form;

/* Device memory cut up anew for each operator. What is read stays as it is: random values of the
 * activation's type or f32. */
typedef struct {
    char *block;
    int64_t bytes, used;
} pool;

static struct {
    arguments a;
    vdni_dtype dtype;
    pool activations, floats, written;
    int64_t begin_ns;
    form forms[MOST_FORMS];
    int count;
} run;

static int number_option(arguments *a, const char *name, const char *value)
{
    long *const to = strcmp(name, "--batch") == 0     ? &a->batch
                     : strcmp(name, "--ms") == 0      ? &a->ms
                     : strcmp(name, "--ceiling") == 0 ? &a->ceiling
                     : strcmp(name, "--limit") == 0   ? &a->limit
                                                      : NULL;
    if (to) *to = strtol(value, NULL, 10);
    return to != NULL;
}

static void parse(int argc, char **argv)
{
    arguments a = { "full", "bf16", { 320, 320 }, 8, 30, 8192, 60, { "cuda", NULL, 0 } };
    for (int i = 1; i + 1 < argc; i += 2) {
        if (bench_place_option(&a.place, argv[i], argv[i + 1])) continue;
        if (number_option(&a, argv[i], argv[i + 1])) continue;
        if (strcmp(argv[i], "--config") == 0) a.config = argv[i + 1];
        if (strcmp(argv[i], "--dtype") == 0) a.dtype = argv[i + 1];
        if (strcmp(argv[i], "--size") == 0) bench_size(a.size, argv[i + 1]);
    }
    run.a = a;
    run.dtype = strcmp(a.dtype, "f32") == 0   ? VDNI_F32
                : strcmp(a.dtype, "f16") == 0 ? VDNI_F16
                                              : VDNI_BF16;
}

/* ---- the network's operators ---- */

static int same_tensor(const vdni_tensor *x, const vdni_tensor *y)
{
    return x->n == y->n && x->h == y->h && x->w == y->w && x->c == y->c && x->dtype == y->dtype;
}

static int same_form(const form *x, const form *y)
{
    int same = x->kind == y->kind && x->has_in == y->has_in && x->has_out == y->has_out &&
               memcmp(&x->a, &y->a, sizeof x->a) == 0;
    for (int i = 0; i < VDNI_MAX_IN; i++) same &= same_tensor(&x->in[i], &y->in[i]);
    for (int i = 0; i < VDNI_MAX_OUT; i++) same &= same_tensor(&x->out[i], &y->out[i]);
    return same;
}

static void add_form(const form *f)
{
    for (int i = 0; i < run.count; i++)
        if (same_form(&run.forms[i], f)) return;
    if (run.count < MOST_FORMS) run.forms[run.count++] = *f;
}

static void set_in(form *f, int i, const vdni_tensor *t)
{
    f->in[i] = *t;
    f->has_in |= 1u << i;
}

static void set_out(form *f, int i, const vdni_tensor *t)
{
    f->out[i] = *t;
    f->has_out |= 1u << i;
}

static form of_kind(const form *forward, vdni_op_kind kind)
{
    form f = { .kind = kind, .a = forward->a };
    return f;
}

/* To the input and to the weight; the kinds of conv and depthwise follow each other. */
static void add_convolution_gradients(const form *f)
{
    form dx = of_kind(f, f->kind + 1), dw = of_kind(f, f->kind + 2);
    set_in(&dx, 0, &f->out[0]);
    set_in(&dx, 1, &f->in[1]);
    set_out(&dx, 0, &f->in[0]);
    add_form(&dx);
    set_in(&dw, 0, &f->in[0]);
    set_in(&dw, 1, &f->out[0]);
    set_out(&dw, 0, &f->in[1]);
    if (f->has_in & 4) set_out(&dw, 1, &f->in[2]);
    add_form(&dw);
}

static void add_norm_backward(const form *f)
{
    form b = of_kind(f, VDNI_OP_NORM_BACKWARD);
    set_in(&b, 0, &f->out[0]);
    set_in(&b, 1, &f->in[0]);
    set_in(&b, 2, &f->out[1]);
    set_in(&b, 3, &f->in[1]);
    set_in(&b, 4, &f->in[2]);
    if (f->has_in & 8) set_in(&b, 5, &f->in[3]);
    set_out(&b, 0, &f->in[0]);
    set_out(&b, 1, &f->in[1]);
    set_out(&b, 2, &f->in[2]);
    if (f->has_in & 8) set_out(&b, 3, &f->in[3]);
    add_form(&b);
}

static void add_attention_backward(const form *f)
{
    form b = of_kind(f, VDNI_OP_ATTENTION_BACKWARD);
    set_in(&b, 0, &f->out[0]);
    set_in(&b, 1, &f->in[0]);
    set_in(&b, 2, &f->out[0]);
    set_in(&b, 3, &f->out[1]);
    set_out(&b, 0, &f->in[0]);
    add_form(&b);
}

static void add_node(const vdni_graph *g, const vdni_node *node)
{
    form f = { .kind = node->kind, .a = node->a };
    for (int i = 0; i < VDNI_MAX_IN; i++) {
        const vdni_tensor t = vdni_graph_get(g, node->in[i]);
        if (node->in[i] != VDNI_NONE) set_in(&f, i, &t);
    }
    for (int i = 0; i < VDNI_MAX_OUT; i++) {
        const vdni_tensor t = vdni_graph_get(g, node->out[i]);
        if (node->out[i] != VDNI_NONE) set_out(&f, i, &t);
    }
    switch (node->kind) {
    case VDNI_OP_CONV:
    case VDNI_OP_DEPTHWISE:
        add_form(&f);
        add_convolution_gradients(&f);
        break;
    case VDNI_OP_NORM:
        add_form(&f);
        add_norm_backward(&f);
        break;
    case VDNI_OP_ATTENTION:
        add_form(&f);
        add_attention_backward(&f);
        break;
    case VDNI_OP_ACTIVATION:
        add_form(&f);
        break;
    default:
        break;
    }
}

/* Both U-Nets, as Net/model.c has them, on a batch. */
static vdn_status collect(vdn_ctx *ctx, const vdni_config *config)
{
    vdn_status status = VDN_OK;
    vdni_parameters table = { .items = NULL };
    vdni_graph *g = NULL;
    vdni_step_inputs in = { .skip = VDNI_NONE };
    const int64_t m = config->pad_multiple, n = run.a.batch;
    const int64_t h = (run.a.size[0] + m - 1) / m * m, w = (run.a.size[1] + m - 1) / m * m;
    const int64_t image[4] = { n, h, w, config->image_channels }, single[4] = { n, h, w, 1 };
    const int64_t mask[4] = { n, h, w, config->mask_channels }, scalar[4] = { n, 1, 1, 1 };

    VDN_TRY(vdni_graph_create(ctx, &g, &table, run.dtype, 1));
    in.image = vdni_input(g, "image", image, VDNI_F32);
    const vdni_condition condition = vdni_condition_unet(g, config, in.image, NULL);
    const vdni_id foreground = vdni_input(g, "foreground", single, VDNI_F32);
    const vdni_cache cache = vdni_condition_cache(g, config, condition.feature, foreground);
    in.x = vdni_input(g, "x", mask, VDNI_F32);
    in.prior = vdni_input(g, "prior", mask, VDNI_F32);
    in.t = vdni_input(g, "t", scalar, VDNI_F32);
    (void)vdni_diffusion_unet(g, config, &in, &cache);
    VDN_TRY(vdni_graph_status(g));
    for (int64_t i = 0; i < g->node_count; i++) add_node(g, &g->nodes[i]);
done:
    vdni_graph_free(ctx, g);
    vdni_parameters_free(ctx, &table);
    return status;
}

/* ---- memory ---- */

static pool make_pool(vdn_ctx *ctx, int64_t bytes, vdni_dtype dtype)
{
    const int64_t part = bytes < (16 << 20) ? bytes : 16 << 20;
    float *values = malloc((size_t)part);
    pool p = { .bytes = bytes };
    if (!values) exit(1);
    p.block = (char *)bench_place_floats(ctx, NULL, bytes / (int64_t)sizeof *values);
    bench_random(values, part / (int64_t)sizeof *values);
    if (dtype != VDNI_F32) { /* random fractions, 0.5 to 2 in size */
        uint16_t *half = (uint16_t *)values;
        const int shift = dtype == VDNI_BF16 ? 7 : 10, first = dtype == VDNI_BF16 ? 126 : 14;
        for (int64_t i = 0; i < part / 2; i++) {
            const unsigned bits = (unsigned)half[i] * 40503u + (unsigned)(i * 2654435761u >> 7);
            half[i] = (uint16_t)((bits & 0x8000u) | (unsigned)(first + (bits >> 16 & 1)) << shift |
                                 (bits & ((1u << shift) - 1)));
        }
    }
    for (int64_t at = 0; at < bytes; at += part) {
        const int64_t size = bytes - at < part ? bytes - at : part;
        if (ctx->backend->put(ctx, ctx->device, p.block + at, values, size) != VDN_OK) exit(1);
    }
    (void)bench_now(ctx);
    free(values);
    return p;
}

static int64_t rounded(const vdni_tensor *t)
{
    return (vdni_tensor_bytes(t) + ALIGN - 1) / ALIGN * ALIGN;
}

static void take(pool *p, vdni_tensor *t)
{
    t->data = p->block + p->used;
    p->used += rounded(t);
}

static void need(int64_t bytes[3], const form *f)
{
    int64_t sum[3] = { 0, 0, 0 };
    for (int i = 0; i < VDNI_MAX_IN; i++)
        if (f->has_in >> i & 1) sum[f->in[i].dtype == VDNI_F32] += rounded(&f->in[i]);
    for (int i = 0; i < VDNI_MAX_OUT; i++)
        if (f->has_out >> i & 1) sum[2] += rounded(&f->out[i]);
    for (int i = 0; i < 3; i++)
        if (sum[i] > bytes[i]) bytes[i] = sum[i];
}

/* ---- clocks ---- */

static double seconds_spent(void) { return (double)(vdni_clock_ns() - run.begin_ns) * 1e-9; }

static double round_of(vdn_ctx *ctx, const vdni_op *op, void *workspace, int64_t repeats)
{
    const int64_t begin = bench_now(ctx);
    for (int64_t i = 0; i < repeats; i++)
        if (ctx->backend->run(ctx, ctx->device, op, workspace) != VDN_OK) {
            fprintf(stderr, "%s\n", ctx->error);
            exit(1);
        }
    return (double)(bench_now(ctx) - begin) * 1e-6 / (double)repeats;
}

/* Milliseconds of one run. */
static double time_of(vdn_ctx *ctx, const vdni_op *op, void *workspace)
{
    double ms[ROUNDS];
    (void)round_of(ctx, op, workspace, 1);
    const double once = round_of(ctx, op, workspace, 1) + 1e-4;
    const double wanted = (double)run.a.ms / once;
    const int64_t repeats = wanted < 1.0 ? 1 : wanted > 2000.0 ? 2000 : (int64_t)wanted;
    for (int i = 0; i < ROUNDS; i++) ms[i] = round_of(ctx, op, workspace, repeats);
    return bench_median(ms, ROUNDS);
}

/* ---- one operator ---- */

static void print_shape(const char *name, const vdni_tensor *t)
{
    printf("\"%s\": \"%lldx%lldx%lldx%lld %s\", ", name, (long long)t->n, (long long)t->h,
           (long long)t->w, (long long)t->c, vdni_dtype_name(t->dtype));
}

static void print_line(const vdni_op *op, const char *bench, double ms)
{
    double bytes = 0.0;
    for (int i = 0; i < VDNI_MAX_IN; i++)
        if (op->in[i]) bytes += (double)vdni_tensor_bytes(op->in[i]);
    for (int i = 0; i < VDNI_MAX_OUT; i++)
        if (op->out[i]) bytes += (double)vdni_tensor_bytes(op->out[i]);
    const double flop = 2.0 * (double)vdni_op_macs(op);
    printf("{\"who\": \"verdiff\", \"bench\": \"%s\", \"op\": \"%s\", \"dtype\": \"%s\", ", bench,
           vdni_op_name(op->kind), run.a.dtype);
    print_shape("in", op->in[0]);
    print_shape("out", op->out[0]);
    printf("\"kernel\": %d, \"stride\": %d, \"dilation\": %d, \"form\": \"%s\", \"ms\": %.5f, "
           "\"gflop\": %.3f, \"mib\": %.2f, \"tflops\": %.3f, \"gbps\": %.1f, "
           "\"workspace_mib\": %.2f}\n",
           op->a.kernel, op->a.stride, op->a.dilation, op->prepared ? "library" : "own", ms,
           flop * 1e-9, bytes / 1048576.0, flop / ms * 1e-9, bytes / ms * 1e-6,
           (double)op->workspace_bytes / 1048576.0);
    (void)fflush(stdout);
}

static void bench_form(vdn_ctx *ctx, form *f, const char *bench)
{
    static const uint64_t version = 1;
    const vdni_backend *b = ctx->backend;
    vdni_op op = { .kind = f->kind, .a = f->a };
    void *workspace = NULL;

    run.activations.used = run.floats.used = run.written.used = 0;
    for (int i = 0; i < VDNI_MAX_IN; i++) {
        if (!(f->has_in >> i & 1)) continue;
        take(f->in[i].dtype == VDNI_F32 ? &run.floats : &run.activations, &f->in[i]);
        op.in[i] = &f->in[i];
    }
    for (int i = 0; i < VDNI_MAX_OUT; i++) {
        if (!(f->has_out >> i & 1)) continue;
        take(&run.written, &f->out[i]);
        op.out[i] = &f->out[i];
    }
    /* The weight of a forward pass and of a gradient to the input stays: its prepared form is kept. */
    if (op.in[1] && f->kind != VDNI_OP_CONV_DW && f->kind != VDNI_OP_DEPTHWISE_DW)
        op.in[1]->version = &version;
    vdn_status status = vdni_op_check(ctx, &op);
    if (status == VDN_OK) status = b->prepare(ctx, ctx->device, &op);
    if (status == VDN_OK)
        status = b->allocate(ctx, ctx->device, &workspace, op.workspace_bytes + ALIGN);
    if (status == VDN_OK)
        print_line(&op, bench, time_of(ctx, &op, workspace));
    else
        printf("{\"who\": \"verdiff\", \"bench\": \"%s\", \"op\": \"%s\", \"error\": \"%s\"}\n",
               bench, vdni_op_name(f->kind), ctx->error);
    if (workspace) b->release(ctx, ctx->device, workspace);
    b->unprepare(ctx, ctx->device, &op);
}

/* ---- ceilings ---- */

static form matrix_product(void)
{
    const int64_t c = run.a.ceiling;
    form f = { .kind = VDNI_OP_CONV, .a = { .kernel = 1, .stride = 1, .dilation = 1 } };
    const vdni_tensor x = { .n = 1, .h = 1, .w = c, .c = c, .dtype = run.dtype };
    const vdni_tensor weight = { .n = c, .h = 1, .w = 1, .c = c, .dtype = VDNI_F32 };
    set_in(&f, 0, &x);
    set_in(&f, 1, &weight);
    set_out(&f, 0, &x);
    return f;
}

static void copy_ceiling(vdn_ctx *ctx)
{
    const vdni_backend *b = ctx->backend;
    const pool *from = run.activations.bytes > run.floats.bytes ? &run.activations : &run.floats;
    const int64_t bytes = from->bytes < run.written.bytes ? from->bytes : run.written.bytes;
    double ms[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        const int64_t begin = bench_now(ctx);
        for (int i = 0; i < 20; i++)
            if (b->copy(ctx, ctx->device, run.written.block, from->block, bytes) != VDN_OK) return;
        ms[r] = (double)(bench_now(ctx) - begin) * 1e-6 / 20;
    }
    printf("{\"who\": \"verdiff\", \"bench\": \"copy\", \"dtype\": \"%s\", \"mib\": %.1f, \"ms\": "
           "%.4f, "
           "\"gbps\": %.1f}\n",
           run.a.dtype, (double)bytes / 1048576.0, bench_median(ms, ROUNDS),
           2e-6 * (double)bytes / ms[ROUNDS / 2]);
}

int main(int argc, char **argv)
{
    vdni_config config;
    int64_t bytes[3] = { ALIGN, ALIGN, ALIGN };

    parse(argc, argv);
    vdn_ctx *ctx = bench_open(&run.a.place);
    if (!ctx) return 1;
    if (vdni_config_get(ctx, &config, run.a.config) != VDN_OK || collect(ctx, &config) != VDN_OK) {
        fprintf(stderr, "%s\n", ctx->error);
        return 1;
    }
    form product = matrix_product();
    need(bytes, &product);
    for (int i = 0; i < run.count; i++) need(bytes, &run.forms[i]);
    run.activations = make_pool(ctx, bytes[0], run.dtype);
    run.floats = make_pool(ctx, bytes[1], VDNI_F32);
    run.written = make_pool(ctx, bytes[2], VDNI_F32);
    run.begin_ns = vdni_clock_ns();
    copy_ceiling(ctx);
    bench_form(ctx, &product, "product");
    for (int i = 0; i < run.count; i++) {
        if (seconds_spent() > (double)run.a.limit) {
            printf(
                "{\"who\": \"verdiff\", \"bench\": \"op\", \"dtype\": \"%s\", \"skipped\": %d}\n",
                run.a.dtype, run.count - i);
            break;
        }
        bench_form(ctx, &run.forms[i], "op");
    }
    return 0;
}
