// What becomes of a tile's sums: bias, residual add, activation, rounding to pieces, stores. The
// sums pass through shared memory once, so that neighbouring threads write neighbouring 16 bytes
// and the code of an activation stands once and not once for every register.
#pragma once

#include "activation.cuh"
#include "matmul_splits.cuh"

// The columns that pass at a time: of wide tiles not all fit.
template <class T>
constexpr int panelColumns = T::columns < 128 ? T::columns : 128;
// Eight numbers more, so that the lines that a warp writes lie in different banks.
template <class T>
constexpr int sumStride = panelColumns<T> + 8;

DEVICE float activate(const MatmulArguments& a, float x) {
  return a.epilogue == epilogueGelu ? gelu(x) : geluTanh(x);
}

DEVICE bool isAligned(const void* address, int bytes) {
  return reinterpret_cast<uintptr_t>(address) % bytes == 0;
}

// Lays the sums of a panel of columns out as [rows][sumStride] in shared memory.
template <class T>
DEVICE const float* gatherSums(const Sums<T>& sums, int panel) {
  float* gathered = reinterpret_cast<float*>(sharedMemory());
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int column = warp % T::columnWarps * T::warpColumns;
  // Others may still read what lies there: stages, or the panel before.
  __syncthreads();
  if (column / panelColumns<T> == panel) {
    float* own = gathered + (warp / T::columnWarps * T::warpRows + lane / 4) * sumStride<T> +
                 column % panelColumns<T> + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < T::rowFragments; ++i) {
#pragma unroll
      for (int j = 0; j < T::columnFragments; ++j) {
        const float(&s)[4] = sums[i][j];
        float* upper = own + i * 16 * sumStride<T> + j * 8;
        *reinterpret_cast<float2*>(upper) = make_float2(s[0], s[1]);
        *reinterpret_cast<float2*>(upper + 8 * sumStride<T>) = make_float2(s[2], s[3]);
      }
    }
  }
  __syncthreads();
  return gathered;
}

// Four neighbouring sums and their bias.
DEVICE float4 biasedSums(const MatmulArguments& a, const float* sums, int column) {
  float4 v = *reinterpret_cast<const float4*>(sums);
  if (a.bias != nullptr) {
    const int last = a.columns - 1;
    v.x += __ldg(a.bias + column);
    v.y += __ldg(a.bias + min(column + 1, last));
    v.z += __ldg(a.bias + min(column + 2, last));
    v.w += __ldg(a.bias + min(column + 3, last));
  }
  return v;
}

DEVICE void storeSums(const MatmulArguments& a, int row, int column, float4 v) {
  float* out = a.out + size_t(row) * a.outStride + column;
  if (column + 4 <= a.columns && isAligned(out, 16)) {
    float4* target = reinterpret_cast<float4*>(out);
    if (a.epilogue == epilogueAdd) {
      const float4 before = *target;
      v = make_float4(before.x + v.x, before.y + v.y, before.z + v.z, before.w + v.w);
    }
    *target = v;
    return;
  }
  const float values[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    if (column + e < a.columns) out[e] = a.epilogue == epilogueAdd ? out[e] + values[e] : values[e];
  }
}

// Rounds four neighbouring numbers and stores them, then, with two pieces, what rounding left.
template <class Format>
DEVICE void storePieces(const MatmulArguments& a, int row, int column, int width, float4 v) {
  float values[4] = {v.x, v.y, v.z, v.w};
  for (int piece = 0; piece < a.outPieceCount; ++piece) {
    unsigned short* out =
        a.outPieces + piece * a.outPieceStride + size_t(row) * a.outStride + column;
    uint16_t rounded[4];
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      rounded[e] = Format::fromFloat(values[e]);
      values[e] -= Format::toFloat(rounded[e]);
    }
    if (column + 4 <= width && isAligned(out, 8)) {
      const uint32_t low = rounded[0] | uint32_t(rounded[1]) << 16;
      const uint32_t high = rounded[2] | uint32_t(rounded[3]) << 16;
      *reinterpret_cast<uint2*>(out) = make_uint2(low, high);
      continue;
    }
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      if (column + e < width) out[e] = rounded[e];
    }
  }
}

template <class T>
DEVICE void finishSums(const MatmulArguments& a, int firstRow, int firstColumn, const float* sums) {
  constexpr int rowQuads = panelColumns<T> / 4;
  for (int i = threadIdx.x; i < T::rows * rowQuads; i += T::threads) {
    const int row = i / rowQuads;
    const int quad = i % rowQuads * 4;
    const int column = firstColumn + quad;
    if (firstRow + row >= a.rows || column >= a.columns) continue;
    storeSums(a, firstRow + row, column,
              biasedSums(a, sums + row * sumStride<T> + quad, column));
  }
}

// silu(gate) · up of columns that alternate by 8.
template <class Format, class T>
DEVICE void finishGated(const MatmulArguments& a, int firstRow, int firstColumn,
                        const float* sums) {
  constexpr int rowQuads = panelColumns<T> / 8;
  for (int i = threadIdx.x; i < T::rows * rowQuads; i += T::threads) {
    const int row = i / rowQuads;
    const int quad = i % rowQuads * 4;
    const int gate = quad / 8 * 16 + quad % 8;
    if (firstRow + row >= a.rows || firstColumn + gate >= a.columns) continue;
    const float* from = sums + row * sumStride<T> + gate;
    const float4 g = biasedSums(a, from, firstColumn + gate);
    const float4 u = biasedSums(a, from + 8, firstColumn + gate + 8);
    storePieces<Format>(
        a, firstRow + row, firstColumn / 2 + quad, a.columns / 2,
        make_float4(silu(g.x) * u.x, silu(g.y) * u.y, silu(g.z) * u.z, silu(g.w) * u.w));
  }
}

template <class Format, class T>
DEVICE void finishActivated(const MatmulArguments& a, int firstRow, int firstColumn,
                            const float* sums) {
  constexpr int rowQuads = panelColumns<T> / 4;
  for (int i = threadIdx.x; i < T::rows * rowQuads; i += T::threads) {
    const int row = i / rowQuads;
    const int quad = i % rowQuads * 4;
    const int column = firstColumn + quad;
    if (firstRow + row >= a.rows || column >= a.columns) continue;
    const float4 v = biasedSums(a, sums + row * sumStride<T> + quad, column);
    storePieces<Format>(a, firstRow + row, column, a.columns,
                        make_float4(activate(a, v.x), activate(a, v.y), activate(a, v.z),
                                    activate(a, v.w)));
  }
}

// Zeros in the columns beyond the last: the next product reads them as depth.
template <class T>
DEVICE void clearPadding(const MatmulArguments& a, const TilePlace& place, int width) {
  const int padding = a.outStride - width;
  const int rows = min(T::rows, a.rows - place.firstRow);
  for (int piece = 0; piece < a.outPieceCount; ++piece) {
    unsigned short* out = a.outPieces + piece * a.outPieceStride;
    for (int i = threadIdx.x; i < rows * padding; i += T::threads) {
      out[size_t(place.firstRow + i / padding) * a.outStride + width + i % padding] = 0;
    }
  }
}

template <class Format, class T>
DEVICE void finishTile(const MatmulArguments& a, const TilePlace& place, const Sums<T>& sums) {
  for (int panel = 0; panel < T::columns / panelColumns<T>; ++panel) {
    const float* gathered = gatherSums<T>(sums, panel);
    const int firstColumn = place.firstColumn + panel * panelColumns<T>;
    if (a.epilogue <= epilogueAdd) {
      finishSums<T>(a, place.firstRow, firstColumn, gathered);
    } else if (a.epilogue == epilogueSilu) {
      finishGated<Format, T>(a, place.firstRow, firstColumn, gathered);
    } else {
      finishActivated<Format, T>(a, place.firstRow, firstColumn, gathered);
    }
  }
  if (place.firstColumn + T::columns >= a.columns && a.epilogue >= epilogueSilu) {
    clearPadding<T>(a, place, a.epilogue == epilogueSilu ? a.columns / 2 : a.columns);
  }
}
