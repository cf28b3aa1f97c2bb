// What becomes of uploaded bytes.
#include "common.cuh"

// Levels of an 8-bit image as the host makes values in [-1, 1] of them: the same operations in the same order, each rounded
// (a division that is none would give other bits). A thread treats four pixels; the bytes start at a multiple of four.
extern "C" __global__ void values_of_levels(const unsigned char *levels, float *y, unsigned n) {
    const unsigned first = thread_number() * 4;
    if (first >= n) return;
    unsigned four = 0;
    if (first + 4 <= n)
        four = *reinterpret_cast<const unsigned *>(levels + first);
    else
        for (unsigned i = first; i < n; i++) four |= (unsigned)levels[i] << 8 * (i - first);
    for (unsigned i = first; i < min(first + 4, n); i++) {
        y[i] = __fdiv_rn(__fsub_rn(__fdiv_rn((float)(four & 255), 255.0f), 0.5f), 0.5f);
        four >>= 8;
    }
}
