// Kernels that do what kernels must not do, one mistake each, and a few that do it right: they prove
// that the emulated device notices. Never run on a card.
#include "device.cuh"

struct OffenderArguments {
  float* out;
  const float* in;
  long long count;
  int place;
  int repeats;
};

// out[i] = in[i] for i < count: in order where count is that of the buffers, an overrun where it is not.
KERNEL(copy_numbers, OffenderArguments, 256) {
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < a.count) a.out[i] = a.in[i];
}

// Writes one number at `place`, which may be anywhere.
KERNEL(write_at, OffenderArguments, 32) {
  if (threadIdx.x == 0) a.out[a.place] = 1.0f;
}

// Adds 1 to every number, `repeats` times.
KERNEL(add_one, OffenderArguments, 256) {
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= a.count) return;
  for (int round = 0; round < a.repeats; ++round) a.out[i] += 1.0f;
}

// Half of the threads skip the barrier.
KERNEL(skip_barrier, OffenderArguments, 64) {
  if (threadIdx.x < 32) __syncthreads();
  a.out[threadIdx.x] = 0.0f;
}

// The threads wait at two different barriers.
KERNEL(part_at_barriers, OffenderArguments, 64) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  a.out[threadIdx.x] = 0.0f;
}

// A lane returns before the others shuffle.
KERNEL(leave_shuffle, OffenderArguments, 32) {
  if (threadIdx.x == 7) return;
  a.out[threadIdx.x] = __shfl_xor_sync(0xffffffff, a.in[threadIdx.x], 1);
}

// Reads shared memory that nobody has written.
KERNEL(read_fresh_shared, OffenderArguments, 32) {
  auto* numbers = reinterpret_cast<float*>(sharedMemory());
  a.out[threadIdx.x] = numbers[threadIdx.x];
}

// Writes the number at `place` of shared memory.
KERNEL(write_shared_at, OffenderArguments, 32) {
  auto* numbers = reinterpret_cast<float*>(sharedMemory());
  if (threadIdx.x == 0) numbers[a.place] = 1.0f;
}

// Reverses a block's numbers through shared memory without waiting for the writers.
KERNEL(forget_barrier, OffenderArguments, 256) {
  auto* numbers = reinterpret_cast<float*>(sharedMemory());
  numbers[threadIdx.x] = a.in[threadIdx.x];
  a.out[threadIdx.x] = numbers[blockDim.x - 1 - threadIdx.x];
}

// Reads what it copies before it waits (place 0) or after (else).
KERNEL(read_copy, OffenderArguments, 32) {
  auto* numbers = reinterpret_cast<float*>(sharedMemory());
  copyAsync16(numbers + 4 * threadIdx.x, a.in + 4 * threadIdx.x);
  commitCopies();
  if (a.place != 0) waitForCopies<0>();
  a.out[threadIdx.x] = numbers[4 * threadIdx.x];
}

// Reads four numbers at once from any place.
KERNEL(load_four_at, OffenderArguments, 32) {
  float4 numbers = *reinterpret_cast<const float4*>(a.in + a.place);
  a.out[threadIdx.x] = numbers.x + numbers.y + numbers.z + numbers.w;
}

// Runs until it is stopped.
KERNEL(never_end, OffenderArguments, 32) {
  while (*const_cast<const volatile float*>(a.in) != 1.0f) {
  }
  a.out[threadIdx.x] = 1.0f;
}
