/* Scores of lower levels in the network as it is trained. */
#include "network_fixture.h"

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
    const vdni_network_options options = { DEEP_H, DEEP_W, VDNI_F32, 1, 0, 1 };
    make(v, &options);
}

static vdni_terms deep_pass(deep_world *d)
{
    vdni_terms c = { 0 };
    d->v.version++;
    EXPECT_OK(&d->v.ctx,
              vdni_network_condition(&d->v.ctx, d->v.n, d->prior, &c, d->image, d->target, 1.0f));
    return c;
}

/* Two images in a pass: each has its own labels at every level, and its own losses. */
static void lower_levels_of_a_pass_do_not_meet(void)
{
    static const vdni_network_options both = { DEEP_H, DEEP_W, VDNI_F32, 1, 0, 2 };
    static float image[2 * DEEP], prior[2 * DEEP];
    static uint8_t target[2 * DEEP];
    vdni_terms one[2], two[2];
    deep_world d;
    open_deep(&d);
    const int64_t count = d.v.model->parameters.total_floats;
    float *wanted = net_floats(count);
    for (int n = 0; n < 2; n++) {
        for (int i = 0; n == 1 && i < DEEP; i++) {
            d.image[i] = -d.image[i];
            d.target[i] = d.image[i] > 0.4f;
        }
        one[n] = deep_pass(&d);
        memcpy(image + n * DEEP, d.image, sizeof d.image);
        memcpy(target + n * DEEP, d.target, sizeof d.target);
    }
    memcpy(wanted, d.v.gradients, 4 * (size_t)count);
    memset(d.v.gradients, 0, 4 * (size_t)count);
    drop_network(&d.v);
    make(&d.v, &both);
    EXPECT_OK(&d.v.ctx, vdni_network_condition(&d.v.ctx, d.v.n, prior, two, image, target, 1.0f));
    for (int n = 0; n < 2; n++) EXPECT_LE(fabs(one[n].total - two[n].total), 2e-6);
    EXPECT(fabs(one[0].total - one[1].total) > 1e-3);
    double largest = 0.0, apart = 0.0;
    for (int64_t g = 0; g < count; g++) {
        largest = fmax(largest, fabs((double)wanted[g]));
        apart = fmax(apart, fabs((double)d.v.gradients[g] - wanted[g]));
    }
    EXPECT_LE(apart, 1e-5 * largest);
    free(wanted);
    close_world(&d.v);
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
    static const char *const names[] = { "cond.head.weight", "cond.deep1.weight", "cond.deep1.bias",
                                         "cond.dec2.conv1.weight", "cond.enc3.norm1.gamma" };
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
    for (int again = 0; again < 2;
         again++) { /* computed again in the backward pass: the same bits */
        const vdni_network_options sparing = { DEEP_H, DEEP_W, VDNI_F32, 1, again, 1 };
        drop_network(&d.v);
        make(&d.v, &sparing);
        memset(d.v.gradients, 0, (size_t)bytes);
        (void)deep_pass(&d);
        if (!again) memcpy(kept, d.v.gradients, (size_t)bytes);
    }
    EXPECT(memcmp(kept, d.v.gradients, (size_t)bytes) == 0);
    free(kept);
    drop_network(&d.v);
    const vdni_network_options options = { DEEP_H, DEEP_W, VDNI_F32, 0, 0, 1 };
    make(&d.v, &options);
    const vdni_terms seen = deep_pass(&d); /* validation has the result only */
    EXPECT_LE(fabs(seen.total - seen.ce - seen.dice), 1e-5);
    EXPECT_LE(fabs(seen.ce - c.ce), 1e-5);
    close_world(&d.v);
}

int main(void)
{
    RUN(lower_levels_are_supervised);
    RUN(lower_levels_of_a_pass_do_not_meet);
    return test_result();
}
