// y = x times a number in device memory.
#include "common.cuh"

template <typename T> __device__ void scale(const T *x, const typename Wide<T>::type *factor, T *y, unsigned n) {
    const unsigned at = thread_number() * Pack<T>::N;
    if (at >= n) return;
    const bool fast = aligned(x, y);
    const typename Wide<T>::type f = *factor;
    Pack<T> p = load(x, at, n, fast);
    for (unsigned i = 0; i < Pack<T>::N; i++) p.v[i] = narrow<T>(widen(p.v[i]) * f);
    store(y, at, n, fast, p);
}

#define DEFINE(NAME, T)                                                                                                \
    extern "C" __global__ void scale_##NAME(const T *x, const Wide<T>::type *factor, T *y, unsigned n) {               \
        scale(x, factor, y, n);                                                                                        \
    }
FOR_TYPES(DEFINE)
