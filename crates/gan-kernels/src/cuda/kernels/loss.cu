// Losses: the mean over all elements and its gradient. Every block adds its part in F64, the last one to finish adds the parts; the
// order is a function of the number of elements.
#include "common.cuh"
#include "sum.cuh"

enum Kind { MEAN, SQUARED_ERROR, BCE, L1, HINGE };

__device__ __forceinline__ float decay(float x) { return expf(-fabsf(x)); }
__device__ __forceinline__ double decay(double x) { return exp(-fabs(x)); }
__device__ __forceinline__ float log_1p(float x) { return log1pf(x); }
__device__ __forceinline__ double log_1p(double x) { return log1p(x); }

// The element's share of the sum, and its gradient (`share` is the factor of the derivative).
template <typename F> __device__ __forceinline__ F element(F x, F y, int kind, F target, F share, F *gradient) {
    switch (kind) {
    case SQUARED_ERROR: {
        const F d = x - target;
        *gradient = share * d;
        return d * d;
    }
    case BCE: {
        // e^-|x| never overflows; max(x, 0) - x t + ln(1 + e^-|x|).
        const F e = decay(x);
        *gradient = share * ((x < 0 ? e : F(1)) / (1 + e) - target);
        return (x < 0 ? F(0) : x) - x * target + log_1p(e);
    }
    case L1: {
        *gradient = (x > y ? share : F(0)) - (x < y ? share : F(0));
        return x > y ? x - y : y - x;
    }
    case HINGE: {
        // `target` is the sign; NaN passes.
        const bool reached = target * x >= 1;
        *gradient = reached ? F(0) : share;
        return reached ? F(0) : 1 - target * x;
    }
    default: *gradient = share; return x;
    }
}

template <typename T>
__device__ void loss(const T *x, const T *y, T *gradient, double *parts, unsigned *counter, typename Wide<T>::type *value,
                     unsigned n, int kind, double target, double share, double factor) {
    typedef typename Wide<T>::type F;
    const bool fast = aligned(x, y, gradient);
    double sum = 0;
    for (unsigned at = thread_number() * Pack<T>::N; at < n; at += gridDim.x * 256 * Pack<T>::N) {
        const Pack<T> p = load(x, at, n, fast);
        Pack<T> q = p, g;
        if (kind == L1) q = load(y, at, n, fast);
        for (unsigned j = 0; j < Pack<T>::N; j++) {
            F slope;
            const F value = element<F>(widen(p.v[j]), widen(q.v[j]), kind, F(target), F(share), &slope);
            g.v[j] = narrow<T>(slope);
            if (at + j < n) sum += value;
        }
        store(gradient, at, n, fast, g);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
    if (!last_block(counter, gridDim.x)) return;
    sum = 0;
    for (unsigned i = threadIdx.x; i < gridDim.x; i += 256) sum += __ldcg(parts + i);
    sum = block_sum(sum);
    if (threadIdx.x == 0) *value = F(sum * factor);
}

#define DEFINE(NAME, T)                                                                                                \
    extern "C" __global__ void loss_##NAME(const T *x, const T *y, T *gradient, double *parts, unsigned *counter,      \
                                           Wide<T>::type *value, unsigned n, int kind, double target, double share,    \
                                           double factor) {                                                            \
        loss(x, y, gradient, parts, counter, value, n, kind, target, share, factor);                                   \
    }
FOR_TYPES(DEFINE)
