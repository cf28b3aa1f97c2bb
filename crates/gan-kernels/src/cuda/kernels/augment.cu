// Differentiable augmentation (Zhao et al., 2020): draws, the pass forward and backward, and the adaptive probability (Karras et al., 2020).
// The numbers are those of the CPU: see spec/augment.rs and cpu/augment.rs.
#include "common.cuh"
#include "philox.cuh"
#include "sum.cuh"

const unsigned DRAWS = 7;

__device__ __forceinline__ int reach(unsigned side) { return (side + 4) / 8; }
__device__ __forceinline__ int hole(unsigned side) { return (side + 1) / 2; }
__device__ __forceinline__ double uniform(unsigned word) { return (word >> 8) / 16777216.0; }
__device__ __forceinline__ double shift(unsigned word, unsigned side) {
    return (double)(int)__umulhi(word, 2 * reach(side) + 1) - reach(side);
}
__device__ __forceinline__ double centre(unsigned word, unsigned side) {
    return __umulhi(word, side + 1 - hole(side) % 2);
}

extern "C" __global__ void draws(double *to, unsigned n, unsigned h, unsigned w, unsigned a, unsigned b,
                                 const unsigned *live, double fixed, const double *state) {
    const unsigned image = thread_number();
    if (image >= n) return;
    const double p = state ? state[0] : fixed;
    const uint2 key = mask_key(a, b, live);
    const uint4 r = philox(key, make_uint4(3 * image, 0, 0, 0)), s = philox(key, make_uint4(3 * image + 1, 0, 0, 0)),
                t = philox(key, make_uint4(3 * image + 2, 0, 0, 0));
    to += DRAWS * image;
    to[0] = s.w / 4294967296.0 < p ? uniform(r.x) : 0.5;
    to[1] = t.x / 4294967296.0 < p ? uniform(r.y) : 0.5;
    to[2] = t.y / 4294967296.0 < p ? uniform(r.z) : 0.5;
    const bool moves = t.z / 4294967296.0 < p, cuts = t.w / 4294967296.0 < p;
    to[3] = moves ? shift(r.w, h) : 0.0;
    to[4] = moves ? shift(s.x, w) : 0.0;
    to[5] = cuts ? centre(s.y, h) : -(double)h;
    to[6] = cuts ? centre(s.z, w) : -(double)w;
}

enum Flags { COLOR = 1, TRANSLATION = 2, CUTOUT = 4 };

// What the draws of an image say of its geometry.
struct Moved {
    int h, w, dy, dx, top, left, bottom, right;

    __device__ Moved(const double *draws, unsigned height, unsigned width, unsigned flags) : h(height), w(width) {
        dy = flags & TRANSLATION ? (int)draws[3] : 0;
        dx = flags & TRANSLATION ? (int)draws[4] : 0;
        top = flags & CUTOUT ? (int)draws[5] - hole(height) / 2 : 0;
        left = flags & CUTOUT ? (int)draws[6] - hole(width) / 2 : 0;
        bottom = flags & CUTOUT ? top + hole(height) : 0;
        right = flags & CUTOUT ? left + hole(width) : 0;
    }
    __device__ bool inside(int y, int x) const { return y >= 0 && y < h && x >= 0 && x < w; }
    // Whether a pixel of the output shows something, which is at (y + dy, x + dx).
    __device__ bool shows(int y, int x) const {
        const bool covered = y >= top && y < bottom && x >= left && x < right;
        return !covered && inside(y + dy, x + dx);
    }
};

// The sums over the coloured channels of an image, in as many parts as the grid is wide: of the input, or of the gradient where it is shown.
template <typename T>
__device__ void augment_sums(const T *x, const double *draws, double *parts, unsigned blocks, unsigned c, unsigned h, unsigned w,
                             unsigned pixel, unsigned channel, unsigned uncolored, unsigned flags, bool backward) {
    const unsigned image = blockIdx.y, pixels = h * w;
    const Moved moved(draws + DRAWS * image, h, w, flags);
    x += (size_t)image * c * pixels;
    double sum = 0;
    for (unsigned at = thread_number(); at < pixels; at += gridDim.x * 256) {
        if (backward && !moved.shows(at / w, at % w)) continue;
        for (unsigned k = uncolored; k < c; k++) sum += widen(x[(size_t)at * pixel + (size_t)k * channel]);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) parts[image * blocks + blockIdx.x] = sum;
}

template <typename T>
__device__ void augment(const T *x, T *y, const double *draws, const double *parts, unsigned blocks, unsigned c, unsigned h,
                        unsigned w, unsigned pixel, unsigned channel, unsigned uncolored, unsigned flags, bool backward) {
    typedef typename Wide<T>::type F;
    const unsigned image = blockIdx.y, pixels = h * w, at = thread_number();
    draws += DRAWS * image;
    __shared__ double mean;
    if ((flags & COLOR) && threadIdx.x < 32) {
        const double sum = warp_sum(threadIdx.x < blocks ? parts[image * blocks + threadIdx.x] : 0.0);
        if (threadIdx.x == 0) mean = sum / ((double)(c - uncolored) * pixels);
    }
    __syncthreads();
    if (at >= pixels) return;
    const Moved moved(draws, h, w, flags);
    int row = at / w, column = at % w;
    bool found;
    if (backward) {
        row -= moved.dy, column -= moved.dx;
        found = moved.inside(row, column) && moved.shows(row, column);
    } else {
        found = moved.shows(row, column);
        row += moved.dy, column += moved.dx;
    }
    x += (size_t)image * c * pixels + (found ? (size_t)(row * (int)w + column) * pixel : 0);
    y += (size_t)image * c * pixels + (size_t)at * pixel;
    const unsigned kept = flags & COLOR ? uncolored : c;
    for (unsigned k = 0; k < kept; k++) y[(size_t)k * channel] = found ? x[(size_t)k * channel] : narrow<T>(0);
    if (kept == c) return;
    const double contrast = draws[2] + 0.5, saturation = 2 * draws[1], level = (1 - contrast) * mean;
    if (!found) {
        for (unsigned k = kept; k < c; k++) y[(size_t)k * channel] = narrow<T>(F(backward ? level : 0.0));
        return;
    }
    F sum = 0;
    for (unsigned k = kept; k < c; k++) sum += widen(x[(size_t)k * channel]);
    const F factor = F(contrast * saturation), offset = F(level + (backward ? 0.0 : draws[0] - 0.5));
    const F rest = F(contrast * (1 - saturation) / (c - kept)) * sum + offset;
    for (unsigned k = kept; k < c; k++) y[(size_t)k * channel] = narrow<T>(factor * widen(x[(size_t)k * channel]) + rest);
}

// One block: adds the mean sign of scores to the state, and changes the probability when it is time.
template <typename T>
__device__ void observe(const T *scores, unsigned n, unsigned images, double *state, double threshold, double target,
                        double images_to_one, unsigned interval, bool last) {
    double sum = 0;
    for (unsigned i = threadIdx.x; i < n; i += 256) {
        const double score = widen(scores[i]);
        sum += (double)(score > threshold) - (double)(score < threshold);
    }
    sum = block_sum(sum);
    if (threadIdx.x != 0) return;
    state[1] += sum / n;
    state[2] += 1;
    if (!last) return;
    state[3] += images;
    state[4] += 1;
    if (state[4] < interval) return;
    const double excess = state[1] / state[2] - target;
    const double p = state[0] + ((double)(excess > 0) - (double)(excess < 0)) * state[3] / images_to_one;
    state[0] = p > 0 ? p : 0.0;
    for (unsigned i = 1; i < 5; i++) state[i] = 0;
}

#define DEFINE(NAME, T)                                                                                                \
    extern "C" __global__ void augment_sums_##NAME(const T *x, const double *draws, double *parts, unsigned blocks,    \
                                                   unsigned c, unsigned h, unsigned w, unsigned pixel,                 \
                                                   unsigned channel, unsigned uncolored, unsigned flags,               \
                                                   int backward) {                                                     \
        augment_sums(x, draws, parts, blocks, c, h, w, pixel, channel, uncolored, flags, backward != 0);               \
    }                                                                                                                  \
    extern "C" __global__ void augment_##NAME(const T *x, T *y, const double *draws, const double *parts,              \
                                              unsigned blocks, unsigned c, unsigned h, unsigned w, unsigned pixel,     \
                                              unsigned channel, unsigned uncolored, unsigned flags, int backward) {    \
        augment(x, y, draws, parts, blocks, c, h, w, pixel, channel, uncolored, flags, backward != 0);                 \
    }                                                                                                                  \
    extern "C" __global__ void observe_##NAME(const T *scores, unsigned n, unsigned images, double *state,             \
                                              double threshold, double target, double images_to_one,                   \
                                              unsigned interval, int last) {                                           \
        observe(scores, n, images, state, threshold, target, images_to_one, interval, last != 0);                      \
    }
FOR_TYPES(DEFINE)
