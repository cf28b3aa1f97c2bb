// A kernel that needs the parts of a toolchain that kernels are made with: bf16, warps, shared memory, libdevice.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

extern "C" __global__ void gan_check(__nv_bfloat16 *y, const float *x, int n) {
    __shared__ float sums[32];
    float sum = 0.f;
    for (int i = threadIdx.x; i < n; i += blockDim.x) sum += tanhf(x[i]);
    for (int lane = 16; lane > 0; lane /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lane);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) y[blockIdx.x] = __float2bfloat16(sums[0]);
}
