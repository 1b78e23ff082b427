/* The network as it is trained; that its numbers are right is test_golden.c's. */
#include "network_fixture.h"

static const vdni_network_options training = { H, W, VDNI_F32, 1, 0, 1 },
                                  validating = { H, W, VDNI_F32, 0, 0, 1 };

/* One image through both halves. */
static void pass(world *v, vdni_terms *c, vdni_terms *d, uint32_t drop)
{
    EXPECT_OK(&v->ctx,
              vdni_network_condition(&v->ctx, v->n, v->prior, c, v->image, v->target, 1.0f));
    const vdni_refine_call call = {
        .prior = v->prior,
        .target = v->target,
        .t = 300,
        .noise = { .seed = 1, .purpose = VDNI_FOR_TRAINING_NOISE },
        .drop = { .seed = 1, .purpose = VDNI_FOR_CONDITION_DROP, .sample = drop },
        .scale = 1.0f
    };
    EXPECT_OK(&v->ctx, vdni_network_refine(&v->ctx, v->n, d, &call));
}

static int same(const vdni_terms *a, const vdni_terms *b) { return memcmp(a, b, sizeof *a) == 0; }

static void validation_sees_the_losses_of_training_without_dropout(void)
{
    world v;
    vdni_terms c[2], d[2];
    open_world(&v, 1, VDNI_PREPARE_PLAIN);
    make(&v, &training);
    pass(&v, &c[0], &d[0], 0);
    drop_network(&v);
    v.recipe.condition_drop = 0.5; /* only in training */
    make(&v, &validating);
    memset(v.gradients, 0, 4 * (size_t)v.model->parameters.total_floats);
    pass(&v, &c[1], &d[1], 0);
    EXPECT(same(&c[0], &c[1]) && same(&d[0], &d[1]));
    for (int64_t i = 0; i < v.model->parameters.total_floats; i++) EXPECT(v.gradients[i] == 0.0f);
    EXPECT(isfinite(d[0].total) && d[0].simple > 0.0f && d[0].ce > 0.0f && d[0].dice > 0.0f);
    EXPECT(c[0].simple == 0.0f || isfinite(c[0].simple));
    EXPECT_LE(fabs(c[0].total - c[0].ce - c[0].dice), 1e-6);
    close_world(&v);
}

/* Dropout2d: whole channels of c_i, by their key; the condition pass does not see it. */
static void dropout_is_keyed_and_inside_the_refiner(void)
{
    world v;
    vdni_terms c[4], d[4];
    open_world(&v, 1, VDNI_PREPARE_PLAIN);
    v.recipe.condition_drop = 0.5;
    make(&v, &training);
    const uint32_t keys[4] = { 0, 1, 0, 2 };
    for (int i = 0; i < 4; i++) pass(&v, &c[i], &d[i], keys[i]);
    EXPECT(same(&d[0], &d[2]) && !same(&d[0], &d[1]) && !same(&d[0], &d[3]));
    for (int i = 1; i < 4; i++) EXPECT(same(&c[0], &c[i]));
    close_world(&v);
}

/* The mean of 1 + modulation over many keys is 1: dropped channels are made up for. */
static void dropout_keeps_the_mean(void)
{
    world v;
    vdni_terms c, d;
    double sum = 0.0;
    int64_t zeros = 0, count = 0;
    open_world(&v, 1, VDNI_PREPARE_PLAIN);
    v.recipe.condition_drop = 0.2;
    make(&v, &training);
    for (uint32_t k = 0; k < 200; k++) {
        pass(&v, &c, &d, k);
        for (int l = 0; l < 2; l++) {
            const vdni_tensor *t = vdni_network_tensor(v.n, 1, l ? "drop1" : "drop0");
            EXPECT(t != NULL && t->c == 2 * v.config.condition[l]);
            for (int64_t i = 0; t && i < t->c / 2; i++) {
                const float scale = 1.0f + ((const float *)t->data)[i];
                EXPECT(scale == 0.0f || fabsf(scale - 1.25f) < 1e-6f);
                EXPECT(((const float *)t->data)[t->c / 2 + i] == 0.0f);
                sum += scale;
                zeros += scale == 0.0f;
                count++;
            }
        }
    }
    EXPECT(count == 2400);
    EXPECT_LE(fabs((double)zeros / (double)count - 0.2), 5.0 * sqrt(0.16 / 2400.0));
    EXPECT_LE(fabs(sum / (double)count - 1.0), 5.0 * sqrt(0.25 / 2400.0));
    close_world(&v);
}

static void detached_the_refiner_leaves_the_condition_net_alone(void)
{
    for (int32_t detach = 0; detach < 2; detach++) {
        world v;
        vdni_terms c, d;
        open_world(&v, 1, VDNI_PREPARE_PLAIN);
        v.recipe.detach = detach;
        v.recipe.prior_ce = v.recipe.prior_dice = 0.0;
        make(&v, &training);
        pass(&v, &c, &d, 0);
        double condition = 0.0, diffusion = 0.0;
        for (int64_t i = 0; i < v.model->parameters.count; i++) {
            const vdni_parameter *p = &v.model->parameters.items[i];
            double *sum = strncmp(p->name, "cond.", 5) == 0 ? &condition : &diffusion;
            if (strncmp(p->name, "cond.head", 9) == 0) continue;
            for (int64_t k = 0; k < p->n * p->h * p->w * p->c; k++)
                *sum += fabs((double)v.gradients[p->offset + k]);
        }
        EXPECT_LE(1e-3, diffusion);
        EXPECT(detach ? condition == 0.0 : condition > 1e-3);
        close_world(&v);
    }
}

/* Gradients are linear in the scale and add up over images. */
static void scale_multiplies_the_gradient_only(void)
{
    world v;
    vdni_terms c[2], d[2];
    open_world(&v, 1, VDNI_PREPARE_PLAIN);
    make(&v, &training);
    const int64_t count = v.model->parameters.total_floats;
    float *one = net_floats(count);
    pass(&v, &c[0], &d[0], 0);
    memcpy(one, v.gradients, 4 * (size_t)count);
    memset(v.gradients, 0, 4 * (size_t)count);
    for (int i = 0; i < 2; i++) {
        EXPECT_OK(&v.ctx,
                  vdni_network_condition(&v.ctx, v.n, v.prior, &c[1], v.image, v.target, 0.5f));
        const vdni_refine_call call = { .prior = v.prior,
                                        .target = v.target,
                                        .t = 300,
                                        .noise = { .seed = 1, .purpose = VDNI_FOR_TRAINING_NOISE },
                                        .scale = 0.5f };
        EXPECT_OK(&v.ctx, vdni_network_refine(&v.ctx, v.n, &d[1], &call));
    }
    EXPECT(same(&c[0], &c[1]) && same(&d[0], &d[1]));
    EXPECT_LE(net_distance(v.gradients, one, count), 1e-5);
    free(one);
    close_world(&v);
}

/* Pixels labelled 255 count nowhere: other image-side errors there change no loss. */
static void ignored_pixels_have_no_loss(void)
{
    world v;
    vdni_terms c, d;
    open_world(&v, 1, VDNI_PREPARE_PLAIN);
    make(&v, &training);
    memset(v.target, 255, sizeof v.target);
    pass(&v, &c, &d, 0);
    EXPECT(c.total == 0.0f && d.total == 0.0f);
    for (int64_t i = 0; i < v.model->parameters.total_floats; i++) EXPECT(v.gradients[i] == 0.0f);
    close_world(&v);
}

/* The weights of the classes follow from the image, or from the shares that were set. */
static void a_size_adaptive_loss_weighs_the_classes(void)
{
    static const double even[2] = { 0.5, 0.5 };
    world v;
    vdni_terms plain[2], own[2], set[2], again[2];
    open_world(&v, 1, VDNI_PREPARE_PLAIN);
    v.recipe.seg = vdni_size_loss_plain();
    make(&v, &training);
    pass(&v, &plain[0], &plain[1], 0);
    drop_network(&v);
    v.recipe.seg.form = VDNI_SEG_SA_INVPOW;
    make(&v, &training);
    pass(&v, &own[0], &own[1], 0);
    for (int half = 0; half < 2; half++) {
        const vdni_tensor *t = vdni_network_tensor(v.n, half, "class_weights");
        double ones = 0.0, sum = 0.0;
        for (int i = 0; i < PIXELS; i++) ones += v.target[i];
        const float *w = t->data;
        EXPECT_LE(fabs(w[1] / w[0] - sqrt((PIXELS - ones) / ones)), 1e-5);
        sum = (w[0] * (PIXELS - ones) + w[1] * ones) / PIXELS;
        EXPECT_LE(fabs(sum - 1.0), 1e-6);
    }
    EXPECT(own[0].ce != plain[0].ce && own[1].ce != plain[1].ce && own[0].dice == plain[0].dice);
    vdni_network_set_shares(v.n, even); /* equal classes: plain cross entropy */
    pass(&v, &set[0], &set[1], 0);
    EXPECT_LE(fabs(set[0].ce - plain[0].ce), 1e-6);
    EXPECT_LE(fabs(set[1].ce - plain[1].ce), 1e-6);
    vdni_network_set_shares(v.n, NULL);
    pass(&v, &again[0], &again[1], 0);
    EXPECT(same(&again[0], &own[0]) && same(&again[1], &own[1]));
    close_world(&v);
}

/* 10 mean (p - m)^2 and nothing else, for a net that has a refiner and for validation too. */
static void the_priors_squared_error_is_a_loss(void)
{
    for (int i = 0; i < 2; i++) {
        world v;
        vdni_terms c;
        double sum = 0.0;
        open_world(&v, 1, VDNI_PREPARE_PLAIN);
        v.recipe.prior_mse = 10.0;
        v.recipe.prior_ce = v.recipe.prior_dice = 0.0;
        make(&v, i ? &validating : &training);
        EXPECT_OK(&v.ctx,
                  vdni_network_condition(&v.ctx, v.n, v.prior, &c, v.image, v.target, 1.0f));
        for (int k = 0; k < PIXELS; k++) sum += pow((double)v.prior[k] - v.target[k], 2);
        EXPECT_LE(fabs(c.total - 10.0 * sum / PIXELS), 1e-5 * c.total);
        EXPECT(c.total > 0.1f);
        close_world(&v);
    }
}

/* ---- several images in a pass ---- */

enum { IMAGES = 4 };
typedef struct {
    float image[IMAGES * PIXELS], prior[IMAGES * 3 * PIXELS];
    uint8_t target[IMAGES * PIXELS];
    vdni_terms c[IMAGES], d[IMAGES];
} several;

static void fill_several(several *s, int32_t k)
{
    net_random(s->image, IMAGES * PIXELS, 11);
    for (int i = 0; i < IMAGES * PIXELS; i++) {
        const float cut = 0.2f * (float)(i / PIXELS);
        s->target[i] = (uint8_t)((s->image[i] > cut) + (k > 1 && s->image[i] > cut + 0.3f));
        if (i % 37 == 0) s->target[i] = 255;
    }
}

/* All images, @p at_once in a pass. Each has its time, noise and dropout. */
static void pass_several(world *v, several *s, int32_t at_once)
{
    const vdni_network_options options = { H, W, VDNI_F32, 1, 0, at_once };
    const int32_t k = v->config.mask_channels;
    make(v, &options);
    for (int32_t first = 0; first < IMAGES; first += at_once) {
        vdni_refine_call calls[IMAGES];
        float *prior = s->prior + first * PIXELS * k;
        EXPECT_OK(&v->ctx, vdni_network_condition(&v->ctx, v->n, prior, s->c + first,
                                                  s->image + first * PIXELS,
                                                  s->target + first * PIXELS, 0.25f));
        for (int32_t i = 0; i < at_once; i++)
            calls[i] = (vdni_refine_call){
                .prior = prior + i * PIXELS * k,
                .target = s->target + (first + i) * PIXELS,
                .t = 100 + 250 * (first + i),
                .is_start = first + i == 2 && v->config.process != VDNI_PROCESS_BERNOULLI,
                .noise = { .seed = 1, .sample = (uint32_t)(first + i) },
                .drop = { .seed = 2, .sample = (uint32_t)(first + i) },
                .scale = 0.25f,
            };
        if (vdni_has_refiner(&v->config))
            EXPECT_OK(&v->ctx, vdni_network_refine(&v->ctx, v->n, s->d + first, calls));
    }
    drop_network(v);
}

static double terms_apart(const vdni_terms *a, const vdni_terms *b)
{
    const float *x = &a->total, *y = &b->total;
    double worst = 0.0;
    for (int i = 0; i < 4 * IMAGES; i++)
        worst = fmax(worst, fabs((double)x[i] - y[i]) / (fabs((double)y[i]) + 1e-3));
    return worst;
}

typedef struct {
    const char *network;
    int32_t k;
    double drop;
    int32_t detach, norm_in;
    vdni_param param;
    vdni_process process;
    vdni_seg_loss form;
    vdni_nsa_kind nsa;
} several_case;

static void open_several(world *v, const several_case *c, uint32_t flags)
{
    vdni_domain domain;
    open_world(v, 1, flags);
    vdn_model_free(v->model);
    free(v->gradients);
    EXPECT_OK(&v->ctx, vdni_config_set_network(&v->ctx, &v->config, c->network));
    if (v->config.deep_supervision) {
        v->config.condition_levels = 3;
        v->config.pad_multiple = 4;
    }
    v->config.mask_channels = c->k;
    v->config.param = c->param;
    v->config.process = c->process;
    v->config.norm_in = c->norm_in;
    v->config.nsa = c->nsa;
    if (c->param != VDNI_PARAM_X0 || c->process == VDNI_PROCESS_BERNOULLI) v->config.prior_skip = 0;
    v->recipe.detach = c->detach;
    v->recipe.condition_drop = c->drop;
    v->recipe.seg = vdni_size_loss_plain();
    v->recipe.seg.form = c->form;
    vdni_domain_binary(&domain, "vertebra", 1);
    if (c->k > 1) domain.classes = c->k;
    EXPECT_OK(&v->ctx, vdni_model_create(&v->ctx, &v->model, &v->config, &domain, 1));
    if (!v->model) exit(1);
    const int64_t count = v->model->parameters.total_floats;
    v->gradients = net_floats(count);
    net_random(v->model->values, count, 3);
    for (int64_t i = 0; i < count; i++) v->model->values[i] *= 0.4f;
}

/* As one after the other: losses, priors and the sum of the gradients, but for rounding. */
static void images_of_a_pass_do_not_meet(void)
{
    static const several_case cases[] = {
        { .network = "verdiff", .k = 1, .drop = 0.3, .detach = 1, .nsa = VDNI_NSA_MASK_SOFT },
        { .network = "verdiff", .k = 3, .detach = 0, .norm_in = 1, .form = VDNI_SEG_SA_INVPOW },
        { .network = "verdiff", .k = 1, .detach = 1, .form = VDNI_SEG_SA_INVPOW },
        { .network = "verdiff", .k = 1, .detach = 0, .drop = 0.3, .param = VDNI_PARAM_EPS_BCE },
        { .network = "verdiff", .k = 1, .detach = 1, .param = VDNI_PARAM_LITERAL },
        { .network = "verdiff", .k = 3, .detach = 1, .process = VDNI_PROCESS_BERNOULLI },
        { .network = "msff", .k = 3, .detach = 1, .form = VDNI_SEG_SA_INVPOW },
        { .network = "nnunet2d", .k = 3, .detach = 1 }, /* scores of lower levels too */
    };
    double worst = 0.0, worst_gradient = 0.0;
    for (int i = 0; i < 16; i++) {
        static several one, many;
        world v;
        open_several(&v, &cases[i / 2], i % 2 ? 0 : VDNI_PREPARE_PLAIN);
        const int64_t count = v.model->parameters.total_floats;
        float *wanted = net_floats(count);
        memset(&one, 0, sizeof one);
        fill_several(&one, v.config.mask_channels);
        many = one;
        pass_several(&v, &one, 1);
        memcpy(wanted, v.gradients, 4 * (size_t)count);
        double largest = 0.0;
        for (int64_t g = 0; g < count; g++) largest = fmax(largest, fabs((double)wanted[g]));
        EXPECT_LE(1e-3, largest);
        for (int32_t at_once = 2; at_once <= 4; at_once += 2) {
            double apart = 0.0;
            memset(v.gradients, 0, 4 * (size_t)count);
            pass_several(&v, &many, at_once);
            worst = fmax(worst, fmax(terms_apart(many.c, one.c), terms_apart(many.d, one.d)));
            EXPECT_LE(net_distance(many.prior, one.prior, IMAGES * PIXELS * v.config.mask_channels),
                      1e-5);
            for (int64_t g = 0; g < count; g++)
                apart = fmax(apart, fabs((double)v.gradients[g] - wanted[g]));
            worst_gradient = fmax(worst_gradient, apart / largest);
            EXPECT_LE(apart / largest, 1e-5);
        }
        EXPECT(memcmp(&one.c[0], &one.c[1], sizeof one.c[0]) != 0);
        free(wanted);
        close_world(&v);
    }
    printf("  losses %.1e, gradients %.1e of the largest\n", worst, worst_gradient);
    EXPECT_LE(worst, 2e-6);
}

static void threads_change_no_bit(void)
{
    for (int fast = 0; fast < 2; fast++) {
        float *kept = NULL;
        vdni_terms c[2], d[2];
        for (int32_t threads = 1; threads <= 2; threads++) {
            world v;
            open_world(&v, threads, fast ? 0 : VDNI_PREPARE_PLAIN);
            make(&v, &training);
            pass(&v, &c[threads - 1], &d[threads - 1], 0);
            const size_t bytes = 4 * (size_t)v.model->parameters.total_floats;
            if (threads == 1) {
                kept = malloc(bytes);
                memcpy(kept, v.gradients, bytes);
            } else {
                EXPECT(memcmp(kept, v.gradients, bytes) == 0);
                EXPECT(same(&c[0], &c[1]) && same(&d[0], &d[1]));
            }
            close_world(&v);
        }
        free(kept);
    }
}

static void a_pass_allocates_nothing(void)
{
    for (int fast = 0; fast < 2; fast++) {
        world v;
        vdni_terms c, d;
        open_world(&v, 1, fast ? 0 : VDNI_PREPARE_PLAIN);
        v.recipe.condition_drop = 0.2;
        v.recipe.detach = 0;
        make(&v, &training);
        pass(&v, &c, &d, 0);
        const int64_t allocations = v.ctx.allocations;
        v.version++;
        for (uint32_t i = 0; i < 3; i++) pass(&v, &c, &d, i);
        EXPECT(v.ctx.allocations == allocations);
        close_world(&v);
    }
}

static struct {
    const vdni_backend *real;
    vdni_backend table;
    int64_t bytes, workspace;
} spy;

static vdn_status spy_allocate(vdn_ctx *ctx, vdni_device *device, void **out, int64_t bytes)
{
    spy.bytes += bytes;
    return spy.real->allocate(ctx, device, out, bytes);
}

static vdn_status spy_prepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    const vdn_status status = spy.real->prepare(ctx, device, op);
    if (op->workspace_bytes > spy.workspace) spy.workspace = op->workspace_bytes;
    return status;
}

/* The estimate is everything that create takes on the device but the operators' workspace. */
static void the_estimate_is_what_creation_takes(void)
{
    for (int i = 0; i < 4; i++) {
        world v;
        int64_t estimate = 0;
        const vdni_network_options o = { H, W, i / 2 ? VDNI_BF16 : VDNI_F32, 1, 0, 1 };
        open_world(&v, 1, VDNI_PREPARE_PLAIN);
        v.recipe.detach = i % 2;
        v.recipe.condition_drop = 0.2;
        const int64_t held = v.ctx.now_bytes;
        EXPECT_OK(&v.ctx, vdni_network_estimate(&v.ctx, &estimate, &v.config, &v.recipe, H, W,
                                                o.activation));
        EXPECT(v.ctx.now_bytes == held);
        memset(&spy, 0, sizeof spy);
        spy.real = v.ctx.backend;
        spy.table = *v.ctx.backend;
        spy.table.allocate = spy_allocate;
        spy.table.prepare = spy_prepare;
        v.ctx.backend = &spy.table;
        make(&v, &o);
        EXPECT(spy.bytes == estimate + spy.workspace);
        close_world(&v);
    }
}

static void what_cannot_be_is_refused(void)
{
    world v;
    const vdni_network_options odd = { 15, 12, VDNI_F32, 1, 0, 1 };
    open_world(&v, 1, VDNI_PREPARE_PLAIN);
    EXPECT(create(&v, &odd) == VDN_ERR_ARGUMENT && v.n == NULL && v.ctx.error[0]);
    v.recipe.detach = 0;
    v.recipe.prior_warmup = 5;
    EXPECT(create(&v, &training) == VDN_ERR_ARGUMENT && v.n == NULL);
    EXPECT(strstr(v.ctx.error, "warm-up of 5 steps needs detach") != NULL);
    close_world(&v);
}

static void survives_every_refused_allocation(void)
{
    world v;
    int64_t refuse = 0;
    open_world(&v, 1, 0);
    const int64_t held = v.ctx.now_bytes;
    for (; refuse < 1000; refuse++) {
        v.ctx.refuse_after = v.ctx.allocations + refuse;
        const vdn_status status = create(&v, &training);
        v.ctx.refuse_after = -1;
        EXPECT((status == VDN_OK) == (v.n != NULL));
        EXPECT(status == VDN_OK || status == VDN_ERR_MEMORY);
        drop_network(&v);
        EXPECT(v.ctx.now_bytes == held);
        if (status == VDN_OK) break;
    }
    EXPECT(refuse > 20 && refuse < 1000);
    close_world(&v);
}

int main(void)
{
    RUN(images_of_a_pass_do_not_meet);
    RUN(validation_sees_the_losses_of_training_without_dropout);
    RUN(dropout_is_keyed_and_inside_the_refiner);
    RUN(dropout_keeps_the_mean);
    RUN(detached_the_refiner_leaves_the_condition_net_alone);
    RUN(scale_multiplies_the_gradient_only);
    RUN(ignored_pixels_have_no_loss);
    RUN(a_size_adaptive_loss_weighs_the_classes);
    RUN(the_priors_squared_error_is_a_loss);
    RUN(threads_change_no_bit);
    RUN(a_pass_allocates_nothing);
    RUN(the_estimate_is_what_creation_takes);
    RUN(what_cannot_be_is_refused);
    RUN(survives_every_refused_allocation);
    return test_result();
}
