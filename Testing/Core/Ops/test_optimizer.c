#include "Ops/optimizer.h"
#include "op_test.h"

typedef struct {
    int64_t count;
    float *p, *m, *v, *g, *e;
    uint8_t *mask;
    double *p2, *m2, *v2, *e2; /* the oracle's */
    vdni_optimizer_step step;
    double norm;
} fixture;

static fixture *setup(int64_t count, uint64_t *seed)
{
    fixture *f = calloc(1, sizeof *f);
    float **single[] = { &f->p, &f->m, &f->v, &f->g, &f->e };
    double **twice[] = { &f->p2, &f->m2, &f->v2, &f->e2 };
    for (int i = 0; i < 5; i++) *single[i] = calloc((size_t)count, sizeof(float));
    for (int i = 0; i < 4; i++) *twice[i] = calloc((size_t)count, sizeof(double));
    f->mask = calloc((size_t)count, 1);
    f->count = count;
    for (int64_t i = 0; i < count; i++) {
        f->p[i] = f->e[i] = (float)test_random(seed);
        f->p2[i] = f->e2[i] = (double)f->p[i];
        f->mask[i] = (uint8_t)(test_random_bits(seed) % 2);
    }
    f->step = (vdni_optimizer_step){ .count = count,
                                     .parameters = f->p,
                                     .moment1 = f->m,
                                     .moment2 = f->v,
                                     .gradient = f->g,
                                     .average = f->e,
                                     .decay_mask = f->mask,
                                     .lr = 1e-2,
                                     .beta1 = 0.9,
                                     .beta2 = 0.999,
                                     .eps = 1e-8,
                                     .weight_decay = 0.3,
                                     .clip = 1.0,
                                     .average_decay = 0.7,
                                     .gradient_norm = &f->norm };
    return f;
}

static void teardown(fixture *f)
{
    void *all[] = { f->p, f->m, f->v, f->g, f->e, f->mask, f->p2, f->m2, f->v2, f->e2, f };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

/* Gradients near the clip threshold, larger at odd steps. */
static void draw_gradient(fixture *f, int64_t t, uint64_t *seed)
{
    const double spread = (t % 2 ? 3.0 : 0.5) / sqrt((double)f->count);
    for (int64_t i = 0; i < f->count; i++) f->g[i] = (float)(spread * test_random(seed));
}

/* Algorithm 1 of Adam in double, decay as in AdamW unless the kind says otherwise; or SGD. Returns the
 * norm. */
static double oracle_step(fixture *f, int64_t t)
{
    const vdni_optimizer_step *s = &f->step;
    double squares = 0;
    for (int64_t i = 0; i < f->count; i++) squares += (double)f->g[i] * (double)f->g[i];
    const double norm = sqrt(squares), c = s->clip > 0 && norm > s->clip ? s->clip / norm : 1;
    for (int64_t i = 0; i < f->count; i++) {
        double g = c * (double)f->g[i];
        double wd = s->decay_mask && !s->decay_mask[i] ? 0 : s->weight_decay;
        if (s->kind != VDNI_OPTIMIZER_ADAMW) g += wd * f->p2[i], wd = 0;
        if (s->kind == VDNI_OPTIMIZER_SGD) { /* as torch.optim.SGD(nesterov=True) writes it */
            f->m2[i] = s->beta1 * f->m2[i] + g;
            f->p2[i] -= s->lr * (g + s->beta1 * f->m2[i]);
            f->e2[i] = s->average_decay * f->e2[i] + (1 - s->average_decay) * f->p2[i];
            continue;
        }
        f->m2[i] = s->beta1 * f->m2[i] + (1 - s->beta1) * g;
        f->v2[i] = s->beta2 * f->v2[i] + (1 - s->beta2) * g * g;
        const double mhat = f->m2[i] / (1 - pow(s->beta1, (double)t));
        const double vhat = f->v2[i] / (1 - pow(s->beta2, (double)t));
        f->p2[i] = f->p2[i] - s->lr * wd * f->p2[i] - s->lr * mhat / (sqrt(vhat) + s->eps);
        f->e2[i] = s->average_decay * f->e2[i] + (1 - s->average_decay) * f->p2[i];
    }
    return norm;
}

/* The step with its blocks on the device, there and back. */
static vdn_status run_moved(vdn_ctx *ctx, vdni_device *device, const vdni_optimizer_step *step)
{
    op_moves moves = { 0 };
    vdni_optimizer_step there = *step;
    float **blocks[] = { &there.parameters, &there.moment1, &there.moment2, &there.gradient,
                         &there.average };
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        op_moves_add(&moves, *blocks[i], step->count * (int64_t)sizeof(float), 1);
    op_moves_add(&moves, (void *)(uintptr_t)step->decay_mask, step->count, 0);
    vdn_status status = op_moves_there(ctx, device, &moves);
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        *blocks[i] = op_moved(&moves, *blocks[i]);
    there.decay_mask = op_moved(&moves, step->decay_mask);
    if (status == VDN_OK) status = op_backend()->optimize(ctx, device, &there);
    /* A refused step comes back too: it must have changed nothing. */
    if (status == VDN_OK || status == VDN_ERR_NUMERIC) {
        char kept[VDNI_ERROR_BYTES];
        memcpy(kept, ctx->error, sizeof kept);
        EXPECT(op_moves_back(ctx, device, &moves) == VDN_OK);
        memcpy(ctx->error, kept, sizeof kept);
    }
    op_moves_drop(ctx, device, &moves);
    return status;
}

static vdn_status run(vdn_ctx *ctx, const vdni_optimizer_step *step, int32_t threads)
{
    const vdni_backend *backend = op_backend();
    vdni_device *device = NULL;
    vdn_status status = backend->open(ctx, &device, 0, threads, VDNI_PREPARE_PLAIN);
    if (status == VDN_OK)
        status = backend->shares_host_memory || step->count < 1
                     ? backend->optimize(ctx, device, step)
                     : run_moved(ctx, device, step);
    backend->close(ctx, device);
    return status;
}

static void twenty_steps_follow_adam(void)
{
    static const int64_t counts[] = { 1, 7, 63, 64, 1000, 5003 };
    for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
        for (int variant = 0; variant < 4; variant++) {
            uint64_t seed = k;
            vdn_ctx ctx;
            fixture *f = setup(counts[k], &seed);
            vdni_ctx_init(&ctx);
            if (variant == 1) f->step.decay_mask = NULL;
            if (variant == 2) f->step.weight_decay = 0, f->step.clip = 0;
            if (variant == 3) f->step.average = NULL;
            for (int64_t t = 1; t <= 20; t++) {
                draw_gradient(f, t, &seed);
                const double norm = oracle_step(f, t);
                f->step.step = t;
                EXPECT(run(&ctx, &f->step, 1) == VDN_OK);
                EXPECT_LE(fabs(f->norm - norm), 1e-12 * norm);
            }
            for (int64_t i = 0; i < f->count; i++) {
                /* twenty roundings of values near 1; a step itself is at most 1e-2 */
                EXPECT_LE(fabs(f->p[i] - f->p2[i]), 2e-6);
                EXPECT_LE(fabs(f->m[i] - f->m2[i]), 2e-6);
                EXPECT_LE(fabs(f->v[i] - f->v2[i]), 1e-6 * (fabs(f->v2[i]) + 1e-3));
                if (variant != 3) EXPECT_LE(fabs(f->e[i] - f->e2[i]), 2e-6);
                EXPECT(f->g[i] == 0);
            }
            teardown(f);
        }
    }
}

static void twenty_steps_follow_the_other_kinds(void)
{
    static const int64_t counts[] = { 1, 63, 1000, 5003 };
    for (int which = 0; which < 16; which++) {
        uint64_t seed = 40 + (uint64_t)which;
        vdn_ctx ctx;
        fixture *f = setup(counts[which % 4], &seed);
        vdni_ctx_init(&ctx);
        f->step.kind = which / 4 % 2 ? VDNI_OPTIMIZER_SGD : VDNI_OPTIMIZER_ADAM;
        f->step.beta1 = which / 4 % 2 ? 0.99 : 0.9;
        if (which >= 8) f->step.decay_mask = NULL, f->step.clip = 0, f->step.average = NULL;
        for (int64_t t = 1; t <= 20; t++) {
            draw_gradient(f, t, &seed);
            const double norm = oracle_step(f, t);
            f->step.step = t;
            EXPECT(run(&ctx, &f->step, 1) == VDN_OK);
            EXPECT_LE(fabs(f->norm - norm), 1e-12 * norm);
        }
        for (int64_t i = 0; i < f->count; i++) {
            EXPECT_LE(fabs(f->p[i] - f->p2[i]), 4e-6 * (1 + fabs(f->p2[i])));
            EXPECT_LE(fabs(f->m[i] - f->m2[i]), 4e-6 * (1 + fabs(f->m2[i])));
            EXPECT_LE(fabs(f->v[i] - f->v2[i]), 1e-6 * (fabs(f->v2[i]) + 1));
            if (which < 8) EXPECT_LE(fabs(f->e[i] - f->e2[i]), 4e-6 * (1 + fabs(f->e2[i])));
            EXPECT(f->g[i] == 0);
        }
        teardown(f);
    }
}

static void a_first_step_moves_by_the_learning_rate(void)
{
    uint64_t seed = 1;
    vdn_ctx ctx;
    fixture *f = setup(3, &seed);
    vdni_ctx_init(&ctx);
    f->step.step = 1, f->step.weight_decay = 0;
    for (int i = 0; i < 3; i++) f->p[i] = 0, f->g[i] = (float)(i - 1) * 1e-3f;
    EXPECT(run(&ctx, &f->step, 1) == VDN_OK);
    EXPECT_LE(fabs(f->p[0] - 1e-2), 1e-6);
    EXPECT_LE(fabs(f->p[1]), 0);
    EXPECT_LE(fabs(f->p[2] + 1e-2), 1e-6);
    teardown(f);
}

static void threads_change_no_bit(void)
{
    uint64_t seed = 5;
    fixture *one = setup(5003, &seed);
    for (int32_t threads = 2; threads <= 3; threads++) {
        uint64_t a = 5, b = 6;
        vdn_ctx ctx;
        fixture *f = setup(5003, &a);
        vdni_ctx_init(&ctx);
        memcpy(one->p, f->p, 5003 * sizeof(float));
        memcpy(one->e, f->p, 5003 * sizeof(float));
        memset(one->m, 0, 5003 * sizeof(float));
        memset(one->v, 0, 5003 * sizeof(float));
        for (int64_t t = 1; t <= 5; t++) {
            draw_gradient(f, t, &b);
            memcpy(one->g, f->g, 5003 * sizeof(float));
            f->step.step = one->step.step = t;
            EXPECT(run(&ctx, &f->step, threads) == VDN_OK);
            EXPECT(run(&ctx, &one->step, 1) == VDN_OK);
            EXPECT(memcmp(&f->norm, &one->norm, sizeof f->norm) == 0);
        }
        EXPECT(memcmp(f->p, one->p, 5003 * sizeof(float)) == 0);
        EXPECT(memcmp(f->e, one->e, 5003 * sizeof(float)) == 0);
        teardown(f);
    }
    teardown(one);
}

static void a_gradient_that_is_no_number_changes_nothing(void)
{
    static const double bad[] = { NAN, INFINITY, -INFINITY };
    for (int k = 0; k < 3; k++) {
        uint64_t seed = 7;
        vdn_ctx ctx;
        fixture *f = setup(100, &seed);
        vdni_ctx_init(&ctx);
        f->step.step = 1;
        f->g[57] = (float)bad[k];
        EXPECT(run(&ctx, &f->step, 2) == VDN_ERR_NUMERIC);
        EXPECT(strstr(ctx.error, "step 1") != NULL);
        for (int i = 0; i < 100; i++) {
            EXPECT(f->p[i] == (float)f->p2[i] && f->e[i] == (float)f->e2[i]);
            EXPECT(f->m[i] == 0 && f->v[i] == 0);
        }
        teardown(f);
    }
}

static void impossible_settings_are_refused(void)
{
    for (int which = 0; which < 15; which++) {
        uint64_t seed = 8;
        vdn_ctx ctx;
        fixture *f = setup(10, &seed);
        vdni_ctx_init(&ctx);
        vdni_optimizer_step *s = &f->step;
        s->step = 1;
        EXPECT(vdni_optimizer_check(&ctx, s) == VDN_OK);
        if (which == 0) s->count = 0;
        if (which == 1) s->step = 0;
        if (which == 2) s->lr = 0;
        if (which == 3) s->lr = NAN;
        if (which == 4) s->beta1 = 1;
        if (which == 5) s->beta1 = -0.1;
        if (which == 6) s->beta2 = 1;
        if (which == 7) s->eps = 0;
        if (which == 8) s->weight_decay = -1;
        if (which == 9) s->clip = -1;
        if (which == 10) s->average_decay = 1.5;
        if (which == 11) s->moment2 = NULL;
        if (which == 12) s->beta2 = NAN;
        if (which == 13) s->clip = NAN;
        if (which == 14) s->kind = VDNI_OPTIMIZERS;
        EXPECT(run(&ctx, s, 1) == VDN_ERR_ARGUMENT);
        EXPECT(strstr(ctx.error, "optimiser") != NULL);
        teardown(f);
    }
}

int main(void)
{
    RUN(twenty_steps_follow_adam);
    RUN(twenty_steps_follow_the_other_kinds);
    RUN(a_first_step_moves_by_the_learning_rate);
    RUN(threads_change_no_bit);
    RUN(a_gradient_that_is_no_number_changes_nothing);
    RUN(impossible_settings_are_refused);
    return test_result();
}
