package dev.bulkgen.cache;

/**
 * Hands out page numbers; free + used = total at every moment. A page may have several owners (the
 * sequences that begin alike, and whoever keeps the beginning for others) and is free when the last
 * has released it; releasing one that is free is an error, not a shrug.
 */
public final class PagePool {
  private final int[] free;
  private final int[] owners; // [pages]
  private int freeCount;

  public PagePool(int pages) {
    free = new int[pages];
    owners = new int[pages];
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

  /** How many hold {@code page}; 0 if it is free. */
  public int owners(int page) {
    return owners[page];
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
   * Lets {@code table}, which holds as many pages in every layer, grow to {@code pagesPerLayer}
   * pages in every layer.
   *
   * @throws IllegalStateException if the pool is too empty; the caller asks {@link #missing} first
   */
  public void grow(PageTable table, int pagesPerLayer) {
    if (missing(table, pagesPerLayer) > freeCount) {
      throw new IllegalStateException("page pool exhausted: " + freeCount + " of " + total());
    }
    table.reserve(pagesPerLayer);
    for (int index = table.count(0); index < pagesPerLayer; index++) {
      for (int layer = 0; layer < table.layers(); layer++) {
        int page = free[--freeCount];
        owners[page] = 1;
        table.append(layer, page);
      }
    }
  }

  /** Appends a page that others hold to a layer of {@code table}, as one more owner. */
  public void adopt(PageTable table, int layer, int page) {
    retain(page);
    table.append(layer, page);
  }

  /**
   * Becomes one more owner of a page.
   *
   * @throws IllegalStateException if the page is free
   */
  public void retain(int page) {
    if (owners[page] == 0) {
      throw new IllegalStateException("page " + page + " is free and cannot be shared");
    }
    owners[page]++;
  }

  /**
   * Gives up one ownership of a page.
   *
   * @throws IllegalStateException if the page is free
   */
  public void release(int page) {
    if (owners[page] == 0) {
      throw new IllegalStateException("page " + page + " released twice");
    }
    if (--owners[page] == 0) {
      free[freeCount++] = page;
    }
  }

  /** Gives up all pages of {@code table}, which then holds none. */
  public void release(PageTable table) {
    while (table.count(0) > 0) {
      for (int layer = table.layers() - 1; layer >= 0; layer--) {
        release(table.removeLast(layer));
      }
    }
  }

  /**
   * Gives up all pages of {@code table}, which still names them: for a copy that is made, in the
   * order of the steps, before anyone else writes them.
   */
  public void releaseAfterCopy(PageTable table) {
    for (int layer = 0; layer < table.layers(); layer++) {
      for (int index = table.count(layer) - 1; index >= 0; index--) {
        release(table.page(layer, index));
      }
    }
  }
}
