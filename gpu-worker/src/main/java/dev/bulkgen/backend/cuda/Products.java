package dev.bulkgen.backend.cuda;

import dev.bulkgen.model.MlpForm;

/** Products as a forward pass needs them: with the weight's bias, and the first half of an MLP. */
interface Products extends PlainProducts {

  /**
   * The first half of an MLP, rounded to pieces: {@code silu(gate) · up} in half as many columns,
   * or {@code gelu(acc + bias)}. Columns beyond the last, up to the stride, become 0.
   */
  void activate(
      CudaStream stream, Pieces x, int rows, DeviceMatrix weight, MlpForm form, Pieces out);
}
