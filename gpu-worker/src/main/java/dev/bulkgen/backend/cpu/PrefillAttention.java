package dev.bulkgen.backend.cpu;

import static dev.bulkgen.cache.CacheLayout.TOKEN_TILE;

import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.model.AttentionShape;
import java.util.Arrays;

/**
 * Attention of prompt rows to their own prompt, in full precision: tokens of earlier parts and of
 * shared prefixes in the pages where they are kept in float16, those of this step in the panels. A
 * task takes a run of neighbouring queries for some query heads of one K/V head, so that a page is
 * widened once for all of them.
 *
 * <p>The queries of a tile of 16 positions see whole tiles of keys, and what is masked of them adds
 * exactly 0: which sums are made in which order follows from a row's position alone, wherever the
 * prompt is cut.
 */
final class PrefillAttention {
  private final AttentionShape attention;
  private final Workspace workspace;
  private final WorkspaceShape shape;
  private final CpuCacheStore store;
  private final TeamKernels kernels;
  private final ExactPages[] pages; // one a worker
  private final int headDim;
  private final int scoreStride;
  private final int valueStride;

  PrefillAttention(Workspace workspace, CpuCacheStore store, TeamKernels kernels) {
    this.workspace = workspace;
    this.store = store;
    this.kernels = kernels;
    shape = workspace.shape;
    attention = shape.model().attention();
    headDim = shape.headDim();
    scoreStride = shape.promptColumns();
    valueStride = WorkspaceShape.padded(headDim);
    pages = new ExactPages[workspace.workers.length];
    for (int i = 0; i < pages.length; i++) {
      pages[i] = new ExactPages(shape, workspace.workers[i], kernels.of(i));
    }
  }

  /** Runs for the prompt rows among {@code [from, to)}; row {@code from} is the block's first. */
  void run(StepRows rows, int layer, int from, int to) {
    int[] starts = new int[to - from + 1];
    int runs = 0;
    for (int row = from; row < to; row = starts[runs]) {
      int end = runEnd(rows, row, to);
      starts[runs] = row;
      runs += rows.isPrefill(row) ? 1 : 0;
      starts[runs] = end;
    }
    int heads = shape.promptHeads();
    int chunks = (attention.groupSize() + heads - 1) / heads;
    int tasksPerRun = attention.kvHeads() * chunks;
    kernels
        .team()
        .run(
            runs * tasksPerRun,
            (task, worker) -> {
              int row = starts[task / tasksPerRun];
              int kvHead = task % tasksPerRun / chunks;
              int first = task % chunks * heads;
              int count = Math.min(heads, attention.groupSize() - first);
              int sequence = rows.sequenceOf[row];
              SequenceCache cache = rows.sequences.get(sequence).cache();
              Run run =
                  new Run(
                      store.part(cache, layer, kvHead),
                      kvHead,
                      kvHead * attention.groupSize() + first,
                      count,
                      rows.firstTile[sequence],
                      rows.cached(row),
                      rows.positions[row],
                      row - from,
                      runEnd(rows, row, to) - row);
              new Attending(run, worker).run();
            });
  }

  /** Where the run of queries that begins at {@code row} ends. */
  private int runEnd(StepRows rows, int row, int to) {
    if (!rows.isPrefill(row)) {
      return row + 1;
    }
    int tiles = rows.positions[row] / TOKEN_TILE + shape.promptQueryTiles();
    int end = row + tiles * TOKEN_TILE - rows.positions[row];
    return Math.min(Math.min(to, rows.lastRow(rows.sequenceOf[row]) + 1), end);
  }

  /**
   * @param part where the tokens before this step's are
   * @param firstHead of the query heads
   * @param promptTile where the tiles of this step's tokens begin
   * @param cached tokens before this step's, whole pages
   * @param position of the first query
   * @param blockRow of the first query
   */
  private record Run(
      CpuCacheStore.Part part,
      int kvHead,
      int firstHead,
      int heads,
      int promptTile,
      int cached,
      int position,
      int blockRow,
      int queries) {

    /** Columns begin at this position, a page's first. */
    int base(AttentionShape attention) {
      int visible = attention.firstVisible(position / TOKEN_TILE * TOKEN_TILE);
      return visible / ExactPages.TOKENS * ExactPages.TOKENS;
    }

    /** Where the tile of query {@code i} ends. */
    int tileEnd(int i) {
      return Math.min(queries, i + TOKEN_TILE - (position + i) % TOKEN_TILE);
    }

    /** The position after the tile of query {@code i}. */
    int columnsEnd(int i) {
      return ((position + i) / TOKEN_TILE + 1) * TOKEN_TILE;
    }
  }

  /** One task. */
  private final class Attending {
    private final Run run;
    private final CpuKernels kernel;
    private final ExactPages page;
    private final float[] scores; // [heads][queries][scoreStride]
    private final float[] values; // [heads][queries][valueStride]
    private final int base;
    private final int newFrom; // the first position that is read from the panels

    Attending(Run run, int worker) {
      this.run = run;
      kernel = kernels.of(worker);
      page = pages[worker];
      scores = workspace.workers[worker].promptScores;
      values = workspace.workers[worker].promptValues;
      base = run.base(attention);
      newFrom = Math.max(base, run.cached);
    }

    void run() {
      scoreCached();
      for (int head = 0; head < run.heads; head++) {
        for (int i = 0; i < run.queries; i = run.tileEnd(i)) {
          scoreNew(head, i, run.tileEnd(i) - i, run.columnsEnd(i));
        }
      }
      float[] sums = new float[run.heads * run.queries];
      for (int row = 0; row < sums.length; row++) {
        sums[row] = softmaxParts(row, row % run.queries);
      }
      Arrays.fill(values, 0, sums.length * valueStride, 0f);
      addCached();
      for (int head = 0; head < run.heads; head++) {
        for (int i = 0; i < run.queries; i = run.tileEnd(i)) {
          addNew(head, i, run.tileEnd(i) - i, run.columnsEnd(i));
        }
      }
      for (int row = 0; row < sums.length; row++) {
        int out = queryAt(row / run.queries, row % run.queries);
        for (int d = 0; d < headDim; d++) {
          workspace.attended[out + d] = values[row * valueStride + d] / sums[row];
        }
      }
    }

    private int queryAt(int head, int i) {
      return (run.blockRow + i) * shape.queryStride() + (run.firstHead + head) * headDim;
    }

    private int scoreAt(int head, int i, int position) {
      return (head * run.queries + i) * scoreStride + position - base;
    }

    private void scoreCached() {
      for (int position = base; position < run.cached; position += ExactPages.TOKENS) {
        float[] panels = page.keys(run.part, position);
        for (int head = 0; head < run.heads; head++) {
          kernel.panelMultiply(
              workspace.query,
              queryAt(head, 0),
              shape.queryStride(),
              run.queries,
              panels,
              0,
              headDim * TOKEN_TILE,
              ExactPages.TOKENS / TOKEN_TILE,
              headDim,
              scores,
              scoreAt(head, 0, position),
              scoreStride);
        }
      }
    }

    private void scoreNew(int head, int i, int queries, int end) {
      int tile = run.promptTile + (newFrom - run.cached) / TOKEN_TILE;
      kernel.panelMultiply(
          workspace.query,
          queryAt(head, i),
          shape.queryStride(),
          queries,
          workspace.keyPanels,
          workspace.keyPanel(run.kvHead, tile),
          headDim * TOKEN_TILE,
          (end - newFrom) / TOKEN_TILE,
          headDim,
          scores,
          scoreAt(head, i, newFrom),
          scoreStride);
    }

    /** Turns a row of scores into exp(score − max), 0 where the query must not look. */
    private float softmaxParts(int row, int i) {
      int position = run.position + i;
      int offset = row * scoreStride;
      int columns = run.columnsEnd(i) - base;
      int visible = attention.firstVisible(position) - base;
      Arrays.fill(scores, offset, offset + visible, Float.NEGATIVE_INFINITY);
      int end = position + 1 - base;
      Arrays.fill(scores, offset + end, offset + columns, Float.NEGATIVE_INFINITY);
      float max = kernel.max(scores, offset, columns);
      return kernel.expAndSum(scores, offset, columns, max);
    }

    private void addCached() {
      for (int position = base; position < run.cached; position += ExactPages.TOKENS) {
        float[] panels = page.values(run.part, position);
        // Rows of all heads lie one after the other in scores and sums alike.
        kernel.panelAccumulate(
            scores,
            position - base,
            scoreStride,
            run.heads * run.queries,
            panels,
            0,
            ExactPages.TOKENS * CpuKernels.LANES,
            shape.valuePanels(),
            ExactPages.TOKENS,
            values,
            0,
            valueStride);
      }
    }

    private void addNew(int head, int i, int queries, int end) {
      int at = workspace.valuePanel(run.kvHead, run.promptTile);
      kernel.panelAccumulate(
          scores,
          scoreAt(head, i, newFrom),
          scoreStride,
          queries,
          workspace.valuePanels,
          at + (newFrom - run.cached) * CpuKernels.LANES,
          workspace.valuePanelStride(),
          shape.valuePanels(),
          end - newFrom,
          values,
          (head * run.queries + i) * valueStride,
          valueStride);
    }
  }
}
