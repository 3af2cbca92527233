// Sums over a block in an order that depends on nothing but the number of threads.
#pragma once

#include "device.cuh"

// The sum of x over a block of Warps whole warps; all threads get it. `shared` is [Warps].
template <int Warps>
DEVICE float blockSum(float x, float* shared) {
  for (int offset = 16; offset > 0; offset >>= 1) {
    x += __shfl_xor_sync(0xFFFFFFFFu, x, offset);
  }
  __syncthreads();
  if (threadIdx.x % 32 == 0) {
    shared[threadIdx.x / 32] = x;
  }
  __syncthreads();
  float sum = 0;
  for (int warp = 0; warp < Warps; warp++) {
    sum += shared[warp];
  }
  return sum;
}
