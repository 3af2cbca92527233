package dev.bulkgen.engine;

import dev.bulkgen.Fixtures;
import dev.bulkgen.config.BackendChoice;
import dev.bulkgen.config.DtypeChoice;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.config.GemmChoice;
import dev.bulkgen.config.PromptOverflow;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.OptionalLong;

/** Engines on the small models, and requests for them. */
final class EngineFixture {
  private static final long MEMORY = 512L << 20;

  private EngineFixture() {}

  static EngineConfig recall(String kvCache, int maxBatch) {
    return config(Fixtures.path("models/recall"), kvCache, maxBatch, PromptOverflow.ERROR);
  }

  static EngineConfig config(
      Path model, String kvCache, int maxBatch, PromptOverflow promptOverflow) {
    return new EngineConfig(
        model,
        kvCache,
        BackendChoice.CPU,
        DtypeChoice.AUTO,
        GemmChoice.OWN,
        OptionalLong.of(MEMORY),
        0.9,
        maxBatch,
        OptionalInt.empty(),
        promptOverflow,
        2,
        0);
  }

  static EngineConfig withMaxModelLen(EngineConfig config, int maxModelLen) {
    return new EngineConfig(
        config.model(),
        config.kvCache(),
        config.backend(),
        config.dtype(),
        config.gemm(),
        config.memoryBytes(),
        config.memoryFraction(),
        config.maxBatch(),
        OptionalInt.of(maxModelLen),
        config.promptOverflow(),
        config.threads(),
        config.device());
  }

  static EngineConfig withDevice(EngineConfig config, int device) {
    return new EngineConfig(
        config.model(),
        config.kvCache(),
        config.backend(),
        config.dtype(),
        config.gemm(),
        config.memoryBytes(),
        config.memoryFraction(),
        config.maxBatch(),
        config.maxModelLen(),
        config.promptOverflow(),
        config.threads(),
        device);
  }

  static EngineConfig on(BackendChoice backend, DtypeChoice dtype, EngineConfig config) {
    return new EngineConfig(
        config.model(),
        config.kvCache(),
        backend,
        dtype,
        config.gemm(),
        config.memoryBytes(),
        config.memoryFraction(),
        config.maxBatch(),
        config.maxModelLen(),
        config.promptOverflow(),
        config.threads(),
        config.device());
  }

  static EngineConfig withGemm(EngineConfig config, GemmChoice gemm) {
    return new EngineConfig(
        config.model(),
        config.kvCache(),
        config.backend(),
        config.dtype(),
        gemm,
        config.memoryBytes(),
        config.memoryFraction(),
        config.maxBatch(),
        config.maxModelLen(),
        config.promptOverflow(),
        config.threads(),
        config.device());
  }

  static EngineConfig withMemory(EngineConfig config, long bytes) {
    return new EngineConfig(
        config.model(),
        config.kvCache(),
        config.backend(),
        config.dtype(),
        config.gemm(),
        OptionalLong.of(bytes),
        config.memoryFraction(),
        config.maxBatch(),
        config.maxModelLen(),
        config.promptOverflow(),
        config.threads(),
        config.device());
  }

  static SamplingParamsBuilder greedy(int maxTokens) {
    return new SamplingParamsBuilder().temperature(0).maxTokens(maxTokens);
  }

  static GenerateRequest request(String key, String prompt, SamplingParamsBuilder params) {
    return request(key, prompt, params.build());
  }

  static GenerateRequest request(String key, String prompt, SamplingParams params) {
    return new GenerateRequest(key, new Prompt.Text(prompt), params);
  }
}
