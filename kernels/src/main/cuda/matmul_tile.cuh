// The matrix product of one block: tiles of x and of the weight travel through a ring of stages in
// shared memory (cp.async), warps read fragments by ldmatrix and multiply on the tensor cores.
//
// A stage holds 64 numbers of depth: one line of 128 bytes for every row of x and every column (row
// of the weight), of each piece. In a line the 16-byte chunk c lies at place c ^ (line % 8), so the
// eight lines that one ldmatrix matrix touches lie in different banks, and so do the eight chunks
// that eight neighbouring threads copy.
//
// P1: a number of the result adds its products in steps of 16 of depth, in order, within each split
// of depth, and then the splits in order. Nothing here but `splits` decides that, and the host
// derives it from (columns, depth) alone; tile sizes, warps and stages do not touch it.
#pragma once

#include "device.cuh"

// What the two number formats of 16 bits differ in.
struct Bfloat {
  DEVICE static void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    multiplyBfloat(d, a, b);
  }
  DEVICE static uint16_t fromFloat(float x) { return bfloatFromFloat(x); }
  DEVICE static float toFloat(uint16_t x) { return floatFromBfloat(x); }
};
struct Half {
  DEVICE static void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    multiplyHalf(d, a, b);
  }
  DEVICE static uint16_t fromFloat(float x) { return halfFromFloat(x); }
  DEVICE static float toFloat(uint16_t x) { return floatFromHalf(x); }
};

constexpr int stepDepth = 64;
constexpr int lineBytes = stepDepth * 2;

// A block's tile: RowWarps · ColumnWarps warps, each with WarpRows x WarpColumns of the result.
template <int RowWarps, int ColumnWarps, int WarpRows, int WarpColumns, int Stages>
struct Tile {
  static constexpr int threads = 32 * RowWarps * ColumnWarps;
  static constexpr int rows = RowWarps * WarpRows;
  static constexpr int columns = ColumnWarps * WarpColumns;
  static constexpr int stages = Stages;
  static constexpr int columnWarps = ColumnWarps;
  static constexpr int warpRows = WarpRows;
  static constexpr int warpColumns = WarpColumns;
  static constexpr int rowFragments = WarpRows / 16;
  static constexpr int columnFragments = WarpColumns / 8;
  static constexpr int fragments = rowFragments * columnFragments;
};

// A warp's part of the result: of fragment (i, j) lane l holds rows l / 4 and l / 4 + 8, columns
// 2(l % 4) and the next, in this order.
template <class T>
using Sums = float[T::rowFragments][T::columnFragments][4];

// Where a tile lies in the result.
struct TilePlace {
  int index;
  int firstRow;
  int firstColumn;
};

template <class T>
DEVICE int rowTiles(const MatmulArguments& a) {
  return (a.rows + T::rows - 1) / T::rows;
}
template <class T>
DEVICE int columnTiles(const MatmulArguments& a) {
  return (a.columns + T::columns - 1) / T::columns;
}

// Tiles in order go down 16 tiles of rows, then to the next tile of columns: those that are
// computed at the same time then share both x and the weight in the second-level cache.
template <class T>
DEVICE TilePlace placeOfTile(const MatmulArguments& a, int index) {
  constexpr int groupRows = 16;
  const int across = columnTiles<T>(a);
  const int firstRowTile = index / (groupRows * across) * groupRows;
  const int inGroup = index - firstRowTile * across;
  const int groupSize = min(groupRows, rowTiles<T>(a) - firstRowTile);
  const int columnTile = inGroup / groupSize;
  return {index, (firstRowTile + inGroup % groupSize) * T::rows, columnTile * T::columns};
}

// The ring of stages, and how far the copies into it have come. `Pieces` false: x and weight in one
// piece each, known at compile time.
template <class T, bool Pieces>
class StageRing {
 public:
  DEVICE StageRing(const MatmulArguments& a, const TilePlace& place, int firstStep) : a(a) {
    const int line = threadIdx.x / 8;
    const int chunk = threadIdx.x % 8;
    const size_t from = firstStep * stepDepth + chunk * 8;
    nextX = a.x + size_t(place.firstRow + line) * a.depth + from;
    nextWeight = a.weight + size_t(place.firstColumn + line) * a.depth + from;
    validX = a.rows - place.firstRow - line;
    validWeight = a.columns - place.firstColumn - line;
    copyOffset = line * lineBytes + ((chunk ^ (line % 8)) * 16);
  }

  DEVICE int xPieces() const { return Pieces ? a.xPieces : 1; }
  DEVICE int weightPieces() const { return Pieces ? a.weightPieces : 1; }
  DEVICE unsigned char* x(int slot) const {
    return sharedMemory() + slot * (xPieces() * T::rows + weightPieces() * T::columns) * lineBytes;
  }
  DEVICE unsigned char* weight(int slot) const { return x(slot) + xPieces() * T::rows * lineBytes; }

  // Starts the copies of the next step of depth; rows and columns beyond the last become zeros.
  DEVICE void loadNext(int slot) {
    for (int piece = 0; piece < xPieces(); ++piece) {
      copyLines<T::rows>(x(slot) + piece * T::rows * lineBytes, nextX + piece * a.xPieceStride,
                         validX);
    }
    for (int piece = 0; piece < weightPieces(); ++piece) {
      copyLines<T::columns>(weight(slot) + piece * T::columns * lineBytes,
                            nextWeight + piece * a.weightPieceStride, validWeight);
    }
    nextX += stepDepth;
    nextWeight += stepDepth;
  }

 private:
  const MatmulArguments& a;
  const unsigned short* nextX;  // this thread's chunk of its first line
  const unsigned short* nextWeight;
  int validX;  // lines from its first one on
  int validWeight;
  int copyOffset;

  template <int Lines>
  DEVICE void copyLines(unsigned char* shared, const unsigned short* from, int valid) const {
    constexpr int linesAtOnce = T::threads / 8;
    const size_t stride = size_t(a.depth) * linesAtOnce;
#pragma unroll
    for (int line = 0; line < Lines; line += linesAtOnce) {
      copyAsync16(shared + copyOffset + line * lineBytes, from, line < valid);
      from += stride;
    }
  }
};

template <class T>
DEVICE void loadRowFragments(uint32_t (&fragments)[T::rowFragments][4], const unsigned char* lines,
                             int depth16) {
  const int lane = threadIdx.x % 32;
  const int line = threadIdx.x / 32 / T::columnWarps * T::warpRows + lane % 16;
  const int offset = (line * lineBytes + ((lane / 16) ^ (lane % 8)) * 16) ^ (depth16 * 32);
#pragma unroll
  for (int i = 0; i < T::rowFragments; ++i) {
    loadMatrices(fragments[i], lines + offset + i * 16 * lineBytes);
  }
}

template <class T>
DEVICE void loadColumnFragments(uint32_t (&fragments)[T::columnFragments][2],
                                const unsigned char* lines, int depth16) {
  const int lane = threadIdx.x % 32;
  const int line = threadIdx.x / 32 % T::columnWarps * T::warpColumns + lane / 16 * 8 + lane % 8;
  const int offset = (line * lineBytes + ((lane / 8 % 2) ^ (lane % 8)) * 16) ^ (depth16 * 32);
#pragma unroll
  for (int j = 0; j < T::columnFragments; j += 2) {
    uint32_t pair[4];
    loadMatrices(pair, lines + offset + j * 8 * lineBytes);
    fragments[j][0] = pair[0];
    fragments[j][1] = pair[1];
    fragments[j + 1][0] = pair[2];
    fragments[j + 1][1] = pair[3];
  }
}

template <class Format, class T>
DEVICE void multiplyFragments(Sums<T>& sums, const uint32_t (&x)[T::rowFragments][4],
                              const uint32_t (&weight)[T::columnFragments][2]) {
#pragma unroll
  for (int i = 0; i < T::rowFragments; ++i) {
#pragma unroll
    for (int j = 0; j < T::columnFragments; ++j) Format::multiply(sums[i][j], x[i], weight[j]);
  }
}

// Adds a stage's products. Of pieces, per 16 of depth: x · weight, then x's rest · weight, then
// x · weight's rest; the product of the rests is below float's precision.
template <class Format, class T, bool Pieces>
DEVICE void multiplyStage(Sums<T>& sums, const StageRing<T, Pieces>& ring, int slot) {
  const unsigned char* xLines = ring.x(slot);
  const unsigned char* weightLines = ring.weight(slot);
#pragma unroll
  for (int depth16 = 0; depth16 < stepDepth / 16; ++depth16) {
    uint32_t x[T::rowFragments][4];
    uint32_t weight[T::columnFragments][2];
    loadRowFragments<T>(x, xLines, depth16);
    loadColumnFragments<T>(weight, weightLines, depth16);
    multiplyFragments<Format, T>(sums, x, weight);
    if (Pieces && ring.xPieces() == 2) {
      uint32_t xRest[T::rowFragments][4];
      loadRowFragments<T>(xRest, xLines + T::rows * lineBytes, depth16);
      multiplyFragments<Format, T>(sums, xRest, weight);
    }
    if (Pieces && ring.weightPieces() == 2) {
      loadColumnFragments<T>(weight, weightLines + T::columns * lineBytes, depth16);
      multiplyFragments<Format, T>(sums, x, weight);
    }
  }
}
