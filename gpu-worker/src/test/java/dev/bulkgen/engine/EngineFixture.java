package dev.bulkgen.engine;

import dev.bulkgen.Fixtures;
import dev.bulkgen.config.BackendChoice;
import dev.bulkgen.config.DtypeChoice;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.config.GemmChoice;
import dev.bulkgen.config.PromptOverflow;
import dev.bulkgen.config.SchedulingConfig;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import java.lang.reflect.RecordComponent;
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
        0,
        SchedulingConfig.DEFAULT);
  }

  /** The same engine but for one component of its configuration. */
  private static EngineConfig with(EngineConfig config, String name, Object value) {
    try {
      RecordComponent[] components = EngineConfig.class.getRecordComponents();
      Class<?>[] types = new Class<?>[components.length];
      Object[] values = new Object[components.length];
      for (int i = 0; i < components.length; i++) {
        types[i] = components[i].getType();
        boolean isNamed = components[i].getName().equals(name);
        values[i] = isNamed ? value : components[i].getAccessor().invoke(config);
      }
      return EngineConfig.class.getDeclaredConstructor(types).newInstance(values);
    } catch (ReflectiveOperationException e) {
      throw new AssertionError(name, e);
    }
  }

  static EngineConfig withMaxModelLen(EngineConfig config, int maxModelLen) {
    return with(config, "maxModelLen", OptionalInt.of(maxModelLen));
  }

  static EngineConfig withDevice(EngineConfig config, int device) {
    return with(config, "device", device);
  }

  static EngineConfig on(BackendChoice backend, DtypeChoice dtype, EngineConfig config) {
    return with(with(config, "backend", backend), "dtype", dtype);
  }

  static EngineConfig withGemm(EngineConfig config, GemmChoice gemm) {
    return with(config, "gemm", gemm);
  }

  static EngineConfig withMemory(EngineConfig config, long bytes) {
    return with(config, "memoryBytes", OptionalLong.of(bytes));
  }

  static EngineConfig withScheduling(EngineConfig config, SchedulingConfig scheduling) {
    return with(config, "scheduling", scheduling);
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
