/* Each kind of damage is recognised by what defines it; components are counted by an oracle that
 * spreads labels until nothing changes. */
#include "Train/prior_corruption.h"

#include "test.h"

enum { H = 61, W = 75, STRIDE = 80, MAX_K = 4 };

static float map[H * STRIDE * MAX_K], before[H * STRIDE * MAX_K];
static _Alignas(64) char workspace[1 << 20];

static vdni_prior_map make_map(int64_t k)
{
    const vdni_prior_map m = { map, H, W, k, STRIDE };
    return m;
}

static float *at(float *values, int64_t k, int64_t y, int64_t x)
{
    return values + (y * STRIDE + x) * k;
}

/* Soft discs: class 1 + i % (k - 1) (or foreground) at three places far apart. */
static void fill(int64_t k)
{
    static const double centre[3][2] = { { 15, 15 }, { 30, 50 }, { 48, 20 } };
    for (int64_t i = 0; i < H * STRIDE * k; i++) map[i] = -7.0f;
    for (int64_t y = 0; y < H; y++)
        for (int64_t x = 0; x < W; x++) {
            float *const p = at(map, k, y, x);
            float rest = 1.0f;
            for (int64_t i = 0; i < k; i++) p[i] = 0.0f;
            for (int i = 0; i < 3; i++) {
                const double d = hypot((double)y - centre[i][0], (double)x - centre[i][1]);
                const float q = (float)(1.0 / (1.0 + exp(1.5 * (d - 7.0))));
                p[k == 1 ? 0 : 1 + i % (k - 1)] += q;
                rest -= q;
            }
            if (k > 1) p[0] = rest;
        }
    memcpy(before, map, sizeof map);
}

static vdni_corruption apply(int64_t k, vdni_corruption kind, uint32_t step)
{
    const vdni_prior_map m = make_map(k);
    const vdni_corruption_recipe r = vdni_corruption_recommended();
    const vdni_noise_key key = { .seed = 35, .slice = 7, .step = step };
    EXPECT(vdni_corruption_workspace_bytes(H, W, k) <= (int64_t)sizeof workspace);
    memset(workspace, 0xff, sizeof workspace);
    return vdni_corruption_apply(&m, kind, &r, key, workspace);
}

/* In [0, 1], sums to 1, and what is not part of the map untouched. */
static void expect_distribution(int64_t k)
{
    double worst_sum = 0.0;
    int outside = 0, margin = 0;
    for (int64_t y = 0; y < H; y++) {
        for (int64_t x = 0; x < W; x++) {
            double sum = 0.0;
            for (int64_t i = 0; i < k; i++) {
                const float p = at(map, k, y, x)[i];
                outside += !(p >= 0.0f && p <= 1.0f);
                sum += p;
            }
            if (!(fabs(sum - 1.0) <= worst_sum)) worst_sum = fabs(sum - 1.0);
        }
        for (int64_t x = W; x < STRIDE; x++)
            for (int64_t i = 0; i < k; i++) margin += at(map, k, y, x)[i] != -7.0f;
    }
    EXPECT(outside == 0);
    EXPECT(margin == 0);
    if (k > 1) EXPECT_LE(worst_sum, 1e-5);
}

static int winner(const float *p, int64_t k)
{
    int best = k == 1 ? p[0] > 0.5f : 0;
    for (int i = 1; i < k; i++)
        if (p[i] > p[best]) best = i;
    return best;
}

/* Components of one winner: every pixel takes the smallest number among its like neighbours. */
static int count_components(float *values, int64_t k)
{
    static int number[H][W], kind[H][W];
    int changed = 1, count = 0;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            kind[y][x] = winner(at(values, k, y, x), k);
            number[y][x] = y * W + x;
        }
    while (changed) {
        changed = 0;
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                for (int d = 0; d < 4; d++) {
                    const int v = y + (d == 0) - (d == 1), u = x + (d == 2) - (d == 3);
                    if (v < 0 || u < 0 || v >= H || u >= W || kind[v][u] != kind[y][x]) continue;
                    if (number[v][u] >= number[y][x]) continue;
                    number[y][x] = number[v][u];
                    changed = 1;
                }
    }
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) count += kind[y][x] != 0 && number[y][x] == y * W + x;
    return count;
}

static void every_kind_leaves_a_distribution(void)
{
    for (int64_t k = 1; k <= MAX_K; k++)
        for (int kind = VDNI_CORRUPT_NOTHING; kind <= VDNI_CORRUPT_DROP; kind++)
            for (uint32_t step = 0; step < 10; step++) {
                fill(k);
                EXPECT(apply(k, (vdni_corruption)kind, step) == (vdni_corruption)kind);
                expect_distribution(k);
                const int same = memcmp(map, before, sizeof map) == 0;
                EXPECT(same == (kind == VDNI_CORRUPT_NOTHING));
            }
}

static void the_same_key_gives_the_same_bits(void)
{
    static float first[H * STRIDE * MAX_K];
    for (int kind = VDNI_CORRUPT_TEMPERATURE; kind < VDNI_CORRUPT_DROP; kind++) {
        fill(3);
        (void)apply(3, (vdni_corruption)kind, 1);
        memcpy(first, map, sizeof map);
        fill(3);
        (void)apply(3, (vdni_corruption)kind, 2);
        EXPECT(kind == VDNI_CORRUPT_DILATE || kind == VDNI_CORRUPT_ERODE ||
               kind == VDNI_CORRUPT_ERASE || memcmp(first, map, sizeof map) != 0);
        fill(3);
        (void)apply(3, (vdni_corruption)kind, 1);
        EXPECT(memcmp(first, map, sizeof map) == 0);
    }
}

static void kinds_come_with_their_probabilities(void)
{
    const vdni_corruption_recipe r = vdni_corruption_recommended();
    const vdni_corruption_recipe never = { 0 };
    int hits[VDNI_CORRUPT_DROP + 1] = { 0 };
    for (uint32_t step = 0; step < 20000; step++) {
        const vdni_noise_key key = { .seed = 35, .step = step };
        hits[vdni_corruption_draw(&r, key)]++;
        EXPECT(vdni_corruption_draw(&never, key) == VDNI_CORRUPT_NOTHING);
    }
    EXPECT_LE(abs(hits[VDNI_CORRUPT_DROP] - 2000), 170);    /* 0.1; four deviations */
    EXPECT_LE(abs(hits[VDNI_CORRUPT_NOTHING] - 9000), 280); /* 0.9 * 0.5 */
    EXPECT_LE(abs(hits[VDNI_CORRUPT_TEMPERATURE] - 1800), 160);
    EXPECT_LE(abs(hits[VDNI_CORRUPT_BLUR] - 1800), 160);
    EXPECT_LE(abs(hits[VDNI_CORRUPT_SHIFT] - 1800), 160);
    for (int kind = VDNI_CORRUPT_DILATE; kind <= VDNI_CORRUPT_INSERT; kind++)
        EXPECT_LE(abs(hits[kind] - 900), 120);
}

static void dropping_leaves_no_information(void)
{
    for (int64_t k = 1; k <= MAX_K; k++) {
        fill(k);
        (void)apply(k, VDNI_CORRUPT_DROP, 1);
        for (int64_t y = 0; y < H; y++)
            for (int64_t x = 0; x < W; x++)
                for (int64_t i = 0; i < k; i++)
                    EXPECT(at(map, k, y, x)[i] == (k == 1 ? 0.5f : 1.0f / (float)k));
    }
}

static double logit(double p) { return log(p / (1.0 - p)); }

static void temperature_divides_the_logits(void)
{
    double least = 10.0, most = 0.0, mean = 0.0;
    for (uint32_t step = 0; step < 80; step++) {
        double tau = 0.0;
        fill(1);
        (void)apply(1, VDNI_CORRUPT_TEMPERATURE, step);
        for (int64_t y = 0; y < H; y++)
            for (int64_t x = 0; x < W; x++) {
                const double p = *at(before, 1, y, x), q = *at(map, 1, y, x);
                if (p < 0.05 || p > 0.95 || fabs(p - 0.5) < 0.1) continue;
                const double here = logit(p) / logit(q);
                if (tau == 0.0) tau = here;
                EXPECT_LE(fabs(here - tau), 1e-4 * tau);
            }
        EXPECT(tau >= 0.499 && tau <= 2.001);
        least = fmin(least, tau);
        most = fmax(most, tau);
        mean += tau / 80.0;
    }
    EXPECT_LE(fabs(mean - 1.25), 0.2); /* four deviations of the mean of U(0.5, 2) */
    EXPECT_LE(least, 0.65);
    EXPECT_LE(1.85, most);
    fill(3); /* several classes: ratios of probabilities */
    (void)apply(3, VDNI_CORRUPT_TEMPERATURE, 3);
    double tau = 0.0;
    for (int64_t y = 0; y < H; y++)
        for (int64_t x = 0; x < W; x++) {
            const float *const p = at(before, 3, y, x), *const q = at(map, 3, y, x);
            if (p[0] < 0.01f || p[1] < 0.01f || fabsf(logf(p[0] / p[1])) < 0.2f) continue;
            const double here = log((double)p[0] / p[1]) / log((double)q[0] / q[1]);
            if (tau == 0.0) tau = here;
            EXPECT_LE(fabs(here - tau), 1e-3 * tau);
        }
    EXPECT(tau >= 0.499 && tau <= 2.001);
}

static double sum_of(float *values, int64_t k, int64_t i)
{
    double sum = 0.0;
    for (int64_t y = 0; y < H; y++)
        for (int64_t x = 0; x < W; x++) sum += at(values, k, y, x)[i];
    return sum;
}

static void blur_keeps_the_mean(void)
{
    for (uint32_t step = 0; step < 5; step++) {
        fill(2);
        (void)apply(2, VDNI_CORRUPT_BLUR, step);
        for (int64_t i = 0; i < 2; i++)
            EXPECT_LE(fabs(sum_of(map, 2, i) / sum_of(before, 2, i) - 1.0), 1e-5);
    }
}

/* Position ramps through the shift: they come back as where each pixel was taken from. */
static void shift_moves_no_pixel_farther_than_4(void)
{
    double furthest = 0.0;
    for (uint32_t step = 0; step < 40; step++) {
        for (int64_t y = 0; y < H; y++)
            for (int64_t x = 0; x < W; x++) {
                at(map, 2, y, x)[0] = (float)y / STRIDE;
                at(map, 2, y, x)[1] = (float)x / STRIDE;
            }
        (void)apply(2, VDNI_CORRUPT_SHIFT, step);
        for (int64_t y = 0; y < H; y++)
            for (int64_t x = 0; x < W; x++)
                furthest = fmax(furthest, hypot(STRIDE * at(map, 2, y, x)[0] - (double)y,
                                                STRIDE * at(map, 2, y, x)[1] - (double)x));
    }
    EXPECT_LE(furthest, 4.0 + 1e-4);
    EXPECT_LE(1.5, furthest);
}

/* Radius r, or 0, such that @p map is the extreme of @p before over a disc of that radius. */
static int radius_that_explains(int64_t k, int64_t channel, int largest)
{
    for (int r = 1; r <= 2; r++) {
        int wrong = 0;
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                float extreme = at(before, k, y, x)[channel];
                for (int v = y - r; v <= y + r; v++)
                    for (int u = x - r; u <= x + r; u++) {
                        if (v < 0 || u < 0 || v >= H || u >= W) continue;
                        if ((v - y) * (v - y) + (u - x) * (u - x) > r * r) continue;
                        const float p = at(before, k, v, u)[channel];
                        extreme = (largest ? p > extreme : p < extreme) ? p : extreme;
                    }
                wrong += extreme != at(map, k, y, x)[channel];
            }
        if (wrong == 0) return r;
    }
    return 0;
}

static void dilation_and_erosion_are_extremes_over_a_disc(void)
{
    for (int largest = 0; largest < 2; largest++)
        for (int64_t k = 1; k <= 3; k += 2) {
            int radii[3] = { 0, 0, 0 };
            for (uint32_t step = 0; step < 16; step++) {
                fill(k);
                (void)apply(k, largest ? VDNI_CORRUPT_DILATE : VDNI_CORRUPT_ERODE, step);
                int explained = 0;
                for (int64_t i = k == 1 ? 0 : 1; i < k; i++) {
                    const int r = radius_that_explains(k, i, largest);
                    if (r) explained = r;
                }
                radii[explained]++;
            }
            EXPECT(radii[0] == 0 && radii[1] > 2 && radii[2] > 2);
        }
}

static void erase_removes_exactly_one_component(void)
{
    for (int64_t k = 1; k <= MAX_K; k++)
        for (uint32_t step = 0; step < 20; step++) {
            fill(k);
            const int components = count_components(map, k);
            EXPECT(components == 3);
            (void)apply(k, VDNI_CORRUPT_ERASE, step);
            EXPECT(count_components(map, k) == components - 1);
            int touched = 0, outside_box = 0;
            for (int64_t y = 0; y < H; y++)
                for (int64_t x = 0; x < W; x++) {
                    const int differs = memcmp(at(map, k, y, x), at(before, k, y, x),
                                               (size_t)k * sizeof(float)) != 0;
                    const int near = hypot(y - 15.0, x - 15.0) < 13 ||
                                     hypot(y - 30.0, x - 50.0) < 13 ||
                                     hypot(y - 48.0, x - 20.0) < 13;
                    touched += differs;
                    outside_box += differs && !near;
                }
            EXPECT(touched >= 150 && touched < 400 && outside_box == 0);
        }
}

/* Two squares with 2 px of doubt between them: the one that stays keeps every value. */
static void a_neighbour_of_the_erased_component_keeps_its_values(void)
{
    int stayed[2] = { 0, 0 };
    for (uint32_t step = 0; step < 20; step++) {
        int changed[2] = { 0, 0 };
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                const int in_rows = y >= 20 && y < 40;
                const int inside = in_rows && ((x >= 10 && x < 30) || (x >= 32 && x < 52));
                *at(map, 1, y, x) = inside ? 0.9f : in_rows && x >= 30 && x < 32 ? 0.3f : 0.0f;
            }
        memcpy(before, map, sizeof map);
        (void)apply(1, VDNI_CORRUPT_ERASE, step);
        EXPECT(count_components(map, 1) == 1);
        for (int y = 20; y < 40; y++)
            for (int x = 10; x < 52; x++)
                if (x < 30 || x >= 32)
                    changed[x >= 32] += *at(map, 1, y, x) != *at(before, 1, y, x);
        EXPECT(changed[0] == 0 ? changed[1] == 400 : changed[0] == 400 && changed[1] == 0);
        stayed[changed[0] != 0]++;
    }
    EXPECT(stayed[0] > 3 && stayed[1] > 3);
}

static void every_component_can_be_erased(void)
{
    int erased[3] = { 0, 0, 0 };
    for (uint32_t step = 0; step < 60; step++) {
        fill(1);
        (void)apply(1, VDNI_CORRUPT_ERASE, step);
        erased[0] += *at(map, 1, 15, 15) < 0.5f;
        erased[1] += *at(map, 1, 30, 50) < 0.5f;
        erased[2] += *at(map, 1, 48, 20) < 0.5f;
    }
    EXPECT(erased[0] > 5 && erased[1] > 5 && erased[2] > 5);
    EXPECT(erased[0] + erased[1] + erased[2] == 60);
}

static void insert_adds_one_component_where_there_is_room(void)
{
    for (int64_t k = 1; k <= MAX_K; k++) {
        int added = 0;
        for (uint32_t step = 0; step < 40; step++) {
            fill(k);
            (void)apply(k, VDNI_CORRUPT_INSERT, step);
            added += count_components(map, k) == 4;
            for (int64_t i = 0; i < H * STRIDE; i++)
                if (k == 1) EXPECT(map[i] >= before[i]);
        }
        EXPECT(added >= 30); /* in a crowded map some tries find no free place */
    }
}

static void insert_looks_for_a_free_place(void)
{
    int added = 0;
    for (uint32_t step = 0; step < 40; step++) {
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) *at(map, 1, y, x) = x < 2 * W / 5 ? 1.0f : 0.0f;
        (void)apply(1, VDNI_CORRUPT_INSERT, step);
        added += count_components(map, 1) == 2;
    }
    EXPECT(added >= 34); /* one try alone finds one in about half of the cases */
}

static void erase_of_an_empty_map_inserts(void)
{
    for (int64_t k = 1; k <= 2; k++) {
        fill(k);
        for (int64_t y = 0; y < H; y++)
            for (int64_t x = 0; x < W; x++) {
                at(map, k, y, x)[0] = k == 1 ? 0.0f : 1.0f;
                if (k == 2) at(map, k, y, x)[1] = 0.0f;
            }
        EXPECT(apply(k, VDNI_CORRUPT_ERASE, 1) == VDNI_CORRUPT_INSERT);
        EXPECT(count_components(map, k) == 1);
        expect_distribution(k);
    }
}

static void certain_priors_and_tiny_maps_stay_finite(void)
{
    for (int64_t k = 1; k <= 3; k++)
        for (int kind = VDNI_CORRUPT_NOTHING; kind <= VDNI_CORRUPT_DROP; kind++)
            for (int64_t side = 1; side <= 3; side++) {
                float tiny[27];
                const vdni_prior_map m = { tiny, side, 4 - side, k, 4 - side };
                const vdni_corruption_recipe r = vdni_corruption_recommended();
                const vdni_noise_key key = { .seed = 1 };
                for (int64_t i = 0; i < 27; i++)
                    tiny[i] = k == 1 ? (float)(i % 2) : i % k == (i / k) % k ? 1.0f : 0.0f;
                (void)vdni_corruption_apply(&m, (vdni_corruption)kind, &r, key, workspace);
                for (int64_t i = 0; i < side * (4 - side); i++) {
                    double sum = 0.0;
                    for (int64_t j = 0; j < k; j++) {
                        EXPECT(tiny[i * k + j] >= 0.0f && tiny[i * k + j] <= 1.0f);
                        sum += tiny[i * k + j];
                    }
                    if (k > 1) EXPECT_LE(fabs(sum - 1.0), 1e-5);
                }
            }
}

/* Blurring a plane of ones, or moving it, gives sums of weights: 1 only up to rounding. */
static void a_plane_of_ones_never_passes_1(void)
{
    for (uint32_t step = 0; step < 40; step++)
        for (int kind = VDNI_CORRUPT_TEMPERATURE; kind <= VDNI_CORRUPT_DROP; kind++) {
            int outside = 0;
            for (int64_t i = 0; i < H * STRIDE; i++) map[i] = 1.0f;
            (void)apply(1, (vdni_corruption)kind, step);
            for (int64_t i = 0; i < H * STRIDE; i++) outside += !(map[i] >= 0.0f && map[i] <= 1.0f);
            EXPECT(outside == 0);
        }
}

int main(void)
{
    RUN(every_kind_leaves_a_distribution);
    RUN(the_same_key_gives_the_same_bits);
    RUN(kinds_come_with_their_probabilities);
    RUN(dropping_leaves_no_information);
    RUN(temperature_divides_the_logits);
    RUN(blur_keeps_the_mean);
    RUN(shift_moves_no_pixel_farther_than_4);
    RUN(dilation_and_erosion_are_extremes_over_a_disc);
    RUN(erase_removes_exactly_one_component);
    RUN(a_neighbour_of_the_erased_component_keeps_its_values);
    RUN(every_component_can_be_erased);
    RUN(insert_adds_one_component_where_there_is_room);
    RUN(insert_looks_for_a_free_place);
    RUN(erase_of_an_empty_map_inserts);
    RUN(a_plane_of_ones_never_passes_1);
    RUN(certain_priors_and_tiny_maps_stay_finite);
    return test_result();
}
