/* Whole trainings of the unit net on synthetic subjects. */
#include "Train/trainer.h"

#include "Net/model.h"
#include "Ops/optimizer.h"
#include "train_fixture.h"

enum { STEPS = 12 };

static vdn_ctx ctx;

static vdn_train_options options(void)
{
    vdn_train_options o = fix_options(STEPS);
    o.validate_steps = 3;
    o.checkpoint_steps = 4;
    return o;
}

/* ---- what a caller of the progress function can do ---- */

static struct {
    int64_t calls, stop_at; /* -1: never */
    const char *stop_in;    /* part of the comment, NULL = anywhere */
    double last;
    int64_t falls;
    int64_t training_calls, first_allocations, last_allocations; /* from the third step on */
} watch;

static int progress(void *user, double fraction, const char *comment)
{
    vdn_ctx *c = user;
    c->last_report_ns = 0; /* report every time, not ten times a second */
    if (!(fraction >= watch.last && fraction <= 1.0)) watch.falls++;
    watch.last = fraction;
    if (strncmp(comment, "Training step", 13) == 0) {
        watch.last_allocations = c->allocations;
        if (++watch.training_calls == 3) watch.first_allocations = c->allocations;
    }
    if (watch.stop_in && !strstr(comment, watch.stop_in)) return 0;
    return watch.stop_at >= 0 && watch.calls++ == watch.stop_at;
}

static void begin_watch(int64_t stop_at, const char *stop_in)
{
    memset(&watch, 0, sizeof watch);
    watch.stop_at = stop_at;
    watch.stop_in = stop_in;
    ctx.progress = progress;
    ctx.user = &ctx;
}

static void end_watch(void) { ctx.progress = NULL; }

/* ---- the numbers a run leaves ---- */

typedef struct {
    char *checkpoint, *model, *log, *validation;
    int64_t checkpoint_bytes, model_bytes;
} result;

/* A table without its second column, the seconds, and what follows grad_norm, the wait for data. */
static char *without_seconds(const char *name)
{
    char *text = fix_read(name, NULL), *out = calloc(1, 1 << 16);
    int column = 0;
    size_t n = 0;
    EXPECT(text != NULL);
    for (const char *p = text; p && *p; p++) {
        if (*p == ',') column++;
        if (*p == '\n') column = 0;
        if (column != 1 && column != 10) out[n++] = *p;
    }
    free(text);
    return out;
}

static result read_result(void)
{
    result r;
    r.checkpoint = fix_tensors(&ctx, "checkpoint.safetensors", &r.checkpoint_bytes);
    r.model = fix_tensors(&ctx, "model.safetensors", &r.model_bytes);
    r.log = without_seconds("log.csv");
    r.validation = without_seconds("validation.csv");
    return r;
}

static void free_result(result *r)
{
    free(r->checkpoint);
    free(r->model);
    free(r->log);
    free(r->validation);
}

static void expect_same(const result *a, const result *b)
{
    EXPECT(a->checkpoint_bytes == b->checkpoint_bytes && a->checkpoint_bytes > 100000);
    EXPECT(memcmp(a->checkpoint, b->checkpoint, (size_t)a->checkpoint_bytes) == 0);
    EXPECT(a->model_bytes == b->model_bytes);
    EXPECT(memcmp(a->model, b->model, (size_t)a->model_bytes) == 0);
    EXPECT(strcmp(a->log, b->log) == 0);
    EXPECT(strcmp(a->validation, b->validation) == 0);
    if (strcmp(a->validation, b->validation) != 0) printf("%s\n%s\n", a->validation, b->validation);
}

static result run_whole(const vdn_train_options *o)
{
    fix_clean();
    EXPECT_OK(&ctx, fix_train(&ctx, o));
    return read_result();
}

/* What options() gives when nothing interrupts it; made by the first claim. */
static result whole;

/* ---- claims ---- */

static void a_training_leaves_a_model_a_checkpoint_and_tables(void)
{
    vdn_train_options o = options();
    vdn_model *model = NULL;
    vdn_model_info info;
    const int64_t held = ctx.now_bytes;
    o.licence = "CC0-1.0";
    o.data_name = "ellipses";
    whole = run_whole(&o);
    EXPECT(ctx.now_bytes == held);
    EXPECT(fix_rows("log.csv") == STEPS && fix_rows("validation.csv") == STEPS / 3);
    EXPECT(fix_is_there("test.json"));
    EXPECT_OK(&ctx, vdn_model_load(&ctx, &model, fix_path("model.safetensors")));
    if (model) {
        vdn_model_get_info(&info, model);
        EXPECT(strcmp(info.config, "unit") == 0 && info.classes == 2 && info.class_label[1] == 20);
        EXPECT(strstr(info.metadata_json, "\"licence\":\"CC0-1.0\"") != NULL);
        EXPECT(strstr(info.metadata_json, "\"training_data\":\"ellipses\"") != NULL);
        EXPECT(strstr(info.metadata_json, "\"ensemble\"") != NULL);
    }
    vdn_model_free(model);
}

/* Licence and name of the data, which the first run had, are no part of the numbers. */
static void the_same_training_gives_the_same_bits(void)
{
    const vdn_train_options o = options();
    result again = run_whole(&o);
    expect_same(&whole, &again);
    free_result(&again);
}

/* Stop after seven steps, in the middle of an epoch, of a validation and of a checkpoint
 * interval. */
static void an_interrupted_and_resumed_training_is_the_uninterrupted_one(void)
{
    vdn_train_options o = options();
    fix_clean();
    begin_watch(7, "Training step");
    EXPECT(fix_train(&ctx, &o) == VDN_ERR_ABORTED);
    end_watch();
    EXPECT(strstr(ctx.error, "stopped by the caller") != NULL);
    EXPECT(fix_is_there("checkpoint.safetensors") && !fix_is_there("test.json"));
    EXPECT(fix_rows("log.csv") == 7);
    o.resume = 1;
    EXPECT_OK(&ctx, fix_train(&ctx, &o));
    result resumed = read_result();
    expect_same(&whole, &resumed);
    free_result(&resumed);
}

/* A network without a refiner learns from the prior's loss; with a moving average of the classes'
 * shares, which a resume has to bring along. */
static void the_second_papers_network_trains_and_resumes(void)
{
    vdn_train_options o = options();
    vdn_model *model = NULL;
    o.settings = "{\"network\":\"msff\",\"loss_seg\":\"sa_invpow\",\"sa_scope\":\"ema0.99\"}";
    result one = run_whole(&o);
    EXPECT_OK(&ctx, vdn_model_load(&ctx, &model, fix_path("model.safetensors")));
    EXPECT(model && model->config.network == VDNI_NETWORK_CONDITION);
    EXPECT(model && model->config.msff == VDNI_MSFF_CASCADE);
    EXPECT(model && vdni_parameters_count(&model->parameters, "diff.") == 0);
    EXPECT(model && strstr(model->notes, "\"loss_seg\":\"sa_invpow\"") != NULL);
    EXPECT(model && strstr(model->notes, "\"prior\"") && !strstr(model->notes, "\"one_pass\""));
    vdn_model_free(model);
    fix_clean();
    begin_watch(7, "Training step");
    EXPECT(fix_train(&ctx, &o) == VDN_ERR_ABORTED);
    end_watch();
    o.resume = 1;
    EXPECT_OK(&ctx, fix_train(&ctx, &o));
    result resumed = read_result();
    EXPECT(resumed.model_bytes == one.model_bytes);
    EXPECT(memcmp(resumed.model, one.model, (size_t)one.model_bytes) == 0);
    EXPECT(memcmp(resumed.checkpoint, one.checkpoint, (size_t)one.checkpoint_bytes) == 0);
    EXPECT(strcmp(resumed.log, one.log) == 0);
    o.settings = "{\"network\":\"msff\",\"loss_seg\":\"sa_invpow\",\"sa_scope\":\"batch\"}";
    EXPECT(fix_train(&ctx, &o) == VDN_ERR_ARGUMENT); /* another run */
    EXPECT(strstr(ctx.error, "another run") != NULL);
    o.resume = 0;
    result batch = run_whole(&o);
    EXPECT(memcmp(batch.model, one.model, (size_t)one.model_bytes) != 0);
    free_result(&one);
    free_result(&resumed);
    free_result(&batch);
}

/* Start states are drawn anew by a resume, and are part of what a resume has to agree with. */
static void start_states_train_and_resume(void)
{
    static const char *const others[] = {
        "{\"nsa\":\"sk\",\"norm_in\":1,\"train_t0\":500}",
        "{\"nsa\":\"sk\",\"norm_in\":1,\"start_state_p\":0.5}",
        "{\"nsa\":\"sk\",\"train_t0\":500,\"start_state_p\":0.5}",
    };
    vdn_train_options o = options();
    vdn_model *model = NULL;
    o.settings = "{\"nsa\":\"sk\",\"norm_in\":1,\"train_t0\":500,\"start_state_p\":0.5}";
    result one = run_whole(&o);
    EXPECT_OK(&ctx, vdn_model_load(&ctx, &model, fix_path("model.safetensors")));
    EXPECT(model && model->config.nsa == VDNI_NSA_SK && model->config.norm_in == 1);
    EXPECT(model && strstr(model->notes, "\"train_t0\":500,\"start_state_p\":0.5") != NULL);
    vdn_model_free(model);
    fix_clean();
    begin_watch(7, "Training step");
    EXPECT(fix_train(&ctx, &o) == VDN_ERR_ABORTED);
    end_watch();
    o.resume = 1;
    EXPECT_OK(&ctx, fix_train(&ctx, &o));
    result resumed = read_result();
    expect_same(&one, &resumed);
    free_result(&resumed);
    for (int i = 0; i < 3; i++) {
        o.resume = 1;
        o.settings = others[i];
        EXPECT(fix_train(&ctx, &o) == VDN_ERR_ARGUMENT);
        EXPECT(strstr(ctx.error, "another run") != NULL);
    }
    for (int i = 0; i < 3; i++) {
        o.resume = 0;
        o.settings = others[i];
        result other = run_whole(&o);
        EXPECT(other.model_bytes != one.model_bytes ||
               memcmp(other.model, one.model, (size_t)one.model_bytes) != 0);
        free_result(&other);
    }
    free_result(&one);
}

static struct {
    const vdni_backend *real;
    vdni_backend table;
    int64_t masks, starts; /* states made from the mask and the prior, from the prior alone */
} states;

static vdn_status states_run(vdn_ctx *c, vdni_device *device, const vdni_op *op, void *workspace)
{
    if (op->kind == VDNI_OP_COMBINE && op->in[0]->c == 1 && op->in[3] && op->in[4]) {
        const float *q = op->in[1]->data; /* of mask, nothing, prior, noise */
        if (q[0] == 0.0f && q[2] == 1.0f)
            states.starts++;
        else
            states.masks++;
    }
    return states.real->run(c, device, op, workspace);
}

/* What is drawn reaches the network: the mask has no share in the state. */
static void a_start_state_is_made_without_the_mask(void)
{
    static const char *const settings[2] = { "{\"start_state_p\":1,\"prior_warmup\":0}",
                                             "{\"start_state_p\":0,\"prior_warmup\":0}" };
    for (int i = 0; i < 2; i++) {
        vdn_train_options o = fix_options(3);
        o.settings = settings[i];
        o.validate_steps = 1000; /* only the last */
        memset(&states, 0, sizeof states);
        states.real = ctx.backend;
        states.table = *ctx.backend;
        states.table.run = states_run;
        ctx.backend = &states.table;
        fix_clean();
        EXPECT_OK(&ctx, fix_train(&ctx, &o));
        ctx.backend = states.real;
        EXPECT(states.starts == (i ? 0 : 3 * 8)); /* batches of eight */
        EXPECT(states.masks > 0);                 /* those of validation at least */
    }
}

/* Every output mode, process and way of fusion trains, is read back and segments; twice the same. */
static void every_mode_trains_and_segments(void)
{
    static const char *const modes[] = {
        "{\"param\":\"eps\",\"learn_sigma\":1,\"process\":\"ddpm\",\"fuse\":\"stem_add\"}",
        "{\"param\":\"eps_bce\",\"fuse\":\"concat\",\"nsa\":\"mask_hard\",\"cond_detach\":0,"
        "\"prior_warmup\":0}",
        "{\"process\":\"bernoulli\",\"nsa\":\"k3\",\"nsa_gate\":\"shared\",\"prior_hard\":1}",
        "{\"process\":\"ddpm\",\"nsa\":\"k5\",\"nsa_wrap\":\"literal\",\"fuse\":\"stem_add\","
        "\"cond_detach\":0,\"prior_warmup\":0,\"loss_seg\":\"sa_effnum\"}",
        "{\"nsa\":\"sk\",\"norm_in\":1,\"train_t0\":500,\"start_state_p\":0.5,\"prior_warmup\":0}",
        "{\"process\":\"bernoulli\",\"start_state_p\":0.5,\"prior_warmup\":0}",
        "{\"network\":\"unet\"}",
        "{\"network\":\"nnunet2d\"}",
        "{\"network\":\"fcn8s\"}",
        "{\"network\":\"deeplabv3\"}",
        "{\"network\":\"swinunet\"}",
        "{\"network\":\"medsegdiff\",\"prior_warmup\":0}",
        "{\"network\":\"condition\",\"cond_detach\":0,\"msff\":\"aspp\",\"loss_seg\":\"bce\"}",
    };
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        vdn_train_options o = fix_options(4);
        vdn_model *model = NULL;
        o.param = NULL; /* the settings' or the network's own */
        o.settings = modes[i];
        o.settings_name = "a preset";
        result one = run_whole(&o), two = run_whole(&o);
        EXPECT(one.model_bytes == two.model_bytes &&
               memcmp(one.model, two.model, (size_t)one.model_bytes) == 0);
        EXPECT(strcmp(one.log, two.log) == 0 && strcmp(one.validation, two.validation) == 0);
        EXPECT(!strstr(one.log, "nan") && !strstr(one.validation, "nan"));
        EXPECT_OK(&ctx, vdn_model_load(&ctx, &model, fix_path("model.safetensors")));
        if (!model) printf("  %s\n", modes[i]);
        vdn_model_free(model);
        free_result(&one);
        free_result(&two);
    }
}

/* Stopped anywhere, also inside a validation or while the test slices are scored. */
static void a_stop_anywhere_leaves_a_checkpoint_that_goes_on(void)
{
    static const int64_t at[] = { 0, 5, 17, 30 };
    vdn_train_options o = options();
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        fix_clean();
        o.resume = 0;
        begin_watch(at[i], NULL);
        EXPECT(fix_train(&ctx, &o) == VDN_ERR_ABORTED);
        end_watch();
        EXPECT(fix_is_there("checkpoint.safetensors"));
        o.resume = 1;
        EXPECT_OK(&ctx, fix_train(&ctx, &o));
        result resumed = read_result();
        expect_same(&whole, &resumed);
        free_result(&resumed);
    }
}

/* A crash: what lies in the folder is the checkpoint of step 8 and rows beyond it. */
static void a_crash_loses_only_what_came_after_the_checkpoint(void)
{
    vdn_train_options o = options();
    int64_t bytes = 0;
    fix_clean();
    begin_watch(8, "Training step");
    EXPECT(fix_train(&ctx, &o) == VDN_ERR_ABORTED);
    end_watch();
    char *kept = fix_read("checkpoint.safetensors", &bytes);
    o.resume = 1;
    begin_watch(2, "Training step");
    EXPECT(fix_train(&ctx, &o) == VDN_ERR_ABORTED);
    end_watch();
    EXPECT(fix_rows("log.csv") == 10);
    FILE *file = fopen(fix_path("checkpoint.safetensors"), "wb");
    EXPECT(file && fwrite(kept, 1, (size_t)bytes, file) == (size_t)bytes);
    if (file) (void)fclose(file);
    EXPECT_OK(&ctx, fix_train(&ctx, &o));
    result resumed = read_result();
    expect_same(&whole, &resumed);
    free(kept);
    free_result(&resumed);
}

static void a_finished_training_can_be_resumed_for_its_table(void)
{
    vdn_train_options o = options();
    (void)unlink(fix_path("test.json"));
    o.resume = 1;
    EXPECT_OK(&ctx, fix_train(&ctx, &o));
    EXPECT(fix_is_there("test.json"));
    result again = read_result();
    expect_same(&whole, &again);
    free_result(&again);
}

static void resuming_another_run_is_refused(void)
{
    vdn_train_options o = options();
    o.resume = 1;
    o.seed = 36;
    EXPECT(fix_train(&ctx, &o) == VDN_ERR_ARGUMENT);
    EXPECT(strstr(ctx.error, "another run") != NULL);
    result after = read_result(); /* nothing was touched */
    expect_same(&whole, &after);
    free_result(&after);
}

static void progress_never_falls_and_ends_near_one(void)
{
    const vdn_train_options o = options();
    fix_clean();
    begin_watch(-1, NULL);
    EXPECT_OK(&ctx, fix_train(&ctx, &o));
    end_watch();
    EXPECT(watch.falls == 0);
    EXPECT_LE(0.94, watch.last);
    EXPECT(watch.training_calls >= STEPS - 1);
}

/* Between the third and the last report of a training without validation nothing is allocated. */
static void a_step_allocates_nothing(void)
{
    vdn_train_options o = options();
    o.validate_steps = o.checkpoint_steps = 1000;
    fix_clean();
    begin_watch(10, "Training step"); /* stopped before the last step, which validates */
    EXPECT(fix_train(&ctx, &o) == VDN_ERR_ABORTED);
    end_watch();
    EXPECT(watch.training_calls == 11 && watch.falls == 0);
    EXPECT(watch.first_allocations > 0 && watch.last_allocations == watch.first_allocations);
}

/* ---- what the optimiser and the refiner are given ---- */

static struct {
    const vdni_backend *real;
    vdni_backend table;
    int64_t steps, images, corrupted, refined;
    float code[FIX_H * FIX_W]; /* of the last prior */
    struct {
        const uint64_t *at; /* of the values, of the average */
        uint64_t seen;
        int64_t step;
    } version[3];
    int stale;
} spy;

/* Weights that have changed since a convolution last ran say so. */
static void check_version(const vdni_tensor *w)
{
    int i = 0;
    while (i < 2 && spy.version[i].at && spy.version[i].at != w->version) i++;
    if (!w->version) spy.stale++;
    if (!w->version) return;
    if (spy.version[i].at == w->version && spy.version[i].step != spy.steps)
        spy.stale += spy.version[i].seen == *w->version;
    spy.version[i].at = w->version;
    spy.version[i].seen = *w->version;
    spy.version[i].step = spy.steps;
}

static vdn_status spy_optimize(vdn_ctx *c, vdni_device *device, const vdni_optimizer_step *s)
{
    vdni_recipe r;
    vdni_config config;
    int64_t steps = STEPS;
    EXPECT(vdni_config_get(c, &config, "unit") == VDN_OK);
    EXPECT_OK(c, vdni_recipe_get(c, &r, &config, &steps, "recommended"));
    EXPECT(s->step == ++spy.steps && s->lr == vdni_lr_at(&r.lr, s->step));
    EXPECT(s->beta1 == r.beta1 && s->beta2 == r.beta2 && s->eps == r.eps && s->clip == r.clip);
    EXPECT(s->weight_decay == r.weight_decay && s->decay_mask != NULL && s->average != NULL);
    EXPECT(s->average_decay == vdni_ema_decay(r.average, s->step - 1));
    return spy.real->optimize(c, device, s);
}

static vdn_status spy_run(vdn_ctx *c, vdni_device *device, const vdni_op *op, void *workspace)
{
    const int training = op->kind == VDNI_OP_COMBINE && op->in[4] && op->in[3] && !op->in[2];
    const float *x = op->in[0]->data;
    if (op->kind == VDNI_OP_CONV) check_version(op->in[1]);
    if (op->kind == VDNI_OP_SEGMENTATION_LOSS && op->a.lambda[0] == 0.0f) { /* the prior's */
        for (int i = 0; i < FIX_H * FIX_W; i++)
            spy.code[i] = (float)(0.3 * (2.0 / (1.0 + exp(-(double)x[i])) - 1.0));
        spy.images++;
    }
    if (training) {
        spy.refined++;
        spy.corrupted += !(net_distance(op->in[3]->data, spy.code, FIX_H * FIX_W) <= 1e-5);
    }
    return spy.real->run(c, device, op, workspace);
}

/* 12 steps, 2 of them for the prior alone, 8 images each; the refiner gets a corrupted prior with
 * probability 0.5, or none at all with 0.1: 0.55 together. */
static void the_recipe_is_followed(void)
{
    const vdn_train_options o = options(); /* validates after steps 3, 6 and 9: three slices */
    memset(&spy, 0, sizeof spy);
    spy.real = ctx.backend;
    spy.table = *ctx.backend;
    spy.table.optimize = spy_optimize;
    spy.table.run = spy_run;
    ctx.backend = &spy.table;
    fix_clean();
    begin_watch(STEPS - 1, "Training step"); /* not the last one, which validates */
    EXPECT(fix_train(&ctx, &o) == VDN_ERR_ABORTED);
    end_watch();
    ctx.backend = spy.real;
    EXPECT(spy.steps == STEPS - 1 && spy.images == 8 * (STEPS - 1) + 3 * 3);
    EXPECT(spy.refined == 8 * (STEPS - 3) + 3 * 3);
    EXPECT(spy.stale == 0 && spy.version[1].at != NULL);
    const double n = 8.0 * (STEPS - 3);
    EXPECT_LE(fabs((double)spy.corrupted - 0.55 * n), 4.0 * sqrt(0.25 * n));
}

static double column(const char *name, int row, int wanted)
{
    char *text = fix_read(name, NULL), *p = text;
    for (int i = 0; p && i <= row; i++) {
        p = strchr(p, '\n');
        if (p) p++;
    }
    for (int i = 0; p && i < wanted; i++) {
        p = strchr(p, ',');
        if (p) p++;
    }
    const double x = p ? strtod(p, NULL) : NAN;
    free(text);
    return x;
}

/* Learning at all: 40 steps bring the prior's loss down by a sixth. */
/* Two steps of four images, @p at_once in a pass: their log, and what the plan says. */
static vdn_status train_by(double *values, const char *settings, int32_t at_once)
{
    enum { COLUMNS = 11 };
    vdn_train_options o = options();
    vdn_ctx own;
    o.steps = 2;
    o.settings = settings;
    fix_clean();
    net_open(&own, 1, VDNI_PREPARE_PLAIN);
    const vdn_status status = vdni_train_by(&own, fix_folder, fix_store, &o, at_once);
    if (status != VDN_OK) printf("  %s\n", own.error);
    for (int i = 0; status == VDN_OK && i < 2 * COLUMNS; i++)
        values[i] = i % COLUMNS == 1 || i % COLUMNS == 10 ? 0.0
                                                          : column("log.csv", i / COLUMNS, i % COLUMNS);
    net_close(&own);
    return status;
}

/* Augmentation, corruption, times, noise and dropout are the images' own; the gradient's norm is in the
 * log, and what it did to the second step. */
static void images_of_a_pass_change_the_last_bits_only(void)
{
    static const char *const settings[] = {
        "{\"batch\": 4, \"prior_warmup\": 0, \"cond_drop\": 0.3}",
        "{\"network\": \"msff\", \"batch\": 4, \"loss_seg\": \"sa_invpow\", \"sa_scope\": \"image\"}",
        "{\"network\": \"msff\", \"batch\": 4, \"loss_seg\": \"sa_invpow\", \"sa_scope\": \"batch\"}",
    };
    double worst = 0.0;
    for (int s = 0; s < 3; s++) {
        double one[22], many[22];
        EXPECT(train_by(one, settings[s], 0) == VDN_OK);
        for (int32_t at_once = 2; at_once <= 4; at_once++) { /* 3: the largest divisor below it */
            EXPECT(train_by(many, settings[s], at_once) == VDN_OK);
            for (int i = 0; i < 22; i++)
                if (!isnan(one[i]) || !isnan(many[i]))
                    worst = fmax(worst, fabs(one[i] - many[i]) / (fabs(one[i]) + 1e-3));
        }
        EXPECT(one[3] > 0.0 && one[9] > 0.0);
    }
    printf("  losses and norms of 2 steps: %.1e relative\n", worst);
    EXPECT_LE(worst, 1e-5);
    fix_clean();
}

static void losses_fall(void)
{
    vdn_train_options o = fix_options(40);
    double first = 0.0, last = 0.0;
    fix_clean();
    EXPECT_OK(&ctx, fix_train(&ctx, &o));
    for (int i = 0; i < 5; i++) {
        first += column("log.csv", i, 7) + column("log.csv", i, 8);
        last += column("log.csv", 39 - i, 7) + column("log.csv", 39 - i, 8);
    }
    printf("  prior loss %.3f to %.3f\n", first / 5.0, last / 5.0);
    EXPECT_LE(last, 0.85 * first);
}

/* Three steps of every way to train end well and write finite numbers. */
static void every_kind_of_training_runs(void)
{
    for (int i = 0; i < 8; i++) {
        vdn_train_options o = fix_options(3);
        if (i == 0) o.recipe = "paper";
        if (i == 1) o.param = "paper_literal";
        if (i == 2) o.msfm = o.nsa = 0;
        if (i == 3) o.crop = 13;
        if (i == 4) o.precision = 2;
        if (i == 5) { /* tiny, recommended, x0 */
            o.config = o.recipe = o.param = NULL;
            o.steps = 1;
        }
        if (i == 6) o.minutes = 1e-9;
        if (i == 7) o.crop = 20; /* more columns than the slices have */
        fix_clean();
        /* a thousand-step sampler would take most of the time: stop before the table */
        begin_watch(i < 2 ? 0 : -1, i < 2 ? "Scoring" : NULL);
        const vdn_status status = fix_train(&ctx, &o);
        end_watch();
        EXPECT(status == (i < 2 ? VDN_ERR_ABORTED : VDN_OK));
        if (status != VDN_OK && i >= 2) printf("  %d: %s\n", i, ctx.error);
        EXPECT(fix_rows("log.csv") == (i == 5 || i == 6 ? 1 : 3));
        EXPECT(isfinite(column("log.csv", 0, 3)) && isfinite(column("validation.csv", 0, 2)));
        EXPECT(fix_is_there("model.safetensors"));
    }
}

static void too_few_subjects_are_refused(void)
{
    const vdn_train_options o = options();
    fix_write_store(&ctx, 2, 2);
    EXPECT(fix_train(&ctx, &o) == VDN_ERR_ARGUMENT);
    EXPECT(strstr(ctx.error, "subject") != NULL);
    fix_write_store(&ctx, 3, FIX_SUBJECTS);
}

/* Three classes: softmax, and a table with both foreground classes. */
static void several_classes_train(void)
{
    vdn_train_options o = options();
    vdn_model *model = NULL;
    fix_write_store(&ctx, 3, FIX_SUBJECTS);
    result r = run_whole(&o);
    EXPECT_OK(&ctx, vdn_model_load(&ctx, &model, fix_path("model.safetensors")));
    EXPECT(model && model->config.mask_channels == 3 && model->domain.classes == 3);
    EXPECT(model && strstr(model->notes, "\"disc\"") != NULL);
    vdn_model_free(model);
    free_result(&r);
}

static void a_folder_that_is_not_there_is_refused(void)
{
    const vdn_train_options o = options();
    vdni_clear_error(&ctx);
    EXPECT(vdni_train(&ctx, "/no/such/folder", fix_store, &o) == VDN_ERR_IO);
    EXPECT(strstr(ctx.error, "/no/such/folder") != NULL);
}

int main(void)
{
    net_open(&ctx, 1, 0);
    fix_begin("test_trainer", 2);
    RUN(a_training_leaves_a_model_a_checkpoint_and_tables);
    RUN(the_same_training_gives_the_same_bits);
    RUN(an_interrupted_and_resumed_training_is_the_uninterrupted_one);
    RUN(the_second_papers_network_trains_and_resumes);
    RUN(start_states_train_and_resume);
    RUN(a_start_state_is_made_without_the_mask);
    RUN(every_mode_trains_and_segments);
    RUN(a_stop_anywhere_leaves_a_checkpoint_that_goes_on);
    RUN(a_crash_loses_only_what_came_after_the_checkpoint);
    RUN(a_finished_training_can_be_resumed_for_its_table);
    RUN(resuming_another_run_is_refused);
    RUN(progress_never_falls_and_ends_near_one);
    RUN(a_step_allocates_nothing);
    RUN(the_recipe_is_followed);
    RUN(images_of_a_pass_change_the_last_bits_only);
    RUN(losses_fall);
    RUN(every_kind_of_training_runs);
    RUN(a_folder_that_is_not_there_is_refused);
    RUN(too_few_subjects_are_refused);
    RUN(several_classes_train);
    free_result(&whole);
    fix_end();
    net_close(&ctx);
    return test_result();
}
