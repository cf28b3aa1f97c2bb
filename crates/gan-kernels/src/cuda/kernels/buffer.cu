// The optimizer's operations on whole buffers.
#include "common.cuh"

// Moves averages towards the values of a pack.
template <typename F> __device__ void follow(F *average, const Pack<F> &w, unsigned at, unsigned n, double rest) {
    const bool fast = aligned(average);
    Pack<F> pa = load(average, at, n, fast);
    for (unsigned j = 0; j < Pack<F>::N; j++) pa.v[j] += F(rest) * (w.v[j] - pa.v[j]);
    store(average, at, n, fast, pa);
}

// Adam without weight decay. `average`, if given, follows the parameters by the share `rest`. `numbers`, if given, holds the
// step's size lr / (1 - beta1^t), its root correction sqrt(1 - beta2^t) and, with an average, `rest` in device memory, so that
// a captured launch can be replayed with other ones. A set `bad` flag makes the update do nothing.
template <typename F>
__device__ void adam(F *w, F *m, F *v, const F *g, unsigned n, double beta1, double beta2, double eps, double step_size,
                     double root_correction, F *average, double rest, const double *numbers, const unsigned *bad) {
    if (bad && *bad) return;
    if (numbers) {
        step_size = numbers[0];
        root_correction = numbers[1];
        if (average) rest = numbers[2];
    }
    const F b1 = F(beta1), r1 = F(1 - beta1), b2 = F(beta2), r2 = F(1 - beta2), e = F(eps);
    const F size = F(step_size), root = F(root_correction);
    const unsigned at = thread_number() * Pack<F>::N;
    if (at >= n) return;
    const bool fast = aligned(w, m, v) && aligned(g);
    Pack<F> pw = load(w, at, n, fast), pm = load(m, at, n, fast), pv = load(v, at, n, fast);
    const Pack<F> pg = load(g, at, n, fast);
    for (unsigned j = 0; j < Pack<F>::N; j++) {
        pm.v[j] = b1 * pm.v[j] + r1 * pg.v[j];
        pv.v[j] = b2 * pv.v[j] + r2 * pg.v[j] * pg.v[j];
        pw.v[j] -= size * pm.v[j] / (sqrt(pv.v[j]) / root + e);
    }
    store(w, at, n, fast, pw);
    store(m, at, n, fast, pm);
    store(v, at, n, fast, pv);
    if (average) follow(average, pw, at, n, rest);
}

// The averages of parameters that are not updated.
template <typename F>
__device__ void follow_all(const F *w, F *average, unsigned n, double rest, const double *numbers, const unsigned *bad) {
    if (bad && *bad) return;
    if (numbers) rest = numbers[2];
    const unsigned at = thread_number() * Pack<F>::N;
    if (at < n) follow(average, load(w, at, n, aligned(w)), at, n, rest);
}

// An update has come by: was it skipped? The words are the flag, the updates skipped in a row, the longest such row, all of them.
extern "C" __global__ void count_skipped(unsigned *words) {
    if (thread_number() > 0) return;
    const unsigned bad = words[0];
    words[0] = 0;
    words[1] = bad ? words[1] + 1 : 0;
    if (words[1] > words[2]) words[2] = words[1];
    words[3] += bad;
}

template <typename T> __device__ void zero(T *x, unsigned n) {
    const unsigned at = thread_number() * Pack<T>::N;
    if (at >= n) return;
    Pack<T> p;
    for (unsigned j = 0; j < Pack<T>::N; j++) p.v[j] = narrow<T>(0);
    store(x, at, n, aligned(x), p);
}

template <typename T> __device__ void add(const T *x, const T *y, T *out, unsigned n) {
    const unsigned at = thread_number() * Pack<T>::N;
    if (at >= n) return;
    const bool fast = aligned(x, y, out);
    Pack<T> p = load(x, at, n, fast);
    const Pack<T> q = load(y, at, n, fast);
    for (unsigned j = 0; j < Pack<T>::N; j++) p.v[j] = narrow<T>(widen(p.v[j]) + widen(q.v[j]));
    store(out, at, n, fast, p);
}

// Sets the flag if an element is infinite or no number. All writers write the same.
template <typename T> __device__ void mark_non_finite(const T *x, unsigned n, unsigned *flag) {
    const unsigned at = thread_number() * Pack<T>::N;
    if (at >= n) return;
    const Pack<T> p = load(x, at, n, aligned(x));
    bool bad = false;
    for (unsigned j = 0; j < Pack<T>::N; j++) {
        const typename Wide<T>::type zero = widen(p.v[j]) * 0;
        bad = bad || zero != 0;
    }
    if (bad) *flag = 1;
}

// What the host knows and a captured launch is to find in memory.
extern "C" __global__ void write_words(unsigned long long *to, unsigned n, unsigned long long a, unsigned long long b,
                                       unsigned long long c, unsigned long long d, unsigned long long e,
                                       unsigned long long f, unsigned long long g, unsigned long long h) {
    if (thread_number() > 0) return;
    const unsigned long long words[8] = {a, b, c, d, e, f, g, h};
    for (unsigned i = 0; i < 8; i++)
        if (i < n) to[i] = words[i];
}

// Images of `each` elements against stored ones, in order: a choice is a place and, above it, 0 (the image is handed
// out), 1 (stored and handed out) or 2 (stored, and what was there is handed out). A thread treats one element of all of them.
template <typename T>
__device__ void exchange(const T *images, T *held, T *out, unsigned n, unsigned each, const unsigned long long *choices) {
    const unsigned at = thread_number();
    if (at >= each) return;
    for (unsigned i = 0; i < n; i++) {
        const T x = images[(size_t)i * each + at];
        const unsigned kind = unsigned(choices[i] >> 32);
        T *place = held + (size_t)unsigned(choices[i]) * each + at;
        out[(size_t)i * each + at] = kind == 2 ? *place : x;
        if (kind > 0) *place = x;
    }
}

// Moves running statistics: r <- (1 - momentum) r + factor * new, the factor with its unbiasing.
template <typename F>
__device__ void update_running(const F *mean, const F *var, F *running_mean, F *running_var, unsigned n, double momentum,
                               double unbias) {
    const unsigned i = thread_number();
    if (i >= n) return;
    running_mean[i] = F((1 - momentum) * running_mean[i] + momentum * mean[i]);
    running_var[i] = F((1 - momentum) * running_var[i] + momentum * unbias * var[i]);
}

#define DEFINE(NAME, T)                                                                                                \
    extern "C" __global__ void zero_##NAME(T *x, unsigned n) { zero(x, n); }                                           \
    extern "C" __global__ void add_##NAME(const T *x, const T *y, T *out, unsigned n) { add(x, y, out, n); }           \
    extern "C" __global__ void mark_non_finite_##NAME(const T *x, unsigned n, unsigned *flag) {                        \
        mark_non_finite(x, n, flag);                                                                                   \
    }                                                                                                                  \
    extern "C" __global__ void exchange_##NAME(const T *images, T *held, T *out, unsigned n, unsigned each,          \
                                               const unsigned long long *choices) {                                    \
        exchange(images, held, out, n, each, choices);                                                               \
    }
FOR_TYPES(DEFINE)

#define DEFINE_REAL(NAME, F)                                                                                           \
    extern "C" __global__ void adam_##NAME(F *w, F *m, F *v, const F *g, unsigned n, double beta1, double beta2,       \
                                           double eps, double step_size, double root_correction, F *average,           \
                                           double rest, const double *numbers, const unsigned *bad) {                  \
        adam(w, m, v, g, n, beta1, beta2, eps, step_size, root_correction, average, rest, numbers, bad);               \
    }                                                                                                                  \
    extern "C" __global__ void follow_##NAME(const F *w, F *average, unsigned n, double rest, const double *numbers,   \
                                             const unsigned *bad) {                                                    \
        follow_all(w, average, n, rest, numbers, bad);                                                                 \
    }                                                                                                                  \
    extern "C" __global__ void update_running_##NAME(const F *mean, const F *var, F *running_mean, F *running_var,     \
                                                     unsigned n, double momentum, double unbias) {                     \
        update_running(mean, var, running_mean, running_var, n, momentum, unbias);                                     \
    }
DEFINE_REAL(f32, float)
DEFINE_REAL(f64, double)
