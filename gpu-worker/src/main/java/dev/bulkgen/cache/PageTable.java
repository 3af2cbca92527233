package dev.bulkgen.cache;

import java.util.Arrays;

/** Which pages a sequence holds: a list of page numbers per layer, in the order of the tokens. */
public final class PageTable {
  private static final int FEW = 4;

  private final int[] counts; // [layers]
  private int[] pages; // [pages, layers]: what grows together lies together

  public PageTable(int layers) {
    pages = new int[layers * FEW];
    counts = new int[layers];
  }

  public int layers() {
    return counts.length;
  }

  public int count(int layer) {
    return counts[layer];
  }

  public int page(int layer, int index) {
    if (index >= counts[layer]) {
      throw new IndexOutOfBoundsException("page " + index + " of " + counts[layer]);
    }
    return pages[index * counts.length + layer];
  }

  void append(int layer, int page) {
    int at = counts[layer]++ * counts.length + layer;
    if (at >= pages.length) {
      pages = Arrays.copyOf(pages, pages.length * 2);
    }
    pages[at] = page;
  }

  /** Room for so many pages of every layer, so that appending them copies nothing. */
  void reserve(int pagesPerLayer) {
    if (pagesPerLayer * counts.length > pages.length) {
      pages = Arrays.copyOf(pages, Math.max(pagesPerLayer * counts.length, pages.length * 2));
    }
  }

  int removeLast(int layer) {
    return pages[--counts[layer] * counts.length + layer];
  }
}
