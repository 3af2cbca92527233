// One kernel for each wrapper of device.cuh, so that tests compare the emulated device's with plain
// arithmetic, and a card's with the emulated device's.
#include "device.cuh"

struct WrapperArguments {
  unsigned* out;
  const unsigned* in;
  int count;
};

// in: count floats; out: float16, then bfloat16 of each.
KERNEL(round_numbers, WrapperArguments, 256) {
  int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= a.count) return;
  float x = __uint_as_float(a.in[i]);
  a.out[i] = halfFromFloat(x);
  a.out[a.count + i] = bfloatFromFloat(x);
}

// in: count numbers of 16 bits, one a word; out: the float of each as float16, then as bfloat16.
KERNEL(widen_numbers, WrapperArguments, 256) {
  int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= a.count) return;
  a.out[i] = __float_as_uint(floatFromHalf(uint16_t(a.in[i])));
  a.out[a.count + i] = __float_as_uint(floatFromBfloat(uint16_t(a.in[i])));
}

// in: count triples of packed pairs; out: x − y as float16, x · y + z as float16, as bfloat16.
KERNEL(packed_numbers, WrapperArguments, 256) {
  int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= a.count) return;
  unsigned x = a.in[3 * i];
  unsigned y = a.in[3 * i + 1];
  unsigned z = a.in[3 * i + 2];
  a.out[3 * i] = half2Subtract(x, y);
  a.out[3 * i + 1] = half2Fma(x, y, z);
  a.out[3 * i + 2] = bfloat2Fma(x, y, z);
}

// in: a 16x16 matrix by rows, then a 16x8 matrix by rows, of 16-bit numbers; count: 0 float16,
// 1 bfloat16. out: the product by rows as float, 16x8; then the first 8x8 of a, transposed, 32 words.
KERNEL(multiply_matrices, WrapperArguments, 32) {
  auto* left = reinterpret_cast<uint16_t*>(sharedMemory());
  uint16_t* right = left + 256;
  unsigned lane = threadIdx.x;
  copyAsync16(left + 8 * lane, a.in + 4 * lane);
  commitCopies();
  copyAsync16(right + 8 * lane, a.in + 128 + 4 * (lane % 16), lane < 16);
  commitCopies();
  waitForCopies<0>();
  __syncwarp();
  uint32_t x[4];
  uint32_t y[4];
  loadMatrices(x, left + (lane % 16) * 16 + (lane / 16) * 8);
  loadMatricesTransposed(y, right + 8 * lane);
  float d[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  uint32_t b[2] = {y[0], y[1]};
  if (a.count == 0) {
    multiplyHalf(d, x, b);
  } else {
    multiplyBfloat(d, x, b);
  }
  unsigned row = lane / 4;
  unsigned column = 2 * (lane % 4);
  for (unsigned i = 0; i < 4; ++i) {
    a.out[(row + i / 2 * 8) * 8 + column + i % 2] = __float_as_uint(d[i]);
  }
  a.out[128 + lane] = transposeMatrix(x[0]);
  // Where no copy was valid there are zeros.
  a.out[160 + lane] = y[2] | y[3];
}

// Shuffles and votes of in[lane], full warps and halves of them. out: 10 words a lane.
KERNEL(exchange_lanes, WrapperArguments, 64) {
  unsigned lane = threadIdx.x % 32;
  unsigned x = a.in[threadIdx.x];
  unsigned* out = a.out + 10 * threadIdx.x;
  out[0] = __shfl_sync(0xffffffff, x, 5);
  out[1] = __shfl_xor_sync(0xffffffff, x, 9);
  out[2] = __shfl_down_sync(0xffffffff, x, 3);
  out[3] = __shfl_up_sync(0xffffffff, x, 3);
  out[4] = __ballot_sync(0xffffffff, x & 1);
  out[5] = unsigned(__any_sync(0xffffffff, x == 7));
  out[6] = unsigned(__all_sync(0xffffffff, x < 1000));
  unsigned half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  if (lane < 16) {
    out[7] = __shfl_xor_sync(half, x, 1);
    out[7] += __shfl_xor_sync(half, x, 2);
  } else {
    out[7] = __shfl_xor_sync(half, x, 4);
  }
  out[8] = __ballot_sync(half, x & 2);
  __syncwarp();
  out[9] = __shfl_xor_sync(0xffffffff, x, 1, 8) + __byte_perm(x, lane, 0x5140) + unsigned(__clz(int(x))) +
           unsigned(__ffs(int(x))) + unsigned(__popc(x)) + __umulhi(x, 0x80000000u);
}

// in: count floats; out: 2^x.
KERNEL(powers_of_two, WrapperArguments, 256) {
  int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < a.count) a.out[i] = __float_as_uint(exp2Approximate(__uint_as_float(a.in[i])));
}
