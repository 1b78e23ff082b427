#include "Train/training_time.h"

#include "Net/model.h"
#include "Train/network.h"
#include "net_test.h"

enum { T = 1000, START = 300, STEPS = 12000, BATCH = 8 };

typedef struct {
    int64_t hits[T + 1]; /* of times that are no start */
    int64_t starts, all;
    int64_t strata[BATCH]; /* images outside their part of the times */
} tally;

static const vdni_config config = { .time_steps = T, .sample_start = START };

static vdni_noise_key key_of(int64_t step, int32_t image)
{
    return (vdni_noise_key){ .seed = 35,
                             .purpose = VDNI_FOR_TRAINING_TIME,
                             .step = (uint32_t)step,
                             .sample = (uint32_t)image };
}

static void draw_all(tally *out, const vdni_recipe *recipe)
{
    const int32_t latest = vdni_training_time_latest(recipe, &config);
    memset(out, 0, sizeof *out);
    for (int64_t step = 1; step <= STEPS; step++)
        for (int32_t j = 0; j < recipe->batch; j++) {
            const vdni_noise_key key = key_of(step, j);
            const vdni_training_time time = vdni_training_time_draw(recipe, &config, &key, j);
            out->all++;
            EXPECT(time.t >= 1 && time.t <= (time.is_start ? T : latest));
            if (time.t < 1 || time.t > T) continue;
            if (time.is_start) {
                EXPECT(time.t == START);
                out->starts++;
                continue;
            }
            out->hits[time.t]++;
            const int32_t low =
                j * latest / recipe->batch; /* parts may share a time at their edges */
            const int32_t high = ((j + 1) * latest + recipe->batch - 1) / recipe->batch;
            out->strata[j] += time.t <= low || time.t > high;
        }
}

/* The sum of (found - wanted)^2 / wanted over the times has the mean and twice the variance of its
 * degrees of freedom. */
static void expect_uniform(const tally *found, int32_t latest)
{
    const double wanted = (double)(found->all - found->starts) / latest;
    double chi = 0.0;
    for (int t = 1; t <= latest; t++) chi += pow((double)found->hits[t] - wanted, 2) / wanted;
    for (int t = latest + 1; t <= T; t++) EXPECT(found->hits[t] == 0);
    EXPECT_LE(fabs(chi - latest), 5.0 * sqrt(2.0 * latest));
}

static void times_are_uniform_up_to_the_latest(void)
{
    static const int32_t latest[3] = { 0, 500, 1000 };
    for (int i = 0; i < 6; i++) {
        const vdni_recipe recipe = { .batch = i / 3 ? BATCH : 1, .latest_time = latest[i % 3] };
        tally found;
        draw_all(&found, &recipe);
        EXPECT(found.starts == 0);
        expect_uniform(&found, latest[i % 3] ? latest[i % 3] : T);
        for (int j = 0; j < recipe.batch; j++) EXPECT(found.strata[j] == 0);
    }
}

/* Each for itself: every image of a step meets every time. */
static void uniform_times_are_not_stratified(void)
{
    const vdni_recipe recipe = { .batch = BATCH, .time_draw = VDNI_TIMES_UNIFORM };
    tally found;
    draw_all(&found, &recipe);
    expect_uniform(&found, T);
    for (int j = 0; j < BATCH; j++) EXPECT_LE(fabs(found.strata[j] / (double)STEPS - 0.875), 0.02);
}

/* Without the later keys a training draws what it always drew. */
static void the_default_is_the_stratified_time(void)
{
    const vdni_recipe recipe = { .batch = BATCH };
    for (int64_t step = 1; step < 500; step++)
        for (int32_t j = 0; j < BATCH; j++) {
            const vdni_noise_key key = key_of(step, j);
            const vdni_training_time time = vdni_training_time_draw(&recipe, &config, &key, j);
            EXPECT(time.t == vdni_stratified_time(T, j, BATCH, vdni_philox_uniform(&key, 0)));
            EXPECT(!time.is_start);
        }
}

static void a_share_of_the_images_begins_where_the_sampler_does(void)
{
    static const double p[4] = { 0.25, 0.25, 0.03, 1.0 };
    for (int i = 0; i < 4; i++) {
        const vdni_recipe recipe = { .batch = i ? BATCH : 1,
                                     .latest_time = 400,
                                     .start_state = p[i] };
        tally found;
        draw_all(&found, &recipe);
        const double n = (double)found.all;
        EXPECT_LE(fabs((double)found.starts - n * p[i]), 5.0 * sqrt(n * p[i] * (1.0 - p[i])));
        if (p[i] < 1.0) expect_uniform(&found, 400);
    }
}

/* Whether an image is a start says nothing of its time: the others keep the times they had. */
static void starts_leave_the_other_times_alone(void)
{
    const vdni_recipe without = { .batch = BATCH }, with = { .batch = BATCH, .start_state = 0.5 };
    int64_t kept = 0;
    for (int64_t step = 1; step < 500; step++)
        for (int32_t j = 0; j < BATCH; j++) {
            const vdni_noise_key key = key_of(step, j);
            const vdni_training_time a = vdni_training_time_draw(&without, &config, &key, j);
            const vdni_training_time b = vdni_training_time_draw(&with, &config, &key, j);
            if (b.is_start) continue;
            EXPECT(a.t == b.t);
            kept++;
        }
    EXPECT(kept > 1800 && kept < 2200);
}

/* ---- the state that the net is given, seen at the back end ---- */

enum { H = 16, W = 12, PIXELS = H * W };

static struct {
    const vdni_backend *real;
    vdni_backend table;
    float noise[PIXELS], state[PIXELS]; /* drawn; x_t */
} seen;

static vdn_status seen_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    const vdn_status status = seen.real->run(ctx, device, op, workspace);
    const int is_sum = op->kind == VDNI_OP_COMBINE && op->in[3]; /* of the prior too */
    if (op->kind == VDNI_OP_NOISE) memcpy(seen.noise, op->out[0]->data, sizeof seen.noise);
    if (is_sum || op->kind == VDNI_OP_DRAW) memcpy(seen.state, op->out[0]->data, sizeof seen.state);
    return status;
}

typedef struct {
    vdn_ctx ctx;
    vdn_model *model;
    vdni_schedule *schedule;
    vdni_network *net;
    uint64_t version;
    float *gradients, image[PIXELS], prior[PIXELS];
    uint8_t target[PIXELS];
} world;

static void open_world(world *v, vdni_process process)
{
    const vdni_recipe recipe = { .simple = 1.0, .ce = 1.0, .prior_ce = 1.0, .detach = 1 };
    vdni_config unit;
    vdni_domain domain;
    memset(v, 0, sizeof *v);
    net_open(&v->ctx, 1, VDNI_PREPARE_PLAIN);
    seen.real = v->ctx.backend;
    seen.table = *v->ctx.backend;
    seen.table.run = seen_run;
    v->ctx.backend = &seen.table;
    EXPECT(vdni_config_get(&v->ctx, &unit, "unit") == VDN_OK);
    unit.process = process;
    unit.prior_skip = process != VDNI_PROCESS_BERNOULLI;
    vdni_domain_binary(&domain, "vertebra", 1);
    EXPECT_OK(&v->ctx, vdni_model_create(&v->ctx, &v->model, &unit, &domain, 1));
    EXPECT_OK(&v->ctx, vdni_schedule_create(&v->ctx, &v->schedule, VDNI_SCHEDULE_LINEAR, T));
    v->gradients = net_floats(v->model->parameters.total_floats);
    const vdni_network_weights weights = { &v->model->parameters, v->model->values, v->gradients,
                                           &v->version };
    const vdni_network_options options = { .height = H, .width = W, .training = 1 };
    EXPECT_OK(&v->ctx, vdni_network_create(&v->ctx, &v->net, &unit, &recipe, v->schedule, &weights,
                                           &options));
    if (!v->net) exit(1);
    net_random(v->image, PIXELS, 5);
    for (int i = 0; i < PIXELS; i++) v->target[i] = v->image[i] > 0.3f;
}

static void close_world(world *v)
{
    vdni_network_free(&v->ctx, v->net);
    vdni_schedule_free(&v->ctx, v->schedule);
    vdn_model_free(v->model);
    free(v->gradients);
    v->ctx.backend = seen.real;
    net_close(&v->ctx);
}

/* The state of one image at @p time. */
static void see(world *v, vdni_training_time time, const uint8_t *target)
{
    vdni_terms c, d;
    EXPECT_OK(&v->ctx,
              vdni_network_condition(&v->ctx, v->net, v->prior, &c, v->image, v->target, 1.0f));
    const vdni_refine_call call = { .prior = v->prior,
                                    .target = target,
                                    .t = time.t,
                                    .is_start = time.is_start,
                                    .noise = { .seed = 1, .purpose = VDNI_FOR_TRAINING_NOISE },
                                    .scale = 1.0f };
    EXPECT_OK(&v->ctx, vdni_network_refine(&v->ctx, v->net, &d, &call));
    EXPECT(isfinite(d.total) && d.total > 0.0f);
}

/* model.md 1.7: f + sqrt(1 - abar) n; without a shift sqrt(abar) f in its place; flips: coins of f. The
 * mask is not in it, only in the loss. */
static void a_start_state_is_the_samplers(void)
{
    const vdni_training_time start = { START, 1 }, later = { START, 0 };
    for (int p = 0; p < VDNI_PROCESSES; p++) {
        world v;
        float first[PIXELS];
        uint8_t other[PIXELS];
        open_world(&v, (vdni_process)p);
        const double left = v.schedule->abar[START];
        const double kept = p == VDNI_PROCESS_DDPM ? sqrt(left) : 1.0;
        see(&v, start, v.target);
        for (int i = 0; i < PIXELS; i++) {
            const double coin = 0.5 * erfc(-seen.noise[i] / sqrt(2.0)) < v.prior[i];
            const double f = 0.3 * (2.0 * v.prior[i] - 1.0);
            const double sum = kept * f + sqrt(1.0 - left) * seen.noise[i];
            EXPECT_LE(fabs(seen.state[i] - (p == VDNI_PROCESS_BERNOULLI ? coin : sum)), 1e-6);
            other[i] = !v.target[i];
        }
        memcpy(first, seen.state, sizeof first);
        see(&v, start, other);
        EXPECT(memcmp(first, seen.state, sizeof first) == 0);
        see(&v, later, other); /* x_t does know the mask */
        EXPECT(memcmp(first, seen.state, sizeof first) != 0);
        close_world(&v);
    }
}

int main(void)
{
    RUN(times_are_uniform_up_to_the_latest);
    RUN(uniform_times_are_not_stratified);
    RUN(the_default_is_the_stratified_time);
    RUN(a_share_of_the_images_begins_where_the_sampler_does);
    RUN(starts_leave_the_other_times_alone);
    RUN(a_start_state_is_the_samplers);
    return test_result();
}
