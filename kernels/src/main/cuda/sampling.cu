// Draws the next token of every row on the device, so that only token ids travel to the host.
//
// sample_tokens: one block of 512 threads a row, so rows never meet. A row of logits (128 KB to 600
// KB) stays in the second-level cache over the passes: one finds the largest; greedy rows end here.
// The draw adds up masses once over the row and then over ever smaller parts of it. Top-k and top-p
// each take four more passes, of which three look at values only (sampling_select.cuh). What the
// log-probabilities need is read from the raw logits first. A row to score takes three passes.
//
// The order of steps is that of Java's TokenSampler. Equal to it to the bit: penalties, weights,
// masses, cuts, the draw, and so the token, always. A token generated more than 32,767 times counts
// as that many. Log-probabilities are those of Java's LogProbs, to the bit.
//
// Limits: vocabulary <= 2^22; logits 16-byte aligned, stride a multiple of 4; topCount <= 100.
#include "sampling_select.cuh"

// What log-probabilities need of the raw logits.
struct RawDistribution {
  int likeliest;  // -1 where a logit is NaN or the largest is infinite
  float max;
  double logSum;
};

DEVICE TokenRow rawRow(const SampleArguments& a, int index) {
  TokenRow row;
  row.logits = a.logits + (long long)index * a.stride;
  row.counts = nullptr;
  row.vocabulary = a.vocabulary;
  row.repetitionPenalty = 1;
  row.presencePenalty = 0;
  row.frequencyPenalty = 0;
  row.max = 0;
  row.inverseTemperature = 1;
  row.minP = 0;
  row.cutValue = 0;
  row.cutToken = 0x7FFFFFFF;
  return row;
}

DEVICE RawDistribution describeRaw(const SampleArguments& a, int index, SampleShared* shared) {
  TokenRow row = rawRow(a, index);
  Largest largest = findLargest(row, shared);
  row.max = largest.value;
  if (largest.broken) {
    return {-1, row.max, 0};
  }
  auto scaled = [&](float value) { return exactExp(exponent(row, value)) * massUnit; };
  uint64_t coarse = addAll(row, shared, [&](int, float value) { return uint64_t(scaled(value)); });
  uint64_t fine = addAll(row, shared, [&](int, float value) {
    float mass = scaled(value);
    return uint64_t((mass - float(uint64_t(mass))) * fineUnit);
  });
  double sum = fma(double(fine), 1.0 / fineUnit, double(coarse)) / massUnit;
  return {largest.token, row.max, exactLog(sum)};
}

DEVICE float logProbability(const RawDistribution& raw, float logit) {
  return float(double(logit) - double(raw.max) - raw.logSum);
}

// What a row to score tells, instead of a draw.
DEVICE void scoreTarget(const SampleArguments& a, int index, const SamplingRow& sampling,
                        SampleShared* shared) {
  RawDistribution raw = describeRaw(a, index, shared);
  if (threadIdx.x == 0) {
    float logit = a.logits[(long long)index * a.stride + sampling.target];
    a.drawn[sampling.result] = raw.likeliest;
    a.logprobs[sampling.result] =
        raw.likeliest < 0 ? __uint_as_float(0x7FC00000u) : logProbability(raw, logit);
  }
}

// Lists the likeliest tokens by raw logits, equal ones in the order of ids; -1 beyond the vocabulary.
DEVICE void listTopTokens(const SampleArguments& a, int index, const SamplingRow& sampling,
                          const RawDistribution& raw, SampleShared* shared) {
  TokenRow row = rawRow(a, index);
  row.max = raw.max;
  int wanted = min(sampling.topCount, a.vocabulary);
  if (wanted < a.vocabulary) {
    cutToTop(row, shared, [](float) { return uint64_t(1); },
             [&](uint64_t) { return uint64_t(wanted); });
  }
  if (threadIdx.x == 0) {
    shared->count = 0;
  }
  __syncthreads();
  visitTokens(row, 0, row.vocabulary, threadIdx.x, sampleThreads, [&](int token, float value) {
    if (isKept(row, token, value)) {
      int place = atomicAdd(&shared->count, 1);
      if (place < mostTopTokens) {
        shared->topKeys[place] = uint64_t(orderedBits(value)) << 32 | ~unsigned(token);
      }
    }
  });
  __syncthreads();
  int place = threadIdx.x;
  if (place < sampling.topCount) {
    int rank = place;
    int token = -1;
    float logit = __uint_as_float(0xFF800000u);
    if (place < wanted) {
      // The keys lie in no order; a key's place is the number of larger ones.
      uint64_t key = shared->topKeys[place];
      rank = 0;
      for (int i = 0; i < wanted; i++) {
        rank += shared->topKeys[i] > key ? 1 : 0;
      }
      token = int(~unsigned(key));
      logit = floatFromOrdered(unsigned(key >> 32));
    }
    long long at = (long long)sampling.result * a.topStride + rank;
    a.topTokens[at] = token;
    a.topLogprobs[at] = logProbability(raw, logit);
  }
  __syncthreads();
}

// Draws from what top-k, top-p and min-p leave of the row; row.max is its largest value.
DEVICE int drawToken(const SamplingRow& sampling, TokenRow& row, SampleShared* shared) {
  if (sampling.topK > 0 && sampling.topK < row.vocabulary) {
    cutToTop(row, shared, [](float) { return uint64_t(1); },
             [&](uint64_t) { return uint64_t(sampling.topK); });
  }
  if (sampling.topP < 1) {
    auto mass = [&](float value) { return massOf(weightOf(row, value)); };
    cutToTop(row, shared, mass, [&](uint64_t total) {
      double limit = double(sampling.topP) * double(total);
      uint64_t whole = uint64_t(limit);
      return double(whole) < limit || whole == 0 ? whole + 1 : whole;
    });
  }
  auto mass = [&](int token, float value) {
    float weight = isKept(row, token, value) ? weightOf(row, value) : 0.0f;
    return weight < row.minP ? uint64_t(0) : massOf(weight);
  };
  uint64_t bits = philoxBits(sampling);
  return findToken(row, shared, mass, [&](uint64_t total) { return scaleBits(bits, total); });
}

KERNEL(sample_tokens, SampleArguments, 512) {
  SampleShared* shared = reinterpret_cast<SampleShared*>(sharedMemory());
  int index = blockIdx.x;
  const SamplingRow sampling = a.samplings[index];
  if (sampling.target >= 0) {
    scoreTarget(a, index, sampling, shared);
    return;
  }
  if (sampling.slot < 0) {
    return;
  }
  RawDistribution raw = {-1, 0, 0};
  bool reports = sampling.topCount >= 0;
  if (reports) {
    raw = describeRaw(a, index, shared);
    if (raw.likeliest >= 0 && sampling.topCount > 0) {
      listTopTokens(a, index, sampling, raw, shared);
    }
  }
  float* logits = a.logits + (long long)index * a.stride;
  for (int i = sampling.heldBackBegin + threadIdx.x; i < sampling.heldBackEnd; i += sampleThreads) {
    int token = a.heldBack[i];
    if (token < a.vocabulary) {
      logits[token] = __uint_as_float(0xFF800000u);
    }
  }
  __syncthreads();

  bool isPenalized = a.counts != nullptr &&
                     (sampling.repetitionPenalty != 1 || sampling.presencePenalty != 0 ||
                      sampling.frequencyPenalty != 0);
  unsigned short* counts =
      isPenalized ? a.counts + (long long)sampling.slot * a.vocabulary : nullptr;
  TokenRow row = rawRow(a, index);
  row.counts = counts;
  row.repetitionPenalty = sampling.repetitionPenalty;
  row.presencePenalty = sampling.presencePenalty;
  row.frequencyPenalty = sampling.frequencyPenalty;
  row.inverseTemperature = sampling.inverseTemperature;
  row.minP = sampling.minP;
  Largest largest = findLargest(row, shared);
  row.max = largest.value;
  int token = largest.token;
  if (largest.broken || (reports && raw.likeliest < 0)) {
    token = -1;
  } else if (sampling.inverseTemperature > 0) {
    token = drawToken(sampling, row, shared);
  }

  if (threadIdx.x == 0) {
    a.drawn[sampling.result] = token;
    if (reports) {
      a.logprobs[sampling.result] = token < 0 ? __uint_as_float(0x7FC00000u)
                                              : logProbability(raw, logits[token]);
    }
    if (counts != nullptr && token >= 0 && (counts[token] & countGenerated) < countGenerated) {
      counts[token]++;
    }
  }
}

KERNEL(set_counts, SetCountsArguments, 256) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < a.count && a.tokens[i] >= 0 && a.tokens[i] < a.vocabulary) {
    unsigned generated = unsigned(min(a.times[i], int(countGenerated)));
    a.counts[(long long)a.slots[i] * a.vocabulary + a.tokens[i]] =
        uint16_t(countInPrompt | generated);
  }
}
