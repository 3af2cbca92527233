package dev.bulkgen.model;

import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Collectors;

/**
 * What a family's config.json leaves unsaid: the defaults of its published configuration class, and
 * which of the optional parts it has. A new family of the known kind is one more entry here.
 *
 * @param modelType {@code model_type} of config.json
 * @param architecture the name {@code architectures} must hold
 * @param epsilonKey key of the norms' epsilon
 * @param maxPositions default of {@code max_position_embeddings}; required where empty
 * @param headDim default of {@code head_dim}; hidden size over heads where empty
 */
record ModelFamily(
    String modelType,
    String architecture,
    NormKind norm,
    String epsilonKey,
    double epsilon,
    OptionalInt maxPositions,
    OptionalInt headDim,
    Keys keys,
    Biases biases,
    Window window,
    boolean qkNorm,
    boolean tiedEmbeddings) {

  /** Which keys of config.json describe heads, MLP and block. */
  enum Keys {
    LLAMA,
    FALCON
  }

  /** Which linear layers have biases. */
  enum Biases {
    NONE,
    /** {@code attention_bias} for q, k, v and o; {@code mlp_bias} for the MLP. */
    BY_ATTENTION_AND_MLP_KEY,
    /** {@code attention_bias} for q, k, v and o; none in the MLP. */
    BY_ATTENTION_KEY,
    /** q, k and v always; no other. */
    QKV,
    /** {@code bias} for all. */
    BY_BIAS_KEY
  }

  /** How the sliding window is told. */
  enum Window {
    NONE,
    /** {@code sliding_window}: null is none, absent is 4,096. */
    MISTRAL,
    /** {@code sliding_window} if {@code use_sliding_window}, from {@code max_window_layers} on. */
    QWEN
  }

  /** {@code sliding_window} of a Mistral configuration that does not mention it. */
  static final int MISTRAL_WINDOW = 4096;

  private static final List<ModelFamily> ALL =
      List.of(
          rms("llama", "LlamaForCausalLM", OptionalInt.of(2048), OptionalInt.empty())
              .with(Biases.BY_ATTENTION_AND_MLP_KEY, Window.NONE, false),
          rms("mistral", "MistralForCausalLM", OptionalInt.empty(), OptionalInt.empty())
              .with(Biases.NONE, Window.MISTRAL, false),
          rms("qwen2", "Qwen2ForCausalLM", OptionalInt.of(32768), OptionalInt.empty())
              .with(Biases.QKV, Window.QWEN, false),
          rms("qwen3", "Qwen3ForCausalLM", OptionalInt.of(32768), OptionalInt.of(128))
              .with(Biases.BY_ATTENTION_KEY, Window.QWEN, true),
          new ModelFamily(
              "falcon",
              "FalconForCausalLM",
              NormKind.LAYER,
              "layer_norm_epsilon",
              1e-5,
              OptionalInt.of(2048),
              OptionalInt.empty(),
              Keys.FALCON,
              Biases.BY_BIAS_KEY,
              Window.NONE,
              false,
              true));

  static Optional<ModelFamily> named(String modelType) {
    return ALL.stream().filter(family -> family.modelType.equals(modelType)).findFirst();
  }

  /** The supported families, for messages. */
  static String supported() {
    return ALL.stream()
        .map(family -> family.modelType + " (" + family.architecture + ")")
        .collect(Collectors.joining(", "));
  }

  private static ModelFamily rms(
      String modelType, String architecture, OptionalInt maxPositions, OptionalInt headDim) {
    return new ModelFamily(
        modelType,
        architecture,
        NormKind.RMS,
        "rms_norm_eps",
        1e-6,
        maxPositions,
        headDim,
        Keys.LLAMA,
        Biases.NONE,
        Window.NONE,
        false,
        false);
  }

  private ModelFamily with(Biases newBiases, Window newWindow, boolean newQkNorm) {
    return new ModelFamily(
        modelType,
        architecture,
        norm,
        epsilonKey,
        epsilon,
        maxPositions,
        headDim,
        keys,
        newBiases,
        newWindow,
        newQkNorm,
        tiedEmbeddings);
  }
}
