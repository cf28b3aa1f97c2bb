// F32 in planes to BF16 in pixels and back, and channels put together and taken apart.
#include "common.cuh"

#define TILE 32

// [n, c, pixels] to [n, pixels, c] or, with the roles of the sizes changed, back: turns [rows, columns] matrices, a
// block of 256 threads a tile.
template <typename A, typename B>
__device__ void turn(const A *from, B *to, unsigned rows, unsigned columns, unsigned row, unsigned column) {
    // The odd length of a row keeps a column's elements in different banks.
    __shared__ float tile[TILE][TILE + 1];
    const unsigned x = threadIdx.x % TILE, y = threadIdx.x / TILE;
    for (unsigned r = y; r < TILE; r += 256 / TILE)
        if (row + r < rows && column + x < columns) tile[r][x] = widen(from[(size_t)(row + r) * columns + column + x]);
    __syncthreads();
    for (unsigned r = y; r < TILE; r += 256 / TILE)
        if (column + r < columns && row + x < rows) to[(size_t)(column + r) * rows + row + x] = narrow<B>(tile[x][r]);
}

// `down` tiles make up the channels of an image; the blocks of an image are adjacent.
extern "C" __global__ void planes_to_pixels(const float *x, bf16 *y, unsigned c, unsigned pixels, unsigned down) {
    const unsigned across = (pixels + TILE - 1) / TILE;
    const unsigned tile = blockIdx.x % (across * down), image = blockIdx.x / (across * down);
    const size_t at = (size_t)image * c * pixels;
    turn(x + at, y + at, c, pixels, tile % down * TILE, tile / down * TILE);
}

extern "C" __global__ void pixels_to_planes(const bf16 *x, float *y, unsigned c, unsigned pixels, unsigned down) {
    const unsigned across = (pixels + TILE - 1) / TILE;
    const unsigned tile = blockIdx.x % (across * down), image = blockIdx.x / (across * down);
    const size_t at = (size_t)image * c * pixels;
    turn(x + at, y + at, pixels, c, tile / down * TILE, tile % down * TILE);
}

// The same for few channels; a thread a pixel, `n` of them.
extern "C" __global__ void few_to_pixels(const float *x, bf16 *y, unsigned n, unsigned c, unsigned pixels) {
    const unsigned i = thread_number();
    if (i >= n) return;
    const float *from = x + (size_t)(i / pixels) * c * pixels + i % pixels;
    for (unsigned k = 0; k < c; k++) y[(size_t)i * c + k] = narrow<bf16>(from[(size_t)k * pixels]);
}

extern "C" __global__ void few_to_planes(const bf16 *x, float *y, unsigned n, unsigned c, unsigned pixels) {
    const unsigned i = thread_number();
    if (i >= n) return;
    float *to = y + (size_t)(i / pixels) * c * pixels + i % pixels;
    for (unsigned k = 0; k < c; k++) to[(size_t)k * pixels] = widen(x[(size_t)i * c + k]);
}

// Rows of a + b units: the first a from one part, the others from the other one. A thread a unit, n of them.
template <typename U>
__device__ void concat(const U *first, const U *second, U *whole, unsigned n, unsigned a, unsigned b) {
    const unsigned i = thread_number();
    if (i >= n) return;
    const unsigned row = i / (a + b), column = i % (a + b);
    whole[i] = column < a ? first[(size_t)row * a + column] : second[(size_t)row * b + column - a];
}

template <typename U>
__device__ void split(U *first, U *second, const U *whole, unsigned n, unsigned a, unsigned b) {
    const unsigned i = thread_number();
    if (i >= n) return;
    const unsigned row = i / (a + b), column = i % (a + b);
    if (column < a)
        first[(size_t)row * a + column] = whole[i];
    else
        second[(size_t)row * b + column - a] = whole[i];
}

#define COLUMNS(BYTES, U)                                                                                              \
    extern "C" __global__ void concat_##BYTES(const U *first, const U *second, U *whole, unsigned n, unsigned a,       \
                                              unsigned b) {                                                            \
        concat(first, second, whole, n, a, b);                                                                         \
    }                                                                                                                  \
    extern "C" __global__ void split_##BYTES(U *first, U *second, const U *whole, unsigned n, unsigned a,              \
                                             unsigned b) {                                                             \
        split(first, second, whole, n, a, b);                                                                          \
    }
COLUMNS(16, uint4)
COLUMNS(8, uint2)
COLUMNS(4, unsigned)
COLUMNS(2, unsigned short)
