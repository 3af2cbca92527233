package dev.bulkgen.backend.cpu;

import dev.bulkgen.model.AttentionShape;
import dev.bulkgen.tensor.ExactMath;
import java.util.Arrays;

/**
 * Attention of one new token to its cached context. The context is cut at fixed token positions
 * into splits; a task computes one split for all query heads of one K/V head, and the splits are
 * merged in their order by their maxima and sums of exponentials (log-sum-exp), so that a row's
 * bits depend on its own context alone.
 */
final class DecodeAttention {
  private final AttentionShape attention;
  private final Workspace workspace;
  private final WorkspaceShape shape;
  private final CpuCacheStore store;
  private final TeamKernels kernels;
  private final SplitReader[] readers; // one a worker

  DecodeAttention(Workspace workspace, CpuCacheStore store, TeamKernels kernels) {
    this.workspace = workspace;
    this.store = store;
    this.kernels = kernels;
    shape = workspace.shape;
    attention = shape.model().attention();
    readers = new SplitReader[workspace.workers.length];
    for (int i = 0; i < readers.length; i++) {
      readers[i] = new SplitReader(workspace.workers[i], shape, kernels.of(i));
    }
  }

  /** Runs for the decode rows among {@code [from, to)}; row {@code from} is the block's first. */
  void run(StepRows rows, int layer, int from, int to) {
    int kvHeads = attention.kvHeads();
    int[] taskRow = new int[splits(rows, from, to)];
    int[] taskSplit = new int[taskRow.length];
    int count = 0;
    for (int row = from; row < to; row++) {
      if (!rows.isPrefill(row)) {
        int sequence = rows.sequenceOf[row];
        for (int s = rows.firstSplit[sequence]; s < rows.splitEnd[sequence]; s++) {
          taskRow[count] = row;
          taskSplit[count++] = s;
        }
      }
    }
    kernels
        .team()
        .run(
            count * kvHeads,
            (task, worker) -> {
              int row = taskRow[task / kvHeads];
              int split = taskSplit[task / kvHeads];
              attend(rows, row, row - from, layer, task % kvHeads, split, worker);
            });
    merge(rows, from, to);
  }

  private static int splits(StepRows rows, int from, int to) {
    int total = 0;
    for (int row = from; row < to; row++) {
      if (!rows.isPrefill(row)) {
        int sequence = rows.sequenceOf[row];
        total += rows.splitEnd[sequence] - rows.firstSplit[sequence];
      }
    }
    return total;
  }

  private void attend(
      StepRows rows, int row, int blockRow, int layer, int kvHead, int split, int worker) {
    Workspace.Worker scratch = workspace.workers[worker];
    CpuKernels kernel = kernels.of(worker);
    int heads = attention.groupSize();
    int width = heads * shape.headDim();
    int queryAt = blockRow * shape.queryStride() + kvHead * width;
    System.arraycopy(workspace.query, queryAt, scratch.query, 0, width);

    int sequence = rows.sequenceOf[row];
    CpuCacheStore.Part part = store.part(rows.sequences.get(sequence).cache(), layer, kvHead);
    SplitReader reader = readers[worker];
    int columns = reader.scores(part, rows.positions[row] + 1, split);
    int hidden = hiddenColumns(rows.positions[row], split);
    int out = (rows.splitBase[sequence] + split - rows.firstSplit[sequence]);
    int firstHead = out * attention.queryHeads() + kvHead * heads;
    for (int h = 0; h < heads; h++) {
      int offset = h * shape.splitColumns();
      Arrays.fill(scratch.scores, offset, offset + hidden, Float.NEGATIVE_INFINITY);
      float max = kernel.max(scratch.scores, offset, columns);
      workspace.splitMax[firstHead + h] = max;
      workspace.splitSum[firstHead + h] = kernel.expAndSum(scratch.scores, offset, columns, max);
    }
    reader.values(part, rows.positions[row] + 1, split);
    System.arraycopy(scratch.values, 0, workspace.splitValues, firstHead * shape.headDim(), width);
  }

  /** Leading columns of a split that lie before the sliding window. */
  private int hiddenColumns(int position, int split) {
    int start = split == 0 ? 0 : shape.sink() + split * shape.splitTokens();
    return Math.max(0, attention.firstVisible(position) - start);
  }

  private void merge(StepRows rows, int from, int to) {
    int headDim = shape.headDim();
    kernels.rows(
        to - from,
        (long) shape.queryStride() * 4,
        (first, end, kernel) -> {
          for (int blockRow = first; blockRow < end; blockRow++) {
            if (!rows.isPrefill(from + blockRow)) {
              for (int head = 0; head < attention.queryHeads(); head++) {
                int out = blockRow * shape.queryStride() + head * headDim;
                mergeHead(rows, rows.sequenceOf[from + blockRow], head, out);
              }
            }
          }
        });
  }

  private void mergeHead(StepRows rows, int sequence, int head, int out) {
    int headDim = shape.headDim();
    int heads = attention.queryHeads();
    int splits = rows.splitEnd[sequence] - rows.firstSplit[sequence];
    int first = rows.splitBase[sequence] * heads + head;
    float max = Float.NEGATIVE_INFINITY;
    for (int s = 0; s < splits; s++) {
      max = Math.max(max, workspace.splitMax[first + s * heads]);
    }
    Arrays.fill(workspace.attended, out, out + headDim, 0f);
    float sum = 0;
    for (int s = 0; s < splits; s++) {
      int part = first + s * heads;
      float weight = ExactMath.exp(workspace.splitMax[part] - max);
      sum = Math.fma(weight, workspace.splitSum[part], sum);
      for (int d = 0; d < headDim; d++) {
        float value = workspace.splitValues[part * headDim + d];
        workspace.attended[out + d] = Math.fma(weight, value, workspace.attended[out + d]);
      }
    }
    for (int d = 0; d < headDim; d++) {
      workspace.attended[out + d] /= sum;
    }
  }
}
