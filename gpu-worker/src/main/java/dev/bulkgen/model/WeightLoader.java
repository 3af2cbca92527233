package dev.bulkgen.model;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.WeightMap.Role;
import dev.bulkgen.tensor.MappedTensor;
import dev.bulkgen.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.TreeSet;

/**
 * Finds the weights of a model in its checkpoint. Matrices stay in the mapped files; only norms and
 * biases are copied.
 */
final class WeightLoader {
  private final Checkpoint checkpoint;
  private final ModelConfig config;
  private final CheckpointForm form;
  private final WeightMap map;

  private WeightLoader(Checkpoint checkpoint, ModelDescription description) {
    this.checkpoint = checkpoint;
    this.config = description.config();
    this.form = description.form();
    this.map = WeightMap.of(description);
  }

  /**
   * @throws BulkgenException MODEL_CORRUPT if tensors are missing, extra, or of another shape or an
   *     element type that weights cannot have; all of them are listed
   */
  static ModelWeights load(Checkpoint checkpoint, ModelDescription description) {
    List<String> problems = problems(checkpoint, description);
    if (!problems.isEmpty()) {
      throw BulkgenException.of(
          ErrorCode.MODEL_CORRUPT,
          "%s: the weights do not match %s:\n  %s\nDownload the folder again, or correct %s",
          checkpoint.folder(),
          ModelConfigReader.CONFIG_FILE,
          String.join("\n  ", problems),
          ModelConfigReader.CONFIG_FILE);
    }
    return new WeightLoader(checkpoint, description).weights();
  }

  /** How tensors differ from what config.json describes; empty if they do not. */
  static List<String> problems(Checkpoint checkpoint, ModelDescription description) {
    WeightMap map = WeightMap.of(description);
    List<String> problems = new ArrayList<>();
    List<String> missing = new ArrayList<>();
    List<String> wrong = new ArrayList<>();
    for (WeightMap.Expected expected : map.expected().values()) {
      Optional<MappedTensor> found = checkpoint.tensor(expected.name());
      if (found.isEmpty()) {
        missing.add(expected.name());
      } else if (!Arrays.equals(found.get().shape(), expected.shape())) {
        wrong.add(
            expected.name()
                + " has the shape "
                + Arrays.toString(found.get().shape())
                + " instead of "
                + Arrays.toString(expected.shape()));
      } else if (!found.get().dtype().isWeight()) {
        wrong.add(expected.name() + " is " + found.get().dtype() + ", not BF16, F16 or F32");
      }
    }
    List<String> extra =
        new TreeSet<>(checkpoint.names())
            .stream()
                .filter(name -> !map.expected().containsKey(name) && !map.isHarmless(name))
                .toList();
    note(problems, missing, "missing");
    note(problems, wrong, "wrong");
    note(problems, extra, "not part of such a model");
    return problems;
  }

  private static void note(List<String> problems, List<String> tensors, String what) {
    if (!tensors.isEmpty()) {
      problems.add(
          tensors.size()
              + (tensors.size() == 1 ? " tensor " : " tensors ")
              + what
              + ": "
              + Checkpoint.listed(tensors));
    }
  }

  private ModelWeights weights() {
    WeightMatrix embedding = WeightMatrix.whole(tensor(map.weight(Role.EMBEDDING, 0)));
    List<ModelWeights.Layer> layers = new ArrayList<>();
    for (int layer = 0; layer < config.layerCount(); layer++) {
      layers.add(layer(layer));
    }
    ModelWeights.Linear head =
        config.tiedEmbeddings()
            ? new ModelWeights.Linear(embedding, null)
            : linear(Role.HEAD, 0, false);
    return new ModelWeights(
        config, embedding, List.copyOf(layers), norm(Role.FINAL_NORM, 0, config.norm()), head);
  }

  private ModelWeights.Layer layer(int layer) {
    boolean twoNorms = config.block() != BlockForm.PARALLEL_ONE_NORM;
    boolean qkNorm = config.attention().qkNorm();
    AttentionShape shape = config.attention();
    int group = shape.groupSize() * shape.headDim();
    return new ModelWeights.Layer(
        norm(Role.ATTENTION_NORM, layer, config.norm()),
        twoNorms ? norm(Role.MLP_NORM, layer, config.norm()) : null,
        projection(Role.QUERY, layer, 0, group),
        projection(Role.KEY, layer, group, shape.headDim()),
        projection(Role.VALUE, layer, group + shape.headDim(), shape.headDim()),
        linear(Role.OUTPUT, layer, form.outputBias()),
        qkNorm ? norm(Role.QUERY_NORM, layer, NormKind.RMS) : null,
        qkNorm ? norm(Role.KEY_NORM, layer, NormKind.RMS) : null,
        config.mlp() == MlpForm.SILU_GATED ? linear(Role.GATE, layer, form.mlpBias()) : null,
        linear(Role.UP, layer, form.mlpBias()),
        linear(Role.DOWN, layer, form.mlpBias()));
  }

  /**
   * Query, key or value. In a fused tensor the rows of one K/V head stand together, so each of the
   * three is a slice of {@code sliceRows} from {@code firstRow} on in every K/V head's rows.
   */
  private ModelWeights.Linear projection(Role role, int layer, int firstRow, int sliceRows) {
    if (!form.fusedQkv()) {
      return linear(role, layer, form.qkvBias());
    }
    AttentionShape shape = config.attention();
    int stride = (shape.groupSize() + 2) * shape.headDim();
    WeightMatrix matrix =
        new WeightMatrix(
            tensor(map.weight(Role.FUSED_QKV, layer)),
            firstRow,
            sliceRows,
            stride,
            shape.kvHeads(),
            config.hiddenSize());
    if (!form.qkvBias()) {
      return new ModelWeights.Linear(matrix, null);
    }
    Tensor fused = tensor(map.bias(Role.FUSED_QKV, layer));
    float[] bias = new float[matrix.rows()];
    for (int slice = 0; slice < shape.kvHeads(); slice++) {
      fused.readFloats(firstRow + (long) slice * stride, bias, slice * sliceRows, sliceRows);
    }
    return new ModelWeights.Linear(matrix, finite(fused.name(), bias));
  }

  private ModelWeights.Linear linear(Role role, int layer, boolean biased) {
    return new ModelWeights.Linear(
        WeightMatrix.whole(tensor(map.weight(role, layer))),
        biased ? vector(map.bias(role, layer)) : null);
  }

  private ModelWeights.Norm norm(Role role, int layer, NormKind kind) {
    return new ModelWeights.Norm(
        vector(map.weight(role, layer)),
        kind == NormKind.LAYER ? vector(map.bias(role, layer)) : null);
  }

  private float[] vector(String name) {
    return finite(name, tensor(name).toFloats());
  }

  private float[] finite(String name, float[] values) {
    for (int i = 0; i < values.length; i++) {
      if (!Float.isFinite(values[i])) {
        throw BulkgenException.of(
            ErrorCode.MODEL_CORRUPT,
            "%s: element %d of tensor %s is %s; download the file again",
            checkpoint.folder(),
            i,
            name,
            values[i]);
      }
    }
    return values;
  }

  private Tensor tensor(String name) {
    return checkpoint.tensor(name).orElseThrow();
  }
}
