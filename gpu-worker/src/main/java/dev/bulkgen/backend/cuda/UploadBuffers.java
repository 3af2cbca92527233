package dev.bulkgen.backend.cuda;

/**
 * Pinned buffers in turn, so that the host writes one while others still wait to be read: what is
 * brought to the device is never overwritten too early.
 */
final class UploadBuffers {
  private final PinnedMemory[] buffers;
  private final CudaEvent[] read;
  private int turn;

  /**
   * @param memory that closes them
   * @param count of buffers
   */
  UploadBuffers(OwnedMemory memory, int count, long bytes, String what) {
    buffers = new PinnedMemory[count];
    read = new CudaEvent[count];
    for (int i = 0; i < count; i++) {
      buffers[i] = memory.pinned(bytes, what);
      read[i] = memory.event(what);
    }
  }

  PinnedMemory buffer(int index) {
    return buffers[index];
  }

  /**
   * Goes on to the next buffer; waits for the device only if that has not read what was in it.
   *
   * @return its index
   */
  int next() {
    turn = (turn + 1) % buffers.length;
    read[turn].synchronize();
    return turn;
  }

  PinnedMemory current() {
    return buffers[turn];
  }

  /** The current buffer is read once {@code stream} has come here. */
  void sent(CudaStream stream) {
    stream.record(read[turn]);
  }
}
