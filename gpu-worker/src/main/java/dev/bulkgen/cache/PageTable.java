package dev.bulkgen.cache;

import java.util.Arrays;

/** Which pages a sequence holds: a list of page numbers per layer, in the order of the tokens. */
public final class PageTable {
  private final int[][] pages; // [layers][pages]
  private final int[] counts; // [layers]

  public PageTable(int layers) {
    pages = new int[layers][4];
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
    return pages[layer][index];
  }

  void append(int layer, int page) {
    if (counts[layer] == pages[layer].length) {
      pages[layer] = Arrays.copyOf(pages[layer], counts[layer] * 2);
    }
    pages[layer][counts[layer]++] = page;
  }

  int removeLast(int layer) {
    return pages[layer][--counts[layer]];
  }
}
