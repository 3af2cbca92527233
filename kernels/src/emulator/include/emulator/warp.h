// Barriers, votes, shuffles and tensor-core operations of a warp, and asynchronous copies.
#pragma once

#include "meet.h"
#include "numbers.h"
#include "vectors.h"

// ---- barriers ----

inline void __syncthreads(int line = __builtin_LINE(), const char* file = __builtin_FILE()) {
  emulator::blockBarrier(line, file);
}
inline void __syncwarp(unsigned mask = emulator::fullMask, int line = __builtin_LINE()) {
  emulator::meet(emulator::self, mask, emulator::Meeting::warpBarrier, line);
}

namespace emulator {

// ---- votes and shuffles ----

// What `read` makes of the values that the lanes of `mask` gave.
template <class Read>
inline auto exchangeValues(unsigned mask, uint64_t value, Meeting meeting, int line, Read read) {
  Thread* thread = self;
  if (wholeWarp(thread, mask)) {
    Exchange& area = nextExchange(thread);
    area.values[thread->lane] = value;
    meet(thread, mask, meeting, line);
    return read(area.values);
  }
  Exchange& area = thread->warp->partial;
  area.values[thread->lane] = value;
  meet(thread, mask, meeting, line);
  auto result = read(area.values);
  meet(thread, mask, meeting, line);
  return result;
}

template <class T>
inline T shuffle(unsigned mask, T value, unsigned source, int line) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof(T));
  unsigned sources = mask & self->warp->present;
  // From a lane that takes no part comes anything; here, what reading fresh memory gives.
  uint64_t taken = exchangeValues(mask, bits, Meeting::shuffle, line, [=](const uint64_t* values) {
    return sources >> source & 1 ? values[source] : ~uint64_t(0);
  });
  T result;
  memcpy(&result, &taken, sizeof(T));
  return result;
}

inline unsigned ballot(unsigned mask, bool vote, int line) {
  unsigned voters = mask & self->warp->present;
  return exchangeValues(mask, vote, Meeting::vote, line, [=](const uint64_t* values) {
    unsigned result = 0;
    for (unsigned lane = 0; lane < warpLanes; ++lane) result |= unsigned(values[lane] & 1) << lane;
    return result & voters;
  });
}

}  // namespace emulator

template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32,
                     int line = __builtin_LINE()) {
  unsigned lane = emulator::self->lane;
  unsigned first = lane & ~unsigned(width - 1);
  return emulator::shuffle(mask, value, first | (unsigned(source) & unsigned(width - 1)), line);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int distance, int width = 32,
                         int line = __builtin_LINE()) {
  unsigned lane = emulator::self->lane;
  unsigned source = lane ^ unsigned(distance);
  // A source in a later part of the warp is none; in an earlier one it is allowed.
  unsigned end = (lane & ~unsigned(width - 1)) + unsigned(width);
  return emulator::shuffle(mask, value, source < end ? source : lane, line);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32,
                          int line = __builtin_LINE()) {
  unsigned lane = emulator::self->lane;
  unsigned end = (lane & ~unsigned(width - 1)) + unsigned(width);
  return emulator::shuffle(mask, value, lane + distance < end ? lane + distance : lane, line);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32,
                        int line = __builtin_LINE()) {
  unsigned lane = emulator::self->lane;
  unsigned first = lane & ~unsigned(width - 1);
  return emulator::shuffle(mask, value, lane >= first + distance ? lane - distance : lane, line);
}
inline unsigned __ballot_sync(unsigned mask, int vote, int line = __builtin_LINE()) {
  return emulator::ballot(mask, vote != 0, line);
}
inline int __any_sync(unsigned mask, int vote, int line = __builtin_LINE()) {
  return emulator::ballot(mask, vote != 0, line) != 0;
}
inline int __all_sync(unsigned mask, int vote, int line = __builtin_LINE()) {
  return emulator::ballot(mask, vote == 0, line) == 0;
}

namespace emulator {

// ---- tensor cores: the lane that comes last computes for the whole warp ----

typedef float Row __attribute__((vector_size(32)));
typedef uint16_t Numbers __attribute__((vector_size(16)));
typedef uint32_t Words __attribute__((vector_size(32)));

struct HalfNumbers {
  static Row row(Numbers numbers) {
#if defined(__F16C__)
    return Row(_mm256_cvtph_ps(__m128i(numbers)));
#else
    Row row;
    for (int i = 0; i < 8; ++i) row[i] = floatFromHalf(numbers[i]);
    return row;
#endif
  }
};
struct BfloatNumbers {
  static Row row(Numbers numbers) { return Row(__builtin_convertvector(numbers, Words) << 16); }
};

inline Numbers loadNumbers(const uint32_t* pairs) {
  Numbers numbers;
  memcpy(&numbers, pairs, sizeof(numbers));
  return numbers;
}

// An 8x8 matrix, by interleaving the upper with the lower half of its rows three times.
inline void transposeMatrix8(Numbers (&rows)[8]) {
  const Numbers low = {0, 8, 1, 9, 2, 10, 3, 11};
  const Numbers high = {4, 12, 5, 13, 6, 14, 7, 15};
  for (int round = 0; round < 3; ++round) {
    Numbers mixed[8];
    for (int i = 0; i < 4; ++i) {
      mixed[2 * i] = __builtin_shuffle(rows[i], rows[i + 4], low);
      mixed[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + 4], high);
    }
    for (int i = 0; i < 8; ++i) rows[i] = mixed[i];
  }
}

// A register of all lanes, as the 8x8 matrix that it holds by rows, four pairs a row.
inline void transposeRegister(uint32_t (&matrix)[warpLanes]) {
  Numbers rows[8];
  memcpy(rows, matrix, sizeof(rows));
  transposeMatrix8(rows);
  memcpy(matrix, rows, sizeof(rows));
}

// The product of two 16-bit numbers is a float exactly, so that it does not matter where it is fused.
inline Row multiplyAdd(float x, Row y, Row z) {
#if defined(__FMA__)
  return Row(_mm256_fmadd_ps(_mm256_set1_ps(x), __m256(y), __m256(z)));
#else
  return z + x * y;
#endif
}

// d += a · b over the fragments in `area`; a's registers hold 8x8 matrices by rows, b's by columns.
template <class Format>
__attribute__((noinline)) void multiplyFragments(Exchange& area) {
  Row b[16];
  for (int half = 0; half < 2; ++half) {
    Numbers rows[8];
    memcpy(rows, area.b[half], sizeof(rows));
    transposeMatrix8(rows);
    for (int k = 0; k < 8; ++k) b[8 * half + k] = Format::row(rows[k]);
  }
  for (int upper = 0; upper < 2; ++upper) {
    for (int row = 0; row < 8; ++row) {
      float a[16];
      Row left = Format::row(loadNumbers(&area.a[upper][4 * row]));
      Row right = Format::row(loadNumbers(&area.a[upper + 2][4 * row]));
      memcpy(a, &left, sizeof(left));
      memcpy(a + 8, &right, sizeof(right));
      Row sum;
      memcpy(&sum, &area.d[upper][8 * row], sizeof(sum));
#pragma GCC unroll 16
      for (int k = 0; k < 16; ++k) sum = multiplyAdd(a[k], b[k], sum);
      memcpy(&area.d[upper][8 * row], &sum, sizeof(sum));
    }
  }
}

template <class Format>
inline void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], int line) {
  Thread* thread = self;
  Exchange& area = nextExchange(thread);
  unsigned lane = thread->lane;
  for (int i = 0; i < 4; ++i) area.a[i][lane] = a[i];
  for (int i = 0; i < 2; ++i) area.b[i][lane] = b[i];
  for (int i = 0; i < 4; ++i) area.d[i / 2][2 * lane + i % 2] = d[i];
  if (arrive(thread, fullMask, Meeting::multiply, line)) {
    if (thread->warp->present != fullMask) {
      fail(errorLaunchFailed, "a matrix product in part of a warp");
    }
    multiplyFragments<Format>(area);
    release(thread->warp, fullMask);
  } else {
    park(thread);
  }
  for (int i = 0; i < 4; ++i) d[i] = area.d[i / 2][2 * lane + i % 2];
}

inline void checkShared(const void* address, const char* what) {
  const Block* block = self->block;
  auto* byte = static_cast<const unsigned char*>(address);
  if (reinterpret_cast<uintptr_t>(byte) % 16 != 0) fail(errorMisalignedAddress, what);
  if (byte < block->shared || byte + 16 > block->shared + block->sharedBytes) {
    fail(errorIllegalAddress, what);
  }
}

inline void checkAligned16(const void* address, const char* what) {
  if (reinterpret_cast<uintptr_t>(address) % 16 != 0) fail(errorMisalignedAddress, what);
}

// The 16 bytes at the address of lane l become r[l / 8] of lanes 4(l % 8) to 4(l % 8) + 3.
__attribute__((noinline)) inline void loadRows(Exchange& area) {
  for (unsigned lane = 0; lane < warpLanes; ++lane) {
    memcpy(&area.a[lane / 8][4 * (lane % 8)], reinterpret_cast<const void*>(area.values[lane]), 16);
  }
}

template <bool Transposed>
inline void loadFragments(uint32_t (&r)[4], const void* row, int line) {
  Thread* thread = self;
  checkShared(row, "loads matrices from an address outside shared memory or not 16-byte aligned");
  Exchange& area = nextExchange(thread);
  unsigned lane = thread->lane;
  area.values[lane] = reinterpret_cast<uintptr_t>(row);
  if (arrive(thread, fullMask, Meeting::loadMatrices, line)) {
    if (thread->warp->present != fullMask) {
      fail(errorLaunchFailed, "loads matrices in part of a warp");
    }
    loadRows(area);
    if (Transposed) {
      for (auto& matrix : area.a) transposeRegister(matrix);
    }
    release(thread->warp, fullMask);
  } else {
    park(thread);
  }
  for (int i = 0; i < 4; ++i) r[i] = area.a[i][lane];
}

// ---- asynchronous copies ----

// What the target holds until the copy is waited for: whoever reads too early reads NaN.
inline void askForCopy(void* shared, const void* global) {
  checkShared(shared, "copies to an address outside shared memory or not 16-byte aligned");
  CopyQueue* queue = self->copies;
  if (queue->last - queue->first == copyCapacity) {
    fail(errorLaunchFailed, "too many asynchronous copies under way");
  }
  memset(shared, 0xff, 16);
  PendingCopy& copy = queue->entries[queue->last++ % copyCapacity];
  copy.to = static_cast<unsigned char*>(shared);
  copy.from = static_cast<const unsigned char*>(global);
  copy.group = queue->openGroup;
}

__attribute__((noinline)) inline void finishCopies(unsigned pendingGroups) {
  CopyQueue* queue = self->copies;
  while (queue->first != queue->last) {
    const PendingCopy& copy = queue->entries[queue->first % copyCapacity];
    if (copy.group + pendingGroups >= queue->openGroup) break;
    if (copy.from) {
      memcpy(copy.to, copy.from, 16);
    } else {
      memset(copy.to, 0, 16);
    }
    ++queue->first;
  }
}

}  // namespace emulator

inline void multiplyHalf(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                         int line = __builtin_LINE()) {
  emulator::multiply<emulator::HalfNumbers>(d, a, b, line);
}
inline void multiplyBfloat(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                           int line = __builtin_LINE()) {
  emulator::multiply<emulator::BfloatNumbers>(d, a, b, line);
}
inline void loadMatrices(uint32_t (&r)[4], const void* row, int line = __builtin_LINE()) {
  emulator::loadFragments<false>(r, row, line);
}
inline void loadMatricesTransposed(uint32_t (&r)[4], const void* row, int line = __builtin_LINE()) {
  emulator::loadFragments<true>(r, row, line);
}
inline uint32_t transposeMatrix(uint32_t x, int line = __builtin_LINE()) {
  using namespace emulator;
  Thread* thread = self;
  Exchange& area = nextExchange(thread);
  area.a[0][thread->lane] = x;
  if (arrive(thread, fullMask, Meeting::transposeMatrix, line)) {
    if (thread->warp->present != fullMask) fail(errorLaunchFailed, "transposes in part of a warp");
    transposeRegister(area.a[0]);
    release(thread->warp, fullMask);
  } else {
    park(thread);
  }
  return area.a[0][thread->lane];
}

inline void copyAsync16(void* shared, const void* global) {
  emulator::checkAligned16(global, "copies from an address that is not 16-byte aligned");
  emulator::askForCopy(shared, global);
}
inline void copyAsync16(void* shared, const void* global, bool valid) {
  emulator::checkAligned16(global, "copies from an address that is not 16-byte aligned");
  emulator::askForCopy(shared, valid ? global : nullptr);
}
inline void commitCopies() { ++emulator::self->copies->openGroup; }
template <int Pending>
inline void waitForCopies() {
  emulator::finishCopies(Pending);
}

inline uint4 loadStreaming16(const void* global) {
  emulator::checkAligned16(global, "loads from an address that is not 16-byte aligned");
  uint4 v;
  memcpy(&v, global, 16);
  return v;
}
