package dev.bulkgen.backend.cpu;

import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.SequenceCache;

/**
 * The bytes of the cache: exactly {@code pages · pageBytes + slots · windowBytes}. Offsets are
 * those of {@link CacheLayout}, in bytes from the start of one K/V head's part of a page or of one
 * layer's window. Tasks that touch different sequences, layers or heads may run side by side.
 */
final class CpuCacheStore {
  private final CacheLayout layout;
  private final Slabs pages;
  private final Slabs windows;

  CpuCacheStore(CacheLayout layout, CacheCapacity capacity) {
    this.layout = layout;
    pages = Slabs.allocate("pages", capacity.pages(), layout.pageBytes());
    long heads = (long) capacity.slots() * layout.layers() * layout.kvHeads();
    windows = Slabs.allocate("windows", heads, layout.windowHeadBytes());
  }

  CacheLayout layout() {
    return layout;
  }

  /** Null where all tokens are kept in float16. */
  CachePolicy.Kivi kivi() {
    return layout.policy() instanceof CachePolicy.Kivi kivi ? kivi : null;
  }

  long bytes() {
    return pages.bytes() + windows.bytes();
  }

  /** Copies all that {@code from} holds; {@code to} has as many pages in every layer. */
  void copy(SequenceCache from, SequenceCache to) {
    for (int layer = 0; layer < layout.layers(); layer++) {
      for (int page = 0; page < from.pages().count(layer); page++) {
        pages.copy(from.pages().page(layer, page), to.pages().page(layer, page));
      }
    }
    if (layout.windowHeadBytes() > 0) {
      int units = layout.layers() * layout.kvHeads();
      for (int unit = 0; unit < units; unit++) {
        windows.copy((long) from.slot() * units + unit, (long) to.slot() * units + unit);
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

    private Part(SequenceCache cache, int layer, int head) {
      this.cache = cache;
      this.layer = layer;
      window = ((long) cache.slot() * layout.layers() + layer) * layout.kvHeads() + head;
      headOffset = head * layout.pageHeadBytes();
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

    private long unit(int page) {
      return cache.pages().page(layer, page);
    }
  }
}
