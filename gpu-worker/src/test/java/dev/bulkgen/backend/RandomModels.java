package dev.bulkgen.backend;

import dev.bulkgen.model.AttentionShape;
import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.model.ModelConfig;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.model.NormKind;
import dev.bulkgen.model.RopeConfig;
import dev.bulkgen.model.WeightMatrix;
import dev.bulkgen.tensor.BFloat16;
import dev.bulkgen.tensor.DType;
import dev.bulkgen.tensor.Float16;
import dev.bulkgen.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import java.util.SplittableRandom;

/** Tiny models of random weights, of any form and with sizes that fit no vector. */
public final class RandomModels {
  /**
   * What differs between the models.
   *
   * @param qkNorm per-head norms of queries and keys
   * @param slidingWindow 0 for none
   */
  public record Form(
      int queryHeads,
      int kvHeads,
      int headDim,
      BlockForm block,
      MlpForm mlp,
      boolean qkNorm,
      int slidingWindow,
      DType dtype) {}

  private static final int HIDDEN = 52;
  private static final int INNER = 70;
  private static final int VOCABULARY = 67;
  private static final int LAYERS = 2;

  private final SplittableRandom random;
  private final Form form;

  private RandomModels(Form form, long seed) {
    this.form = form;
    random = new SplittableRandom(seed);
  }

  public static ModelWeights make(Form form, long seed) {
    return new RandomModels(form, seed).make();
  }

  /** A copy of a matrix with one row of one value. */
  public static WeightMatrix withRow(WeightMatrix matrix, int row, float value) {
    float[] values = matrix.tensor().toFloats();
    int cols = matrix.cols();
    Arrays.fill(values, row * cols, (row + 1) * cols, value);
    return WeightMatrix.whole(new HeapTensor(matrix.dtype(), matrix.rows(), cols, values));
  }

  private ModelWeights make() {
    boolean falcon = form.block != BlockForm.SEQUENTIAL;
    OptionalInt window =
        form.slidingWindow == 0 ? OptionalInt.empty() : OptionalInt.of(form.slidingWindow);
    AttentionShape attention =
        new AttentionShape(form.queryHeads, form.kvHeads, form.headDim, window, form.qkNorm);
    ModelConfig config =
        new ModelConfig(
            "random",
            VOCABULARY,
            HIDDEN,
            INNER,
            LAYERS,
            2048,
            attention,
            new RopeConfig(10_000, new RopeConfig.None()),
            falcon ? NormKind.LAYER : NormKind.RMS,
            1e-5f,
            form.block,
            form.mlp,
            false,
            Set.of(),
            -1);
    List<ModelWeights.Layer> layers = new ArrayList<>();
    for (int i = 0; i < LAYERS; i++) {
      layers.add(layer(attention, falcon));
    }
    return new ModelWeights(
        config,
        matrix(VOCABULARY, HIDDEN, 1),
        layers,
        norm(HIDDEN, falcon),
        new ModelWeights.Linear(matrix(VOCABULARY, HIDDEN, 0.2), null));
  }

  private ModelWeights.Layer layer(AttentionShape attention, boolean falcon) {
    boolean gated = form.mlp == MlpForm.SILU_GATED;
    boolean biased = form.mlp == MlpForm.GELU_TANH;
    return new ModelWeights.Layer(
        norm(HIDDEN, falcon),
        form.block == BlockForm.PARALLEL_ONE_NORM ? null : norm(HIDDEN, falcon),
        linear(attention.queryWidth(), HIDDEN, true),
        linear(attention.kvWidth(), HIDDEN, true),
        linear(attention.kvWidth(), HIDDEN, true),
        linear(HIDDEN, attention.queryWidth(), biased),
        form.qkNorm ? norm(form.headDim, false) : null,
        form.qkNorm ? norm(form.headDim, false) : null,
        gated ? linear(INNER, HIDDEN, false) : null,
        linear(INNER, HIDDEN, biased),
        linear(HIDDEN, INNER, biased));
  }

  private ModelWeights.Linear linear(int out, int in, boolean biased) {
    return new ModelWeights.Linear(
        matrix(out, in, 2 / Math.sqrt(in)), biased ? values(out, 0.3) : null);
  }

  private ModelWeights.Norm norm(int width, boolean biased) {
    float[] weight = values(width, 0.3);
    for (int i = 0; i < width; i++) {
      weight[i] += 1;
    }
    return new ModelWeights.Norm(weight, biased ? values(width, 0.1) : null);
  }

  private WeightMatrix matrix(int out, int in, double size) {
    return WeightMatrix.whole(new HeapTensor(form.dtype, out, in, values(out * in, size)));
  }

  private float[] values(int count, double size) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextDouble(-size, size);
    }
    return values;
  }

  /** A tensor in an array; 16-bit ones keep the rounded values. */
  private static final class HeapTensor implements Tensor {
    private final DType dtype;
    private final long[] shape;
    private final float[] floats;
    private final short[] shorts;

    private HeapTensor(DType dtype, int rows, int cols, float[] values) {
      this.dtype = dtype;
      shape = new long[] {rows, cols};
      floats = values;
      shorts = new short[values.length];
      for (int i = 0; i < values.length; i++) {
        if (dtype == DType.BF16) {
          shorts[i] = BFloat16.fromFloat(values[i]);
          floats[i] = BFloat16.toFloat(shorts[i]);
        } else if (dtype == DType.F16) {
          shorts[i] = Float16.fromFloat(values[i]);
          floats[i] = Float16.toFloat(shorts[i]);
        }
      }
    }

    @Override
    public String name() {
      return "random";
    }

    @Override
    public DType dtype() {
      return dtype;
    }

    @Override
    public long[] shape() {
      return shape;
    }

    @Override
    public void readShorts(long element, short[] target, int offset, int count) {
      System.arraycopy(shorts, (int) element, target, offset, count);
    }

    @Override
    public void readFloats(long element, float[] target, int offset, int count) {
      System.arraycopy(floats, (int) element, target, offset, count);
    }
  }
}
