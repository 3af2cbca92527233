package dev.bulkgen.backend.cpu;

import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.PageTable;
import dev.bulkgen.cache.SequenceCache;

/**
 * The bytes of the cache: exactly {@code pages · pageBytes + slots · windowBytes}, the staging
 * pages, and the swap area. Offsets are those of {@link CacheLayout}, in bytes from the start of
 * one K/V head's part of a page or of one layer's window. Tasks that touch different sequences,
 * layers or heads may run side by side; pages that sequences share are only read.
 */
final class CpuCacheStore {
  private final CacheLayout layout;
  private final CacheLayout staged;
  private final Slabs pages;
  private final Slabs windows;
  private final Slabs staging;
  private final Slabs swappedPages;
  private final Slabs swappedWindows;

  CpuCacheStore(CacheLayout layout, CacheCapacity capacity) {
    this.layout = layout;
    staged = layout.staging();
    pages = Slabs.allocate("pages", capacity.pages(), layout.pageBytes());
    windows = windows("windows", capacity.slots());
    staging = Slabs.allocate("staging pages", capacity.stagingPages(), staged.pageBytes());
    swappedPages = Slabs.allocate("swapped pages", capacity.swapPages(), layout.pageBytes());
    swappedWindows = windows("swapped windows", capacity.swapSlots());
  }

  private Slabs windows(String what, int slots) {
    long heads = (long) slots * layout.layers() * layout.kvHeads();
    return Slabs.allocate(what, heads, layout.windowHeadBytes());
  }

  CacheLayout layout() {
    return layout;
  }

  /** Null where all tokens are kept in float16. */
  CachePolicy.Kivi kivi() {
    return layout.policy() instanceof CachePolicy.Kivi kivi ? kivi : null;
  }

  /** Bytes of pages, windows and staging. */
  long bytes() {
    return pages.bytes() + windows.bytes() + staging.bytes();
  }

  /** Bytes of the swap area. */
  long swapBytes() {
    return swappedPages.bytes() + swappedWindows.bytes();
  }

  /** Copies all that {@code from} holds; {@code to} has as many pages in every layer. */
  void copy(SequenceCache from, SequenceCache to) {
    copyPages(from, pages, to, pages);
    copyWindows(from, windows, to, windows);
  }

  /**
   * @param to holds pages and a slot of the swap area
   */
  void swapOut(SequenceCache from, SequenceCache to) {
    copyPages(from, pages, to, swappedPages);
    copyWindows(from, windows, to, swappedWindows);
  }

  /**
   * @param from holds pages and a slot of the swap area
   */
  void swapIn(SequenceCache from, SequenceCache to) {
    copyPages(from, swappedPages, to, pages);
    copyWindows(from, swappedWindows, to, windows);
  }

  private void copyPages(SequenceCache from, Slabs source, SequenceCache to, Slabs target) {
    for (int layer = 0; layer < layout.layers(); layer++) {
      for (int i = 0; i < from.pages().count(layer); i++) {
        int page = from.pages().page(layer, i);
        int copy = to.pages().page(layer, i);
        if (source != target || page != copy) {
          source.copy(page, target, copy);
        }
      }
    }
  }

  private void copyWindows(SequenceCache from, Slabs source, SequenceCache to, Slabs target) {
    if (layout.windowHeadBytes() > 0) {
      int units = layout.layers() * layout.kvHeads();
      for (int unit = 0; unit < units; unit++) {
        source.copy((long) from.slot() * units + unit, target, (long) to.slot() * units + unit);
      }
    }
  }

  /** One K/V head's view of one layer of one sequence. */
  Part part(SequenceCache cache, int layer, int head) {
    return new Part(cache, layer, head);
  }

  /** Where one K/V head of one layer of one sequence keeps its tokens. */
  final class Part {
    private final SequenceCache cache;
    private final int layer;
    private final long window;
    private final int headOffset;
    private final int exactOffset;

    private Part(SequenceCache cache, int layer, int head) {
      this.cache = cache;
      this.layer = layer;
      window = ((long) cache.slot() * layout.layers() + layer) * layout.kvHeads() + head;
      headOffset = head * layout.pageHeadBytes();
      exactOffset = head * staged.pageHeadBytes();
    }

    /** {@code page} counts the sequence's own pages of this layer from 0. */
    void readPage(int page, int at, short[] target, int offset, int count) {
      pages.read(unit(page), headOffset + at, target, offset, count);
    }

    void readPage(int page, int at, int[] target, int offset, int count) {
      pages.read(unit(page), headOffset + at, target, offset, count);
    }

    void writePage(int page, int at, short[] source, int offset, int count) {
      pages.write(unit(page), headOffset + at, source, offset, count);
    }

    void writePage(int page, int at, int[] source, int offset, int count) {
      pages.write(unit(page), headOffset + at, source, offset, count);
    }

    void writePage(int page, int at, short value) {
      pages.write(unit(page), headOffset + at, value);
    }

    void readWindow(int at, short[] target, int offset, int count) {
      windows.read(window, at, target, offset, count);
    }

    void writeWindow(int at, short[] source, int offset, int count) {
      windows.write(window, at, source, offset, count);
    }

    void writeWindow(int at, short value) {
      windows.write(window, at, value);
    }

    /** How many pages of the prompt's exact tokens the sequence holds. */
    int exactPages() {
      return exactTable().count(layer);
    }

    /** {@code page} counts those pages, laid out as {@link CacheLayout#staging()} says, from 0. */
    void readExact(int page, int at, short[] target, int offset, int count) {
      exact().read(exactTable().page(layer, page), exactOffset + at, target, offset, count);
    }

    void writeExact(int page, int at, short[] source, int offset, int count) {
      exact().write(exactTable().page(layer, page), exactOffset + at, source, offset, count);
    }

    /** Pages, the first ones, that another sequence has filled. */
    int sharedPages() {
      return cache.sharedPages();
    }

    private Slabs exact() {
      return layout.isExact() ? pages : staging;
    }

    private PageTable exactTable() {
      return layout.isExact() ? cache.pages() : cache.staging();
    }

    private long unit(int page) {
      return cache.pages().page(layer, page);
    }
  }
}
