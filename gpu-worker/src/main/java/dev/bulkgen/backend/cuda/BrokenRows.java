package dev.bulkgen.backend.cuda;

/** Which rows of the residual stream a pass found not to be finite. */
final class BrokenRows implements AutoCloseable {
  private final CudaStream stream;
  private final DeviceMemory flags; // int [rows]
  private final PinnedMemory host;

  /**
   * @param rows most of a pass
   */
  BrokenRows(CudaContext context, CudaWorkspace workspace, int rows, CudaStream stream) {
    this.stream = stream;
    flags = workspace.broken;
    host = context.allocatePinned(rows * Integer.BYTES, "finite flags");
  }

  /** Before a pass: none of the first {@code rows} is. */
  void clear(int rows) {
    stream.fillInts(flags.slice(0, (long) rows * Integer.BYTES, flags.what()), 0);
  }

  /** Behind the pass's last norm: brings the flags to the host, without waiting. */
  void fetch(int rows) {
    stream.download(host, 0, flags, 0, (long) rows * Integer.BYTES);
  }

  /** Once the stream has come past {@link #fetch}. */
  boolean isBroken(int row) {
    return host.buffer().getInt(row * Integer.BYTES) != 0;
  }

  @Override
  public void close() {
    host.close();
  }
}
