package dev.bulkgen.backend.cuda;

import java.util.ArrayDeque;
import java.util.Deque;

/** Memory and events that one owner takes one by one and gives back together, the last first. */
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

  PinnedMemory pinned(long bytes, String what) {
    PinnedMemory memory = context.allocatePinned(bytes, what);
    taken.push(memory::close);
    return memory;
  }

  CudaEvent event(String what) {
    CudaEvent event = context.newEvent(what);
    taken.push(event::close);
    return event;
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
