package dev.bulkgen.backend.cpu;

import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.model.WeightMatrix;

/**
 * Kernels spread over the team. How work is cut changes no bits: every output element is computed
 * whole by one task.
 */
final class TeamKernels {
  /** Multiply-adds below which waking the others costs more than it saves. */
  private static final long SMALL_WORK = 1 << 16;

  private static final int MAX_CHUNK = 256;
  private static final int TASKS_PER_WORKER = 6;

  private final ThreadTeam team;
  private final CpuKernels[] kernels;

  private final float[] alignedRows;

  /**
   * @param alignedRows room for the rows of any product, {@link LineAligned#FIRST} floats into it
   */
  TeamKernels(ThreadTeam team, CpuKernels[] kernels, float[] alignedRows) {
    this.team = team;
    this.kernels = kernels;
    this.alignedRows = alignedRows;
  }

  ThreadTeam team() {
    return team;
  }

  CpuKernels of(int worker) {
    return kernels[worker];
  }

  /** What to do with some rows, or columns, by one worker. */
  @FunctionalInterface
  interface Range {
    void run(int from, int to, CpuKernels kernels);
  }

  /** {@code out = linear(x)} for {@code rows} rows. */
  void multiply(
      float[] x, int xStride, int rows, ModelWeights.Linear linear, float[] out, int outStride) {
    WeightMatrix weight = linear.weight();
    float[] aligned = aligned(x, rows, xStride);
    int first = LineAligned.FIRST;
    columns(
        weight.rows(),
        (long) rows * weight.cols(),
        (from, to, worker) ->
            worker.matmul(
                aligned, first, xStride, rows, weight, from, to, linear.bias(), out, outStride));
  }

  /**
   * Copies the rows of a product's x to where every vector of them lies in one line of the caches:
   * they begin at {@link LineAligned#FIRST} and stay until the next product.
   */
  float[] aligned(float[] x, int rows, int stride) {
    rows(
        rows,
        stride,
        (from, to, worker) -> {
          int at = LineAligned.FIRST + from * stride;
          System.arraycopy(x, from * stride, alignedRows, at, (to - from) * stride);
        });
    return alignedRows;
  }

  /** Cuts [0, count) into whole vectors of columns, each worth {@code workPerColumn}. */
  void columns(int count, long workPerColumn, Range range) {
    int lanes = CpuKernels.LANES;
    int even = count / (team.size() * TASKS_PER_WORKER) / lanes * lanes;
    split(count, Math.max(lanes, Math.min(MAX_CHUNK, even)), workPerColumn, range);
  }

  /** Cuts rows, each worth {@code workPerRow}. */
  void rows(int count, long workPerRow, Range range) {
    int even = count / (team.size() * TASKS_PER_WORKER);
    split(count, Math.max(1, even), workPerRow, range);
  }

  private void split(int count, int chunk, long workPerItem, Range range) {
    if (team.size() == 1 || count * workPerItem <= SMALL_WORK) {
      range.run(0, count, kernels[0]);
      return;
    }
    team.run(
        (count + chunk - 1) / chunk,
        (task, worker) ->
            range.run(task * chunk, Math.min(count, (task + 1) * chunk), kernels[worker]));
  }
}
