#include "Net/keys.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WHY_BYTES = 256 };

const vdni_key *vdni_key_find(vdni_keys keys, const char *name)
{
    for (int32_t i = 0; i < keys.count; i++)
        if (strcmp(keys.items[i].name, name) == 0) return &keys.items[i];
    return NULL;
}

static vdn_status set_choice(vdn_ctx *ctx, void *to, const vdni_key *key,
                             const vdni_json_value *value)
{
    char why[WHY_BYTES];
    const char *word = NULL;
    VDN_CHECK(vdni_json_to_string(ctx, &word, value));
    int at = snprintf(why, sizeof why, "\"%.32s\", needed", word);
    for (int32_t i = 0; key->choices[i]; i++) {
        if (strcmp(key->choices[i], word) == 0) {
            memcpy(to, &i, sizeof i);
            return VDN_OK;
        }
        if (at < WHY_BYTES)
            at += snprintf(why + at, sizeof why - (size_t)at, "%s%s", i > 0 ? ", " : " ",
                           key->choices[i]);
    }
    return vdni_json_complain(ctx, value, why);
}

static vdn_status set_integer(vdn_ctx *ctx, void *to, const vdni_key *key,
                              const vdni_json_value *value)
{
    int64_t number = 0;
    const int64_t most = key->kind == VDNI_KEY_LONG     ? (int64_t)1 << 40
                         : key->kind == VDNI_KEY_SWITCH ? 1
                                                        : INT32_MAX;
    VDN_CHECK(vdni_json_to_int(ctx, &number, value, 0, most));
    const int32_t small = (int32_t)number;
    if (key->kind == VDNI_KEY_LONG)
        memcpy(to, &number, sizeof number);
    else
        memcpy(to, &small, sizeof small);
    return VDN_OK;
}

vdn_status vdni_key_set(vdn_ctx *ctx, void *record, const vdni_key *key,
                        const vdni_json_value *value)
{
    void *to = (char *)record + key->offset;
    double number = INFINITY;
    if (key->kind == VDNI_KEY_CHOICE) return set_choice(ctx, to, key, value);
    if (key->kind != VDNI_KEY_REAL) return set_integer(ctx, to, key, value);
    if (value->kind != VDNI_JSON_NULL) VDN_CHECK(vdni_json_to_double(ctx, &number, value));
    memcpy(to, &number, sizeof number);
    return VDN_OK;
}

static int32_t choice_count(const vdni_key *key)
{
    int32_t count = 0;
    while (key->choices[count]) count++;
    return count;
}

int vdni_key_is_zero(const vdni_key *key, const void *record)
{
    const char *from = (const char *)record + key->offset;
    int64_t wide = 0;
    int32_t small = 0;
    double real = 0.0;
    if (key->kind == VDNI_KEY_REAL) {
        memcpy(&real, from, sizeof real);
        return real == 0.0;
    }
    if (key->kind == VDNI_KEY_LONG) {
        memcpy(&wide, from, sizeof wide);
        return wide == 0;
    }
    memcpy(&small, from, sizeof small);
    return small == 0;
}

void vdni_key_put(vdni_json_writer *w, const vdni_key *key, const void *record)
{
    const void *from = (const char *)record + key->offset;
    int64_t wide = 0;
    int32_t small = 0;
    double real = 0.0;
    switch (key->kind) {
    case VDNI_KEY_LONG:
        memcpy(&wide, from, sizeof wide);
        vdni_json_put_int(w, key->name, wide);
        return;
    case VDNI_KEY_REAL:
        memcpy(&real, from, sizeof real);
        vdni_json_put_double(w, key->name, real); /* infinity is null */
        return;
    default:
        memcpy(&small, from, sizeof small);
    }
    if (key->kind != VDNI_KEY_CHOICE)
        vdni_json_put_int(w, key->name, small);
    else
        vdni_json_put_string(w, key->name,
                             small >= 0 && small < choice_count(key) ? key->choices[small] : "?");
}
