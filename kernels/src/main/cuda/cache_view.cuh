// Addresses in a cache: what Java's CacheLayout says in its class comment, for one layer of a
// CacheView. A slot is a sequence's place in the page table and the windows; positions count from the
// sequence's start, tokens after the sink have index position − sink. Offsets are in bytes.
#pragma once

#include "device.cuh"

// Tokens that lie side by side in K: tiles of K are [slots / 16][headDim][16] float16.
constexpr int tokenTile = 16;
constexpr int halfBytes = 2;
constexpr float largestHalf = 65504.0f;

// As K and V are kept: the nearest float16, saturated, so that one outlier never becomes an infinity;
// NaN stays NaN.
DEVICE uint16_t cachedHalf(float x) {
  x = x > largestHalf ? largestHalf : x;
  return halfFromFloat(x < -largestHalf ? -largestHalf : x);
}
DEVICE uint32_t cachedHalf2(float low, float high) {
  return uint32_t(cachedHalf(low)) | uint32_t(cachedHalf(high)) << 16;
}

// The fp16 policy keeps every token in pages; the others keep the newest in windows.
DEVICE bool hasWindows(const CacheView& cache) { return cache.keyBits < 16; }

// A K/V head's part of the page that holds tokens [pageIndex · pageTokens, + pageTokens) of a slot.
DEVICE unsigned char* pageHead(const CacheView& cache, int slot, int kvHead, int pageIndex) {
  size_t entry = (size_t(slot) * cache.layers + cache.layer) * cache.maxPages + pageIndex;
  size_t page = size_t(cache.pageTable[entry]);
  return cache.pages + (page * cache.kvHeads + kvHead) * cache.pageHeadBytes;
}

// A K/V head's part of a slot's window.
DEVICE unsigned char* windowHead(const CacheView& cache, int slot, int kvHead) {
  size_t head = (size_t(slot) * cache.layers + cache.layer) * cache.kvHeads + kvHead;
  return cache.windows + head * cache.windowHeadBytes;
}

// Channel `channel` of the token in place `place` of tiles of K.
DEVICE int keyOffset(const CacheView& cache, int place, int channel) {
  int tile = place / tokenTile;
  return ((tile * cache.headDim + channel) * tokenTile + place % tokenTile) * halfBytes;
}

// The first channel of row `place` of float16 values [rows][headDim].
DEVICE int valueOffset(const CacheView& cache, int place) {
  return place * cache.headDim * halfBytes;
}

// From windowHead: channel `channel` of the K of a token in the sink or the window.
DEVICE int windowKeyOffset(const CacheView& cache, int position, int channel) {
  if (position < cache.sink) {
    return keyOffset(cache, position, channel);
  }
  int place = (position - cache.sink) % cache.window;
  return cache.windowKeyOffset + keyOffset(cache, place, channel);
}

// From windowHead: the V of a token in the sink or the window, which has room for one token more than
// K's: the oldest leaves only after the newest has attended.
DEVICE int windowValueOffset(const CacheView& cache, int position) {
  if (position < cache.sink) {
    return cache.sinkValueOffset + valueOffset(cache, position);
  }
  int place = (position - cache.sink) % (cache.window + 1);
  return cache.windowValueOffset + valueOffset(cache, place);
}

// Tokens after the sink whose K is in pages, once `length` tokens are cached and flushed.
DEVICE int keysInPages(const CacheView& cache, int length) {
  if (!hasWindows(cache)) {
    return length;
  }
  int beyondSink = max(0, length - cache.sink);
  return beyondSink - beyondSink % cache.window;
}

// Tokens after the sink whose V is in pages, once `length` tokens are cached and flushed.
DEVICE int valuesInPages(const CacheView& cache, int length) {
  return hasWindows(cache) ? max(0, length - cache.sink - cache.window) : length;
}

// Quantized codes in a 32-bit word.
DEVICE int codesPerWord(int bits) { return 32 / bits; }
