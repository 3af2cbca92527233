// Prefill attention's operands: the queries of a block in registers, and the copies of K and V into
// shared memory. prefill_attention.cu tells the whole story.
#pragma once

#include "device.cuh"

namespace {

constexpr int threads = 128;
constexpr int warpLanes = 32;
constexpr int queryTile = 64;
constexpr int warpRows = 16;
constexpr int copyNumbers = 8;  // in 16 bytes
constexpr float largestHalf = 65504.0f;

// Queries are multiplied by a power of 2 before they become float16, and scores divided by it, to keep
// their low bits out of float16's subnormal range.
constexpr float queryLift = 16.0f;

template <int Depth, int Pieces>
struct Shape {
  static constexpr int depth = Depth;
  static constexpr int pieces = Pieces;
  static constexpr int depthSteps = Depth / 16;
  static constexpr int keyTile = Depth * Pieces > 384 ? 32 : 64;
  // Rows an odd number of 16-byte units apart: eight rows of a matrix then lie in different banks.
  static constexpr int stride = Depth + copyNumbers;
  static constexpr bool queryInRegisters = Depth <= 128 && Pieces == 1;
  static constexpr int tileBytes = keyTile * stride * 2;
  static constexpr int queryBytes = queryInRegisters ? 0 : Pieces * queryTile * Depth * 2;
  static_assert(2 * tileBytes + queryBytes <= 99 * 1024, "more shared memory than every card has");
};

// Two numbers as float16 in one register, saturated so that no finite query becomes an infinity.
DEVICE uint32_t saturatedHalf2(float low, float high) {
  low = low > largestHalf ? largestHalf : low < -largestHalf ? -largestHalf : low;
  high = high > largestHalf ? largestHalf : high < -largestHalf ? -largestHalf : high;
  return half2FromFloats(low, high);
}

// The block's queries and what they may see. Positions count from the sequence's start.
struct QueryTile {
  const PrefillAttentionArguments& a;
  int head;
  int kvHead;
  int firstRow;  // of the sequence
  int length;
  int start;  // position of the tile's first query

  DEVICE explicit QueryTile(const PrefillAttentionArguments& arguments) : a(arguments) {
    int tile = int(blockIdx.x);
    int sequence = a.tileSequence[tile];
    head = int(blockIdx.y);
    kvHead = head / (a.queryHeads / a.kvHeads);
    firstRow = a.firstRow[sequence];
    length = a.length[sequence];
    start = a.tileStart[tile];
  }

  DEVICE int firstVisible(int position) const {
    return a.slidingWindow > 0 ? max(0, position + 1 - a.slidingWindow) : 0;
  }
  DEVICE int lastPosition() const { return min(start + queryTile, length) - 1; }
  // Rows of K and V, and of queries and out.
  DEVICE size_t keyRow(int position) const { return size_t(firstRow + position); }
  DEVICE size_t queryRow(int position) const { return size_t(firstRow - a.firstQueryRow + position); }
};

// A lane's place in the warp's matrices: rows `row` and row + 8, columns `column` and the next of each
// eight.
struct Lane {
  int index = int(threadIdx.x) % warpLanes;
  int row = index / 4;
  int column = index % 4 * 2;
};

// Q of the warp's 16 rows as operands of the products with K, in registers where there is room, else in
// shared memory, where each lane stores what it alone reads.
template <class S>
struct Query {
  uint32_t kept[S::queryInRegisters ? S::depthSteps : 1][4];
  uint4* stored;  // [pieces][depthSteps] from here, a block's threads apart

  DEVICE Query(const QueryTile& tile, const Lane& lane, int warpStart, unsigned char* shared) {
    stored = reinterpret_cast<uint4*>(shared) + threadIdx.x;
#pragma unroll
    for (int step = 0; step < S::depthSteps; step++) {
      uint32_t rounded[4];
      uint32_t rest[4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int position = warpStart + lane.row + i % 2 * 8;
        int column = step * 16 + i / 2 * 8 + lane.column;
        float2 x = make_float2(0, 0);
        if (position < tile.length && column < tile.a.headDim) {
          size_t row = tile.queryRow(position) * tile.a.queryHeads + tile.head;
          x = *reinterpret_cast<const float2*>(tile.a.query + row * tile.a.headDim + column);
        }
        float low = x.x * queryLift;
        float high = x.y * queryLift;
        rounded[i] = saturatedHalf2(low, high);
        rest[i] = saturatedHalf2(low - floatFromHalf(uint16_t(rounded[i])),
                                 high - floatFromHalf(uint16_t(rounded[i] >> 16)));
        if constexpr (S::queryInRegisters) {
          kept[step][i] = rounded[i];
        }
      }
      if constexpr (!S::queryInRegisters) {
        stored[step * threads] = make_uint4(rounded[0], rounded[1], rounded[2], rounded[3]);
      }
      if constexpr (S::pieces == 2) {
        stored[(S::depthSteps + step) * threads] = make_uint4(rest[0], rest[1], rest[2], rest[3]);
      }
    }
  }

  DEVICE void operand(uint32_t (&q)[4], int piece, int step) const {
    if constexpr (S::queryInRegisters) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        q[i] = kept[step][i];
      }
    } else {
      uint4 x = stored[(piece * S::depthSteps + step) * threads];
      q[0] = x.x;
      q[1] = x.y;
      q[2] = x.z;
      q[3] = x.w;
    }
  }
};

// Starts the copy of tokens [start, start + keyTile) of a K/V head; beyond the sequence and beyond
// headDim the tile becomes 0.
template <class S>
DEVICE void copyTile(uint16_t* shared, const uint16_t* source, const QueryTile& tile, int start) {
  int headDim = tile.a.headDim;
  size_t stride = size_t(tile.a.kvHeads) * headDim;
  const uint16_t* head = source + tile.keyRow(start) * stride + size_t(tile.kvHead) * headDim;
  int rows = tile.length - start;
  if (headDim % copyNumbers == 0) {
    // Neighbouring threads copy up to 128 bytes of a row, whole cache lines where rows are aligned.
    constexpr int rowThreads = S::depth % 64 == 0 ? 8 : 4;
    constexpr int passRows = threads / rowThreads;
    int firstRow = int(threadIdx.x) / rowThreads;
    int firstColumn = int(threadIdx.x) % rowThreads * copyNumbers;
    const uint16_t* from = head + firstRow * stride + firstColumn;
    uint16_t* to = shared + firstRow * S::stride + firstColumn;
#pragma unroll
    for (int row = 0; row < S::keyTile; row += passRows) {
#pragma unroll
      for (int column = 0; column < S::depth; column += rowThreads * copyNumbers) {
        bool valid = firstRow + row < rows && firstColumn + column < headDim;
        copyAsync16(to + row * S::stride + column, valid ? from + column : source, valid);
      }
      from += passRows * stride;
    }
  } else {
    constexpr int rowPairs = S::depth / 2;
    for (int pair = int(threadIdx.x); pair < S::keyTile * rowPairs; pair += threads) {
      int row = pair / rowPairs;
      int column = pair % rowPairs * 2;
      bool valid = row < rows && column < headDim;
      *reinterpret_cast<uint32_t*>(shared + row * S::stride + column) =
          valid ? *reinterpret_cast<const uint32_t*>(head + row * stride + column) : 0;
    }
  }
  commitCopies();
}

}  // namespace
