// Changes of element type and of the order in memory, and copies of channel ranges.
#include "common.cuh"

template <typename A, typename B> __device__ void convert(const A *x, B *y, unsigned n) {
    const unsigned i = thread_number();
    if (i < n) y[i] = narrow<B>(widen(x[i]));
}

// Transposes every matrix of a batch, [rows, cols] -> [cols, rows], by tiles of 32 x 32; blocks of 256 threads.
template <typename A, typename B>
__device__ void transpose(const A *x, B *y, unsigned rows, unsigned cols, unsigned row_tiles, unsigned col_tiles) {
    __shared__ A tile[32][33];
    const unsigned lane = threadIdx.x % 32, step = threadIdx.x / 32;
    const unsigned matrix = blockIdx.x / (row_tiles * col_tiles), t = blockIdx.x % (row_tiles * col_tiles);
    const unsigned row = t / col_tiles * 32, col = t % col_tiles * 32;
    const size_t base = (size_t)matrix * rows * cols;
    for (unsigned i = step; i < 32; i += 8)
        if (row + i < rows && col + lane < cols) tile[i][lane] = x[base + (size_t)(row + i) * cols + col + lane];
    __syncthreads();
    for (unsigned i = step; i < 32; i += 8)
        if (col + i < cols && row + lane < rows)
            y[base + (size_t)(col + i) * rows + row + lane] = narrow<B>(widen(tile[lane][i]));
}

// Few channels: one thread a pixel reads its planes, or writes them.
template <typename A, typename B>
__device__ void thin_transpose(const A *x, B *y, unsigned n, unsigned channels, unsigned hw, int to_pixels) {
    const unsigned i = thread_number();
    if (i >= n) return;
    const unsigned image = i / hw, px = i % hw;
    for (unsigned c = 0; c < channels; c++) {
        const size_t plane = ((size_t)image * channels + c) * hw + px, last = (size_t)i * channels + c;
        if (to_pixels)
            y[last] = narrow<B>(widen(x[plane]));
        else
            y[plane] = narrow<B>(widen(x[last]));
    }
}

// Copies `count` elements of every row from one matrix into another of different width.
template <typename T>
__device__ void copy_columns(const T *x, T *y, unsigned rows, unsigned count, unsigned from_width, unsigned from,
                             unsigned to_width, unsigned to) {
    const unsigned packs = (count + Pack<T>::N - 1) / Pack<T>::N, i = thread_number();
    if (i >= rows * packs) return;
    const unsigned row = i / packs, at = i % packs * Pack<T>::N;
    const bool fast = (from_width | from | to_width | to) % Pack<T>::N == 0 && aligned(x, y);
    const Pack<T> p = load(x + (size_t)row * from_width + from, at, count, fast);
    store(y + (size_t)row * to_width + to, at, count, fast, p);
}

#define DEFINE(NAME, A, B)                                                                                             \
    extern "C" __global__ void convert_##NAME(const A *x, B *y, unsigned n) { convert(x, y, n); }                      \
    extern "C" __global__ void transpose_##NAME(const A *x, B *y, unsigned rows, unsigned cols, unsigned row_tiles,    \
                                                unsigned col_tiles) {                                                  \
        transpose(x, y, rows, cols, row_tiles, col_tiles);                                                             \
    }                                                                                                                  \
    extern "C" __global__ void thin_transpose_##NAME(const A *x, B *y, unsigned n, unsigned channels, unsigned hw,     \
                                                     int to_pixels) {                                                  \
        thin_transpose(x, y, n, channels, hw, to_pixels);                                                              \
    }
DEFINE(f32_f32, float, float)
DEFINE(f64_f64, double, double)
DEFINE(bf16_bf16, bf16, bf16)
DEFINE(f32_bf16, float, bf16)
DEFINE(bf16_f32, bf16, float)

#define DEFINE_COPY(NAME, T)                                                                                           \
    extern "C" __global__ void copy_columns_##NAME(const T *x, T *y, unsigned rows, unsigned count,                    \
                                                   unsigned from_width, unsigned from, unsigned to_width,              \
                                                   unsigned to) {                                                      \
        copy_columns(x, y, rows, count, from_width, from, to_width, to);                                               \
    }
FOR_TYPES(DEFINE_COPY)
