// The epilogues of matmul.cu for sums that another library has left in memory: bias, residual add,
// activation, rounding to one piece. Memory-bound: 4 bytes in and 2 or 4 out a number, neighbouring
// threads at neighbouring numbers. A block of 256 threads takes one row.
#include "activation.cuh"

DEVICE float biasedSum(const EpilogueArguments& a, const float* sums, int column) {
  return sums[column] + (a.bias == nullptr ? 0.0f : __ldg(a.bias + column));
}

DEVICE float activated(const EpilogueArguments& a, const float* sums, int column) {
  if (a.epilogue == epilogueSilu) {
    const int gate = column / 8 * 16 + column % 8;
    return silu(biasedSum(a, sums, gate)) * biasedSum(a, sums, gate + 8);
  }
  const float x = biasedSum(a, sums, column);
  return a.epilogue == epilogueGelu ? gelu(x) : geluTanh(x);
}

KERNEL(finish_product, EpilogueArguments, 256) {
  const int row = blockIdx.x;
  const float* sums = a.sums + size_t(row) * a.columns;
  if (a.epilogue <= epilogueAdd) {
    float* out = a.out + size_t(row) * a.outStride;
    for (int column = threadIdx.x; column < a.columns; column += blockDim.x) {
      const float sum = biasedSum(a, sums, column);
      out[column] = a.epilogue == epilogueAdd ? out[column] + sum : sum;
    }
    return;
  }
  const int width = a.epilogue == epilogueSilu ? a.columns / 2 : a.columns;
  unsigned short* out = a.outPieces + size_t(row) * a.outStride;
  for (int column = threadIdx.x; column < a.outStride; column += blockDim.x) {
    const float number = column < width ? activated(a, sums, column) : 0.0f;
    out[column] = a.format == 0 ? bfloatFromFloat(number) : halfFromFloat(number);
  }
}
