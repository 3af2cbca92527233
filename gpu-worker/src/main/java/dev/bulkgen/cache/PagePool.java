package dev.bulkgen.cache;

import java.util.BitSet;

/**
 * Hands out page numbers; free + used = total at every moment. A page belongs to one sequence, and
 * handing back one that is free is an error, not a shrug.
 */
public final class PagePool {
  private final int[] free;
  private final BitSet used;
  private int freeCount;

  public PagePool(int pages) {
    free = new int[pages];
    used = new BitSet(pages);
    for (int i = 0; i < pages; i++) {
      free[i] = pages - 1 - i;
    }
    freeCount = pages;
  }

  public int total() {
    return free.length;
  }

  public int available() {
    return freeCount;
  }

  /** Pages missing for {@code table} to hold {@code pagesPerLayer} pages in every layer. */
  public int missing(PageTable table, int pagesPerLayer) {
    int missing = 0;
    for (int layer = 0; layer < table.layers(); layer++) {
      missing += Math.max(0, pagesPerLayer - table.count(layer));
    }
    return missing;
  }

  /**
   * Lets {@code table} grow to {@code pagesPerLayer} pages in every layer.
   *
   * @throws IllegalStateException if the pool is too empty; the caller asks {@link #missing} first
   */
  public void grow(PageTable table, int pagesPerLayer) {
    if (missing(table, pagesPerLayer) > freeCount) {
      throw new IllegalStateException("page pool exhausted: " + freeCount + " of " + total());
    }
    for (int layer = 0; layer < table.layers(); layer++) {
      while (table.count(layer) < pagesPerLayer) {
        int page = free[--freeCount];
        used.set(page);
        table.append(layer, page);
      }
    }
  }

  /** Takes all pages of {@code table} back. */
  public void release(PageTable table) {
    for (int layer = 0; layer < table.layers(); layer++) {
      while (table.count(layer) > 0) {
        int page = table.removeLast(layer);
        if (!used.get(page)) {
          throw new IllegalStateException("page " + page + " released twice");
        }
        used.clear(page);
        free[freeCount++] = page;
      }
    }
  }
}
