// Label and instance maps: one-hot planes, edges, means over instances.
#include "common.cuh"

// One thread a pixel; an id beyond the classes leaves zeros.
template <typename I, typename T>
__device__ void one_hot(const I *ids, T *y, unsigned n, unsigned hw, unsigned classes) {
    const unsigned i = thread_number();
    if (i >= n) return;
    const unsigned id = ids[i];
    T *to = y + (size_t)(i / hw) * classes * hw + i % hw;
    for (unsigned k = 0; k < classes; k++) to[(size_t)k * hw] = k == id ? T(1) : T(0);
}

// 1 where one of the four neighbors carries another id; the image's border is no edge.
template <typename I, typename T>
__device__ void instance_edges(const I *ids, T *y, unsigned n, unsigned h, unsigned w) {
    const unsigned i = thread_number();
    if (i >= n) return;
    const unsigned px = i % w, py = i / w % h;
    const I id = ids[i];
    const bool edge = (px > 0 && ids[i - 1] != id) || (px + 1 < w && ids[i + 1] != id) || (py > 0 && ids[i - w] != id) ||
                      (py + 1 < h && ids[i + w] != id);
    y[i] = edge ? T(1) : T(0);
}

// Means over instances. Ids find a slot of their image's hash table (which one depends on the order of arrival, but nothing that is
// read does); sums are of 64-bit integers, which no order changes: every value counts in units of the plane's largest magnitude
// divided by 2^62 / pixels.
const unsigned RUN = 16;

template <typename I>
__device__ void instance_slots(const I *ids, unsigned long long *table, unsigned *counts, unsigned *slots, unsigned n,
                               unsigned hw, unsigned size) {
    const unsigned first = thread_number() * RUN;
    unsigned last = 0xffffffffu, run = 0;
    for (unsigned i = first; i < min(first + RUN, n); i++) {
        const unsigned id = ids[i];
        const unsigned long long key = (unsigned long long)id + 1;
        const unsigned table_start = i / hw * size;
        unsigned at = (id * 2654435761u >> 7) & (size - 1);
        while (true) {
            const unsigned long long found = atomicCAS(&table[table_start + at], 0ull, key);
            if (found == 0 || found == key) break;
            at = (at + 1) & (size - 1);
        }
        const unsigned slot = table_start + at;
        slots[i] = slot;
        if (slot != last) {
            if (run) atomicAdd(&counts[last], run);
            last = slot;
            run = 0;
        }
        run++;
    }
    if (run) atomicAdd(&counts[last], run);
}

__device__ __forceinline__ unsigned long long magnitude(float x) { return __float_as_uint(fabsf(x)); }
__device__ __forceinline__ unsigned long long magnitude(double x) { return __double_as_longlong(fabs(x)); }
__device__ __forceinline__ double of_magnitude(unsigned long long bits, float) { return __uint_as_float((unsigned)bits); }
__device__ __forceinline__ double of_magnitude(unsigned long long bits, double) { return __longlong_as_double(bits); }

// The largest magnitude of every plane, as bits: they are ordered as the values are, NaN above all.
template <typename T> __device__ void instance_largest(const T *x, unsigned long long *largest, unsigned n, unsigned hw) {
    const unsigned first = thread_number() * RUN;
    unsigned plane = first / hw;
    unsigned long long most = 0;
    for (unsigned i = first; i < min(first + RUN, n); i++) {
        if (i / hw != plane) {
            atomicMax(&largest[plane], most);
            plane = i / hw;
            most = 0;
        }
        most = max(most, magnitude(x[i]));
    }
    if (first < n) atomicMax(&largest[plane], most);
}

// Units in the value 1: a power of two, so that scaling is exact; NaN where the plane is not finite.
template <typename T> __device__ double units(const unsigned long long *largest, unsigned plane, unsigned hw) {
    const double most = of_magnitude(largest[plane], T());
    if (!(most <= 1.7976931348623157e308)) return __longlong_as_double(0x7ff8000000000000ll);
    if (most == 0) return 1;
    const int room = 62 - (32 - __clz(hw)) - (ilogb(most) + 1);
    return ldexp(1.0, min(room, 1000));
}

template <typename T>
__device__ void instance_sums(const T *x, const unsigned *slots, const unsigned long long *largest, unsigned long long *sums,
                              unsigned n, unsigned channels, unsigned hw) {
    const unsigned first = thread_number() * RUN;
    unsigned long long sum = 0;
    size_t last = 0;
    bool open = false;
    for (unsigned i = first; i < min(first + RUN, n); i++) {
        const unsigned plane = i / hw;
        const double scale = units<T>(largest, plane, hw);
        if (scale != scale) continue;
        const size_t at = (size_t)slots[plane / channels * hw + i % hw] * channels + plane % channels;
        if (open && at != last) {
            atomicAdd(&sums[last], sum);
            sum = 0;
        }
        last = at;
        open = true;
        sum += (unsigned long long)__double2ll_rn(x[i] * scale);
    }
    if (open) atomicAdd(&sums[last], sum);
}

template <typename T>
__device__ void instance_means(T *y, const unsigned *slots, const unsigned *counts, const unsigned long long *largest,
                               const unsigned long long *sums, unsigned n, unsigned channels, unsigned hw) {
    const unsigned i = thread_number();
    if (i >= n) return;
    const unsigned plane = i / hw, slot = slots[plane / channels * hw + i % hw];
    const double sum = (double)(long long)sums[(size_t)slot * channels + plane % channels];
    y[i] = T(sum / units<T>(largest, plane, hw) / counts[slot]);
}

#define DEFINE_IDS(ID, I)                                                                                              \
    extern "C" __global__ void one_hot_##ID##_f32(const I *ids, float *y, unsigned n, unsigned hw, unsigned classes) { \
        one_hot(ids, y, n, hw, classes);                                                                               \
    }                                                                                                                  \
    extern "C" __global__ void one_hot_##ID##_f64(const I *ids, double *y, unsigned n, unsigned hw,                    \
                                                  unsigned classes) {                                                  \
        one_hot(ids, y, n, hw, classes);                                                                               \
    }                                                                                                                  \
    extern "C" __global__ void instance_edges_##ID##_f32(const I *ids, float *y, unsigned n, unsigned h, unsigned w) { \
        instance_edges(ids, y, n, h, w);                                                                               \
    }                                                                                                                  \
    extern "C" __global__ void instance_edges_##ID##_f64(const I *ids, double *y, unsigned n, unsigned h,              \
                                                         unsigned w) {                                                 \
        instance_edges(ids, y, n, h, w);                                                                               \
    }                                                                                                                  \
    extern "C" __global__ void instance_slots_##ID(const I *ids, unsigned long long *table, unsigned *counts,          \
                                                   unsigned *slots, unsigned n, unsigned hw, unsigned size) {          \
        instance_slots(ids, table, counts, slots, n, hw, size);                                                        \
    }
DEFINE_IDS(u8, unsigned char)
DEFINE_IDS(u32, unsigned)

#define DEFINE(NAME, T)                                                                                                \
    extern "C" __global__ void instance_largest_##NAME(const T *x, unsigned long long *largest, unsigned n,            \
                                                       unsigned hw) {                                                  \
        instance_largest(x, largest, n, hw);                                                                           \
    }                                                                                                                  \
    extern "C" __global__ void instance_sums_##NAME(const T *x, const unsigned *slots,                                 \
                                                    const unsigned long long *largest, unsigned long long *sums,       \
                                                    unsigned n, unsigned channels, unsigned hw) {                      \
        instance_sums(x, slots, largest, sums, n, channels, hw);                                                       \
    }                                                                                                                  \
    extern "C" __global__ void instance_means_##NAME(T *y, const unsigned *slots, const unsigned *counts,              \
                                                     const unsigned long long *largest,                                \
                                                     const unsigned long long *sums, unsigned n, unsigned channels,    \
                                                     unsigned hw) {                                                    \
        instance_means(y, slots, counts, largest, sums, n, channels, hw);                                              \
    }
DEFINE(f32, float)
DEFINE(f64, double)
