package dev.bulkgen.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.bulkgen.tensor.DType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * Writes a small model folder with random weights: config.json, and every tensor of its family,
 * named here by hand so that the loader is tested against a second list. Change what a test is
 * about, then {@link #write}.
 */
public final class TinyCheckpoint {
  public static final int HIDDEN = 32;
  public static final int LAYERS = 2;
  public static final int VOCABULARY = 48;
  public static final int INNER = 40;

  private static final ObjectMapper JSON = new ObjectMapper();

  private final ObjectNode config = JSON.createObjectNode();
  private final Map<String, long[]> shapes = new LinkedHashMap<>();
  private final Map<String, float[]> values = new LinkedHashMap<>();
  private DType dtype = DType.BF16;
  private long seed = 1;

  private TinyCheckpoint() {}

  /** A family with separate projections and gated MLP: llama, mistral, qwen2 or qwen3. */
  public static TinyCheckpoint gated(
      String modelType, String architecture, int heads, int kvHeads, int headDim) {
    TinyCheckpoint tiny = new TinyCheckpoint();
    tiny.common(modelType, architecture, heads);
    tiny.set("intermediate_size", INNER)
        .set("num_key_value_heads", kvHeads)
        .set("head_dim", headDim)
        .set("hidden_act", "silu")
        .set("rms_norm_eps", 1e-6)
        .set("tie_word_embeddings", false);
    tiny.tensor("model.embed_tokens.weight", VOCABULARY, HIDDEN);
    for (int i = 0; i < LAYERS; i++) {
      String layer = "model.layers." + i + ".";
      tiny.tensor(layer + "input_layernorm.weight", HIDDEN)
          .tensor(layer + "post_attention_layernorm.weight", HIDDEN)
          .tensor(layer + "self_attn.q_proj.weight", (long) heads * headDim, HIDDEN)
          .tensor(layer + "self_attn.k_proj.weight", (long) kvHeads * headDim, HIDDEN)
          .tensor(layer + "self_attn.v_proj.weight", (long) kvHeads * headDim, HIDDEN)
          .tensor(layer + "self_attn.o_proj.weight", HIDDEN, (long) heads * headDim)
          .tensor(layer + "mlp.gate_proj.weight", INNER, HIDDEN)
          .tensor(layer + "mlp.up_proj.weight", INNER, HIDDEN)
          .tensor(layer + "mlp.down_proj.weight", HIDDEN, INNER);
    }
    return tiny.tensor("model.norm.weight", HIDDEN).tensor("lm_head.weight", VOCABULARY, HIDDEN);
  }

  public static TinyCheckpoint llama() {
    return gated("llama", "LlamaForCausalLM", 4, 2, 8);
  }

  /** Query and key norms, and a head size of its own: 4 heads of 16 in a hidden size of 32. */
  public static TinyCheckpoint qwen3() {
    TinyCheckpoint tiny = gated("qwen3", "Qwen3ForCausalLM", 4, 2, 16);
    for (int i = 0; i < LAYERS; i++) {
      tiny.tensor("model.layers." + i + ".self_attn.q_norm.weight", 16)
          .tensor("model.layers." + i + ".self_attn.k_norm.weight", 16);
    }
    return tiny;
  }

  /** Grouped Falcon: 4 query heads over 2 K/V heads of 8, fused, with two norms a layer. */
  public static TinyCheckpoint falconGrouped() {
    TinyCheckpoint tiny = falcon(2);
    tiny.set("new_decoder_architecture", true).set("num_kv_heads", 2);
    for (int i = 0; i < LAYERS; i++) {
      tiny.layerNorm("transformer.h." + i + ".ln_attn").layerNorm("transformer.h." + i + ".ln_mlp");
    }
    return tiny;
  }

  /** Falcon with one K/V head and one norm a layer. */
  public static TinyCheckpoint falconMultiQuery() {
    TinyCheckpoint tiny = falcon(1);
    tiny.set("new_decoder_architecture", false).set("multi_query", true);
    for (int i = 0; i < LAYERS; i++) {
      tiny.layerNorm("transformer.h." + i + ".input_layernorm");
    }
    return tiny;
  }

  private static TinyCheckpoint falcon(int kvHeads) {
    TinyCheckpoint tiny = new TinyCheckpoint();
    tiny.common("falcon", "FalconForCausalLM", 4);
    tiny.set("parallel_attn", true).set("bias", false).set("alibi", false);
    tiny.tensor("transformer.word_embeddings.weight", VOCABULARY, HIDDEN);
    for (int i = 0; i < LAYERS; i++) {
      String layer = "transformer.h." + i + ".";
      tiny.tensor(layer + "self_attention.query_key_value.weight", (4L + 2L * kvHeads) * 8, HIDDEN)
          .tensor(layer + "self_attention.dense.weight", HIDDEN, HIDDEN)
          .tensor(layer + "mlp.dense_h_to_4h.weight", 4 * HIDDEN, HIDDEN)
          .tensor(layer + "mlp.dense_4h_to_h.weight", HIDDEN, 4 * HIDDEN);
    }
    return tiny.layerNorm("transformer.ln_f");
  }

  private void common(String modelType, String architecture, int heads) {
    config.putArray("architectures").add(architecture);
    set("model_type", modelType)
        .set("vocab_size", VOCABULARY)
        .set("hidden_size", HIDDEN)
        .set("num_hidden_layers", LAYERS)
        .set("num_attention_heads", heads)
        .set("max_position_embeddings", 256)
        .set("bos_token_id", 1)
        .set("eos_token_id", 2);
  }

  /** Sets a key of config.json; null writes a null. */
  public TinyCheckpoint set(String key, Object value) {
    config.set(key, JSON.<JsonNode>valueToTree(value));
    return this;
  }

  /** Sets a key of config.json to a value written as JSON. */
  public TinyCheckpoint setJson(String key, String json) {
    try {
      config.set(key, JSON.readTree(json));
      return this;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public TinyCheckpoint unset(String key) {
    config.remove(key);
    return this;
  }

  /** Adds a tensor of random values, or changes its shape. */
  public TinyCheckpoint tensor(String name, long... shape) {
    shapes.put(name, shape);
    return this;
  }

  /** Adds a tensor of the values given. */
  public TinyCheckpoint tensor(String name, float[] of, long... shape) {
    values.put(name, of);
    return tensor(name, shape);
  }

  public TinyCheckpoint without(String name) {
    shapes.remove(name);
    return this;
  }

  public TinyCheckpoint dtype(DType type) {
    this.dtype = type;
    return this;
  }

  public TinyCheckpoint seed(long newSeed) {
    this.seed = newSeed;
    return this;
  }

  private TinyCheckpoint layerNorm(String name) {
    return tensor(name + ".weight", HIDDEN).tensor(name + ".bias", HIDDEN);
  }

  /** Writes config.json and model.safetensors to a new folder. */
  public Path write(Path folder) {
    writeConfig(folder);
    SafetensorsWriter.write(folder.resolve("model.safetensors"), entries());
    return folder;
  }

  /** Writes config.json alone. */
  public Path writeConfig(Path folder) {
    return writeText(folder, "config.json", config.toPrettyString());
  }

  /** Writes the tensors in turn to {@code shards} files with an index. */
  public Path writeSharded(Path folder, int shards) {
    writeConfig(folder);
    List<SafetensorsWriter.Entry> all = entries();
    ObjectNode index = JSON.createObjectNode();
    ObjectNode map = index.putObject("weight_map");
    for (int shard = 0; shard < shards; shard++) {
      String name = String.format("model-%05d-of-%05d.safetensors", shard + 1, shards);
      List<SafetensorsWriter.Entry> part = new ArrayList<>();
      for (int i = shard; i < all.size(); i += shards) {
        part.add(all.get(i));
        map.put(all.get(i).name(), name);
      }
      SafetensorsWriter.write(folder.resolve(name), part);
    }
    return writeText(folder, "model.safetensors.index.json", index.toPrettyString());
  }

  /** Writes a text file to the folder, making the folder. */
  public static Path writeText(Path folder, String name, String text) {
    try {
      Files.createDirectories(folder);
      Files.writeString(folder.resolve(name), text);
      return folder;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private List<SafetensorsWriter.Entry> entries() {
    SplittableRandom random = new SplittableRandom(seed);
    List<SafetensorsWriter.Entry> entries = new ArrayList<>();
    shapes.forEach(
        (name, shape) -> {
          int count = 1;
          for (long extent : shape) {
            count *= (int) extent;
          }
          float[] given = values.get(name);
          float[] all = given == null ? new float[count] : given;
          if (given == null) {
            boolean norm = name.contains("norm.weight") || name.matches(".*\\.ln_\\w+\\.weight");
            for (int i = 0; i < count; i++) {
              all[i] = (norm ? 1 : 0) + (float) (random.nextDouble() - 0.5) * 0.4f;
            }
          }
          entries.add(SafetensorsWriter.Entry.of(name, dtype, shape, all));
        });
    return entries;
  }
}
