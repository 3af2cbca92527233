// Keeps K and V of prompts, and what decode steps push out of the windows (KIVI's algorithm 1, in the
// order of its code: append, attend, flush). Layout: cache_view.cuh; arithmetic: cache_codec.cuh.
//
// store_prompt: a block handles one page of one K/V head of one sequence: tokens [pageTokens · x,
// + pageTokens) after the sink, those of them that stay in the window, and the like positions of the
// sink. flush_window: a block handles one row and one K/V head.
// Both take a group's scale in one pass over the float16 numbers and its codes in a second one, which
// the caches serve; a thread gathers whole words in registers and stores 16 bytes. Bytes moved: each
// number read once from memory, codes and scales written once.
// Limits: headDim a multiple of 8; shared memory: 8 bytes a scale of one page (K and V take turns).
#include "cache_codec.cuh"

namespace {

constexpr int threads = 128;
constexpr int chunk = 8;  // float16 numbers in 16 bytes

// Keys of a prompt: token-major rows.
struct PromptKeys {
  const uint16_t* first;  // channel 0 of token 0
  int stride;

  DEVICE void load8(int token, int channel, uint16_t (&out)[chunk]) const {
#pragma unroll
    for (int i = 0; i < chunk; i++) {
      out[i] = first[size_t(token + i) * stride + channel];
    }
  }
};

// Keys of the window: tiles of 16 tokens, channel by channel.
struct WindowKeys {
  const unsigned char* tiles;
  int headDim;

  DEVICE void load8(int token, int channel, uint16_t (&out)[chunk]) const {
    int at = ((token / tokenTile * headDim + channel) * tokenTile + token % tokenTile) * halfBytes;
    uint4 eight = *reinterpret_cast<const uint4*>(tiles + at);
    uint32_t pairs[4] = {eight.x, eight.y, eight.z, eight.w};
#pragma unroll
    for (int i = 0; i < chunk; i++) {
      out[i] = uint16_t(pairs[i / 2] >> (i % 2 * 16));
    }
  }
};

// Encodes keys of tokens [token, token + group) of `source` as group `inPage` of a page. Ends with
// the block's threads apart.
template <typename Source>
DEVICE void encodeKeyGroup(const CacheView& cache, const Source& source, int token,
                           unsigned char* page, int inPage) {
  GroupScale* scales = reinterpret_cast<GroupScale*>(sharedMemory());
  int headDim = cache.headDim;
  uint16_t* pageScales = reinterpret_cast<uint16_t*>(page + cache.keyScaleOffset) + inPage * headDim;
  uint16_t* pageZeros = reinterpret_cast<uint16_t*>(page + cache.keyZeroOffset) + inPage * headDim;
  __syncthreads();
  for (int channel = int(threadIdx.x); channel < headDim; channel += threads) {
    HalfRange range;
    for (int t = 0; t < cache.group; t += chunk) {
      uint16_t eight[chunk];
      source.load8(token + t, channel, eight);
#pragma unroll
      for (int i = 0; i < chunk; i++) {
        range.add(eight[i]);
      }
    }
    scales[channel] =
        storeGroupScale(range, cache.keyBits, pageScales + channel, pageZeros + channel);
  }
  __syncthreads();
  int perWord = codesPerWord(cache.keyBits);
  int words = (headDim + perWord - 1) / perWord;
  uint32_t* codes = reinterpret_cast<uint32_t*>(page) + inPage * words * cache.group;
  int tasks = words * (cache.group / chunk);
  for (int task = int(threadIdx.x); task < tasks; task += threads) {
    int word = task % words;
    int t = task / words * chunk;
    uint32_t packed[chunk] = {};
    int channels = min(perWord, headDim - word * perWord);
    for (int i = 0; i < channels; i++) {
      int channel = word * perWord + i;
      GroupScale scale = scales[channel];
      uint16_t eight[chunk];
      source.load8(token + t, channel, eight);
#pragma unroll
      for (int k = 0; k < chunk; k++) {
        packed[k] |= codeOf(eight[k], scale, cache.keyBits) << (i * cache.keyBits);
      }
    }
    uint4* out = reinterpret_cast<uint4*>(codes + word * cache.group + t);
    out[0] = make_uint4(packed[0], packed[1], packed[2], packed[3]);
    out[1] = make_uint4(packed[4], packed[5], packed[6], packed[7]);
  }
}

// Encodes the first `tokens` values of a page, rows `stride` numbers apart.
DEVICE void encodeValues(const CacheView& cache, const uint16_t* rows, int stride, int tokens,
                         unsigned char* page) {
  GroupScale* scales = reinterpret_cast<GroupScale*>(sharedMemory());
  int headDim = cache.headDim;
  int groups = (headDim + cache.group - 1) / cache.group;
  uint16_t* pageScales = reinterpret_cast<uint16_t*>(page + cache.valueScaleOffset);
  uint16_t* pageZeros = reinterpret_cast<uint16_t*>(page + cache.valueZeroOffset);
  __syncthreads();
  for (int task = int(threadIdx.x); task < tokens * groups; task += threads) {
    int token = task / groups;
    int group = task % groups;
    const uint16_t* row = rows + size_t(token) * stride;
    int end = min(headDim, (group + 1) * cache.group);
    HalfRange range;
    for (int channel = group * cache.group; channel < end; channel += chunk) {
      range.add8(*reinterpret_cast<const uint4*>(row + channel));
    }
    int at = group * cache.pageTokens + token;
    scales[task] = storeGroupScale(range, cache.valueBits, pageScales + at, pageZeros + at);
  }
  __syncthreads();
  constexpr int channels = 4;
  int perWord = codesPerWord(cache.valueBits);
  int chunks = headDim / channels;
  int tasks = (tokens + perWord - 1) / perWord * chunks;
  for (int task = int(threadIdx.x); task < tasks; task += threads) {
    int channel = task % chunks * channels;
    int first = task / chunks * perWord;
    int end = min(tokens - first, perWord);
    uint32_t packed[channels] = {};
    for (int i = 0; i < end; i++) {
      GroupScale scale = scales[(first + i) * groups + channel / cache.group];
      const uint16_t* row = rows + size_t(first + i) * stride;
      uint2 four = *reinterpret_cast<const uint2*>(row + channel);
      int shift = i * cache.valueBits;
      packed[0] |= codeOf(uint16_t(four.x), scale, cache.valueBits) << shift;
      packed[1] |= codeOf(uint16_t(four.x >> 16), scale, cache.valueBits) << shift;
      packed[2] |= codeOf(uint16_t(four.y), scale, cache.valueBits) << shift;
      packed[3] |= codeOf(uint16_t(four.y >> 16), scale, cache.valueBits) << shift;
    }
    uint32_t* codes = reinterpret_cast<uint32_t*>(page + cache.valueCodeOffset);
    *reinterpret_cast<uint4*>(codes + first / perWord * headDim + channel) =
        make_uint4(packed[0], packed[1], packed[2], packed[3]);
  }
}

// Turns up to 16 rows of keys into one tile; places beyond `tokens` become 0.
DEVICE void copyKeyTile(const uint16_t* rows, int stride, int tokens, int headDim,
                        unsigned char* tile) {
  int pairs = headDim / 2;
  for (int task = int(threadIdx.x); task < 2 * pairs; task += threads) {
    int channel = task % pairs * 2;
    int first = task / pairs * chunk;
    uint32_t even[chunk / 2] = {};
    uint32_t odd[chunk / 2] = {};
#pragma unroll
    for (int i = 0; i < chunk; i++) {
      if (first + i < tokens) {
        const uint16_t* row = rows + size_t(first + i) * stride;
        uint32_t pair = *reinterpret_cast<const uint32_t*>(row + channel);
        even[i / 2] |= (pair & 0xffffu) << (i % 2 * 16);
        odd[i / 2] |= (pair >> 16) << (i % 2 * 16);
      }
    }
    uint4* out = reinterpret_cast<uint4*>(tile + (channel * tokenTile + first) * halfBytes);
    out[0] = make_uint4(even[0], even[1], even[2], even[3]);
    out[tokenTile / chunk] = make_uint4(odd[0], odd[1], odd[2], odd[3]);
  }
}

DEVICE void copyValue(const uint16_t* row, int headDim, unsigned char* target) {
  for (int i = int(threadIdx.x); i < headDim / chunk; i += threads) {
    reinterpret_cast<uint4*>(target)[i] = reinterpret_cast<const uint4*>(row)[i];
  }
}

// Positions [from, to) of one K/V head of a prompt into sink, window or fp16 page; `from` begins a
// tile of K.
struct ExactCopy {
  const uint16_t* keys;  // position 0
  const uint16_t* values;
  int stride;
  int slot;
  int kvHead;

  DEVICE void keysAt(const CacheView& cache, int from, int to) const {
    for (int position = from; position < to; position += tokenTile) {
      unsigned char* tile;
      if (hasWindows(cache)) {
        tile = windowHead(cache, slot, kvHead) + windowKeyOffset(cache, position, 0);
      } else {
        tile = pageHead(cache, slot, kvHead, position / cache.pageTokens) +
               keyOffset(cache, position % cache.pageTokens, 0);
      }
      copyKeyTile(keys + size_t(position) * stride, stride, min(tokenTile, to - position),
                  cache.headDim, tile);
    }
  }

  DEVICE void valuesAt(const CacheView& cache, int from, int to) const {
    for (int position = from; position < to; position++) {
      unsigned char* target;
      if (hasWindows(cache)) {
        target = windowHead(cache, slot, kvHead) + windowValueOffset(cache, position);
      } else {
        target = pageHead(cache, slot, kvHead, position / cache.pageTokens) +
                 cache.fp16ValueOffset + valueOffset(cache, position % cache.pageTokens);
      }
      copyValue(values + size_t(position) * stride, cache.headDim, target);
    }
  }
};

}  // namespace

KERNEL(store_prompt, StorePromptArguments, threads) {
  const CacheView& cache = a.cache;
  int sequence = int(blockIdx.z);
  int kvHead = int(blockIdx.y);
  int length = a.length[sequence];
  int slot = a.slots[sequence];
  int pageTokens = cache.pageTokens;
  int begin = int(blockIdx.x) * pageTokens;
  int stride = cache.kvHeads * cache.headDim;
  size_t offset = size_t(a.firstRow[sequence]) * stride + size_t(kvHead) * cache.headDim;
  ExactCopy exact = {a.keys + offset, a.values + offset, stride, slot, kvHead};

  int sink = min(cache.sink, length);
  exact.keysAt(cache, begin, min(sink, begin + pageTokens));
  exact.valuesAt(cache, begin, min(sink, begin + pageTokens));
  int end = min(begin + pageTokens, length - cache.sink);
  if (begin >= end) {
    return;
  }
  int keysCoded = hasWindows(cache) ? keysInPages(cache, length) : 0;
  int valuesCoded = hasWindows(cache) ? valuesInPages(cache, length) : 0;
  if (begin < keysCoded || begin < valuesCoded) {
    unsigned char* page = pageHead(cache, slot, kvHead, int(blockIdx.x));
    PromptKeys keys = {exact.keys + size_t(cache.sink) * stride, stride};
    for (int j = begin; j < min(end, keysCoded); j += cache.group) {
      encodeKeyGroup(cache, keys, j, page, (j - begin) / cache.group);
    }
    if (begin < valuesCoded) {
      encodeValues(cache, exact.values + size_t(cache.sink + begin) * stride, stride,
                   min(end, valuesCoded) - begin, page);
    }
  }
  exact.keysAt(cache, cache.sink + max(begin, keysCoded), cache.sink + end);
  exact.valuesAt(cache, cache.sink + max(begin, valuesCoded), cache.sink + end);
}

KERNEL(flush_window, FlushArguments, threads) {
  const CacheView& cache = a.cache;
  int position = a.positions[blockIdx.x];
  if (position < 0 || !hasWindows(cache)) {
    return;
  }
  int slot = a.slots[blockIdx.x];
  int kvHead = int(blockIdx.y);
  unsigned char* window = windowHead(cache, slot, kvHead);

  WindowKeys keys = {window + cache.windowKeyOffset, cache.headDim};
  int keysEnd = keysInPages(cache, position + 1);
  for (int j = keysInPages(cache, position); j < keysEnd; j += cache.group) {
    unsigned char* page = pageHead(cache, slot, kvHead, j / cache.pageTokens);
    encodeKeyGroup(cache, keys, j % cache.window, page, j % cache.pageTokens / cache.group);
  }

  int j = valuesInPages(cache, position);
  if (j == valuesInPages(cache, position + 1)) {
    return;
  }
  int headDim = cache.headDim;
  int token = j % cache.pageTokens;
  unsigned char* page = pageHead(cache, slot, kvHead, j / cache.pageTokens);
  const uint16_t* row =
      reinterpret_cast<const uint16_t*>(window + windowValueOffset(cache, cache.sink + j));
  GroupScale* scales = reinterpret_cast<GroupScale*>(sharedMemory());
  int groups = (headDim + cache.group - 1) / cache.group;
  __syncthreads();
  for (int group = int(threadIdx.x); group < groups; group += threads) {
    int end = min(headDim, (group + 1) * cache.group);
    HalfRange range;
    for (int channel = group * cache.group; channel < end; channel += chunk) {
      range.add8(*reinterpret_cast<const uint4*>(row + channel));
    }
    int at = group * cache.pageTokens + token;
    uint16_t* pageScales = reinterpret_cast<uint16_t*>(page + cache.valueScaleOffset);
    uint16_t* pageZeros = reinterpret_cast<uint16_t*>(page + cache.valueZeroOffset);
    scales[group] = storeGroupScale(range, cache.valueBits, pageScales + at, pageZeros + at);
  }
  __syncthreads();
  int perWord = codesPerWord(cache.valueBits);
  uint32_t* codes =
      reinterpret_cast<uint32_t*>(page + cache.valueCodeOffset) + token / perWord * headDim;
  int inWord = token % perWord;
  for (int channel = int(threadIdx.x); channel < headDim; channel += threads) {
    uint32_t code = codeOf(row[channel], scales[channel / cache.group], cache.valueBits);
    // The page may come from another sequence: its codes must not shine through.
    uint32_t others = inWord == 0 ? 0 : codes[channel];
    codes[channel] = others | code << (inWord * cache.valueBits);
  }
}
