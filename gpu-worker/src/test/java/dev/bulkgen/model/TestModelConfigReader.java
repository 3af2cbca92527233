package dev.bulkgen.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.error.ErrorKind;
import dev.bulkgen.tensor.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TestModelConfigReader {
  @TempDir Path folder;

  private ModelDescription read(TinyCheckpoint tiny) {
    return ModelFolder.describe(tiny.writeConfig(folder));
  }

  private String refusal(ErrorCode code, TinyCheckpoint tiny) {
    tiny.writeConfig(folder);
    BulkgenException e = assertThrows(BulkgenException.class, () -> ModelFolder.readConfig(folder));
    assertEquals(code, e.code(), e.getMessage());
    assertTrue(e.getMessage().startsWith(folder.toString()), e.getMessage());
    return e.getMessage();
  }

  @Test
  void readsLlama() {
    ModelDescription llama = read(TinyCheckpoint.llama().set("torch_dtype", "float16"));
    ModelConfig config = llama.config();
    assertEquals("llama", config.family());
    assertEquals(new AttentionShape(4, 2, 8, OptionalInt.empty(), false), config.attention());
    assertEquals(new RopeConfig(10_000, new RopeConfig.None()), config.rope());
    assertEquals(NormKind.RMS, config.norm());
    assertEquals(1e-6f, config.normEpsilon());
    assertEquals(BlockForm.SEQUENTIAL, config.block());
    assertEquals(MlpForm.SILU_GATED, config.mlp());
    assertEquals(Set.of(2), config.eosTokenIds());
    assertEquals(1, config.bosTokenId());
    assertEquals(
        new CheckpointForm(false, false, false, false, Optional.of(DType.F16)), llama.form());
    assertEquals(GenerationDefaults.none(), llama.generationDefaults());
  }

  @Test
  void defaultsFollowTheFamily() {
    TinyCheckpoint sparse =
        TinyCheckpoint.llama()
            .unset("num_key_value_heads")
            .unset("head_dim")
            .unset("max_position_embeddings")
            .unset("rms_norm_eps")
            .unset("tie_word_embeddings")
            .unset("eos_token_id")
            .unset("bos_token_id");
    ModelConfig config = read(sparse).config();
    assertEquals(4, config.attention().kvHeads());
    assertEquals(8, config.attention().headDim());
    assertEquals(2048, config.maxPositions());
    assertEquals(1e-6f, config.normEpsilon());
    assertEquals(false, config.tiedEmbeddings());
    assertEquals(Set.of(), config.eosTokenIds());
    assertEquals(-1, config.bosTokenId());
    ModelConfig qwen3 = read(TinyCheckpoint.qwen3().unset("head_dim")).config();
    assertEquals(128, qwen3.attention().headDim());
    assertTrue(qwen3.attention().qkNorm());
    ModelConfig falcon = read(TinyCheckpoint.falconMultiQuery()).config();
    assertEquals(true, falcon.tiedEmbeddings());
    assertEquals(128, falcon.intermediateSize());
    assertEquals(1e-5f, falcon.normEpsilon());
  }

  @Test
  void biasesFollowTheFamilyAndItsKeys() {
    assertEquals(
        new CheckpointForm(true, true, true, false, Optional.empty()),
        read(TinyCheckpoint.llama().set("attention_bias", true).set("mlp_bias", true)).form());
    assertEquals(
        new CheckpointForm(true, false, false, false, Optional.empty()),
        read(TinyCheckpoint.gated("qwen2", "Qwen2ForCausalLM", 4, 2, 8)).form());
    assertEquals(
        new CheckpointForm(true, true, false, false, Optional.empty()),
        read(TinyCheckpoint.qwen3().set("attention_bias", true)).form());
    assertEquals(
        new CheckpointForm(true, true, true, true, Optional.empty()),
        read(TinyCheckpoint.falconMultiQuery().set("bias", true)).form());
  }

  @Test
  void mistralWindowMayBeNullNamedOrDefault() {
    TinyCheckpoint mistral = TinyCheckpoint.gated("mistral", "MistralForCausalLM", 4, 2, 8);
    assertEquals(OptionalInt.of(4096), read(mistral).config().attention().slidingWindow());
    mistral.set("sliding_window", null);
    assertEquals(OptionalInt.empty(), read(mistral).config().attention().slidingWindow());
    mistral.set("sliding_window", 96);
    AttentionShape attention = read(mistral).config().attention();
    assertEquals(OptionalInt.of(96), attention.slidingWindow());
    assertEquals(5, attention.firstVisible(100));
    assertTrue(
        refusal(ErrorCode.MODEL_CORRUPT, mistral.set("sliding_window", 0))
            .contains("sliding_window is 0"));
  }

  @Test
  void qwenWindowIsOfAllLayersOrRefused() {
    TinyCheckpoint qwen =
        TinyCheckpoint.gated("qwen2", "Qwen2ForCausalLM", 4, 2, 8)
            .set("sliding_window", 64)
            .set("use_sliding_window", false)
            .set("max_window_layers", 0);
    assertEquals(OptionalInt.empty(), read(qwen).config().attention().slidingWindow());
    qwen.set("use_sliding_window", true);
    assertEquals(OptionalInt.of(64), read(qwen).config().attention().slidingWindow());
    qwen.set("max_window_layers", 2);
    assertEquals(OptionalInt.empty(), read(qwen).config().attention().slidingWindow());
    qwen.set("max_window_layers", 1);
    assertTrue(refusal(ErrorCode.MODEL_UNSUPPORTED, qwen).contains("1 of 2 layers"));
    qwen.setJson("layer_types", "[\"full_attention\", \"sliding_attention\"]");
    assertTrue(refusal(ErrorCode.MODEL_UNSUPPORTED, qwen).contains("layer_types"));
    qwen.setJson("layer_types", "[\"full_attention\", \"full_attention\"]");
    assertEquals(OptionalInt.empty(), read(qwen).config().attention().slidingWindow());
    qwen.setJson("layer_types", "[\"full_attention\", \"linear_attention\"]");
    assertTrue(refusal(ErrorCode.MODEL_UNSUPPORTED, qwen).contains("linear_attention"));
  }

  @Test
  void falconFormsFollowTheirFlags() {
    ModelConfig multiQuery = read(TinyCheckpoint.falconMultiQuery()).config();
    assertEquals(BlockForm.PARALLEL_ONE_NORM, multiQuery.block());
    assertEquals(1, multiQuery.attention().kvHeads());
    assertEquals(MlpForm.GELU, multiQuery.mlp());
    assertEquals(NormKind.LAYER, multiQuery.norm());
    ModelConfig grouped = read(TinyCheckpoint.falconGrouped()).config();
    assertEquals(BlockForm.PARALLEL_TWO_NORMS, grouped.block());
    assertEquals(2, grouped.attention().kvHeads());
    TinyCheckpoint oneNorm = TinyCheckpoint.falconGrouped().set("num_ln_in_parallel_attn", 1);
    assertEquals(BlockForm.PARALLEL_ONE_NORM, read(oneNorm).config().block());
    TinyCheckpoint plain =
        TinyCheckpoint.falconMultiQuery().set("multi_query", false).set("parallel_attn", false);
    assertEquals(BlockForm.SEQUENTIAL, read(plain).config().block());
    assertEquals(4, read(plain).config().attention().kvHeads());
    TinyCheckpoint tanh = TinyCheckpoint.falconGrouped().set("activation", "gelu_pytorch_tanh");
    assertEquals(MlpForm.GELU_TANH, read(tanh).config().mlp());
    TinyCheckpoint alibi = TinyCheckpoint.falconMultiQuery().set("alibi", true);
    assertTrue(refusal(ErrorCode.MODEL_UNSUPPORTED, alibi).contains("alibi"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "vocab_size | 0",
        "vocab_size | 1e3",
        "vocab_size | 99999999999",
        "vocab_size | 123456789012345678901234567890",
        "hidden_size | -32",
        "hidden_size | 2000000000",
        "hidden_size | '32'",
        "num_hidden_layers | 1000000",
        "num_attention_heads | 0",
        "num_attention_heads | 5",
        "num_key_value_heads | 3",
        "num_key_value_heads | 8",
        "intermediate_size | null",
        "max_position_embeddings | -1",
        "max_position_embeddings | 2147483647",
        "rms_norm_eps | 0",
        "rms_norm_eps | 3",
        "rope_theta | 0",
        "rope_theta | true",
        "tie_word_embeddings | 1",
        "attention_bias | 'yes'",
        "eos_token_id | 4294967296",
        "eos_token_id | [2, -1]",
        "eos_token_id | {}",
        "bos_token_id | 1000000",
        "hidden_act | 7",
      })
  void refusesAbsurdValuesByKey(String key, String value) {
    TinyCheckpoint llama = TinyCheckpoint.llama().setJson(key, value.replace('\'', '"'));
    String told = refusal(ErrorCode.MODEL_CORRUPT, llama);
    assertTrue(told.contains(key), told);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "quantization_config | {'quant_method':'gptq','bits':4}",
        "num_local_experts | 8",
        "num_experts | 64",
        "partial_rotary_factor | 0.25",
        "hidden_act | 'gelu'",
        "attn_logit_softcapping | 50.0",
        "logit_scale | 0.0625",
        "head_dim | 12",
        "head_dim | 264",
        "model_type | 'mixtral'",
        "architectures | ['LlamaForSequenceClassification']",
        "architectures | []",
      })
  void refusesWhatItCannotComputeByName(String key, String value) {
    TinyCheckpoint llama = TinyCheckpoint.llama().setJson(key, value.replace('\'', '"'));
    String told = refusal(ErrorCode.MODEL_UNSUPPORTED, llama);
    assertTrue(told.contains(key) || told.contains("head size"), told);
  }

  @Test
  void neutralOptionsOfOtherModelsPass() {
    TinyCheckpoint llama =
        TinyCheckpoint.llama()
            .set("quantization_config", null)
            .set("num_local_experts", 0)
            .set("logit_scale", 1.0)
            .set("partial_rotary_factor", 1.0)
            .set("architectures", null)
            .set("pretraining_tp", 1);
    assertEquals("llama", read(llama).config().family());
  }

  @Test
  void unknownArchitectureListsTheSupportedOnes() {
    TinyCheckpoint other = TinyCheckpoint.gated("gpt_neox", "GPTNeoXForCausalLM", 4, 4, 8);
    String told = refusal(ErrorCode.MODEL_UNSUPPORTED, other);
    for (String name :
        new String[] {"gpt_neox", "GPTNeoXForCausalLM", "llama", "mistral", "falcon", "qwen2"}) {
      assertTrue(told.contains(name), told);
    }
    assertTrue(
        refusal(ErrorCode.MODEL_UNSUPPORTED, TinyCheckpoint.llama().unset("model_type"))
            .contains("supported are"));
  }

  @Test
  void tellsAllMistakesAtOnce() {
    TinyCheckpoint llama =
        TinyCheckpoint.llama()
            .set("vocab_size", -1)
            .set("intermediate_size", 0)
            .set("num_key_value_heads", 3)
            .set("hidden_act", "relu")
            .setJson("quantization_config", "{\"bits\":4}")
            .setJson("rope_scaling", "{\"type\":\"dynamic\",\"factor\":2}");
    String told = refusal(ErrorCode.MODEL_CORRUPT, llama);
    assertTrue(told.contains("6 problems"), told);
    for (String key :
        new String[] {
          "vocab_size is -1",
          "intermediate_size is 0",
          "num_key_value_heads 3",
          "hidden_act",
          "quantization_config",
          "dynamic"
        }) {
      assertTrue(told.contains(key), told);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "{", "[]", "{} {}", "{\"a\":1,\"a\":2}", "null", "\"x\""})
  void refusesWhatIsNoJsonObject(String text) {
    TinyCheckpoint.writeText(folder, "config.json", text);
    BulkgenException e = assertThrows(BulkgenException.class, () -> ModelFolder.readConfig(folder));
    assertEquals(ErrorCode.MODEL_CORRUPT, e.code());
    assertTrue(e.getMessage().contains("config.json"), e.getMessage());
  }

  @Test
  void refusesDeepNestingAndHugeFiles() {
    TinyCheckpoint.writeText(folder, "config.json", "{\"a\":".repeat(5000));
    BulkgenException deep =
        assertThrows(BulkgenException.class, () -> ModelFolder.readConfig(folder));
    assertEquals(ErrorCode.MODEL_CORRUPT, deep.code());
    TinyCheckpoint.writeText(folder, "config.json", "{}" + " ".repeat(10_000_000));
    BulkgenException huge =
        assertThrows(BulkgenException.class, () -> ModelFolder.readConfig(folder));
    assertTrue(huge.getMessage().contains("10000002 bytes"), huge.getMessage());
  }

  @Test
  void readsGenerationDefaultsAndUnitesTheEndTokens() {
    TinyCheckpoint.writeText(
        folder,
        "generation_config.json",
        ("{'eos_token_id':[7,2,9],'bos_token_id':3,'temperature':0.6,'top_p':0.9,'top_k':50,"
                + "'min_p':0.05,'repetition_penalty':1.1,'do_sample':true,'max_new_tokens':99,"
                + "'min_new_tokens':null,'transformers_version':'4.40'}")
            .replace('\'', '"'));
    ModelDescription read = read(TinyCheckpoint.llama().unset("bos_token_id"));
    assertEquals(Set.of(2, 7, 9), read.config().eosTokenIds());
    assertEquals(3, read.config().bosTokenId());
    assertEquals(
        new GenerationDefaults(
            OptionalDouble.of(0.6),
            OptionalDouble.of(0.9),
            OptionalInt.of(50),
            OptionalDouble.of(0.05),
            OptionalDouble.of(1.1),
            Optional.of(true),
            OptionalInt.of(99),
            OptionalInt.empty()),
        read.generationDefaults());
  }

  /** The vocabulary has 48 tokens. */
  @Test
  void leavesEndTokensBeyondTheVocabularyOut() {
    TinyCheckpoint.writeText(folder, "generation_config.json", "{\"eos_token_id\":[47,50]}");
    ModelDescription read = read(TinyCheckpoint.llama().setJson("eos_token_id", "[48,2]"));
    assertEquals(Set.of(2, 47), read.config().eosTokenIds());
    assertEquals(2, read.warnings().size());
    String first = read.warnings().get(0);
    assertTrue(first.contains("/config.json: end token 48 is left out"), first);
    assertTrue(first.contains("0 to 47"), first);
    String second = read.warnings().get(1);
    assertTrue(second.contains("generation_config.json: end token 50"), second);
  }

  @Test
  void refusesBadGenerationDefaultsAllAtOnce() {
    TinyCheckpoint.writeText(
        folder,
        "generation_config.json",
        ("{'eos_token_id':-1,'temperature':-1,'top_p':1.5,'top_k':-2,'min_p':2,"
                + "'repetition_penalty':0,'do_sample':'no','max_new_tokens':0}")
            .replace('\'', '"'));
    TinyCheckpoint.llama().writeConfig(folder);
    BulkgenException e = assertThrows(BulkgenException.class, () -> ModelFolder.readConfig(folder));
    assertEquals(ErrorCode.MODEL_CORRUPT, e.code());
    assertTrue(e.getMessage().contains("generation_config.json: 8 problems"), e.getMessage());
  }

  @Test
  void damagedBytesGiveAnErrorOfOurs() throws IOException {
    TinyCheckpoint.falconGrouped()
        .setJson("rope_scaling", "{\"type\":\"yarn\",\"factor\":4}")
        .writeConfig(folder);
    Path file = folder.resolve("config.json");
    byte[] whole = Files.readAllBytes(file);
    SplittableRandom random = new SplittableRandom(11);
    int refused = 0;
    for (int i = 0; i < 3000; i++) {
      byte[] damaged = whole.clone();
      for (int flips = 1 + random.nextInt(3); flips > 0; flips--) {
        damaged[random.nextInt(damaged.length)] = (byte) random.nextInt(256);
      }
      Files.write(file, damaged);
      try {
        ModelFolder.readConfig(folder);
      } catch (BulkgenException e) {
        assertEquals(ErrorKind.USER, e.kind(), e.getMessage());
        refused++;
      }
    }
    assertTrue(refused > 1000, refused + " refused");
  }
}
