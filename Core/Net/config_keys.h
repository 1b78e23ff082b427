/* The configuration by name: the keys of presets (Appendix B of the design) and of model files. */
#ifndef VDNI_CONFIG_KEYS_H
#define VDNI_CONFIG_KEYS_H

#include "Net/config.h"
#include "Net/keys.h"

/* Keys over vdni_config. */
vdni_keys vdni_config_keys(void);

#endif
