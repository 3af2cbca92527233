package dev.bulkgen.backend.cpu;

import dev.bulkgen.model.AttentionShape;
import dev.bulkgen.model.ModelConfig;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.model.RopeFrequencies;

/**
 * What happens to the query and key heads of a row between projection and attention: the norm of
 * models that have one, then the rotary embedding (arXiv 2104.09864) on pairs (i, i + headDim/2).
 */
final class HeadRotation {
  private final RopeFrequencies frequencies;
  private final Workspace workspace;
  private final float epsilon;
  private final int headDim;

  HeadRotation(ModelConfig model, Workspace workspace) {
    AttentionShape attention = model.attention();
    headDim = attention.headDim();
    frequencies = RopeFrequencies.of(model.rope(), headDim);
    epsilon = model.normEpsilon();
    this.workspace = workspace;
  }

  /** Fills cosines and sines of a step's row; all layers share them. */
  void prepare(int row, int position) {
    frequencies.cosSin(position, workspace.cos, workspace.sin, row * (headDim / 2));
  }

  /** Turns the {@code heads} heads from {@code offset} on, in place. */
  void apply(
      CpuKernels kernels, float[] x, int offset, int heads, int row, ModelWeights.Norm norm) {
    int half = headDim / 2;
    int table = row * half;
    for (int h = 0; h < heads; h++) {
      int first = offset + h * headDim;
      if (norm != null) {
        kernels.rmsNorm(x, first, headDim, norm.weight(), epsilon, x, first);
      }
      for (int i = 0; i < half; i++) {
        float cos = workspace.cos[table + i];
        float sin = workspace.sin[table + i];
        float a = x[first + i];
        float b = x[first + half + i];
        x[first + i] = a * cos - b * sin;
        x[first + half + i] = b * cos + a * sin;
      }
    }
  }
}
