// Attention of one new token a row to its context as KIVI keeps it: codes in pages, the newest tokens
// and the sink in float16. Blocks, splits and warps are those of decode_attention.cu, which merges the
// splits; how codes are multiplied is said in decode_coded.cuh, where K or V is float16 in
// decode_exact.cuh. One kernel a pair of bits, so that each has the registers it needs; the wide ones
// serve head sizes over 128.
//
// Bytes moved a token and K/V head of 128 channels, 2 bits and groups of 32: 96; of a token in the
// window 512.
// Limits: headDim a multiple of 8 up to 256; splitTokens a multiple of pageTokens.
#include "decode_coded_tiles.cuh"

namespace {

// Blocks a processor for which registers are kept few: as many as shared memory has room for.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
constexpr int residentBlocks = 3;
#else
constexpr int residentBlocks = 4;
#endif
constexpr int residentWideBlocks = 2;

template <int OutTiles, int KeyBits, int ValueBits>
DEVICE void attendKivi(const DecodeAttentionArguments& a) {
  DecodeSplit split;
  if (!findSplit(a, split)) {
    return;
  }
  int headDim = a.cache.headDim;
  QueryFragments fragments = queryFragments(a);
  unsigned char* areas = fragments.coded + codedQueryBytes<KeyBits>(headDim, a.pieces);
  findFactors(a, split, fragments);
  if (threadIdx.x == 0) {
    *reinterpret_cast<CodedPlan*>(sharedMemory() + planOffset) = {
        split, codedUnits(split, 4 * Codes<ValueBits>::perWord),
        stageLayout(a.cache, a.pieces, int(areas - sharedMemory()))};
  }
  __syncthreads();
  fillOrdered(a, split, fragments);
  fillCoded<KeyBits>(a, split, fragments);
  __syncthreads();

  int warp = int(threadIdx.x) / 32;
  const CodedPlan& plan = codedPlan();
  int areaBytes = max(plan.stage.bytes + plan.stage.otherBytes, mergeBytes(headDim));
  unsigned char* area = areas + warp * areaBytes;
  SplitState<OutTiles> state;
  state.clear();
  attendCoded<OutTiles, KeyBits, ValueBits>(a, fragments, state, area);
  ExactTokens tokens = exactTokens(a.cache, plan.split, plan.units.end);
  int firstTile = (warp + decodeWarps - plan.units.count % decodeWarps) % decodeWarps;
  attendExact(a, plan.split, fragments, tokens, firstTile, state, area);
  finish(state, area, headDim, plan.split.heads);
  writeSplit(a, plan.split, areas, areaBytes);
}

}  // namespace

KERNEL_RESIDENT(decode_attention_kivi_k2v2, DecodeAttentionArguments, decodeThreads,
                residentBlocks) {
  attendKivi<8, 2, 2>(a);
}
KERNEL_RESIDENT(decode_attention_kivi_k2v4, DecodeAttentionArguments, decodeThreads,
                residentBlocks) {
  attendKivi<8, 2, 4>(a);
}
KERNEL_RESIDENT(decode_attention_kivi_k4v2, DecodeAttentionArguments, decodeThreads,
                residentBlocks) {
  attendKivi<8, 4, 2>(a);
}
KERNEL_RESIDENT(decode_attention_kivi_k4v4, DecodeAttentionArguments, decodeThreads,
                residentBlocks) {
  attendKivi<8, 4, 4>(a);
}
KERNEL_RESIDENT(decode_attention_kivi_k2v2_wide, DecodeAttentionArguments, decodeThreads,
                residentWideBlocks) {
  attendKivi<16, 2, 2>(a);
}
KERNEL_RESIDENT(decode_attention_kivi_k2v4_wide, DecodeAttentionArguments, decodeThreads,
                residentWideBlocks) {
  attendKivi<16, 2, 4>(a);
}
KERNEL_RESIDENT(decode_attention_kivi_k4v2_wide, DecodeAttentionArguments, decodeThreads,
                residentWideBlocks) {
  attendKivi<16, 4, 2>(a);
}
KERNEL_RESIDENT(decode_attention_kivi_k4v4_wide, DecodeAttentionArguments, decodeThreads,
                residentWideBlocks) {
  attendKivi<16, 4, 4>(a);
}
