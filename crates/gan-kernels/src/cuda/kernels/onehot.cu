// Convolution of one-hot tensors that are not materialized, with stride 1: every tap of an output pixel adds the weights of the one
// label that it sees; other planes lie behind those of the classes.
#include "border.cuh"
#include "common.cuh"

// Output pixels of a block, channels of a thread, and the largest side of a kernel.
const unsigned TILE_W = 32, TILE_H = 8, CHANNELS = 16, SIDE = 7;

// What all kernels are told: images [n, h, w], output [n, co, ho, wo], planes beside those of the classes.
struct Shape {
    unsigned n, h, w, ho, wo, classes, rest, co, kh, kw, padding;
    int mode;
};
#define SHAPE_PARAMETERS                                                                                               \
    unsigned n, unsigned h, unsigned w, unsigned ho, unsigned wo, unsigned classes, unsigned rest, unsigned co,        \
        unsigned kh, unsigned kw, unsigned padding, int mode
#define SHAPE Shape{n, h, w, ho, wo, classes, rest, co, kh, kw, padding, mode}

// Weights [co, classes + rest, taps] as rows of `pitch` channels: [taps][classes, none (zeros), rest]. One thread an element.
template <typename F>
__device__ void table(const F *w, F *rows, unsigned classes, unsigned rest, unsigned co, unsigned taps, unsigned pitch) {
    const unsigned i = thread_number(), count = classes + 1 + rest;
    if (i >= taps * count * pitch) return;
    const unsigned c = i % pitch, row = i / pitch % count, tap = i / pitch / count;
    const bool none = row == classes || c >= co;
    rows[i] = none ? F(0) : w[((size_t)c * (classes + rest) + row - (row > classes)) * taps + tap];
}

// The sum of a row of the table times a factor.
template <typename F> __device__ __forceinline__ void add_row(F (&sum)[CHANNELS], const F *row, F factor) {
    const unsigned N = Pack<F>::N;
#pragma unroll
    for (unsigned j = 0; j < CHANNELS; j += N) {
        const Pack<F> p = load_whole(row + j);
#pragma unroll
        for (unsigned k = 0; k < N; k++) sum[j + k] += p.v[k] * factor;
    }
}

// A block computes CHANNELS channels (blockIdx.y) of a tile of TILE_H x TILE_W pixels, a thread those of one pixel.
template <typename I, typename F, typename T, bool PIXELS>
__device__ void forward(const I *ids, const F *others, const F *rows, const F *bias, T *y, unsigned pitch, const Shape &s) {
    __shared__ unsigned seen[(TILE_H + SIDE - 1) * (TILE_W + SIDE - 1)];
    __shared__ F plane[(TILE_H + SIDE - 1) * (TILE_W + SIDE - 1)];
    const unsigned across = (s.wo + TILE_W - 1) / TILE_W, down = (s.ho + TILE_H - 1) / TILE_H;
    const unsigned left = blockIdx.x % across * TILE_W, top = blockIdx.x / across % down * TILE_H;
    const unsigned image = blockIdx.x / across / down, first = blockIdx.y * CHANNELS;
    const unsigned width = TILE_W + s.kw - 1, size = (TILE_H + s.kh - 1) * width;
    const unsigned tap_size = (s.classes + 1 + s.rest) * pitch;
    for (unsigned i = threadIdx.x; i < size; i += TILE_W * TILE_H) {
        const unsigned py = top + i / width, px = left + i % width;
        unsigned label = s.classes;
        // The last tiles reach beyond what is padded.
        if (py < s.ho + s.kh - 1 && px < s.wo + s.kw - 1) {
            const int sy = source(py, s.padding, s.h, s.mode), sx = source(px, s.padding, s.w, s.mode);
            if (sy >= 0 && sx >= 0) label = min((unsigned)ids[((size_t)image * s.h + sy) * s.w + sx], s.classes);
        }
        seen[i] = label * pitch;
    }
    __syncthreads();
    const unsigned x = threadIdx.x % TILE_W, row = threadIdx.x / TILE_W;
    F sum[CHANNELS];
    for (unsigned j = 0; j < CHANNELS; j++) sum[j] = bias && first + j < s.co ? bias[first + j] : F(0);
    const F *tap = rows + first;
    for (unsigned ky = 0; ky < s.kh; ky++)
#pragma unroll 7
        for (unsigned kx = 0; kx < s.kw; kx++) {
            add_row(sum, tap + seen[(row + ky) * width + x + kx], F(1));
            tap += tap_size;
        }
    for (unsigned k = 0; k < s.rest; k++) {
        __syncthreads();
        for (unsigned i = threadIdx.x; i < size; i += TILE_W * TILE_H) {
            const unsigned py = top + i / width, px = left + i % width;
            F value = 0;
            if (py < s.ho + s.kh - 1 && px < s.wo + s.kw - 1) {
                const int sy = source(py, s.padding, s.h, s.mode), sx = source(px, s.padding, s.w, s.mode);
                if (sy >= 0 && sx >= 0) value = others[(((size_t)image * s.rest + k) * s.h + sy) * s.w + sx];
            }
            plane[i] = value;
        }
        __syncthreads();
        // Every thread of the block reads the same row of the table.
        const F *tap = rows + first + (s.classes + 1 + k) * pitch;
        for (unsigned ky = 0; ky < s.kh; ky++)
#pragma unroll 7
            for (unsigned kx = 0; kx < s.kw; kx++) {
                add_row(sum, tap, plane[(row + ky) * width + x + kx]);
                tap += tap_size;
            }
    }
    const unsigned oy = top + row, ox = left + x;
    if (oy >= s.ho || ox >= s.wo) return;
    if (PIXELS) {
        T *to = y + (((size_t)image * s.ho + oy) * s.wo + ox) * s.co;
        const bool fast = s.co % Pack<T>::N == 0 && aligned(y);
        for (unsigned j = 0; j < CHANNELS; j += Pack<T>::N) {
            Pack<T> p;
            for (unsigned k = 0; k < Pack<T>::N; k++) p.v[k] = narrow<T>(sum[j + k]);
            store(to, first + j, s.co, fast, p);
        }
    } else {
        for (unsigned j = 0; j < CHANNELS && first + j < s.co; j++)
            y[(((size_t)image * s.co + first + j) * s.ho + oy) * s.wo + ox] = narrow<T>(sum[j]);
    }
}

#define DEFINE(IDS, I, NAME, T, PIXELS)                                                                                \
    extern "C" __global__ void __launch_bounds__(TILE_W *TILE_H)                                                       \
        onehot_forward_##IDS##_##NAME(const I *ids, const Wide<T>::type *others, const Wide<T>::type *rows,            \
                                      const Wide<T>::type *bias, T *y, unsigned pitch, SHAPE_PARAMETERS) {             \
        forward<I, Wide<T>::type, T, PIXELS>(ids, others, rows, bias, y, pitch, SHAPE);                                \
    }
#define DEFINE_IDS(IDS, I) DEFINE(IDS, I, f32, float, false) DEFINE(IDS, I, f64, double, false) DEFINE(IDS, I, bf16, bf16, true)
DEFINE_IDS(u8, unsigned char)
DEFINE_IDS(u32, unsigned)

#define DEFINE_TABLE(NAME, F)                                                                                          \
    extern "C" __global__ void onehot_table_##NAME(const F *w, F *rows, unsigned classes, unsigned rest, unsigned co,  \
                                                   unsigned taps, unsigned pitch) {                                    \
        table(w, rows, classes, rest, co, taps, pitch);                                                                \
    }
DEFINE_TABLE(f32, float)
DEFINE_TABLE(f64, double)
