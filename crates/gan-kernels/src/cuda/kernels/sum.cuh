// Sums over a block.
#pragma once
#include "common.cuh"

// Adds over a block of 256 threads; the result is right in thread 0.
__device__ __forceinline__ double block_sum(double x) {
    __shared__ double parts[8];
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
    __syncthreads();
    double total = 0;
    if (threadIdx.x == 0)
        for (unsigned i = 0; i < 8; i++) total += parts[i];
    __syncthreads();
    return total;
}
