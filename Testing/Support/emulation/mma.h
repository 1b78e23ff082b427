/* Stands in for the toolkit's header of this name: 16 x 16 x 16 tiles of bf16 or half, float sums.
 *
 * Every lane holds the whole of A and B and eight elements of the accumulator. Which eight is
 * nobody's business and not what any device does: code that counts on a place goes wrong here. */
#ifndef VERDIFF_EMULATION_MMA_H
#define VERDIFF_EMULATION_MMA_H

#include "cuda_bf16.h"
#include "cuda_fp16.h"

namespace nvcuda
{
namespace wmma
{

struct matrix_a;
struct matrix_b;
struct accumulator;
struct row_major;
struct col_major;
enum layout_t { mem_row_major, mem_col_major };

template <class Use, int M, int N, int K, class T, class Layout = void> struct fragment {
    static_assert(M == 16 && N == 16 && K == 16 && sizeof(T) == 2,
                  "only m16n16k16 of 16-bit types");
    typedef T element_type;
    enum { num_elements = 256, by_columns = std::is_same<Layout, col_major>::value };
    T x[256]; /* by rows */
};

template <> struct fragment<accumulator, 16, 16, 16, float, void> {
    typedef float element_type;
    enum { num_elements = 8 };
    float x[8];
    /* Position in the tile, by rows, of element i of the running lane. */
    static int at(int i) { return ((emulation::lane() * 8 + i) * 101 + 77) % 256; }
};

typedef fragment<accumulator, 16, 16, 16, float> verdiff_sums;

template <class T> static inline void verdiff_check(const T *p, unsigned ldm)
{
    if ((uintptr_t)p % 32) emulation::stop("a tile's address is not a multiple of 32");
    if (ldm * sizeof(T) % 16) emulation::stop("a tile's rows are not a multiple of 16 bytes apart");
    emulation::count_tile_operation();
}

template <class F, class V> static inline void fill_fragment(F &f, const V &value)
{
    for (int i = 0; i < F::num_elements; i++) f.x[i] = (typename F::element_type)value;
}

template <class Use, class T, class Layout>
static inline void load_matrix_sync(fragment<Use, 16, 16, 16, T, Layout> &f, const T *p,
                                    unsigned ldm)
{
    verdiff_check(p, ldm);
    for (unsigned row = 0; row < 16; row++)
        for (unsigned column = 0; column < 16; column++)
            f.x[row * 16 + column] = f.by_columns ? p[column * ldm + row] : p[row * ldm + column];
}

static inline void load_matrix_sync(verdiff_sums &f, const float *p, unsigned ldm, layout_t layout)
{
    verdiff_check(p, ldm);
    for (int i = 0; i < 8; i++) {
        const unsigned row = (unsigned)f.at(i) / 16, column = (unsigned)f.at(i) % 16;
        f.x[i] = layout == mem_col_major ? p[column * ldm + row] : p[row * ldm + column];
    }
}

static inline void store_matrix_sync(float *p, const verdiff_sums &f, unsigned ldm, layout_t layout)
{
    verdiff_check(p, ldm);
    for (int i = 0; i < 8; i++) {
        const unsigned row = (unsigned)f.at(i) / 16, column = (unsigned)f.at(i) % 16;
        p[layout == mem_col_major ? column * ldm + row : row * ldm + column] = f.x[i];
    }
}

template <class T, class LayoutA, class LayoutB>
static inline void mma_sync(verdiff_sums &d, const fragment<matrix_a, 16, 16, 16, T, LayoutA> &a,
                            const fragment<matrix_b, 16, 16, 16, T, LayoutB> &b,
                            const verdiff_sums &c)
{
    emulation::count_tile_operation();
    for (int i = 0; i < 8; i++) {
        const int row = d.at(i) / 16, column = d.at(i) % 16;
        float sum = c.x[i];
        for (int k = 0; k < 16; k++) sum += (float)a.x[row * 16 + k] * (float)b.x[k * 16 + column];
        d.x[i] = sum;
    }
}

} // namespace wmma
} // namespace nvcuda

#endif
