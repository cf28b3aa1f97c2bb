// Padding by reflection, replication or zeros, and its adjoint.
#include "border.cuh"
#include "common.cuh"

template <typename T, unsigned V>
__device__ void pad(const T *x, T *y, unsigned outers, unsigned h, unsigned w, unsigned inner, unsigned amount, int mode) {
    const unsigned hp = h + 2 * amount, wp = w + 2 * amount;
    const Place<V> to(outers, hp, wp, inner);
    if (!to.inside) return;
    const int sy = source(to.y, amount, h, mode), sx = source(to.x, amount, w, mode);
    const bool fast = fast_pixels<T, V>(inner, x, y);
    Few<T, V> few;
    if (sy < 0 || sx < 0)
        for (unsigned j = 0; j < V; j++) few.v[j] = narrow<T>(0);
    else
        few = load_few<T, V>(pixel(x, to.outer, sy, sx, h, w, inner), to.at, inner, fast);
    store_few<T, V>(pixel(y, to.outer, to.y, to.x, hp, wp, inner), to.at, inner, fast, few);
}

// The padded positions that show pixel i: a range of them, or up to three of a reflection.
struct Shown {
    int first, second, third, count;
    bool range;

    __device__ Shown(int i, int pad, int n, int mode) : first(i + pad), second(0), third(0), count(1), range(mode == REPLICATE) {
        if (range) {
            const int end = i == n - 1 ? n + 2 * pad : i + pad + 1;
            first = i == 0 ? 0 : i + pad;
            count = end - first;
        } else if (mode == REFLECT) {
            const bool before = i >= 1 && i <= pad, after = i <= n - 2 && n - 1 - i <= pad;
            third = pad + 2 * (n - 1) - i;
            second = before ? pad - i : third;
            count = 1 + before + after;
        }
    }
    __device__ int operator[](int k) const { return range ? first + k : k == 0 ? first : k == 1 ? second : third; }
};

template <typename T, unsigned V>
__device__ void pad_backward(const T *dy, T *dx, unsigned outers, unsigned h, unsigned w, unsigned inner, unsigned amount,
                             int mode) {
    typedef typename Wide<T>::type F;
    const Place<V> to(outers, h, w, inner);
    if (!to.inside) return;
    const unsigned hp = h + 2 * amount, wp = w + 2 * amount;
    const Shown rows(to.y, amount, h, mode), cols(to.x, amount, w, mode);
    const bool fast = fast_pixels<T, V>(inner, dy, dx);
    F sum[V];
    for (unsigned j = 0; j < V; j++) sum[j] = 0;
    for (int a = 0; a < rows.count; a++)
        for (int b = 0; b < cols.count; b++) {
            const Few<T, V> few = load_few<T, V>(pixel(dy, to.outer, rows[a], cols[b], hp, wp, inner), to.at, inner, fast);
            for (unsigned j = 0; j < V; j++) sum[j] += widen(few.v[j]);
        }
    Few<T, V> few;
    for (unsigned j = 0; j < V; j++) few.v[j] = narrow<T>(sum[j]);
    store_few<T, V>(pixel(dx, to.outer, to.y, to.x, h, w, inner), to.at, inner, fast, few);
}

#define DEFINE(NAME, T, V)                                                                                             \
    extern "C" __global__ void pad_##NAME(const T *x, T *y, unsigned outers, unsigned h, unsigned w, unsigned inner,   \
                                          unsigned amount, int mode) {                                                 \
        pad<T, V>(x, y, outers, h, w, inner, amount, mode);                                                            \
    }                                                                                                                  \
    extern "C" __global__ void pad_backward_##NAME(const T *dy, T *dx, unsigned outers, unsigned h, unsigned w,        \
                                                   unsigned inner, unsigned amount, int mode) {                        \
        pad_backward<T, V>(dy, dx, outers, h, w, inner, amount, mode);                                                 \
    }
FOR_PICTURES(DEFINE)
