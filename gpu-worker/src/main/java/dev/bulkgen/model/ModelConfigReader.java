package dev.bulkgen.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.tensor.DType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Reads config.json and generation_config.json. Every size is bounded, all mistakes are told at
 * once, and whatever would change the arithmetic and is not supported is refused by name.
 */
final class ModelConfigReader {
  static final String CONFIG_FILE = "config.json";
  static final String GENERATION_FILE = "generation_config.json";
  static final int MAX_POSITIONS = 1 << 24;

  private static final long MAX_FILE_BYTES = 10_000_000;
  private static final int MAX_VOCABULARY = 1 << 22;
  static final int MAX_WIDTH = 1 << 20;
  static final int MAX_LAYERS = 1024;
  private static final int NO_TOKEN = -1;

  // Options of other models' arithmetic. A config of a known family that sets one of them is a
  // variant that the forward pass would silently compute wrong.
  // Beside each stands the value that means the option is off.
  private static final Map<String, Integer> REFUSED =
      new TreeMap<>(
          Map.ofEntries(
              Map.entry("quantization_config", 0),
              Map.entry("compression_config", 0),
              Map.entry("num_local_experts", 0),
              Map.entry("num_experts", 0),
              Map.entry("n_routed_experts", 0),
              Map.entry("rotary_dim", 0),
              Map.entry("clip_qkv", 0),
              Map.entry("attn_logit_softcapping", 0),
              Map.entry("final_logit_softcapping", 0),
              Map.entry("attention_chunk_size", 0),
              Map.entry("no_rope_layers", 0),
              Map.entry("logit_scale", 1),
              Map.entry("logits_scaling", 1),
              Map.entry("embedding_multiplier", 1),
              Map.entry("residual_multiplier", 1),
              Map.entry("attention_multiplier", 1)));

  private final JsonFields fields;
  private final ModelFamily family;

  private ModelConfigReader(JsonFields fields, ModelFamily family) {
    this.fields = fields;
    this.family = family;
  }

  /**
   * Reads a folder's config files; generation_config.json may be missing.
   *
   * @throws BulkgenException MODEL_NOT_FOUND, MODEL_CORRUPT or MODEL_UNSUPPORTED
   */
  static ModelDescription read(Path folder) {
    return read(folder.resolve(CONFIG_FILE), folder.resolve(GENERATION_FILE));
  }

  static ModelDescription read(Path configFile, Path generationFile) {
    JsonFields.Problems problems = new JsonFields.Problems();
    JsonFields fields = new JsonFields(JsonFile.read(configFile, MAX_FILE_BYTES), problems);
    String modelType = fields.text("model_type").orElse("");
    Optional<ModelFamily> family = ModelFamily.named(modelType);
    checkArchitecture(fields, modelType, family);
    REFUSED.forEach(
        (key, off) -> {
          if (isSet(fields.raw(key), off)) {
            fields.unsupported("%s %s is not supported", key, fields.shown(key));
          }
        });
    if (family.isEmpty()) {
      problems.throwIfAny(configFile);
    }
    ModelConfigReader reader = new ModelConfigReader(fields, family.orElseThrow());
    ModelConfig declared = reader.config();
    CheckpointForm form = reader.form();
    List<String> warnings = new ArrayList<>();
    Set<Integer> ends = endTokens(fields, configFile, declared, warnings);
    problems.throwIfAny(configFile);
    if (!Files.exists(generationFile)) {
      return new ModelDescription(
          withTokens(declared, ends, declared.bosTokenId()),
          form,
          GenerationDefaults.none(),
          warnings);
    }
    JsonFields generation = new JsonFields(JsonFile.read(generationFile, MAX_FILE_BYTES), problems);
    GenerationDefaults defaults = GenerationDefaults.read(generation);
    ends.addAll(endTokens(generation, generationFile, declared, warnings));
    int bos =
        declared.bosTokenId() == NO_TOKEN
            ? generation.integer("bos_token_id", 0, declared.vocabSize() - 1, NO_TOKEN)
            : declared.bosTokenId();
    problems.throwIfAny(generationFile);
    return new ModelDescription(withTokens(declared, ends, bos), form, defaults, warnings);
  }

  private static void checkArchitecture(
      JsonFields fields, String modelType, Optional<ModelFamily> family) {
    if (family.isEmpty()) {
      fields.unsupported(
          "model_type '%s' (architectures %s) is not supported; supported are %s",
          modelType, fields.shown("architectures"), ModelFamily.supported());
      return;
    }
    JsonNode named = fields.raw("architectures");
    boolean found = named.isMissingNode() || named.isNull();
    for (JsonNode name : named) {
      found |= name.asText().equals(family.get().architecture());
    }
    if (!found) {
      fields.unsupported(
          "architectures %s is not supported for model_type '%s'; supported is %s",
          fields.shown("architectures"), modelType, family.get().architecture());
    }
  }

  private static boolean isSet(JsonNode value, int off) {
    if (value.isNumber()) {
      return value.doubleValue() != off;
    }
    return value.isContainerNode() ? !value.isEmpty() : value.isTextual() || value.asBoolean();
  }

  /**
   * Published checkpoints name end tokens that their vocabulary was cut short of; the model cannot
   * produce them, so leaving them out changes no text.
   */
  private static Set<Integer> endTokens(
      JsonFields fields, Path file, ModelConfig config, List<String> warnings) {
    Set<Integer> ends = new TreeSet<>();
    for (int id : fields.integers("eos_token_id", 0, Integer.MAX_VALUE)) {
      if (id < config.vocabSize()) {
        ends.add(id);
      } else {
        warnings.add(
            String.format(
                Locale.ROOT,
                "%s: end token %d is left out, the model's token ids are 0 to %d",
                file,
                id,
                config.vocabSize() - 1));
      }
    }
    return ends;
  }

  private static ModelConfig withTokens(ModelConfig config, Set<Integer> ends, int bos) {
    return new ModelConfig(
        config.family(),
        config.vocabSize(),
        config.hiddenSize(),
        config.intermediateSize(),
        config.layerCount(),
        config.maxPositions(),
        config.attention(),
        config.rope(),
        config.norm(),
        config.normEpsilon(),
        config.block(),
        config.mlp(),
        config.tiedEmbeddings(),
        Collections.unmodifiableSet(ends),
        bos);
  }

  private ModelConfig config() {
    int vocabulary = fields.integer("vocab_size", 1, MAX_VOCABULARY);
    int hidden = fields.integer("hidden_size", 1, MAX_WIDTH);
    int layers = fields.integer("num_hidden_layers", 1, MAX_LAYERS);
    int declaredPositions =
        family.maxPositions().isPresent()
            ? fields.integer(
                "max_position_embeddings", 1, MAX_POSITIONS, family.maxPositions().getAsInt())
            : fields.integer("max_position_embeddings", 1, MAX_POSITIONS);
    RopeConfig rope = new RopeConfigReader(fields, declaredPositions).read();
    // With a wrong vocabulary size there is nothing to hold token ids against.
    int lastToken = vocabulary > 0 ? vocabulary - 1 : MAX_VOCABULARY;
    return new ModelConfig(
        family.modelType(),
        vocabulary,
        hidden,
        intermediateSize(hidden),
        layers,
        positions(declaredPositions, rope),
        new AttentionShapeReader(fields, family).read(hidden, layers),
        rope,
        family.norm(),
        (float) fields.number(family.epsilonKey(), 1e-12, 0.1, family.epsilon()),
        family.keys() == ModelFamily.Keys.FALCON ? falconBlock() : BlockForm.SEQUENTIAL,
        mlp(),
        fields.flag("tie_word_embeddings", family.tiedEmbeddings()),
        Set.of(),
        fields.integer("bos_token_id", 0, lastToken, NO_TOKEN));
  }

  /**
   * YaRN is often switched on by its {@code rope_scaling} alone, with {@code
   * max_position_embeddings} left at the length before the stretch.
   */
  private static int positions(int declared, RopeConfig rope) {
    if (rope.scaling() instanceof RopeConfig.Yarn yarn && declared <= yarn.originalMaxPositions()) {
      return (int) Math.min(MAX_POSITIONS, yarn.originalMaxPositions() * yarn.factor());
    }
    return declared;
  }

  private int intermediateSize(int hidden) {
    if (family.keys() == ModelFamily.Keys.FALCON) {
      return fields.integer("ffn_hidden_size", 1, MAX_WIDTH, 4 * hidden);
    }
    return fields.integer("intermediate_size", 1, MAX_WIDTH);
  }

  private BlockForm falconBlock() {
    if (fields.flag("alibi", false)) {
      fields.unsupported("alibi position biases are not supported; only rotary embeddings are");
    }
    boolean grouped = fields.flag("new_decoder_architecture", false);
    boolean parallel = fields.flag("parallel_attn", true);
    int norms = fields.integer("num_ln_in_parallel_attn", 1, 2, grouped ? 2 : 1);
    if (!parallel) {
      if (grouped) {
        fields.unsupported("parallel_attn false with new_decoder_architecture is not supported");
      }
      return BlockForm.SEQUENTIAL;
    }
    if (norms == 2 && !grouped) {
      fields.unsupported(
          "num_ln_in_parallel_attn 2 without new_decoder_architecture is not supported");
    }
    return norms == 2 ? BlockForm.PARALLEL_TWO_NORMS : BlockForm.PARALLEL_ONE_NORM;
  }

  private MlpForm mlp() {
    boolean falcon = family.keys() == ModelFamily.Keys.FALCON;
    String key = falcon ? "activation" : "hidden_act";
    String name = fields.text(key).orElse(falcon ? "gelu" : "silu");
    if (!falcon) {
      if (!name.equals("silu") && !name.equals("swish")) {
        fields.unsupported("%s '%s' is not supported; supported is silu", key, name);
      }
      return MlpForm.SILU_GATED;
    }
    return switch (name) {
      case "gelu" -> MlpForm.GELU;
      case "gelu_new", "gelu_pytorch_tanh", "gelu_fast" -> MlpForm.GELU_TANH;
      default -> {
        fields.unsupported(
            "%s '%s' is not supported; supported are gelu, gelu_new and gelu_pytorch_tanh",
            key, name);
        yield MlpForm.GELU;
      }
    };
  }

  private CheckpointForm form() {
    boolean attention =
        switch (family.biases()) {
          case NONE -> false;
          case BY_ATTENTION_AND_MLP_KEY, BY_ATTENTION_KEY -> fields.flag("attention_bias", false);
          case QKV -> true;
          case BY_BIAS_KEY -> fields.flag("bias", false);
        };
    boolean mlp =
        switch (family.biases()) {
          case BY_ATTENTION_AND_MLP_KEY -> fields.flag("mlp_bias", false);
          case BY_BIAS_KEY -> attention;
          default -> false;
        };
    boolean output = attention && family.biases() != ModelFamily.Biases.QKV;
    return new CheckpointForm(
        attention, output, mlp, family.keys() == ModelFamily.Keys.FALCON, storedType());
  }

  private Optional<DType> storedType() {
    String name = fields.text("torch_dtype").or(() -> fields.text("dtype")).orElse("");
    return switch (name) {
      case "bfloat16", "torch.bfloat16" -> Optional.of(DType.BF16);
      case "float16", "torch.float16" -> Optional.of(DType.F16);
      case "float32", "torch.float32" -> Optional.of(DType.F32);
      default -> Optional.empty();
    };
  }
}
