// One row of logits as a block of 512 threads sees it, and what the block adds up over it. All sums
// are of whole numbers, so that neither the shares of the threads nor their order matter.
#pragma once

#include "sampling_math.cuh"

constexpr int sampleThreads = 512;
constexpr int sampleWarps = sampleThreads / 32;
constexpr int selectBins = 4 * sampleThreads;
constexpr int mostTopTokens = 100;
constexpr unsigned allLanes = 0xFFFFFFFFu;

// Java's SamplingKernels gives a block as many bytes of shared memory.
struct SampleShared {
  unsigned amountLow[selectBins];
  unsigned amountHigh[selectBins];
  uint64_t partial[sampleWarps];
  uint64_t before;
  uint64_t amount;
  uint64_t topKeys[mostTopTokens];
  int bin;
  int token;
  int flag;
  int count;
};
static_assert(sizeof(SampleShared) == 17344, "SamplingKernels.SHARED_BYTES says the same");

struct TokenRow {
  const float* logits;           // [vocabulary], 16-byte aligned, readable to a multiple of 4
  const unsigned short* counts;  // [vocabulary], or null: no penalties
  int vocabulary;
  float repetitionPenalty;
  float presencePenalty;
  float frequencyPenalty;
  float max;
  float inverseTemperature;
  float minP;
  unsigned cutValue;  // tokens of a smaller orderedBits are cut,
  int cutToken;       // and of an equal one those with a larger id
};

constexpr unsigned countInPrompt = 0x8000;
constexpr unsigned countGenerated = 0x7FFF;

DEVICE float penalized(const TokenRow& row, int token, float logit) {
  if (row.counts == nullptr) {
    return logit;
  }
  unsigned count = row.counts[token];
  if (count == 0) {
    return logit;
  }
  float generated = float(count & countGenerated);
  float scaled = logit > 0 ? logit / row.repetitionPenalty : logit * row.repetitionPenalty;
  float value = fmaf(-row.frequencyPenalty, generated, scaled);
  return generated > 0 ? value - row.presencePenalty : value;
}

// Calls visit(token, value after penalties) for tokens begin..end of the row, begin a multiple of 4;
// `threads` threads share them, 16 bytes each, the next on the way while these are looked at.
template <typename Visit>
DEVICE void visitTokens(const TokenRow& row, int begin, int end, int thread, int threads,
                        Visit visit) {
  int first = begin + 4 * thread;
  float4 quad = make_float4(0, 0, 0, 0);
  if (first < end) {
    quad = *reinterpret_cast<const float4*>(row.logits + first);
  }
  while (first < end) {
    int next = first + 4 * threads;
    float4 following = quad;
    if (next < end) {
      following = *reinterpret_cast<const float4*>(row.logits + next);
    }
    visit(first, penalized(row, first, quad.x));
    if (first + 1 < end) visit(first + 1, penalized(row, first + 1, quad.y));
    if (first + 2 < end) visit(first + 2, penalized(row, first + 2, quad.z));
    if (first + 3 < end) visit(first + 3, penalized(row, first + 3, quad.w));
    quad = following;
    first = next;
  }
}

DEVICE float exponent(const TokenRow& row, float value) {
  return (value - row.max) * row.inverseTemperature;
}

DEVICE bool isKept(const TokenRow& row, int token, float value) {
  unsigned ordered = orderedBits(value);
  return ordered > row.cutValue || (ordered == row.cutValue && token <= row.cutToken);
}

// exp(exponent), or 0 where massOf would be 0: exp(-28) is below the smallest mass.
DEVICE float weightOf(const TokenRow& row, float value) {
  float x = exponent(row, value);
  return x > -28.0f ? exactExp(x) : 0.0f;
}

DEVICE uint64_t warpSum(uint64_t x) {
  for (int offset = 16; offset > 0; offset >>= 1) {
    x += __shfl_xor_sync(allLanes, x, offset);
  }
  return x;
}

// Of lane l: the sum over lanes 0..l.
DEVICE uint64_t warpPrefixSum(uint64_t x) {
  int lane = threadIdx.x % 32;
  for (int offset = 1; offset < 32; offset <<= 1) {
    uint64_t other = __shfl_up_sync(allLanes, x, offset);
    x += lane >= offset ? other : 0;
  }
  return x;
}

struct Largest {
  int token;  // the lowest of the largest
  float value;
  bool broken;  // a value is NaN, or the largest is infinite
};

// The largest value of the row; all threads get it.
DEVICE Largest findLargest(const TokenRow& row, SampleShared* shared) {
  uint64_t best = 0;
  int anyNan = 0;
  visitTokens(row, 0, row.vocabulary, threadIdx.x, sampleThreads, [&](int token, float value) {
    uint64_t key = uint64_t(orderedBits(value)) << 32 | ~unsigned(token);
    bool isNan = value != value;
    anyNan |= isNan;
    best = !isNan && key > best ? key : best;
  });
  for (int offset = 16; offset > 0; offset >>= 1) {
    uint64_t other = __shfl_xor_sync(allLanes, best, offset);
    best = other > best ? other : best;
  }
  anyNan = __any_sync(allLanes, anyNan);
  if (threadIdx.x == 0) {
    shared->flag = 0;
  }
  __syncthreads();
  if (threadIdx.x % 32 == 0) {
    shared->partial[threadIdx.x / 32] = best;
    if (anyNan) {
      shared->flag = 1;  // whoever writes, writes the same
    }
  }
  __syncthreads();
  for (int warp = 0; warp < sampleWarps; warp++) {
    best = shared->partial[warp] > best ? shared->partial[warp] : best;
  }
  Largest largest;
  largest.token = int(~unsigned(best));
  largest.value = floatFromOrdered(unsigned(best >> 32));
  largest.broken = shared->flag != 0 || !(fabsf(largest.value) <= 3.402823466e38f);
  __syncthreads();
  return largest;
}

// Tokens that a warp handles of end - begin, a multiple of its 16-byte loads.
DEVICE int warpShare(int tokens) {
  int share = (tokens + sampleWarps - 1) / sampleWarps;
  return (share + 127) / 128 * 128;
}

// shared->partial[w] = the amounts of the w-th share of tokens begin..end.
template <typename Amount>
DEVICE void addShares(const TokenRow& row, SampleShared* shared, int begin, int end,
                      Amount amount) {
  int warp = threadIdx.x / 32;
  int share = warpShare(end - begin);
  int from = min(end, begin + warp * share);
  int to = min(end, from + share);
  uint64_t sum = 0;
  visitTokens(row, from, to, threadIdx.x % 32, 32,
              [&](int token, float value) { sum += amount(token, value); });
  sum = warpSum(sum);
  if (threadIdx.x % 32 == 0) {
    shared->partial[warp] = sum;
  }
  __syncthreads();
}

// The amounts of all tokens of the row; all threads get it.
template <typename Amount>
DEVICE uint64_t addAll(const TokenRow& row, SampleShared* shared, Amount amount) {
  addShares(row, shared, 0, row.vocabulary, amount);
  uint64_t total = 0;
  for (int warp = 0; warp < sampleWarps; warp++) {
    total += shared->partial[warp];
  }
  __syncthreads();
  return total;
}

// The first token at which the amounts, added up from token 0, exceed targetOf(total); all threads
// get it. The target must be below the total.
template <typename Amount, typename TargetOf>
DEVICE int findToken(const TokenRow& row, SampleShared* shared, Amount amount, TargetOf targetOf) {
  int begin = 0;
  int end = row.vocabulary;
  addShares(row, shared, begin, end, amount);
  uint64_t total = 0;
  for (int warp = 0; warp < sampleWarps; warp++) {
    total += shared->partial[warp];
  }
  uint64_t target = targetOf(total);
  while (true) {
    int share = warpShare(end - begin);
    int warp = 0;
    while (warp < sampleWarps - 1 && target >= shared->partial[warp]) {
      target -= shared->partial[warp++];
    }
    begin += warp * share;
    end = min(end, begin + share);
    __syncthreads();
    if (end - begin <= 128) {
      break;
    }
    addShares(row, shared, begin, end, amount);
  }
  if (threadIdx.x < 32) {
    uint64_t sum = 0;
    auto add = [&](int token, float value) { sum += amount(token, value); };
    visitTokens(row, begin, end, threadIdx.x, 32, add);
    uint64_t after = warpPrefixSum(sum);
    if (after > target && after - sum <= target) {
      uint64_t cumulative = after - sum;
      int found = -1;
      visitTokens(row, begin, end, threadIdx.x, 32, [&](int token, float value) {
        cumulative += amount(token, value);
        found = found < 0 && cumulative > target ? token : found;
      });
      shared->token = found;
    }
  }
  __syncthreads();
  int token = shared->token;
  __syncthreads();
  return token;
}
