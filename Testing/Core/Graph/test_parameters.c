#include "Graph/parameters.h"

#include "net_test.h"

static vdn_ctx ctx;

static vdni_parameter item(const char *name, int64_t n, int64_t h, int64_t w, int64_t c,
                           vdni_init init)
{
    vdni_parameter p = { .n = n,
                         .h = h,
                         .w = w,
                         .c = c,
                         .fan_in = h * w * c,
                         .init = init,
                         .trainable = 1,
                         .decays = n * h * w > 1 };
    (void)snprintf(p.name, sizeof p.name, "%s", name);
    return p;
}

static int64_t add(vdni_parameters *table, vdni_parameter p)
{
    int64_t index = -1;
    EXPECT_OK(&ctx, vdni_parameters_add(&ctx, &index, table, &p));
    return index;
}

static void blocks_begin_on_cache_lines_and_gaps_stay_zero(void)
{
    vdni_parameters table = { .items = NULL };
    EXPECT(add(&table, item("a.weight", 3, 1, 1, 5, VDNI_INIT_ONE)) == 0);
    EXPECT(add(&table, item("a.bias", 1, 1, 1, 3, VDNI_INIT_ONE)) == 1);
    EXPECT(add(&table, item("b.gamma", 1, 1, 1, 32, VDNI_INIT_ONE)) == 2);
    EXPECT(table.items[0].offset == 0 && table.items[1].offset == 16 &&
           table.items[2].offset == 32 && table.total_floats == 64 && table.trainable == 50);
    float *values = net_floats(64);
    uint8_t mask[64];
    memset(values, 0xff, 64 * sizeof *values);
    vdni_parameters_initialize(&table, values, 1);
    vdni_parameters_decay_mask(&table, mask);
    for (int i = 0; i < 64; i++) {
        const int inside = i < 15 || (i >= 16 && i < 19) || i >= 32;
        EXPECT(values[i] == (inside ? 1.0f : 0.0f));
        EXPECT(mask[i] == (i < 15));
    }
    free(values);
    vdni_parameters_free(&ctx, &table);
    vdni_parameters_free(&ctx, NULL);
    EXPECT(ctx.now_bytes == 0);
}

static void a_known_name_is_found_again_with_the_same_shape_only(void)
{
    vdni_parameters table = { .items = NULL };
    const vdni_parameter a = item("a.weight", 3, 1, 1, 5, VDNI_INIT_ONE);
    vdni_parameter other = a;
    int64_t index = -1;
    EXPECT(add(&table, a) == 0 && add(&table, a) == 0 && table.count == 1);
    other.c = 6;
    EXPECT(vdni_parameters_add(&ctx, &index, &table, &other) == VDN_ERR_ARGUMENT);
    EXPECT(strstr(ctx.error, "a.weight is (3, 1, 1, 5), needed (3, 1, 1, 6)") != NULL);
    vdni_clear_error(&ctx);
    EXPECT(vdni_parameters_find(&table, "a.weight") == 0);
    EXPECT(vdni_parameters_find(&table, "a.weigh") == -1);
    table.closed = 1;
    EXPECT(add(&table, a) == 0);
    other = item("b.weight", 1, 1, 1, 1, VDNI_INIT_ONE);
    EXPECT(vdni_parameters_add(&ctx, &index, &table, &other) == VDN_ERR_ARGUMENT);
    EXPECT(strstr(ctx.error, "b.weight") != NULL && table.count == 1);
    vdni_clear_error(&ctx);
    memset(other.name, 'x', sizeof other.name);
    EXPECT(vdni_parameters_add(&ctx, &index, &table, &other) == VDN_ERR_ARGUMENT);
    vdni_clear_error(&ctx);
    vdni_parameters_free(&ctx, &table);
}

static void counts_are_of_trainable_values_below_a_prefix(void)
{
    vdni_parameters table = { .items = NULL };
    vdni_parameter running = item("a.norm.running", 1, 1, 1, 8, VDNI_INIT_ZERO);
    running.trainable = 0;
    add(&table, item("a.weight", 2, 3, 3, 5, VDNI_INIT_ONE));
    add(&table, running);
    add(&table, item("ab.weight", 1, 1, 1, 7, VDNI_INIT_ONE));
    EXPECT(vdni_parameters_count(&table, "") == 97 && table.trainable == 97);
    EXPECT(vdni_parameters_count(&table, "a.") == 90);
    EXPECT(vdni_parameters_count(&table, "ab.") == 7);
    EXPECT(vdni_parameters_count(&table, "c") == 0);
    vdni_parameters_free(&ctx, &table);
}

/* Value i of a block is a function of (seed, name, i): other blocks and their order do not
 * matter. */
static void start_values_depend_on_seed_name_and_index_only(void)
{
    vdni_parameters one = { .items = NULL }, two = { .items = NULL };
    const vdni_parameter a = item("a.weight", 4, 3, 3, 5, VDNI_INIT_UNIFORM_FAN_IN);
    const vdni_parameter b = item("b.weight", 4, 3, 3, 5, VDNI_INIT_UNIFORM_FAN_IN);
    add(&one, a);
    add(&two, b);
    add(&two, a);
    float *x = net_floats(one.total_floats), *y = net_floats(two.total_floats);
    vdni_parameters_initialize(&one, x, 5);
    vdni_parameters_initialize(&two, y, 5);
    EXPECT(memcmp(x, y + two.items[1].offset, 180 * sizeof *x) == 0);
    EXPECT(memcmp(x, y, 180 * sizeof *x) != 0);
    vdni_parameters_initialize(&one, x, 6);
    EXPECT(memcmp(x, y + two.items[1].offset, 180 * sizeof *x) != 0);
    free(x);
    free(y);
    vdni_parameters_free(&ctx, &one);
    vdni_parameters_free(&ctx, &two);
}

static void start_values_have_the_stated_laws(void)
{
    vdni_parameters table = { .items = NULL };
    add(&table, item("u.weight", 40, 3, 3, 50, VDNI_INIT_UNIFORM_FAN_IN));
    add(&table, item("h.weight", 40, 3, 3, 50, VDNI_INIT_HE_NORMAL));
    add(&table, item("l.lambda", 1, 1, 1, 3, VDNI_INIT_LAYER_SCALE));
    float *values = net_floats(table.total_floats);
    vdni_parameters_initialize(&table, values, 5);
    const float *u = values, *h = values + table.items[1].offset;
    const int64_t n = 40 * 9 * 50;
    double mean[2] = { 0.0 }, square[2] = { 0.0 }, fourth = 0.0, largest = 0.0;
    for (int64_t i = 0; i < n; i++) {
        mean[0] += u[i] / (double)n;
        mean[1] += h[i] / (double)n;
        square[0] += (double)u[i] * u[i] / (double)n;
        square[1] += (double)h[i] * h[i] / (double)n;
        fourth += pow(h[i], 4.0) / (double)n;
        if (fabsf(u[i]) > largest) largest = fabsf(u[i]);
    }
    const double bound = 1.0 / sqrt(450.0), he = 2.0 / (1.0001 * 450.0);
    EXPECT_LE(largest, bound);
    EXPECT_LE(0.999 * bound, largest);
    for (int k = 0; k < 2; k++) { /* five standard errors */
        const double variance = k ? he : bound * bound / 3.0;
        EXPECT_LE(fabs(mean[k]), 5.0 * sqrt(variance / (double)n));
        EXPECT_LE(fabs(square[k] / variance - 1.0), 5.0 * sqrt(2.0 / (double)n));
    }
    EXPECT_LE(fabs(fourth / (he * he) - 3.0), 5.0 * sqrt(96.0 / (double)n));
    EXPECT(values[table.items[2].offset + 2] == 1e-2f);
    free(values);
    vdni_parameters_free(&ctx, &table);
}

static void survives_every_refused_allocation(void)
{
    for (int64_t refuse = 0; refuse < 100; refuse++) {
        vdni_parameters table = { .items = NULL };
        vdn_status status = VDN_OK;
        vdni_ctx_init(&ctx);
        ctx.refuse_after = refuse;
        for (int i = 0; i < 200 && status == VDN_OK; i++) {
            char name[32];
            int64_t index = -1;
            (void)snprintf(name, sizeof name, "p%d", i);
            const vdni_parameter p = item(name, 1, 1, 1, 1, VDNI_INIT_ONE);
            status = vdni_parameters_add(&ctx, &index, &table, &p);
        }
        EXPECT(status == VDN_OK || status == VDN_ERR_MEMORY);
        EXPECT((status == VDN_OK) == (table.count == 200));
        vdni_parameters_free(&ctx, &table);
        EXPECT(ctx.now_bytes == 0);
        if (status == VDN_OK) {
            EXPECT(refuse == 3); /* 64, 128 and 256 items */
            break;
        }
    }
    vdni_ctx_init(&ctx);
}

int main(void)
{
    vdni_ctx_init(&ctx);
    RUN(blocks_begin_on_cache_lines_and_gaps_stay_zero);
    RUN(a_known_name_is_found_again_with_the_same_shape_only);
    RUN(counts_are_of_trainable_values_below_a_prefix);
    RUN(start_values_depend_on_seed_name_and_index_only);
    RUN(start_values_have_the_stated_laws);
    RUN(survives_every_refused_allocation);
    return test_result();
}
