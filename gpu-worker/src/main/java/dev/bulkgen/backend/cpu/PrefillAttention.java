package dev.bulkgen.backend.cpu;

import static dev.bulkgen.cache.CacheLayout.TOKEN_TILE;

import dev.bulkgen.model.AttentionShape;
import java.util.Arrays;

/**
 * Attention of prompt rows to their own prompt, in full precision. A task takes the queries of one
 * tile of positions for one query head. Tiles begin at multiples of 16 from the prompt's start, so
 * which keys a row is multiplied with follows from its position alone, and masked ones add exactly
 * 0.
 */
final class PrefillAttention {
  private final AttentionShape attention;
  private final Workspace workspace;
  private final WorkspaceShape shape;
  private final TeamKernels kernels;

  PrefillAttention(Workspace workspace, TeamKernels kernels) {
    this.workspace = workspace;
    this.kernels = kernels;
    shape = workspace.shape;
    attention = shape.model().attention();
  }

  /** Runs for the prompt rows among {@code [from, to)}; row {@code from} is the block's first. */
  void run(StepRows rows, int from, int to) {
    int[] starts = new int[to - from];
    int tiles = 0;
    for (int row = from; row < to; row++) {
      boolean begins = row == from || rows.positions[row] % TOKEN_TILE == 0;
      if (rows.isPrefill(row) && (begins || rows.sequenceOf[row] != rows.sequenceOf[row - 1])) {
        starts[tiles++] = row;
      }
    }
    int heads = attention.queryHeads();
    kernels
        .team()
        .run(
            tiles * heads,
            (task, worker) -> {
              int first = starts[task / heads];
              int sequence = rows.sequenceOf[first];
              int position = rows.positions[first];
              int tileEnd = first + TOKEN_TILE - position % TOKEN_TILE;
              int end = Math.min(Math.min(to, rows.lastRow(sequence) + 1), tileEnd);
              attend(
                  new Tile(
                      task % heads, rows.firstTile[sequence], position, first - from, end - first),
                  worker);
            });
  }

  /**
   * @param promptTile where the prompt's tiles begin
   * @param position of the first query
   * @param blockRow of the first query
   */
  private record Tile(int head, int promptTile, int position, int blockRow, int queries) {}

  private void attend(Tile tile, int worker) {
    CpuKernels kernel = kernels.of(worker);
    Workspace.Worker scratch = workspace.workers[worker];
    int headDim = shape.headDim();
    int kvHead = tile.head / attention.groupSize();
    int tileStart = tile.position / TOKEN_TILE * TOKEN_TILE;
    int firstTile = attention.firstVisible(tileStart) / TOKEN_TILE;
    int tiles = tileStart / TOKEN_TILE + 1 - firstTile;
    int columns = tiles * TOKEN_TILE;
    int queryAt = tile.blockRow * shape.queryStride() + tile.head * headDim;
    int scoreStride = shape.promptColumns();
    int valueStride = WorkspaceShape.padded(headDim);

    kernel.panelMultiply(
        workspace.query,
        queryAt,
        shape.queryStride(),
        tile.queries,
        workspace.keyPanels,
        workspace.keyPanel(kvHead, tile.promptTile + firstTile),
        headDim * TOKEN_TILE,
        tiles,
        headDim,
        scratch.promptScores,
        0,
        scoreStride);
    float[] sums = new float[tile.queries];
    for (int i = 0; i < tile.queries; i++) {
      sums[i] =
          softmaxParts(
              kernel,
              scratch.promptScores,
              i * scoreStride,
              columns,
              tile.position + i,
              firstTile * TOKEN_TILE);
    }
    kernel.panelMultiply(
        scratch.promptScores,
        0,
        scoreStride,
        tile.queries,
        workspace.valuePanels,
        workspace.valuePanel(kvHead, tile.promptTile + firstTile),
        workspace.valuePanelStride(),
        shape.valuePanels(),
        columns,
        scratch.promptValues,
        0,
        valueStride);
    for (int i = 0; i < tile.queries; i++) {
      for (int d = 0; d < headDim; d++) {
        workspace.attended[queryAt + i * shape.queryStride() + d] =
            scratch.promptValues[i * valueStride + d] / sums[i];
      }
    }
  }

  /** Turns a row of scores into exp(score − max), 0 where the query must not look. */
  private float softmaxParts(
      CpuKernels kernel, float[] scores, int offset, int columns, int position, int firstColumn) {
    int visible = attention.firstVisible(position) - firstColumn;
    Arrays.fill(scores, offset, offset + visible, Float.NEGATIVE_INFINITY);
    int end = position + 1 - firstColumn;
    Arrays.fill(scores, offset + end, offset + columns, Float.NEGATIVE_INFINITY);
    float max = kernel.max(scores, offset, columns);
    return kernel.expAndSum(scores, offset, columns, max);
  }
}
