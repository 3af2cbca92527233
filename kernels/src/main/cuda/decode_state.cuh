// What the warps of decode attention have in common: the block's part of the work, the query as
// fragments, and the running softmax with its output. Throughout: lane = 4 · g + t.
#pragma once

#include "cache_view.cuh"

constexpr int decodeThreads = 128;
constexpr int decodeWarps = decodeThreads / 32;
constexpr int blockHeads = 8;       // query heads of a block: the columns of one matrix product
constexpr int maxValueGroups = 16;  // headDim 256 in groups of 16
constexpr unsigned allLanes = 0xffffffffu;
constexpr int headerBytes = 192;  // of shared memory: 8 factors, 16 bytes of zeros, the block's plan
constexpr int planOffset = 64;
constexpr int largestShift = 15;  // 2^15 is the largest power of two in float16

DEVICE float powerOfTwo(int exponent) { return __uint_as_float(uint32_t(exponent + 127) << 23); }

// 16-bit halves of two registers: the low ones, the high ones.
DEVICE uint32_t lowHalves(uint32_t x, uint32_t y) { return __byte_perm(x, y, 0x5410); }
DEVICE uint32_t highHalves(uint32_t x, uint32_t y) { return __byte_perm(x, y, 0x7632); }

// Two floats in pieces: `piece` 0 is rounded, 1 the rounded rest.
DEVICE uint32_t half2Piece(float low, float high, int piece) {
  uint32_t rounded = half2FromFloats(low, high);
  return piece == 0 ? rounded
                    : half2FromFloats(low - floatFromHalf(uint16_t(rounded)),
                                      high - floatFromHalf(uint16_t(rounded >> 16)));
}

// One row's split as a block sees it. Tokens are counted after the sink, whose own are negative.
struct DecodeSplit {
  int slot;
  int kvHead;
  int firstHead;    // of the row's query heads
  int heads;        // at most blockHeads
  int begin;        // tokens [begin, end) of the split, without the sink
  int end;
  int sinkTokens;   // of this split
  int visibleFrom;  // tokens before it are not seen
  int keysCoded;    // tokens [0, keysCoded) have K in codes
  int valuesCoded;
};

// Says whether the block has anything to do. Grid: (splits, kvHeads · head blocks, rows).
DEVICE bool findSplit(const DecodeAttentionArguments& a, DecodeSplit& split) {
  const CacheView& cache = a.cache;
  int row = int(blockIdx.z);
  int position = a.positions[row];
  if (position < 0) {
    return false;
  }
  int groupHeads = a.queryHeads / cache.kvHeads;
  int headBlocks = (groupHeads + blockHeads - 1) / blockHeads;
  int headBlock = int(blockIdx.y) % headBlocks;
  split.slot = a.slots[row];
  split.kvHead = int(blockIdx.y) / headBlocks;
  split.firstHead = split.kvHead * groupHeads + headBlock * blockHeads;
  split.heads = min(blockHeads, groupHeads - headBlock * blockHeads);
  int index = int(blockIdx.x);
  int beyondSink = position + 1 - cache.sink;
  split.begin = index * a.splitTokens;
  split.end = min(split.begin + a.splitTokens, beyondSink);
  split.visibleFrom = a.slidingWindow > 0 ? beyondSink - a.slidingWindow : -cache.sink;
  split.sinkTokens = index == 0 && split.visibleFrom < 0 ? min(cache.sink, position + 1) : 0;
  split.keysCoded = hasWindows(cache) ? keysInPages(cache, position) : 0;
  split.valuesCoded = hasWindows(cache) ? valuesInPages(cache, position) : 0;
  return (split.begin < split.end && split.visibleFrom < split.end) || split.sinkTokens > 0;
}

// Shared memory of the block: header, query fragments in order and (coded K) in the order of codes.
struct QueryFragments {
  float* factors;        // [blockHeads] query = fragments · factor, a power of two
  unsigned char* zeros;  // 16 bytes
  uint2* ordered;        // [pieces][headDim / 16][lane]: the B operand of 16 channels
  unsigned char* coded;  // see decode_coded.cuh
};

DEVICE int orderedSteps(int headDim) { return (headDim + 15) / 16; }

DEVICE QueryFragments queryFragments(const DecodeAttentionArguments& a) {
  unsigned char* shared = sharedMemory();
  uint2* ordered = reinterpret_cast<uint2*>(shared + headerBytes);
  return {reinterpret_cast<float*>(shared), shared + 32, ordered,
          reinterpret_cast<unsigned char*>(ordered + a.pieces * orderedSteps(a.cache.headDim) * 32)};
}

// The row's query heads of the block: [heads][headDim].
DEVICE const float* splitQuery(const DecodeAttentionArguments& a, const DecodeSplit& split) {
  return a.query + (size_t(blockIdx.z) * a.queryHeads + split.firstHead) * a.cache.headDim;
}

// Brings each head's largest component below 1, so that no float16 overflows whatever the scales
// are. A barrier must follow before anyone reads the factors.
DEVICE void findFactors(const DecodeAttentionArguments& a, const DecodeSplit& split,
                        const QueryFragments& fragments) {
  const float* query = splitQuery(a, split);
  int headDim = a.cache.headDim;
  int lane = int(threadIdx.x) % 32;
  for (int head = int(threadIdx.x) / 32; head < blockHeads; head += decodeWarps) {
    float largest = 0.0f;
    if (head < split.heads) {
      for (int channel = lane; channel < headDim; channel += 32) {
        largest = fmaxf(largest, fabsf(query[head * headDim + channel]));
      }
    }
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      largest = fmaxf(largest, __shfl_xor_sync(allLanes, largest, distance));
    }
    if (lane == 0) {
      int exponent = int(__float_as_uint(largest) >> 23) - 126;
      fragments.factors[head] = powerOfTwo(max(-60, min(60, exponent)));
    }
  }
  if (threadIdx.x < 4) {
    reinterpret_cast<uint32_t*>(fragments.zeros)[threadIdx.x] = 0;
  }
}

DEVICE void fillOrdered(const DecodeAttentionArguments& a, const DecodeSplit& split,
                        const QueryFragments& fragments) {
  const float* query = splitQuery(a, split);
  int headDim = a.cache.headDim;
  int count = orderedSteps(headDim) * 32;
  for (int i = int(threadIdx.x); i < count; i += decodeThreads) {
    int head = i % 32 / 4;
    int channel = i / 32 * 16 + i % 4 * 2;
    float2 low = make_float2(0.0f, 0.0f);
    float2 high = low;
    if (head < split.heads) {
      float shrink = 1.0f / fragments.factors[head];
      const float* from = query + head * headDim + channel;
      low = make_float2(from[0] * shrink, from[1] * shrink);
      if (channel + 8 < headDim) {
        high = make_float2(from[8] * shrink, from[9] * shrink);
      }
    }
    for (int piece = 0; piece < a.pieces; piece++) {
      fragments.ordered[piece * count + i] =
          make_uint2(half2Piece(low.x, low.y, piece), half2Piece(high.x, high.y, piece));
    }
  }
}

// A warp's running softmax over tokens and its output, not normalized. Lane 4g + t has the query
// heads 2t and 2t + 1; of the output tile i the channels 16i + g (numbers 0 and 1) and 16i + g + 8.
template <int OutTiles>
struct SplitState {
  float out[OutTiles][4];
  float zeroSums[4];  // rows: groups of channels
  float largest[2];
  float sum[2];  // of this lane's tokens
  int shift;     // out and zeroSums are times 2^shift ...
  int lowered;   // ... and out times 2^−lowered too

  DEVICE void clear() {
#pragma unroll
    for (int i = 0; i < OutTiles; i++) {
#pragma unroll
      for (int k = 0; k < 4; k++) {
        out[i][k] = 0.0f;
      }
    }
#pragma unroll
    for (int k = 0; k < 4; k++) {
      zeroSums[k] = 0.0f;
    }
    largest[0] = largest[1] = -INFINITY;
    sum[0] = sum[1] = 0.0f;
    shift = largestShift;
    lowered = 0;
  }

  DEVICE void multiply(float even, float odd) {
#pragma unroll
    for (int i = 0; i < OutTiles; i++) {
      out[i][0] *= even;
      out[i][1] *= odd;
      out[i][2] *= even;
      out[i][3] *= odd;
    }
  }

  DEVICE void multiplyZeros(float even, float odd) {
    zeroSums[0] *= even;
    zeroSums[1] *= odd;
    zeroSums[2] *= even;
    zeroSums[3] *= odd;
  }

  // Out takes products with numbers times 2^−exponent from here on.
  DEVICE void lower(int exponent) {
    if (exponent != lowered) {
      float factor = powerOfTwo(lowered - exponent);
      multiply(factor, factor);
      lowered = exponent;
    }
  }

  DEVICE void limitShift(int limit) {
    if (limit < shift) {
      float factor = powerOfTwo(limit - shift);
      multiply(factor, factor);
      multiplyZeros(factor, factor);
      shift = limit;
    }
  }

  // Turns scores of 16 tokens a tile into probabilities · 2^shift, relative to the largest score so
  // far, and adds them to the sum.
  template <int Tiles>
  DEVICE void absorb(float (&scores)[Tiles][4]) {
    float top[2] = {largest[0], largest[1]};
#pragma unroll
    for (int i = 0; i < Tiles; i++) {
      top[0] = fmaxf(top[0], fmaxf(scores[i][0], scores[i][2]));
      top[1] = fmaxf(top[1], fmaxf(scores[i][1], scores[i][3]));
    }
#pragma unroll
    for (int distance = 4; distance < 32; distance *= 2) {
      top[0] = fmaxf(top[0], __shfl_xor_sync(allLanes, top[0], distance));
      top[1] = fmaxf(top[1], __shfl_xor_sync(allLanes, top[1], distance));
    }
    if (__any_sync(allLanes, top[0] > largest[0] || top[1] > largest[1])) {
      float even = top[0] == largest[0] ? 1.0f : exp2Approximate(largest[0] - top[0]);
      float odd = top[1] == largest[1] ? 1.0f : exp2Approximate(largest[1] - top[1]);
      multiply(even, odd);
      multiplyZeros(even, odd);
      sum[0] *= even;
      sum[1] *= odd;
      largest[0] = top[0];
      largest[1] = top[1];
    }
    float base[2] = {top[0] == -INFINITY ? 0.0f : top[0], top[1] == -INFINITY ? 0.0f : top[1]};
    float factor = powerOfTwo(shift);
#pragma unroll
    for (int i = 0; i < Tiles; i++) {
#pragma unroll
      for (int k = 0; k < 4; k++) {
        float probability = exp2Approximate(scores[i][k] - base[k % 2]);
        sum[k % 2] += probability;
        scores[i][k] = probability * factor;
      }
    }
  }
};

// ---- the block's end: four warps become one result ----

constexpr int outPadding = 4;  // floats between heads: lanes of a quad then use different banks

DEVICE int mergeBytes(int headDim) {
  return (blockHeads * (headDim + outPadding + maxValueGroups) + 2 * blockHeads) * 4;
}

// A warp's finished state in shared memory.
struct FinishedWarp {
  float* out;       // [blockHeads][headDim + outPadding]
  float* zeroSums;  // [blockHeads][maxValueGroups]
  float* largest;   // [blockHeads]
  float* sum;       // [blockHeads]
};

DEVICE FinishedWarp finishedWarp(unsigned char* area, int headDim) {
  float* out = reinterpret_cast<float*>(area);
  float* zeroSums = out + blockHeads * (headDim + outPadding);
  float* largest = zeroSums + blockHeads * maxValueGroups;
  return {out, zeroSums, largest, largest + blockHeads};
}

// Leaves a warp's state in its own part of shared memory, whose copies have all arrived.
template <int OutTiles>
DEVICE void finish(SplitState<OutTiles>& state, unsigned char* area, int headDim, int heads) {
  int lane = int(threadIdx.x) % 32;
  int g = lane / 4;
  FinishedWarp warp = finishedWarp(area, headDim);
  float zeroFactor = powerOfTwo(-state.shift);
  float factor = powerOfTwo(state.lowered - state.shift);
#pragma unroll
  for (int distance = 4; distance < 32; distance *= 2) {
    state.sum[0] += __shfl_xor_sync(allLanes, state.sum[0], distance);
    state.sum[1] += __shfl_xor_sync(allLanes, state.sum[1], distance);
  }
  __syncwarp();
#pragma unroll
  for (int k = 0; k < 4; k++) {
    int head = lane % 4 * 2 + k % 2;
    if (head < heads) {
      float* out = warp.out + head * (headDim + outPadding);
#pragma unroll
      for (int i = 0; i < OutTiles; i++) {
        int channel = i * 16 + k / 2 * 8 + g;
        if (channel < headDim) {
          out[channel] = state.out[i][k] * factor;
        }
      }
      warp.zeroSums[head * maxValueGroups + k / 2 * 8 + g] = state.zeroSums[k] * zeroFactor;
      if (lane < 4 && k < 2) {
        warp.largest[head] = state.largest[k];
        warp.sum[head] = state.sum[k];
      }
    }
  }
}

// Merges the warps in their order and writes the split's result.
DEVICE void writeSplit(const DecodeAttentionArguments& a, const DecodeSplit& split,
                       unsigned char* areas, int areaBytes) {
  int headDim = a.cache.headDim;
  int group = hasWindows(a.cache) ? a.cache.group : headDim;
  size_t first = (size_t(blockIdx.z) * a.maxSplits + blockIdx.x) * a.queryHeads + split.firstHead;
  __syncthreads();
  for (int head = 0; head < split.heads; head++) {
    float largest = -INFINITY;
#pragma unroll
    for (int w = 0; w < decodeWarps; w++) {
      largest = fmaxf(largest, finishedWarp(areas + w * areaBytes, headDim).largest[head]);
    }
    float weights[decodeWarps];
    float sum = 0.0f;
#pragma unroll
    for (int w = 0; w < decodeWarps; w++) {
      FinishedWarp warp = finishedWarp(areas + w * areaBytes, headDim);
      float own = warp.largest[head];
      weights[w] = own == -INFINITY ? 0.0f : exp2Approximate(own - largest);
      sum = fmaf(weights[w], warp.sum[head], sum);
    }
    for (int channel = int(threadIdx.x); channel < headDim; channel += decodeThreads) {
      float out = 0.0f;
#pragma unroll
      for (int w = 0; w < decodeWarps; w++) {
        FinishedWarp warp = finishedWarp(areas + w * areaBytes, headDim);
        float value = warp.out[head * (headDim + outPadding) + channel] +
                      warp.zeroSums[head * maxValueGroups + channel / group];
        out = fmaf(weights[w], value, out);
      }
      a.partialOut[(first + head) * headDim + channel] = out;
    }
    if (threadIdx.x == 0) {
      a.partialMax[first + head] = largest;
      a.partialSum[first + head] = sum;
    }
  }
}
