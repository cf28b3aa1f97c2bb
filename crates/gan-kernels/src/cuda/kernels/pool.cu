// Average and maximum pooling, nearest upsampling; all with their backwards. One thread computes one pack of results, so nothing is
// added from two sides.
#include "common.cuh"

// The windows of a pooling along the axes, cut at the border.
struct Windows {
    unsigned ho, wo, kernel, stride, padding;

    // The pixels of the window of output o along an axis of n pixels.
    __device__ __forceinline__ int from(unsigned o) const { return max((int)(o * stride) - (int)padding, 0); }
    __device__ __forceinline__ int to(unsigned o, unsigned n) const { return min(o * stride + kernel - padding, n); }
    // The first output whose window holds pixel i, and the one behind the last, of `outputs`.
    __device__ __forceinline__ unsigned first(unsigned i) const {
        return i + padding < kernel ? 0 : (i + padding - kernel) / stride + 1;
    }
    __device__ __forceinline__ unsigned end(unsigned i, unsigned outputs) const {
        return min((i + padding) / stride + 1, outputs);
    }
};

template <typename T, unsigned V>
__device__ void avg_pool(const T *x, T *y, unsigned outers, unsigned h, unsigned w, unsigned inner, Windows p) {
    typedef typename Wide<T>::type F;
    const Place<V> to(outers, p.ho, p.wo, inner);
    if (!to.inside) return;
    const bool fast = fast_pixels<T, V>(inner, x, y);
    const int y0 = p.from(to.y), y1 = p.to(to.y, h), x0 = p.from(to.x), x1 = p.to(to.x, w);
    F sum[V];
    for (unsigned j = 0; j < V; j++) sum[j] = 0;
    for (int iy = y0; iy < y1; iy++)
        for (int ix = x0; ix < x1; ix++) {
            const Few<T, V> few = load_few<T, V>(pixel(x, to.outer, iy, ix, h, w, inner), to.at, inner, fast);
            for (unsigned j = 0; j < V; j++) sum[j] += widen(few.v[j]);
        }
    const F count = F((y1 - y0) * (x1 - x0));
    Few<T, V> few;
    for (unsigned j = 0; j < V; j++) few.v[j] = narrow<T>(sum[j] / count);
    store_few<T, V>(pixel(y, to.outer, to.y, to.x, p.ho, p.wo, inner), to.at, inner, fast, few);
}

template <typename T, unsigned V>
__device__ void avg_pool_backward(const T *dy, T *dx, unsigned outers, unsigned h, unsigned w, unsigned inner, Windows p) {
    typedef typename Wide<T>::type F;
    const Place<V> to(outers, h, w, inner);
    if (!to.inside) return;
    const bool fast = fast_pixels<T, V>(inner, dy, dx);
    F sum[V];
    for (unsigned j = 0; j < V; j++) sum[j] = 0;
    for (unsigned oy = p.first(to.y); oy < p.end(to.y, p.ho); oy++)
        for (unsigned ox = p.first(to.x); ox < p.end(to.x, p.wo); ox++) {
            const F count = F((p.to(oy, h) - p.from(oy)) * (p.to(ox, w) - p.from(ox)));
            const Few<T, V> few = load_few<T, V>(pixel(dy, to.outer, oy, ox, p.ho, p.wo, inner), to.at, inner, fast);
            for (unsigned j = 0; j < V; j++) sum[j] += widen(few.v[j]) / count;
        }
    Few<T, V> few;
    for (unsigned j = 0; j < V; j++) few.v[j] = narrow<T>(sum[j]);
    store_few<T, V>(pixel(dx, to.outer, to.y, to.x, h, w, inner), to.at, inner, fast, few);
}

// NaN counts as larger than all numbers, and the first of equals wins.
template <typename F> __device__ __forceinline__ bool larger(F x, F y) { return x > y || (x != x && y == y); }

// The maximum of four pixels that lie in no other window.
template <typename T, unsigned V> struct Window {
    Few<T, V> v[4];

    __device__ Window(const T *x, unsigned outer, unsigned oy, unsigned ox, unsigned h, unsigned w, unsigned inner,
                      unsigned at, bool fast) {
        for (unsigned k = 0; k < 4; k++)
            v[k] = load_few<T, V>(pixel(x, outer, 2 * oy + k / 2, 2 * ox + k % 2, h, w, inner), at, inner, fast);
    }
    // Which of the four is the maximum.
    __device__ unsigned best(unsigned j) const {
        unsigned best = 0;
        for (unsigned k = 1; k < 4; k++)
            if (larger(widen(v[k].v[j]), best == 0   ? widen(v[0].v[j])
                                         : best == 1 ? widen(v[1].v[j])
                                                     : widen(v[2].v[j])))
                best = k;
        return best;
    }
};

template <typename T, unsigned V>
__device__ void max_pool2(const T *x, T *y, unsigned outers, unsigned h, unsigned w, unsigned inner) {
    const unsigned ho = h / 2, wo = w / 2;
    const Place<V> to(outers, ho, wo, inner);
    if (!to.inside) return;
    const bool fast = fast_pixels<T, V>(inner, x, y);
    const Window<T, V> window(x, to.outer, to.y, to.x, h, w, inner, to.at, fast);
    Few<T, V> few;
    for (unsigned j = 0; j < V; j++) {
        const unsigned best = window.best(j);
        few.v[j] = best < 2 ? (best == 0 ? window.v[0].v[j] : window.v[1].v[j])
                            : (best == 2 ? window.v[2].v[j] : window.v[3].v[j]);
    }
    store_few<T, V>(pixel(y, to.outer, to.y, to.x, ho, wo, inner), to.at, inner, fast, few);
}

template <typename T, unsigned V>
__device__ void max_pool2_backward(const T *x, const T *dy, T *dx, unsigned outers, unsigned h, unsigned w, unsigned inner) {
    const Place<V> to(outers, h, w, inner);
    if (!to.inside) return;
    const unsigned ho = h / 2, wo = w / 2, oy = to.y / 2, ox = to.x / 2;
    const bool fast = fast_pixels<T, V>(inner, x, dy, dx);
    Few<T, V> few;
    if (oy < ho && ox < wo) {
        const Window<T, V> window(x, to.outer, oy, ox, h, w, inner, to.at, fast);
        const Few<T, V> d = load_few<T, V>(pixel(dy, to.outer, oy, ox, ho, wo, inner), to.at, inner, fast);
        const unsigned mine = to.y % 2 * 2 + to.x % 2;
        for (unsigned j = 0; j < V; j++) few.v[j] = window.best(j) == mine ? d.v[j] : narrow<T>(0);
    } else {
        for (unsigned j = 0; j < V; j++) few.v[j] = narrow<T>(0);
    }
    store_few<T, V>(pixel(dx, to.outer, to.y, to.x, h, w, inner), to.at, inner, fast, few);
}

template <typename T, unsigned V>
__device__ void max_pool(const T *x, T *y, unsigned outers, unsigned h, unsigned w, unsigned inner, Windows p) {
    const Place<V> to(outers, p.ho, p.wo, inner);
    if (!to.inside) return;
    const bool fast = fast_pixels<T, V>(inner, x, y);
    const int y0 = p.from(to.y), y1 = p.to(to.y, h), x0 = p.from(to.x), x1 = p.to(to.x, w);
    Few<T, V> best = load_few<T, V>(pixel(x, to.outer, y0, x0, h, w, inner), to.at, inner, fast);
    for (int iy = y0; iy < y1; iy++)
        for (int ix = x0; ix < x1; ix++) {
            const Few<T, V> few = load_few<T, V>(pixel(x, to.outer, iy, ix, h, w, inner), to.at, inner, fast);
            for (unsigned j = 0; j < V; j++)
                if (larger(widen(few.v[j]), widen(best.v[j]))) best.v[j] = few.v[j];
        }
    store_few<T, V>(pixel(y, to.outer, to.y, to.x, p.ho, p.wo, inner), to.at, inner, fast, best);
}

template <typename T, unsigned V>
__device__ void max_pool_backward(const T *x, const T *dy, T *dx, unsigned outers, unsigned h, unsigned w, unsigned inner,
                                  Windows p) {
    typedef typename Wide<T>::type F;
    const Place<V> to(outers, h, w, inner);
    if (!to.inside) return;
    const bool fast = fast_pixels<T, V>(inner, x, dy, dx);
    F sum[V];
    for (unsigned j = 0; j < V; j++) sum[j] = 0;
    for (unsigned oy = p.first(to.y); oy < p.end(to.y, p.ho); oy++)
        for (unsigned ox = p.first(to.x); ox < p.end(to.x, p.wo); ox++) {
            const int y0 = p.from(oy), y1 = p.to(oy, h), x0 = p.from(ox), x1 = p.to(ox, w);
            Few<T, V> best = load_few<T, V>(pixel(x, to.outer, y0, x0, h, w, inner), to.at, inner, fast);
            bool mine[V];
            for (unsigned j = 0; j < V; j++) mine[j] = y0 == (int)to.y && x0 == (int)to.x;
            for (int iy = y0; iy < y1; iy++)
                for (int ix = x0; ix < x1; ix++) {
                    const Few<T, V> few = load_few<T, V>(pixel(x, to.outer, iy, ix, h, w, inner), to.at, inner, fast);
                    for (unsigned j = 0; j < V; j++)
                        if (larger(widen(few.v[j]), widen(best.v[j]))) {
                            best.v[j] = few.v[j];
                            mine[j] = iy == (int)to.y && ix == (int)to.x;
                        }
                }
            const Few<T, V> d = load_few<T, V>(pixel(dy, to.outer, oy, ox, p.ho, p.wo, inner), to.at, inner, fast);
            for (unsigned j = 0; j < V; j++)
                if (mine[j]) sum[j] += widen(d.v[j]);
        }
    Few<T, V> few;
    for (unsigned j = 0; j < V; j++) few.v[j] = narrow<T>(sum[j]);
    store_few<T, V>(pixel(dx, to.outer, to.y, to.x, h, w, inner), to.at, inner, fast, few);
}

template <typename T, unsigned V>
__device__ void upsample(const T *x, T *y, unsigned outers, unsigned h, unsigned w, unsigned inner, unsigned factor) {
    const unsigned ho = h * factor, wo = w * factor;
    const Place<V> to(outers, ho, wo, inner);
    if (!to.inside) return;
    const bool fast = fast_pixels<T, V>(inner, x, y);
    const T *from = pixel(x, to.outer, to.y / factor, to.x / factor, h, w, inner);
    const Few<T, V> few = load_few<T, V>(from, to.at, inner, fast);
    store_few<T, V>(pixel(y, to.outer, to.y, to.x, ho, wo, inner), to.at, inner, fast, few);
}

template <typename T, unsigned V>
__device__ void upsample_backward(const T *dy, T *dx, unsigned outers, unsigned h, unsigned w, unsigned inner,
                                  unsigned factor) {
    typedef typename Wide<T>::type F;
    const Place<V> to(outers, h, w, inner);
    if (!to.inside) return;
    const bool fast = fast_pixels<T, V>(inner, dy, dx);
    F sum[V];
    for (unsigned j = 0; j < V; j++) sum[j] = 0;
    for (unsigned a = 0; a < factor; a++)
        for (unsigned b = 0; b < factor; b++) {
            const T *from = pixel(dy, to.outer, to.y * factor + a, to.x * factor + b, h * factor, w * factor, inner);
            const Few<T, V> few = load_few<T, V>(from, to.at, inner, fast);
            for (unsigned j = 0; j < V; j++) sum[j] += widen(few.v[j]);
        }
    Few<T, V> few;
    for (unsigned j = 0; j < V; j++) few.v[j] = narrow<T>(sum[j]);
    store_few<T, V>(pixel(dx, to.outer, to.y, to.x, h, w, inner), to.at, inner, fast, few);
}

#define WINDOWS unsigned ho, unsigned wo, unsigned kernel, unsigned stride, unsigned padding

#define DEFINE(NAME, T, V)                                                                                             \
    extern "C" __global__ void avg_pool_##NAME(const T *x, T *y, unsigned o, unsigned h, unsigned w, unsigned i, WINDOWS) { \
        avg_pool<T, V>(x, y, o, h, w, i, Windows{ho, wo, kernel, stride, padding});                                    \
    }                                                                                                                  \
    extern "C" __global__ void avg_pool_backward_##NAME(const T *dy, T *dx, unsigned o, unsigned h, unsigned w,        \
                                                        unsigned i, WINDOWS) {                                         \
        avg_pool_backward<T, V>(dy, dx, o, h, w, i, Windows{ho, wo, kernel, stride, padding});                         \
    }                                                                                                                  \
    extern "C" __global__ void max_pool_##NAME(const T *x, T *y, unsigned o, unsigned h, unsigned w, unsigned i, WINDOWS) { \
        max_pool<T, V>(x, y, o, h, w, i, Windows{ho, wo, kernel, stride, padding});                                    \
    }                                                                                                                  \
    extern "C" __global__ void max_pool_backward_##NAME(const T *x, const T *dy, T *dx, unsigned o, unsigned h,        \
                                                        unsigned w, unsigned i, WINDOWS) {                             \
        max_pool_backward<T, V>(x, dy, dx, o, h, w, i, Windows{ho, wo, kernel, stride, padding});                      \
    }                                                                                                                  \
    extern "C" __global__ void max_pool2_##NAME(const T *x, T *y, unsigned o, unsigned h, unsigned w, unsigned i) {    \
        max_pool2<T, V>(x, y, o, h, w, i);                                                                             \
    }                                                                                                                  \
    extern "C" __global__ void max_pool2_backward_##NAME(const T *x, const T *dy, T *dx, unsigned o, unsigned h,       \
                                                         unsigned w, unsigned i) {                                     \
        max_pool2_backward<T, V>(x, dy, dx, o, h, w, i);                                                               \
    }                                                                                                                  \
    extern "C" __global__ void upsample_##NAME(const T *x, T *y, unsigned o, unsigned h, unsigned w, unsigned i,       \
                                               unsigned factor) {                                                      \
        upsample<T, V>(x, y, o, h, w, i, factor);                                                                      \
    }                                                                                                                  \
    extern "C" __global__ void upsample_backward_##NAME(const T *dy, T *dx, unsigned o, unsigned h, unsigned w,        \
                                                        unsigned i, unsigned factor) {                                 \
        upsample_backward<T, V>(dy, dx, o, h, w, i, factor);                                                           \
    }
FOR_PICTURES(DEFINE)
