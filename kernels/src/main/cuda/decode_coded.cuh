// Decode attention over KIVI's codes. A warp takes a tile of 4 words of V: 64 tokens at 2 bits, 32 at
// 4. Tiles travel by asynchronous copies into one of two stages of the warp's own shared memory, one
// tile ahead; large heads leave room for one stage, and the next tile then waits for this one.
//
// Tokens are the 16 rows of a matrix product and query heads its 8 columns for q·K; channels are the
// rows for p·V. Which numbers the 16 places of the inner sum hold is free, so each lane of a quad
// takes whole words: in q·K lane t the word row 4i + t of a token (P neighbouring channels), in p·V
// word t of a channel (P neighbouring tokens), P = 32 / bits. Codes become float16 without arithmetic:
// masked out of the word they lie in the fraction of a subnormal number (which tensor cores take at
// their value: Fasi et al., Numerical behavior of NVIDIA tensor cores, PeerJ CS 7:e330), the code times
// a power of two for its place, which the other operand takes back. Codes i and i + P/2 of a word, 16
// bits apart, make one register: at 2 bits 8 masks and 3 shifts give 16 operands, less than one
// instruction each.
//
// Scales never touch codes (a K group's goes into the query, a V token's into the probability), zeros
// become products of their own: β of 16 channels and two groups, zero sums of 16 groups and 16 tokens,
// each one product. So a tile of 64 tokens and 128 channels at 2 bits takes about 850 instructions a
// warp, 13 a token, where memory at full speed allows 29 on an H100 (13.4 bytes a clock a processor,
// 96 bytes a token, 4 instructions a clock).
//
// Lanes of a quad read words of 4 rows: the order of 16-byte chunks changes with the row, so that they
// lie in different banks.
#pragma once

#include "decode_exact.cuh"

constexpr int chunkBytes = 16;
constexpr int mostSharedBytes = 99 << 10;  // of a block, on every card from sm_80 on

template <int Bits>
struct Codes {
  static constexpr int perWord = 32 / Bits;
  static constexpr int pairs = perWord / 2;
  static constexpr int perShift = Bits == 2 ? 3 : 2;  // neighbours side by side in the fraction
  // Products are aligned by their exponents before they are added, and all subnormal numbers have
  // one: codes stand as high in the fraction as they can, or low bits of the sum would be lost.
  static constexpr int lowestBit = 10 - perShift * Bits;
  static constexpr int exponent = 24 - lowestBit;  // the first of neighbours is code · 2^−exponent

  // pair[i]: codes i and i + pairs.
  static DEVICE void unpack(uint32_t word, uint32_t (&pair)[pairs]) {
    constexpr uint32_t mask = (Bits == 2 ? 0x00030003u : 0x000f000fu) << lowestBit;
#pragma unroll
    for (int i = 0; i < pairs; i++) {
      int right = i / perShift * perShift * Bits - lowestBit;
      uint32_t moved = right < 0 ? word << -right : word >> right;
      pair[i] = moved & (mask << (i % perShift * Bits));
    }
  }

  // What the other operand of pair i takes back.
  static DEVICE float shrink(int i) { return 1.0f / float(1 << (i % perShift * Bits)); }
  static DEVICE uint32_t shrinkPair(int i) {
    uint32_t half = uint32_t(15 - i % perShift * Bits) << 10;
    return half | half << 16;
  }
};

// P neighbouring float16 numbers in pairs (i, i + P/2); `upper` begins the second half of 16.
template <int Pairs>
DEVICE void loadPairs(const unsigned char* lower, const unsigned char* upper,
                      uint32_t (&pair)[Pairs]) {
  uint4 x = *reinterpret_cast<const uint4*>(lower);
  if (Pairs == 8) {
    uint4 y = *reinterpret_cast<const uint4*>(upper);
    uint32_t low[4] = {x.x, x.y, x.z, x.w};
    uint32_t high[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
    for (int i = 0; i < Pairs; i++) {
      pair[i] = i % 2 == 0 ? lowHalves(low[i / 2 % 4], high[i / 2 % 4])
                           : highHalves(low[i / 2 % 4], high[i / 2 % 4]);
    }
  } else {
    uint32_t all[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
    for (int i = 0; i < Pairs; i++) {
      pair[i] = i % 2 == 0 ? lowHalves(all[i / 2 % 2], all[i / 2 % 2 + 2])
                           : highHalves(all[i / 2 % 2], all[i / 2 % 2 + 2]);
    }
  }
}

// Where the parts of a tile lie in a stage.
struct StageLayout {
  int keyScales;    // [groups of the tile][scale, zero][headDim] half
  int valueCodes;   // [4][headDim, rounded up to 32] words
  int valueScales;  // [scale, zero][value groups] rows of a half a token and 16 bytes
  int bytes;
  int otherBytes;  // the second stage, or, where that does not fit, an area for 16 rows of V

  DEVICE int valueRowBytes(int tileTokens) const { return tileTokens * halfBytes + chunkBytes; }
};

DEVICE int valueCodeRow(int headDim) { return (headDim + 31) / 32 * 32; }

// Groups of K that a tile can touch: tiles begin at multiples of 16 tokens.
DEVICE int tileGroups(int tileTokens, int group) {
  if (tileTokens % group == 0) {
    return tileTokens / group;
  }
  return group % tileTokens == 0 ? 1 : (tileTokens + group - tokenTile + group - 1) / group;
}

// `shared` bytes of the block are taken before the warps' parts.
DEVICE StageLayout stageLayout(const CacheView& cache, int pieces, int shared) {
  int tileTokens = 4 * codesPerWord(cache.valueBits);
  int span = 4 * codesPerWord(cache.keyBits);
  int keyCodes = (cache.headDim + span - 1) / span * 4 * tileTokens * 4;
  StageLayout stage;
  // Probabilities take the place of K's codes once these are used.
  stage.keyScales = max(keyCodes, pieces * tileTokens * blockHeads * halfBytes);
  stage.valueCodes = stage.keyScales + tileGroups(tileTokens, cache.group) * 4 * cache.headDim;
  stage.valueScales = stage.valueCodes + 4 * valueCodeRow(cache.headDim) * 4;
  int valueGroups = (cache.headDim + cache.group - 1) / cache.group;
  int bytes = stage.valueScales + 2 * valueGroups * stage.valueRowBytes(tileTokens);
  stage.bytes = max(bytes, valueAreaBytes(cache.headDim));
  bool fits = shared + decodeWarps * 2 * stage.bytes <= mostSharedBytes;
  stage.otherBytes = fits ? stage.bytes : valueAreaBytes(cache.headDim);
  return stage;
}

// The query in the order of codes: for span i (4 word rows) and pair p the lane's channels
// P(4i + t) + p and + P/2. One piece: float16 pairs [span][pair / 4][lane][pair % 4]; two: float pairs
// [span][pair][lane], split into pieces once the scales are in.
template <int Bits>
DEVICE void fillCoded(const DecodeAttentionArguments& a, const DecodeSplit& split,
                      const QueryFragments& fragments) {
  using Key = Codes<Bits>;
  const float* query = splitQuery(a, split);
  int headDim = a.cache.headDim;
  int spans = (headDim + 4 * Key::perWord - 1) / (4 * Key::perWord);
  int count = spans * Key::pairs * 32;
  for (int i = int(threadIdx.x); i < count; i += decodeThreads) {
    int lane = i % 32;
    int pair = i / 32 % Key::pairs;
    int span = i / 32 / Key::pairs;
    int head = lane / 4;
    int channel = (span * 4 + lane % 4) * Key::perWord + pair;
    float shrink = Key::shrink(pair) / fragments.factors[head];
    const float* from = query + head * headDim + channel;
    bool present = head < split.heads;
    float low = present && channel < headDim ? from[0] * shrink : 0.0f;
    float high = present && channel + Key::pairs < headDim ? from[Key::pairs] * shrink : 0.0f;
    if (a.pieces == 1) {
      int at = ((span * (Key::pairs / 4) + pair / 4) * 32 + lane) * 4 + pair % 4;
      reinterpret_cast<uint32_t*>(fragments.coded)[at] = half2FromFloats(low, high);
    } else {
      reinterpret_cast<float2*>(fragments.coded)[i] = make_float2(low, high);
    }
  }
}

template <int Bits>
DEVICE int codedQueryBytes(int headDim, int pieces) {
  int spans = (headDim + 4 * Codes<Bits>::perWord - 1) / (4 * Codes<Bits>::perWord);
  return spans * Codes<Bits>::pairs * 32 * 4 * pieces;
}

// The largest of `chunks` times 8 float16 numbers ≥ 0 in rows, over the whole warp: e, where the
// number is below 2^e.
DEVICE int largestExponent(const unsigned char* rows, int rowBytes, int chunksPerRow, int count) {
  uint32_t high = 0;
  uint32_t low = 0;
  for (int i = int(threadIdx.x) % 32; i < count; i += 32) {
    int row = i / chunksPerRow;
    const unsigned char* from = rows + row * rowBytes + (i - row * chunksPerRow) * chunkBytes;
    uint4 x = *reinterpret_cast<const uint4*>(from);
    high = max(max(high, max(x.x, x.y)), max(x.z, x.w));
    low = max(max(low, max(x.x << 16, x.y << 16)), max(x.z << 16, x.w << 16));
  }
  high = max(high, low);
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    high = max(high, __shfl_xor_sync(allLanes, high, distance));
  }
  return int(high >> 26) - 14;
}
