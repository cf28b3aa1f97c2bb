// Features at single pixels: random positions, gathering rows, and adding their gradients.
#include "common.cuh"
#include "philox.cuh"

// Element i of a random permutation of 0 .. n, bit for bit that of the CPU: a Feistel network over the next power of four, again while the
// number is not below n.
__device__ unsigned permuted(uint2 key, unsigned i, unsigned n) {
    const unsigned needed = n > 1 ? 32 - __clz(n - 1) : 0, bits = max((needed + 1) / 2, 1u);
    const unsigned mask = 0xffffffffu >> (32 - bits);
    unsigned value = i;
    do {
        unsigned left = value >> bits, right = value & mask;
        for (unsigned round = 0; round < 6; round++) {
            const unsigned word = philox(key, make_uint4(right, round, 0, 2)).x;
            const unsigned mixed = left ^ (word & mask);
            left = right;
            right = mixed;
        }
        value = left << bits | right;
    } while (value >= n);
    return value;
}

extern "C" __global__ void positions(unsigned *at, unsigned count, unsigned pixels, unsigned a, unsigned b, const unsigned *live) {
    const unsigned i = thread_number();
    if (i < count) at[i] = permuted(mask_key(a, b, live), i, pixels);
}

extern "C" __global__ void mirrored(const unsigned *at, unsigned *to, unsigned count, unsigned width) {
    const unsigned i = thread_number();
    if (i < count) to[i] = at[i] - at[i] % width + (width - 1 - at[i] % width);
}

// One element of a row [image, position, channel].
struct Element {
    unsigned row, image, channel, pixel;
    bool exists, inside;

    __device__ Element(const unsigned *at, unsigned n, unsigned c, unsigned pixels, unsigned count) {
        row = thread_number();
        channel = row % c;
        image = row / c / count;
        exists = image < n;
        pixel = exists ? at[row / c % count] : 0;
        inside = pixel < pixels;
    }
    __device__ size_t place(unsigned c, unsigned pixels, unsigned pixel_step, unsigned channel_step) const {
        return (size_t)image * c * pixels + (size_t)pixel * pixel_step + (size_t)channel * channel_step;
    }
};

template <typename T>
__device__ void gather(const T *x, const unsigned *at, typename Wide<T>::type *rows, unsigned n, unsigned c, unsigned pixels,
                       unsigned count, unsigned pixel_step, unsigned channel_step) {
    const Element e(at, n, c, pixels, count);
    if (!e.exists) return;
    rows[e.row] = e.inside ? widen(x[e.place(c, pixels, pixel_step, channel_step)]) : typename Wide<T>::type(0);
}

template <typename T>
__device__ void gather_backward(const typename Wide<T>::type *rows, const unsigned *at, T *into, unsigned n, unsigned c,
                                unsigned pixels, unsigned count, unsigned pixel_step, unsigned channel_step) {
    const Element e(at, n, c, pixels, count);
    if (!e.exists || !e.inside) return;
    T *to = into + e.place(c, pixels, pixel_step, channel_step);
    *to = narrow<T>(widen(*to) + rows[e.row]);
}

// Rows of w pixels with `inner` elements each.
template <typename T> __device__ void mirrored_images(const T *x, T *y, unsigned n, unsigned w, unsigned inner) {
    const unsigned i = thread_number();
    if (i >= n) return;
    const unsigned column = i / inner % w;
    y[i - column * inner + (w - 1 - column) * inner] = x[i];
}

#define DEFINE(NAME, T)                                                                                                \
    extern "C" __global__ void gather_##NAME(const T *x, const unsigned *at, Wide<T>::type *rows, unsigned n,          \
                                             unsigned c, unsigned pixels, unsigned count, unsigned pixel_step,         \
                                             unsigned channel_step) {                                                  \
        gather<T>(x, at, rows, n, c, pixels, count, pixel_step, channel_step);                                         \
    }                                                                                                                  \
    extern "C" __global__ void gather_backward_##NAME(const Wide<T>::type *rows, const unsigned *at, T *into,          \
                                                      unsigned n, unsigned c, unsigned pixels, unsigned count,         \
                                                      unsigned pixel_step, unsigned channel_step) {                    \
        gather_backward<T>(rows, at, into, n, c, pixels, count, pixel_step, channel_step);                             \
    }                                                                                                                  \
    extern "C" __global__ void mirrored_images_##NAME(const T *x, T *y, unsigned n, unsigned w, unsigned inner) {      \
        mirrored_images(x, y, n, w, inner);                                                                            \
    }
FOR_TYPES(DEFINE)
