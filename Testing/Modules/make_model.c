/* make_model FILE CONFIG CHANNELS [PLANE NEIGHBOURS]: a model file with start values for images of so many
 * channels, cut in that plane (0 sagittal, 1 axial, 2 coronal). */
#include "Base/memory.h"
#include "Net/model.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    vdn_ctx ctx;
    vdni_config config;
    vdni_domain domain;
    vdn_model *model = NULL;

    if (argc != 4 && argc != 6) return 2;
    vdni_ctx_init(&ctx);
    if (vdni_config_get(&ctx, &config, argv[2]) != VDN_OK) return 2;
    config.image_channels = atoi(argv[3]);
    vdni_domain_binary(&domain, "vertebra", 1);
    if (argc == 6) {
        domain.plane = (vdn_plane)atoi(argv[4]);
        domain.neighbours = atoi(argv[5]);
    }
    if (vdni_model_create(&ctx, &model, &config, &domain, 35) != VDN_OK ||
        vdni_model_save(&ctx, argv[1], model, NULL) != VDN_OK) {
        (void)fprintf(stderr, "%s\n", ctx.error);
        return 1;
    }
    vdn_model_free(model);
    return 0;
}
