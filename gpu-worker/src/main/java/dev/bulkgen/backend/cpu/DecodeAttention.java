package dev.bulkgen.backend.cpu;

import dev.bulkgen.cache.SequenceCache;
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

  /**
   * Runs for the decode rows among {@code [from, to)}; row {@code from} is the block's first. As
   * many rows at a time as their splits find room: sequences that share pages may have more of them
   * than there are pages.
   */
  void run(StepRows rows, int layer, int from, int to) {
    int first = from;
    while (first < to) {
      int[] base = new int[to - first + 1]; // [rows], where their splits begin; then their end
      int end = first;
      while (end < to && base[end - first] + splits(rows, end) <= shape.maxSplits()) {
        base[end + 1 - first] = base[end - first] + splits(rows, end);
        end++;
      }
      attend(new Batch(rows, layer, first, end, first - from, base));
      first = end;
    }
  }

  /**
   * Rows whose splits are computed together.
   *
   * @param blockRow of row {@code from}
   * @param base where each row's splits begin
   */
  private record Batch(StepRows rows, int layer, int from, int to, int blockRow, int[] base) {}

  private static int splits(StepRows rows, int row) {
    return rows.isPrefill(row) ? 0 : rows.splits(row);
  }

  private void attend(Batch batch) {
    int kvHeads = attention.kvHeads();
    int count = batch.base[batch.to - batch.from];
    int[] taskRow = new int[count];
    for (int row = batch.from; row < batch.to; row++) {
      Arrays.fill(taskRow, batch.base[row - batch.from], batch.base[row + 1 - batch.from], row);
    }
    kernels
        .team()
        .run(
            count * kvHeads,
            (task, worker) ->
                attend(batch, taskRow[task / kvHeads], task / kvHeads, task % kvHeads, worker));
    merge(batch);
  }

  /**
   * @param out the split's place in the split buffers
   */
  private void attend(Batch batch, int row, int out, int kvHead, int worker) {
    Workspace.Worker scratch = workspace.workers[worker];
    CpuKernels kernel = kernels.of(worker);
    StepRows rows = batch.rows;
    int heads = attention.groupSize();
    int width = heads * shape.headDim();
    int blockRow = batch.blockRow + row - batch.from;
    int queryAt = blockRow * shape.queryStride() + kvHead * width;
    System.arraycopy(workspace.query, queryAt, scratch.query, 0, width);

    int sequence = rows.sequenceOf[row];
    int split = rows.firstSplit[sequence] + out - batch.base[row - batch.from];
    SequenceCache cache = rows.sequences.get(sequence).cache();
    CpuCacheStore.Part part = store.part(cache, batch.layer, kvHead);
    SplitReader reader = readers[worker];
    int columns = reader.scores(part, rows.positions[row] + 1, split);
    int hidden = hiddenColumns(rows.positions[row], split);
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

  private void merge(Batch batch) {
    int headDim = shape.headDim();
    kernels.rows(
        batch.to - batch.from,
        (long) shape.queryStride() * 4,
        (first, end, kernel) -> {
          for (int i = first; i < end; i++) {
            if (!batch.rows.isPrefill(batch.from + i)) {
              for (int head = 0; head < attention.queryHeads(); head++) {
                int out = (batch.blockRow + i) * shape.queryStride() + head * headDim;
                mergeHead(batch.base[i], batch.base[i + 1] - batch.base[i], head, out);
              }
            }
          }
        });
  }

  private void mergeHead(int firstSplit, int splits, int head, int out) {
    int headDim = shape.headDim();
    int heads = attention.queryHeads();
    int first = firstSplit * heads + head;
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
