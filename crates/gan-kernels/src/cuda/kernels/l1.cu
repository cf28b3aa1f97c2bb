// Sums of weighted L1 distances and their gradients, all terms in one launch. The terms are a parameter of the kernel; each has
// blocks of its own, and the order of the sums is a function of the sizes.
#include "common.cuh"
#include "sum.cuh"

const unsigned TERMS = 64;

struct Term {
    const void *x, *y;
    void *out;
    // The weight divided by the number of elements.
    double share;
    unsigned n, first;
};
struct Terms {
    Term of[TERMS];
};

// The term of this block, and the number of its blocks.
__device__ __forceinline__ Term term_of_block(const Terms &terms, unsigned count, unsigned *blocks) {
    unsigned k = 0;
    while (k + 1 < count && terms.of[k + 1].first <= blockIdx.x) k++;
    *blocks = (k + 1 < count ? terms.of[k + 1].first : gridDim.x) - terms.of[k].first;
    return terms.of[k];
}

template <typename T>
__device__ void sum(const Terms &terms, unsigned count, double *parts, unsigned *counter, typename Wide<T>::type *value) {
    typedef typename Wide<T>::type F;
    const unsigned N = Pack<T>::N;
    unsigned blocks;
    const Term term = term_of_block(terms, count, &blocks);
    const T *x = (const T *)term.x, *y = (const T *)term.y;
    const bool fast = aligned(x, y);
    double sum = 0;
    for (unsigned at = ((blockIdx.x - term.first) * 256 + threadIdx.x) * N; at < term.n; at += blocks * 256 * N) {
        const Pack<T> p = load(x, at, term.n, fast), q = load(y, at, term.n, fast);
        // Beyond the end both are zero.
        for (unsigned j = 0; j < N; j++) {
            const F a = widen(p.v[j]), b = widen(q.v[j]);
            sum += a > b ? a - b : b - a;
        }
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum * term.share;
    if (!last_block(counter, gridDim.x)) return;
    sum = 0;
    for (unsigned i = threadIdx.x; i < gridDim.x; i += 256) sum += __ldcg(parts + i);
    sum = block_sum(sum);
    if (threadIdx.x == 0) *value = F(sum);
}

template <typename T> __device__ void gradient(const Terms &terms, unsigned count, const typename Wide<T>::type *upstream) {
    typedef typename Wide<T>::type F;
    const unsigned N = Pack<T>::N;
    unsigned blocks;
    const Term term = term_of_block(terms, count, &blocks);
    const T *x = (const T *)term.x, *y = (const T *)term.y;
    T *out = (T *)term.out;
    const bool fast = aligned(x, y, out);
    const F share = *upstream * F(term.share);
    for (unsigned at = ((blockIdx.x - term.first) * 256 + threadIdx.x) * N; at < term.n; at += blocks * 256 * N) {
        const Pack<T> p = load(x, at, term.n, fast), q = load(y, at, term.n, fast);
        Pack<T> g;
        for (unsigned j = 0; j < N; j++) {
            const F a = widen(p.v[j]), b = widen(q.v[j]);
            g.v[j] = narrow<T>((a > b ? share : F(0)) - (a < b ? share : F(0)));
        }
        store(out, at, term.n, fast, g);
    }
}

#define DEFINE(NAME, T)                                                                                                \
    extern "C" __global__ void l1_sum_##NAME(const __grid_constant__ Terms terms, unsigned count, double *parts,       \
                                             unsigned *counter, Wide<T>::type *value) {                                \
        sum<T>(terms, count, parts, counter, value);                                                                   \
    }                                                                                                                  \
    extern "C" __global__ void l1_gradient_##NAME(const __grid_constant__ Terms terms, unsigned count,                 \
                                                  const Wide<T>::type *upstream) {                                     \
        gradient<T>(terms, count, upstream);                                                                           \
    }
FOR_TYPES(DEFINE)
