// Moves whole blocks of memory by index (pages and windows of the cache, between slots or to and from
// a staging area) and sets single entries of tables. Bound by memory: every byte is read and written
// once, 16 bytes a thread where both sides allow it.
#include "device.cuh"

// Bytes of a block of threads; Java's CopyKernels says the same.
constexpr int chunkBytes = 4096;

KERNEL(copy_blocks, CopyBlocksArguments, 256) {
  int block = blockIdx.y;
  long long sourceBlock = a.sourceIndex == nullptr ? block : a.sourceIndex[block];
  long long targetBlock = a.targetIndex == nullptr ? block : a.targetIndex[block];
  const unsigned char* source = a.source + sourceBlock * a.bytes;
  unsigned char* target = a.target + targetBlock * a.bytes;
  long long begin = (long long)blockIdx.x * chunkBytes;
  long long end = begin + chunkBytes < a.bytes ? begin + chunkBytes : a.bytes;
  bool aligned =
      (reinterpret_cast<uintptr_t>(source) | reinterpret_cast<uintptr_t>(target)) % 16 == 0;
  long long wide = aligned ? end - (end - begin) % 16 : begin;
  for (long long at = begin + 16 * threadIdx.x; at < wide; at += 16 * blockDim.x) {
    *reinterpret_cast<uint4*>(target + at) = *reinterpret_cast<const uint4*>(source + at);
  }
  for (long long at = wide + 4 * threadIdx.x; at < end; at += 4 * blockDim.x) {
    *reinterpret_cast<uint32_t*>(target + at) = *reinterpret_cast<const uint32_t*>(source + at);
  }
}

KERNEL(scatter_ints, ScatterArguments, 256) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < a.count) {
    a.table[a.indices[i]] = a.values[i];
  }
}
