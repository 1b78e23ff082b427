/* The golden files of Testing/Golden and the generator of their parameters and inputs; the format
 * page is Testing/Golden/README.md. */
#ifndef VERDIFF_GOLDEN_H
#define VERDIFF_GOLDEN_H

#include "net_test.h"

#include "Base/json.h"
#include "Graph/parameters.h"
#include "Net/config_keys.h"
#include "Net/weights.h"

/* ---- the generator ---- */

static inline uint64_t golden_splitmix64(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static inline uint64_t golden_fnv1a64(const char *s)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (; *s; s++) h = (h ^ (uint8_t)*s) * 0x100000001B3u;
    return h;
}

/* v(s, i) for hash = golden_fnv1a64(s). */
static inline double golden_signed(uint64_t hash, uint64_t i)
{
    const uint64_t bits = golden_splitmix64(hash ^ golden_splitmix64(i));
    return 2.0 * ((double)(bits >> 11) * 0x1p-53) - 1.0;
}

static inline int golden_ends(const char *s, const char *end)
{
    const size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* "cond.enc0.norm1.gamma" and the like: the norms in front of a ReLU or LeakyReLU. */
static inline int golden_is_activated(const char *name)
{
    const char *at = strstr(name, ".norm");
    return strncmp(name, "cond.", 5) == 0 && at && at[5] >= '0' && at[5] <= '9';
}

/* Element @p i of parameter @p p from its v(name, i). @p offset: as offset_norms of the file. */
static inline float golden_parameter(const vdni_parameter *p, int64_t i, double v, int32_t k,
                                     int offset)
{
    const char *name = p->name;
    const int moved = offset && golden_is_activated(name);

    if (golden_ends(name, ".weight")) {
        const int64_t fan_in = p->h * p->w * (strstr(name, ".dw") ? 1 : p->c);
        v = v * (1.0 / sqrt((double)fan_in));
        return (float)(strcmp(name, "cond.head.weight") == 0 ? 4.0 * v : v);
    }
    if (golden_ends(name, ".gamma")) {
        v = 1.0 + 0.1 * v;
        return (float)(moved ? 0.35 * v : v);
    }
    if (golden_ends(name, ".lambda")) return (float)(0.5 * v);
    v = 0.05 * v;
    if (strcmp(name, "cond.head.bias") == 0)
        return (float)(i > 0 ? v : v + (k > 1 ? 2.0 : offset ? -1.0 : -2.0));
    if (!moved) return (float)v;
    v += 1.0;
    return (float)(!strstr(name, ".msfm.") && i % 2 == 1 ? -v : v);
}

static inline void golden_parameters(float *values, const vdni_parameters *table, int32_t k,
                                     int offset)
{
    for (int64_t j = 0; j < table->count; j++) {
        const vdni_parameter *p = &table->items[j];
        const uint64_t hash = golden_fnv1a64(p->name);
        for (int64_t i = 0; i < p->n * p->h * p->w * p->c; i++)
            values[p->offset + i] =
                golden_parameter(p, i, golden_signed(hash, (uint64_t)i), k, offset);
    }
}

/* ---- a file ---- */

typedef struct golden {
    vdni_weights *file;
    vdni_config config;
    int literal, detach, offset;
    int brief; /* no parameters and no Adam steps in the file */
    int64_t n, h, w, k;
} golden;

static inline int64_t golden_setting(vdn_ctx *ctx, const vdni_json_value *root, const char *name)
{
    int64_t value = -1;
    EXPECT_OK(ctx, vdni_json_get_int(ctx, &value, root, name, 0, 1 << 30));
    return value;
}

/* What later files say besides; earlier ones lack it and mean the first words. */
static inline void golden_read_keys(vdn_ctx *ctx, vdni_config *config, const vdni_json_value *root)
{
    static const char *const names[] = { "param",       "process",    "msff",    "nsa",
                                         "nsa_wrap",    "nsa_gate",   "fuse",    "prior_skip",
                                         "learn_sigma", "prior_hard", "norm_in", "msfm_norm" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const vdni_json_value *value = vdni_json_find(root, names[i]);
        const vdni_key *key = vdni_key_find(vdni_config_keys(), names[i]);
        EXPECT(key != NULL);
        if (value && key) EXPECT_OK(ctx, vdni_key_set(ctx, config, key, value));
    }
}

static inline void golden_read_settings(vdn_ctx *ctx, golden *g)
{
    const char *text = vdni_weights_metadata(g->file, "golden"), *name = "";
    vdni_json *json = NULL;
    EXPECT(text != NULL);
    if (!text) exit(1);
    EXPECT_OK(ctx, vdni_json_parse(ctx, &json, text, (int64_t)strlen(text), "golden"));
    const vdni_json_value *root = vdni_json_root(json);
    EXPECT_OK(ctx, vdni_json_get_string(ctx, &name, root, "config"));
    EXPECT_OK(ctx, vdni_config_get(ctx, &g->config, name));
    golden_read_keys(ctx, &g->config, root);
    g->literal = g->config.param == VDNI_PARAM_LITERAL;
    g->detach = (int)golden_setting(ctx, root, "cond_detach");
    g->offset = (int)golden_setting(ctx, root, "offset_norms");
    g->k = golden_setting(ctx, root, "classes");
    g->config.mask_channels = (int32_t)g->k;
    vdni_json_free(ctx, json);
}

static inline void golden_open(vdn_ctx *ctx, golden *g, const char *stem)
{
    char path[512];
    memset(g, 0, sizeof *g);
    (void)snprintf(path, sizeof path, "%s/Testing/Golden/%s.safetensors", VERDIFF_SOURCE_DIR, stem);
    EXPECT_OK(ctx, vdni_weights_open(ctx, &g->file, path));
    if (!g->file) exit(1);
    golden_read_settings(ctx, g);
    const vdni_weights_entry *image = vdni_weights_find(g->file, "in/image");
    g->n = image->shape[0];
    g->h = image->shape[1];
    g->w = image->shape[2];
    g->brief = vdni_weights_find(g->file, "adam/losses") == NULL;
}

static inline void golden_close(vdn_ctx *ctx, golden *g) { vdni_weights_close(ctx, g->file); }

/* A copy of a tensor's values (f32), or NULL when there is none; free() it. */
static inline float *golden_floats(const golden *g, const char *key, int64_t *count)
{
    const vdni_weights_entry *e = vdni_weights_find(g->file, key);
    if (count) *count = e ? e->count : 0;
    if (!e || e->type != VDNI_WEIGHTS_F32) return NULL;
    float *x = net_floats(e->count);
    memcpy(x, e->data, (size_t)e->bytes);
    return x;
}

static inline int32_t golden_time(const golden *g, const char *key, int64_t i)
{
    const vdni_weights_entry *e = vdni_weights_find(g->file, key);
    int32_t t = 0;
    EXPECT(e && e->type == VDNI_WEIGHTS_I32 && i < e->count);
    if (e) memcpy(&t, (const char *)e->data + 4 * i, sizeof t);
    return t;
}

/* A sum is a state of the process: flips are drawn from theirs, and with norm_in there is one of a single
 * term, the state on its way into the net. */
static inline int golden_makes_state(const golden *g, const vdni_op *sum)
{
    return g->config.process != VDNI_PROCESS_BERNOULLI && (sum->in[2] || sum->in[3] || sum->in[4]);
}

#endif
