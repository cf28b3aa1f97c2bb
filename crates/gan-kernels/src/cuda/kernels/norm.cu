// Instance and batch normalisation with activation and residual sum, forward and backward.
//
// A block treats a tile: in planes a range of one plane, in pixels a range of pixels of one image and up to 32 packs of channels.
// Statistics and gradient sums come in two stages: every tile leaves its part in `parts`, laid out [image][chunk][channel][2],
// and one warp a group adds the parts in F64, in an order that depends on the shape alone.
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
    __device__ unsigned first() const { return PIXELS ? from + lane : from + lane * N; }
    __device__ unsigned step() const { return PIXELS ? lanes : lanes * N; }
    __device__ bool fast(const void *a, const void *b = nullptr, const void *c = nullptr) const {
        return width % N == 0 && aligned(a, b, c);
    }
    // The pack at a position.
    __device__ Pack<T> get(const T *x, unsigned at, bool fast) const {
        if (PIXELS) return load(x + base + (size_t)at * width, channel, width, fast);
        return load(x + base, at, to, fast);
    }
    __device__ void put(T *x, unsigned at, bool fast, const Pack<T> &pack) const {
        if (PIXELS)
            store(x + base + (size_t)at * width, channel, width, fast, pack);
        else
            store(x + base, at, to, fast, pack);
    }
    // Whether element j of the pack at a position exists.
    __device__ bool exists(unsigned at, unsigned j) const { return PIXELS ? channel + j < width : at + j < to; }
    // Positions at which the thread has an element j.
    __device__ unsigned count(unsigned j) const {
        const unsigned at = PIXELS ? first() : first() + j;
        return at < to && (!PIXELS || channel + j < width) ? (to - 1 - at) / step() + 1 : 0;
    }
    // Whether this thread keeps the tile's result of channel j.
    __device__ bool keeps(const Cut &cut, unsigned j) const { return lane == 0 && (!PIXELS || channel + j < cut.c); }
    __device__ size_t part(const Cut &cut, unsigned j) const {
        return (((size_t)image * cut.chunks + chunk) * cut.c + channel + j) * 2;
    }
};

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

template <typename T, bool PIXELS>
__device__ void norm_moments(const T *x, typename Wide<T>::type *parts, Cut cut) {
    typedef typename Wide<T>::type F;
    typedef Tile<T, PIXELS> Tiles;
    const Tiles tile(cut);
    const bool fast = tile.fast(x);
    F mean[Tiles::N], m2[Tiles::N];
    for (unsigned j = 0; j < Tiles::N; j++) mean[j] = m2[j] = 0;
    F count = 0;
    for (unsigned at = tile.first(); at < tile.to; at += tile.step()) {
        const Pack<T> p = tile.get(x, at, fast);
        count += 1;
        const F inverse = 1 / count;
        for (unsigned j = 0; j < Tiles::N; j++)
            if (tile.exists(at, j)) {
                const F value = widen(p.v[j]), delta = value - mean[j];
                mean[j] += delta * inverse;
                m2[j] += delta * (value - mean[j]);
            }
    }
    Moments<F> all[Tiles::K];
    for (unsigned j = 0; j < Tiles::N; j++) {
        const Moments<F> one = {F(tile.count(j)), mean[j], m2[j]};
        if (PIXELS || j == 0)
            all[PIXELS ? j : 0] = one;
        else
            all[0].merge(one);
    }
    __shared__ Moments<F> shared[THREADS];
    for (unsigned k = 0; k < Tiles::K; k++) {
        __syncthreads();
        shared[threadIdx.x] = all[k];
        for (unsigned s = tile.lanes / 2; s > 0; s /= 2) {
            __syncthreads();
            if (tile.lane < s) shared[threadIdx.x].merge(shared[threadIdx.x + s * (THREADS / tile.lanes)]);
        }
        if (tile.keeps(cut, k)) {
            parts[tile.part(cut, k)] = shared[threadIdx.x].mean;
            parts[tile.part(cut, k) + 1] = shared[threadIdx.x].m2;
        }
    }
}

// One warp a group: `groups` of them, over the parts of one image, or of all.
template <typename F>
__device__ void norm_moments_finish(const F *parts, F *mean, F *var, unsigned groups, unsigned images, Cut cut) {
    const unsigned group = thread_number() / 32, lane = threadIdx.x % 32;
    if (group >= groups) return;
    const bool batch = groups == cut.c;
    const unsigned rows = batch ? images * cut.chunks : cut.chunks;
    const F *mine = parts + ((size_t)(batch ? 0 : group / cut.c * cut.chunks) * cut.c + group % cut.c) * 2;
    const double total = (double)cut.hw * (batch ? images : 1);
    double sum = 0;
    for (unsigned i = lane; i < rows; i += 32) {
        const unsigned from = i % cut.chunks * cut.len;
        sum += (double)(min(from + cut.len, cut.hw) - from) * mine[(size_t)i * cut.c * 2];
    }
    const double centre = warp_sum(sum) / total;
    sum = 0;
    for (unsigned i = lane; i < rows; i += 32) {
        const unsigned from = i % cut.chunks * cut.len;
        const double away = mine[(size_t)i * cut.c * 2] - centre;
        sum += mine[(size_t)i * cut.c * 2 + 1] + (double)(min(from + cut.len, cut.hw) - from) * away * away;
    }
    sum = warp_sum(sum);
    if (lane == 0) {
        mean[group] = F(centre);
        var[group] = F(sum / total);
    }
}

// The map x -> act(scale * hat + shift), hat = (x - mean) * inverse, of K channels.
template <typename F, unsigned K> struct Map {
    F mean[K], inverse[K], scale[K], shift[K];

    __device__ Map(const F *means, const F *vars, const F *weight, const F *bias, double eps, unsigned image, unsigned channel,
                   unsigned c, int batch) {
        for (unsigned j = 0; j < K; j++) {
            const unsigned mine = min(channel + j, c - 1), group = batch ? mine : image * c + mine;
            mean[j] = means[group];
            inverse[j] = 1 / sqrt(vars[group] + F(eps));
            scale[j] = weight ? weight[mine] : F(1);
            shift[j] = bias ? bias[mine] : F(0);
        }
    }
};

template <typename T, bool PIXELS>
__device__ void norm_apply(const T *x, const T *residual, T *y, const typename Wide<T>::type *mean,
                           const typename Wide<T>::type *var, const typename Wide<T>::type *weight,
                           const typename Wide<T>::type *bias, double eps, int act, int batch, Cut cut) {
    typedef typename Wide<T>::type F;
    typedef Tile<T, PIXELS> Tiles;
    const Tiles tile(cut);
    const Map<F, Tiles::K> map(mean, var, weight, bias, eps, tile.image, tile.channel, cut.c, batch);
    const bool fast = tile.fast(x, residual, y);
    for (unsigned at = tile.first(); at < tile.to; at += tile.step()) {
        Pack<T> p = tile.get(x, at, fast), r;
        if (residual) r = tile.get(residual, at, fast);
        for (unsigned j = 0; j < Tiles::N; j++) {
            const unsigned k = PIXELS ? j : 0;
            F value = activate((widen(p.v[j]) - map.mean[k]) * map.inverse[k] * map.scale[k] + map.shift[k], act);
            if (residual) value += widen(r.v[j]);
            p.v[j] = narrow<T>(value);
        }
        tile.put(y, at, fast, p);
    }
}

// Sums of dz and dz * hat, z being the activation's input.
template <typename T, bool PIXELS>
__device__ void norm_sums(const T *x, const T *dy, typename Wide<T>::type *parts, const typename Wide<T>::type *mean,
                          const typename Wide<T>::type *var, const typename Wide<T>::type *weight,
                          const typename Wide<T>::type *bias, double eps, int act, int batch, Cut cut) {
    typedef typename Wide<T>::type F;
    typedef Tile<T, PIXELS> Tiles;
    const Tiles tile(cut);
    const Map<F, Tiles::K> map(mean, var, weight, bias, eps, tile.image, tile.channel, cut.c, batch);
    const bool fast = tile.fast(x, dy);
    F sum[Tiles::K], sum_hat[Tiles::K];
    for (unsigned k = 0; k < Tiles::K; k++) sum[k] = sum_hat[k] = 0;
    for (unsigned at = tile.first(); at < tile.to; at += tile.step()) {
        const Pack<T> p = tile.get(x, at, fast), d = tile.get(dy, at, fast);
        for (unsigned j = 0; j < Tiles::N; j++)
            if (tile.exists(at, j)) {
                const unsigned k = PIXELS ? j : 0;
                const F hat = (widen(p.v[j]) - map.mean[k]) * map.inverse[k];
                const F dz = widen(d.v[j]) * slope(activate(hat * map.scale[k] + map.shift[k], act), act);
                sum[k] += dz;
                sum_hat[k] += dz * hat;
            }
    }
    __shared__ F shared[2][THREADS];
    for (unsigned k = 0; k < Tiles::K; k++) {
        __syncthreads();
        shared[0][threadIdx.x] = sum[k];
        shared[1][threadIdx.x] = sum_hat[k];
        for (unsigned s = tile.lanes / 2; s > 0; s /= 2) {
            __syncthreads();
            if (tile.lane < s) {
                const unsigned other = threadIdx.x + s * (THREADS / tile.lanes);
                shared[0][threadIdx.x] += shared[0][other];
                shared[1][threadIdx.x] += shared[1][other];
            }
        }
        if (tile.keeps(cut, k)) {
            parts[tile.part(cut, k)] = shared[0][threadIdx.x];
            parts[tile.part(cut, k) + 1] = shared[1][threadIdx.x];
        }
    }
}

// One warp a channel: the sums of its group or groups, [groups][2], and its affine gradient, added to the accumulators if given.
template <typename F>
__device__ void norm_sums_finish(const F *parts, F *sums, F *dweight, F *dbias, unsigned images, int batch, Cut cut) {
    const unsigned channel = thread_number() / 32, lane = threadIdx.x % 32;
    if (channel >= cut.c) return;
    double total = 0, total_hat = 0;
    for (unsigned image = 0; image < images; image++) {
        double a = 0, b = 0;
        for (unsigned i = lane; i < cut.chunks; i += 32) {
            const F *part = parts + (((size_t)image * cut.chunks + i) * cut.c + channel) * 2;
            a += part[0];
            b += part[1];
        }
        a = warp_sum(a);
        b = warp_sum(b);
        if (!batch && lane == 0) {
            sums[((size_t)image * cut.c + channel) * 2] = F(a);
            sums[((size_t)image * cut.c + channel) * 2 + 1] = F(b);
        }
        total += a;
        total_hat += b;
    }
    if (lane != 0) return;
    if (batch) {
        sums[channel * 2] = F(total);
        sums[channel * 2 + 1] = F(total_hat);
    }
    if (dweight) {
        dweight[channel] += F(total_hat);
        dbias[channel] += F(total);
    }
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
    F mean_dz[Tiles::K], mean_dz_hat[Tiles::K];
    for (unsigned k = 0; k < Tiles::K; k++) {
        const unsigned channel = min(tile.channel + k, cut.c - 1);
        const size_t group = batch ? channel : (size_t)tile.image * cut.c + channel;
        mean_dz[k] = sums ? F(sums[group * 2] * share) : F(0);
        mean_dz_hat[k] = sums ? F(sums[group * 2 + 1] * share) : F(0);
    }
    const bool fast = tile.fast(x, dy, dx);
    for (unsigned at = tile.first(); at < tile.to; at += tile.step()) {
        const Pack<T> p = tile.get(x, at, fast);
        Pack<T> d = tile.get(dy, at, fast);
        for (unsigned j = 0; j < Tiles::N; j++) {
            const unsigned k = PIXELS ? j : 0;
            const F hat = (widen(p.v[j]) - map.mean[k]) * map.inverse[k];
            const F dz = widen(d.v[j]) * slope(activate(hat * map.scale[k] + map.shift[k], act), act);
            d.v[j] = narrow<T>(map.scale[k] * map.inverse[k] * (dz - mean_dz[k] - hat * mean_dz_hat[k]));
        }
        tile.put(dx, at, fast, d);
    }
}

#define DEFINE(NAME, T, F, PIXELS)                                                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS) norm_moments_##NAME(const T *x, F *parts, CUT_PARAMETERS) {  \
        norm_moments<T, PIXELS>(x, parts, CUT);                                                                        \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                              \
        norm_apply_##NAME(const T *x, const T *residual, T *y, const F *mean, const F *var, const F *weight,           \
                          const F *bias, double eps, int act, int batch, CUT_PARAMETERS) {                             \
        norm_apply<T, PIXELS>(x, residual, y, mean, var, weight, bias, eps, act, batch, CUT);                          \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                              \
        norm_sums_##NAME(const T *x, const T *dy, F *parts, const F *mean, const F *var, const F *weight,              \
                         const F *bias, double eps, int act, int batch, CUT_PARAMETERS) {                              \
        norm_sums<T, PIXELS>(x, dy, parts, mean, var, weight, bias, eps, act, batch, CUT);                             \
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

#define DEFINE_FINISH(NAME, F)                                                                                         \
    extern "C" __global__ void norm_moments_finish_##NAME(const F *parts, F *mean, F *var, unsigned groups,            \
                                                          unsigned images, CUT_PARAMETERS) {                           \
        norm_moments_finish(parts, mean, var, groups, images, CUT);                                                    \
    }                                                                                                                  \
    extern "C" __global__ void norm_sums_finish_##NAME(const F *parts, F *sums, F *dweight, F *dbias, unsigned images, \
                                                       int batch, CUT_PARAMETERS) {                                    \
        norm_sums_finish(parts, sums, dweight, dbias, images, batch, CUT);                                             \
    }
DEFINE_FINISH(f32, float)
DEFINE_FINISH(f64, double)
