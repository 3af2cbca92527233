package dev.bulkgen.cli.bench.cuda;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelConfig;
import dev.bulkgen.model.ModelDescription;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.model.WeightMatrix;
import dev.bulkgen.tensor.DType;
import dev.bulkgen.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A Llama by its sizes alone; speed does not depend on what the weights say. */
record ModelShape(
    String name,
    int hidden,
    int inner,
    int layers,
    int queryHeads,
    int kvHeads,
    int headDim,
    int vocabulary) {
  private static final int MAX_POSITIONS = 8192;

  // Hidden states keep their size from layer to layer, so that nothing overflows.
  private static final float MAGNITUDE = 0.03f;

  /** Of bfloat16 numbers that stay where the block of {@code numbers} is. */
  private record RepeatedTensor(RandomNumbers numbers, String name, long[] shape)
      implements Tensor {
    @Override
    public DType dtype() {
      return numbers.type();
    }

    @Override
    public void readShorts(long element, short[] target, int offset, int count) {
      numbers.read(element, target, offset, count);
    }

    @Override
    public void readFloats(long element, float[] target, int offset, int count) {
      for (int i = 0; i < count; i++) {
        target[offset + i] = numbers.at(element + i);
      }
    }
  }

  /** What its config.json would say. */
  ModelDescription description() {
    Map<String, Object> config = new LinkedHashMap<>();
    config.put("architectures", List.of("LlamaForCausalLM"));
    config.put("model_type", "llama");
    config.put("vocab_size", vocabulary);
    config.put("hidden_size", hidden);
    config.put("intermediate_size", inner);
    config.put("num_hidden_layers", layers);
    config.put("num_attention_heads", queryHeads);
    config.put("num_key_value_heads", kvHeads);
    config.put("head_dim", headDim);
    config.put("max_position_embeddings", MAX_POSITIONS);
    config.put("rms_norm_eps", 1e-5);
    config.put("rope_theta", 10_000.0);
    config.put("hidden_act", "silu");
    config.put("tie_word_embeddings", false);
    config.put("torch_dtype", "bfloat16");
    try {
      Path folder = Files.createTempDirectory("bulkgen-bench");
      Path file = folder.resolve("config.json");
      try {
        new ObjectMapper().writeValue(file.toFile(), config);
        return ModelFolder.describe(file);
      } finally {
        Files.deleteIfExists(file);
        Files.delete(folder);
      }
    } catch (IOException e) {
      throw new BulkgenException(
          ErrorCode.OUTPUT_NOT_WRITABLE, "the temporary folder cannot be written: " + e, e);
    }
  }

  /** Weights for {@code config}, all from one block: made in no time, whatever their size. */
  ModelWeights weights(ModelConfig config) {
    RandomNumbers numbers = new RandomNumbers(DType.BF16, MAGNITUDE, 0);
    int query = queryHeads * headDim;
    int keyValue = kvHeads * headDim;
    List<ModelWeights.Layer> all = new ArrayList<>();
    for (int layer = 0; layer < layers; layer++) {
      all.add(
          new ModelWeights.Layer(
              ones(),
              ones(),
              linear(numbers, query, hidden),
              linear(numbers, keyValue, hidden),
              linear(numbers, keyValue, hidden),
              linear(numbers, hidden, query),
              null,
              null,
              linear(numbers, inner, hidden),
              linear(numbers, inner, hidden),
              linear(numbers, hidden, inner)));
    }
    WeightMatrix embedding = linear(numbers, vocabulary, hidden).weight();
    return new ModelWeights(config, embedding, all, ones(), linear(numbers, vocabulary, hidden));
  }

  private ModelWeights.Norm ones() {
    float[] weight = new float[hidden];
    Arrays.fill(weight, 1);
    return new ModelWeights.Norm(weight, null);
  }

  private static ModelWeights.Linear linear(RandomNumbers numbers, int rows, int columns) {
    long[] shape = {rows, columns};
    Tensor tensor = new RepeatedTensor(numbers, rows + " x " + columns, shape);
    return new ModelWeights.Linear(WeightMatrix.whole(tensor), null);
  }
}
