#include "Diffusion/sampler.h"

#include "Diffusion/process.h"
#include "Net/model.h"
#include "net_test.h"

enum { H = 16, W = 12, PIXELS = H * W };

/* A model, its image, and a sampler on it. */
typedef struct {
    vdn_ctx ctx;
    vdn_model *model;
    vdni_sampler *s;
    uint64_t version;
    float image[2 * PIXELS], prior[3 * PIXELS], p[3 * PIXELS];
} world;

static const vdni_sampler_options ddim = { H, W, VDNI_F32, 4, 500, 0.0, 1 };

static void open_world(world *v, int32_t threads, uint32_t flags, int32_t k)
{
    vdni_config config;
    vdni_domain domain;
    memset(v, 0, sizeof *v);
    net_open(&v->ctx, threads, flags);
    EXPECT(vdni_config_get(&v->ctx, &config, "unit") == VDN_OK);
    config.mask_channels = k;
    vdni_domain_binary(&domain, "vertebra", 1);
    if (k > 1) domain.classes = k;
    EXPECT_OK(&v->ctx, vdni_model_create(&v->ctx, &v->model, &config, &domain, 1));
    if (!v->model) exit(1);
    net_random(v->image, PIXELS, 5);
    v->version = 1;
}

/* Values that no layer leaves at zero. */
static void scramble(world *v)
{
    net_random(v->model->values, v->model->parameters.total_floats, 9);
    for (int64_t i = 0; i < v->model->parameters.total_floats; i++) v->model->values[i] *= 0.4f;
}

static void make(world *v, const vdni_sampler_options *options)
{
    const vdni_sampler_weights weights = { &v->model->parameters, v->model->values, &v->version };
    EXPECT_OK(&v->ctx, vdni_sampler_create(&v->ctx, &v->s, &v->model->config, &weights, options));
    if (!v->s) exit(1);
}

static void close_world(world *v)
{
    vdni_sampler_free(&v->ctx, v->s);
    vdni_sampler_free(&v->ctx, NULL);
    vdn_model_free(v->model);
    net_close(&v->ctx);
}

static void condition(world *v)
{
    EXPECT_OK(&v->ctx, vdni_sampler_condition(&v->ctx, v->s, v->prior, v->image));
}

static void sample(world *v, float *p, uint32_t number)
{
    const vdni_noise_key key = { .seed = 35, .sample = number };
    EXPECT_OK(&v->ctx, vdni_sampler_run(&v->ctx, v->s, p, &key));
}

/* model.md 7: at the start of training the mean of any number of samples is sigma(clip(logit, 4)),
 * softmax(clip(log p, 4)) for several classes. */
static void a_new_model_returns_its_prior(void)
{
    for (int32_t k = 1; k <= 3; k += 2) {
        world v;
        open_world(&v, 1, VDNI_PREPARE_PLAIN, k);
        make(&v, &ddim);
        condition(&v);
        for (int i = 0; i < PIXELS * k; i++) { /* a prior that the clip cuts on both sides */
            v.prior[i] = 0.5f * (1.0f + sinf((float)(i * i)));
            if (i % 7 == 0) v.prior[i] = i % 2 ? 0.001f : 0.999f;
        }
        for (int i = 0; k > 1 && i < PIXELS; i++) {
            float *p = v.prior + 3 * i;
            const float sum = p[0] + p[1] + p[2];
            for (int c = 0; c < 3; c++) p[c] /= sum;
        }
        EXPECT_OK(&v.ctx, vdni_sampler_set_prior(&v.ctx, v.s, v.prior));
        double mean[3 * PIXELS] = { 0.0 };
        for (uint32_t n = 0; n < 3; n++) {
            sample(&v, v.p, n);
            for (int i = 0; i < PIXELS * k; i++) mean[i] += v.p[i] / 3.0;
        }
        for (int i = 0; i < PIXELS; i++) {
            double wanted[3], sum = 0.0;
            for (int c = 0; c < k; c++) {
                const double p = v.prior[i * k + c];
                const double logit = k == 1 ? log(p / (1.0 - p)) : log(p);
                wanted[c] = exp(fmax(-4.0, fmin(4.0, logit)));
                sum += wanted[c];
            }
            for (int c = 0; c < k; c++)
                EXPECT_LE(fabs(mean[i * k + c] - wanted[c] / (k == 1 ? 1.0 + wanted[c] : sum)),
                          1e-6);
        }
        close_world(&v);
    }
}

/* The mean over the four flips, by hand: a flipped image through the plain network, flipped back. */
static void mirror_is_the_mean_over_the_flips(void)
{
    enum { K = 3 };
    world v;
    float given[PIXELS], mirrored[K * PIXELS];
    double mean[K * PIXELS] = { 0.0 };
    open_world(&v, 1, VDNI_PREPARE_PLAIN, K);
    scramble(&v);
    memcpy(given, v.image, sizeof given);
    v.model->config.network = VDNI_NETWORK_CONDITION;
    v.model->config.mirror = 1;
    make(&v, &ddim);
    condition(&v);
    memcpy(mirrored, v.prior, sizeof mirrored);
    sample(&v, v.p, 0);
    EXPECT(memcmp(v.p, mirrored, sizeof mirrored) == 0);
    vdni_sampler_free(&v.ctx, v.s);
    v.model->config.mirror = 0;
    make(&v, &ddim);
    for (int f = 0; f < 4; f++) {
        for (int i = 0; i < PIXELS; i++) {
            const int y = f / 2 ? H - 1 - i / W : i / W, x = f % 2 ? W - 1 - i % W : i % W;
            v.image[i] = given[y * W + x];
        }
        condition(&v);
        for (int i = 0; i < PIXELS; i++) {
            const int y = f / 2 ? H - 1 - i / W : i / W, x = f % 2 ? W - 1 - i % W : i % W;
            for (int c = 0; c < K; c++) mean[(y * W + x) * K + c] += v.prior[i * K + c] / 4.0;
        }
    }
    double moved = 0.0;
    for (int i = 0; i < K * PIXELS; i++) {
        EXPECT_LE(fabs(mirrored[i] - mean[i]), 1e-6);
        moved = fmax(moved, fabs(mirrored[i] - v.prior[i]));
    }
    EXPECT(moved > 1e-2);
    close_world(&v);
}

static void threads_and_order_change_no_bit(void)
{
    for (int fast = 0; fast < 2; fast++) {
        float first[3][PIXELS];
        for (int32_t threads = 1; threads <= 2; threads++) {
            world v;
            vdni_sampler_options o = ddim;
            o.eta = 0.7; /* with noise in every step */
            open_world(&v, threads, fast ? 0 : VDNI_PREPARE_PLAIN, 1);
            scramble(&v);
            make(&v, &o);
            condition(&v);
            for (uint32_t n = 0; n < 3; n++) {
                const uint32_t number = threads == 1 ? n : 2 - n; /* the other way round */
                sample(&v, v.p, number);
                if (threads == 1)
                    memcpy(first[n], v.p, sizeof first[n]);
                else
                    EXPECT(memcmp(first[number], v.p, sizeof first[number]) == 0);
            }
            close_world(&v);
        }
        EXPECT(memcmp(first[0], first[1], sizeof first[0]) != 0);
    }
}

static void eps_mode(vdni_config *c)
{
    c->param = VDNI_PARAM_EPS;
    c->prior_skip = 0;
}
static void learned_mode(vdni_config *c)
{
    eps_mode(c);
    c->learn_sigma = 1;
    c->process = VDNI_PROCESS_DDPM;
    c->fuse = VDNI_FUSE_STEM_ADD;
}
static void flip_mode(vdni_config *c)
{
    c->process = VDNI_PROCESS_BERNOULLI;
    c->prior_skip = 0;
    c->fuse = VDNI_FUSE_CONCAT;
    c->nsa = VDNI_NSA_K5;
}
static void hard_mode(vdni_config *c) { c->prior_hard = 1; }
static void learned_map_mode(vdni_config *c)
{
    c->nsa = VDNI_NSA_SK;
    c->norm_in = 1;
}

/* In every mode: probabilities that sum to 1, no bit by threads or batch, no allocation in a run. */
static void every_mode_gives_probabilities(void)
{
    enum { MODES = 5 };
    static void (*const modes[MODES])(vdni_config *) = { eps_mode, learned_mode, flip_mode, hard_mode,
                                                         learned_map_mode };
    for (int i = 0; i < 4 * MODES; i++) {
        static float first[3 * PIXELS];
        const int32_t k = i / MODES % 2 ? 3 : 1, threads = 1 + i / (2 * MODES);
        vdni_sampler_options o = ddim;
        vdni_config config;
        vdni_domain domain;
        world v;
        o.eta = 0.4;
        open_world(&v, threads, 0, k);
        config = v.model->config;
        domain = v.model->domain;
        modes[i % MODES](&config);
        vdn_model_free(v.model);
        EXPECT_OK(&v.ctx, vdni_model_create(&v.ctx, &v.model, &config, &domain, 1));
        scramble(&v);
        make(&v, &o);
        condition(&v);
        sample(&v, first, 1);
        const int64_t allocations = v.ctx.allocations;
        sample(&v, v.p, 2);
        EXPECT(memcmp(first, v.p, (size_t)(PIXELS * k) * sizeof *v.p) != 0);
        sample(&v, v.p, 1);
        EXPECT(v.ctx.allocations == allocations);
        EXPECT(memcmp(first, v.p, (size_t)(PIXELS * k) * sizeof *v.p) == 0);
        for (int p = 0; p < PIXELS; p++) {
            double sum = 0.0;
            for (int c = 0; c < k; c++) {
                EXPECT(v.p[p * k + c] >= 0.0f && v.p[p * k + c] <= 1.0f);
                sum += v.p[p * k + c];
            }
            if (k > 1) EXPECT_LE(fabs(sum - 1.0), 1e-5);
        }
        close_world(&v);
    }
}

/* Another image in between leaves nothing behind. */
static void an_image_is_forgotten_by_the_next(void)
{
    world v;
    float before[PIXELS];
    open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
    scramble(&v);
    make(&v, &ddim);
    condition(&v);
    sample(&v, before, 0);
    net_random(v.image, PIXELS, 77);
    condition(&v);
    sample(&v, v.p, 0);
    EXPECT(memcmp(before, v.p, sizeof before) != 0);
    net_random(v.image, PIXELS, 5);
    condition(&v);
    sample(&v, v.p, 0);
    EXPECT(memcmp(before, v.p, sizeof before) == 0);
    close_world(&v);
}

static void weights_may_change_between_runs(void)
{
    static const uint32_t flags[2] = { VDNI_PREPARE_PLAIN, 0 };
    for (int i = 0; i < 2; i++) {
        world v, fresh;
        open_world(&v, 1, flags[i], 1);
        make(&v, &ddim);
        condition(&v);
        sample(&v, v.p, 0);
        scramble(&v);
        v.version++;
        condition(&v);
        sample(&v, v.p, 0);
        open_world(&fresh, 1, flags[i], 1);
        scramble(&fresh);
        make(&fresh, &ddim);
        condition(&fresh);
        sample(&fresh, fresh.p, 0);
        EXPECT(memcmp(v.p, fresh.p, PIXELS * sizeof(float)) == 0);
        close_world(&fresh);
        close_world(&v);
    }
}

static void a_run_allocates_nothing(void)
{
    for (int fast = 0; fast < 2; fast++) {
        world v;
        open_world(&v, 1, fast ? 0 : VDNI_PREPARE_PLAIN, 1);
        make(&v, &ddim);
        condition(&v);
        sample(&v, v.p, 0);
        const int64_t allocations = v.ctx.allocations;
        condition(&v);
        EXPECT_OK(&v.ctx, vdni_sampler_set_prior(&v.ctx, v.s, v.prior));
        for (uint32_t n = 0; n < 3; n++) sample(&v, v.p, n);
        EXPECT(v.ctx.allocations == allocations);
        close_world(&v);
    }
}

/* ---- the recursion, seen at the back end ---- */

static struct {
    const vdni_backend *real;
    vdni_backend table;
    vdni_schedule *schedule;
    int64_t t, device_bytes, workspace_bytes;
    double worst;
    int steps;
} spy;

/* The noise of a step is a function of seed, sample and time. */
static void check_noise(const vdni_tensor *noise)
{
    const vdni_noise_key key = {
        .seed = 35, .purpose = VDNI_FOR_SAMPLER_STEP, .step = (uint32_t)spy.t, .sample = 2
    };
    float wanted[PIXELS];
    vdni_philox_normal(wanted, &key, 0, PIXELS);
    EXPECT(memcmp(wanted, noise->data, sizeof wanted) == 0);
}

/* Every COMBINE of a step against model.md 1.7: gamma0 x0 + gamma1 x + gamma2 f + sigma n. */
static vdn_status spy_run(vdn_ctx *ctx, vdni_device *device, const vdni_op *op, void *workspace)
{
    double wanted[PIXELS] = { 0.0 };
    const int is_step = op->kind == VDNI_OP_COMBINE && op->in[3] != NULL;
    if (is_step) {
        const vdni_schedule *s = spy.schedule;
        check_noise(op->in[4]);
        const double c[4] = { s->gamma0[spy.t], s->gamma1[spy.t], s->gamma2[spy.t],
                              s->sigma[spy.t] };
        const vdni_tensor *in[4] = { op->in[0], op->in[2], op->in[3], op->in[4] };
        for (int i = 0; i < PIXELS; i++)
            for (int j = 0; j < 4; j++) wanted[i] += c[j] * ((const float *)in[j]->data)[i];
    }
    const vdn_status status = spy.real->run(ctx, device, op, workspace);
    if (!is_step) return status;
    for (int i = 0; i < PIXELS; i++) {
        const double d = fabs(wanted[i] - ((const float *)op->out[0]->data)[i]);
        if (!(d <= spy.worst)) spy.worst = d;
    }
    spy.t--;
    spy.steps++;
    return status;
}

static void eta_one_with_every_step_is_ddpm(void)
{
    world v;
    const vdni_sampler_options o = { H, W, VDNI_F32, 25, 25, 1.0, 1 };
    open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
    scramble(&v);
    v.model->config.time_steps = 25;
    v.model->config.sample_start = v.model->config.sample_steps = 25;
    memset(&spy, 0, sizeof spy);
    EXPECT_OK(&v.ctx, vdni_schedule_create(&v.ctx, &spy.schedule, VDNI_SCHEDULE_LINEAR, 25));
    spy.real = v.ctx.backend;
    spy.table = *v.ctx.backend;
    spy.table.run = spy_run;
    spy.t = 25;
    v.ctx.backend = &spy.table;
    make(&v, &o);
    condition(&v);
    sample(&v, v.p, 2);
    EXPECT(spy.steps == 25 && spy.t == 0);
    EXPECT_LE(spy.worst, 1e-6);
    vdni_schedule_free(&v.ctx, spy.schedule);
    close_world(&v);
}

static void steps_follow_the_grid(void)
{
    world v;
    const vdni_sampler_options o = { H, W, VDNI_F32, 3, 500, 0.0, 1 };
    open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
    make(&v, &o);
    EXPECT(vdni_sampler_time(v.s, 0) == 500 && vdni_sampler_time(v.s, 1) == 333 &&
           vdni_sampler_time(v.s, 2) == 167);
    close_world(&v);
}

static vdn_status spy_allocate(vdn_ctx *ctx, vdni_device *device, void **out, int64_t bytes)
{
    spy.device_bytes += bytes;
    return spy.real->allocate(ctx, device, out, bytes);
}

static vdn_status spy_prepare(vdn_ctx *ctx, vdni_device *device, vdni_op *op)
{
    const vdn_status status = spy.real->prepare(ctx, device, op);
    if (op->workspace_bytes > spy.workspace_bytes) spy.workspace_bytes = op->workspace_bytes;
    return status;
}

/* The estimate is everything that create takes on the device but the operators' workspace. */
static void the_estimate_is_what_creation_takes(void)
{
    static const char *const names[2] = { "unit", "tiny" };
    for (int i = 0; i < 4; i++) {
        world v;
        vdni_sampler_options o = { 32, 48, i / 2 ? VDNI_BF16 : VDNI_F32, 4, 500, 0.5, 1 };
        vdni_config config;
        vdni_domain domain;
        int64_t estimate = 0;
        open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
        vdn_model_free(v.model);
        EXPECT(vdni_config_get(&v.ctx, &config, names[i % 2]) == VDN_OK);
        vdni_domain_binary(&domain, "vertebra", 1);
        EXPECT_OK(&v.ctx, vdni_model_create(&v.ctx, &v.model, &config, &domain, 1));
        const int64_t held = v.ctx.now_bytes;
        EXPECT_OK(&v.ctx, vdni_sampler_estimate(&v.ctx, &estimate, &config, &o));
        EXPECT(v.ctx.now_bytes == held);
        memset(&spy, 0, sizeof spy);
        spy.real = v.ctx.backend;
        spy.table = *v.ctx.backend;
        spy.table.allocate = spy_allocate;
        spy.table.prepare = spy_prepare;
        v.ctx.backend = &spy.table;
        make(&v, &o);
        EXPECT(spy.device_bytes == estimate + spy.workspace_bytes);
        close_world(&v);
    }
}

static void impossible_options_are_refused(void)
{
    static const struct {
        vdni_sampler_options o;
        const char *word;
    } cases[] = {
        { { 15, 12, VDNI_F32, 4, 500, 0.0, 1 }, "15 x 12" },
        { { 16, 0, VDNI_F32, 4, 500, 0.0, 1 }, "16 x 0" },
        { { 16, 12, VDNI_F32, 0, 500, 0.0, 1 }, "0 steps" },
        { { 16, 12, VDNI_F32, 501, 500, 0.0, 1 }, "501 steps" },
        { { 16, 12, VDNI_F32, 4, 1001, 0.0, 1 }, "1001" },
        { { 16, 12, VDNI_F32, 4, 0, 0.0, 1 }, "t = 0" },
        { { 16, 12, VDNI_F32, 4, 500, 1.5, 1 }, "1.5" },
        { { 16, 12, VDNI_F32, 4, 500, NAN, 1 }, "nan" },
    };
    world v;
    open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
    const vdni_sampler_weights weights = { &v.model->parameters, v.model->values, &v.version };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t bytes = 0;
        vdni_clear_error(&v.ctx);
        EXPECT(vdni_sampler_create(&v.ctx, &v.s, &v.model->config, &weights, &cases[i].o) ==
               VDN_ERR_ARGUMENT);
        EXPECT(v.s == NULL && strstr(v.ctx.error, cases[i].word) != NULL);
        if (!strstr(v.ctx.error, cases[i].word)) printf("  %s\n", v.ctx.error);
        EXPECT(vdni_sampler_estimate(&v.ctx, &bytes, &v.model->config, &cases[i].o) ==
               VDN_ERR_ARGUMENT);
    }
    vdni_clear_error(&v.ctx);
    v.model->config.param = VDNI_PARAM_LITERAL;
    EXPECT(vdni_sampler_create(&v.ctx, &v.s, &v.model->config, &weights, &ddim) ==
           VDN_ERR_ARGUMENT);
    EXPECT(strstr(v.ctx.error, "Algorithm 2") != NULL);
    close_world(&v);
}

static int reports;
static int stop_at_the_second(void *user, double fraction, const char *comment)
{
    (void)user;
    (void)fraction;
    (void)comment;
    return ++reports == 2;
}

static void a_run_can_be_stopped(void)
{
    world v;
    const vdni_noise_key key = { .seed = 1 };
    open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
    make(&v, &ddim);
    condition(&v);
    v.ctx.progress = stop_at_the_second;
    vdn_status status = VDN_OK;
    for (int i = 0; i < 100 && status == VDN_OK; i++) {
        v.ctx.last_report_ns = 0; /* no waiting between reports */
        status = vdni_sampler_run(&v.ctx, v.s, v.p, &key);
    }
    EXPECT(status == VDN_ERR_ABORTED && reports == 2);
    close_world(&v);
}

static void probabilities_of_logits(void)
{
    float one[5] = { 0.0f, 100.0f, -100.0f, 2.0f, -2.0f };
    float three[6] = { 1000.0f, 1000.0f, -1000.0f, 1.0f, 2.0f, 3.0f };
    vdni_logits_to_probabilities(one, 5, 1, 2);
    EXPECT(one[0] == 0.5f && one[1] == 1.0f && one[2] < 1e-40f);
    EXPECT_LE(fabs(one[3] - 1.0 / (1.0 + exp(-2.0))), 1e-7);
    EXPECT_LE(fabs(one[3] + one[4] - 1.0), 1e-7);
    vdni_logits_to_probabilities(three, 2, 3, 2);
    EXPECT(three[0] == 0.5f && three[1] == 0.5f && three[2] == 0.0f);
    EXPECT_LE(fabs(three[3] - exp(1.0) / (exp(1.0) + exp(2.0) + exp(3.0))), 1e-7);
    EXPECT_LE(fabs(three[3] + three[4] + three[5] - 1.0), 1e-6);
}

static void inputs_of_a_prior(void)
{
    const float p[4] = { 0.0f, 0.25f, 1.0f, 0.9999f };
    float code[4], skip[4], foreground[4];
    const vdni_prior_planes planes = { code, skip, foreground };
    vdni_config config = { .mask_channels = 1, .signal_scale = 0.3 };
    vdni_prior_inputs(&planes, p, 4, &config, 2);
    for (int i = 0; i < 4; i++) {
        const double logit = log(p[i]) - log1p(-(double)p[i]);
        EXPECT_LE(fabs(code[i] - 0.3 * (2.0 * p[i] - 1.0)), 1e-7);
        EXPECT_LE(fabs(skip[i] - fmax(-4.0, fmin(4.0, logit))), 1e-6);
        EXPECT(foreground[i] == p[i]);
    }
    config.param = VDNI_PARAM_LITERAL;
    vdni_prior_inputs(&planes, p, 4, &config, 2);
    EXPECT(memcmp(code, p, sizeof p) == 0);
    config.param = VDNI_PARAM_X0;
    config.mask_channels = 2;
    vdni_prior_inputs(&planes, p, 2, &config, 2);
    EXPECT(foreground[0] == 1.0f && foreground[1] == 0.0f);
    EXPECT(skip[0] == -4.0f && skip[2] == 0.0f);
    EXPECT_LE(fabs(skip[1] - log(0.25)), 1e-6);
}

static void survives_every_refused_allocation(void)
{
    world v;
    open_world(&v, 1, VDNI_PREPARE_PLAIN, 1);
    const vdni_sampler_weights weights = { &v.model->parameters, v.model->values, &v.version };
    const int64_t held = v.ctx.now_bytes;
    int64_t refuse = 0;
    for (; refuse < 1000; refuse++) {
        int64_t bytes = 0;
        vdni_clear_error(&v.ctx);
        v.ctx.refuse_after = v.ctx.allocations + refuse;
        const vdn_status status =
            vdni_sampler_create(&v.ctx, &v.s, &v.model->config, &weights, &ddim);
        EXPECT((status == VDN_OK) == (v.s != NULL));
        EXPECT(status == VDN_OK || status == VDN_ERR_MEMORY);
        vdni_sampler_free(&v.ctx, v.s);
        v.s = NULL;
        EXPECT(v.ctx.now_bytes == held);
        v.ctx.refuse_after = v.ctx.allocations + refuse;
        const vdn_status second = vdni_sampler_estimate(&v.ctx, &bytes, &v.model->config, &ddim);
        EXPECT(second == VDN_OK || second == VDN_ERR_MEMORY);
        v.ctx.refuse_after = -1;
        EXPECT(v.ctx.now_bytes == held);
        if (status == VDN_OK) break;
    }
    EXPECT(refuse > 30 && refuse < 1000);
    close_world(&v);
}

int main(void)
{
    RUN(a_new_model_returns_its_prior);
    RUN(mirror_is_the_mean_over_the_flips);
    RUN(threads_and_order_change_no_bit);
    RUN(every_mode_gives_probabilities);
    RUN(an_image_is_forgotten_by_the_next);
    RUN(weights_may_change_between_runs);
    RUN(a_run_allocates_nothing);
    RUN(eta_one_with_every_step_is_ddpm);
    RUN(steps_follow_the_grid);
    RUN(the_estimate_is_what_creation_takes);
    RUN(impossible_options_are_refused);
    RUN(a_run_can_be_stopped);
    RUN(probabilities_of_logits);
    RUN(inputs_of_a_prior);
    RUN(survives_every_refused_allocation);
    return test_result();
}
