package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepBatch;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.PageTable;
import dev.bulkgen.cache.SequenceCache;
import java.util.Arrays;

/** Keeps the device's page table like the host's, and copies one sequence's cache to another. */
final class DeviceCache implements AutoCloseable {
  /** Pages that travel with one copy. */
  private static final int BATCH = 1 << 14;

  private final CudaWorkspace workspace;
  private final CacheLayout layout;
  private final CopyKernels kernels;
  private final CudaStream stream;
  private final PageTableMirror mirror;
  private final StepTables tables;
  private final int vocabulary;

  DeviceCache(
      CudaContext context, CudaWorkspace workspace, CopyKernels kernels, CudaStream stream) {
    this.workspace = workspace;
    this.kernels = kernels;
    this.stream = stream;
    CudaShape shape = workspace.shape();
    layout = shape.layout();
    vocabulary = shape.model().vocabSize();
    mirror = new PageTableMirror(shape.capacity().slots(), layout.layers(), shape.maxPages());
    tables = new StepTables(context, StepTables.room(2, 2 * BATCH), "page numbers");
  }

  /** Bytes on the device. */
  static long bytes() {
    return (long) Integer.BYTES * StepTables.room(2, 2 * BATCH);
  }

  /** Tells the device of the pages that sequences have taken since the last step. */
  void update(StepBatch batch) {
    for (SequenceStep sequence : batch.sequences()) {
      if (sequence.isPrefill()) {
        mirror.forget(sequence.cache().slot());
      }
      mirror.note(sequence.cache());
    }
    send();
  }

  private void send() {
    for (int from = 0; from < mirror.count(); from += BATCH) {
      if (from > 0) {
        stream.synchronize(); // the tables are still being read
      }
      int to = Math.min(mirror.count(), from + BATCH);
      tables.clear();
      long indices = tables.put(mirror.indices(from, to));
      long pages = tables.put(mirror.pages(from, to));
      tables.upload(stream);
      kernels.scatter(stream, workspace.pageTable.address(), indices, pages, to - from);
    }
    mirror.clear();
  }

  /** Copies pages, window slot and token counts; waits for the device. */
  void copy(SequenceCache from, SequenceCache to) {
    for (int layer = 0; layer < layout.layers(); layer++) {
      int count = from.pages().count(layer);
      for (int first = 0; first < count; first += BATCH) {
        int part = Math.min(BATCH, count - first);
        copyPages(pages(from.pages(), layer, first, part), pages(to.pages(), layer, first, part));
      }
    }
    long window = layout.windowBytes();
    if (window > 0) {
      stream.copy(
          workspace.windows, to.slot() * window, workspace.windows, from.slot() * window, window);
    }
    long counts = (long) Short.BYTES * vocabulary;
    stream.copy(
        workspace.counts, to.slot() * counts, workspace.counts, from.slot() * counts, counts);
    mirror.forget(to.slot());
    mirror.note(to);
    send();
    stream.synchronize();
  }

  private void copyPages(int[] from, int[] to) {
    tables.clear();
    long source = tables.put(from);
    long target = tables.put(to);
    tables.upload(stream);
    long pages = workspace.pages.address();
    kernels.copyBlocks(
        stream,
        new CopyKernels.Blocks(pages, target),
        new CopyKernels.Blocks(pages, source),
        layout.pageBytes(),
        from.length);
    stream.synchronize();
  }

  private static int[] pages(PageTable table, int layer, int first, int count) {
    int[] pages = new int[count];
    Arrays.setAll(pages, i -> table.page(layer, first + i));
    return pages;
  }

  @Override
  public void close() {
    tables.close();
  }
}
