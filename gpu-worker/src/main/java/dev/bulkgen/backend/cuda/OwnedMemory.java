package dev.bulkgen.backend.cuda;

import java.util.ArrayDeque;
import java.util.Deque;

/** Memory that one owner takes piece by piece and gives back together, the last first. */
final class OwnedMemory implements AutoCloseable {
  private final CudaContext context;
  private final Deque<Runnable> taken = new ArrayDeque<>();

  OwnedMemory(CudaContext context) {
    this.context = context;
  }

  /** At least one byte, so that parts a model does without are no null pointers. */
  DeviceMemory device(long bytes, String what) {
    return keep(context.allocate(Math.max(bytes, 1), what));
  }

  DeviceMemory keep(DeviceMemory memory) {
    taken.push(memory::close);
    return memory;
  }

  PinnedMemory pinned(int bytes, String what) {
    PinnedMemory memory = context.allocatePinned(bytes, what);
    taken.push(memory::close);
    return memory;
  }

  @Override
  public void close() {
    Cleanup cleanup = new Cleanup();
    while (!taken.isEmpty()) {
      cleanup.run(taken.pop());
    }
    cleanup.finish();
  }
}
