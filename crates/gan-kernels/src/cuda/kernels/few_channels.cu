// Convolutions between few channels and many. Tensor cores multiply tiles of many channels; with three of them most of a tile is
// zeros. Here the taps of a row of the filter become channels of their own, `few * taps` of them, filled up with zeros to whole
// packs, and what is left is a convolution by a column of the filter, which cuDNN does.
//
// All tensors are BF16 in pixels: the end of few channels [images, h, w, few], and the same end with the taps as channels, the fan
// [images, rows, cols, width], whose channel j stands for tap j / few of channel j % few. Vertical padding is `up`, horizontal
// padding `side`, both of kind `mode`. At the big end of a convolution a column of the fan belongs to a column of the small end; at
// the small end it belongs to a column of the big end.
#include "border.cuh"
#include "common.cuh"

// The fan of a convolution's input: copies of what each tap sees. A thread a pack.
extern "C" __global__ void few_channels_fan(const bf16 *x, bf16 *fan, unsigned images, unsigned h, unsigned w, unsigned few,
                                    unsigned rows, unsigned cols, unsigned width, unsigned taps, unsigned stride, unsigned up,
                                    unsigned side, int mode) {
    const Place<Pack<bf16>::N> to(images, rows, cols, width);
    if (!to.inside) return;
    const int y = source(to.y, up, h, mode), first = (int)(to.x * stride) - (int)side;
    Pack<bf16> pack;
    if (y >= 0 && first >= 0 && first + taps <= w) {
        // What the taps see lies side by side.
        const bf16 *from = pixel(x, to.outer, y, first, h, w, few) + to.at;
        for (unsigned j = 0; j < Pack<bf16>::N; j++) pack.v[j] = to.at + j < taps * few ? from[j] : narrow<bf16>(0);
    } else {
        unsigned tap = to.at / few, channel = to.at % few;
        for (unsigned j = 0; j < Pack<bf16>::N; j++) {
            const int column = tap < taps ? source(to.x * stride + tap, side, w, mode) : -1;
            pack.v[j] = y >= 0 && column >= 0 ? pixel(x, to.outer, y, column, h, w, few)[channel] : narrow<bf16>(0);
            if (++channel == few) {
                channel = 0;
                tap++;
            }
        }
    }
    store_whole(pixel(fan, to.outer, to.y, to.x, rows, cols, width) + to.at, pack);
}

// Where a thread's element lies in [images, h, w, few].
struct Spot {
    unsigned image, y, x, channel;
    bool inside;

    __device__ Spot(unsigned images, unsigned h, unsigned w, unsigned few) {
        unsigned i = thread_number();
        channel = i % few;
        i /= few;
        x = i % w;
        i /= w;
        y = i % h;
        image = i / h;
        inside = image < images;
    }
};

__device__ __forceinline__ bf16 finished(float sum, const float *bias, unsigned channel, int act) {
    return narrow<bf16>(activate(bias ? sum + bias[channel] : sum, act));
}

// The adjoint of few_channels_fan, with the bias and activation of a transposed convolution. A thread an element.
extern "C" __global__ void few_channels_fan_adjoint(const bf16 *fan, bf16 *x, const float *bias, int act, unsigned images, unsigned h,
                                            unsigned w, unsigned few, unsigned rows, unsigned cols, unsigned width, unsigned taps,
                                            unsigned stride, unsigned up, unsigned side, int mode) {
    const Spot to(images, h, w, few);
    if (!to.inside) return;
    const Shown ys(to.y, up, h, mode), xs(to.x, side, w, mode);
    float sum = 0;
    for (int a = 0; a < ys.count; a++) {
        const unsigned row = ys[a];
        if (row >= rows) continue;
        for (int b = 0; b < xs.count; b++) {
            const unsigned padded = xs[b];
            for (unsigned tap = padded % stride; tap < taps && tap <= padded; tap += stride) {
                const unsigned column = (padded - tap) / stride;
                if (column < cols) sum += widen(pixel(fan, to.image, row, column, rows, cols, width)[tap * few + to.channel]);
            }
        }
    }
    x[((size_t)(to.image * h + to.y) * w + to.x) * few + to.channel] = finished(sum, bias, to.channel, act);
}

// A convolution's result [images, h, w, few] from its fan [images, h, cols, width]: the sum over the taps, bias and activation. A
// thread an element.
extern "C" __global__ void few_channels_sum(const bf16 *fan, bf16 *y, const float *bias, int act, unsigned images, unsigned h, unsigned w,
                                    unsigned few, unsigned cols, unsigned width, unsigned taps, unsigned side, int mode) {
    const Spot to(images, h, w, few);
    if (!to.inside) return;
    float sum = 0;
    const int first = (int)to.x - (int)side;
    if (first >= 0 && first + taps <= cols) {
        const bf16 *from = pixel(fan, to.image, to.y, first, h, cols, width) + to.channel;
#pragma unroll 8
        for (unsigned tap = 0; tap < taps; tap++) sum += widen(from[(size_t)tap * (width + few)]);
    } else {
        for (unsigned tap = 0; tap < taps; tap++) {
            const int column = source(to.x + tap, side, cols, mode);
            if (column >= 0) sum += widen(pixel(fan, to.image, to.y, column, h, cols, width)[tap * few + to.channel]);
        }
    }
    y[((size_t)(to.image * h + to.y) * w + to.x) * few + to.channel] = finished(sum, bias, to.channel, act);
}

// The adjoint of few_channels_sum. A thread a pack.
extern "C" __global__ void few_channels_sum_adjoint(const bf16 *y, bf16 *fan, unsigned images, unsigned h, unsigned w, unsigned few,
                                            unsigned cols, unsigned width, unsigned taps, unsigned side, int mode) {
    const Place<Pack<bf16>::N> to(images, h, cols, width);
    if (!to.inside) return;
    const Shown xs(to.x, side, cols, mode);
    unsigned tap = to.at / few, channel = to.at % few;
    Pack<bf16> pack;
    for (unsigned j = 0; j < Pack<bf16>::N; j++) {
        float sum = 0;
        if (tap < taps)
            for (int a = 0; a < xs.count; a++) {
                const int column = xs[a] - (int)tap;
                if (column >= 0 && column < (int)w) sum += widen(pixel(y, to.outer, to.y, column, h, w, few)[channel]);
            }
        pack.v[j] = narrow<bf16>(sum);
        if (++channel == few) {
            channel = 0;
            tap++;
        }
    }
    store_whole(pixel(fan, to.outer, to.y, to.x, h, cols, width) + to.at, pack);
}

// Where element i of a filter with the taps of a row as channels is found in the weight. `few_out`: the few channels are the small
// end's, the filter is [width, kh, many] and the weight [few, many, kh, taps]; else [many, kh, width] and [many, few, kh, taps].
struct Tap {
    size_t at;
    bool inside;

    __device__ Tap(unsigned i, unsigned many, unsigned few, unsigned kh, unsigned taps, unsigned width, int few_out) {
        const unsigned inner = few_out ? many : width, row = i / inner % kh, outer = i / inner / kh;
        const unsigned j = few_out ? outer : i % inner, m = few_out ? i % inner : outer;
        const unsigned tap = j / few, channel = j % few;
        const size_t plane = few_out ? (size_t)channel * many + m : (size_t)m * few + channel;
        at = (plane * kh + row) * taps + tap;
        inside = tap < taps;
    }
};

extern "C" __global__ void few_channels_filter(const float *weight, bf16 *filter, unsigned many, unsigned few, unsigned kh, unsigned taps,
                                       unsigned width, int few_out) {
    const unsigned i = thread_number();
    if (i >= many * kh * width) return;
    const Tap tap(i, many, few, kh, taps, width, few_out);
    filter[i] = tap.inside ? narrow<bf16>(weight[tap.at]) : narrow<bf16>(0);
}

// Adds the gradient of such a filter to that of the weight.
extern "C" __global__ void add_few_channels_filter(const bf16 *gradient, float *into, unsigned many, unsigned few, unsigned kh,
                                           unsigned taps, unsigned width, int few_out) {
    const unsigned i = thread_number();
    if (i >= many * kh * width) return;
    const Tap tap(i, many, few, kh, taps, width, few_out);
    if (tap.inside) into[tap.at] += widen(gradient[i]);
}
