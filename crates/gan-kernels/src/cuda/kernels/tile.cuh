// How a tensor is cut into tiles, one a block, and how the last block adds what they leave.
#pragma once
#include "common.cuh"

const unsigned THREADS = 256;

// What all kernels are told of the tensor and its cutting: channels, pixels of a plane, chunks a plane, pixels of a chunk;
// for pixels also packs of channels a block treats (a power of two) and blocks that treat all channels.
struct Cut {
    unsigned c, hw, chunks, len, cols, col_blocks;
};
#define CUT_PARAMETERS unsigned c, unsigned hw, unsigned chunks, unsigned len, unsigned cols, unsigned col_blocks
#define CUT Cut{c, hw, chunks, len, cols, col_blocks}

// The tile of this block and the thread's part in it. K values of the thread's pack belong to different channels: all of them in
// pixels, one in planes.
template <typename T, bool PIXELS> struct Tile {
    static const unsigned N = Pack<T>::N, K = PIXELS ? N : 1;
    unsigned image, chunk, channel, lane, lanes, from, to, width;
    size_t base;

    __device__ explicit Tile(const Cut &cut) {
        unsigned b = blockIdx.x;
        if (PIXELS) {
            const unsigned col_block = b % cut.col_blocks;
            b /= cut.col_blocks;
            chunk = b % cut.chunks;
            image = b / cut.chunks;
            lanes = THREADS / cut.cols;
            lane = threadIdx.x / cut.cols;
            channel = (col_block * cut.cols + threadIdx.x % cut.cols) * N;
            base = (size_t)image * cut.hw * cut.c;
            width = cut.c;
        } else {
            chunk = b % cut.chunks;
            b /= cut.chunks;
            channel = b % cut.c;
            image = b / cut.c;
            lanes = THREADS;
            lane = threadIdx.x;
            base = ((size_t)image * cut.c + channel) * cut.hw;
            width = cut.hw;
        }
        from = chunk * cut.len;
        to = min(from + cut.len, cut.hw);
    }

    // Where the thread starts, and its step: pixels, or elements of a plane.
    __device__ unsigned first() const { return PIXELS ? (channel < width ? from + lane : to) : from + lane * N; }
    __device__ unsigned step() const { return PIXELS ? lanes : lanes * N; }
    // Whether all packs are whole and aligned: then nothing in a loop depends on it, and loads can run ahead.
    __device__ bool whole(const void *a, const void *b = nullptr, const void *c = nullptr) const {
        return width % N == 0 && aligned(a, b, c);
    }
    // The pack at a position.
    template <bool WHOLE> __device__ Pack<T> get(const T *x, unsigned at) const {
        if (WHOLE) return load_whole(PIXELS ? x + base + (size_t)at * width + channel : x + base + at);
        return PIXELS ? load(x + base + (size_t)at * width, channel, width, false) : load(x + base, at, to, false);
    }
    template <bool WHOLE> __device__ void put(T *x, unsigned at, const Pack<T> &pack) const {
        if (WHOLE)
            store_whole(PIXELS ? x + base + (size_t)at * width + channel : x + base + at, pack);
        else if (PIXELS)
            store(x + base + (size_t)at * width, channel, width, false, pack);
        else
            store(x + base, at, to, false, pack);
    }
    // Calls `work(at, packs)` for each of the thread's positions with the packs of so many tensors there. The loads of some
    // positions are asked for before the first one is worked on: a thread that waits for each one does little else.
    template <bool WHOLE, unsigned TENSORS, typename Work>
    __device__ __forceinline__ void each(const T *const (&x)[TENSORS], Work work) const {
        const unsigned AHEAD = WHOLE ? 4 / TENSORS : 1;
        for (unsigned start = first(); start < to; start += AHEAD * step()) {
            Pack<T> packs[AHEAD][TENSORS];
#pragma unroll
            for (unsigned i = 0; i < AHEAD; i++)
                for (unsigned t = 0; t < TENSORS; t++)
                    if (start + i * step() < to && x[t]) packs[i][t] = get<WHOLE>(x[t], start + i * step());
#pragma unroll
            for (unsigned i = 0; i < AHEAD; i++)
                if (start + i * step() < to) work(start + i * step(), packs[i]);
        }
    }
    // Whether element j of the pack at a position exists.
    template <bool WHOLE> __device__ bool exists(unsigned at, unsigned j) const {
        return WHOLE || (PIXELS ? channel + j < width : at + j < to);
    }
    // Positions at which the thread has an element j of a plane.
    __device__ unsigned count(unsigned j) const {
        const unsigned at = first() + j;
        return at < to ? (to - 1 - at) / step() + 1 : 0;
    }
    // Where the tile's part of a channel lies.
    __device__ size_t part(const Cut &cut, unsigned channel) const {
        return (((size_t)image * cut.chunks + chunk) * cut.c + channel) * 2;
    }
};

// Packs of channels that a block treats at most.
const unsigned MOST_COLS = 8;

// Adds two numbers for each of the thread's K channels over all threads of the same channels: within the warps, then across
// them. `keep(channel, a, b)` is called once for each of the tile's channels.
template <typename T, bool PIXELS, typename F, typename Keep>
__device__ __forceinline__ void add_over_tile(const Tile<T, PIXELS> &tile, const Cut &cut, F *a, F *b, Keep keep) {
    const unsigned K = Tile<T, PIXELS>::K, WARPS = THREADS / 32;
    const unsigned cols = PIXELS ? cut.cols : 1, warp = threadIdx.x / 32, column = threadIdx.x % 32;
    __shared__ F sums[2][WARPS][(PIXELS ? MOST_COLS : 1) * K];
#pragma unroll
    for (unsigned step = 16; step > 0; step /= 2)
        if (step >= cols)
            for (unsigned k = 0; k < K; k++) {
                a[k] += __shfl_xor_sync(0xffffffffu, a[k], step);
                b[k] += __shfl_xor_sync(0xffffffffu, b[k], step);
            }
    if (column < cols)
        for (unsigned k = 0; k < K; k++) {
            sums[0][warp][column * K + k] = a[k];
            sums[1][warp][column * K + k] = b[k];
        }
    __syncthreads();
    const unsigned channel = PIXELS ? blockIdx.x % cut.col_blocks * cols * K + threadIdx.x : tile.channel;
    if (threadIdx.x >= cols * K || channel >= cut.c) return;
    F x = 0, y = 0;
    for (unsigned w = 0; w < WARPS; w++) {
        x += sums[0][w][threadIdx.x];
        y += sums[1][w][threadIdx.x];
    }
    keep(channel, x, y);
}

// How the last block adds: its tile's channels side by side, the remaining threads on different rows of parts.
template <typename T, bool PIXELS> struct Adding {
    unsigned width, lanes, lane, column, channel;
    bool inside;

    __device__ Adding(const Tile<T, PIXELS> &tile, const Cut &cut) {
        width = PIXELS ? cut.cols * Pack<T>::N : 1;
        lanes = THREADS / width;
        lane = threadIdx.x / width;
        column = threadIdx.x % width;
        channel = PIXELS ? blockIdx.x % cut.col_blocks * width + column : tile.channel;
        inside = channel < cut.c;
    }
    // Adds two numbers over the rows of a run; right in lane 0.
    __device__ void across(double &a, double &b) const {
        __shared__ double shared[2][THREADS];
        __syncthreads();
        shared[0][threadIdx.x] = a;
        shared[1][threadIdx.x] = b;
        for (unsigned s = lanes / 2; s > 0; s /= 2) {
            __syncthreads();
            if (lane < s) {
                shared[0][threadIdx.x] += shared[0][threadIdx.x + s * width];
                shared[1][threadIdx.x] += shared[1][threadIdx.x + s * width];
            }
        }
        __syncthreads();
        a = shared[0][column];
        b = shared[1][column];
    }
};

// A part, past the first-level cache, which other blocks' writes do not reach.
__device__ __forceinline__ float2 fetch(const float *p) { return __ldcg(reinterpret_cast<const float2 *>(p)); }
__device__ __forceinline__ double2 fetch(const double *p) { return __ldcg(reinterpret_cast<const double2 *>(p)); }

// The counter that a tile's block shares with those whose parts are added to its own, and how many these are: the blocks of an
// image, or of all images.
template <typename T, bool PIXELS>
__device__ __forceinline__ unsigned *counter_of(unsigned *counters, const Tile<T, PIXELS> &tile, const Cut &cut, bool all) {
    const unsigned place = PIXELS ? blockIdx.x % cut.col_blocks : tile.channel;
    return counters + (all ? 0 : tile.image * (PIXELS ? cut.col_blocks : cut.c)) + place;
}
