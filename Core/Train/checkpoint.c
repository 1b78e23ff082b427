#define _POSIX_C_SOURCE 200809L
/* <folder>/checkpoint.safetensors: the flat blocks (values, moments, average, best) and, in the
 * metadata, the state of the run and the signature that a resume has to agree with. */
#include "Base/json.h"
#include "Base/memory.h"
#include "Net/weights.h"
#include "Train/trainer_state.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 5, PATH_BYTES = 4096 };

static const char state_key[] = "verdiff.checkpoint", signature_key[] = "verdiff.signature";
static const char *const names[BLOCKS] = { "values", "moment1", "moment2", "average", "best" };

static void block_pointers(float *out[BLOCKS], const vdni_trainer *t)
{
    out[0] = t->blocks.values;
    out[1] = t->blocks.moment1;
    out[2] = t->blocks.moment2;
    out[3] = t->blocks.average;
    out[4] = t->blocks.best;
}

static vdn_status path_of(vdn_ctx *ctx, char path[PATH_BYTES], const vdni_trainer *t)
{
    const int n = snprintf(path, PATH_BYTES, "%s/checkpoint.safetensors", t->folder);
    if (n < 0 || n >= PATH_BYTES)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "the folder name %.40s... is too long", t->folder);
    return VDN_OK;
}

static vdn_status state_to_json(vdn_ctx *ctx, char **out, const vdni_progress_state *s)
{
    vdni_json_writer w;
    vdni_json_begin(&w, ctx, 0);
    vdni_json_open_object(&w, NULL);
    vdni_json_put_int(&w, "step", s->step);
    vdni_json_put_int(&w, "validated_step", s->validated);
    vdni_json_put_bool(&w, "validated", isfinite(s->best_loss));
    vdni_json_put_double(&w, "best_loss", isfinite(s->best_loss) ? s->best_loss : 0.0);
    vdni_json_put_int(&w, "best_step", s->best_step);
    vdni_json_put_int(&w, "stale", s->stale);
    vdni_json_put_double(&w, "seconds", s->seconds);
    vdni_json_open_array(&w, "class_shares");
    for (int i = 0; i < VDN_MAX_CLASSES; i++) vdni_json_put_double(&w, NULL, s->shares[i]);
    vdni_json_close(&w);
    vdni_json_close(&w);
    return vdni_json_finish(&w, out, NULL);
}

static vdn_status shares_from_json(vdn_ctx *ctx, vdni_progress_state *s,
                                   const vdni_json_value *root)
{
    const vdni_json_value *list = NULL;
    int i = 0;
    VDN_CHECK(vdni_json_get_array(ctx, &list, root, "class_shares", VDN_MAX_CLASSES,
                                  VDN_MAX_CLASSES));
    for (const vdni_json_value *v = vdni_json_first(list); v; v = vdni_json_next(v))
        VDN_CHECK(vdni_json_to_double(ctx, &s->shares[i++], v));
    return VDN_OK;
}

static vdn_status state_from_json(vdn_ctx *ctx, vdni_progress_state *s, const char *text,
                                  const char *path)
{
    vdn_status status = VDN_OK;
    vdni_json *json = NULL;
    int32_t validated = 0;

    VDN_TRY(vdni_json_parse(ctx, &json, text, (int64_t)strlen(text), path));
    const vdni_json_value *root = vdni_json_root(json);
    VDN_TRY(vdni_json_get_int(ctx, &s->step, root, "step", 0, INT32_MAX));
    VDN_TRY(vdni_json_get_int(ctx, &s->validated, root, "validated_step", 0, s->step));
    VDN_TRY(vdni_json_get_bool(ctx, &validated, root, "validated"));
    VDN_TRY(vdni_json_get_double(ctx, &s->best_loss, root, "best_loss"));
    VDN_TRY(vdni_json_get_int(ctx, &s->best_step, root, "best_step", 0, INT32_MAX));
    VDN_TRY(vdni_json_get_int(ctx, &s->stale, root, "stale", 0, INT32_MAX));
    VDN_TRY(vdni_json_get_double(ctx, &s->seconds, root, "seconds"));
    if (vdni_json_find(root, "class_shares")) VDN_TRY(shares_from_json(ctx, s, root));
    if (!validated) s->best_loss = INFINITY;
done:
    vdni_json_free(ctx, json);
    return status;
}

/* Device blocks pass through host memory where the device has its own. */
static vdn_status fetch(vdn_ctx *ctx, float **host, const float *block, int64_t count)
{
    VDN_CHECK(VDNI_NEW(ctx, *host, count));
    return ctx->backend->get(ctx, ctx->device, *host, block, count * (int64_t)sizeof **host);
}

vdn_status vdni_checkpoint_save(vdn_ctx *ctx, const vdni_trainer *t)
{
    vdn_status status = VDN_OK;
    const int64_t count = t->model->parameters.total_floats;
    vdni_weights_entry entries[BLOCKS];
    float *blocks[BLOCKS], *host[BLOCKS] = { NULL };
    char path[PATH_BYTES], *state = NULL;

    memset(entries, 0, sizeof entries);
    block_pointers(blocks, t);
    VDN_TRY(path_of(ctx, path, t));
    VDN_TRY(state_to_json(ctx, &state, &t->state));
    for (int i = 0; i < BLOCKS; i++) {
        const int on_host = ctx->backend->shares_host_memory || blocks[i] == t->blocks.best;
        if (!on_host) VDN_TRY(fetch(ctx, &host[i], blocks[i], count));
        (void)snprintf(entries[i].name, sizeof entries[i].name, "%s", names[i]);
        entries[i].dimensions = 1;
        entries[i].shape[0] = count;
        entries[i].data = on_host ? blocks[i] : host[i];
    }
    const vdni_weights_metadatum metadata[] = { { state_key, state },
                                                { signature_key, t->signature } };
    VDN_TRY(vdni_weights_save(ctx, path, entries, BLOCKS, metadata, 2));
done:
    for (int i = 0; i < BLOCKS; i++) vdni_free(ctx, host[i]);
    vdni_free(ctx, state);
    return status;
}

static vdn_status read_block(vdn_ctx *ctx, float *to, const vdni_trainer *t, const vdni_weights *w,
                             const char *name)
{
    const int64_t count = t->model->parameters.total_floats;
    const vdni_weights_entry *entry = vdni_weights_find(w, name);
    if (!entry || entry->type != VDNI_WEIGHTS_F32 || entry->count != count)
        return vdni_fail(ctx, VDN_ERR_FORMAT, "checkpoint block %s has %lld values, needed %lld",
                         name, entry ? (long long)entry->count : 0LL, (long long)count);
    if (to == t->blocks.best) {
        memcpy(to, entry->data, (size_t)entry->bytes);
        return VDN_OK;
    }
    return ctx->backend->put(ctx, ctx->device, to, entry->data, entry->bytes);
}

static vdn_status check_signature(vdn_ctx *ctx, const vdni_trainer *t, const char *path,
                                  const char *found)
{
    if (found && strcmp(found, t->signature) == 0) return VDN_OK;
    return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                     "%s belongs to another run: it has %.300s, this one %.300s", path,
                     found ? found : "no signature", t->signature);
}

vdn_status vdni_checkpoint_load(vdn_ctx *ctx, vdni_trainer *t)
{
    vdn_status status = VDN_OK;
    vdni_weights *w = NULL;
    float *blocks[BLOCKS];
    char path[PATH_BYTES];

    block_pointers(blocks, t);
    VDN_TRY(path_of(ctx, path, t));
    VDN_TRY(vdni_weights_open(ctx, &w, path));
    VDN_TRY(check_signature(ctx, t, path, vdni_weights_metadata(w, signature_key)));
    const char *state = vdni_weights_metadata(w, state_key);
    if (!state) {
        status = vdni_fail(ctx, VDN_ERR_FORMAT, "%s: the metadata have no %s", path, state_key);
        goto done;
    }
    VDN_TRY(state_from_json(ctx, &t->state, state, path));
    for (int i = 0; i < BLOCKS; i++) VDN_TRY(read_block(ctx, blocks[i], t, w, names[i]));
    t->blocks.version++;
    t->blocks.average_version++;
done:
    vdni_weights_close(ctx, w);
    return status;
}

/* The files of a training that are written whole or not at all (Base/file.h). */
static int is_left_over(const char *file)
{
    static const char *const ours[] = { "checkpoint.safetensors", "model.safetensors", "test.json",
                                        "log.csv", "validation.csv" };
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        const size_t n = strlen(ours[i]);
        if (strncmp(file, ours[i], n) != 0 || file[n] != '.') continue;
        const size_t digits = strspn(file + n + 1, "0123456789");
        if (digits > 0 && strcmp(file + n + 1 + digits, ".partial") == 0) return 1;
    }
    return 0;
}

void vdni_checkpoint_sweep(const vdni_trainer *t)
{
    char path[PATH_BYTES];
    DIR *const folder = opendir(t->folder);
    if (!folder) return; /* whoever writes there says why not */
    for (const struct dirent *e = readdir(folder); e; e = readdir(folder)) {
        if (!is_left_over(e->d_name)) continue;
        const int n = snprintf(path, sizeof path, "%s/%s", t->folder, e->d_name);
        if (n > 0 && n < PATH_BYTES) (void)unlink(path);
    }
    (void)closedir(folder);
}
