package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;

import dev.bulkgen.model.WeightMatrix;
import dev.bulkgen.tensor.DType;
import java.util.Arrays;

/**
 * Copies rows of a weight from the mapped file to the heap, each padded with zeros to {@code
 * pitch}, the next multiple of 16: there is no way to load vectors from outside the heap that is
 * common to all JDKs.
 */
final class WeightStage {
  private WeightStage() {}

  /** Rows [row, row + count) of a 16-bit weight, as stored. */
  static void readShorts(
      WeightMatrix weight, int row, int count, short[] target, int offset, int pitch) {
    int cols = weight.cols();
    for (int done = 0; done < count; ) {
      // Rows of one slice follow each other in the file: without padding they are one copy.
      int run = cols == pitch ? runOf(weight, row + done, count - done) : 1;
      int at = offset + done * pitch;
      weight.tensor().readShorts(weight.element(row + done), target, at, run * cols);
      Arrays.fill(target, at + run * cols, at + run * pitch, (short) 0);
      done += run;
    }
  }

  /** Rows [row, row + count) of a weight of float32. */
  static void readFloats(
      WeightMatrix weight, int row, int count, float[] target, int offset, int pitch) {
    int cols = weight.cols();
    for (int i = 0; i < count; i++) {
      int at = offset + i * pitch;
      weight.tensor().readFloats(weight.element(row + i), target, at, cols);
      Arrays.fill(target, at + cols, at + pitch, 0f);
    }
  }

  /** Widens {@code count} elements of 16 bits exactly. */
  static void widen(DType type, short[] raw, float[] target, int offset, int count) {
    if (type == DType.BF16) {
      widenBFloat16(raw, target, offset, count);
    } else {
      widenHalves(raw, target, offset, count);
    }
  }

  private static int runOf(WeightMatrix weight, int row, int most) {
    return Math.min(most, weight.rowsPerSlice() - row % weight.rowsPerSlice());
  }

  private static void widenBFloat16(short[] raw, float[] target, int offset, int count) {
    for (int i = 0; i < count; i += WIDTH) {
      VectorLanes.bfloats(raw, i).intoArray(target, offset + i);
    }
  }

  private static void widenHalves(short[] raw, float[] target, int offset, int count) {
    for (int i = 0; i < count; i += WIDTH) {
      VectorLanes.anyHalves(raw, i).intoArray(target, offset + i);
    }
  }
}
