// What the card's tensor cores give at most to warps that multiply registers and touch no memory: the
// roof that products are measured against. `chains` independent accumulators hide the latency of a
// multiplication; the operands come from memory, so that neither the compiler nor the card sees
// constants.
#include "device.cuh"

constexpr int roofChains = 8;
constexpr int warpSize32 = 32;

KERNEL(multiply_registers, RoofArguments, 256) {
  int lane = int(threadIdx.x) % warpSize32;
  const unsigned* own = a.operands + lane * (4 + 2 * roofChains);
  uint32_t left[4];
  uint32_t right[roofChains][2];
  float sums[roofChains][4];
#pragma unroll
  for (int i = 0; i < 4; i++) left[i] = own[i];
#pragma unroll
  for (int chain = 0; chain < roofChains; chain++) {
    right[chain][0] = own[4 + 2 * chain];
    right[chain][1] = own[5 + 2 * chain];
#pragma unroll
    for (int i = 0; i < 4; i++) sums[chain][i] = 0;
  }
  for (int round = 0; round < a.rounds; round++) {
#pragma unroll
    for (int chain = 0; chain < roofChains; chain++) {
      multiplyBfloat(sums[chain], left, right[chain]);
    }
  }
  float* out = a.out + (size_t(blockIdx.x) * blockDim.x + threadIdx.x) * 4;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    float sum = 0;
#pragma unroll
    for (int chain = 0; chain < roofChains; chain++) sum += sums[chain][i];
    out[i] = sum;
  }
}
