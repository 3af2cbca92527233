package dev.bulkgen.model;

import java.util.OptionalInt;

/**
 * Heads and their sizes. {@code slidingWindow}: a query at position t attends to positions (t −
 * window, t].
 */
public record AttentionShape(
    int queryHeads, int kvHeads, int headDim, OptionalInt slidingWindow, boolean qkNorm) {

  /** Query heads that share one K/V head. */
  public int groupSize() {
    return queryHeads / kvHeads;
  }

  public int queryWidth() {
    return queryHeads * headDim;
  }

  public int kvWidth() {
    return kvHeads * headDim;
  }

  /** The first position a query at {@code position} attends to. */
  public int firstVisible(int position) {
    return slidingWindow.isPresent() ? Math.max(0, position + 1 - slidingWindow.getAsInt()) : 0;
  }
}
