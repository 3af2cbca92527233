package dev.bulkgen.cli.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.SafetensorsWriter;
import dev.bulkgen.tensor.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A Llama of SmolLM2-135M's shape with random weights: 576 wide, 30 layers, 9 heads, 3 K/V heads,
 * head size 64, vocabulary 49,152, tied head. Speed does not depend on what the weights say.
 */
final class RandomModel {
  static final int VOCABULARY = 49_152;
  private static final int HIDDEN = 576;
  private static final int INTERMEDIATE = 1_536;
  private static final int LAYERS = 30;
  private static final int HEADS = 9;
  private static final int KV_HEADS = 3;
  private static final int HEAD_DIM = 64;
  private static final double DEVIATION = 0.04;

  private RandomModel() {}

  /** Writes the model folder unless it is there. */
  static Path write(Path folder) {
    Path weights = folder.resolve("model.safetensors");
    if (Files.exists(weights)) {
      return folder;
    }
    try {
      Files.createDirectories(folder);
      new ObjectMapper().writeValue(folder.resolve("config.json").toFile(), config());
      new ObjectMapper().writeValue(folder.resolve("tokenizer.json").toFile(), tokenizer());
    } catch (IOException e) {
      throw new BulkgenException(
          ErrorCode.OUTPUT_NOT_WRITABLE,
          folder + ": cannot write the benchmark's model; choose another folder with --work",
          e);
    }
    SafetensorsWriter.write(weights, tensors());
    return folder;
  }

  private static Map<String, Object> config() {
    Map<String, Object> config = new LinkedHashMap<>();
    config.put("architectures", List.of("LlamaForCausalLM"));
    config.put("model_type", "llama");
    config.put("vocab_size", VOCABULARY);
    config.put("hidden_size", HIDDEN);
    config.put("intermediate_size", INTERMEDIATE);
    config.put("num_hidden_layers", LAYERS);
    config.put("num_attention_heads", HEADS);
    config.put("num_key_value_heads", KV_HEADS);
    config.put("max_position_embeddings", 8_192);
    config.put("rms_norm_eps", 1e-5);
    config.put("rope_theta", 100_000.0);
    config.put("hidden_act", "silu");
    config.put("tie_word_embeddings", true);
    config.put("bos_token_id", 1);
    config.put("eos_token_id", 2);
    config.put("torch_dtype", "bfloat16");
    return config;
  }

  // Nobody tokenizes here, but other programs refuse a folder without this file.
  private static Map<String, Object> tokenizer() {
    Map<String, Object> model = new LinkedHashMap<>();
    model.put("type", "BPE");
    model.put("vocab", Map.of("<unk>", 0, "<s>", 1, "</s>", 2));
    model.put("merges", List.of());
    Map<String, Object> tokenizer = new LinkedHashMap<>();
    tokenizer.put("version", "1.0");
    tokenizer.put("added_tokens", List.of());
    tokenizer.put("model", model);
    return tokenizer;
  }

  private static List<SafetensorsWriter.Entry> tensors() {
    List<SafetensorsWriter.Entry> entries = new ArrayList<>();
    entries.add(matrix("model.embed_tokens.weight", VOCABULARY, HIDDEN));
    entries.add(ones("model.norm.weight"));
    for (int layer = 0; layer < LAYERS; layer++) {
      String prefix = "model.layers." + layer + ".";
      entries.add(ones(prefix + "input_layernorm.weight"));
      entries.add(ones(prefix + "post_attention_layernorm.weight"));
      entries.add(matrix(prefix + "self_attn.q_proj.weight", HEADS * HEAD_DIM, HIDDEN));
      entries.add(matrix(prefix + "self_attn.k_proj.weight", KV_HEADS * HEAD_DIM, HIDDEN));
      entries.add(matrix(prefix + "self_attn.v_proj.weight", KV_HEADS * HEAD_DIM, HIDDEN));
      entries.add(matrix(prefix + "self_attn.o_proj.weight", HIDDEN, HEADS * HEAD_DIM));
      entries.add(matrix(prefix + "mlp.gate_proj.weight", INTERMEDIATE, HIDDEN));
      entries.add(matrix(prefix + "mlp.up_proj.weight", INTERMEDIATE, HIDDEN));
      entries.add(matrix(prefix + "mlp.down_proj.weight", HIDDEN, INTERMEDIATE));
    }
    return entries;
  }

  private static SafetensorsWriter.Entry matrix(String name, int rows, int columns) {
    long seed = name.hashCode();
    return new SafetensorsWriter.Entry(
        name,
        DType.BF16,
        new long[] {rows, columns},
        (element, target, count) -> {
          for (int i = 0; i < count; i++) {
            target[i] = (float) (DEVIATION * uniform(seed, element + i));
          }
        });
  }

  private static SafetensorsWriter.Entry ones(String name) {
    return new SafetensorsWriter.Entry(
        name,
        DType.BF16,
        new long[] {HIDDEN},
        (element, target, count) -> java.util.Arrays.fill(target, 0, count, 1f));
  }

  /** In [−1, 1): the finalizer of SplitMix64 over seed and index. */
  private static double uniform(long seed, long index) {
    long z = (seed << 32) + index * 0x9e3779b97f4a7c15L;
    z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    return (z >> 11) * 0x1p-52;
  }
}
