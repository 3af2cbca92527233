package dev.bulkgen.model;

import java.util.Arrays;
import java.util.Collections;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * Which tensors a model's checkpoint holds, by role: names and shapes. The tables of names are the
 * only place that knows them.
 */
public final class WeightMap {
  /** What a tensor is for. */
  enum Role {
    EMBEDDING,
    FINAL_NORM,
    HEAD,
    ATTENTION_NORM,
    MLP_NORM,
    QUERY,
    KEY,
    VALUE,
    FUSED_QKV,
    OUTPUT,
    QUERY_NORM,
    KEY_NORM,
    GATE,
    UP,
    DOWN
  }

  /** A tensor the checkpoint must hold; extents outermost first. */
  public record Expected(String name, long[] shape) {
    long elementCount() {
      return Arrays.stream(shape).reduce(1, Math::multiplyExact);
    }
  }

  private static final String LAYER = "#";

  private static final Map<Role, String> LLAMA_NAMES =
      Map.ofEntries(
          Map.entry(Role.EMBEDDING, "model.embed_tokens"),
          Map.entry(Role.FINAL_NORM, "model.norm"),
          Map.entry(Role.HEAD, "lm_head"),
          Map.entry(Role.ATTENTION_NORM, "model.layers.#.input_layernorm"),
          Map.entry(Role.MLP_NORM, "model.layers.#.post_attention_layernorm"),
          Map.entry(Role.QUERY, "model.layers.#.self_attn.q_proj"),
          Map.entry(Role.KEY, "model.layers.#.self_attn.k_proj"),
          Map.entry(Role.VALUE, "model.layers.#.self_attn.v_proj"),
          Map.entry(Role.OUTPUT, "model.layers.#.self_attn.o_proj"),
          Map.entry(Role.QUERY_NORM, "model.layers.#.self_attn.q_norm"),
          Map.entry(Role.KEY_NORM, "model.layers.#.self_attn.k_norm"),
          Map.entry(Role.GATE, "model.layers.#.mlp.gate_proj"),
          Map.entry(Role.UP, "model.layers.#.mlp.up_proj"),
          Map.entry(Role.DOWN, "model.layers.#.mlp.down_proj"));

  private static final Map<Role, String> FALCON_NAMES =
      Map.of(
          Role.EMBEDDING, "transformer.word_embeddings",
          Role.FINAL_NORM, "transformer.ln_f",
          Role.HEAD, "lm_head",
          Role.ATTENTION_NORM, "transformer.h.#.input_layernorm",
          Role.MLP_NORM, "transformer.h.#.post_attention_layernorm",
          Role.FUSED_QKV, "transformer.h.#.self_attention.query_key_value",
          Role.OUTPUT, "transformer.h.#.self_attention.dense",
          Role.UP, "transformer.h.#.mlp.dense_h_to_4h",
          Role.DOWN, "transformer.h.#.mlp.dense_4h_to_h");

  private static final Map<Role, String> FALCON_TWO_NORM_NAMES =
      Map.of(
          Role.ATTENTION_NORM, "transformer.h.#.ln_attn",
          Role.MLP_NORM, "transformer.h.#.ln_mlp");

  // Tables a checkpoint may carry although they follow from config.json.
  private static final Pattern RECOMPUTED =
      Pattern.compile(".*\\.(rotary_emb\\.inv_freq|masked_bias|rotary_emb\\.(cos|sin)_cached)");

  private final ModelConfig config;
  private final CheckpointForm form;
  private final Map<Role, String> names;
  private final Map<String, Expected> expected = new LinkedHashMap<>();

  private WeightMap(ModelConfig config, CheckpointForm form) {
    this.config = config;
    this.form = form;
    this.names = new EnumMap<>(form.fusedQkv() ? FALCON_NAMES : LLAMA_NAMES);
    if (config.block() == BlockForm.PARALLEL_TWO_NORMS) {
      names.putAll(FALCON_TWO_NORM_NAMES);
    }
    addMatrix(Role.EMBEDDING, 0, config.vocabSize(), config.hiddenSize(), false);
    for (int layer = 0; layer < config.layerCount(); layer++) {
      addAttention(layer);
      addMlp(layer);
    }
    addNorm(Role.FINAL_NORM, 0, config.hiddenSize(), config.norm());
    if (!config.tiedEmbeddings()) {
      addMatrix(Role.HEAD, 0, config.vocabSize(), config.hiddenSize(), false);
    }
  }

  /** The tensors of a described model. */
  public static WeightMap of(ModelDescription description) {
    return new WeightMap(description.config(), description.form());
  }

  /** Every tensor the checkpoint must hold, by name, in the order of the forward pass. */
  public Map<String, Expected> expected() {
    return Collections.unmodifiableMap(expected);
  }

  /** Number of weights, a tied head counted once. */
  public long parameterCount() {
    return expected.values().stream().mapToLong(Expected::elementCount).sum();
  }

  /** True for a tensor that may be there although nothing reads it. */
  boolean isHarmless(String name) {
    boolean tiedHead = config.tiedEmbeddings() && name.equals(weight(Role.HEAD, 0));
    return tiedHead || RECOMPUTED.matcher(name).matches();
  }

  /** Name of a weight tensor; {@code layer} counts only for roles within a layer. */
  String weight(Role role, int layer) {
    return base(role, layer) + ".weight";
  }

  String bias(Role role, int layer) {
    return base(role, layer) + ".bias";
  }

  private String base(Role role, int layer) {
    return names.get(role).replace(LAYER, Integer.toString(layer));
  }

  private void addAttention(int layer) {
    AttentionShape attention = config.attention();
    int hidden = config.hiddenSize();
    addNorm(Role.ATTENTION_NORM, layer, hidden, config.norm());
    if (form.fusedQkv()) {
      int rows = attention.queryWidth() + 2 * attention.kvWidth();
      addMatrix(Role.FUSED_QKV, layer, rows, hidden, form.qkvBias());
    } else {
      addMatrix(Role.QUERY, layer, attention.queryWidth(), hidden, form.qkvBias());
      addMatrix(Role.KEY, layer, attention.kvWidth(), hidden, form.qkvBias());
      addMatrix(Role.VALUE, layer, attention.kvWidth(), hidden, form.qkvBias());
    }
    if (attention.qkNorm()) {
      addNorm(Role.QUERY_NORM, layer, attention.headDim(), NormKind.RMS);
      addNorm(Role.KEY_NORM, layer, attention.headDim(), NormKind.RMS);
    }
    addMatrix(Role.OUTPUT, layer, hidden, attention.queryWidth(), form.outputBias());
  }

  private void addMlp(int layer) {
    int hidden = config.hiddenSize();
    int inner = config.intermediateSize();
    if (config.block() != BlockForm.PARALLEL_ONE_NORM) {
      addNorm(Role.MLP_NORM, layer, hidden, config.norm());
    }
    if (config.mlp() == MlpForm.SILU_GATED) {
      addMatrix(Role.GATE, layer, inner, hidden, form.mlpBias());
    }
    addMatrix(Role.UP, layer, inner, hidden, form.mlpBias());
    addMatrix(Role.DOWN, layer, hidden, inner, form.mlpBias());
  }

  private void addMatrix(Role role, int layer, long rows, long columns, boolean biased) {
    add(weight(role, layer), rows, columns);
    if (biased) {
      add(bias(role, layer), rows);
    }
  }

  private void addNorm(Role role, int layer, long width, NormKind kind) {
    add(weight(role, layer), width);
    if (kind == NormKind.LAYER) {
      add(bias(role, layer), width);
    }
  }

  private void add(String name, long... shape) {
    expected.put(name, new Expected(name, shape));
  }
}
