package dev.bulkgen.backend.cuda;

/**
 * Products with a weight whose sums stay as they are, {@code acc[m][n] = Σ_k x[m][k] ·
 * weight[n][k]}.
 */
interface PlainProducts extends AutoCloseable {

  /** {@code out[m][n] = acc}, floats [rows][outStride]. */
  void store(CudaStream stream, Pieces x, int rows, DeviceMatrix weight, long out, int outStride);

  /** {@code out[m][n] += acc}, floats [rows][outStride]. */
  void add(CudaStream stream, Pieces x, int rows, DeviceMatrix weight, long out, int outStride);

  @Override
  default void close() {}
}
