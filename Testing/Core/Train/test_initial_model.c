/* Beginning with another model's values. */
#include "Train/initial_model.h"

#include "Train/trainer_state.h"
#include "train_fixture.h"

static vdn_ctx ctx;
static char said[2048];

static void remember(void *user, const char *line)
{
    (void)user;
    (void)strncat(said, line, sizeof said - strlen(said) - 2);
    (void)strcat(said, "\n");
}

static vdn_model *make(const char *config_name, int32_t classes, int32_t msfm, uint64_t seed)
{
    vdn_model *model = NULL;
    vdni_config config;
    vdni_domain domain;
    EXPECT_OK(&ctx, vdni_config_get(&ctx, &config, config_name));
    config.mask_channels = classes == 2 ? 1 : classes;
    config.msfm = msfm;
    memset(&domain, 0, sizeof domain);
    domain.classes = classes;
    for (int c = 0; c < classes; c++) {
        (void)snprintf(domain.class_name[c], VDN_NAME_BYTES, "%s", c ? "bone" : "background");
        if (c > 1) (void)snprintf(domain.class_name[c], VDN_NAME_BYTES, "part%d", c);
        domain.class_label[c] = c;
    }
    EXPECT_OK(&ctx, vdni_model_create(&ctx, &model, &config, &domain, seed));
    if (!model) exit(1);
    return model;
}

/* A model file with no value of a fresh model. */
static vdn_model *save_other(const char *config, int32_t classes, int32_t msfm)
{
    vdn_model *other = make(config, classes, msfm, 1);
    for (int64_t i = 0; i < other->parameters.count; i++) {
        const vdni_parameter *p = &other->parameters.items[i];
        net_random(other->values + p->offset, p->n * p->h * p->w * p->c, (uint64_t)(100 + i));
    }
    EXPECT_OK(&ctx, vdni_model_save(&ctx, fix_path("other.safetensors"), other, NULL));
    return other;
}

static const float *block(const vdn_model *m, const char *name, int64_t *count)
{
    const int64_t i = vdni_parameters_find(&m->parameters, name);
    const vdni_parameter *p = &m->parameters.items[i];
    *count = i < 0 ? 0 : p->n * p->h * p->w * p->c;
    return i < 0 ? NULL : m->values + p->offset;
}

static void the_same_network_takes_every_block(void)
{
    vdn_model *other = save_other("unit", 2, 1), *model = make("unit", 2, 1, 2);
    said[0] = '\0';
    EXPECT_OK(&ctx, vdni_initial_model(&ctx, model, fix_path("other.safetensors")));
    EXPECT(memcmp(model->values, other->values, 4 * (size_t)model->parameters.total_floats) == 0);
    EXPECT(strstr(said, "blocks taken") != NULL && !strstr(said, "begin anew"));
    vdn_model_free(other);
    vdn_model_free(model);
}

/* Three classes on a binary model: what reads or writes masks begins anew, all else is taken. */
static void other_classes_get_new_heads_and_it_is_said(void)
{
    vdn_model *other = save_other("unit", 2, 1), *model = make("unit", 3, 1, 2);
    vdn_model *fresh = make("unit", 3, 1, 2);
    int64_t taken = 0, anew = 0;
    said[0] = '\0';
    EXPECT_OK(&ctx, vdni_initial_model(&ctx, model, fix_path("other.safetensors")));
    for (int64_t i = 0; i < model->parameters.count; i++) {
        const char *name = model->parameters.items[i].name;
        int64_t n = 0, m = 0;
        const float *now = block(model, name, &n), *then = block(fresh, name, &n),
                    *theirs = block(other, name, &m);
        EXPECT(memcmp(now, n == m ? theirs : then, 4 * (size_t)n) == 0);
        taken += n == m;
        anew += n != m;
        if (n != m) EXPECT(strstr(said, name) != NULL);
    }
    EXPECT(taken > 50 && anew >= 3 && anew <= 6);
    EXPECT(strstr(said, "2 classes and the data 3") && strstr(said, "cond.head.weight"));
    vdn_model_free(other);
    vdn_model_free(fresh);
    vdn_model_free(model);
}

static void another_network_is_refused(void)
{
    static const struct {
        const char *config, *word;
        int32_t msfm;
    } cases[2] = { { "tiny", "needed", 1 }, { "unit", "cond.msfm", 0 } };
    for (int i = 0; i < 4; i++) {
        vdn_model *other = save_other(cases[i % 2].config, 2 + i / 2, cases[i % 2].msfm);
        vdn_model *model = make("unit", 2, 1, 2), *fresh = make("unit", 2, 1, 2);
        vdni_clear_error(&ctx);
        EXPECT(vdni_initial_model(&ctx, model, fix_path("other.safetensors")) == VDN_ERR_ARGUMENT);
        EXPECT(strstr(ctx.error, "other.safetensors cannot be the initial model") != NULL);
        EXPECT(strstr(ctx.error, cases[i % 2].word) != NULL);
        EXPECT(memcmp(model->values, fresh->values, 4 * (size_t)model->parameters.total_floats) ==
               0);
        vdn_model_free(other);
        vdn_model_free(fresh);
        vdn_model_free(model);
    }
}

/* Sagittal is no axial, and one slice is no three; 0 and 1 neighbours are the same. */
static void another_way_of_slicing_is_refused(void)
{
    static const struct {
        vdn_plane plane;
        int32_t neighbours;
        vdn_status status;
    } cases[3] = { { VDN_PLANE_AXIAL, 0, VDN_ERR_ARGUMENT },
                   { VDN_PLANE_SAGITTAL, 3, VDN_ERR_ARGUMENT },
                   { VDN_PLANE_SAGITTAL, 1, VDN_OK } };
    vdn_model_free(save_other("unit", 2, 1));
    for (int i = 0; i < 3; i++) {
        vdn_model *model = make("unit", 2, 1, 2);
        model->domain.plane = cases[i].plane;
        model->domain.neighbours = cases[i].neighbours;
        vdni_clear_error(&ctx);
        EXPECT(vdni_initial_model(&ctx, model, fix_path("other.safetensors")) == cases[i].status);
        EXPECT((cases[i].status == VDN_OK) == (strstr(ctx.error, "neighbouring slices") == NULL));
        vdn_model_free(model);
    }
}

/* A training begins with them, and a resume with those of its checkpoint. */
static void a_training_begins_with_the_values(void)
{
    vdn_model *other = save_other("unit", 2, 1);
    vdn_train_options o = fix_options(3);
    const size_t bytes = 4 * (size_t)other->parameters.total_floats;
    char path[200];
    (void)snprintf(path, sizeof path, "%s", fix_path("other.safetensors"));
    o.initial_model = path;
    vdni_trainer *t = fix_trainer(&ctx, &o);
    EXPECT(memcmp(t->blocks.values, other->values, bytes) == 0);
    EXPECT(memcmp(t->blocks.average, other->values, bytes) == 0);
    EXPECT(memcmp(t->blocks.best, other->values, bytes) == 0);
    vdni_trainer_free(&ctx, t);
    fix_clean();
    EXPECT_OK(&ctx, fix_train(&ctx, &o));
    char *model = fix_read("model.safetensors", NULL);
    EXPECT(model && strstr(model + 8, "other.safetensors") != NULL);
    free(model);
    (void)unlink(path);
    o.resume = 1;
    t = fix_trainer(&ctx, &o);
    EXPECT(t->state.step == 3 && memcmp(t->blocks.values, other->values, bytes) != 0);
    vdni_trainer_free(&ctx, t);
    o.resume = 0;
    vdni_clear_error(&ctx);
    EXPECT(fix_train(&ctx, &o) == VDN_ERR_IO);
    vdn_model_free(other);
}

int main(void)
{
    net_open(&ctx, 1, VDNI_PREPARE_PLAIN);
    ctx.log = remember;
    fix_begin("test_initial_model", 2);
    RUN(the_same_network_takes_every_block);
    RUN(other_classes_get_new_heads_and_it_is_said);
    RUN(another_network_is_refused);
    RUN(another_way_of_slicing_is_refused);
    RUN(a_training_begins_with_the_values);
    (void)unlink(fix_path("other.safetensors"));
    fix_end();
    net_close(&ctx);
    return test_result();
}
