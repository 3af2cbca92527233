package dev.bulkgen.backend.cuda;

/**
 * A weight on the device and the memory it lies in.
 *
 * @param bias float [rows], or null
 */
public record DeviceWeight(MatrixShape shape, DeviceMemory numbers, DeviceMemory bias)
    implements AutoCloseable {

  /** As matrix products take it. */
  public DeviceMatrix matrix() {
    return new DeviceMatrix(pieces(), shape.rows(), bias == null ? 0 : bias.address());
  }

  /** As the embedding takes it. */
  public Pieces pieces() {
    return Pieces.of(numbers.address(), shape.type(), shape.pieces(), shape.rows(), shape.depth());
  }

  @Override
  public void close() {
    numbers.close();
    if (bias != null) {
      bias.close();
    }
  }
}
