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

  private final float[] stagedRows;

  /**
   * @param stagedRows room for the rows of any product, as {@link CpuKernels#stageRows} wants it
   */
  TeamKernels(ThreadTeam team, CpuKernels[] kernels, float[] stagedRows) {
    this.team = team;
    this.kernels = kernels;
    this.stagedRows = stagedRows;
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
    float[] staged = stage(x, rows, xStride);
    columns(
        weight.rows(),
        (long) rows * weight.cols(),
        (from, to, worker) ->
            worker.matmul(staged, rows, weight, from, to, linear.bias(), out, outStride));
  }

  /** Lays out the rows of a product's x; they stay until the next product. */
  float[] stage(float[] x, int rows, int stride) {
    int vectors = stride / CpuKernels.LANES;
    int even = vectors / (team.size() * TASKS_PER_WORKER);
    split(
        vectors,
        Math.max(1, even),
        (long) rows * CpuKernels.LANES,
        (from, to, worker) -> worker.stageRows(x, 0, stride, rows, stride, from, to, stagedRows));
    return stagedRows;
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
