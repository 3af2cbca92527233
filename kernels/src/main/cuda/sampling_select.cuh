// Finds the smallest set of likeliest tokens that has a given amount (of tokens, or of mass) without
// sorting: a histogram over the distance from the largest value finds the bin of the cut, then three
// histograms over the bits of the values in that bin find the value, and, where only some of the
// tokens of that value stay, one search over ids finds the last. Histograms count whole numbers by
// atomic additions, whose order does not matter.
#pragma once

#include "sampling_row.cuh"

// Bins a token by its distance from the largest value, the largest first. Most rows spread over
// hundreds of bins, so that few threads meet on one.
DEVICE int distanceBin(const TokenRow& row, float value) {
  return int(fminf(exponent(row, value) * -64.0f, float(selectBins - 1)));
}

// Adds to a bin of two words; the thread that makes the low word overflow carries.
DEVICE void addToBin(SampleShared* shared, int bin, uint64_t amount) {
  if (amount == 0) {
    return;
  }
  unsigned low = unsigned(amount);
  unsigned high = unsigned(amount >> 32);
  unsigned old = atomicAdd(&shared->amountLow[bin], low);
  high += old + low < old ? 1 : 0;
  if (high != 0) {
    atomicAdd(&shared->amountHigh[bin], high);
  }
}

DEVICE void clearBins(SampleShared* shared) {
  for (int bin = threadIdx.x; bin < selectBins; bin += sampleThreads) {
    shared->amountLow[bin] = 0;
    shared->amountHigh[bin] = 0;
  }
  __syncthreads();
}

DEVICE uint64_t binAmount(const SampleShared* shared, int bin) {
  return uint64_t(shared->amountHigh[bin]) << 32 | shared->amountLow[bin];
}

// Leaves in shared->bin the first bin up to which the bins hold needOf(all), in shared->before what
// the bins before it hold, and in shared->amount what it holds itself. Returns the need, which must
// be from 1 to all.
template <typename NeedOf>
DEVICE uint64_t findBin(SampleShared* shared, NeedOf needOf) {
  __syncthreads();
  int warp = threadIdx.x / 32;
  int first = 4 * threadIdx.x;
  uint64_t own = 0;
  for (int i = 0; i < 4; i++) {
    own += binAmount(shared, first + i);
  }
  uint64_t after = warpPrefixSum(own);
  if (threadIdx.x % 32 == 31) {
    shared->partial[warp] = after;
  }
  __syncthreads();
  uint64_t total = 0;
  uint64_t before = after - own;
  for (int w = 0; w < sampleWarps; w++) {
    before += w < warp ? shared->partial[w] : 0;
    total += shared->partial[w];
  }
  uint64_t need = needOf(total);
  if (before < need && need <= before + own) {
    int bin = first;
    uint64_t amount = binAmount(shared, bin);
    while (before + amount < need) {
      before += amount;
      amount = binAmount(shared, ++bin);
    }
    shared->bin = bin;
    shared->before = before;
    shared->amount = amount;
  }
  __syncthreads();
  return need;
}

// Cuts the row to the tokens at its top whose amounts, added up, first reach needOf(total); equal
// values in the order of ids. `amount` is the same for equal values.
template <typename Amount, typename NeedOf>
DEVICE void cutToTop(TokenRow& row, SampleShared* shared, Amount amount, NeedOf needOf) {
  clearBins(shared);
  visitTokens(row, 0, row.vocabulary, threadIdx.x, sampleThreads, [&](int token, float value) {
    if (isKept(row, token, value)) {
      addToBin(shared, distanceBin(row, value), amount(value));
    }
  });
  uint64_t need = findBin(shared, needOf);
  int bin = shared->bin;
  uint64_t ties = 0;
  unsigned found = 0;
  for (int level = 0; level < 3; level++) {
    need -= shared->before;
    __syncthreads();
    clearBins(shared);
    // Digits of 11, 11 and 10 bits, the largest in bin 0.
    int shift = level == 0 ? 21 : level == 1 ? 10 : 0;
    unsigned digits = level == 2 ? 1024 : 2048;
    unsigned above = level == 0 ? 0 : level == 1 ? 0xFFE00000u : 0xFFFFFC00u;
    visitTokens(row, 0, row.vocabulary, threadIdx.x, sampleThreads, [&](int token, float value) {
      unsigned ordered = orderedBits(value);
      if ((ordered & above) == found && distanceBin(row, value) == bin &&
          isKept(row, token, value)) {
        addToBin(shared, digits - 1 - (ordered >> shift & (digits - 1)), amount(value));
      }
    });
    findBin(shared, [&](uint64_t) { return need; });
    found |= (digits - 1 - shared->bin) << shift;
    ties = shared->amount;
  }
  need -= shared->before;
  __syncthreads();
  uint64_t each = amount(floatFromOrdered(found));
  uint64_t kept = (need + each - 1) / each;
  int last = found == row.cutValue ? row.cutToken : 0x7FFFFFFF;
  if (kept * each < ties) {
    auto isTie = [&](int token, float value) {
      return uint64_t(orderedBits(value) == found && isKept(row, token, value) ? 1 : 0);
    };
    last = findToken(row, shared, isTie, [&](uint64_t) { return kept - 1; });
  }
  row.cutValue = found;
  row.cutToken = last;
}
