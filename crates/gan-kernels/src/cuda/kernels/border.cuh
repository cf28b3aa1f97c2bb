// What lies beyond a picture's border.
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
