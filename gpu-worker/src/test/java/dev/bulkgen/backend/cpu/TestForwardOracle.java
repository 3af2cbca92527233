package dev.bulkgen.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.BackendSession;
import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.ReferenceForward;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.model.TinyCheckpoint;
import dev.bulkgen.tensor.DType;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * From the files of a folder to logits, against an independent forward pass in double precision:
 * every family with its options, of which the golden data has one model each.
 */
class TestForwardOracle {
  private static final int HIDDEN = TinyCheckpoint.HIDDEN;
  private static final int INNER = TinyCheckpoint.INNER;
  private static final int TOKENS = 150;
  private static final int PROMPT = 120;

  /** The same weights on both sides, so what differs is float against double. */
  private static final double EXACT = 2e-5;

  /** K and V have 11 bits in float16. */
  private static final double ROUNDED = 3e-3;

  @TempDir Path folder;

  @ParameterizedTest
  @MethodSource("models")
  void prefillsAsDefined(TinyCheckpoint checkpoint) {
    int[] tokens = write(checkpoint);
    double[][] expected = ReferenceForward.logits(folder, tokens);
    try (BackendSession session = open(KvRounding.NONE)) {
      float[][] actual = session.step(session.newSequence(), LogitsRequest.ALL, tokens).logits();
      assertClose(expected, actual, 0, EXACT);
    }
  }

  @ParameterizedTest
  @MethodSource("models")
  void decodesAsDefined(TinyCheckpoint checkpoint) {
    int[] tokens = write(checkpoint);
    double[][] expected = ReferenceForward.logits(folder, tokens);
    try (BackendSession session = open(KvRounding.FLOAT16)) {
      SequenceCache cache = session.newSequence();
      float[][] actual = new float[TOKENS - PROMPT][];
      session.step(cache, LogitsRequest.NONE, Arrays.copyOf(tokens, PROMPT));
      for (int i = PROMPT; i < TOKENS; i++) {
        actual[i - PROMPT] = session.step(cache, LogitsRequest.LAST, tokens[i]).logits()[0];
      }
      assertClose(expected, actual, PROMPT, ROUNDED);
    }
  }

  static Stream<Arguments> models() {
    return Stream.of(llamas(), ropes(), others(), falcons())
        .flatMap(models -> models)
        .map(Arguments::of);
  }

  private static Stream<Named<TinyCheckpoint>> llamas() {
    TinyCheckpoint biased = llama().set("attention_bias", true).set("mlp_bias", true);
    bias(biased, HIDDEN, "self_attn.q_proj", "self_attn.o_proj", "mlp.down_proj");
    bias(biased, HIDDEN / 2, "self_attn.k_proj", "self_attn.v_proj");
    bias(biased, INNER, "mlp.gate_proj", "mlp.up_proj");
    return Stream.of(
        Named.of("llama, grouped", llama()),
        Named.of("llama, multi-head", gated("llama", 4, 4, 8)),
        Named.of("llama, multi-query, head size 24", gated("llama", 3, 1, 24)),
        Named.of("llama, head size 72", gated("llama", 2, 2, 72)),
        Named.of("llama, head size 256", gated("llama", 2, 1, 256)),
        Named.of("llama, all biases", biased),
        Named.of("llama, tied", llama().without("lm_head.weight").set("tie_word_embeddings", true)),
        Named.of("llama, large epsilon", llama().set("rms_norm_eps", 0.05)),
        Named.of("llama, F16", llama().dtype(DType.F16)),
        Named.of("llama, F32", llama().dtype(DType.F32)));
  }

  private static Stream<Named<TinyCheckpoint>> ropes() {
    String llama3 =
        "'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 1.0, 'high_freq_factor': 4.0,"
            + " 'original_max_position_embeddings': 64";
    String yarn = "'rope_type': 'yarn', 'factor': 4.0, 'original_max_position_embeddings': 64";
    return Stream.of(
        Named.of("theta 500", gated("llama", 2, 2, 32).set("rope_theta", 500.0)),
        Named.of("linear", rope("'rope_type': 'linear', 'factor': 2.5")),
        Named.of("llama3", rope(llama3)),
        Named.of("yarn", rope(yarn)),
        Named.of("yarn, ramp of its own", rope(yarn + ", 'beta_fast': 8, 'beta_slow': 2")),
        Named.of("yarn, attention factor", rope(yarn + ", 'attention_factor': 0.7")),
        Named.of("yarn, mscale", rope(yarn + ", 'mscale': 0.707, 'mscale_all_dim': 1.3")),
        Named.of("yarn from the model's positions", rope("'rope_type': 'yarn', 'factor': 2.0")),
        Named.of(
            "rope_parameters",
            gated("llama", 2, 2, 32)
                .setJson(
                    "rope_parameters",
                    ("{" + llama3 + ", 'rope_theta': 2000.0}").replace('\'', '"'))));
  }

  private static Stream<Named<TinyCheckpoint>> others() {
    TinyCheckpoint qwen2 = gated("qwen2", 4, 2, 8);
    bias(qwen2, HIDDEN, "self_attn.q_proj");
    bias(qwen2, HIDDEN / 2, "self_attn.k_proj", "self_attn.v_proj");
    TinyCheckpoint windowed =
        gated("qwen2", 4, 4, 8)
            .set("use_sliding_window", true)
            .set("sliding_window", 19)
            .set("max_window_layers", 0);
    bias(windowed, HIDDEN, "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj");
    TinyCheckpoint biased = TinyCheckpoint.qwen3().set("attention_bias", true);
    bias(biased, 64, "self_attn.q_proj");
    bias(biased, 32, "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj");
    return Stream.of(
        Named.of("mistral, window 1", gated("mistral", 4, 2, 8).set("sliding_window", 1)),
        Named.of("mistral, window 40", gated("mistral", 4, 2, 8).set("sliding_window", 40)),
        Named.of("mistral, no window", gated("mistral", 4, 2, 8).set("sliding_window", null)),
        Named.of("qwen2", qwen2),
        Named.of("qwen2, windowed", windowed),
        Named.of("qwen3", TinyCheckpoint.qwen3()),
        Named.of("qwen3, biases", biased));
  }

  private static Stream<Named<TinyCheckpoint>> falcons() {
    TinyCheckpoint oneNorm = TinyCheckpoint.falconGrouped().set("num_ln_in_parallel_attn", 1);
    TinyCheckpoint sequential = TinyCheckpoint.falconMultiQuery().set("parallel_attn", false);
    for (int i = 0; i < TinyCheckpoint.LAYERS; i++) {
      String layer = "transformer.h." + i + ".";
      for (String part : new String[] {".weight", ".bias"}) {
        oneNorm.without(layer + "ln_attn" + part).without(layer + "ln_mlp" + part);
        oneNorm.tensor(layer + "input_layernorm" + part, HIDDEN);
        sequential.tensor(layer + "post_attention_layernorm" + part, HIDDEN);
      }
    }
    TinyCheckpoint multiHead = TinyCheckpoint.falconMultiQuery().set("multi_query", false);
    TinyCheckpoint biased = TinyCheckpoint.falconGrouped().set("bias", true);
    for (int i = 0; i < TinyCheckpoint.LAYERS; i++) {
      String layer = "transformer.h." + i + ".";
      multiHead.tensor(layer + "self_attention.query_key_value.weight", 3 * HIDDEN, HIDDEN);
      biased
          .tensor(layer + "self_attention.query_key_value.bias", 64)
          .tensor(layer + "self_attention.dense.bias", HIDDEN)
          .tensor(layer + "mlp.dense_h_to_4h.bias", 4 * HIDDEN)
          .tensor(layer + "mlp.dense_4h_to_h.bias", HIDDEN);
    }
    return Stream.of(
        Named.of("falcon, two norms", TinyCheckpoint.falconGrouped()),
        Named.of("falcon, one norm, grouped", oneNorm),
        Named.of("falcon, multi-query", TinyCheckpoint.falconMultiQuery()),
        Named.of("falcon, multi-head", multiHead),
        Named.of("falcon, sequential", sequential),
        Named.of("falcon, biases", biased),
        Named.of(
            "falcon, GELU by tanh", TinyCheckpoint.falconGrouped().set("activation", "gelu_new")),
        Named.of(
            "falcon, head of its own",
            TinyCheckpoint.falconGrouped()
                .set("tie_word_embeddings", false)
                .tensor("lm_head.weight", TinyCheckpoint.VOCABULARY, HIDDEN)));
  }

  private static TinyCheckpoint llama() {
    return TinyCheckpoint.llama();
  }

  private static TinyCheckpoint gated(String modelType, int heads, int kvHeads, int headDim) {
    String architecture =
        Character.toUpperCase(modelType.charAt(0)) + modelType.substring(1) + "ForCausalLM";
    return TinyCheckpoint.gated(modelType, architecture, heads, kvHeads, headDim);
  }

  private static TinyCheckpoint rope(String scaling) {
    return gated("llama", 2, 2, 32)
        .setJson("rope_scaling", ("{" + scaling + "}").replace('\'', '"'));
  }

  private static void bias(TinyCheckpoint checkpoint, int width, String... projections) {
    for (int i = 0; i < TinyCheckpoint.LAYERS; i++) {
      for (String projection : projections) {
        checkpoint.tensor("model.layers." + i + "." + projection + ".bias", width);
      }
    }
  }

  private int[] write(TinyCheckpoint checkpoint) {
    checkpoint.write(folder);
    return new SplittableRandom(7).ints(TOKENS, 0, TinyCheckpoint.VOCABULARY).toArray();
  }

  private BackendSession open(KvRounding rounding) {
    ModelWeights weights = ModelFolder.open(folder).weights();
    CacheLayout layout = CacheLayout.of(CachePolicy.FP16, weights.config());
    return new BackendSession(
        (model, cacheLayout, capacity, threads) ->
            new CpuBackend(
                model,
                new WorkspaceShape(model.config(), cacheLayout, capacity, threads),
                Arithmetic.SCALAR,
                rounding),
        weights,
        layout,
        1,
        TOKENS,
        1,
        0);
  }

  /** Rows of {@code actual} against those of {@code expected} from {@code first} on. */
  private static void assertClose(
      double[][] expected, float[][] actual, int first, double tolerance) {
    assertEquals(expected.length - first, actual.length);
    double smallest = Double.POSITIVE_INFINITY;
    double largest = Double.NEGATIVE_INFINITY;
    for (int t = 0; t < actual.length; t++) {
      assertEquals(TinyCheckpoint.VOCABULARY, actual[t].length);
      for (int i = 0; i < actual[t].length; i++) {
        double difference = Math.abs(expected[first + t][i] - actual[t][i]);
        assertTrue(difference <= tolerance, "token " + t + ", logit " + i + ": " + difference);
        smallest = Math.min(smallest, actual[t][i]);
        largest = Math.max(largest, actual[t][i]);
      }
    }
    // Logits that are all alike would hide everything.
    assertTrue(largest - smallest > 0.5, "logits from " + smallest + " to " + largest);
  }
}
