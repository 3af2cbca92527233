// Matrix product of activations [rows][depth] and a weight [columns][depth] on tensor cores
// (mma m16n8k16, float sums), with what follows it fused in. MatmulArguments says what is computed.
//
// Few rows (decode): the weight is read once and memory is the bound, so tiles are as wide in
// columns as the reads of x from the second-level cache demand (a tile of r rows and c columns
// reads r / c bytes of x for every byte of the weight), and the splits of depth run side by side to
// keep every multiprocessor reading. Many rows (prefill): the tensor cores are the bound, tiles are
// large, and a block goes through the splits one after the other. The bits are the same.
//
//   kernel    tile       threads  shared memory            splits
//   rows16     16 x 64     128    5 stages of 10 KB        side by side
//   rows32     32 x 128    128    4 stages of 20 KB        side by side
//   rows64     64 x 128    128    4 stages of 24 KB        side by side
//   rows128   128 x 128    256    3 stages of 32 KB        either way, total in registers
//   wide      128 x 256    256    2 stages of 48 KB        one after the other, total in memory
//   pieces16   16 x 64     128    3 stages of up to 20 KB  side by side
//   pieces64   64 x 128    128    2 stages of up to 48 KB  either way, total in registers
//
// The last two take any pieces, the others x and the weight in one piece. Grid: (tiles, 1, splits
// side by side); of `wide` with several splits any number of blocks, best as many as run at once.
#include "matmul_epilogue.cuh"

template <class Format, class T, bool Pieces, Splits Mode>
DEVICE void multiplyTile(const MatmulArguments& a) {
  const TilePlace place = placeOfTile<T>(a, blockIdx.x);
  Sums<T> sums = {};
  sumTile<Format, T, Pieces, Mode>(a, place, sums);
  if (gridDim.z > 1 && !mergeSplits<T>(a, place.index, sums)) return;
  finishTile<Format, T>(a, place, sums);
}

// Blocks that carry totals are as many as run at once, and take tile after tile.
template <class Format, class T>
DEVICE void multiplyTiles(const MatmulArguments& a) {
  const int tiles = rowTiles<T>(a) * columnTiles<T>(a);
  for (int index = blockIdx.x; index < tiles; index += gridDim.x) {
    const TilePlace place = placeOfTile<T>(a, index);
    Sums<T> sums = {};
    // Others may still read the sums of the last tile, where the stages of this one go.
    __syncthreads();
    sumTile<Format, T, false, Splits::carried>(a, place, sums);
    finishTile<Format, T>(a, place, sums);
  }
}

using TileOf16Rows = Tile<1, 4, 16, 16, 5>;
using TileOf32Rows = Tile<1, 4, 32, 32, 4>;
using TileOf64Rows = Tile<1, 4, 64, 32, 4>;
using TileOf128Rows = Tile<2, 4, 64, 32, 3>;
using WideTile = Tile<2, 4, 64, 64, 2>;
using PiecesOf16Rows = Tile<1, 4, 16, 16, 3>;
using PiecesOf64Rows = Tile<1, 4, 64, 32, 2>;

KERNEL(matmul_bf16_rows16, MatmulArguments, 128) {
  multiplyTile<Bfloat, TileOf16Rows, false, Splits::sideBySide>(a);
}
KERNEL(matmul_bf16_rows32, MatmulArguments, 128) {
  multiplyTile<Bfloat, TileOf32Rows, false, Splits::sideBySide>(a);
}
KERNEL(matmul_bf16_rows64, MatmulArguments, 128) {
  multiplyTile<Bfloat, TileOf64Rows, false, Splits::sideBySide>(a);
}
KERNEL(matmul_bf16_rows128, MatmulArguments, 256) {
  multiplyTile<Bfloat, TileOf128Rows, false, Splits::either>(a);
}
KERNEL(matmul_bf16_wide, MatmulArguments, 256) {
  multiplyTiles<Bfloat, WideTile>(a);
}
KERNEL(matmul_bf16_pieces16, MatmulArguments, 128) {
  multiplyTile<Bfloat, PiecesOf16Rows, true, Splits::sideBySide>(a);
}
KERNEL(matmul_bf16_pieces64, MatmulArguments, 128) {
  multiplyTile<Bfloat, PiecesOf64Rows, true, Splits::either>(a);
}
KERNEL(matmul_fp16_rows16, MatmulArguments, 128) {
  multiplyTile<Half, TileOf16Rows, false, Splits::sideBySide>(a);
}
KERNEL(matmul_fp16_rows32, MatmulArguments, 128) {
  multiplyTile<Half, TileOf32Rows, false, Splits::sideBySide>(a);
}
KERNEL(matmul_fp16_rows64, MatmulArguments, 128) {
  multiplyTile<Half, TileOf64Rows, false, Splits::sideBySide>(a);
}
KERNEL(matmul_fp16_rows128, MatmulArguments, 256) {
  multiplyTile<Half, TileOf128Rows, false, Splits::either>(a);
}
KERNEL(matmul_fp16_wide, MatmulArguments, 256) {
  multiplyTiles<Half, WideTile>(a);
}
KERNEL(matmul_fp16_pieces16, MatmulArguments, 128) {
  multiplyTile<Half, PiecesOf16Rows, true, Splits::sideBySide>(a);
}
KERNEL(matmul_fp16_pieces64, MatmulArguments, 128) {
  multiplyTile<Half, PiecesOf64Rows, true, Splits::either>(a);
}
