package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepBatch;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.PageTable;
import dev.bulkgen.cache.SequenceCache;
import java.util.Arrays;

/**
 * Keeps the device's page tables like the host's, and copies sequences' caches: on the device, and
 * to and from the swap area, which is memory of the host that kernels reach. All of it in order
 * with the steps, and without waiting.
 */
final class DeviceCache implements AutoCloseable {
  /** Pages that travel with one copy. */
  private static final int BATCH = 1 << 14;

  private final CudaWorkspace workspace;
  private final CacheLayout layout;
  private final CopyKernels kernels;
  private final CudaStream stream;
  private final OwnedMemory memory;
  private final PageTableMirror mirror;
  private final PageTableMirror stagingMirror;
  private final StepTables tables;
  private final PinnedMemory swapPages; // null without swapping
  private final PinnedMemory swapWindows; // null without swapping, or windows

  DeviceCache(
      CudaContext context, CudaWorkspace workspace, CopyKernels kernels, CudaStream stream) {
    this.workspace = workspace;
    this.kernels = kernels;
    this.stream = stream;
    CudaShape shape = workspace.shape();
    layout = shape.layout();
    int slots = shape.capacity().slots();
    mirror = new PageTableMirror(slots, layout.layers(), shape.maxPages());
    stagingMirror = new PageTableMirror(slots, layout.layers(), shape.maxStagingPages());
    memory = new OwnedMemory(context);
    tables = new StepTables(context, StepTables.room(2, 2 * BATCH), "page numbers");
    try {
      swapPages = pinned(shape.swapPageBytes(), "pages swapped out");
      swapWindows = pinned(shape.swapWindowBytes(), "windows swapped out");
    } catch (RuntimeException | Error e) {
      close();
      throw e;
    }
  }

  private PinnedMemory pinned(long bytes, String what) {
    return bytes == 0 ? null : memory.pinned(bytes, what);
  }

  /** Bytes on the device. */
  static long bytes() {
    return (long) Integer.BYTES * StepTables.room(2, 2 * BATCH);
  }

  /** Tells the device of the pages that sequences have taken since the last step. */
  void update(StepBatch batch) {
    for (SequenceStep sequence : batch.sequences()) {
      SequenceCache cache = sequence.cache();
      if (cache.length() == 0) {
        mirror.forget(cache.slot());
        stagingMirror.forget(cache.slot());
      }
      mirror.note(cache, cache.pages());
      if (sequence.isPrefill()) {
        stagingMirror.note(cache, cache.staging());
      }
    }
    send();
  }

  private void send() {
    send(mirror, workspace.pageTable);
    send(stagingMirror, workspace.stagingTable);
  }

  private void send(PageTableMirror news, DeviceMemory table) {
    for (int from = 0; from < news.count(); from += BATCH) {
      int to = Math.min(news.count(), from + BATCH);
      tables.clear();
      long indices = tables.put(news.indices(from, to));
      long pages = tables.put(news.pages(from, to));
      tables.upload(stream);
      kernels.scatter(stream, table.address(), indices, pages, to - from);
    }
    news.clear();
  }

  /** Copies pages and window slot. */
  void copy(SequenceCache from, SequenceCache to) {
    long pages = workspace.pages.address();
    copyPages(pages, from.pages(), pages, to.pages());
    long window = layout.windowBytes();
    if (window > 0) {
      stream.copy(
          workspace.windows, to.slot() * window, workspace.windows, from.slot() * window, window);
    }
    arrived(to);
  }

  /** Copies pages and window slot to those of the swap area that {@code to} names. */
  void swapOut(SequenceCache from, SequenceCache to) {
    if (swapPages != null) {
      copyPages(workspace.pages.address(), from.pages(), swapPages.address(), to.pages());
    }
    long window = layout.windowBytes();
    if (window > 0) {
      stream.download(
          swapWindows, to.slot() * window, workspace.windows, from.slot() * window, window);
    }
  }

  void swapIn(SequenceCache from, SequenceCache to) {
    if (swapPages != null) {
      copyPages(swapPages.address(), from.pages(), workspace.pages.address(), to.pages());
    }
    long window = layout.windowBytes();
    if (window > 0) {
      stream.upload(
          workspace.windows, to.slot() * window, swapWindows, from.slot() * window, window);
    }
    arrived(to);
  }

  private void arrived(SequenceCache cache) {
    mirror.forget(cache.slot());
    mirror.note(cache, cache.pages());
    send();
  }

  /** Pages that both have are left alone. */
  private void copyPages(long source, PageTable from, long target, PageTable to) {
    int[] sources = new int[BATCH];
    int[] targets = new int[BATCH];
    int count = 0;
    for (int layer = 0; layer < layout.layers(); layer++) {
      for (int i = 0; i < from.count(layer); i++) {
        if (source == target && from.page(layer, i) == to.page(layer, i)) {
          continue;
        }
        sources[count] = from.page(layer, i);
        targets[count++] = to.page(layer, i);
        if (count == BATCH) {
          copyPages(source, sources, target, targets, count);
          count = 0;
        }
      }
    }
    copyPages(source, sources, target, targets, count);
  }

  private void copyPages(long source, int[] from, long target, int[] to, int count) {
    if (count == 0) {
      return;
    }
    tables.clear();
    CopyKernels.Blocks sources =
        new CopyKernels.Blocks(source, tables.put(Arrays.copyOf(from, count)));
    CopyKernels.Blocks targets =
        new CopyKernels.Blocks(target, tables.put(Arrays.copyOf(to, count)));
    tables.upload(stream);
    kernels.copyBlocks(stream, targets, sources, layout.pageBytes(), count);
  }

  @Override
  public void close() {
    Cleanup cleanup = new Cleanup();
    cleanup.run(tables::close);
    cleanup.run(memory::close);
    cleanup.finish();
  }
}
