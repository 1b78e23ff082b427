/* The network as it is trained; that its numbers are right is test_golden.c's. */
#include "Train/network.h"

#include "Net/model.h"
#include "net_test.h"

enum { H = 16, W = 12, PIXELS = H * W };

typedef struct {
    vdn_ctx ctx;
    vdn_model *model;
    vdni_config config;
    vdni_recipe recipe;
    vdni_schedule *schedule;
    vdni_network *n;
    float *gradients;
    uint64_t version;
    float image[PIXELS], prior[3 * PIXELS];
    uint8_t target[PIXELS];
} world;

static const vdni_network_options training = { H, W, VDNI_F32, 1, 0 },
                                  validating = { H, W, VDNI_F32, 0, 0 };

static void open_world(world *v, int32_t threads, uint32_t flags)
{
    vdni_domain domain;
    memset(v, 0, sizeof *v);
    net_open(&v->ctx, threads, flags);
    EXPECT(vdni_config_get(&v->ctx, &v->config, "unit") == VDN_OK);
    vdni_domain_binary(&domain, "vertebra", 1);
    EXPECT_OK(&v->ctx, vdni_model_create(&v->ctx, &v->model, &v->config, &domain, 1));
    EXPECT_OK(&v->ctx, vdni_schedule_create(&v->ctx, &v->schedule, VDNI_SCHEDULE_LINEAR, 1000));
    if (!v->model || !v->schedule) exit(1);
    v->recipe = (vdni_recipe){ .simple = 1.0,
                               .ce = 1.0,
                               .dice = 1.0,
                               .prior_ce = 1.0,
                               .prior_dice = 1.0,
                               .snr_clip = 5.0,
                               .detach = 1 };
    v->gradients = net_floats(v->model->parameters.total_floats);
    net_random(v->model->values, v->model->parameters.total_floats, 3);
    for (int64_t i = 0; i < v->model->parameters.total_floats; i++) v->model->values[i] *= 0.4f;
    net_random(v->image, PIXELS, 5);
    for (int i = 0; i < PIXELS; i++) v->target[i] = v->image[i] > 0.3f;
    v->version = 1;
}

static vdn_status create(world *v, const vdni_network_options *options)
{
    const vdni_network_weights weights = { &v->model->parameters, v->model->values,
                                           options->training ? v->gradients : NULL, &v->version };
    vdni_clear_error(&v->ctx);
    return vdni_network_create(&v->ctx, &v->n, &v->config, &v->recipe, v->schedule, &weights,
                               options);
}

static void make(world *v, const vdni_network_options *options)
{
    EXPECT_OK(&v->ctx, create(v, options));
    if (!v->n) exit(1);
}

static void drop_network(world *v)
{
    vdni_network_free(&v->ctx, v->n);
    v->n = NULL;
}

static void close_world(world *v)
{
    drop_network(v);
    vdni_network_free(&v->ctx, NULL);
    vdni_schedule_free(&v->ctx, v->schedule);
    vdn_model_free(v->model);
    free(v->gradients);
    net_close(&v->ctx);
}

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
        EXPECT_OK(&v.ctx, vdni_network_condition(&v.ctx, v.n, v.prior, &c, v.image, v.target, 1.0f));
        for (int k = 0; k < PIXELS; k++) sum += pow((double)v.prior[k] - v.target[k], 2);
        EXPECT_LE(fabs(c.total - 10.0 * sum / PIXELS), 1e-5 * c.total);
        EXPECT(c.total > 0.1f);
        close_world(&v);
    }
}

enum { DEEP_H = 32, DEEP_W = 24, DEEP = DEEP_H * DEEP_W };
typedef struct {
    world v;
    float image[DEEP], prior[DEEP];
    uint8_t target[DEEP];
} deep_world;

static void open_deep(deep_world *d)
{
    vdni_domain domain;
    world *v = &d->v;
    open_world(v, 1, VDNI_PREPARE_PLAIN);
    vdn_model_free(v->model);
    free(v->gradients);
    EXPECT_OK(&v->ctx, vdni_config_set_network(&v->ctx, &v->config, "nnunet2d"));
    v->config.condition_levels = 4;
    v->config.pad_multiple = 8;
    vdni_domain_binary(&domain, "vertebra", 1);
    EXPECT_OK(&v->ctx, vdni_model_create(&v->ctx, &v->model, &v->config, &domain, 3));
    if (!v->model) exit(1);
    v->gradients = net_floats(v->model->parameters.total_floats);
    net_random(d->image, DEEP, 6);
    for (int i = 0; i < DEEP; i++) d->target[i] = d->image[i] > 0.2f;
    const vdni_network_options options = { DEEP_H, DEEP_W, VDNI_F32, 1, 0 };
    make(v, &options);
}

static vdni_terms deep_pass(deep_world *d)
{
    vdni_terms c = { 0 };
    d->v.version++;
    EXPECT_OK(&d->v.ctx, vdni_network_condition(&d->v.ctx, d->v.n, d->prior, &c, d->image,
                                                d->target, 1.0f));
    return c;
}

/* Slopes of the total at some values of parameter @p name. */
static void expect_deep_slopes(deep_world *d, const char *name)
{
    const vdni_parameter *p = NULL;
    world *v = &d->v;
    const float step = 1.0f / 128.0f;
    double largest = 1e-3;
    for (int64_t i = 0; i < v->model->parameters.count; i++)
        if (strcmp(v->model->parameters.items[i].name, name) == 0)
            p = &v->model->parameters.items[i];
    EXPECT(p != NULL);
    if (!p) return;
    const int64_t count = p->n * p->h * p->w * p->c, stride = count > 8 ? count / 8 : 1;
    memset(v->gradients, 0, (size_t)v->model->parameters.total_floats * sizeof *v->gradients);
    (void)deep_pass(d);
    float *found = net_floats(count), *x = v->model->values + p->offset;
    memcpy(found, v->gradients + p->offset, (size_t)count * sizeof *found);
    for (int64_t i = 0; i < count; i++) largest = fmax(largest, fabs((double)found[i]));
    for (int64_t i = 0; i < count; i += stride) {
        const float kept = x[i];
        x[i] = kept + step;
        const double above = deep_pass(d).total;
        x[i] = kept - step;
        const double below = deep_pass(d).total;
        x[i] = kept;
        EXPECT_LE(fabs((above - below) / (2.0 * step) - found[i]), 3e-2 * largest);
    }
    free(found);
}

/* Four levels: scores of two of them, with shares of 2/3 and 1/3; labels of the upper left of each
 * middle; the total is of both, the other terms of the result. */
static void lower_levels_are_supervised(void)
{
    static const char *const names[] = { "cond.head.weight", "cond.deep1.weight",
                                         "cond.deep1.bias", "cond.dec2.conv1.weight",
                                         "cond.enc3.norm1.gamma" };
    deep_world d;
    open_deep(&d);
    const vdni_terms c = deep_pass(&d);
    const vdni_tensor *few = vdni_network_tensor(d.v.n, 0, "target1");
    const vdni_tensor *terms = vdni_network_tensor(d.v.n, 0, "terms1");
    EXPECT(few && terms && few->h == DEEP_H / 2 && few->w == DEEP_W / 2);
    EXPECT(vdni_network_tensor(d.v.n, 0, "terms2") == NULL);
    for (int i = 0; few && i < DEEP / 4; i++)
        EXPECT(((const uint8_t *)few->data)[i] ==
               d.target[2 * (i / (DEEP_W / 2)) * DEEP_W + 2 * (i % (DEEP_W / 2))]);
    if (terms) {
        const float *deep = terms->data;
        EXPECT_LE(fabs(c.total - (c.ce + c.dice) / 1.5 - (deep[2] + deep[3]) / 3.0), 1e-5);
        EXPECT(deep[2] > 0.1f && deep[3] > 0.1f);
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) expect_deep_slopes(&d, names[i]);
    const int64_t bytes = d.v.model->parameters.total_floats * (int64_t)sizeof(float);
    float *kept = net_floats(d.v.model->parameters.total_floats);
    for (int again = 0; again < 2; again++) { /* computed again in the backward pass: the same bits */
        const vdni_network_options sparing = { DEEP_H, DEEP_W, VDNI_F32, 1, again };
        drop_network(&d.v);
        make(&d.v, &sparing);
        memset(d.v.gradients, 0, (size_t)bytes);
        (void)deep_pass(&d);
        if (!again) memcpy(kept, d.v.gradients, (size_t)bytes);
    }
    EXPECT(memcmp(kept, d.v.gradients, (size_t)bytes) == 0);
    free(kept);
    drop_network(&d.v);
    const vdni_network_options options = { DEEP_H, DEEP_W, VDNI_F32, 0, 0 };
    make(&d.v, &options);
    const vdni_terms seen = deep_pass(&d); /* validation has the result only */
    EXPECT_LE(fabs(seen.total - seen.ce - seen.dice), 1e-5);
    EXPECT_LE(fabs(seen.ce - c.ce), 1e-5);
    close_world(&d.v);
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
        const vdni_network_options o = { H, W, i / 2 ? VDNI_BF16 : VDNI_F32, 1, 0 };
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
    const vdni_network_options odd = { 15, 12, VDNI_F32, 1, 0 };
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
    RUN(validation_sees_the_losses_of_training_without_dropout);
    RUN(dropout_is_keyed_and_inside_the_refiner);
    RUN(dropout_keeps_the_mean);
    RUN(detached_the_refiner_leaves_the_condition_net_alone);
    RUN(scale_multiplies_the_gradient_only);
    RUN(ignored_pixels_have_no_loss);
    RUN(a_size_adaptive_loss_weighs_the_classes);
    RUN(the_priors_squared_error_is_a_loss);
    RUN(lower_levels_are_supervised);
    RUN(threads_change_no_bit);
    RUN(a_pass_allocates_nothing);
    RUN(the_estimate_is_what_creation_takes);
    RUN(what_cannot_be_is_refused);
    RUN(survives_every_refused_allocation);
    return test_result();
}
