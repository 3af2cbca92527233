package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.FLOATS;
import static dev.bulkgen.backend.cpu.VectorLanes.INTS;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;
import static dev.bulkgen.backend.cpu.VectorLanes.halves;

import dev.bulkgen.tensor.Float16;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** Unpacks codes and halves of the cache into floats. */
final class VectorCodes {
  private VectorCodes() {}

  /**
   * Unpacks the codes of sixteen columns into a panel [rows][16] of floats.
   *
   * @param words rows of words, {@code wordStride} apart, each with 32 / bits rows of codes
   */
  static void unpack(
      int[] words, int wordOffset, int wordStride, int bits, int rows, float[] panel, int offset) {
    int perWord = Integer.SIZE / bits;
    for (int first = 0; first < rows; first += perWord) {
      int at = wordOffset + first / perWord * wordStride;
      int count = Math.min(perWord, rows - first);
      unpackWords(words, at, bits, count, panel, offset + first * LANES);
    }
  }

  private static void unpackWords(
      int[] words, int at, int bits, int count, float[] panel, int offset) {
    int mask = (1 << bits) - 1;
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      int to = offset + lane;
      // The words are loaded again for every code: JDK 17 would box a vector held by this loop.
      for (int i = 0; i < count; i++) {
        IntVector.fromArray(INTS, words, at + lane)
            .lanewise(VectorOperators.LSHR, i * bits)
            .lanewise(VectorOperators.AND, mask)
            .convertShape(VectorOperators.I2F, FLOATS, 0)
            .reinterpretAsFloats()
            .intoArray(panel, to + i * LANES);
      }
    }
  }

  /** Widens {@code count} finite halves. */
  static void widen(short[] source, int offset, float[] target, int count) {
    int i = 0;
    for (; i <= count - WIDTH; i += WIDTH) {
      halves(source, offset + i).intoArray(target, i);
    }
    for (; i < count; i++) {
      target[i] = Float16.toFloat(source[offset + i]);
    }
  }
}
