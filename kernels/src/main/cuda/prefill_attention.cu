// Causal attention of prompts, whole or in parts, side by side without padding, as FlashAttention-2 does
// it (arXiv 2307.08691, algorithm 1): scores never leave registers, softmax runs along the keys.
//
// A block: 64 neighbouring queries of one sequence, one query head; a warp: 16 of them. K and V pass
// through shared memory in tiles of keyTile tokens: the copy of V runs while scores are computed, that
// of the next K while values are summed. Scores come in powers of 2 (the caller scales the queries by
// log2(e) / sqrt(headDim)). With two pieces, queries and probabilities are each a float16 and the
// float16 of what rounding left; K and V are float16 to begin with, so results are near float's.
//
// Limits: headDim even, up to 256, padded inside to the kernel's depth with zeros; a copy of 16 bytes
// needs headDim to be a multiple of 8 (else 4 bytes at a time), and so do earlier tokens.
//
// A row's bits depend on its own sequence alone: tiles of keys begin at multiples of keyTile in the
// sequence's own positions and come in their order; a tile wholly masked for a row, but not for its
// neighbours, leaves it as it is to the bit: the largest score stays, 2^0 is exactly 1, and the
// probabilities that are added are 0. Tokens beyond the sequence's end count as zeros, not as what
// lies in memory there.
#include "prefill_tiles.cuh"

namespace {

constexpr float noScore = -__builtin_huge_valf();
// Probabilities are 2^(score − largest + probabilityLift), to keep them out of float16's subnormal
// range too: at most 2^14, which float16 holds, and those down to 2^−28 of it in full precision. The
// lift cancels in the quotient.
constexpr float probabilityLift = 14.0f;

// What `low` and `high` are beyond their float16 in `rounded`, as float16.
DEVICE uint32_t restOfHalf2(float low, float high, uint32_t rounded) {
  return half2FromFloats(low - floatFromHalf(uint16_t(rounded)),
                         high - floatFromHalf(uint16_t(rounded >> 16)));
}

// score[keyTile / 8] = Q · Kᵀ of the warp's rows, times queryLift.
template <class S>
DEVICE void multiplyKeys(float (&score)[S::keyTile / 8][4], const Query<S>& query,
                         const uint16_t* keys, const Lane& lane) {
#pragma unroll
  for (int n = 0; n < S::keyTile / 8; n++) {
    score[n][0] = score[n][1] = score[n][2] = score[n][3] = 0;
  }
  const uint16_t* row = keys + (lane.index / 16 * 8 + lane.index % 8) * S::stride;
  row += lane.index / 8 % 2 * 8;
#pragma unroll
  for (int step = 0; step < S::depthSteps; step++) {
    uint32_t q[S::pieces][4];
#pragma unroll
    for (int piece = 0; piece < S::pieces; piece++) {
      query.operand(q[piece], piece, step);
    }
#pragma unroll
    for (int n = 0; n < S::keyTile / 16; n++) {
      uint32_t k[4];
      loadMatrices(k, row + n * 16 * S::stride + step * 16);
      uint32_t left[2] = {k[0], k[1]};
      uint32_t right[2] = {k[2], k[3]};
#pragma unroll
      for (int piece = 0; piece < S::pieces; piece++) {
        multiplyHalf(score[2 * n], q[piece], left);
        multiplyHalf(score[2 * n + 1], q[piece], right);
      }
    }
  }
}

// Takes away the scores of keys that a row must not see, where the tile has any for this warp.
template <class S>
DEVICE void mask(float (&score)[S::keyTile / 8][4], const QueryTile& tile, const Lane& lane,
                 int warpStart, int keyStart) {
  if (keyStart + S::keyTile - 1 <= warpStart &&
      keyStart >= tile.firstVisible(warpStart + warpRows - 1)) {
    return;
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    int position = warpStart + lane.row + half * 8;
    int first = tile.firstVisible(position);
#pragma unroll
    for (int n = 0; n < S::keyTile / 8; n++) {
#pragma unroll
      for (int i = 0; i < 2; i++) {
        int key = keyStart + n * 8 + lane.column + i;
        bool visible = key <= position && key >= first;
        score[n][2 * half + i] = visible ? score[n][2 * half + i] : noScore;
      }
    }
  }
}

// What a row has so far, for the lane's two rows: `shift` is what scores are lowered by before the
// power of 2 (−infinity: nothing seen), `sum` the lane's share of the probabilities.
struct Softmax {
  float shift[2] = {noScore, noScore};
  float sum[2] = {0, 0};

  // Turns scores into probabilities and brings sums and outputs to the new shift.
  template <int Scores, int Outputs>
  DEVICE void advance(float (&score)[Scores][4], float (&out)[Outputs][4]) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float largest = noScore;
#pragma unroll
      for (int n = 0; n < Scores; n++) {
        largest = fmaxf(largest, fmaxf(score[n][2 * half], score[n][2 * half + 1]));
      }
      largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 2));
      float next = fmaxf(shift[half], fmaf(largest, 1 / queryLift, -probabilityLift));
      // A row that has seen nothing yet has no shift: 0 stands in, so that no infinities meet.
      float lowered = next == noScore ? 0.0f : next;
      float factor = exp2Approximate(shift[half] - lowered);
      shift[half] = next;
      sum[half] *= factor;
#pragma unroll
      for (int n = 0; n < Scores; n++) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; i++) {
          score[n][i] = exp2Approximate(fmaf(score[n][i], 1 / queryLift, -lowered));
          sum[half] += score[n][i];
        }
      }
#pragma unroll
      for (int n = 0; n < Outputs; n++) {
        out[n][2 * half] *= factor;
        out[n][2 * half + 1] *= factor;
      }
    }
  }

  // 1 / the whole sum of the lane's row.
  DEVICE float inverse(int half) const {
    float whole = sum[half] + __shfl_xor_sync(~0u, sum[half], 1);
    whole += __shfl_xor_sync(~0u, whole, 2);
    return 1 / whole;
  }
};

// out[depth / 8] += P · V of the warp's rows.
template <class S>
DEVICE void multiplyValues(float (&out)[S::depth / 8][4],
                           const float (&probability)[S::keyTile / 8][4], const uint16_t* values,
                           const Lane& lane) {
  const uint16_t* row = values + lane.index % 16 * S::stride + lane.index / 16 * 8;
#pragma unroll
  for (int step = 0; step < S::keyTile / 16; step++) {
    uint32_t p[S::pieces][4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      float low = probability[2 * step + i / 2][i % 2 * 2];
      float high = probability[2 * step + i / 2][i % 2 * 2 + 1];
      p[0][i] = half2FromFloats(low, high);
      if constexpr (S::pieces == 2) {
        p[1][i] = restOfHalf2(low, high, p[0][i]);
      }
    }
#pragma unroll
    for (int n = 0; n < S::depthSteps; n++) {
      uint32_t v[4];
      loadMatricesTransposed(v, row + step * 16 * S::stride + n * 16);
      uint32_t left[2] = {v[0], v[1]};
      uint32_t right[2] = {v[2], v[3]};
#pragma unroll
      for (int piece = 0; piece < S::pieces; piece++) {
        multiplyHalf(out[2 * n], p[piece], left);
        multiplyHalf(out[2 * n + 1], p[piece], right);
      }
    }
  }
}

DEVICE uint32_t packed(float low, float high, int format) {
  return format == 1 ? half2FromFloats(low, high) : bfloat2FromFloats(low, high);
}
DEVICE float unpacked(uint16_t x, int format) {
  return format == 1 ? floatFromHalf(x) : floatFromBfloat(x);
}

template <class S>
DEVICE void store(const float (&out)[S::depth / 8][4], const Softmax& softmax,
                  const QueryTile& tile, const Lane& lane, int warpStart) {
  const PrefillAttentionArguments& a = tile.a;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float inverse = softmax.inverse(half);
    int position = warpStart + lane.row + half * 8;
    if (position < tile.length()) {
      uint16_t* target = a.out + tile.queryRow(position) * a.outStride + tile.head * a.headDim;
#pragma unroll
      for (int n = 0; n < S::depth / 8; n++) {
        int column = n * 8 + lane.column;
        if (column < a.headDim) {
          float low = out[n][2 * half] * inverse;
          float high = out[n][2 * half + 1] * inverse;
          uint32_t rounded = packed(low, high, a.format);
          *reinterpret_cast<uint32_t*>(target + column) = rounded;
          if constexpr (S::pieces == 2) {
            *reinterpret_cast<uint32_t*>(target + a.outPieceStride + column) =
                packed(low - unpacked(uint16_t(rounded), a.format),
                       high - unpacked(uint16_t(rounded >> 16), a.format), a.format);
          }
        }
      }
    }
  }
}

// The columns beyond the last head up to outStride, which products with padded depth read.
template <class S>
DEVICE void clearPadding(const QueryTile& tile) {
  const PrefillAttentionArguments& a = tile.a;
  int width = a.queryHeads * a.headDim;
  int pairs = (a.outStride - width) / 2;
  if (tile.head != a.queryHeads - 1 || pairs == 0) {
    return;
  }
  int rows = tile.lastPosition() + 1 - tile.start;
  for (int i = int(threadIdx.x); i < rows * pairs * S::pieces; i += threads) {
    int row = i / pairs % rows;
    uint16_t* target = a.out + i / pairs / rows * a.outPieceStride;
    target += tile.queryRow(tile.start + row) * a.outStride + width + i % pairs * 2;
    *reinterpret_cast<uint32_t*>(target) = 0;
  }
}

template <class S>
DEVICE void attend(const PrefillAttentionArguments& a) {
  uint16_t* keys = reinterpret_cast<uint16_t*>(sharedMemory());
  uint16_t* values = keys + S::keyTile * S::stride;
  QueryTile tile(a);
  Lane lane;
  int warpStart = tile.start + int(threadIdx.x) / warpLanes * warpRows;
  int keyStart = tile.firstVisible(tile.start) / S::keyTile * S::keyTile;
  copyTile<S, Part::key>(keys, tile, keyStart);
  Query<S> query(tile, lane, warpStart, sharedMemory() + 2 * S::tileBytes);
  Softmax softmax;
  float out[S::depth / 8][4];
#pragma unroll
  for (int n = 0; n < S::depth / 8; n++) {
    out[n][0] = out[n][1] = out[n][2] = out[n][3] = 0;
  }
  for (; keyStart <= tile.lastPosition(); keyStart += S::keyTile) {
    // K is here, and every warp is done with the values of the tile before.
    waitForCopies<0>();
    __syncthreads();
    copyTile<S, Part::value>(values, tile, keyStart);
    float score[S::keyTile / 8][4];
    multiplyKeys<S>(score, query, keys, lane);
    mask<S>(score, tile, lane, warpStart, keyStart);
    softmax.advance(score, out);
    // V is here, and every warp is done with the keys.
    waitForCopies<0>();
    __syncthreads();
    if (keyStart + S::keyTile <= tile.lastPosition()) {
      copyTile<S, Part::key>(keys, tile, keyStart + S::keyTile);
    }
    multiplyValues<S>(out, score, values, lane);
  }
  store<S>(out, softmax, tile, lane, warpStart);
  clearPadding<S>(tile);
}

}  // namespace

KERNEL(prefill_attention_32, PrefillAttentionArguments, threads) {
  attend<Shape<32, 1>>(a);
}
KERNEL(prefill_attention_32_two_pieces, PrefillAttentionArguments, threads) {
  attend<Shape<32, 2>>(a);
}
KERNEL(prefill_attention_64, PrefillAttentionArguments, threads) {
  attend<Shape<64, 1>>(a);
}
KERNEL(prefill_attention_64_two_pieces, PrefillAttentionArguments, threads) {
  attend<Shape<64, 2>>(a);
}
KERNEL(prefill_attention_96, PrefillAttentionArguments, threads) {
  attend<Shape<96, 1>>(a);
}
KERNEL(prefill_attention_96_two_pieces, PrefillAttentionArguments, threads) {
  attend<Shape<96, 2>>(a);
}
KERNEL(prefill_attention_128, PrefillAttentionArguments, threads) {
  attend<Shape<128, 1>>(a);
}
KERNEL(prefill_attention_128_two_pieces, PrefillAttentionArguments, threads) {
  attend<Shape<128, 2>>(a);
}
KERNEL(prefill_attention_192, PrefillAttentionArguments, threads) {
  attend<Shape<192, 1>>(a);
}
KERNEL(prefill_attention_192_two_pieces, PrefillAttentionArguments, threads) {
  attend<Shape<192, 2>>(a);
}
KERNEL(prefill_attention_256, PrefillAttentionArguments, threads) {
  attend<Shape<256, 1>>(a);
}
KERNEL(prefill_attention_256_two_pieces, PrefillAttentionArguments, threads) {
  attend<Shape<256, 2>>(a);
}
