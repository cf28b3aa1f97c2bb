// Dropout by Philox4x32-10, bit for bit the mask of the CPU: element i of the row-major order is kept iff word i % 4 of block
// i / 4 reaches the threshold.
#include "common.cuh"

__device__ __forceinline__ uint4 philox(unsigned k0, unsigned k1, unsigned index) {
    uint4 c = make_uint4(index, 0, 0, 0);
    for (int round = 0; round < 10; round++) {
        if (round > 0) {
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        const unsigned h0 = __umulhi(0xD2511F53u, c.x), l0 = 0xD2511F53u * c.x;
        const unsigned h1 = __umulhi(0xCD9E8D57u, c.z), l1 = 0xCD9E8D57u * c.z;
        c = make_uint4(h1 ^ c.y ^ k0, l1, h0 ^ c.w ^ k1, l0);
    }
    return c;
}

__device__ __forceinline__ unsigned word(uint4 four, unsigned i) {
    return i < 2 ? (i == 0 ? four.x : four.y) : (i == 2 ? four.z : four.w);
}

template <typename T>
__device__ __forceinline__ T keep(T x, unsigned word, unsigned long long threshold, double scale) {
    typedef typename Wide<T>::type F;
    return word >= threshold ? narrow<T>(widen(x) * F(scale)) : narrow<T>(0);
}

// Four neighbours in row-major order: one block of words.
template <typename T>
__device__ void dropout(const T *x, T *y, unsigned n, unsigned k0, unsigned k1, unsigned long long threshold, double scale) {
    const unsigned block = thread_number();
    if (block >= (n + 3) / 4) return;
    const uint4 words = philox(k0, k1, block);
    for (unsigned j = 0; j < 4; j++)
        if (4 * block + j < n) y[4 * block + j] = keep(x[4 * block + j], word(words, j), threshold, scale);
}

// Channels last: neighbours in memory belong to different blocks.
template <typename T>
__device__ void dropout_pixels(const T *x, T *y, unsigned n, unsigned k0, unsigned k1, unsigned long long threshold,
                               double scale, unsigned channels, unsigned hw) {
    const unsigned at = thread_number();
    if (at >= n) return;
    const unsigned c = at % channels, px = at / channels % hw, image = at / channels / hw;
    const unsigned i = (image * channels + c) * hw + px;
    y[at] = keep(x[at], word(philox(k0, k1, i / 4), i % 4), threshold, scale);
}

#define DEFINE(NAME, T)                                                                                                \
    extern "C" __global__ void dropout_##NAME(const T *x, T *y, unsigned n, unsigned k0, unsigned k1,                  \
                                              unsigned long long threshold, double scale) {                            \
        dropout(x, y, n, k0, k1, threshold, scale);                                                                    \
    }
FOR_TYPES(DEFINE)

extern "C" __global__ void dropout_pixels_bf16(const bf16 *x, bf16 *y, unsigned n, unsigned k0, unsigned k1,
                                               unsigned long long threshold, double scale, unsigned channels, unsigned hw) {
    dropout_pixels(x, y, n, k0, k1, threshold, scale, channels, hw);
}
