// Activations, forward and backward, element by element.
#include "common.cuh"

template <typename T> __device__ void act(const T *x, T *y, unsigned n, int a) {
    const unsigned at = thread_number() * Pack<T>::N;
    if (at >= n) return;
    const bool fast = aligned(x, y);
    Pack<T> p = load(x, at, n, fast);
    for (unsigned i = 0; i < Pack<T>::N; i++) p.v[i] = narrow<T>(activate(widen(p.v[i]), a));
    store(y, at, n, fast, p);
}

template <typename T> __device__ void act_backward(const T *y, const T *dy, T *dx, unsigned n, int a) {
    const unsigned at = thread_number() * Pack<T>::N;
    if (at >= n) return;
    const bool fast = aligned(y, dy, dx);
    const Pack<T> p = load(y, at, n, fast);
    Pack<T> d = load(dy, at, n, fast);
    for (unsigned i = 0; i < Pack<T>::N; i++) d.v[i] = narrow<T>(widen(d.v[i]) * slope(widen(p.v[i]), a));
    store(dx, at, n, fast, d);
}

#define DEFINE(NAME, T)                                                                                                \
    extern "C" __global__ void act_##NAME(const T *x, T *y, unsigned n, int a) { act(x, y, n, a); }                    \
    extern "C" __global__ void act_backward_##NAME(const T *y, const T *dy, T *dx, unsigned n, int a) {                \
        act_backward(y, dy, dx, n, a);                                                                                 \
    }
FOR_TYPES(DEFINE)
