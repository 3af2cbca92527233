package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;

import dev.bulkgen.model.WeightMatrix;
import dev.bulkgen.tensor.DType;
import java.util.Arrays;

/**
 * Brings a weight from the mapped file to the heap, sixteen rows at a time, each padded with zeros
 * to the next multiple of 16: there is no way to load vectors from outside the heap that is common
 * to all JDKs. The next rows are read while these are multiplied, so that the memory is always
 * busy.
 */
final class WeightStage {
  private short[] raw = new short[0]; // [16][pitch]
  private short[] nextRaw = new short[0]; // [16][pitch]
  private float[] wide = new float[0]; // twice two panels of VectorRowBlocks
  private short[] shorts = new short[0]; // [pitch]
  private float[] floats = new float[0]; // [pitch]

  private WeightMatrix weight;
  private int pitch;
  private boolean isWide;
  private int current; // where the current rows begin in wide
  private int ahead; // where the next ones do
  private int next;
  private int end;
  private int due;
  private int read;

  /**
   * Begins with rows {@code [from, to)}; {@link #turn} makes the first sixteen current.
   *
   * @param isWide widened, into {@link #wide}, or bfloat16 as stored, into {@link #raw}
   */
  void begin(WeightMatrix weight, int from, int to, boolean isWide) {
    this.weight = weight;
    this.isWide = isWide;
    pitch = (weight.cols() + LANES - 1) / LANES * LANES;
    if (isWide && wide.length < LineAligned.FIRST + 2 * LANES * pitch) {
      wide = LineAligned.floats(2 * LANES * pitch);
    }
    current = LineAligned.FIRST;
    ahead = current + LANES * pitch;
    if (!isWide && raw.length < LANES * pitch) {
      raw = new short[LANES * pitch];
      nextRaw = new short[LANES * pitch];
    }
    if (floats.length < pitch) {
      floats = new float[pitch];
      shorts = new short[pitch];
    }
    next = from;
    end = to;
    due = Math.min(LANES, to - from);
    read = 0;
  }

  /** Floats, or shorts, from one row to the next, before they are cut into vectors. */
  int pitch() {
    return pitch;
  }

  /** Sixteen rows as stored, [16][pitch]. */
  short[] raw() {
    return raw;
  }

  /** Rows widened, in panels of {@link VectorRowBlocks}. */
  float[] wide() {
    return wide;
  }

  /** Where the vectors of current row {@code j} begin in {@link #wide}, a panel's width apart. */
  int wideRow(int j) {
    return current + inPanels(j);
  }

  private int inPanels(int j) {
    int outputs = VectorRowBlocks.OUTPUTS;
    return j / outputs * outputs * pitch + j % outputs * LANES;
  }

  /** What was read ahead becomes current, and the rows after it what follows. */
  void turn() {
    readAhead(1, 1);
    if (isWide) {
      int turned = current;
      current = ahead;
      ahead = turned;
    } else {
      short[] turned = raw;
      raw = nextRaw;
      nextRaw = turned;
    }
    next += due;
    due = Math.min(LANES, end - next);
    read = 0;
  }

  /** Reads as much of what follows as is due when {@code done} of {@code all} work is done. */
  void readAhead(int done, int all) {
    int until = (int) ((long) due * done / all);
    if (until <= read) {
      return;
    }
    if (isWide) {
      for (int j = read; j < until; j++) {
        widen(next + j, ahead + inPanels(j));
      }
    } else {
      readShorts(weight, next + read, until - read, nextRaw, read * pitch, pitch);
    }
    read = until;
  }

  private void widen(int row, int offset) {
    if (weight.dtype() == DType.F32) {
      weight.tensor().readFloats(weight.element(row), floats, 0, weight.cols());
      Arrays.fill(floats, weight.cols(), pitch, 0f);
      copy(floats, wide, offset, pitch);
    } else {
      readShorts(weight, row, 1, shorts, 0, pitch);
      if (weight.dtype() == DType.BF16) {
        widenBFloat16(shorts, wide, offset, pitch);
      } else {
        widenHalves(shorts, wide, offset, pitch);
      }
    }
  }

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

  private static int runOf(WeightMatrix weight, int row, int most) {
    return Math.min(most, weight.rowsPerSlice() - row % weight.rowsPerSlice());
  }

  private static void copy(float[] row, float[] panel, int offset, int count) {
    int to = offset;
    for (int i = 0; i < count; i += LANES) {
      System.arraycopy(row, i, panel, to, LANES);
      to += VectorRowBlocks.PANEL;
    }
  }

  private static void widenBFloat16(short[] row, float[] panel, int offset, int count) {
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      int to = offset + lane;
      for (int i = lane; i < count; i += LANES) {
        VectorLanes.bfloats(row, i).intoArray(panel, to);
        to += VectorRowBlocks.PANEL;
      }
    }
  }

  private static void widenHalves(short[] row, float[] panel, int offset, int count) {
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      int to = offset + lane;
      for (int i = lane; i < count; i += LANES) {
        VectorLanes.anyHalves(row, i).intoArray(panel, to);
        to += VectorRowBlocks.PANEL;
      }
    }
  }
}
