// Decode attention over float16 tokens: fp16 pages, the sink, the window. A warp takes 16 tokens at a
// time: its K tile [headDim][16] lies in one piece, its 16 rows of V each. Both travel by asynchronous
// copies into the warp's own part of shared memory, K of the next 16 tokens while V of these is used
// and the other way round, so that a copy is always under way and warps never wait for each other.
//
// Tokens are the 16 rows of a matrix product, query heads its 8 columns: ldmatrix with transposition
// reads K tiles for q·K and V rows for p·V as they lie; probabilities pass from one product to the
// next by movmatrix.
#pragma once

#include "decode_state.cuh"

// Bytes between two rows of V in shared memory: an odd number of 16 bytes, so that 8 rows lie in
// different banks.
DEVICE int valueRowBytes(int headDim) { return ((headDim / 8) | 1) * 16; }

// The last 16 bytes are read, not used, where headDim is 8 too short for the last tile.
DEVICE int valueAreaBytes(int headDim) { return tokenTile * valueRowBytes(headDim) + 16; }
DEVICE int keyAreaBytes(int headDim) { return tokenTile * headDim * halfBytes; }

// Copies a tile of K; of two neighbouring 16 bytes of a channel the order changes every 4 channels,
// so that 8 channels lie in different banks.
DEVICE void copyKeyTile(unsigned char* area, const unsigned char* tile, int headDim) {
  for (int i = int(threadIdx.x) % 32; i < headDim * 2; i += 32) {
    copyAsync16(area + (i ^ (i >> 3 & 1)) * 16, tile + i * 16);
  }
}

// scores += K tile · query.
DEVICE void exactScores(const unsigned char* area, const QueryFragments& fragments, int headDim,
                        int pieces, float (&scores)[4]) {
  int lane = int(threadIdx.x) % 32;
  int channel = lane % 8 + lane / 16 * 8;
  int steps = orderedSteps(headDim);
  const unsigned char* row = area + (channel * 2 + ((lane / 8 ^ channel / 4) & 1)) * 16;
#pragma unroll 4
  for (int step = 0; step < steps; step++) {
    uint32_t keys[4];
    bool whole = step * 16 + 8 < headDim;
    const unsigned char* from = row + step * 16 * 32;
    loadMatricesTransposed(keys, whole || lane < 16 ? from : area);
    if (!whole) {
      keys[2] = keys[3] = 0;
    }
#pragma unroll 1
    for (int piece = 0; piece < pieces; piece++) {
      uint2 query = fragments.ordered[(piece * steps + step) * 32 + lane];
      uint32_t pair[2] = {query.x, query.y};
      multiplyHalf(scores, keys, pair);
    }
  }
}

// out += (rows of V)ᵀ · probabilities, in fragments of 16 tokens.
template <int OutTiles>
DEVICE void exactValues(SplitState<OutTiles>& state, const unsigned char* area, int headDim,
                        const uint32_t (&probabilities)[2]) {
  int lane = int(threadIdx.x) % 32;
  int token = lane % 8 + lane / 16 * 8;
  const unsigned char* row = area + token * valueRowBytes(headDim) + lane / 8 % 2 * 16;
#pragma unroll
  for (int i = 0; i < OutTiles; i++) {
    if (i * 16 < headDim) {
      uint32_t values[4];
      loadMatricesTransposed(values, row + i * 32);
      multiplyHalf(state.out[i], values, probabilities);
    }
  }
}

// Scores of tokens outside [from, to) become −infinity; the tile begins with `first`.
DEVICE void maskTile(float (&scores)[4], int first, int from, int to) {
  int token = first + int(threadIdx.x) % 32 / 4;
  bool upper = token >= from && token < to;
  bool lower = token + 8 >= from && token + 8 < to;
  scores[0] = upper ? scores[0] : -INFINITY;
  scores[1] = upper ? scores[1] : -INFINITY;
  scores[2] = lower ? scores[2] : -INFINITY;
  scores[3] = lower ? scores[3] : -INFINITY;
}

// Where a split's float16 tokens are: up to two runs, the sink and the rest, in tiles of 16 tokens
// that the block's warps take in turn.
struct ExactTokens {
  int sinkTiles;
  int sinkEnd;
  int restBegin;  // begins a tile of K
  int restEnd;
  int tiles;

  DEVICE int first(int tile, int sink) const {
    return tile < sinkTiles ? tile * tokenTile - sink : restBegin + (tile - sinkTiles) * tokenTile;
  }
  DEVICE int end(int tile) const { return tile < sinkTiles ? sinkEnd : restEnd; }
};

// Float16 tokens of the split from `begin` on.
DEVICE ExactTokens exactTokens(const CacheView& cache, const DecodeSplit& split, int begin) {
  int seen = max(0, split.visibleFrom - begin) / tokenTile * tokenTile;
  ExactTokens tokens;
  tokens.sinkTiles = (split.sinkTokens + tokenTile - 1) / tokenTile;
  tokens.sinkEnd = split.sinkTokens - cache.sink;
  tokens.restBegin = begin + seen;
  tokens.restEnd = split.end;
  int rest = max(0, tokens.restEnd - tokens.restBegin);
  tokens.tiles = tokens.sinkTiles + (rest + tokenTile - 1) / tokenTile;
  return tokens;
}

DEVICE const unsigned char* exactKeyTile(const CacheView& cache, const DecodeSplit& split, int token) {
  if (hasWindows(cache)) {
    return windowHead(cache, split.slot, split.kvHead) +
           windowKeyOffset(cache, cache.sink + token, 0);
  }
  return pageHead(cache, split.slot, split.kvHead, token / cache.pageTokens) +
         keyOffset(cache, token % cache.pageTokens, 0);
}

// Copies the V of tokens [first, first + 16) ∩ [from, to) into rows; the other rows become 0.
DEVICE void copyValueRows(const CacheView& cache, const DecodeSplit& split, unsigned char* area,
                          int first, int from, int to) {
  int lane = int(threadIdx.x) % 32;
  int chunks = cache.headDim / 8;
  int lanesPerRow = chunks > 16 ? 32 : chunks > 8 ? 16 : chunks > 4 ? 8 : 4;
  int rowBytes = valueRowBytes(cache.headDim);
  int chunk = lane % lanesPerRow;
  const unsigned char* base;
  int place;
  int places = 1 << 30;
  if (!hasWindows(cache)) {
    base = pageHead(cache, split.slot, split.kvHead, first / cache.pageTokens) +
           cache.fp16ValueOffset;
    place = first % cache.pageTokens;
  } else {
    base = windowHead(cache, split.slot, split.kvHead);
    if (first < 0) {
      base += cache.sinkValueOffset;
      place = first + cache.sink;
    } else {
      base += cache.windowValueOffset;
      places = cache.window + 1;
      place = first % places;
    }
  }
  if (chunk >= chunks) {
    return;
  }
  for (int row = lane / lanesPerRow; row < tokenTile; row += 32 / lanesPerRow) {
    bool valid = first + row >= from && first + row < to;
    int own = place + row < places ? place + row : place + row - places;
    int offset = valid ? valueOffset(cache, own) : 0;
    copyAsync16(area + row * rowBytes + chunk * 16, base + offset + chunk * 16, valid);
  }
}

// Attends to the warp's share of the tiles, counting the warps from `firstWarp`. The warp has no copy
// under way, before and after.
template <int OutTiles>
DEVICE void attendExact(const DecodeAttentionArguments& a, const DecodeSplit& split,
                        const QueryFragments& fragments, const ExactTokens& tokens, int firstTile,
                        SplitState<OutTiles>& state, unsigned char* area) {
  const CacheView& cache = a.cache;
  int headDim = cache.headDim;
  int lane = int(threadIdx.x) % 32;
  unsigned char* valueArea = area + keyAreaBytes(headDim);
  int tile = firstTile;
  if (tile < tokens.tiles) {
    int first = tokens.first(tile, cache.sink);
    copyKeyTile(area, exactKeyTile(cache, split, first), headDim);
    commitCopies();
    copyValueRows(cache, split, valueArea, first, first, tokens.end(tile));
    commitCopies();
  }
  state.lower(0);
#pragma unroll 1
  for (; tile < tokens.tiles; tile += decodeWarps) {
    int first = tokens.first(tile, cache.sink);
    int next = tile + decodeWarps;
    float scores[1][4] = {};
    waitForCopies<1>();
    __syncwarp();
    exactScores(area, fragments, headDim, a.pieces, scores[0]);
    __syncwarp();
    if (next < tokens.tiles) {
      copyKeyTile(area, exactKeyTile(cache, split, tokens.first(next, cache.sink)), headDim);
    }
    commitCopies();
    float even = fragments.factors[lane % 4 * 2];
    float odd = fragments.factors[lane % 4 * 2 + 1];
    scores[0][0] *= even;
    scores[0][1] *= odd;
    scores[0][2] *= even;
    scores[0][3] *= odd;
    maskTile(scores[0], first, split.visibleFrom, tokens.end(tile));
    state.absorb(scores);
    waitForCopies<1>();
    __syncwarp();
#pragma unroll 1
    for (int piece = 0; piece < a.pieces; piece++) {
      uint32_t probabilities[2] = {
          transposeMatrix(half2Piece(scores[0][0], scores[0][1], piece)),
          transposeMatrix(half2Piece(scores[0][2], scores[0][3], piece))};
      exactValues(state, valueArea, headDim, probabilities);
    }
    __syncwarp();
    if (next < tokens.tiles) {
      int nextFirst = tokens.first(next, cache.sink);
      copyValueRows(cache, split, valueArea, nextFirst, nextFirst, tokens.end(next));
    }
    commitCopies();
  }
  waitForCopies<0>();
  __syncwarp();
}
