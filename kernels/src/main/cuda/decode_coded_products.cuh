// The two products of a coded tile in a stage of shared memory: q·K and p·V. See decode_coded.cuh.
#pragma once

#include "decode_coded.cuh"

// Groups of K that the tile's runs of 16 tokens belong to, counted from the tile's first.
template <int Tiles>
struct TileGroups {
  int of[Tiles];
  int count;  // up to the last valid token

  DEVICE TileGroups(int first, int tokens, int group) {
    int place = first % group;
    int current = 0;
    count = 1;
#pragma unroll
    for (int i = 0; i < Tiles; i++) {
      of[i] = current;
      count = i * tokenTile < tokens ? current + 1 : count;
      place += tokenTile;
      if (place >= group) {
        place -= group;
        current++;
      }
    }
  }
};

// Byte offsets of a lane's words in a row of chunks, for runs of 16 words: [odd run][second 8].
struct WordOffsets {
  int at[2][2];

  DEVICE explicit WordOffsets(int rowBytes) {
    int lane = int(threadIdx.x) % 32;
    int t = lane % 4;
    int g = lane / 4;
#pragma unroll
    for (int odd = 0; odd < 2; odd++) {
#pragma unroll
      for (int second = 0; second < 2; second++) {
        int chunk = ((odd * 4 + second * 2) ^ (2 * t)) + g / 4;
        at[odd][second] = t * rowBytes + chunk * chunkBytes + g % 4 * 4;
      }
    }
  }

  DEVICE uint32_t load(const unsigned char* rows, int run, int second) const {
    int offset = at[run % 2][second] + run / 2 * 8 * chunkBytes;
    return *reinterpret_cast<const uint32_t*>(rows + offset);
  }
};

// Adds 16 rows of P/2 pairs a lane times as many pairs of the columns.
template <int Pairs>
DEVICE void multiplyCodes(float (&out)[4], const uint32_t (&upper)[Pairs],
                          const uint32_t (&lower)[Pairs], const uint32_t (&columns)[Pairs]) {
#pragma unroll
  for (int i = 0; i < Pairs; i += 2) {
    uint32_t rows[4] = {upper[i], lower[i], upper[i + 1], lower[i + 1]};
    uint32_t column[2] = {columns[i], columns[i + 1]};
    multiplyHalf(out, rows, column);
  }
}

// The query of one span times the scales of one group of K, `piece` of it, in the order of codes.
// With two pieces the scales are multiplied by `factor` before.
template <int Bits>
DEVICE void scaleQuery(const QueryFragments& fragments, const unsigned char* scales, int headDim,
                       int span, int pieces, int piece, float factor,
                       uint32_t (&query)[Codes<Bits>::pairs]) {
  using Key = Codes<Bits>;
  int lane = int(threadIdx.x) % 32;
  int channel = (span * 4 + lane % 4) * Key::perWord;
  uint32_t scale[Key::pairs];
  loadPairs(channel < headDim ? scales + channel * halfBytes : fragments.zeros,
            channel + 8 < headDim ? scales + (channel + 8) * halfBytes : fragments.zeros, scale);
  if (pieces == 1) {
    const uint4* from =
        reinterpret_cast<const uint4*>(fragments.coded) + span * (Key::pairs / 4) * 32 + lane;
#pragma unroll
    for (int i = 0; i < Key::pairs; i += 4) {
      uint4 four = from[i / 4 * 32];
      query[i] = half2Fma(four.x, scale[i], 0);
      query[i + 1] = half2Fma(four.y, scale[i + 1], 0);
      query[i + 2] = half2Fma(four.z, scale[i + 2], 0);
      query[i + 3] = half2Fma(four.w, scale[i + 3], 0);
    }
  } else {
    const float2* from =
        reinterpret_cast<const float2*>(fragments.coded) + span * Key::pairs * 32 + lane;
#pragma unroll
    for (int i = 0; i < Key::pairs; i++) {
      float2 two = from[i * 32];
      float low = two.x * floatFromHalf(uint16_t(scale[i])) * factor;
      float high = two.y * floatFromHalf(uint16_t(scale[i] >> 16)) * factor;
      query[i] = half2Piece(low, high, piece);
    }
  }
}

// β of two groups: sums[0], [1] of `upper` (any row), sums[2], [3] of `lower`, for the lane's heads.
DEVICE void multiplyZeros(const QueryFragments& fragments, const unsigned char* upper,
                          const unsigned char* lower, int headDim, int pieces, float (&sums)[4]) {
  int lane = int(threadIdx.x) % 32;
  int steps = orderedSteps(headDim);
  const unsigned char* row = (lane / 8 % 2 == 0 ? upper : lower) + lane / 16 * chunkBytes;
#pragma unroll 2
  for (int step = 0; step < steps; step++) {
    bool present = step * 16 + lane / 16 * 8 < headDim;
    uint32_t zeros[4];
    loadMatrices(zeros, present ? row + step * 2 * chunkBytes : fragments.zeros);
#pragma unroll 1
    for (int piece = 0; piece < pieces; piece++) {
      uint2 query = fragments.ordered[(piece * steps + step) * 32 + lane];
      uint32_t pair[2] = {query.x, query.y};
      multiplyHalf(sums, zeros, pair);
    }
  }
}

// Scores of a tile whose first token is `first`, `tokens` of it valid; the other rows are undefined.
template <int Bits, int Tiles>
DEVICE void codedScores(const DecodeAttentionArguments& a, const QueryFragments& fragments,
                        const StageLayout& layout, const unsigned char* stage, int first, int tokens,
                        float (&scores)[Tiles][4]) {
  using Key = Codes<Bits>;
  constexpr int rowBytes = Tiles * tokenTile * 4;
  int headDim = a.cache.headDim;
  int lane = int(threadIdx.x) % 32;
  TileGroups<Tiles> groups(first, tokens, a.cache.group);
  WordOffsets words(rowBytes);
  const unsigned char* scales = stage + layout.keyScales;
  int groupBytes = 2 * headDim * halfBytes;
  float even = fragments.factors[lane % 4 * 2];
  float odd = fragments.factors[lane % 4 * 2 + 1];

#pragma unroll 1
  for (int group = 0; group < groups.count; group++) {
    const unsigned char* own = scales + group * groupBytes;
    // Below 2^14 and as large as can be: the rests stay normal numbers.
    int exponent = a.pieces == 1 ? 0 : largestExponent(own, 0, headDim / 8, headDim / 8) - 14;
    float factor = powerOfTwo(-exponent);
#pragma unroll 1
    for (int span = 0; span * 4 * Key::perWord < headDim; span++) {
      const unsigned char* rows = stage + span * 4 * rowBytes;
#pragma unroll 1
      for (int piece = 0; piece < a.pieces; piece++) {
        uint32_t query[Key::pairs];
        scaleQuery<Bits>(fragments, own, headDim, span, a.pieces, piece, factor, query);
#pragma unroll
        for (int i = 0; i < Tiles; i++) {
          if (groups.of[i] == group && i * tokenTile < tokens) {
            uint32_t upper[Key::pairs];
            uint32_t lower[Key::pairs];
            Key::unpack(words.load(rows, i, 0), upper);
            Key::unpack(words.load(rows, i, 1), lower);
            multiplyCodes(scores[i], upper, lower, query);
          }
        }
      }
    }
    factor = powerOfTwo(Key::exponent + exponent);
#pragma unroll
    for (int i = 0; i < Tiles; i++) {
      if (groups.of[i] == group) {
        scores[i][0] *= even * factor;
        scores[i][1] *= odd * factor;
        scores[i][2] *= even * factor;
        scores[i][3] *= odd * factor;
      }
    }
  }

  const unsigned char* zeros = scales + headDim * halfBytes;
  float sums[4];
#pragma unroll
  for (int i = 0; i < Tiles / 2; i++) {
    constexpr int half = Tiles / 2;
    if (i == 0 || groups.of[i] != groups.of[i - 1] || groups.of[i + half] != groups.of[i + half - 1]) {
      sums[0] = sums[1] = sums[2] = sums[3] = 0.0f;
      multiplyZeros(fragments, zeros + groups.of[i] * groupBytes,
                              zeros + groups.of[i + half] * groupBytes, headDim, a.pieces, sums);
    }
    scores[i][0] = fmaf(sums[0], even, scores[i][0]);
    scores[i][1] = fmaf(sums[1], odd, scores[i][1]);
    scores[i][2] = fmaf(sums[0], even, scores[i][2]);
    scores[i][3] = fmaf(sums[1], odd, scores[i][3]);
    scores[i + half][0] = fmaf(sums[2], even, scores[i + half][0]);
    scores[i + half][1] = fmaf(sums[3], odd, scores[i + half][1]);
    scores[i + half][2] = fmaf(sums[2], even, scores[i + half][2]);
    scores[i + half][3] = fmaf(sums[3], odd, scores[i + half][3]);
  }
}

// Probabilities of a tile in shared memory: planes [token][head] of float16, 16 bytes a token, in an
// order that puts 8 neighbours as well as every eighth token into different banks.
DEVICE int probabilityOffset(int token) {
  return ((token & ~7) | ((token + token / 8) & 7)) * chunkBytes;
}

template <int Tiles>
DEVICE void storeProbabilities(unsigned char* planes, int pieces, const float (&scores)[Tiles][4]) {
  int lane = int(threadIdx.x) % 32;
  for (int piece = 0; piece < pieces; piece++) {
    unsigned char* plane = planes + piece * Tiles * tokenTile * chunkBytes + lane % 4 * 4;
#pragma unroll
    for (int i = 0; i < Tiles; i++) {
      int token = i * tokenTile + lane / 4;
      *reinterpret_cast<uint32_t*>(plane + probabilityOffset(token)) =
          half2Piece(scores[i][0], scores[i][1], piece);
      *reinterpret_cast<uint32_t*>(plane + probabilityOffset(token + 8)) =
          half2Piece(scores[i][2], scores[i][3], piece);
    }
  }
}

// As the B operand of 32 tokens in their order.
DEVICE void loadOrdered(const unsigned char* plane, int firstToken, uint32_t (&probabilities)[4]) {
  loadMatricesTransposed(probabilities,
                         plane + probabilityOffset(firstToken + int(threadIdx.x) % 32));
}

// In the order of codes: pairs (i, i + P/2) of the lane's word.
template <int Pairs>
DEVICE void loadCodeOrder(const unsigned char* plane, uint32_t (&probabilities)[Pairs]) {
  int lane = int(threadIdx.x) % 32;
  int token = lane % 8 / 2 * (2 * Pairs) + lane % 2 * Pairs + lane / 8;
#pragma unroll
  for (int i = 0; i < Pairs; i += 4) {
    uint32_t four[4];
    loadMatricesTransposed(four, plane + probabilityOffset(token + i));
    probabilities[i] = four[0];
    probabilities[i + 1] = four[1];
    probabilities[i + 2] = four[2];
    probabilities[i + 3] = four[3];
  }
}

// Scales of V in the order of codes become `piece` of their products with the probabilities, which
// lie in two planes.
template <int Bits>
DEVICE void weightPieces(const unsigned char* planes, int planeBytes, int piece,
                         uint32_t (&weights)[Codes<Bits>::pairs]) {
  using Value = Codes<Bits>;
  uint32_t rounded[Value::pairs];
  uint32_t rest[Value::pairs];
  loadCodeOrder(planes, rounded);
  loadCodeOrder(planes + planeBytes, rest);
#pragma unroll
  for (int i = 0; i < Value::pairs; i++) {
    float low = floatFromHalf(uint16_t(rounded[i])) + floatFromHalf(uint16_t(rest[i]));
    float high = floatFromHalf(uint16_t(rounded[i] >> 16)) + floatFromHalf(uint16_t(rest[i] >> 16));
    low *= floatFromHalf(uint16_t(weights[i])) * Value::shrink(i);
    high *= floatFromHalf(uint16_t(weights[i] >> 16)) * Value::shrink(i);
    weights[i] = half2Piece(low, high, piece);
  }
}

// Adds a tile's coded values; scales and zeros of tokens that are not coded are 0.
template <int OutTiles, int Bits, int Tiles>
DEVICE void codedValues(const DecodeAttentionArguments& a, const StageLayout& layout,
                        const unsigned char* stage, SplitState<OutTiles>& state) {
  using Value = Codes<Bits>;
  constexpr int tileTokens = Tiles * tokenTile;
  constexpr int planeBytes = tileTokens * chunkBytes;
  int headDim = a.cache.headDim;
  int lane = int(threadIdx.x) % 32;
  int groupCount = (headDim + a.cache.group - 1) / a.cache.group;
  int scaleRow = layout.valueRowBytes(tileTokens);
  const unsigned char* scales = stage + layout.valueScales;

  int group = min(lane % 8 + lane / 8 % 2 * 8, groupCount - 1);
  const unsigned char* zeros = scales + (groupCount + group) * scaleRow + lane / 16 * chunkBytes;
#pragma unroll 1
  for (int piece = 0; piece < a.pieces; piece++) {
#pragma unroll
    for (int i = 0; i < Tiles; i += 2) {
      uint32_t four[4];
      loadOrdered(stage + piece * planeBytes, i * tokenTile, four);
      uint32_t first[4];
      uint32_t second[4];
      loadMatrices(first, zeros + i * 2 * chunkBytes);
      loadMatrices(second, zeros + (i + 1) * 2 * chunkBytes);
      uint32_t low[2] = {four[0], four[1]};
      uint32_t high[2] = {four[2], four[3]};
      multiplyHalf(state.zeroSums, first, low);
      multiplyHalf(state.zeroSums, second, high);
    }
  }

  state.lower(Value::exponent);
  WordOffsets words(valueCodeRow(headDim) * 4);
  const unsigned char* codes = stage + layout.valueCodes;
  const unsigned char* own = scales + lane % 4 * (Value::perWord * halfBytes);
  uint32_t shrunk[Value::pairs];
  loadCodeOrder(stage, shrunk);
#pragma unroll
  for (int i = 0; i < Value::pairs; i++) {
    shrunk[i] = half2Fma(shrunk[i], Value::shrinkPair(i), 0);
  }
#pragma unroll 1
  for (int first = 0; first < headDim; first += a.cache.group, own += scaleRow) {
    int end = min(headDim, first + a.cache.group);
#pragma unroll 1
    for (int piece = 0; piece < a.pieces; piece++) {
      uint32_t weights[Value::pairs];
      loadPairs(own, own + chunkBytes, weights);
      if (a.pieces == 1) {
#pragma unroll
        for (int k = 0; k < Value::pairs; k++) {
          weights[k] = half2Fma(shrunk[k], weights[k], 0);
        }
      } else {
        weightPieces<Bits>(stage, planeBytes, piece, weights);
      }
#pragma unroll
      for (int i = 0; i < OutTiles; i++) {
        if (i * 16 >= first && i * 16 < end) {
          uint32_t upper[Value::pairs];
          uint32_t lower[Value::pairs];
          Value::unpack(words.load(codes, i, 0), upper);
          Value::unpack(words.load(codes, i, 1), lower);
          multiplyCodes(state.out[i], upper, lower, weights);
        }
      }
    }
  }
}
