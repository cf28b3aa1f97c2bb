// Anti-aliased halving and doubling by binomial filters, with their backwards. One thread computes one pack of results, so nothing is
// added from two sides.
#include "common.cuh"

// Where the three taps of output o lie along an axis of n, reflected at the border.
__device__ __forceinline__ int tap(int o, int k, int n) {
    const int i = 2 * o - 1 + k;
    return i < 0 ? -i : i < n ? i : 2 * n - 2 - i;
}

// How often output o sees position i: the sum of the taps' weights there.
__device__ __forceinline__ int weight(int o, int i, int n) {
    return (tap(o, 0, n) == i) + 2 * (2 * o == i) + (tap(o, 2, n) == i);
}

template <typename T, unsigned V> struct Sum {
    typedef typename Wide<T>::type F;
    F v[V];

    __device__ Sum() {
        for (unsigned j = 0; j < V; j++) v[j] = 0;
    }
    __device__ void add(F scale, const T *from, unsigned at, unsigned inner, bool fast) {
        const Few<T, V> few = load_few<T, V>(from, at, inner, fast);
        for (unsigned j = 0; j < V; j++) v[j] += scale * widen(few.v[j]);
    }
    __device__ void store(F scale, T *to, unsigned at, unsigned inner, bool fast) const {
        Few<T, V> few;
        for (unsigned j = 0; j < V; j++) few.v[j] = narrow<T>(v[j] * scale);
        store_few<T, V>(to, at, inner, fast, few);
    }
};

template <typename T, unsigned V>
__device__ void blur_pool(const T *x, T *y, unsigned outers, unsigned h, unsigned w, unsigned inner) {
    typedef typename Wide<T>::type F;
    const unsigned ho = (h + 1) / 2, wo = (w + 1) / 2;
    const Place<V> to(outers, ho, wo, inner);
    if (!to.inside) return;
    const bool fast = fast_pixels<T, V>(inner, x, y);
    Sum<T, V> sum;
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) {
            const F scale = F((a == 1 ? 2 : 1) * (b == 1 ? 2 : 1));
            sum.add(scale, pixel(x, to.outer, tap(to.y, a, h), tap(to.x, b, w), h, w, inner), to.at, inner, fast);
        }
    sum.store(F(1.0 / 16), pixel(y, to.outer, to.y, to.x, ho, wo, inner), to.at, inner, fast);
}

template <typename T, unsigned V>
__device__ void blur_pool_backward(const T *dy, T *dx, unsigned outers, unsigned h, unsigned w, unsigned inner) {
    typedef typename Wide<T>::type F;
    const Place<V> to(outers, h, w, inner);
    if (!to.inside) return;
    const int ho = (h + 1) / 2, wo = (w + 1) / 2;
    const bool fast = fast_pixels<T, V>(inner, dy, dx);
    Sum<T, V> sum;
    for (int oy = max((int)to.y / 2 - 1, 0); oy <= min((int)to.y / 2 + 1, ho - 1); oy++)
        for (int ox = max((int)to.x / 2 - 1, 0); ox <= min((int)to.x / 2 + 1, wo - 1); ox++) {
            const int scale = weight(oy, to.y, h) * weight(ox, to.x, w);
            if (scale > 0) sum.add(F(scale), pixel(dy, to.outer, oy, ox, ho, wo, inner), to.at, inner, fast);
        }
    sum.store(F(1.0 / 16), pixel(dx, to.outer, to.y, to.x, h, w, inner), to.at, inner, fast);
}

// The farther of the two inputs, along an axis of n, that output o of a doubled size mixes.
__device__ __forceinline__ int next(int o, int n) { return o % 2 == 0 ? max(o / 2 - 1, 0) : min(o / 2 + 1, n - 1); }

template <typename T, unsigned V>
__device__ void blur_upsample(const T *x, T *y, unsigned outers, unsigned h, unsigned w, unsigned inner) {
    typedef typename Wide<T>::type F;
    const unsigned ho = 2 * h, wo = 2 * w;
    const Place<V> to(outers, ho, wo, inner);
    if (!to.inside) return;
    const bool fast = fast_pixels<T, V>(inner, x, y);
    Sum<T, V> sum;
    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 2; b++) {
            const int sy = a == 0 ? to.y / 2 : next(to.y, h), sx = b == 0 ? to.x / 2 : next(to.x, w);
            const F scale = F((a == 0 ? 3 : 1) * (b == 0 ? 3 : 1));
            sum.add(scale, pixel(x, to.outer, sy, sx, h, w, inner), to.at, inner, fast);
        }
    sum.store(F(1.0 / 16), pixel(y, to.outer, to.y, to.x, ho, wo, inner), to.at, inner, fast);
}

// The outputs along an axis of n that see input i: the two nearest with three parts, two others with one part.
__device__ __forceinline__ int seer(int i, int k, int n) {
    return k < 2 ? 2 * i + k : k == 2 ? max(2 * i - 1, 0) : min(2 * i + 2, 2 * n - 1);
}

template <typename T, unsigned V>
__device__ void blur_upsample_backward(const T *dy, T *dx, unsigned outers, unsigned h, unsigned w, unsigned inner) {
    typedef typename Wide<T>::type F;
    const Place<V> to(outers, h, w, inner);
    if (!to.inside) return;
    const bool fast = fast_pixels<T, V>(inner, dy, dx);
    Sum<T, V> sum;
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 4; b++) {
            const F scale = F((a < 2 ? 3 : 1) * (b < 2 ? 3 : 1));
            const T *from = pixel(dy, to.outer, seer(to.y, a, h), seer(to.x, b, w), 2 * h, 2 * w, inner);
            sum.add(scale, from, to.at, inner, fast);
        }
    sum.store(F(1.0 / 16), pixel(dx, to.outer, to.y, to.x, h, w, inner), to.at, inner, fast);
}

// `h` and `w` are the sides of the larger image of blur_pool and of the smaller one of blur_upsample, for backwards too.
#define DEFINE_ONE(KERNEL, NAME, T, V)                                                                                 \
    extern "C" __global__ void KERNEL##_##NAME(const T *x, T *y, unsigned o, unsigned h, unsigned w, unsigned i) {     \
        KERNEL<T, V>(x, y, o, h, w, i);                                                                                \
    }
#define DEFINE(NAME, T, V)                                                                                             \
    DEFINE_ONE(blur_pool, NAME, T, V)                                                                                  \
    DEFINE_ONE(blur_pool_backward, NAME, T, V)                                                                         \
    DEFINE_ONE(blur_upsample, NAME, T, V)                                                                              \
    DEFINE_ONE(blur_upsample_backward, NAME, T, V)
FOR_PICTURES(DEFINE)
