// Between the projection of a row and its attention: the norm of query and key heads where the model
// has one, the rotary embedding (arXiv 2104.09864) on pairs (i, i + headDim/2), queries scaled for
// attention, K and V rounded to float16 and put where attention reads them.
//
// One warp a head: of a row's heads first the queries, then K, then V. A lane holds neighbouring pairs,
// two where headDim/2 is even (8-byte loads and stores of whole sectors), else one. The sum of a norm
// is each lane's own in the order of its pairs, then a butterfly: it depends on headDim alone. Moves
// 4 bytes in and 4 (queries) or 2 (K, V) out a number; nothing is read twice.
//
// Grid: (rows, headBlocks(queryHeads + 2 · kvHeads)), 4 heads a block. headDim is even, up to 256.
#include "cache_view.cuh"

namespace {

constexpr int warpLanes = 32;
constexpr int headsPerBlock = 4;
constexpr int maxHalf = 128;

// What a lane holds of a head: `Width` pairs in each of `rounds` rounds.
template <int Width>
struct HeadPairs {
  static constexpr int rounds = maxHalf / (warpLanes * Width);
  float first[rounds][Width];
  float second[rounds][Width];
};

// The lane's first pair of a round.
template <int Width>
DEVICE int pairOf(int round) {
  return (round * warpLanes + int(threadIdx.x) % warpLanes) * Width;
}

template <int Width>
DEVICE void loadNumbers(float (&x)[Width], const float* source) {
  if constexpr (Width == 2) {
    float2 both = *reinterpret_cast<const float2*>(source);
    x[0] = both.x;
    x[1] = both.y;
  } else {
    x[0] = *source;
  }
}

template <int Width>
DEVICE void storeNumbers(float* target, const float (&x)[Width]) {
  if constexpr (Width == 2) {
    *reinterpret_cast<float2*>(target) = make_float2(x[0], x[1]);
  } else {
    *target = x[0];
  }
}

template <int Width>
DEVICE void storeHalves(uint16_t* target, const float (&x)[Width]) {
  if constexpr (Width == 2) {
    *reinterpret_cast<uint32_t*>(target) = cachedHalf2(x[0], x[1]);
  } else {
    *target = cachedHalf(x[0]);
  }
}

template <int Width>
DEVICE void loadHead(HeadPairs<Width>& head, const float* source, int half) {
#pragma unroll
  for (int round = 0; round < HeadPairs<Width>::rounds; round++) {
    int pair = pairOf<Width>(round);
    if (pair < half) {
      loadNumbers<Width>(head.first[round], source + pair);
      loadNumbers<Width>(head.second[round], source + half + pair);
    }
  }
}

template <int Width>
DEVICE void normalize(HeadPairs<Width>& head, const float* weight, int half, float epsilon) {
  float sum = 0;
#pragma unroll
  for (int round = 0; round < HeadPairs<Width>::rounds; round++) {
    if (pairOf<Width>(round) < half) {
#pragma unroll
      for (int i = 0; i < Width; i++) {
        sum = fmaf(head.first[round][i], head.first[round][i], sum);
        sum = fmaf(head.second[round][i], head.second[round][i], sum);
      }
    }
  }
#pragma unroll
  for (int distance = warpLanes / 2; distance > 0; distance /= 2) {
    sum += __shfl_xor_sync(~0u, sum, distance);
  }
  float root = sqrtf(sum / float(2 * half) + epsilon);
#pragma unroll
  for (int round = 0; round < HeadPairs<Width>::rounds; round++) {
    int pair = pairOf<Width>(round);
    if (pair < half) {
#pragma unroll
      for (int i = 0; i < Width; i++) {
        head.first[round][i] = head.first[round][i] / root * weight[pair + i];
        head.second[round][i] = head.second[round][i] / root * weight[half + pair + i];
      }
    }
  }
}

// `cosSin` is the position's row of the table.
template <int Width>
DEVICE void rotate(HeadPairs<Width>& head, const float* cosSin, int half) {
#pragma unroll
  for (int round = 0; round < HeadPairs<Width>::rounds; round++) {
    int pair = pairOf<Width>(round);
    if (pair < half) {
      float cosine[Width];
      float sine[Width];
      loadNumbers<Width>(cosine, cosSin + pair);
      loadNumbers<Width>(sine, cosSin + half + pair);
#pragma unroll
      for (int i = 0; i < Width; i++) {
        float x = head.first[round][i];
        float y = head.second[round][i];
        head.first[round][i] = fmaf(x, cosine[i], -(y * sine[i]));
        head.second[round][i] = fmaf(y, cosine[i], x * sine[i]);
      }
    }
  }
}

template <int Width>
DEVICE void storeQuery(HeadPairs<Width>& head, float* target, int half, float scale) {
#pragma unroll
  for (int round = 0; round < HeadPairs<Width>::rounds; round++) {
    int pair = pairOf<Width>(round);
    if (pair < half) {
#pragma unroll
      for (int i = 0; i < Width; i++) {
        head.first[round][i] *= scale;
        head.second[round][i] *= scale;
      }
      storeNumbers<Width>(target + pair, head.first[round]);
      storeNumbers<Width>(target + half + pair, head.second[round]);
    }
  }
}

template <int Width>
DEVICE void storeRow(const HeadPairs<Width>& head, uint16_t* target, int half) {
#pragma unroll
  for (int round = 0; round < HeadPairs<Width>::rounds; round++) {
    int pair = pairOf<Width>(round);
    if (pair < half) {
      storeHalves<Width>(target + pair, head.first[round]);
      storeHalves<Width>(target + half + pair, head.second[round]);
    }
  }
}

// Puts a token's K among tiles of K, where its channels lie a tile's row apart.
template <int Width>
DEVICE void storeInTile(const HeadPairs<Width>& head, unsigned char* token, int half) {
  uint16_t* channels = reinterpret_cast<uint16_t*>(token);
#pragma unroll
  for (int round = 0; round < HeadPairs<Width>::rounds; round++) {
    int pair = pairOf<Width>(round);
    if (pair < half) {
#pragma unroll
      for (int i = 0; i < Width; i++) {
        channels[(pair + i) * tokenTile] = cachedHalf(head.first[round][i]);
        channels[(half + pair + i) * tokenTile] = cachedHalf(head.second[round][i]);
      }
    }
  }
}

enum class Phase { prompt, decode };
enum class Part { key, value };

template <int Width>
DEVICE void storeInCache(const RotaryArguments& a, const HeadPairs<Width>& head, Part part, int row,
                         int kvHead) {
  const CacheView& cache = a.cache;
  int position = a.positions[row];
  unsigned char* keyToken;
  unsigned char* valueToken;
  if (hasWindows(cache)) {
    unsigned char* window = windowHead(cache, a.slots[row], kvHead);
    keyToken = window + windowKeyOffset(cache, position, 0);
    valueToken = window + windowValueOffset(cache, position);
  } else {
    int place = position % cache.pageTokens;
    unsigned char* page = pageHead(cache, a.slots[row], kvHead, position / cache.pageTokens);
    keyToken = page + keyOffset(cache, place, 0);
    valueToken = page + cache.fp16ValueOffset + valueOffset(cache, place);
  }
  if (part == Part::key) {
    storeInTile<Width>(head, keyToken, a.headDim / 2);
  } else {
    storeRow<Width>(head, reinterpret_cast<uint16_t*>(valueToken), a.headDim / 2);
  }
}

template <Phase phase, int Width>
DEVICE void rotateHead(const RotaryArguments& a, int row, int headOfRow) {
  int half = a.headDim / 2;
  const float* cosSin = a.cosSin + size_t(a.positions[row]) * a.headDim;
  HeadPairs<Width> head;
  loadHead(head, a.qkv + size_t(row) * a.qkvStride + headOfRow * a.headDim, half);
  if (headOfRow < a.queryHeads) {
    if (a.queryNorm != nullptr) {
      normalize(head, a.queryNorm, half, a.epsilon);
    }
    rotate(head, cosSin, half);
    float* query = a.query + (size_t(row) * a.queryHeads + headOfRow) * a.headDim;
    storeQuery(head, query, half, a.queryScale);
    return;
  }
  Part part = headOfRow < a.queryHeads + a.kvHeads ? Part::key : Part::value;
  int kvHead = (headOfRow - a.queryHeads) % a.kvHeads;
  if (part == Part::key) {
    if (a.keyNorm != nullptr) {
      normalize(head, a.keyNorm, half, a.epsilon);
    }
    rotate(head, cosSin, half);
  }
  if constexpr (phase == Phase::decode) {
    storeInCache(a, head, part, row, kvHead);
  } else {
    uint16_t* target = part == Part::key ? a.keys : a.values;
    storeRow(head, target + (size_t(row) * a.kvHeads + kvHead) * a.headDim, half);
  }
}

template <Phase phase>
DEVICE void rotateRow(const RotaryArguments& a) {
  int row = int(blockIdx.x);
  int head = int(blockIdx.y) * headsPerBlock + int(threadIdx.x) / warpLanes;
  if (a.positions[row] < 0 || head >= a.queryHeads + 2 * a.kvHeads) {
    return;
  }
  // Two neighbouring pairs need an even half, or the second half is not aligned for both.
  if (a.headDim % 4 == 0 && a.qkvStride % 2 == 0) {
    rotateHead<phase, 2>(a, row, head);
  } else {
    rotateHead<phase, 1>(a, row, head);
  }
}

}  // namespace

KERNEL(rotate_prompt, RotaryArguments, 128) { rotateRow<Phase::prompt>(a); }

KERNEL(rotate_decode, RotaryArguments, 128) { rotateRow<Phase::decode>(a); }
