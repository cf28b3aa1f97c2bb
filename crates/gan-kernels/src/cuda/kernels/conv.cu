// What a convolution needs beside cuDNN: weights in the order and type of the tensor cores and their gradients back,
// bias, and the bias's gradient. Sums have a fixed order.
#include "common.cuh"

// Input channels that a block of the two filter kernels takes.
#define FILTER_CHANNELS 64
// Taps of the largest kernel, 7x7.
#define MOST_TAPS 49

// F32 [k, c, taps] to BF16 [k, taps, c]. Grid (ceil(c / FILTER_CHANNELS), k). The tile's rows have an odd length, so that
// a column meets every bank.
extern "C" __global__ void filter_to_pixels(const float *w, bf16 *out, unsigned channels, unsigned taps) {
    __shared__ float tile[FILTER_CHANNELS * MOST_TAPS];
    const unsigned pitch = taps | 1, first = blockIdx.x * FILTER_CHANNELS;
    const unsigned count = min(FILTER_CHANNELS, channels - first);
    const float *from = w + ((size_t)blockIdx.y * channels + first) * taps;
    for (unsigned i = threadIdx.x; i < count * taps; i += blockDim.x) tile[i / taps * pitch + i % taps] = from[i];
    __syncthreads();
    bf16 *to = out + (size_t)blockIdx.y * taps * channels + first;
    for (unsigned i = threadIdx.x; i < count * taps; i += blockDim.x) {
        const unsigned t = i / count, c = i % count;
        to[(size_t)t * channels + c] = narrow<bf16>(tile[c * pitch + t]);
    }
}

// Adds BF16 [k, taps, c] to F32 [k, c, taps]; grid as above.
extern "C" __global__ void add_filter_from_pixels(const bf16 *dw, float *into, unsigned channels, unsigned taps) {
    __shared__ float tile[FILTER_CHANNELS * MOST_TAPS];
    const unsigned pitch = taps | 1, first = blockIdx.x * FILTER_CHANNELS;
    const unsigned count = min(FILTER_CHANNELS, channels - first);
    const bf16 *from = dw + (size_t)blockIdx.y * taps * channels + first;
    for (unsigned i = threadIdx.x; i < count * taps; i += blockDim.x) {
        const unsigned t = i / count, c = i % count;
        tile[c * pitch + t] = widen(from[(size_t)t * channels + c]);
    }
    __syncthreads();
    float *to = into + ((size_t)blockIdx.y * channels + first) * taps;
    for (unsigned i = threadIdx.x; i < count * taps; i += blockDim.x) to[i] += tile[i / taps * pitch + i % taps];
}

// y = act(y + bias[channel]) in place; the channel of element i is i / inner % channels, where `inner` is the number of
// pixels if y lies in planes, 1 if it lies in pixels. A thread a pack.
template <typename T>
__device__ void add_bias(T *y, const typename Wide<T>::type *bias, unsigned n, unsigned inner, unsigned channels,
                         int act) {
    const unsigned at = thread_number() * Pack<T>::N;
    if (at >= n) return;
    const bool fast = aligned(y);
    Pack<T> p = load(y, at, n, fast);
    unsigned channel = at / inner % channels, left = inner - at % inner;
    for (unsigned i = 0; i < Pack<T>::N; i++) {
        p.v[i] = narrow<T>(activate(widen(p.v[i]) + bias[channel], act));
        if (--left == 0) {
            left = inner;
            channel = channel + 1 == channels ? 0 : channel + 1;
        }
    }
    store(y, at, n, fast, p);
}

#define ADD_BIAS(NAME, T)                                                                                              \
    extern "C" __global__ void add_bias_##NAME(T *y, const Wide<T>::type *bias, unsigned n, unsigned inner,            \
                                               unsigned channels, int act) {                                           \
        add_bias<T>(y, bias, n, inner, channels, act);                                                                 \
    }
FOR_TYPES(ADD_BIAS)

// Threads of a block of the three bias kernels, and the most parts that the second stage adds up.
#define BIAS_THREADS 256

// First stage for dy [rows, channels] (in pixels). Block (i, j) sums the rows from i * each on of the channels from
// j * BIAS_THREADS on; partial [parts, channels].
template <typename T>
__device__ void bias_pixels(const T *dy, typename Wide<T>::type *partial, unsigned rows, unsigned channels,
                            unsigned each) {
    typedef typename Wide<T>::type F;
    __shared__ F sums[BIAS_THREADS];
    const unsigned first = blockIdx.y * BIAS_THREADS;
    const unsigned width = min(BIAS_THREADS, channels - first), lanes = BIAS_THREADS / width;
    const unsigned c = threadIdx.x % width, lane = threadIdx.x / width;
    F sum = 0;
    if (lane < lanes) {
        const unsigned end = min(rows, (blockIdx.x + 1) * each);
#pragma unroll 4
        for (unsigned r = blockIdx.x * each + lane; r < end; r += lanes)
            sum += widen(dy[(size_t)r * channels + first + c]);
    }
    sums[threadIdx.x] = sum;
    __syncthreads();
    for (unsigned half = BIAS_THREADS / 2; half > 0; half /= 2) {
        if (lane < half && lane + half < lanes) sums[threadIdx.x] += sums[threadIdx.x + half * width];
        __syncthreads();
    }
    if (lane == 0) partial[(size_t)blockIdx.x * channels + first + c] = sums[threadIdx.x];
}

// First stage for dy [n, channels, pixels] (in planes). Block (i, channel) sums the elements from i * each on of the
// n * pixels of its channel.
template <typename T>
__device__ void bias_planes(const T *dy, typename Wide<T>::type *partial, unsigned n, unsigned channels,
                            unsigned pixels, unsigned each) {
    typedef typename Wide<T>::type F;
    __shared__ F sums[BIAS_THREADS];
    const unsigned end = min(n * pixels, (blockIdx.x + 1) * each);
    F sum = 0;
#pragma unroll 4
    for (unsigned i = blockIdx.x * each + threadIdx.x; i < end; i += BIAS_THREADS)
        sum += widen(dy[((size_t)(i / pixels) * channels + blockIdx.y) * pixels + i % pixels]);
    sums[threadIdx.x] = sum;
    __syncthreads();
    for (unsigned half = BIAS_THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) partial[(size_t)blockIdx.x * channels + blockIdx.y] = sums[0];
}

#define BIAS_GRADIENT(NAME, T)                                                                                         \
    extern "C" __global__ void bias_pixels_##NAME(const T *dy, Wide<T>::type *partial, unsigned rows,                  \
                                                  unsigned channels, unsigned each) {                                  \
        bias_pixels<T>(dy, partial, rows, channels, each);                                                             \
    }                                                                                                                  \
    extern "C" __global__ void bias_planes_##NAME(const T *dy, Wide<T>::type *partial, unsigned n, unsigned channels,  \
                                                  unsigned pixels, unsigned each) {                                    \
        bias_planes<T>(dy, partial, n, channels, pixels, each);                                                        \
    }
FOR_TYPES(BIAS_GRADIENT)

// Second stage: into[channel] += the sum of partial[:, channel]. A block a channel, at most BIAS_THREADS parts.
template <typename F> __device__ void add_parts(const F *partial, F *into, unsigned parts, unsigned channels) {
    __shared__ double sums[BIAS_THREADS];
    sums[threadIdx.x] = threadIdx.x < parts ? (double)partial[(size_t)threadIdx.x * channels + blockIdx.x] : 0.0;
    __syncthreads();
    for (unsigned half = BIAS_THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) into[blockIdx.x] += (F)sums[0];
}

extern "C" __global__ void add_parts_f32(const float *partial, float *into, unsigned parts, unsigned channels) {
    add_parts(partial, into, parts, channels);
}
extern "C" __global__ void add_parts_f64(const double *partial, double *into, unsigned parts, unsigned channels) {
    add_parts(partial, into, parts, channels);
}
