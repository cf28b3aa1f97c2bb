// Adam in one launch over parameters, moments and gradients; and whether gradients are finite.
#include "common.cuh"

// Remembers in *first (0: none so far) the update whose gradients have an element that is not finite.
template <typename T> __device__ void watch(const T *g, unsigned n, unsigned update, unsigned *first) {
    const unsigned at = thread_number() * Pack<T>::N;
    if (at >= n) return;
    const Pack<T> p = load(g, at, n, aligned(g));
    bool finite = true;
    for (unsigned i = 0; i < Pack<T>::N; i++) finite = finite && isfinite(p.v[i]);
    // An integer: whoever comes first writes the same number.
    if (!finite) atomicCAS(first, 0u, update);
}

// The numbers of an update, as cpu/adam.rs has them.
struct Factors {
    double beta1, rest1, beta2, rest2, eps, step_size, root_correction;
};

// Elements from .. to of w, m, v and g. Nothing is changed once *first is set (null: always changed).
template <typename T>
__device__ void adam(T *w, T *m, T *v, const T *g, unsigned n, const Factors f, const unsigned *first) {
    if (first && *first) return;
    const unsigned at = thread_number() * Pack<T>::N;
    if (at >= n) return;
    const bool fast = aligned(w, m, v) && aligned(g);
    Pack<T> pw = load(w, at, n, fast), pm = load(m, at, n, fast), pv = load(v, at, n, fast);
    const Pack<T> pg = load(g, at, n, fast);
    for (unsigned i = 0; i < Pack<T>::N; i++) {
        const T x = pg.v[i];
        pm.v[i] = T(f.beta1) * pm.v[i] + T(f.rest1) * x;
        pv.v[i] = T(f.beta2) * pv.v[i] + T(f.rest2) * x * x;
        pw.v[i] -= T(f.step_size) * pm.v[i] / (sqrt(pv.v[i]) / T(f.root_correction) + T(f.eps));
    }
    store(w, at, n, fast, pw);
    store(m, at, n, fast, pm);
    store(v, at, n, fast, pv);
}

#define DEFINE(NAME, T)                                                                                                \
    extern "C" __global__ void watch_##NAME(const T *g, unsigned n, unsigned update, unsigned *first) {                \
        watch(g, n, update, first);                                                                                    \
    }                                                                                                                  \
    extern "C" __global__ void adam_##NAME(T *w, T *m, T *v, const T *g, unsigned n, double beta1, double rest1,       \
                                           double beta2, double rest2, double eps, double step_size,                   \
                                           double root_correction, const unsigned *first) {                            \
        adam(w, m, v, g, n, Factors{beta1, rest1, beta2, rest2, eps, step_size, root_correction}, first);              \
    }
DEFINE(f32, float)
DEFINE(f64, double)
