package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.model.ModelDescription;
import dev.bulkgen.tensor.DType;

/**
 * Device memory of a backend beside its pages and windows, known before any weight is read.
 *
 * @param weightBytes with biases, norms and rotation angles
 * @param workspaceBytes activations, tables, counts, partial sums
 * @param logitBytes of the rows whose logits are computed together
 */
public record CudaNeeds(long weightBytes, long workspaceBytes, long logitBytes) {

  /** Of a model whose config declares its type; 16 bits where it declares none. */
  public static CudaNeeds of(
      ModelDescription description,
      CacheLayout layout,
      CacheCapacity capacity,
      Precision precision) {
    int weightPieces = description.form().storedType().orElse(DType.BF16) == DType.F32 ? 2 : 1;
    int pieces = Math.max(weightPieces, precision.pieces());
    CudaShape shape = new CudaShape(description.config(), layout, capacity, pieces, weightPieces);
    return new CudaNeeds(shape.weightBytes(), shape.workspaceBytes(), shape.logitBytes());
  }
}
