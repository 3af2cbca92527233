// How a group of K or V becomes codes: Java's CacheCodec, to the bit (KIVI, arXiv 2402.02750 §3.1,
// with scale and zero rounded to float16 before the codes are taken).
#pragma once

#include "cache_view.cuh"

// What a code means: value = code · scale + zero.
struct GroupScale {
  float scale;
  float zero;
};

// A float16 of the cache as Java's Float16 widens it: exact, and a NaN as a large finite number, so
// that a broken row breaks nothing else.
DEVICE float storedFloat(uint16_t half) {
  constexpr float exponentShift = 5.192296858534828e33f;  // 2^112
  int magnitude = int(int16_t(half)) * (1 << 13);
  return __uint_as_float(uint32_t(magnitude) & 0x8fffe000u) * exponentShift;
}

// Integers in the order of the float16 numbers, −0 before 0: minima do not hang on a device's rules.
DEVICE int orderOfHalf(uint16_t half) {
  int x = int16_t(half);
  return x < 0 ? x ^ 0x7fff : x;
}
DEVICE uint16_t halfOfOrder(int order) { return uint16_t(order < 0 ? order ^ 0x7fff : order); }

// The least and the largest of a group while it is read.
struct HalfRange {
  int least = 0x7fff;
  int largest = -0x8000;

  DEVICE void add(uint16_t half) {
    int order = orderOfHalf(half);
    least = min(least, order);
    largest = max(largest, order);
  }
  DEVICE void add2(uint32_t halves) {
    add(uint16_t(halves));
    add(uint16_t(halves >> 16));
  }
  DEVICE void add8(const uint4& halves) {
    add2(halves.x);
    add2(halves.y);
    add2(halves.z);
    add2(halves.w);
  }
};

// Rounds scale and zero of a group, stores them, and gives the rounded ones.
DEVICE GroupScale storeGroupScale(const HalfRange& range, int bits, uint16_t* scale, uint16_t* zero) {
  float least = storedFloat(halfOfOrder(range.least));
  float largest = storedFloat(halfOfOrder(range.largest));
  uint16_t scaleHalf = cachedHalf((largest - least) / float((1 << bits) - 1));
  uint16_t zeroHalf = cachedHalf(least);
  *scale = scaleHalf;
  *zero = zeroHalf;
  return {storedFloat(scaleHalf), storedFloat(zeroHalf)};
}

// The code of a value: rounded half to even, clamped; 0 in a group of one value.
DEVICE uint32_t codeOf(uint16_t half, const GroupScale& group, int bits) {
  if (group.scale == 0.0f) {
    return 0;
  }
  float levels = float((1 << bits) - 1);
  float x = (storedFloat(half) - group.zero) / group.scale;
  x = x > 0.0f ? x : 0.0f;
  x = x < levels ? x : levels;
  // Beside 2^23 a float has no fraction left: the addition itself rounds to even.
  return __float_as_uint(x + 8388608.0f) & 15u;
}
