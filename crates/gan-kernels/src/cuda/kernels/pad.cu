// Padding by reflection, replication or zeros, and its adjoint.
#include "border.cuh"
#include "common.cuh"

template <typename T, unsigned V>
__device__ void pad(const T *x, T *y, unsigned outers, unsigned h, unsigned w, unsigned inner, unsigned up, unsigned side,
                    int mode) {
    const unsigned hp = h + 2 * up, wp = w + 2 * side;
    const Place<V> to(outers, hp, wp, inner);
    if (!to.inside) return;
    const int sy = source(to.y, up, h, mode), sx = source(to.x, side, w, mode);
    const bool fast = fast_pixels<T, V>(inner, x, y);
    Few<T, V> few;
    if (sy < 0 || sx < 0)
        for (unsigned j = 0; j < V; j++) few.v[j] = narrow<T>(0);
    else
        few = load_few<T, V>(pixel(x, to.outer, sy, sx, h, w, inner), to.at, inner, fast);
    store_few<T, V>(pixel(y, to.outer, to.y, to.x, hp, wp, inner), to.at, inner, fast, few);
}

template <typename T, unsigned V>
__device__ void pad_backward(const T *dy, T *dx, unsigned outers, unsigned h, unsigned w, unsigned inner, unsigned up,
                             unsigned side, int mode) {
    typedef typename Wide<T>::type F;
    const Place<V> to(outers, h, w, inner);
    if (!to.inside) return;
    const unsigned hp = h + 2 * up, wp = w + 2 * side;
    const Shown rows(to.y, up, h, mode), cols(to.x, side, w, mode);
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
                                          unsigned up, unsigned side, int mode) {                                      \
        pad<T, V>(x, y, outers, h, w, inner, up, side, mode);                                                          \
    }                                                                                                                  \
    extern "C" __global__ void pad_backward_##NAME(const T *dy, T *dx, unsigned outers, unsigned h, unsigned w,        \
                                                   unsigned inner, unsigned up, unsigned side, int mode) {             \
        pad_backward<T, V>(dy, dx, outers, h, w, inner, up, side, mode);                                               \
    }
FOR_PICTURES(DEFINE)
