// Numbers in 16 bits, and CUDA's arithmetic by name. Conversions round to nearest even; NaN becomes
// 0x7fff as on a card.
#pragma once

#include <math.h>

#include <cstdint>
#include <cstring>

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace emulator {

template <class To, class From>
inline To bitsAs(From from) {
  static_assert(sizeof(To) == sizeof(From), "sizes differ");
  To to;
  memcpy(&to, &from, sizeof(to));
  return to;
}

inline uint16_t plainHalfFromFloat(float x) {
  uint32_t bits = bitsAs<uint32_t>(x);
  uint16_t sign = uint16_t(bits >> 16 & 0x8000);
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0x7fff;
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Below the smallest normal number: adding 1/2 leaves the rounded multiple of 2^-24 below.
    float shifted = bitsAs<float>(magnitude) + 0.5f;
    return uint16_t(sign | (bitsAs<uint32_t>(shifted) - 0x3f000000));
  }
  uint32_t odd = magnitude >> 13 & 1;
  return uint16_t(sign | ((magnitude + 0xfff + odd - 0x38000000) >> 13));
}

inline float plainFloatFromHalf(uint16_t x) {
  uint32_t sign = uint32_t(x & 0x8000) << 16;
  uint32_t exponent = x >> 10 & 31;
  uint32_t fraction = x & 0x3ff;
  if (exponent == 31) return bitsAs<float>(sign | 0x7f800000 | fraction << 13);
  if (exponent == 0) {
    float magnitude = float(fraction) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  return bitsAs<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

// The double nearest to x + y towards zero, with its last bit set if that is not the sum: rounding it
// again, to fewer bits, gives what rounding the sum once would.
inline double sumRoundedToOdd(double x, double y) {
  double sum = x + y;
  if (!(fabs(sum) < HUGE_VAL)) return sum;
  double yPart = sum - x;
  double error = (x - (sum - yPart)) + (y - yPart);
  if (error == 0.0) return sum;
  uint64_t bits = bitsAs<uint64_t>(sum);
  if ((error < 0) != (sum < 0)) --bits;
  return bitsAs<double>(bits | 1);
}

inline float roundedToOdd(double x) {
  float nearest = float(x);
  if (!(fabsf(nearest) < HUGE_VALF)) return nearest;
  double error = x - double(nearest);
  if (error == 0.0) return nearest;
  uint32_t bits = bitsAs<uint32_t>(nearest);
  if (nearest == 0.0f) return bitsAs<float>((x < 0 ? 0x80000000u : 0u) | 1u);
  if ((error < 0) != (nearest < 0)) --bits;
  return bitsAs<float>(bits | 1);
}

}  // namespace emulator

inline uint16_t halfFromFloat(float x) {
#if defined(__F16C__)
  return x != x ? uint16_t(0x7fff) : uint16_t(_cvtss_sh(x, 0));
#else
  return emulator::plainHalfFromFloat(x);
#endif
}
inline float floatFromHalf(uint16_t x) {
#if defined(__F16C__)
  return _cvtsh_ss(x);
#else
  return emulator::plainFloatFromHalf(x);
#endif
}
inline uint16_t bfloatFromFloat(float x) {
  if (x != x) return 0x7fff;
  uint32_t bits = emulator::bitsAs<uint32_t>(x);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline float floatFromBfloat(uint16_t x) { return emulator::bitsAs<float>(uint32_t(x) << 16); }

inline uint32_t half2FromFloats(float low, float high) {
  return uint32_t(halfFromFloat(low)) | uint32_t(halfFromFloat(high)) << 16;
}
inline uint32_t bfloat2FromFloats(float low, float high) {
  return uint32_t(bfloatFromFloat(low)) | uint32_t(bfloatFromFloat(high)) << 16;
}

// The difference of two halves is a float exactly, or so far from a tie that rounding twice is once.
inline uint32_t half2Subtract(uint32_t x, uint32_t y) {
  return half2FromFloats(floatFromHalf(uint16_t(x)) - floatFromHalf(uint16_t(y)),
                         floatFromHalf(uint16_t(x >> 16)) - floatFromHalf(uint16_t(y >> 16)));
}

namespace emulator {

inline uint16_t halfFma(uint16_t x, uint16_t y, uint16_t z) {
  double product = double(floatFromHalf(x)) * double(floatFromHalf(y));
  return halfFromFloat(roundedToOdd(sumRoundedToOdd(product, floatFromHalf(z))));
}
inline uint16_t bfloatFma(uint16_t x, uint16_t y, uint16_t z) {
  double product = double(floatFromBfloat(x)) * double(floatFromBfloat(y));
  return bfloatFromFloat(roundedToOdd(sumRoundedToOdd(product, floatFromBfloat(z))));
}

}  // namespace emulator

inline uint32_t half2Fma(uint32_t x, uint32_t y, uint32_t z) {
  using emulator::halfFma;
  return uint32_t(halfFma(uint16_t(x), uint16_t(y), uint16_t(z))) |
         uint32_t(halfFma(uint16_t(x >> 16), uint16_t(y >> 16), uint16_t(z >> 16))) << 16;
}
inline uint32_t bfloat2Fma(uint32_t x, uint32_t y, uint32_t z) {
  using emulator::bfloatFma;
  return uint32_t(bfloatFma(uint16_t(x), uint16_t(y), uint16_t(z))) |
         uint32_t(bfloatFma(uint16_t(x >> 16), uint16_t(y >> 16), uint16_t(z >> 16))) << 16;
}

// The instruction flushes subnormal numbers, of the argument and of the result.
inline float exp2Approximate(float x) {
  float y = exp2f(x);
  return y < 0x1p-126f ? 0.0f : y;
}

// ---- CUDA's names ----

inline unsigned __float_as_uint(float x) { return emulator::bitsAs<unsigned>(x); }
inline int __float_as_int(float x) { return emulator::bitsAs<int>(x); }
inline float __uint_as_float(unsigned x) { return emulator::bitsAs<float>(x); }
inline long long __double_as_longlong(double x) { return emulator::bitsAs<long long>(x); }
inline double __longlong_as_double(long long x) { return emulator::bitsAs<double>(x); }
inline float __int_as_float(int x) { return emulator::bitsAs<float>(x); }

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }

// Saturating, NaN to 0, as the instructions do.
inline int __float2int_rn(float x) {
  if (x != x) return 0;
  if (x >= 2147483648.0f) return 2147483647;
  if (x < -2147483648.0f) return -2147483647 - 1;
  return int(rintf(x));
}
inline unsigned __float2uint_rn(float x) {
  if (x != x || x <= 0.0f) return 0;
  return x >= 4294967296.0f ? 0xffffffffu : unsigned(rintf(x));
}
inline float __int2float_rn(int x) { return float(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(unsigned x) { return __builtin_ffs(int(x)); }
inline int __clz(unsigned x) { return x == 0 ? 32 : __builtin_clz(x); }
inline int __clzll(unsigned long long x) { return x == 0 ? 64 : __builtin_clzll(x); }
inline unsigned __brev(unsigned x) {
  unsigned y = 0;
  for (int bit = 0; bit < 32; ++bit) y |= (x >> bit & 1u) << (31 - bit);
  return y;
}
inline unsigned __umulhi(unsigned x, unsigned y) { return unsigned(uint64_t(x) * y >> 32); }
inline int __mulhi(int x, int y) { return int(int64_t(x) * y >> 32); }
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  uint64_t bytes = uint64_t(y) << 32 | x;
  unsigned result = 0;
  for (int place = 0; place < 4; ++place) {
    unsigned choice = selector >> (4 * place);
    unsigned byte = unsigned(bytes >> (8 * (choice & 7))) & 0xff;
    if (choice & 8) byte = byte & 0x80 ? 0xff : 0;
    result |= byte << (8 * place);
  }
  return result;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return unsigned((uint64_t(high) << 32 | low) << (shift & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return unsigned((uint64_t(high) << 32 | low) >> (shift & 31));
}

inline int min(int x, int y) { return x < y ? x : y; }
inline int max(int x, int y) { return x > y ? x : y; }
inline unsigned min(unsigned x, unsigned y) { return x < y ? x : y; }
inline unsigned max(unsigned x, unsigned y) { return x > y ? x : y; }
inline unsigned min(int x, unsigned y) { return min(unsigned(x), y); }
inline unsigned max(int x, unsigned y) { return max(unsigned(x), y); }
inline unsigned min(unsigned x, int y) { return min(x, unsigned(y)); }
inline unsigned max(unsigned x, int y) { return max(x, unsigned(y)); }
inline long min(long x, long y) { return x < y ? x : y; }
inline long max(long x, long y) { return x > y ? x : y; }
inline unsigned long min(unsigned long x, unsigned long y) { return x < y ? x : y; }
inline unsigned long max(unsigned long x, unsigned long y) { return x > y ? x : y; }
inline long long min(long long x, long long y) { return x < y ? x : y; }
inline long long max(long long x, long long y) { return x > y ? x : y; }
inline unsigned long long min(unsigned long long x, unsigned long long y) { return x < y ? x : y; }
inline unsigned long long max(unsigned long long x, unsigned long long y) { return x > y ? x : y; }
inline float min(float x, float y) { return fminf(x, y); }
inline float max(float x, float y) { return fmaxf(x, y); }
inline double min(double x, double y) { return fmin(x, y); }
inline double max(double x, double y) { return fmax(x, y); }
