// What the kernels share: element types and their arithmetic, 16-byte accesses, activations, sums over a block.
#pragma once
#include <cuda_bf16.h>

typedef __nv_bfloat16 bf16;

// The type in which an element type is calculated.
template <typename T> struct Wide { typedef float type; };
template <> struct Wide<double> { typedef double type; };

__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ double widen(double x) { return x; }
__device__ __forceinline__ float widen(bf16 x) { return __bfloat162float(x); }

template <typename T> __device__ __forceinline__ T narrow(typename Wide<T>::type x) { return x; }
template <> __device__ __forceinline__ bf16 narrow<bf16>(float x) { return __float2bfloat16_rn(x); }

// The elements that one 16-byte access moves.
template <typename T> struct Pack {
    static const unsigned N = 16 / sizeof(T);
    T v[N];
};

__device__ __forceinline__ bool aligned(const void *a, const void *b = nullptr, const void *c = nullptr) {
    return (((size_t)a | (size_t)b | (size_t)c) & 15) == 0;
}

// Elements at .. at + N of p; those from `end` on are left alone. `fast`: p is aligned (views may not be).
template <typename T> __device__ __forceinline__ Pack<T> load(const T *p, unsigned at, unsigned end, bool fast) {
    Pack<T> pack;
    if (fast && at + Pack<T>::N <= end) {
        const uint4 raw = *reinterpret_cast<const uint4 *>(p + at);
        memcpy(&pack, &raw, 16);
    } else {
        for (unsigned i = 0; i < Pack<T>::N; i++) pack.v[i] = at + i < end ? p[at + i] : narrow<T>(0);
    }
    return pack;
}

template <typename T> __device__ __forceinline__ void store(T *p, unsigned at, unsigned end, bool fast, Pack<T> pack) {
    if (fast && at + Pack<T>::N <= end) {
        uint4 raw;
        memcpy(&raw, &pack, 16);
        *reinterpret_cast<uint4 *>(p + at) = raw;
    } else {
        for (unsigned i = 0; i < Pack<T>::N; i++)
            if (at + i < end) p[at + i] = pack.v[i];
    }
}

// A pack at an aligned address.
template <typename T> __device__ __forceinline__ Pack<T> load_whole(const T *p) {
    Pack<T> pack;
    const uint4 raw = *reinterpret_cast<const uint4 *>(p);
    memcpy(&pack, &raw, 16);
    return pack;
}

template <typename T> __device__ __forceinline__ void store_whole(T *p, const Pack<T> &pack) {
    uint4 raw;
    memcpy(&raw, &pack, 16);
    *reinterpret_cast<uint4 *>(p) = raw;
}

// The number of this thread in the grid.
__device__ __forceinline__ unsigned thread_number() { return blockIdx.x * blockDim.x + threadIdx.x; }

enum Act { IDENTITY, RELU, LEAKY_RELU, TANH };

__device__ __forceinline__ float hyperbolic_tangent(float x) { return tanhf(x); }
__device__ __forceinline__ double hyperbolic_tangent(double x) { return tanh(x); }

// x, but 0 where it is below; unlike fmax, NaN stays NaN.
template <typename F> __device__ __forceinline__ F at_least_zero(F x) { return x <= 0 ? F(0) : x; }

// NaN stays NaN, as on the CPU.
template <typename F> __device__ __forceinline__ F activate(F x, int act) {
    switch (act) {
    case RELU: return at_least_zero(x);
    case LEAKY_RELU: return x > 0 ? x : x * F(0.2);
    case TANH: return hyperbolic_tangent(x);
    default: return x;
    }
}

// The derivative, from the function's value. At NaN the gradient passes ReLU.
template <typename F> __device__ __forceinline__ F slope(F y, int act) {
    switch (act) {
    case RELU: return y <= 0 ? F(0) : F(1);
    case LEAKY_RELU: return y > 0 ? F(1) : F(0.2);
    case TANH: return 1 - y * y;
    default: return F(1);
    }
}

// Defines the kernels NAME_f32, NAME_f64 and NAME_bf16 of a template with the same arguments.
#define FOR_TYPES(DEFINE) DEFINE(f32, float) DEFINE(f64, double) DEFINE(bf16, bf16)

// Operators on images see a tensor as [outer, H, W, inner]: in planes outer = N * C and inner = 1, in pixels outer = N and
// inner = C. A thread treats a pack of V neighbors in the inner dimension: 1, or as many as 16 bytes hold.
template <typename T, unsigned V> struct Few {
    T v[V];
};

template <typename T, unsigned V>
__device__ __forceinline__ Few<T, V> load_few(const T *row, unsigned at, unsigned inner, bool fast) {
    Few<T, V> few;
    if (V == 1) {
        few.v[0] = row[at];
    } else {
        const Pack<T> pack = load(row, at, inner, fast);
        memcpy(&few, &pack, sizeof few);
    }
    return few;
}

template <typename T, unsigned V>
__device__ __forceinline__ void store_few(T *row, unsigned at, unsigned inner, bool fast, Few<T, V> few) {
    if (V == 1) {
        row[at] = few.v[0];
    } else {
        Pack<T> pack;
        memcpy(&pack, &few, sizeof few);
        store(row, at, inner, fast, pack);
    }
}

// Where a thread's pack lies in [outer, h, w, inner]; `inside` is false for threads beyond the end.
template <unsigned V> struct Place {
    unsigned outer, y, x, at;
    bool inside;

    __device__ Place(unsigned outers, unsigned h, unsigned w, unsigned inner) {
        const unsigned packs = (inner + V - 1) / V;
        unsigned i = thread_number();
        at = i % packs * V;
        i /= packs;
        x = i % w;
        i /= w;
        y = i % h;
        outer = i / h;
        inside = outer < outers;
    }
};

// The first element of a pixel.
template <typename T>
__device__ __forceinline__ T *pixel(T *p, unsigned outer, unsigned y, unsigned x, unsigned h, unsigned w, unsigned inner) {
    return p + ((size_t)(outer * h + y) * w + x) * inner;
}

// Whether every pixel of the images at these addresses can be accessed by 16 bytes.
template <typename T, unsigned V>
__device__ __forceinline__ bool fast_pixels(unsigned inner, const void *a, const void *b, const void *c = nullptr) {
    return V > 1 && inner % V == 0 && aligned(a, b, c);
}

// Defines NAME_f32, NAME_f64 and NAME_bf16 for planes, and NAME_pixels_bf16.
#define FOR_PICTURES(DEFINE) DEFINE(f32, float, 1) DEFINE(f64, double, 1) DEFINE(bf16, bf16, 1) DEFINE(pixels_bf16, bf16, 8)

// Sum over the 32 lanes of a warp, in all of them, in a fixed order.
template <typename F> __device__ __forceinline__ F warp_sum(F x) {
    for (int step = 16; step > 0; step >>= 1) x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

// Says to all threads of a block whether it is the last of `total` blocks that share a counter, and sets the counter back. What
// the others have written before is then seen, past the first-level cache.
__device__ __forceinline__ bool last_block(unsigned *counter, unsigned total) {
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(counter, 1) == total - 1;
        if (last) *counter = 0;
    }
    __syncthreads();
    __threadfence();
    return last;
}

// An activation as a loop takes it, with one branch: its slope below zero, or the hyperbolic tangent.
template <typename F> struct Bend {
    F below;
    bool tangent;

    __device__ explicit Bend(int act) : below(act == RELU ? F(0) : act == LEAKY_RELU ? F(0.2) : F(1)), tangent(act == TANH) {}
    __device__ F of(F x) const {
        if (tangent) return hyperbolic_tangent(x);
        // NaN stays NaN; zero times infinity would be no number.
        return x <= 0 ? (below == 0 ? F(0) : x * below) : x;
    }
    // The derivative, from the function's value.
    __device__ F slope(F y) const { return tangent ? 1 - y * y : y <= 0 ? below : F(1); }
};
