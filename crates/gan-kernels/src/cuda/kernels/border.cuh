// What lies beyond a image's border.
#pragma once

enum Mode { ZERO, REFLECT, REPLICATE };

// The pixel that padded position `i - pad` of an axis of n pixels shows; -1 for none.
__device__ __forceinline__ int source(int i, int pad, int n, int mode) {
    i -= pad;
    if (i >= 0 && i < n) return i;
    if (mode == REFLECT) return i < 0 ? -i : 2 * n - 2 - i;
    if (mode == REPLICATE) return i < 0 ? 0 : n - 1;
    return -1;
}

// The padded positions that show pixel i: a range of them, or up to three of a reflection.
struct Shown {
    int first, second, third, count;
    bool range;

    __device__ Shown(int i, int pad, int n, int mode) : first(i + pad), second(0), third(0), count(1), range(mode == REPLICATE) {
        if (range) {
            const int end = i == n - 1 ? n + 2 * pad : i + pad + 1;
            first = i == 0 ? 0 : i + pad;
            count = end - first;
        } else if (mode == REFLECT) {
            const bool before = i >= 1 && i <= pad, after = i <= n - 2 && n - 1 - i <= pad;
            third = pad + 2 * (n - 1) - i;
            second = before ? pad - i : third;
            count = 1 + before + after;
        }
    }
    __device__ int operator[](int k) const { return range ? first + k : k == 0 ? first : k == 1 ? second : third; }
};
