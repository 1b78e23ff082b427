/* use_c MODEL: load a model, segment two small slices, check what came out. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vdn.h>

enum { COUNT = 2, SIDE = 32, PIXELS = COUNT * SIDE * SIDE };

/* Slices of a bright disc; returns what is wrong with the probabilities, NULL when nothing is. */
static const char *segment(vdn_ctx *ctx, const vdn_model *model, const vdn_model_info *info)
{
    static float pixels[PIXELS], uncertainty[PIXELS];
    vdn_slices slices = { COUNT, SIDE, SIDE, 1, pixels, VDN_MODALITY_MR, 1, 0 };
    vdn_segment_options options;
    const char *wrong = NULL;

    for (int i = 0; i < PIXELS; i++) {
        const int y = i / SIDE % SIDE - SIDE / 2, x = i % SIDE - SIDE / 2;
        pixels[i] = x * x + y * y < 64 ? 200.0f : (float)(i % 7);
    }
    vdn_segment_options_init(&options);
    options.steps = 2;
    options.samples = 2;
    float *probability = malloc(sizeof *probability * PIXELS * (size_t)info->classes);
    if (!probability) return "no memory";
    if (vdn_segment(ctx, probability, uncertainty, &slices, model, &options) != VDN_OK) {
        free(probability);
        return vdn_ctx_error(ctx);
    }
    for (int i = 0; i < PIXELS && !wrong; i++) {
        float sum = 0.0f;
        for (int k = 0; k < info->classes; k++) sum += probability[i * info->classes + k];
        if (!(fabsf(sum - 1.0f) < 1e-3f)) wrong = "probabilities do not sum to one";
        if (!(uncertainty[i] >= -1e-6f)) wrong = "negative uncertainty";
    }
    free(probability);
    return wrong;
}

int main(int argc, char **argv)
{
    char why[1024] = "";
    vdn_ctx_options options;
    vdn_ctx *ctx = NULL;
    vdn_model *model = NULL;
    vdn_model_info info;

    if (argc != 2) return 2;
    vdn_ctx_options_init(&options);
    options.device = "cpu";
    options.why = why;
    options.why_bytes = sizeof why;
    if (vdn_ctx_create(&ctx, &options) != VDN_OK) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    const char *wrong = "the model has no class but background";
    if (vdn_model_load(ctx, &model, argv[1]) != VDN_OK) {
        wrong = vdn_ctx_error(ctx);
    } else {
        vdn_model_get_info(&info, model);
        if (info.classes >= 2 && strcmp(info.class_name[0], "background") == 0)
            wrong = segment(ctx, model, &info);
    }
    if (wrong) fprintf(stderr, "%s\n", wrong);
    vdn_model_free(model);
    vdn_ctx_free(ctx);
    return wrong != NULL;
}
