// Keeps K and V of prompts, and what decode steps push out of the windows (KIVI's algorithm 1, in the
// order of its code: append, attend, flush). Layout: cache_view.cuh; arithmetic: cache_codec.cuh.
//
// store_prompt: a block handles one page of one K/V head of one sequence: tokens [pageTokens · x,
// + pageTokens) after the sink, those of them that stay in the window, and the like positions of the
// sink. stage_prompt: a block copies what a step has added to one page of one K/V head of one sequence.
// flush_window: a block handles one row and one K/V head.
// Both take a group's scale in one pass over the float16 numbers and its codes in a second one, which
// the caches serve; a thread gathers whole words in registers and stores 16 bytes. Bytes moved: each
// number read once from memory, codes and scales written once.
// Limits: headDim a multiple of 8; shared memory: 8 bytes a scale of one page (K and V take turns).
#include "cache_codec.cuh"
#include "prompt_view.cuh"

namespace {

constexpr int threads = 128;
constexpr int chunk = 8;  // float16 numbers in 16 bytes

// Eight keys of a prompt, a channel of each.
struct PromptKeyRun {
  const uint16_t* row;
  int stride;

  DEVICE void load8(int channel, uint16_t (&out)[chunk]) const {
#pragma unroll
    for (int i = 0; i < chunk; i++) {
      out[i] = row[size_t(i) * stride + channel];
    }
  }
};

// Keys of a prompt, token by token; token 0 is the one at position `first`, a multiple of 8.
struct PromptKeys {
  const PromptTokens& tokens;
  int first;

  // Earlier tokens end where a page does, so all eight lie alike.
  DEVICE PromptKeyRun run8(int token) const {
    int position = first + token;
    int stride = position < tokens.earlier ? tokens.headDim : tokens.kvHeads * tokens.headDim;
    return {tokens.key(position), stride};
  }
};

// Values of a prompt, likewise.
struct PromptValues {
  const PromptTokens& tokens;
  int first;

  DEVICE const uint16_t* row(int token) const { return tokens.value(first + token); }
};

// Keys of the window: tiles of 16 tokens, channel by channel.
struct WindowKeyRun {
  const unsigned char* row;

  DEVICE void load8(int channel, uint16_t (&out)[chunk]) const {
    uint4 eight = *reinterpret_cast<const uint4*>(row + channel * tokenTile * halfBytes);
    uint32_t pairs[4] = {eight.x, eight.y, eight.z, eight.w};
#pragma unroll
    for (int i = 0; i < chunk; i++) {
      out[i] = uint16_t(pairs[i / 2] >> (i % 2 * 16));
    }
  }
};

struct WindowKeys {
  const unsigned char* tiles;
  int headDim;

  DEVICE WindowKeyRun run8(int token) const {
    int at = token / tokenTile * headDim * tokenTile + token % tokenTile;
    return {tiles + at * halfBytes};
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
      source.run8(token + t).load8(channel, eight);
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
    auto keys = source.run8(token + t);
    for (int i = 0; i < channels; i++) {
      int channel = word * perWord + i;
      GroupScale scale = scales[channel];
      uint16_t eight[chunk];
      keys.load8(channel, eight);
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

// Encodes the first `tokens` values of a page.
DEVICE void encodeValues(const CacheView& cache, const PromptValues& values, int tokens,
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
    const uint16_t* row = values.row(token);
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
      const uint16_t* row = values.row(first + i);
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

// Turns the keys of positions [from, to) into rows of one tile, which begins with position `begin`; places
// before them stay, those behind become 0.
DEVICE void copyKeyTile(const PromptTokens& tokens, int begin, int from, int to,
                        unsigned char* tile) {
  int pairs = tokens.headDim / 2;
  for (int task = int(threadIdx.x); task < 2 * pairs; task += threads) {
    int channel = task % pairs * 2;
    int place = task / pairs * chunk;
    uint4* out = reinterpret_cast<uint4*>(tile + (channel * tokenTile + place) * halfBytes);
    uint4 even = make_uint4(0, 0, 0, 0);
    uint4 odd = even;
    if (begin + place < from) {
      even = out[0];
      odd = out[tokenTile / chunk];
    }
    uint32_t evens[chunk / 2] = {even.x, even.y, even.z, even.w};
    uint32_t odds[chunk / 2] = {odd.x, odd.y, odd.z, odd.w};
#pragma unroll
    for (int i = 0; i < chunk; i++) {
      int position = begin + place + i;
      if (position >= from) {
        uint32_t pair = 0;
        if (position < to) {
          pair = *reinterpret_cast<const uint32_t*>(tokens.key(position) + channel);
        }
        int shift = i % 2 * 16;
        uint32_t others = 0xffff0000u >> shift;
        evens[i / 2] = (evens[i / 2] & others) | (pair & 0xffffu) << shift;
        odds[i / 2] = (odds[i / 2] & others) | pair >> 16 << shift;
      }
    }
    out[0] = make_uint4(evens[0], evens[1], evens[2], evens[3]);
    out[tokenTile / chunk] = make_uint4(odds[0], odds[1], odds[2], odds[3]);
  }
}

DEVICE void copyValue(const uint16_t* row, int headDim, unsigned char* target) {
  for (int i = int(threadIdx.x); i < headDim / chunk; i += threads) {
    reinterpret_cast<uint4*>(target)[i] = reinterpret_cast<const uint4*>(row)[i];
  }
}

// Positions [from, to) of one K/V head of a prompt into sink, window or fp16 page.
struct ExactCopy {
  const PromptTokens& tokens;
  int slot;

  DEVICE void keysAt(const CacheView& cache, int from, int to) const {
    int kvHead = tokens.kvHead;
    for (int begin = from / tokenTile * tokenTile; begin < to; begin += tokenTile) {
      unsigned char* tile;
      if (hasWindows(cache)) {
        tile = windowHead(cache, slot, kvHead) + windowKeyOffset(cache, begin, 0);
      } else {
        tile = pageHead(cache, slot, kvHead, begin / cache.pageTokens) +
               keyOffset(cache, begin % cache.pageTokens, 0);
      }
      copyKeyTile(tokens, begin, from, to, tile);
    }
  }

  DEVICE void valuesAt(const CacheView& cache, int from, int to) const {
    for (int position = from; position < to; position++) {
      unsigned char* target;
      if (hasWindows(cache)) {
        target = windowHead(cache, slot, tokens.kvHead) + windowValueOffset(cache, position);
      } else {
        target = pageHead(cache, slot, tokens.kvHead, position / cache.pageTokens) +
                 cache.fp16ValueOffset + valueOffset(cache, position % cache.pageTokens);
      }
      copyValue(tokens.value(position), cache.headDim, target);
    }
  }
};

}  // namespace

KERNEL(store_prompt, StorePromptArguments, threads) {
  const CacheView& cache = a.cache;
  int sequence = int(blockIdx.z);
  int length = a.stored[sequence];
  int pageTokens = cache.pageTokens;
  int begin = int(blockIdx.x) * pageTokens;
  PromptTokens tokens(a.prompts, sequence, int(blockIdx.y), cache.kvHeads, cache.headDim);
  int slot = a.prompts.slots[sequence];
  ExactCopy exact = {tokens, slot};
  if (!hasWindows(cache)) {
    int end = min(begin + pageTokens, length);
    exact.keysAt(cache, max(begin, tokens.earlier), end);
    exact.valuesAt(cache, max(begin, tokens.earlier), end);
    return;
  }

  int sink = min(cache.sink, length);
  exact.keysAt(cache, begin, min(sink, begin + pageTokens));
  exact.valuesAt(cache, begin, min(sink, begin + pageTokens));
  int end = min(begin + pageTokens, length - cache.sink);
  if (begin >= end) {
    return;
  }
  int keysCoded = keysInPages(cache, length);
  int valuesCoded = valuesInPages(cache, length);
  exact.keysAt(cache, cache.sink + max(begin, keysCoded), cache.sink + end);
  exact.valuesAt(cache, cache.sink + max(begin, valuesCoded), cache.sink + end);
  bool isShared = int(blockIdx.x) < a.sharedPages[sequence];
  if (isShared || begin >= max(keysCoded, valuesCoded)) {
    return;
  }
  unsigned char* page = pageHead(cache, slot, tokens.kvHead, int(blockIdx.x));
  PromptKeys keys = {tokens, cache.sink};
  for (int j = begin; j < min(end, keysCoded); j += cache.group) {
    encodeKeyGroup(cache, keys, j, page, (j - begin) / cache.group);
  }
  if (begin < valuesCoded) {
    PromptValues values = {tokens, cache.sink + begin};
    encodeValues(cache, values, min(end, valuesCoded) - begin, page);
  }
}

KERNEL(stage_prompt, StagePromptArguments, threads) {
  int sequence = int(blockIdx.z);
  PromptTokens tokens(a.prompts, sequence, int(blockIdx.y), a.kvHeads, a.headDim);
  int begin = (tokens.earlier / keptTokens + int(blockIdx.x)) * keptTokens;
  int from = max(begin, tokens.earlier);
  int to = min(begin + keptTokens, min(tokens.length, a.staged[sequence]));
  int chunks = a.headDim / chunk;
  for (int task = int(threadIdx.x); task < (to - from) * chunks; task += threads) {
    int position = from + task / chunks;
    int channel = task % chunks * chunk;
    *reinterpret_cast<uint4*>(tokens.keptKey(position) + channel) =
        *reinterpret_cast<const uint4*>(tokens.view.keys + tokens.rowOffset(position) + channel);
    *reinterpret_cast<uint4*>(tokens.keptValue(position) + channel) =
        *reinterpret_cast<const uint4*>(tokens.view.values + tokens.rowOffset(position) + channel);
  }
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
