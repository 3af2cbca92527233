// The arithmetic of sampling, equal to the bit to that of Java's ExactMath, TokenSampler and
// PhiloxRandom: additions, products and fused multiply-adds that no compiler may contract further,
// and whole numbers.
#pragma once

#include "device.cuh"

// Probabilities are whole multiples of 2^-39 of the largest; 2^22 tokens add up to 2^61 at the most.
constexpr float massUnit = 0x1p39f;
constexpr int massBits = 39;

// What log-probabilities count of what is left of a multiple.
constexpr float fineUnit = 0x1p40f;

// e^x for x <= 0, as ExactMath.exp: 0 below -104.
DEVICE float exactExp(float x) {
  constexpr float log2E = 0x1.715476p0f;
  constexpr float ln2High = 0x1.62e4p-1f;
  constexpr float ln2Low = float(0x1.62e42fefa39efp-1 - 0x1.62e4p-1);
  constexpr float rounding = 0x1.8p23f;
  float clamped = fmaxf(x, -104.0f);
  float n = fmaf(clamped, log2E, rounding) - rounding;
  float r = fmaf(n, -ln2Low, fmaf(n, -ln2High, clamped));
  float p = 1.0f / 5040;
  p = fmaf(p, r, 1.0f / 720);
  p = fmaf(p, r, 1.0f / 120);
  p = fmaf(p, r, 1.0f / 24);
  p = fmaf(p, r, 1.0f / 6);
  p = fmaf(p, r, 1.0f / 2);
  p = fmaf(p, r, 1.0f);
  p = fmaf(p, r, 1.0f);
  int whole = int(n);
  int half = whole >> 1;
  return p * __uint_as_float(unsigned(half + 127) << 23) *
         __uint_as_float(unsigned(whole - half + 127) << 23);
}

// The mass of a weight in [0, 1].
DEVICE uint64_t massOf(float weight) { return uint64_t(weight * massUnit); }

// Numbers that stand in the order of the floats; -0 and 0 have the same.
DEVICE unsigned orderedBits(float x) {
  unsigned bits = __float_as_uint(x + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

DEVICE float floatFromOrdered(unsigned ordered) {
  return __uint_as_float(ordered & 0x80000000u ? ordered & 0x7FFFFFFFu : ~ordered);
}

// ln x of a normal positive number, as ExactMath.log.
DEVICE double exactLog(double x) {
  constexpr double ln2 = 0x1.62e42fefa39efp-1;
  constexpr long long splitBits = 0x3FE6A09E00000000LL;
  long long bits = __double_as_longlong(x);
  long long exponent = (bits - splitBits) >> 52;
  double m = __longlong_as_double(bits - exponent * (1LL << 52));
  double s = (m - 1) / (m + 1);
  double square = s * s;
  double p = 1.0 / 15;
  p = fma(p, square, 1.0 / 13);
  p = fma(p, square, 1.0 / 11);
  p = fma(p, square, 1.0 / 9);
  p = fma(p, square, 1.0 / 7);
  p = fma(p, square, 1.0 / 5);
  p = fma(p, square, 1.0 / 3);
  double twice = s + s;
  return fma(double(exponent), ln2, fma(twice * square, p, twice));
}

// 53 random bits by Philox 4x32-10, as PhiloxRandom draws them.
DEVICE uint64_t philoxBits(const SamplingRow& row) {
  unsigned c0 = unsigned(row.step);
  unsigned c1 = unsigned(row.sampleIndex);
  unsigned c2 = row.rowHashLow;
  unsigned c3 = row.rowHashHigh;
  unsigned key0 = row.seedLow;
  unsigned key1 = row.seedHigh;
  for (int round = 0; round < 10; round++) {
    uint64_t product0 = uint64_t(0xD2511F53u) * c0;
    uint64_t product1 = uint64_t(0xCD9E8D57u) * c2;
    c0 = unsigned(product1 >> 32) ^ c1 ^ key0;
    c1 = unsigned(product1);
    c2 = unsigned(product0 >> 32) ^ c3 ^ key1;
    c3 = unsigned(product0);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return uint64_t(c0) << 21 | c1 >> 11;
}

// bits / 2^53 * bound, rounded down, exactly; bits below 2^53, bound below 2^62.
DEVICE uint64_t scaleBits(uint64_t bits, uint64_t bound) {
  uint64_t bitsHigh = bits >> 32;
  uint64_t bitsLow = bits & 0xFFFFFFFFu;
  uint64_t boundHigh = bound >> 32;
  uint64_t boundLow = bound & 0xFFFFFFFFu;
  uint64_t middle = bitsHigh * boundLow + bitsLow * boundHigh + (bitsLow * boundLow >> 32);
  return (bitsHigh * boundHigh << 11) + (middle >> 21);
}
