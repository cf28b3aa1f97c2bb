// Instance and batch normalization with activation and residual sum, forward and backward.
//
// A block treats a tile: in planes a range of one plane, in pixels a range of pixels of one image and up to 8 packs of channels.
// Statistics and gradient sums come in two stages of one launch: every tile leaves its part in `parts`, laid out
// [image][chunk][channel][2], and the last block to finish adds the parts in F64. Which block that is does not matter: the order
// of the sum depends on the shape alone. It also sets its counter back to zero, for the next launch.
#include "tile.cuh"

// Count, mean and squared deviations of some elements.
template <typename F> struct Moments {
    F count, mean, m2;

    __device__ void merge(const Moments &other) {
        const F total = count + other.count;
        if (total == 0) return;
        const F delta = other.mean - mean, share = other.count / total;
        mean += delta * share;
        m2 += other.m2 + delta * delta * count * share;
        count = total;
    }
};

// Near enough for a running mean, which corrects itself, and without the branches of an exact division, which loads do not pass.
__device__ __forceinline__ float reciprocal(float x) { return __fdividef(1, x); }
__device__ __forceinline__ double reciprocal(double x) { return 1 / x; }

// Mean and squared deviations of the thread's elements of a plane, for each place in a pack.
template <typename T, bool WHOLE, typename F>
__device__ __forceinline__ void moments_of_thread(const Tile<T, false> &tile, const T *__restrict__ x, F *mean, F *m2) {
    F count = 0;
    tile.template each<WHOLE, 1>({x}, [&](unsigned at, const Pack<T> *p) {
        count += 1;
        const F inverse = reciprocal(count);
        for (unsigned j = 0; j < Pack<T>::N; j++)
            if (tile.template exists<WHOLE>(at, j)) {
                const F value = widen(p->v[j]), delta = value - mean[j];
                mean[j] += delta * inverse;
                m2[j] += delta * (value - mean[j]);
            }
    });
}

// The part of a tile of a plane: mean and squared deviations.
template <typename T>
__device__ void moments_of_tile(const Tile<T, false> &tile, const Cut &cut, const T *x, typename Wide<T>::type *parts) {
    typedef typename Wide<T>::type F;
    const unsigned N = Pack<T>::N;
    F mean[N], m2[N];
    for (unsigned j = 0; j < N; j++) mean[j] = m2[j] = 0;
    if (tile.whole(x))
        moments_of_thread<T, true>(tile, x, mean, m2);
    else
        moments_of_thread<T, false>(tile, x, mean, m2);
    Moments<F> all = {F(tile.count(0)), mean[0], m2[0]};
    for (unsigned j = 1; j < N; j++) all.merge(Moments<F>{F(tile.count(j)), mean[j], m2[j]});
    __shared__ Moments<F> shared[THREADS];
    shared[threadIdx.x] = all;
    for (unsigned s = THREADS / 2; s > 0; s /= 2) {
        __syncthreads();
        if (threadIdx.x < s) shared[threadIdx.x].merge(shared[threadIdx.x + s]);
    }
    if (threadIdx.x == 0) {
        parts[tile.part(cut, tile.channel)] = shared[0].mean;
        parts[tile.part(cut, tile.channel) + 1] = shared[0].m2;
    }
}

// Sums of the differences from `centre` and of their squares over the thread's pixels.
template <typename T, bool WHOLE, typename F>
__device__ __forceinline__ void differences(const Tile<T, true> &tile, const T *__restrict__ x, const Pack<T> &centre, F *sum,
                                            F *squares) {
    tile.template each<WHOLE, 1>({x}, [&](unsigned, const Pack<T> *p) {
        for (unsigned j = 0; j < Pack<T>::N; j++) {
            const F delta = widen(p->v[j]) - widen(centre.v[j]);
            sum[j] += delta;
            squares[j] += delta * delta;
        }
    });
}

// The part of a tile of pixels, whose element type has fewer bits than sums: the tile's first pixel is near enough to the mean
// for the squares of both to be subtracted.
template <typename T>
__device__ void moments_of_tile(const Tile<T, true> &tile, const Cut &cut, const T *x, typename Wide<T>::type *parts) {
    typedef typename Wide<T>::type F;
    const unsigned K = Tile<T, true>::K;
    F sum[K], squares[K];
    for (unsigned k = 0; k < K; k++) sum[k] = squares[k] = 0;
    const T *centres = x + tile.base + (size_t)tile.from * tile.width;
    const Pack<T> centre = load(centres, tile.channel, tile.width, tile.whole(x));
    if (tile.whole(x))
        differences<T, true>(tile, x, centre, sum, squares);
    else
        differences<T, false>(tile, x, centre, sum, squares);
    add_over_tile(tile, cut, sum, squares, [&](unsigned channel, F sum, F squares) {
        const F mean = sum / (tile.to - tile.from);
        parts[tile.part(cut, channel)] = widen(centres[channel]) + mean;
        parts[tile.part(cut, channel) + 1] = at_least_zero(squares - sum * mean);
    });
}

// Mean and variance of the groups in the tile's channels, from their parts.
template <typename T, bool PIXELS, typename F>
__device__ void moments_of_parts(const Tile<T, PIXELS> &tile, const Cut &cut, const F *parts, F *mean, F *var, unsigned images,
                                 int batch) {
    const Adding<T, PIXELS> adding(tile, cut);
    const unsigned rows = batch ? images * cut.chunks : cut.chunks;
    const F *mine = parts + ((size_t)(batch ? 0 : tile.image * cut.chunks) * cut.c + adding.channel) * 2;
    // In F64 the squares of the means may be subtracted again.
    double sum = 0, squares = 0;
    if (adding.inside)
#pragma unroll 8
        for (unsigned i = adding.lane; i < rows; i += adding.lanes) {
            const auto part = fetch(mine + (size_t)i * cut.c * 2);
            const unsigned from = i % cut.chunks * cut.len;
            const double count = min(from + cut.len, cut.hw) - from, mean = part.x;
            sum += count * mean;
            squares += part.y + count * mean * mean;
        }
    adding.across(sum, squares);
    if (adding.inside && adding.lane == 0) {
        const double total = (double)cut.hw * (batch ? images : 1), centre = sum / total;
        const unsigned group = (batch ? 0 : tile.image * cut.c) + adding.channel;
        mean[group] = F(centre);
        var[group] = F(at_least_zero(squares / total - centre * centre));
    }
}

template <typename T, bool PIXELS>
__device__ void norm_moments(const T *x, typename Wide<T>::type *parts, unsigned *counters, typename Wide<T>::type *mean,
                             typename Wide<T>::type *var, unsigned images, int batch, Cut cut) {
    const Tile<T, PIXELS> tile(cut);
    moments_of_tile(tile, cut, x, parts);
    if (last_block(counter_of(counters, tile, cut, batch), cut.chunks * (batch ? images : 1)))
        moments_of_parts(tile, cut, parts, mean, var, images, batch);
}

__device__ __forceinline__ float inverse_root(float x) { return rsqrtf(x); }
__device__ __forceinline__ double inverse_root(double x) { return 1 / sqrt(x); }

// The map x -> act(scale * hat + shift), hat = (x - mean) * inverse, of K channels.
template <typename F, unsigned K> struct Map {
    F mean[K], inverse[K], scale[K], shift[K];

    __device__ Map(const F *means, const F *vars, const F *weight, const F *bias, double eps, unsigned image, unsigned channel,
                   unsigned c, int batch) {
        for (unsigned j = 0; j < K; j++) {
            const unsigned mine = min(channel + j, c - 1), group = batch ? mine : image * c + mine;
            mean[j] = means[group];
            inverse[j] = inverse_root(vars[group] + F(eps));
            scale[j] = weight ? weight[mine] : F(1);
            shift[j] = bias ? bias[mine] : F(0);
        }
    }
};

template <typename T, bool PIXELS, bool WHOLE, typename M>
__device__ __forceinline__ void apply_map(const Tile<T, PIXELS> &tile, const M &map, const T *__restrict__ x,
                                          const T *__restrict__ residual, T *__restrict__ y, Bend<typename Wide<T>::type> act) {
    typedef typename Wide<T>::type F;
    tile.template each<WHOLE, 2>({x, residual}, [&](unsigned at, const Pack<T> *p) {
        Pack<T> out;
        for (unsigned j = 0; j < Pack<T>::N; j++) {
            const unsigned k = PIXELS ? j : 0;
            F value = act.of((widen(p[0].v[j]) - map.mean[k]) * map.inverse[k] * map.scale[k] + map.shift[k]);
            if (residual) value += widen(p[1].v[j]);
            out.v[j] = narrow<T>(value);
        }
        tile.template put<WHOLE>(y, at, out);
    });
}

template <typename T, bool PIXELS>
__device__ void norm_apply(const T *x, const T *residual, T *y, const typename Wide<T>::type *mean,
                           const typename Wide<T>::type *var, const typename Wide<T>::type *weight,
                           const typename Wide<T>::type *bias, double eps, int act, int batch, Cut cut) {
    typedef typename Wide<T>::type F;
    typedef Tile<T, PIXELS> Tiles;
    const Tiles tile(cut);
    const Map<F, Tiles::K> map(mean, var, weight, bias, eps, tile.image, tile.channel, cut.c, batch);
    if (tile.whole(x, residual, y))
        apply_map<T, PIXELS, true>(tile, map, x, residual, y, Bend<F>(act));
    else
        apply_map<T, PIXELS, false>(tile, map, x, residual, y, Bend<F>(act));
}

// The gradient of the activation's input, and the normalized value, of one element.
template <typename F, typename M> __device__ __forceinline__ F gradient_of(const M &map, unsigned k, F x, F dy, Bend<F> act, F *hat) {
    *hat = (x - map.mean[k]) * map.inverse[k];
    return dy * act.slope(act.of(*hat * map.scale[k] + map.shift[k]));
}

template <typename T, bool PIXELS, bool WHOLE, typename M, typename F>
__device__ __forceinline__ void sums_of_thread(const Tile<T, PIXELS> &tile, const M &map, const T *__restrict__ x,
                                               const T *__restrict__ dy, Bend<F> act, F *sum, F *sum_hat) {
    tile.template each<WHOLE, 2>({x, dy}, [&](unsigned at, const Pack<T> *p) {
        for (unsigned j = 0; j < Pack<T>::N; j++)
            if (tile.template exists<WHOLE>(at, j)) {
                const unsigned k = PIXELS ? j : 0;
                F hat;
                const F dz = gradient_of<F>(map, k, widen(p[0].v[j]), widen(p[1].v[j]), act, &hat);
                sum[k] += dz;
                sum_hat[k] += dz * hat;
            }
    });
}

// The tile's part of the sums of dz and dz * hat, z being the activation's input.
template <typename T, bool PIXELS>
__device__ void sums_of_tile(const Tile<T, PIXELS> &tile, const Cut &cut, const T *x, const T *dy,
                             typename Wide<T>::type *parts, const typename Wide<T>::type *mean,
                             const typename Wide<T>::type *var, const typename Wide<T>::type *weight,
                             const typename Wide<T>::type *bias, double eps, int act, int batch) {
    typedef typename Wide<T>::type F;
    typedef Tile<T, PIXELS> Tiles;
    const Map<F, Tiles::K> map(mean, var, weight, bias, eps, tile.image, tile.channel, cut.c, batch);
    F sum[Tiles::K], sum_hat[Tiles::K];
    for (unsigned k = 0; k < Tiles::K; k++) sum[k] = sum_hat[k] = 0;
    if (tile.whole(x, dy))
        sums_of_thread<T, PIXELS, true>(tile, map, x, dy, Bend<F>(act), sum, sum_hat);
    else
        sums_of_thread<T, PIXELS, false>(tile, map, x, dy, Bend<F>(act), sum, sum_hat);
    add_over_tile(tile, cut, sum, sum_hat, [&](unsigned channel, F sum, F sum_hat) {
        parts[tile.part(cut, channel)] = sum;
        parts[tile.part(cut, channel) + 1] = sum_hat;
    });
}

// The sums of the groups in the tile's channels, [groups][2], and the affine gradient, added to the accumulators if given.
template <typename T, bool PIXELS, typename F>
__device__ void sums_of_parts(const Tile<T, PIXELS> &tile, const Cut &cut, const F *parts, F *sums, F *dweight, F *dbias,
                              unsigned images, int batch) {
    const Adding<T, PIXELS> adding(tile, cut);
    // A run of rows makes one group: all of them, an image's, or one image after the other for the affine gradient.
    const bool each = !batch && dweight;
    const unsigned runs = each ? images : 1, rows = batch ? images * cut.chunks : cut.chunks;
    double total = 0, total_hat = 0;
    for (unsigned run = 0; run < runs; run++) {
        const unsigned image = batch ? 0 : each ? run : tile.image;
        const F *mine = parts + ((size_t)image * cut.chunks * cut.c + adding.channel) * 2;
        double a = 0, b = 0;
        if (adding.inside)
#pragma unroll 8
            for (unsigned i = adding.lane; i < rows; i += adding.lanes) {
                const auto part = fetch(mine + (size_t)i * cut.c * 2);
                a += part.x;
                b += part.y;
            }
        adding.across(a, b);
        if (adding.inside && adding.lane == 0) {
            F *to = sums + ((size_t)image * cut.c + adding.channel) * 2;
            to[0] = F(a);
            to[1] = F(b);
        }
        total += a;
        total_hat += b;
    }
    if (dweight && adding.inside && adding.lane == 0) {
        dweight[adding.channel] += F(total_hat);
        dbias[adding.channel] += F(total);
    }
}

template <typename T, bool PIXELS>
__device__ void norm_sums(const T *x, const T *dy, typename Wide<T>::type *parts, unsigned *counters,
                          typename Wide<T>::type *sums, typename Wide<T>::type *dweight, typename Wide<T>::type *dbias,
                          unsigned images, const typename Wide<T>::type *mean, const typename Wide<T>::type *var,
                          const typename Wide<T>::type *weight, const typename Wide<T>::type *bias, double eps, int act,
                          int batch, Cut cut) {
    const Tile<T, PIXELS> tile(cut);
    sums_of_tile(tile, cut, x, dy, parts, mean, var, weight, bias, eps, act, batch);
    const bool all = batch || dweight;
    if (last_block(counter_of(counters, tile, cut, all), cut.chunks * (all ? images : 1)))
        sums_of_parts(tile, cut, parts, sums, dweight, dbias, images, batch);
}

// The factors of x's gradient: means of dz and of dz * hat, zero where the statistics are constants.
template <typename F, unsigned K> struct Means {
    F dz[K], dz_hat[K];

    __device__ Means(const F *sums, double share, unsigned image, unsigned channel, unsigned c, int batch) {
        for (unsigned k = 0; k < K; k++) {
            const unsigned mine = min(channel + k, c - 1);
            const size_t group = batch ? mine : (size_t)image * c + mine;
            dz[k] = sums ? F(sums[group * 2] * share) : F(0);
            dz_hat[k] = sums ? F(sums[group * 2 + 1] * share) : F(0);
        }
    }
};

template <typename T, bool PIXELS, bool WHOLE, typename M, typename S>
__device__ __forceinline__ void gradient_of_tile(const Tile<T, PIXELS> &tile, const M &map, const S &means,
                                                 const T *__restrict__ x, const T *__restrict__ dy, T *__restrict__ dx,
                                                 Bend<typename Wide<T>::type> act) {
    typedef typename Wide<T>::type F;
    tile.template each<WHOLE, 2>({x, dy}, [&](unsigned at, const Pack<T> *p) {
        Pack<T> out;
        for (unsigned j = 0; j < Pack<T>::N; j++) {
            const unsigned k = PIXELS ? j : 0;
            F hat;
            const F dz = gradient_of<F>(map, k, widen(p[0].v[j]), widen(p[1].v[j]), act, &hat);
            out.v[j] = narrow<T>(map.scale[k] * map.inverse[k] * (dz - means.dz[k] - hat * means.dz_hat[k]));
        }
        tile.template put<WHOLE>(dx, at, out);
    });
}

// dx = scale * inverse * (dz - mean dz - hat * mean(dz * hat)); without sums the statistics are constants. `share` is 1 / elements
// of a group.
template <typename T, bool PIXELS>
__device__ void norm_gradient(const T *x, const T *dy, T *dx, const typename Wide<T>::type *mean,
                              const typename Wide<T>::type *var, const typename Wide<T>::type *weight,
                              const typename Wide<T>::type *bias, const typename Wide<T>::type *sums, double share, double eps,
                              int act, int batch, Cut cut) {
    typedef typename Wide<T>::type F;
    typedef Tile<T, PIXELS> Tiles;
    const Tiles tile(cut);
    const Map<F, Tiles::K> map(mean, var, weight, bias, eps, tile.image, tile.channel, cut.c, batch);
    const Means<F, Tiles::K> means(sums, share, tile.image, tile.channel, cut.c, batch);
    if (tile.whole(x, dy, dx))
        gradient_of_tile<T, PIXELS, true>(tile, map, means, x, dy, dx, Bend<F>(act));
    else
        gradient_of_tile<T, PIXELS, false>(tile, map, means, x, dy, dx, Bend<F>(act));
}

#define DEFINE(NAME, T, F, PIXELS)                                                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                               \
        norm_moments_##NAME(const T *x, F *parts, unsigned *counters, F *mean, F *var, unsigned images, int batch,     \
                            CUT_PARAMETERS) {                                                                          \
        norm_moments<T, PIXELS>(x, parts, counters, mean, var, images, batch, CUT);                                    \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                              \
        norm_apply_##NAME(const T *x, const T *residual, T *y, const F *mean, const F *var, const F *weight,           \
                          const F *bias, double eps, int act, int batch, CUT_PARAMETERS) {                             \
        norm_apply<T, PIXELS>(x, residual, y, mean, var, weight, bias, eps, act, batch, CUT);                          \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                              \
        norm_sums_##NAME(const T *x, const T *dy, F *parts, unsigned *counters, F *sums, F *dweight, F *dbias,         \
                         unsigned images, const F *mean, const F *var, const F *weight, const F *bias, double eps,     \
                         int act, int batch, CUT_PARAMETERS) {                                                         \
        norm_sums<T, PIXELS>(x, dy, parts, counters, sums, dweight, dbias, images, mean, var, weight, bias, eps, act,  \
                             batch, CUT);                                                                              \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                              \
        norm_gradient_##NAME(const T *x, const T *dy, T *dx, const F *mean, const F *var, const F *weight,             \
                             const F *bias, const F *sums, double share, double eps, int act, int batch,               \
                             CUT_PARAMETERS) {                                                                         \
        norm_gradient<T, PIXELS>(x, dy, dx, mean, var, weight, bias, sums, share, eps, act, batch, CUT);               \
    }
DEFINE(f32, float, float, false)
DEFINE(f64, double, double, false)
DEFINE(bf16, bf16, float, false)
DEFINE(pixels_bf16, bf16, float, true)
