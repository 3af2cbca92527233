// The splits of depth of a tile, and the order in which their sums are added: the sums of a split
// start at zero, and the total is ((s0 + s1) + s2) + ..., whoever adds them where.
#pragma once

#include "matmul_tile.cuh"

// What a kernel does with several splits: blocks side by side, one a split, the last of which adds;
// one block that goes through all, with the total in registers; either of the two, as grid.z says;
// or one block with the total carried in memory, where a tile's sums take all registers.
enum class Splits { sideBySide, either, carried };

// The steps of 64 of depth that this block sums: its split where splits run side by side
// (gridDim.z), else all of them.
struct DepthRange {
  int begin;
  int end;
  int splitSteps;

  DEVICE explicit DepthRange(const MatmulArguments& a) {
    const int steps = a.depth / stepDepth;
    splitSteps = (steps + a.splits - 1) / a.splits;
    begin = blockIdx.z * splitSteps;
    end = gridDim.z == 1 ? steps : min(begin + splitSteps, steps);
  }
};

// Ends a split: its sums go to the total, and the next starts at zero.
template <class T>
DEVICE void foldSplit(Sums<T>& total, Sums<T>& sums, bool first) {
#pragma unroll
  for (int i = 0; i < T::rowFragments; ++i) {
#pragma unroll
    for (int j = 0; j < T::columnFragments; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        total[i][j][e] = first ? sums[i][j][e] : total[i][j][e] + sums[i][j][e];
        sums[i][j][e] = 0;
      }
    }
  }
}

// The same with the total in memory that this block alone uses: [blocks][fragments][threads] of
// four.
template <class T>
DEVICE float4* carriedTotal(const MatmulArguments& a) {
  return reinterpret_cast<float4*>(a.partials) + size_t(blockIdx.x) * T::fragments * T::threads +
         threadIdx.x;
}
template <class T>
DEVICE void addCarried(const float4* total, Sums<T>& sums) {
#pragma unroll
  for (int i = 0; i < T::rowFragments; ++i) {
#pragma unroll
    for (int j = 0; j < T::columnFragments; ++j) {
      float(&s)[4] = sums[i][j];
      const float4 before = total[(i * T::columnFragments + j) * T::threads];
      s[0] = before.x + s[0];
      s[1] = before.y + s[1];
      s[2] = before.z + s[2];
      s[3] = before.w + s[3];
    }
  }
}
template <class T>
DEVICE void carrySplit(float4* total, Sums<T>& sums) {
#pragma unroll
  for (int i = 0; i < T::rowFragments; ++i) {
#pragma unroll
    for (int j = 0; j < T::columnFragments; ++j) {
      float(&s)[4] = sums[i][j];
      total[(i * T::columnFragments + j) * T::threads] = make_float4(s[0], s[1], s[2], s[3]);
#pragma unroll
      for (int e = 0; e < 4; ++e) s[e] = 0;
    }
  }
}

// Sums a tile over the block's range of depth.
template <class Format, class T, bool Pieces, Splits Mode>
DEVICE void sumTile(const MatmulArguments& a, const TilePlace& place, Sums<T>& sums) {
  const DepthRange range(a);
  StageRing<T, Pieces> ring(a, place, range.begin);
#pragma unroll
  for (int ahead = 0; ahead < T::stages - 1; ++ahead) {
    if (range.begin + ahead < range.end) ring.loadNext(ahead);
    commitCopies();
  }
  Sums<T> total;
  int splitEnd = min(range.begin + range.splitSteps, range.end);
  int slot = 0;
  for (int step = range.begin; step < range.end; ++step) {
    waitForCopies<T::stages - 2>();
    // Everybody's copies of this step are there, and nobody reads the slot of the last step any
    // more.
    __syncthreads();
    if (step + T::stages - 1 < range.end) ring.loadNext(slot == 0 ? T::stages - 1 : slot - 1);
    commitCopies();
    multiplyStage<Format, T, Pieces>(sums, ring, slot);
    slot = slot == T::stages - 1 ? 0 : slot + 1;
    if (Mode != Splits::sideBySide && step + 1 == splitEnd) {
      const bool first = splitEnd <= range.begin + range.splitSteps;
      if (Mode == Splits::either) foldSplit<T>(total, sums, first);
      if (Mode == Splits::carried && !first) addCarried<T>(carriedTotal<T>(a), sums);
      if (Mode == Splits::carried && splitEnd < range.end) carrySplit<T>(carriedTotal<T>(a), sums);
      splitEnd = min(splitEnd + range.splitSteps, range.end);
    }
  }
  if (Mode == Splits::either) foldSplit<T>(sums, total, true);
}

// Splits whose sums are read at once: what registers hold.
template <class T>
constexpr int splitsAtOnce = T::threads > 128 ? 1 : T::fragments <= 4 ? 4 : 2;

// Where splits run side by side: leaves this split's sums in `partials`, and in the block that
// comes last for its tile adds all of them in the order of the splits. Returns whether this is that
// block. Partial sums are kept as the threads hold them: [tiles][splits][fragments][threads] of
// four.
template <class T>
DEVICE bool mergeSplits(const MatmulArguments& a, int tile, Sums<T>& sums) {
  constexpr int splitQuads = T::fragments * T::threads;
  float4* tilePartials =
      reinterpret_cast<float4*>(a.partials) + size_t(tile) * a.splits * splitQuads + threadIdx.x;
  float4* own = tilePartials + blockIdx.z * splitQuads;
#pragma unroll
  for (int i = 0; i < T::rowFragments; ++i) {
#pragma unroll
    for (int j = 0; j < T::columnFragments; ++j) {
      const float(&s)[4] = sums[i][j];
      own[(i * T::columnFragments + j) * T::threads] = make_float4(s[0], s[1], s[2], s[3]);
    }
  }
  __syncthreads();
  int* last = reinterpret_cast<int*>(sharedMemory());
  if (threadIdx.x == 0) {
    // Between the barriers, so that they order what all threads of both blocks wrote and will read.
    __threadfence();
    const bool isLast = atomicAdd(a.arrivals + tile, 1) == a.splits - 1;
    __threadfence();
    if (isLast) a.arrivals[tile] = 0;
    *last = isLast;
  }
  __syncthreads();
  if (*last == 0) return false;
#pragma unroll splitsAtOnce<T>
  for (int split = 0; split < a.splits; ++split) {
#pragma unroll
    for (int i = 0; i < T::rowFragments; ++i) {
#pragma unroll
      for (int j = 0; j < T::columnFragments; ++j) {
        float(&s)[4] = sums[i][j];
        const float4 part =
            tilePartials[split * splitQuads + (i * T::columnFragments + j) * T::threads];
        s[0] = split == 0 ? part.x : s[0] + part.x;
        s[1] = split == 0 ? part.y : s[1] + part.y;
        s[2] = split == 0 ? part.z : s[2] + part.z;
        s[3] = split == 0 ? part.w : s[3] + part.w;
      }
    }
  }
  return true;
}
