// RMS norm and layer norm of the residual stream, written as the 16-bit pieces that the products
// read. One block of 256 threads a row; thread t takes the quads t, t + 256, ... of four numbers, so
// the order of every sum depends on the width alone, whether or not the row can be loaded 16 bytes at
// a time. The row is read from memory once, later passes find it in the first-level cache: 4 bytes in
// and 2 or 4 bytes out a number.
#include "reduce.cuh"

constexpr int normThreads = 256;
constexpr int normWarps = normThreads / 32;
constexpr float largestFloat = 3.402823466e38f;

// Java's NormKernels gives a block as many bytes of shared memory.
struct NormShared {
  float partial[normWarps];
};
static_assert(sizeof(NormShared) == 32, "NormKernels.SHARED_BYTES says the same");

DEVICE bool isAligned(const void* pointer, int bytes) {
  return reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
}

// Numbers 4q..4q+3 of a row, zeros beyond its width.
DEVICE float4 loadQuad(const float* row, int quad, int width, bool aligned) {
  int first = 4 * quad;
  if (aligned && first + 4 <= width) {
    return *reinterpret_cast<const float4*>(row + first);
  }
  float4 v;
  v.x = first < width ? row[first] : 0;
  v.y = first + 1 < width ? row[first + 1] : 0;
  v.z = first + 2 < width ? row[first + 2] : 0;
  v.w = first + 3 < width ? row[first + 3] : 0;
  return v;
}

DEVICE int isBroken(float x) { return !(fabsf(x) <= largestFloat); }

DEVICE uint16_t piece(float x, int format) {
  return format == 0 ? bfloatFromFloat(x) : halfFromFloat(x);
}

DEVICE float fromPiece(uint16_t x, int format) {
  return format == 0 ? floatFromBfloat(x) : floatFromHalf(x);
}

// One row's places, and where its first plane begins.
struct NormRow {
  const float* x;
  uint16_t* out;
  bool aligned;     // x and weight and bias take 16-byte loads
  bool outAligned;  // out takes 8-byte stores
};

DEVICE NormRow normRow(const NormArguments& a) {
  int row = blockIdx.x;
  int source = a.rowIndex == nullptr ? row : a.rowIndex[row];
  NormRow r;
  r.x = a.x + (long long)source * a.stride;
  r.out = a.out + (long long)row * a.outStride;
  r.aligned = isAligned(r.x, 16) && isAligned(a.weight, 16) && isAligned(a.bias, 16);
  r.outAligned = isAligned(r.out, 8) && a.outPieceStride % 4 == 0;
  return r;
}

// Writes four numbers as pieces; what lies beyond outStride is not written.
DEVICE void storeQuad(const NormArguments& a, const NormRow& r, int quad, float4 y) {
  int first = 4 * quad;
  for (int p = 0; p < a.pieces; p++) {
    uint16_t* out = r.out + p * a.outPieceStride + first;
    uint16_t w0 = piece(y.x, a.format);
    uint16_t w1 = piece(y.y, a.format);
    uint16_t w2 = piece(y.z, a.format);
    uint16_t w3 = piece(y.w, a.format);
    if (r.outAligned && first + 4 <= a.outStride) {
      *reinterpret_cast<uint2*>(out) =
          make_uint2(w0 | uint32_t(w1) << 16, w2 | uint32_t(w3) << 16);
    } else {
      out[0] = w0;
      if (first + 1 < a.outStride) out[1] = w1;
      if (first + 2 < a.outStride) out[2] = w2;
      if (first + 3 < a.outStride) out[3] = w3;
    }
    y.x -= fromPiece(w0, a.format);
    y.y -= fromPiece(w1, a.format);
    y.z -= fromPiece(w2, a.format);
    y.w -= fromPiece(w3, a.format);
  }
}

// Writes (x - mean) · scale · weight + bias, and zeros from the width to the stride.
DEVICE void storeNormed(const NormArguments& a, const NormRow& r, float mean, float scale) {
  int quads = (a.outStride + 3) / 4;
  for (int quad = threadIdx.x; quad < quads; quad += normThreads) {
    float4 y = make_float4(0, 0, 0, 0);
    if (4 * quad < a.width) {
      float4 x = loadQuad(r.x, quad, a.width, r.aligned);
      float4 weight = loadQuad(a.weight, quad, a.width, r.aligned);
      float4 bias = make_float4(0, 0, 0, 0);
      if (a.bias != nullptr) {
        bias = loadQuad(a.bias, quad, a.width, r.aligned);
      }
      y.x = fmaf((x.x - mean) * scale, weight.x, bias.x);
      y.y = fmaf((x.y - mean) * scale, weight.y, bias.y);
      y.z = fmaf((x.z - mean) * scale, weight.z, bias.z);
      y.w = fmaf((x.w - mean) * scale, weight.w, bias.w);
    }
    storeQuad(a, r, quad, y);
  }
}

DEVICE void reportBroken(const NormArguments& a, int broken) {
  if (a.broken != nullptr && broken) {
    int row = blockIdx.x;
    a.broken[a.rowIndex == nullptr ? row : a.rowIndex[row]] = 1;
  }
}

KERNEL(rms_norm, NormArguments, 256) {
  NormShared* shared = reinterpret_cast<NormShared*>(sharedMemory());
  NormRow r = normRow(a);
  float squares = 0;
  int broken = 0;
  int quads = (a.width + 3) / 4;
  for (int quad = threadIdx.x; quad < quads; quad += normThreads) {
    float4 x = loadQuad(r.x, quad, a.width, r.aligned);
    squares = fmaf(x.x, x.x, squares);
    squares = fmaf(x.y, x.y, squares);
    squares = fmaf(x.z, x.z, squares);
    squares = fmaf(x.w, x.w, squares);
    broken |= isBroken(x.x) | isBroken(x.y) | isBroken(x.z) | isBroken(x.w);
  }
  squares = blockSum<normWarps>(squares, shared->partial);
  reportBroken(a, broken);
  storeNormed(a, r, 0, 1 / sqrtf(squares / float(a.width) + a.epsilon));
}

KERNEL(layer_norm, NormArguments, 256) {
  NormShared* shared = reinterpret_cast<NormShared*>(sharedMemory());
  NormRow r = normRow(a);
  float sum = 0;
  int broken = 0;
  int quads = (a.width + 3) / 4;
  for (int quad = threadIdx.x; quad < quads; quad += normThreads) {
    float4 x = loadQuad(r.x, quad, a.width, r.aligned);
    sum += x.x;
    sum += x.y;
    sum += x.z;
    sum += x.w;
    broken |= isBroken(x.x) | isBroken(x.y) | isBroken(x.z) | isBroken(x.w);
  }
  float mean = blockSum<normWarps>(sum, shared->partial) / float(a.width);
  float squares = 0;
  for (int quad = threadIdx.x; quad < quads; quad += normThreads) {
    float4 x = loadQuad(r.x, quad, a.width, r.aligned);
    // Numbers beyond the width are 0, and are no distances from the mean.
    int rest = a.width - 4 * quad;
    float dx = x.x - mean;
    float dy = rest > 1 ? x.y - mean : 0;
    float dz = rest > 2 ? x.z - mean : 0;
    float dw = rest > 3 ? x.w - mean : 0;
    squares = fmaf(dx, dx, squares);
    squares = fmaf(dy, dy, squares);
    squares = fmaf(dz, dz, squares);
    squares = fmaf(dw, dw, squares);
  }
  squares = blockSum<normWarps>(squares, shared->partial);
  reportBroken(a, broken);
  storeNormed(a, r, mean, 1 / sqrtf(squares / float(a.width) + a.epsilon));
}
