package dev.bulkgen.backend.cuda;

import dev.bulkgen.cache.PageTable;
import dev.bulkgen.cache.SequenceCache;
import java.util.Arrays;

/**
 * Knows which page numbers the device has of each window slot, and collects the ones it lacks: a
 * sequence takes a page of a layer every few steps, so little has to travel.
 */
final class PageTableMirror {
  private final int layers;
  private final int maxPages;
  private final SequenceCache[] owners; // [slots]
  private final int[] known; // [slots][layers] pages the device has
  private int[] indices = new int[256];
  private int[] pages = new int[256];
  private int count;

  PageTableMirror(int slots, int layers, int maxPages) {
    this.layers = layers;
    this.maxPages = maxPages;
    owners = new SequenceCache[slots];
    known = new int[slots * layers];
  }

  /** The slot's sequence has other pages now. */
  void forget(int slot) {
    Arrays.fill(known, slot * layers, (slot + 1) * layers, 0);
  }

  /** Notes the pages of {@code table}, one of {@code cache}, that the device does not have. */
  void note(SequenceCache cache, PageTable table) {
    if (owners[cache.slot()] != cache) {
      forget(cache.slot());
      owners[cache.slot()] = cache;
    }
    for (int layer = 0; layer < layers; layer++) {
      int row = cache.slot() * layers + layer;
      for (int i = known[row]; i < table.count(layer); i++) {
        add(row * maxPages + i, table.page(layer, i));
      }
      known[row] = table.count(layer);
    }
  }

  private void add(int index, int page) {
    if (count == indices.length) {
      indices = Arrays.copyOf(indices, 2 * count);
      pages = Arrays.copyOf(pages, 2 * count);
    }
    indices[count] = index;
    pages[count++] = page;
  }

  int count() {
    return count;
  }

  /** Places in the device's table [slots][layers][maxPages] of what is noted, from {@code from}. */
  int[] indices(int from, int to) {
    return Arrays.copyOfRange(indices, from, to);
  }

  int[] pages(int from, int to) {
    return Arrays.copyOfRange(pages, from, to);
  }

  /** The device has all that was noted. */
  void clear() {
    count = 0;
  }
}
