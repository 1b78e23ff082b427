/* A small network with everything it is made from: what the tests of Train/network.h share. */
#ifndef VDNI_NETWORK_FIXTURE_H
#define VDNI_NETWORK_FIXTURE_H

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

static inline void open_world(world *v, int32_t threads, uint32_t flags)
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

static inline vdn_status create(world *v, const vdni_network_options *options)
{
    const vdni_network_weights weights = { &v->model->parameters, v->model->values,
                                           options->training ? v->gradients : NULL, &v->version };
    vdni_clear_error(&v->ctx);
    return vdni_network_create(&v->ctx, &v->n, &v->config, &v->recipe, v->schedule, &weights,
                               options);
}

static inline void make(world *v, const vdni_network_options *options)
{
    EXPECT_OK(&v->ctx, create(v, options));
    if (!v->n) exit(1);
}

static inline void drop_network(world *v)
{
    vdni_network_free(&v->ctx, v->n);
    v->n = NULL;
}

static inline void close_world(world *v)
{
    drop_network(v);
    vdni_network_free(&v->ctx, NULL);
    vdni_schedule_free(&v->ctx, v->schedule);
    vdn_model_free(v->model);
    free(v->gradients);
    net_close(&v->ctx);
}

#endif
