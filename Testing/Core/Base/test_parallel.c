#include "Base/parallel.h"
#include "test.h"

static void chunks_cover_every_item_once(void)
{
    for (int64_t n = 0; n <= 200; n++)
        for (int64_t chunks = 1; chunks <= 67; chunks += 3) {
            EXPECT(vdni_chunk_begin(n, chunks, 0) == 0);
            EXPECT(vdni_chunk_begin(n, chunks, chunks) == n);
            for (int64_t k = 0; k < chunks; k++) {
                const int64_t length =
                    vdni_chunk_begin(n, chunks, k + 1) - vdni_chunk_begin(n, chunks, k);
                EXPECT(length == n / chunks || length == n / chunks + 1);
            }
        }
    EXPECT(vdni_chunk_begin(INT64_MAX, VDNI_CHUNKS, VDNI_CHUNKS) == INT64_MAX);
}

enum { MOST = 1009 };

typedef struct {
    int32_t visits[MOST]; /* every call writes its own item only */
    const float *x;
    double sum[VDNI_CHUNKS];
    int64_t n;
} work;

static void visit(void *user, int64_t i) { ((work *)user)->visits[i]++; }

static void every_item_is_visited_once_on_any_number_of_threads(void)
{
    static const int64_t counts[] = { 0, 1, 2, 3, 7, 64, 101, MOST };
    static work w;
    for (int32_t threads = 0; threads <= 5; threads++)
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            int64_t wrong = 0;
            memset(&w, 0, sizeof w);
            vdni_parallel_for(threads, counts[c], visit, &w);
            for (int64_t i = 0; i < MOST; i++) wrong += w.visits[i] != (i < counts[c]);
            EXPECT(wrong == 0);
        }
}

static void add_chunk(void *user, int64_t k)
{
    work *w = user;
    for (int64_t i = vdni_chunk_begin(w->n, VDNI_CHUNKS, k);
         i < vdni_chunk_begin(w->n, VDNI_CHUNKS, k + 1); i++)
        w->sum[k] += w->x[i];
}

static void sums_in_chunk_order_have_the_same_bits_for_any_thread_count(void)
{
    static float x[MOST];
    static work w;
    uint64_t seed = 1;
    double first = 0.0;
    for (int i = 0; i < MOST; i++) x[i] = (float)ldexp(test_random(&seed), i % 40);
    for (int32_t threads = 1; threads <= 7; threads++) {
        double total = 0.0;
        memset(&w, 0, sizeof w);
        w.x = x;
        w.n = MOST;
        vdni_parallel_for(threads, VDNI_CHUNKS, add_chunk, &w);
        for (int k = 0; k < VDNI_CHUNKS; k++) total += w.sum[k];
        if (threads == 1) first = total;
        EXPECT(memcmp(&total, &first, sizeof total) == 0);
    }
    EXPECT(first != 0.0);
}

static void there_is_a_processor(void)
{
    EXPECT(vdni_processor_count() >= 1);
    EXPECT(vdni_processor_count() == vdni_processor_count());
}

int main(void)
{
    RUN(chunks_cover_every_item_once);
    RUN(every_item_is_visited_once_on_any_number_of_threads);
    RUN(sums_in_chunk_order_have_the_same_bits_for_any_thread_count);
    RUN(there_is_a_processor);
    return test_result();
}
