// Attention of one new token a row to its cached context, in the order of a flash decoding: the
// context is cut at fixed token positions into splits, splits are merged by log-sum-exp in their
// order, so a row's bits depend on its own context alone.
//
// decode_attention_fp16: a block handles one split of one row and one K/V head, for up to 8 of its
// query heads (more heads take more blocks, which meet in the second-level cache). The 4 warps take
// tiles of tokens in turn, each with its own softmax and its own copies under way: no barrier between
// the query's fragments and the end. See decode_exact.cuh; decode_attention_kivi.cu reads codes.
// The wide kernel serves head sizes over 128, whose outputs take twice the registers.
// merge_splits: a block handles one row and one query head.
//
// Bytes moved a token and K/V head of 128 channels: 512.
// Limits: headDim a multiple of 8 up to 256; splitTokens a multiple of pageTokens.
#include "decode_exact.cuh"

namespace {

template <int OutTiles>
DEVICE void attendFp16(const DecodeAttentionArguments& a) {
  DecodeSplit split;
  if (!findSplit(a, split)) {
    return;
  }
  int headDim = a.cache.headDim;
  QueryFragments fragments = queryFragments(a);
  findFactors(a, split, fragments);
  __syncthreads();
  fillOrdered(a, split, fragments);
  __syncthreads();

  int warp = int(threadIdx.x) / 32;
  int areaBytes = max(keyAreaBytes(headDim) + valueAreaBytes(headDim), mergeBytes(headDim));
  unsigned char* area = fragments.coded + warp * areaBytes;
  SplitState<OutTiles> state;
  state.clear();
  ExactTokens tokens = exactTokens(a.cache, split, split.begin);
  attendExact(a, split, fragments, tokens, warp, state, area);
  finish(state, area, headDim, split.heads);
  writeSplit(a, split, fragments.coded, areaBytes);
}

// A number in 16 bits: format 0 bfloat16, 1 float16.
DEVICE uint16_t numberFromFloat(float x, int format) {
  return format == 0 ? bfloatFromFloat(x) : halfFromFloat(x);
}
DEVICE float floatFromNumber(uint16_t x, int format) {
  return format == 0 ? floatFromBfloat(x) : floatFromHalf(x);
}

}  // namespace

KERNEL_RESIDENT(decode_attention_fp16, DecodeAttentionArguments, decodeThreads, 5) {
  attendFp16<8>(a);
}
KERNEL_RESIDENT(decode_attention_fp16_wide, DecodeAttentionArguments, decodeThreads, 3) {
  attendFp16<16>(a);
}
KERNEL(merge_splits, MergeSplitsArguments, decodeThreads) {
  int row = int(blockIdx.x);
  int head = int(blockIdx.y);
  int position = a.positions[row];
  int beyondSink = position + 1 - a.sink;
  int first = a.slidingWindow > 0 ? max(0, beyondSink - a.slidingWindow) / a.splitTokens : 0;
  int end = position < 0 ? 0 : max(1, (beyondSink + a.splitTokens - 1) / a.splitTokens);
  size_t base = size_t(row) * a.maxSplits * a.queryHeads + head;

  float largest = -INFINITY;
  for (int s = first; s < end; s++) {
    largest = fmaxf(largest, a.partialMax[base + size_t(s) * a.queryHeads]);
  }
  int channel = int(threadIdx.x);
  float out[2] = {0.0f, 0.0f};  // headDim ≤ 256
  float sum = 0.0f;
  for (int s = first; s < end; s++) {
    size_t part = base + size_t(s) * a.queryHeads;
    float weight = exp2Approximate(a.partialMax[part] - largest);
    sum = fmaf(weight, a.partialSum[part], sum);
#pragma unroll
    for (int i = 0; i < 2; i++) {
      if (channel + i * decodeThreads < a.headDim) {
        float value = a.partialOut[part * a.headDim + channel + i * decodeThreads];
        out[i] = fmaf(weight, value, out[i]);
      }
    }
  }
  for (int piece = 0; piece < a.pieces; piece++) {
    unsigned short* target = a.out + piece * a.outPieceStride + size_t(row) * a.outStride;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      if (channel + i * decodeThreads < a.headDim) {
        float x = end > 0 && piece == 0 ? out[i] / sum : out[i];
        uint16_t number = numberFromFloat(x, a.format);
        target[head * a.headDim + channel + i * decodeThreads] = number;
        out[i] = x - floatFromNumber(number, a.format);
      }
    }
    // Products read whole blocks of depth: what lies behind the last head is 0.
    if (head == a.queryHeads - 1) {
      for (int i = a.queryHeads * a.headDim + channel; i < a.outStride; i += decodeThreads) {
        target[i] = 0;
      }
    }
  }
}
