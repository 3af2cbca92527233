// Prefill attention's operands: the queries of a block in registers, and the copies of K and V into
// shared memory. prefill_attention.cu tells the whole story.
#pragma once

#include "prompt_view.cuh"

namespace {

constexpr int threads = 128;
constexpr int warpLanes = 32;
constexpr int queryTile = 64;
constexpr int warpRows = 16;
constexpr int copyNumbers = 8;  // in 16 bytes

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
  int start;  // position of the tile's first query
  PromptTokens tokens;

  DEVICE explicit QueryTile(const PrefillAttentionArguments& arguments)
      : a(arguments),
        head(int(blockIdx.y)),
        start(a.tileStart[blockIdx.x]),
        tokens(a.prompts, a.tileSequence[blockIdx.x], head / (a.queryHeads / a.kvHeads), a.kvHeads,
               a.headDim) {}

  DEVICE int length() const { return tokens.length; }
  DEVICE int firstVisible(int position) const {
    return a.slidingWindow > 0 ? max(0, position + 1 - a.slidingWindow) : 0;
  }
  DEVICE int lastPosition() const { return min(start + queryTile, length()) - 1; }
  // Rows of queries and out.
  DEVICE size_t queryRow(int position) const {
    return size_t(tokens.firstRow - a.firstQueryRow + position);
  }
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
        if (position < tile.length() && column < tile.a.headDim) {
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

enum class Part { key, value };

// Tokens of a tile of which the first are in pages. K in tiles of 16 tokens is turned on its way, which
// takes a thread's time; all else is copied beside it.
template <class S, Part part>
DEVICE void copyKeptTile(uint16_t* shared, const QueryTile& tile, int start) {
  const PromptTokens& tokens = tile.tokens;
  int headDim = tokens.headDim;
  bool inTiles = part == Part::key && tokens.view.keptInTiles != 0;
  constexpr int rowThreads = S::depth % 64 == 0 ? 8 : 4;
  int firstColumn = int(threadIdx.x) % rowThreads * copyNumbers;
  for (int row = int(threadIdx.x) / rowThreads; row < S::keyTile; row += threads / rowThreads) {
    int position = start + row;
    if (inTiles && position < tokens.earlier) {
      continue;
    }
    bool isToken = position < tokens.length;
    const uint16_t* from = tokens.view.keys;
    if (isToken) {
      from = part == Part::key ? tokens.key(position) : tokens.value(position);
    }
#pragma unroll
    for (int column = 0; column < S::depth; column += rowThreads * copyNumbers) {
      bool valid = isToken && firstColumn + column < headDim;
      copyAsync16(shared + row * S::stride + firstColumn + column,
                  valid ? from + firstColumn + column : tokens.view.keys, valid);
    }
  }
  if (!inTiles) {
    return;
  }
  constexpr int pairs = S::depth / 2;
  for (int task = int(threadIdx.x); task < S::keyTile / 8 * pairs; task += threads) {
    int channel = task % pairs * 2;
    int row = task / pairs * 8;
    int position = start + row;
    if (position >= tokens.earlier) {
      continue;
    }
    uint4 even = make_uint4(0, 0, 0, 0);
    uint4 odd = even;
    if (channel < headDim) {
      int place = position % keptTokens;
      int at = ((place / tokenTile * headDim + channel) * tokenTile + place % tokenTile) * halfBytes;
      const uint4* from = reinterpret_cast<const uint4*>(tokens.page(position) + at);
      even = from[0];
      odd = from[tokenTile / 8];
    }
    uint32_t evens[4] = {even.x, even.y, even.z, even.w};
    uint32_t odds[4] = {odd.x, odd.y, odd.z, odd.w};
#pragma unroll
    for (int i = 0; i < 8; i++) {
      if (position + i < tokens.earlier) {
        uint32_t low = evens[i / 2] >> (i % 2 * 16) & 0xffffu;
        uint32_t high = odds[i / 2] >> (i % 2 * 16) << 16;
        *reinterpret_cast<uint32_t*>(shared + (row + i) * S::stride + channel) = low | high;
      }
    }
  }
}

// Tokens of the step, rows apart.
template <class S>
DEVICE void copyRows(uint16_t* shared, const uint16_t* source, const QueryTile& tile, int start) {
  int headDim = tile.a.headDim;
  size_t stride = size_t(tile.a.kvHeads) * headDim;
  const uint16_t* head = source + tile.tokens.rowOffset(start);
  int rows = tile.length() - start;
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
}

// Starts the copy of tokens [start, start + keyTile) of a K/V head; beyond the sequence and beyond
// headDim the tile becomes 0.
template <class S, Part part>
DEVICE void copyTile(uint16_t* shared, const QueryTile& tile, int start) {
  if (start < tile.tokens.earlier) {
    copyKeptTile<S, part>(shared, tile, start);
  } else {
    const PromptView& prompts = tile.a.prompts;
    copyRows<S>(shared, part == Part::key ? prompts.keys : prompts.values, tile, start);
  }
  commitCopies();
}

}  // namespace
