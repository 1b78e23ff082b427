/* Settings by name: a table says where in a record each key lives and what it may be, and serves
 * presets, model files and signatures alike. */
#ifndef VDNI_KEYS_H
#define VDNI_KEYS_H

#include "Base/json.h"

#include <stddef.h>

typedef enum {
    VDNI_KEY_INT = 0, /* int32_t */
    VDNI_KEY_LONG,    /* int64_t */
    VDNI_KEY_SWITCH,  /* int32_t, 0 or 1 */
    VDNI_KEY_REAL,    /* double; null = infinity */
    VDNI_KEY_CHOICE   /* enumeration of the size of int32_t, written as a word */
} vdni_key_kind;

typedef struct vdni_key {
    const char *name;
    vdni_key_kind kind;
    size_t offset;              /* in the record */
    const char *const *choices; /* CHOICE: the words of 0, 1, ..; NULL ends */
    int32_t format;             /* 2: part of a model file of format 2, or of a recipe where it is not
                                   0, which older ones mean; 0: not part of a file, of every recipe */
} vdni_key;

typedef struct vdni_keys {
    const vdni_key *items;
    int32_t count;
} vdni_keys;

/* NULL when there is none of that name. */
const vdni_key *vdni_key_find(vdni_keys keys, const char *name);

/* Set the key in @p record from @p value. Only the kind is checked, not what it means.
 * VDN_ERR_FORMAT with the source, the key and what is needed. */
VDN_MUST_USE vdn_status vdni_key_set(vdn_ctx *ctx, void *record, const vdni_key *key,
                                     const vdni_json_value *value);

/* Whether the record holds 0 (the first word of a CHOICE) there. */
int vdni_key_is_zero(const vdni_key *key, const void *record);

/* The key as a member of the open object. */
void vdni_key_put(vdni_json_writer *w, const vdni_key *key, const void *record);

#endif
