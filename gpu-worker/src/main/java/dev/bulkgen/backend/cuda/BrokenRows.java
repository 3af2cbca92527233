package dev.bulkgen.backend.cuda;

/** Which rows of the residual stream a pass found not to be finite. */
final class BrokenRows {
  private final CudaWorkspace workspace;
  private final CudaStream stream;
  private final DeviceArrays arrays;

  BrokenRows(CudaContext context, CudaWorkspace workspace, CudaStream stream) {
    this.workspace = workspace;
    this.stream = stream;
    arrays = new DeviceArrays(context);
  }

  /** Before a pass: none of the first {@code rows} is. */
  void clear(int rows) {
    stream.fillInts(first(rows), 0);
  }

  /** After a pass. */
  boolean[] read(int rows) {
    int[] flags = arrays.ints(first(rows));
    boolean[] broken = new boolean[rows];
    for (int row = 0; row < rows; row++) {
      broken[row] = flags[row] != 0;
    }
    return broken;
  }

  private DeviceMemory first(int rows) {
    return workspace.broken.slice(0, (long) Integer.BYTES * rows, workspace.broken.what());
  }
}
