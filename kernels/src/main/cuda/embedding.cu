// Gathers the rows of the embedding table for the step's tokens, as float: the start of the residual
// stream. One block of 256 threads a row; 8 numbers (16 bytes) a load where the table allows it: 2
// bytes in a piece and 4 bytes out a number. Adding the two pieces of a float32 table is exact to
// about 2^-17 of the number, the precision of the pieces.
#include "device.cuh"

DEVICE float numberOf(uint32_t bits, int format) {
  uint16_t number = uint16_t(bits);
  return format == 0 ? floatFromBfloat(number) : floatFromHalf(number);
}

DEVICE float4 addNumbers(float4 sum, uint32_t first, uint32_t second, int format) {
  sum.x += numberOf(first, format);
  sum.y += numberOf(first >> 16, format);
  sum.z += numberOf(second, format);
  sum.w += numberOf(second >> 16, format);
  return sum;
}

constexpr int asDrawn = -2;

KERNEL(embed_tokens, EmbeddingArguments, 256) {
  int row = blockIdx.x;
  int token = a.tokens[row];
  float* out = a.out + (long long)row * a.outStride;
  if (token == asDrawn) {
    token = a.drawn[a.slots[row]];
    if (token < 0) {
      for (int i = threadIdx.x; i < a.width; i += blockDim.x) {
        out[i] = __uint_as_float(0x7FC00000u);
      }
      return;
    }
  }
  const unsigned short* table = a.table + (long long)token * a.stride;
  int pieces = token < 0 ? 0 : a.pieces;
  bool aligned = reinterpret_cast<uintptr_t>(a.table) % 16 == 0 && a.stride % 8 == 0 &&
                 a.pieceStride % 8 == 0 && reinterpret_cast<uintptr_t>(out) % 16 == 0;
  int wide = aligned ? a.width / 8 * 8 : 0;
  for (int i = 8 * threadIdx.x; i < wide; i += 8 * blockDim.x) {
    float4 low = make_float4(0, 0, 0, 0);
    float4 high = make_float4(0, 0, 0, 0);
    for (int p = 0; p < pieces; p++) {
      uint4 v = *reinterpret_cast<const uint4*>(table + p * a.pieceStride + i);
      low = addNumbers(low, v.x, v.y, a.format);
      high = addNumbers(high, v.z, v.w, a.format);
    }
    *reinterpret_cast<float4*>(out + i) = low;
    *reinterpret_cast<float4*>(out + i + 4) = high;
  }
  for (int i = wide + threadIdx.x; i < a.width; i += blockDim.x) {
    float sum = 0;
    for (int p = 0; p < pieces; p++) {
      sum += numberOf(table[p * a.pieceStride + i], a.format);
    }
    out[i] = sum;
  }
}
