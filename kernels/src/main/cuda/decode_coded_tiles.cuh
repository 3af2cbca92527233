// A warp's way through the coded tokens of a split. See decode_coded.cuh.
#pragma once

#include "decode_coded_products.cuh"

// The coded tokens of a split in units that the block's warps take in turn: whole tiles as far as
// some V is coded too, then, where K is coded and V still in the window, 16 tokens each, so that all
// warps share them.
struct CodedUnits {
  int firstTile;
  int tileCount;
  int tileBegin;
  int mixedBegin;
  int end;
  int tileTokens;
  int count;

  DEVICE int first(int unit) const {
    return unit < tileCount ? tileBegin + unit * tileTokens
                            : mixedBegin + (unit - tileCount) * tokenTile;
  }
  DEVICE int tokens(int unit) const {
    return min(unit < tileCount ? tileTokens : tokenTile, end - first(unit));
  }
};

DEVICE CodedUnits codedUnits(const DecodeSplit& split, int tileTokens) {
  CodedUnits units;
  units.tileTokens = tileTokens;
  units.end = max(split.begin, min(split.end, split.keysCoded));
  int coded = max(0, min(units.end, split.valuesCoded) - split.begin);
  int tiles = (coded + tileTokens - 1) / tileTokens;
  int hidden = max(0, split.visibleFrom - split.begin);
  int skipped = min(tiles, hidden / tileTokens);
  units.tileBegin = split.begin + skipped * tileTokens;
  units.tileCount = tiles - skipped;
  int mixed = min(units.end, split.begin + tiles * tileTokens);
  units.mixedBegin = mixed + max(0, split.visibleFrom - mixed) / tokenTile * tokenTile;
  int rest = max(0, units.end - units.mixedBegin);
  units.count = units.tileCount + (rest + tokenTile - 1) / tokenTile;
  return units;
}

// What a block's warps look up instead of keeping it in registers.
struct CodedPlan {
  DecodeSplit split;
  CodedUnits units;
  StageLayout stage;
};
static_assert(planOffset + sizeof(CodedPlan) <= headerBytes, "the header holds the plan");

DEVICE const CodedPlan& codedPlan() {
  return *reinterpret_cast<const CodedPlan*>(sharedMemory() + planOffset);
}

// The one or two pages that a unit's tokens are in.
struct UnitPages {
  const unsigned char* first;
  const unsigned char* second;
  int page;      // the first's place among the sequence's pages
  int boundary;  // tokens of the unit in the first page

  DEVICE const unsigned char* of(int token) const { return token < boundary ? first : second; }
  DEVICE int place(int token, int inFirst, int pageTokens) const {
    return token + inFirst - (token < boundary ? 0 : pageTokens);
  }
};

DEVICE UnitPages unitPages(const CacheView& cache, const DecodeSplit& split, int first, int tokens) {
  UnitPages pages;
  pages.page = first / cache.pageTokens;
  pages.boundary = (pages.page + 1) * cache.pageTokens - first;
  pages.first = pageHead(cache, split.slot, split.kvHead, pages.page);
  pages.second = pages.boundary < tokens
                     ? pageHead(cache, split.slot, split.kvHead, pages.page + 1)
                     : pages.first;
  return pages;
}

DEVICE int lanesFor(int chunks) { return chunks > 16 ? 32 : chunks > 8 ? 16 : chunks > 4 ? 8 : 4; }

template <int Bits, int Tiles>
DEVICE void copyUnitKeys(const CacheView& cache, const StageLayout& layout, unsigned char* stage,
                         const UnitPages& pages, int first, int tokens) {
  constexpr int chunksPerRow = Tiles * tokenTile / 4;
  int lane = int(threadIdx.x) % 32;
  int headDim = cache.headDim;
  int inFirst = first - pages.page * cache.pageTokens;
  int words = (headDim + Codes<Bits>::perWord - 1) / Codes<Bits>::perWord;
  int chunk = lane % chunksPerRow;
  if (chunk * 4 < tokens) {
    int place = pages.place(chunk * 4, inFirst, cache.pageTokens);
    int group = place >= cache.group ? 1 : 0;
    int word = group * words * cache.group + place - group * cache.group;
    const unsigned char* from = pages.of(chunk * 4) + word * 4;
    for (int row = lane / chunksPerRow; row < words; row += 32 / chunksPerRow) {
      copyAsync16(stage + row * (chunksPerRow * chunkBytes) + (chunk ^ (2 * (row & 3))) * chunkBytes,
                  from + row * cache.group * 4);
    }
  }

  int chunks = headDim / 8;
  int lanesPerRow = lanesFor(chunks);
  chunk = lane % lanesPerRow;
  int firstGroup = first - first % cache.group;
  int rows = 2 * ((first + tokens - firstGroup + cache.group - 1) / cache.group);
  if (chunk < chunks) {
    for (int row = lane / lanesPerRow; row < rows; row += 32 / lanesPerRow) {
      int token = firstGroup - first + row / 2 * cache.group;
      int group = pages.place(token, inFirst, cache.pageTokens) >= cache.group ? 1 : 0;
      int offset = (row % 2 == 0 ? cache.keyScaleOffset : cache.keyZeroOffset) +
                   group * headDim * halfBytes;
      copyAsync16(stage + layout.keyScales + row * headDim * halfBytes + chunk * chunkBytes,
                  pages.of(token) + offset + chunk * chunkBytes);
    }
  }
}

// The first `tokens` values; scales and zeros of the others become 0, up to the next multiple of 8
// beyond `tokens` by clearRest.
template <int Bits, int Tiles>
DEVICE void copyUnitValues(const CacheView& cache, const StageLayout& layout, unsigned char* stage,
                           const UnitPages& pages, int first, int tokens) {
  constexpr int perWord = Codes<Bits>::perWord;
  constexpr int chunksPerRow = Tiles * tokenTile / 8;
  int lane = int(threadIdx.x) % 32;
  int headDim = cache.headDim;
  int inFirst = first - pages.page * cache.pageTokens;
  int chunks = headDim / 4;
  int lanesPerRow = lanesFor(chunks);
  int rowBytes = valueCodeRow(headDim) * 4;
  for (int row = lane / lanesPerRow; row < 4; row += 32 / lanesPerRow) {
    int token = row * perWord;
    if (token < tokens) {
      int word = pages.place(token, inFirst, cache.pageTokens) / perWord;
      const unsigned char* from = pages.of(token) + cache.valueCodeOffset + word * headDim * 4;
      unsigned char* to = stage + layout.valueCodes + row * rowBytes;
      for (int chunk = lane % lanesPerRow; chunk < chunks; chunk += lanesPerRow) {
        copyAsync16(to + (chunk ^ (2 * row)) * chunkBytes, from + chunk * chunkBytes);
      }
    }
  }

  int groups = (headDim + cache.group - 1) / cache.group;
  int scaleRow = layout.valueRowBytes(Tiles * tokenTile);
  int chunk = lane % chunksPerRow;
  int token = chunk * 8;
  bool valid = token < tokens;
  const unsigned char* page = valid ? pages.of(token) : pages.first;
  int place = valid ? pages.place(token, inFirst, cache.pageTokens) : 0;
  for (int row = lane / chunksPerRow; row < 2 * groups; row += 32 / chunksPerRow) {
    int offset = row < groups ? cache.valueScaleOffset + row * cache.pageTokens * halfBytes
                              : cache.valueZeroOffset + (row - groups) * cache.pageTokens * halfBytes;
    copyAsync16(stage + layout.valueScales + row * scaleRow + chunk * chunkBytes,
                page + offset + place * halfBytes, valid);
  }
}

// Puts 0 for scales and zeros of the tokens from `tokens` to the next multiple of 8.
DEVICE void clearRest(const StageLayout& layout, unsigned char* stage, int groups, int scaleRow,
                      int tokens) {
  __syncwarp();
  for (int row = int(threadIdx.x) % 32; row < 2 * groups; row += 32) {
    uint16_t* halves = reinterpret_cast<uint16_t*>(stage + layout.valueScales + row * scaleRow);
    for (int token = tokens; token % 8 != 0; token++) {
      halves[token] = 0;
    }
  }
  __syncwarp();
}

// Adds the float16 values of a unit whose K is coded, 16 rows at a time in `area`; the rows from
// `block` on are under way.
template <int OutTiles, int Tiles>
DEVICE void addWindowValues(const DecodeAttentionArguments& a, const DecodeSplit& split,
                            const unsigned char* planes, unsigned char* area, int block, int first,
                            int tokens, SplitState<OutTiles>& state) {
  state.lower(0);
#pragma unroll 1
  for (; block * tokenTile < tokens; block++) {
    waitForCopies<0>();
    __syncwarp();
#pragma unroll 1
    for (int piece = 0; piece < a.pieces; piece++) {
      uint32_t four[4];
      loadOrdered(planes + piece * Tiles * tokenTile * chunkBytes, block / 2 * 32, four);
      uint32_t probabilities[2] = {block % 2 == 0 ? four[0] : four[2],
                                   block % 2 == 0 ? four[1] : four[3]};
      exactValues(state, area, a.cache.headDim, probabilities);
    }
    __syncwarp();
    int next = block + 1;
    if (next * tokenTile < tokens) {
      copyValueRows(a.cache, split, area, first + next * tokenTile,
                    max(first, split.valuesCoded), first + tokens);
      commitCopies();
    }
  }
}

template <int KeyBits, int ValueBits>
DEVICE void copyUnit(const CacheView& cache, int unit, unsigned char* stage) {
  constexpr int tileTokens = 4 * Codes<ValueBits>::perWord;
  constexpr int tiles = tileTokens / tokenTile;
  const CodedPlan& plan = codedPlan();
  if (unit < plan.units.count) {
    int first = plan.units.first(unit);
    int tokens = plan.units.tokens(unit);
    UnitPages pages = unitPages(cache, plan.split, first, tokens);
    copyUnitKeys<KeyBits, tiles>(cache, plan.stage, stage, pages, first, tokens);
    if (unit < plan.units.tileCount) {
      int coded = min(tokens, plan.split.valuesCoded - first);
      copyUnitValues<ValueBits, tiles>(cache, plan.stage, stage, pages, first, coded);
    }
  }
  commitCopies();
}

// Attends to the warp's share of the coded tokens. No copy is under way, before and after.
template <int OutTiles, int KeyBits, int ValueBits>
DEVICE void attendCoded(const DecodeAttentionArguments& a, const QueryFragments& fragments,
                        SplitState<OutTiles>& state, unsigned char* area) {
  constexpr int tileTokens = 4 * Codes<ValueBits>::perWord;
  constexpr int tiles = tileTokens / tokenTile;
  const CacheView& cache = a.cache;
  const CodedPlan& plan = codedPlan();
  int unit = int(threadIdx.x) / 32;
  unsigned char* stage = area;
  unsigned char* other = area + plan.stage.bytes;
  bool twoStages = plan.stage.otherBytes == plan.stage.bytes;
  copyUnit<KeyBits, ValueBits>(cache, unit, stage);
#pragma unroll 1
  for (; unit < plan.units.count; unit += decodeWarps) {
    int first = plan.units.first(unit);
    int tokens = plan.units.tokens(unit);
    int coded = max(0, min(tokens, plan.split.valuesCoded - first));
    int block = coded / tokenTile;
    bool exact = coded < tokens;
    if (!exact && twoStages) {
      copyUnit<KeyBits, ValueBits>(cache, unit + decodeWarps, other);
    } else {
      if (exact) {
        copyValueRows(cache, plan.split, other, first + block * tokenTile,
                      max(first, plan.split.valuesCoded), first + tokens);
      }
      commitCopies();
    }
    waitForCopies<1>();
    __syncwarp();

    float scores[tiles][4] = {};
    codedScores<KeyBits>(a, fragments, plan.stage, stage, first, tokens, scores);
    if (tokens < tileTokens || plan.split.visibleFrom > first) {
#pragma unroll
      for (int i = 0; i < tiles; i++) {
        maskTile(scores[i], first + i * tokenTile, plan.split.visibleFrom, first + tokens);
      }
    }
    if (coded > 0) {
      int groups = (cache.headDim + cache.group - 1) / cache.group;
      int scaleRow = plan.stage.valueRowBytes(tileTokens);
      if (coded % 8 != 0) {
        clearRest(plan.stage, stage, groups, scaleRow, coded);
      }
      int exponent = largestExponent(stage + plan.stage.valueScales, scaleRow, tileTokens / 8,
                                     groups * (tileTokens / 8));
      state.limitShift(min(largestShift, largestShift - exponent));
    }
    state.absorb(scores);
    __syncwarp();
    storeProbabilities(stage, a.pieces, scores);
    __syncwarp();
    if (coded > 0) {
      codedValues<OutTiles, ValueBits, tiles>(a, plan.stage, stage, state);
    }
    if (exact) {
      addWindowValues<OutTiles, tiles>(a, plan.split, stage, other, block, first, tokens, state);
    }
    __syncwarp();
    if (exact || !twoStages) {
      copyUnit<KeyBits, ValueBits>(cache, unit + decodeWarps, twoStages ? other : stage);
    }
    if (twoStages) {
      unsigned char* done = stage;
      stage = other;
      other = done;
    }
  }
  waitForCopies<0>();
  __syncwarp();
}
