package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.config.GemmChoice;
import dev.bulkgen.model.ModelDescription;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.tensor.DType;

/**
 * Memory of a backend beside its pages, windows and staging pages, known before any weight is read.
 *
 * @param weightBytes with biases, norms and rotation angles
 * @param workspaceBytes activations, tables, counts, partial sums
 * @param logitBytes of the rows whose logits are computed together
 * @param swapBytes of the host, locked in its memory, for sequences that are swapped out
 */
public record CudaNeeds(long weightBytes, long workspaceBytes, long logitBytes, long swapBytes) {

  /** Of a model whose config declares its type; 16 bits where it declares none. */
  public static CudaNeeds of(
      ModelDescription description,
      CacheLayout layout,
      CacheCapacity capacity,
      Precision precision,
      GemmChoice gemm) {
    int weightPieces = description.form().storedType().orElse(DType.BF16) == DType.F32 ? 2 : 1;
    return of(CudaShape.of(description.config(), layout, capacity, weightPieces, precision, gemm));
  }

  /** Of weights as they are, whatever a config declares. */
  public static CudaNeeds of(
      ModelWeights weights,
      CacheLayout layout,
      CacheCapacity capacity,
      Precision precision,
      GemmChoice gemm) {
    int weightPieces = DeviceModel.weightPieces(weights);
    return of(CudaShape.of(weights.config(), layout, capacity, weightPieces, precision, gemm));
  }

  private static CudaNeeds of(CudaShape shape) {
    return new CudaNeeds(
        shape.weightBytes(),
        shape.workspaceBytes(),
        shape.logitBytes(),
        shape.swapPageBytes() + shape.swapWindowBytes());
  }

  /** Of the device. */
  public long bytes() {
    return weightBytes + workspaceBytes + logitBytes;
  }
}
