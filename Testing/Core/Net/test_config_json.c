/* Configuration and domain <-> JSON. */
#include "Net/model.h"

#include "net_test.h"

static vdn_ctx ctx;

static void make(vdni_config *config, vdni_domain *domain)
{
    EXPECT(vdni_config_get(&ctx, config, "tiny") == VDN_OK);
    config->mask_channels = 3;
    config->condition_norm = VDNI_CONDITION_BATCH;
    config->schedule = VDNI_SCHEDULE_COSINE;
    config->param = VDNI_PARAM_LITERAL;
    config->signal_scale = 0.1; /* no binary fraction: must come back exactly */
    memset(domain, 0, sizeof *domain);
    domain->classes = 3;
    (void)snprintf(domain->class_name[0], VDN_NAME_BYTES, "background");
    (void)snprintf(domain->class_name[1], VDN_NAME_BYTES, "vertebra \"L1\"\n");
    (void)snprintf(domain->class_name[2], VDN_NAME_BYTES, "disc\xc3\xa9");
    domain->class_label[1] = 20;
    domain->class_label[2] = 65535;
    domain->pixel_spacing_mm = 0.7;
    domain->assumed_spacing_mm = 1.0 / 3.0;
}

static void what_was_written_is_read(void)
{
    static const char *const names[] = { "unit", "tiny", "small", "base", "full", "" };
    for (int i = 0; i < 6; i++) {
        vdni_config config, read;
        vdni_domain domain, read_domain;
        char *text = NULL;
        make(&config, &domain);
        if (names[i][0]) {
            EXPECT(vdni_config_get(&ctx, &config, names[i]) == VDN_OK);
            vdni_domain_binary(&domain, "vertebra", 1);
        }
        EXPECT_OK(&ctx, vdni_config_to_json(&ctx, &text, &config, &domain));
        EXPECT_OK(&ctx, vdni_config_from_json(&ctx, &read, &read_domain, text, "text"));
        EXPECT(memcmp(&read, &config, sizeof read) == 0);
        EXPECT(memcmp(&read_domain, &domain, sizeof domain) == 0);
        vdni_free(&ctx, text);
    }
    EXPECT(ctx.now_bytes == 0);
}

static void every_network_comes_back(void)
{
    static const char *const names[] = { "condition", "msff",      "unet",     "nnunet2d",
                                         "fcn8s",     "deeplabv3", "swinunet", "medsegdiff" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        vdni_config config, read;
        vdni_domain domain, read_domain;
        char *text = NULL;
        make(&config, &domain);
        EXPECT(vdni_config_get(&ctx, &config, "small") == VDN_OK);
        config.mask_channels = domain.classes > 2 ? domain.classes : 1;
        EXPECT_OK(&ctx, vdni_config_set_network(&ctx, &config, names[i]));
        EXPECT_OK(&ctx, vdni_config_to_json(&ctx, &text, &config, &domain));
        EXPECT_OK(&ctx, vdni_config_from_json(&ctx, &read, &read_domain, text, "test"));
        for (int l = config.condition_levels; l < VDNI_MAX_LEVELS; l++) config.condition[l] = 0;
        for (int l = config.levels; l < VDNI_MAX_LEVELS; l++) config.multiplier[l] = 0;
        EXPECT(memcmp(&read, &config, sizeof read) == 0);
        EXPECT(read.mirror == (i == 3) && read.deep_supervision == (i == 3));
        vdni_free(&ctx, text);
    }
}

static void plane_and_neighbours_come_back(void)
{
    static const struct {
        vdn_plane plane;
        int32_t neighbours, channels;
    } cases[] = { { VDN_PLANE_AXIAL, 0, 1 },
                  { VDN_PLANE_SAGITTAL, 3, 3 },
                  { VDN_PLANE_CORONAL, 5, 10 } };
    for (int i = 0; i < 3; i++) {
        vdni_config config, read;
        vdni_domain domain, read_domain;
        char *text = NULL;
        make(&config, &domain);
        domain.plane = cases[i].plane;
        domain.neighbours = cases[i].neighbours;
        config.image_channels = cases[i].channels;
        EXPECT_OK(&ctx, vdni_config_to_json(&ctx, &text, &config, &domain));
        EXPECT(strstr(text, "\"format\":2") != NULL);
        EXPECT_OK(&ctx, vdni_config_from_json(&ctx, &read, &read_domain, text, "text"));
        EXPECT(memcmp(&read_domain, &domain, sizeof domain) == 0);
        config.image_channels = 4;
        vdni_free(&ctx, text);
        EXPECT_OK(&ctx, vdni_config_to_json(&ctx, &text, &config, &domain));
        EXPECT(vdni_config_from_json(&ctx, &read, &read_domain, text, "text") ==
               (cases[i].neighbours ? VDN_ERR_FORMAT : VDN_OK));
        vdni_free(&ctx, text);
    }
    EXPECT(ctx.now_bytes == 0);
}

/* Replace the first @p from of the text by @p to and expect a refusal that names @p field. */
static void expect_refused(const char *from, const char *to, const char *field)
{
    vdni_config config;
    vdni_domain domain;
    char *text = NULL, changed[4096];
    make(&config, &domain);
    EXPECT_OK(&ctx, vdni_config_to_json(&ctx, &text, &config, &domain));
    const char *at = strstr(text, from);
    EXPECT(at != NULL);
    if (!at) printf("  %s is not in %s\n", from, text);
    if (at) {
        (void)snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, to,
                       at + strlen(from));
        vdni_clear_error(&ctx);
        EXPECT(vdni_config_from_json(&ctx, &config, &domain, changed, "some file") ==
               VDN_ERR_FORMAT);
        EXPECT(strstr(ctx.error, field) != NULL);
        if (!strstr(ctx.error, field)) printf("  %s: %s\n", field, ctx.error);
    }
    vdni_free(&ctx, text);
    EXPECT(ctx.now_bytes == 0);
}

/* Of format 2, in which later programs write more; a file of format 1 may have what it wants. */
static void what_a_later_program_wrote_is_refused(void)
{
    static const char *const formats[2] = { "{\"format\":1", "{\"format\":2" };
    for (int i = 0; i < 2; i++) {
        vdni_config config;
        vdni_domain domain;
        char *text = NULL, changed[4096];
        make(&config, &domain);
        config.msff = i ? VDNI_MSFF_ASPP : VDNI_MSFF_NONE;
        EXPECT_OK(&ctx, vdni_config_to_json(&ctx, &text, &config, &domain));
        EXPECT(strncmp(text, formats[i], strlen(formats[i])) == 0);
        (void)snprintf(changed, sizeof changed, "%s,\"warp\":1%s", formats[i],
                       text + strlen(formats[i]));
        vdni_clear_error(&ctx);
        EXPECT(vdni_config_from_json(&ctx, &config, &domain, changed, "some file") ==
               (i ? VDN_ERR_FORMAT : VDN_OK));
        EXPECT(!i || (strstr(ctx.error, "warp") && strstr(ctx.error, "later program")));
        vdni_free(&ctx, text);
    }
    EXPECT(ctx.now_bytes == 0);
}

static void every_field_is_checked(void)
{
    static const char *const cases[][3] = {
        { "\"format\":1", "\"format\":3", "format" },
        { "\"name\":\"tiny\"", "\"name\":\"a name that is too long\"", "name" },
        { "\"name\":\"tiny\"", "\"name\":3", "name" },
        { "\"base\":16", "\"base\":\"16\"", "base" },
        { "\"base\":16", "\"base\":16.5", "base" },
        { "\"base\":16", "\"base\":1e9", "base" },
        { "\"base\":16", "\"best\":16", "base" },
        { "\"base\":16", "\"base\":17", "base" },
        { "\"stem_down\":2", "\"stem_down\":-1", "stem_down" },
        { "\"condition\":[8,16,32,48,64]", "\"condition\":[8,16,32,48,64,1,1]", "condition" },
        { "\"condition\":[8,16,32,48,64]", "\"condition\":[8,16,-32,48,64]", "condition" },
        { "\"condition\":[8,16,32,48,64]", "\"condition\":[]", "condition" },
        { "\"multiplier\":[1,2,3,4]", "\"multiplier\":[1,2,3,4,6]", "fusion" },
        { "\"signal_scale\":0.1", "\"signal_scale\":0", "signal_scale" },
        { "\"signal_scale\":0.1", "\"signal_scale\":null", "signal_scale" },
        { "\"mask_channels\":3", "\"mask_channels\":4", "classes" },
        { "\"mask_channels\":3", "\"mask_channels\":1", "classes" },
        { "\"label\":20", "\"label\":-1", "label" },
        { "\"label\":20", "\"label\":65536", "label" },
        { "\"pixel_spacing_mm\":0.7", "\"pixel_spacing_mm\":-0.7", "spacing" },
        { "\"pixel_spacing_mm\":0.7", "\"pixel_spacing_mm\":1000", "spacing" },
        { "{", "[", "some file" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_refused(cases[i][0], cases[i][1], cases[i][2]);
}

static void too_many_classes_do_not_fit(void)
{
    vdni_config config;
    vdni_domain domain;
    char text[16384];
    int64_t at = snprintf(text, sizeof text, "{\"format\":1,\"classes\":[");
    for (int i = 0; i <= VDN_MAX_CLASSES; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, "%s{\"name\":\"a\",\"label\":1}",
                       i ? "," : "");
    (void)snprintf(text + at, sizeof text - (size_t)at, "]}");
    EXPECT(vdni_config_from_json(&ctx, &config, &domain, text, "t") == VDN_ERR_FORMAT);
}

static void every_cut_is_refused(void)
{
    vdni_config config;
    vdni_domain domain;
    char *text = NULL, cut[4096];
    make(&config, &domain);
    EXPECT_OK(&ctx, vdni_config_to_json(&ctx, &text, &config, &domain));
    for (size_t i = 0; i < strlen(text); i++) {
        memcpy(cut, text, i);
        cut[i] = '\0';
        EXPECT(vdni_config_from_json(&ctx, &config, &domain, cut, "t") == VDN_ERR_FORMAT);
    }
    vdni_free(&ctx, text);
}

static void survives_every_refused_allocation(void)
{
    vdni_config config;
    vdni_domain domain;
    make(&config, &domain);
    for (int64_t refuse = 0; refuse < 1000; refuse++) {
        char *text = NULL;
        vdni_ctx_init(&ctx);
        ctx.refuse_after = refuse;
        vdn_status status = vdni_config_to_json(&ctx, &text, &config, &domain);
        EXPECT((status == VDN_OK) == (text != NULL));
        if (status == VDN_OK) {
            vdni_config read;
            vdni_domain read_domain;
            status = vdni_config_from_json(&ctx, &read, &read_domain, text, "t");
        }
        EXPECT(status == VDN_OK || status == VDN_ERR_MEMORY);
        vdni_free(&ctx, text);
        EXPECT(ctx.now_bytes == 0);
        if (status == VDN_OK) {
            EXPECT(refuse > 2);
            break;
        }
    }
    vdni_ctx_init(&ctx);
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(what_was_written_is_read);
    RUN(every_network_comes_back);
    RUN(plane_and_neighbours_come_back);
    RUN(what_a_later_program_wrote_is_refused);
    RUN(every_field_is_checked);
    RUN(too_many_classes_do_not_fit);
    RUN(every_cut_is_refused);
    RUN(survives_every_refused_allocation);
    return test_result();
}
