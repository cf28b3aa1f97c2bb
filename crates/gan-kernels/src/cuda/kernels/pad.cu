// Padding by reflection, by repetition and with zeros, and its adjoint. A picture is rows of cells: in planes a cell is
// an element, in pixels all channels of one.
#include "common.cuh"

enum Mode { ZERO, REFLECT, REPLICATE };

// The place that position i of an axis of `size` cells shows, -1 for none.
__device__ __forceinline__ int source(int i, int size, int mode) {
    if (i >= 0 && i < size) return i;
    if (mode == REFLECT) return i < 0 ? -i : 2 * (size - 1) - i;
    if (mode == REPLICATE) return i < 0 ? 0 : size - 1;
    return -1;
}

// Copies; a cell is `cell` units. A thread a unit of the result, n of them.
template <typename U>
__device__ void pad(const U *x, U *y, unsigned n, unsigned cell, int h, int w, int amount, int mode, U none) {
    const unsigned i = thread_number();
    if (i >= n) return;
    const unsigned wide = w + 2 * amount, high = h + 2 * amount;
    const unsigned unit = i % cell, place = i / cell;
    const int column = source((int)(place % wide) - amount, w, mode);
    const int row = source((int)(place / wide % high) - amount, h, mode);
    const size_t image = place / wide / high;
    y[i] = row < 0 || column < 0 ? none : x[((image * h + row) * w + column) * cell + unit];
}

#define PAD(BYTES, U, NONE)                                                                                            \
    extern "C" __global__ void pad_##BYTES(const U *x, U *y, unsigned n, unsigned cell, int h, int w, int amount,      \
                                           int mode) {                                                                 \
        pad<U>(x, y, n, cell, h, w, amount, mode, NONE);                                                               \
    }
PAD(16, uint4, make_uint4(0, 0, 0, 0))
PAD(8, uint2, make_uint2(0, 0))
PAD(4, unsigned, 0)
PAD(2, unsigned short, 0)

// The padded positions that show place i of an axis: for a reflection up to three, given one by one, else a range.
// Returns whether position number `k` exists.
__device__ __forceinline__ bool shown(int i, int k, int size, int amount, int mode, int *at) {
    if (mode == REFLECT) {
        if (k == 0) {
            *at = i + amount;
            return true;
        }
        *at = k == 1 ? amount - i : amount + 2 * (size - 1) - i;
        return k == 1 ? i >= 1 && i <= amount : i <= size - 2 && i >= size - 1 - amount;
    }
    int first = i + amount, last = i + amount;
    if (mode == REPLICATE && i == 0) first = 0;
    if (mode == REPLICATE && i == size - 1) last = size - 1 + 2 * amount;
    *at = first + k;
    return *at <= last;
}

// dx [images, h, w, cell] from dy [images, h + 2 amount, w + 2 amount, cell]; a thread a pack of a cell, or an element.
// n counts these.
template <typename T, unsigned N>
__device__ void pad_backward(const T *dy, T *dx, unsigned n, unsigned cell, int h, int w, int amount, int mode) {
    typedef typename Wide<T>::type F;
    const unsigned i = thread_number();
    if (i >= n) return;
    const unsigned packs = cell / N, lane = i % packs * N, place = i / packs;
    const int column = place % w, row = place / w % h;
    const size_t image = place / w / h;
    const int most = mode == REFLECT ? 3 : 2 * amount + 1;
    const int wide = w + 2 * amount, high = h + 2 * amount;
    F sum[N];
    for (unsigned l = 0; l < N; l++) sum[l] = 0;
    for (int a = 0; a < most; a++) {
        int r, c;
        if (!shown(row, a, h, amount, mode, &r)) continue;
        for (int b = 0; b < most; b++) {
            if (!shown(column, b, w, amount, mode, &c)) continue;
            const T *from = dy + ((image * high + r) * wide + c) * cell + lane;
            if (N > 1) {
                const Pack<T> p = load(from, 0, Pack<T>::N, true);
                for (unsigned l = 0; l < N; l++) sum[l] += widen(p.v[l]);
            } else {
                sum[0] += widen(from[0]);
            }
        }
    }
    T *to = dx + ((image * h + row) * w + column) * cell + lane;
    for (unsigned l = 0; l < N; l++) to[l] = narrow<T>(sum[l]);
}

#define PAD_BACKWARD(NAME, T)                                                                                          \
    extern "C" __global__ void pad_backward_##NAME(const T *dy, T *dx, unsigned n, unsigned cell, int h, int w,        \
                                                   int amount, int mode) {                                             \
        pad_backward<T, 1>(dy, dx, n, cell, h, w, amount, mode);                                                       \
    }                                                                                                                  \
    extern "C" __global__ void pad_backward_packs_##NAME(const T *dy, T *dx, unsigned n, unsigned cell, int h, int w,  \
                                                         int amount, int mode) {                                       \
        pad_backward<T, Pack<T>::N>(dy, dx, n, cell, h, w, amount, mode);                                              \
    }
FOR_TYPES(PAD_BACKWARD)
