#include "Graph/parameters.h"

#include "Base/memory.h"
#include "Base/philox.h"

#include <math.h>
#include <string.h>

enum { BLOCK_FLOATS = 16 };

void vdni_parameters_free(vdn_ctx *ctx, vdni_parameters *table)
{
    if (!table) return;
    vdni_free(ctx, table->items);
    memset(table, 0, sizeof *table);
}

int64_t vdni_parameters_find(const vdni_parameters *table, const char *name)
{
    for (int64_t i = 0; i < table->count; i++)
        if (strcmp(table->items[i].name, name) == 0) return i;
    return -1;
}

static int64_t value_count(const vdni_parameter *p) { return p->n * p->h * p->w * p->c; }

static vdn_status append(vdn_ctx *ctx, int64_t *index, vdni_parameters *table,
                         const vdni_parameter *item)
{
    if (table->count == table->capacity) {
        const int64_t capacity = table->capacity ? 2 * table->capacity : 64;
        VDN_CHECK(VDNI_RESIZE(ctx, table->items, capacity));
        table->capacity = capacity;
    }
    vdni_parameter *added = &table->items[table->count];
    *added = *item;
    added->offset = table->total_floats;
    const int64_t values = value_count(item);
    table->total_floats += (values + BLOCK_FLOATS - 1) / BLOCK_FLOATS * BLOCK_FLOATS;
    if (item->trainable) table->trainable += values;
    *index = table->count++;
    return VDN_OK;
}

vdn_status vdni_parameters_add(vdn_ctx *ctx, int64_t *index, vdni_parameters *table,
                               const vdni_parameter *item)
{
    if (!memchr(item->name, '\0', sizeof item->name))
        return vdni_fail(ctx, VDN_ERR_ARGUMENT, "a parameter name of %d bytes or more",
                         (int)sizeof item->name);
    *index = vdni_parameters_find(table, item->name);
    if (*index < 0) {
        if (table->closed)
            return vdni_fail(ctx, VDN_ERR_ARGUMENT, "parameter %s is not part of this model",
                             item->name);
        return append(ctx, index, table, item);
    }
    const vdni_parameter *known = &table->items[*index];
    if (known->n != item->n || known->h != item->h || known->w != item->w || known->c != item->c)
        return vdni_fail(ctx, VDN_ERR_ARGUMENT,
                         "parameter %s is (%lld, %lld, %lld, %lld), needed (%lld, %lld, %lld, %lld)",
                         item->name, (long long)known->n, (long long)known->h, (long long)known->w,
                         (long long)known->c, (long long)item->n, (long long)item->h,
                         (long long)item->w, (long long)item->c);
    return VDN_OK;
}

int64_t vdni_parameters_count(const vdni_parameters *table, const char *prefix)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < table->count; i++)
        if (table->items[i].trainable &&
            strncmp(table->items[i].name, prefix, strlen(prefix)) == 0)
            sum += value_count(&table->items[i]);
    return sum;
}

/* FNV-1a: the noise of a block is keyed by its name, so adding a block changes no other. */
static uint32_t hash_name(const char *name)
{
    uint32_t hash = 2166136261u;
    for (; *name; name++) hash = (hash ^ (uint8_t)*name) * 16777619u;
    return hash;
}

static void initialize_block(const vdni_parameter *p, float *values, uint64_t seed)
{
    const vdni_noise_key key = { .seed = seed,
                                 .purpose = VDNI_FOR_WEIGHTS,
                                 .case_key = hash_name(p->name) };
    const double bound = 1.0 / sqrt((double)(p->fan_in > 0 ? p->fan_in : 1));
    const float he = (float)(sqrt(2.0 / (1.0 + 0.01 * 0.01)) * bound);
    const int64_t count = value_count(p);

    switch (p->init) {
    case VDNI_INIT_ZERO: break;
    case VDNI_INIT_ONE:
        for (int64_t i = 0; i < count; i++) values[i] = 1.0f;
        break;
    case VDNI_INIT_LAYER_SCALE:
        for (int64_t i = 0; i < count; i++) values[i] = 1e-2f;
        break;
    case VDNI_INIT_UNIFORM_FAN_IN:
        for (int64_t i = 0; i < count; i++)
            values[i] = (float)((2.0 * vdni_philox_uniform(&key, (uint32_t)i) - 1.0) * bound);
        break;
    case VDNI_INIT_HE_NORMAL:
        vdni_philox_normal(values, &key, 0, count);
        for (int64_t i = 0; i < count; i++) values[i] *= he;
        break;
    }
}

void vdni_parameters_initialize(const vdni_parameters *table, float *values, uint64_t seed)
{
    memset(values, 0, (size_t)table->total_floats * sizeof *values);
    for (int64_t i = 0; i < table->count; i++)
        initialize_block(&table->items[i], values + table->items[i].offset, seed);
}

void vdni_parameters_decay_mask(const vdni_parameters *table, uint8_t *mask)
{
    memset(mask, 0, (size_t)table->total_floats);
    for (int64_t i = 0; i < table->count; i++)
        if (table->items[i].decays)
            memset(mask + table->items[i].offset, 1, (size_t)value_count(&table->items[i]));
}
