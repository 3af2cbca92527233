package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelConfig;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.model.RopeFrequencies;
import dev.bulkgen.model.WeightMatrix;
import dev.bulkgen.tensor.DType;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/**
 * A model's weights on the device, by role. Query, key and value projections are one matrix, gate
 * and up another with their rows interleaved, so that a layer is four products.
 */
final class DeviceModel implements AutoCloseable {
  private static final int ANGLE_CHUNK = 1024;

  private final DeviceArrays arrays;
  private final OwnedMemory memory;
  private final DeviceMatrix embedding;
  private final List<Layer> layers = new ArrayList<>();
  private final NormKernels.Weights finalNorm;
  private final DeviceMatrix head;
  private final long cosSin; // [positions][headDim] float

  /**
   * @param mlpNorm null where one norm feeds both branches
   * @param up of a gated MLP: gate and up interleaved
   */
  record Layer(
      NormKernels.Weights attentionNorm,
      NormKernels.Weights mlpNorm,
      DeviceMatrix qkv,
      RotaryKernels.HeadNorms headNorms,
      DeviceMatrix output,
      DeviceMatrix up,
      DeviceMatrix down) {}

  /**
   * Uploads all weights.
   *
   * @param positions of the table of rotation angles
   * @throws BulkgenException DEVICE_OUT_OF_MEMORY with the sizes
   */
  static DeviceModel upload(CudaContext context, ModelWeights weights, int positions) {
    return new DeviceModel(context, weights, positions);
  }

  private DeviceModel(CudaContext context, ModelWeights weights, int positions) {
    arrays = new DeviceArrays(context);
    memory = new OwnedMemory(context);
    try (WeightUploader uploader = new WeightUploader(context, weightType(weights))) {
      embedding = keep(uploader.upload("embedding", weights.embedding()));
      for (int i = 0; i < weights.layers().size(); i++) {
        layers.add(layer(uploader, weights.layers().get(i), "layer " + i));
      }
      finalNorm = norm("final norm", weights.finalNorm());
      boolean tied = weights.head().weight().equals(weights.embedding());
      head =
          tied && weights.head().bias() == null
              ? embedding
              : keep(uploader.upload("head", weights.head()));
      cosSin = cosSin(weights.config(), positions);
    } catch (RuntimeException | Error e) {
      close();
      throw e;
    }
  }

  /** The type that all weights have on the device: F32 lies in two pieces of bfloat16. */
  static DType weightType(ModelWeights weights) {
    return MatrixShape.commonType(matrices(weights).toArray(WeightMatrix[]::new));
  }

  /** Pieces of every weight on the device. */
  static int weightPieces(ModelWeights weights) {
    return weightType(weights) == DType.F32 ? 2 : 1;
  }

  private static Stream<WeightMatrix> matrices(ModelWeights weights) {
    Stream<ModelWeights.Linear> linears =
        weights.layers().stream().flatMap(ModelWeights.Layer::linears);
    Stream<WeightMatrix> ends = Stream.of(weights.embedding(), weights.head().weight());
    return Stream.concat(ends, linears.map(ModelWeights.Linear::weight));
  }

  DeviceMatrix embedding() {
    return embedding;
  }

  List<Layer> layers() {
    return layers;
  }

  NormKernels.Weights finalNorm() {
    return finalNorm;
  }

  DeviceMatrix head() {
    return head;
  }

  /** Table of rotation angles, as {@link RotaryKernels#fillCosSin} makes it. */
  long cosSin() {
    return cosSin;
  }

  private Layer layer(WeightUploader uploader, ModelWeights.Layer layer, String name) {
    DeviceMatrix qkv =
        keep(
            uploader.upload(
                name + " query, key, value", layer.query(), layer.key(), layer.value()));
    return new Layer(
        norm(name + " attention norm", layer.attentionNorm()),
        layer.mlpNorm() == null ? null : norm(name + " MLP norm", layer.mlpNorm()),
        qkv,
        new RotaryKernels.HeadNorms(
            layer.queryNorm() == null ? 0 : floats(name, layer.queryNorm().weight()),
            layer.keyNorm() == null ? 0 : floats(name, layer.keyNorm().weight())),
        keep(uploader.upload(name + " output", layer.output())),
        up(uploader, layer, name + " up"),
        keep(uploader.upload(name + " down", layer.down())));
  }

  private DeviceMatrix up(WeightUploader uploader, ModelWeights.Layer layer, String name) {
    if (layer.gate() == null) {
      return keep(uploader.upload(name, layer.up()));
    }
    if (layer.gate().bias() != null || layer.up().bias() != null) {
      throw BulkgenException.of(
          ErrorCode.MODEL_UNSUPPORTED,
          "%s: a gated MLP with biases does not run on CUDA; use --backend cpu",
          name);
    }
    return keep(uploader.uploadGateUp(name, layer.gate().weight(), layer.up().weight()));
  }

  private DeviceMatrix keep(DeviceWeight weight) {
    memory.keep(weight.numbers());
    if (weight.bias() != null) {
      memory.keep(weight.bias());
    }
    return weight.matrix();
  }

  private NormKernels.Weights norm(String name, ModelWeights.Norm norm) {
    long bias = norm.bias() == null ? 0 : floats(name + " bias", norm.bias());
    return new NormKernels.Weights(floats(name, norm.weight()), bias);
  }

  private long floats(String name, float[] values) {
    return memory.keep(arrays.upload(name, values)).address();
  }

  private long cosSin(ModelConfig model, int positions) {
    int headDim = model.attention().headDim();
    RopeFrequencies frequencies = RopeFrequencies.of(model.rope(), headDim);
    DeviceMemory table =
        memory.device(
            Float.BYTES * RotaryKernels.cosSinCount(headDim, positions), "rotation angles");
    FloatBuffer chunk = FloatBuffer.allocate(ANGLE_CHUNK * headDim);
    for (int first = 0; first < positions; first += ANGLE_CHUNK) {
      int count = Math.min(ANGLE_CHUNK, positions - first);
      chunk.clear();
      RotaryKernels.fillCosSin(frequencies, headDim, first, count, chunk);
      long offset = Float.BYTES * RotaryKernels.cosSinCount(headDim, first);
      long bytes = Float.BYTES * RotaryKernels.cosSinCount(headDim, count);
      float[] values = Arrays.copyOf(chunk.array(), count * headDim);
      arrays.write(table.slice(offset, bytes, table.what()), values);
    }
    return table.address();
  }

  @Override
  public void close() {
    memory.close();
  }
}
