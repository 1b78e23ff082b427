/* The tile kernel (simd.h). Part of kernels.h. The inline functions are used with constant P
 * (pixels), B (lane blocks) and U (items per round), so that every loop over them disappears and
 * the P * B accumulators stay in registers. */

enum { SHARE = 3, BASES = (TILE_PIXELS + SHARE - 1) / SHARE };

/* U items. SHARE pixels share one address register: base, base + pixel, base + 2 pixel. */
VDNI_INLINE void multiply_items(lanes *acc, const float **x, const float *w,
                                const vdni_tile_job *job, const int P, const int B, const int U)
{
    const int64_t pixel = job->pixel_step, item = job->item_step;

#pragma GCC unroll 4
    for (int u = 0; u < U; u++) {
        lanes wv[2];
        lanes_load(&wv[0], w + u * VDNI_LANES);
        if (B > 1) lanes_load(&wv[1], w + job->w_block + u * VDNI_LANES);
#pragma GCC unroll 32
        for (int p = 0; p < P; p++)
#pragma GCC unroll 2
            for (int b = 0; b < B; b++)
                lanes_scale_add(&acc[p * B + b], x[p / SHARE][p % SHARE * pixel + u * item],
                                &wv[b]);
    }
#pragma GCC unroll 32
    for (int g = 0; g < (P + SHARE - 1) / SHARE; g++) x[g] += U * item;
}

VDNI_INLINE void one_tile(const vdni_tile_job *job, int64_t first, int64_t block, const int P,
                          const int B)
{
    lanes acc[TILE_PIXELS * TILE_BLOCKS];
    const float *init = job->init + first * job->init_pixel + block * job->init_block;
    float *out = job->out + first * job->out_pixel + block * job->out_block;

#pragma GCC unroll 32
    for (int p = 0; p < P; p++)
#pragma GCC unroll 2
        for (int b = 0; b < B; b++)
            lanes_load(&acc[p * B + b], init + p * job->init_pixel + b * job->init_block);

    for (int64_t s = 0; s < job->segment_count; s++) {
        const float *x[BASES], *w = job->segments[s].w + block * job->w_block;
        int64_t left = job->segments[s].length;
#pragma GCC unroll 32
        for (int g = 0; g < (P + SHARE - 1) / SHARE; g++)
            x[g] = job->segments[s].x + (first + SHARE * g) * job->pixel_step;
        for (; left >= 2; left -= 2, w += 2 * VDNI_LANES) multiply_items(acc, x, w, job, P, B, 2);
        if (left) multiply_items(acc, x, w, job, P, B, 1);
    }

#pragma GCC unroll 32
    for (int p = 0; p < P; p++)
#pragma GCC unroll 2
        for (int b = 0; b < B; b++)
            lanes_store(out + p * job->out_pixel + b * job->out_block, &acc[p * B + b]);
}

/* With 32 wide registers, 16 or 20 accumulators hide the latency of the multiply-add: 10 pixels
 * divide the widths that images of 320 and 880 columns have on every level, 8 the usual channel
 * counts. With 16 registers, 6 pixels of two or 3 of four are what they hold. */
static void tile(const vdni_tile_job *job)
{
    int64_t block = 0;
#if defined(VECTOR_BYTES) && VECTOR_BYTES == 64
    const int by_8 = (job->pixels + 7) / 8 * 8 < (job->pixels + 9) / 10 * 10;
    for (; block + 1 < job->blocks; block += 2)
        if (by_8)
            for (int64_t p = 0; p < job->pixels; p += 8) one_tile(job, p, block, 8, TILE_BLOCKS);
        else
            for (int64_t p = 0; p < job->pixels; p += 10) one_tile(job, p, block, 10, TILE_BLOCKS);
    if (block < job->blocks && by_8) {
        for (int64_t p = 0; p < job->pixels; p += 8) one_tile(job, p, block, 8, 1);
        return;
    }
#endif
    for (; block < job->blocks; block++)
        for (int64_t p = 0; p < job->pixels; p += TILE_PIXELS)
            one_tile(job, p, block, TILE_PIXELS, 1);
}

static void sum_columns(float *sum, const float *g, int64_t columns, int64_t step)
{
    lanes total, v;
    lanes_load(&total, sum);
    for (int64_t i = 0; i < columns; i++) {
        lanes_load(&v, g + i * step);
        lanes_add(&total, &v);
    }
    lanes_store(sum, &total);
}

static float dot(const float *a, const float *b, int64_t count)
{
    lanes sum, va, vb;
    float lane[VDNI_LANES], total = 0;
    int64_t i = 0;

    lanes_zero(&sum);
    for (; i + VDNI_LANES <= count; i += VDNI_LANES) {
        lanes_load(&va, a + i);
        lanes_load(&vb, b + i);
        lanes_multiply_add(&sum, &va, &vb);
    }
    lanes_store(lane, &sum);
    for (; i < count; i++) total += a[i] * b[i];
    for (int l = 0; l < VDNI_LANES; l++) total += lane[l];
    return total;
}
