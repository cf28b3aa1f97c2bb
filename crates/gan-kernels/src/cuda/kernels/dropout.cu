// Dropout by Philox4x32-10, bit for bit the mask of the CPU: element i of the row-major order is kept iff word i % 4 of block
// i / 4 reaches the threshold.
#include "common.cuh"
#include "philox.cuh"

__device__ __forceinline__ unsigned word(uint4 four, unsigned i) {
    return i < 2 ? (i == 0 ? four.x : four.y) : (i == 2 ? four.z : four.w);
}

template <typename T>
__device__ __forceinline__ T keep(T x, unsigned word, unsigned long long threshold, double scale) {
    typedef typename Wide<T>::type F;
    return word >= threshold ? narrow<T>(widen(x) * F(scale)) : narrow<T>(0);
}

// Four neighbors in row-major order: one block of words.
template <typename T>
__device__ void dropout(const T *x, T *y, unsigned n, uint2 key, unsigned long long threshold, double scale) {
    const unsigned block = thread_number();
    if (block >= (n + 3) / 4) return;
    const uint4 words = philox(key, make_uint4(block, 0, 0, 0));
    for (unsigned j = 0; j < 4; j++)
        if (4 * block + j < n) y[4 * block + j] = keep(x[4 * block + j], word(words, j), threshold, scale);
}

// Channels last: neighbors in memory belong to different blocks.
template <typename T>
__device__ void dropout_pixels(const T *x, T *y, unsigned n, uint2 key, unsigned long long threshold, double scale,
                               unsigned channels, unsigned hw) {
    const unsigned at = thread_number();
    if (at >= n) return;
    const unsigned c = at % channels, px = at / channels % hw, image = at / channels / hw;
    const unsigned i = (image * channels + c) * hw + px;
    y[at] = keep(x[at], word(philox(key, make_uint4(i / 4, 0, 0, 0)), i % 4), threshold, scale);
}

#define DEFINE(NAME, T)                                                                                                \
    extern "C" __global__ void dropout_##NAME(const T *x, T *y, unsigned n, unsigned a, unsigned b,                    \
                                              unsigned long long threshold, double scale, const unsigned *live) {      \
        dropout(x, y, n, mask_key(a, b, live), threshold, scale);                                                      \
    }
FOR_TYPES(DEFINE)

extern "C" __global__ void dropout_pixels_bf16(const bf16 *x, bf16 *y, unsigned n, unsigned a, unsigned b,
                                               unsigned long long threshold, double scale, const unsigned *live,
                                               unsigned channels, unsigned hw) {
    dropout_pixels(x, y, n, mask_key(a, b, live), threshold, scale, channels, hw);
}
