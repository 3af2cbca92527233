package dev.bulkgen.sampling;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.GenerationDefaults;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.Set;
import org.junit.jupiter.api.Test;

class TestSamplingParamsBuilder {

  @Test
  void testDefaults() {
    SamplingParams params = new SamplingParamsBuilder().build();
    assertEquals(
        new SamplingParams(
            OptionalInt.empty(),
            0,
            1,
            1,
            0,
            0,
            1,
            0,
            0,
            0,
            List.of(),
            Set.of(),
            false,
            1,
            OptionalInt.empty()),
        params);
  }

  @Test
  void testAllMistakesAtOnce() {
    SamplingParamsBuilder builder =
        new SamplingParamsBuilder()
            .temperature(-0.5)
            .topP(1.5)
            .topK(-7)
            .minP(Double.NaN)
            .repetitionPenalty(0)
            .presencePenalty(Double.POSITIVE_INFINITY)
            .frequencyPenalty(-101)
            .maxTokens(0)
            .minTokens(3)
            .n(0)
            .logprobs(-1)
            .stop(List.of("a", ""))
            .stopTokenIds(Set.of(-4));
    BulkgenException error = assertThrows(BulkgenException.class, builder::build);
    assertEquals(ErrorCode.SETTING_INVALID, error.code());
    for (String setting :
        List.of(
            "temperature: -0.5",
            "top-p: 1.5",
            "top-k: -7",
            "min-p: NaN",
            "repetition-penalty: 0",
            "presence-penalty: Infinity",
            "frequency-penalty: -101",
            "max-tokens: 0",
            "min-tokens: 3",
            "n: 0",
            "logprobs: -1",
            "stop: ",
            "stop-token-ids: ")) {
      assertTrue(
          error.getMessage().lines().anyMatch(line -> line.startsWith(setting)),
          setting + " in\n" + error.getMessage());
    }
    assertEquals(13, error.getMessage().lines().count());
  }

  @Test
  void testPrecedence() {
    GenerationDefaults model =
        new GenerationDefaults(
            OptionalDouble.of(0.6),
            OptionalDouble.of(0.95),
            OptionalInt.of(20),
            OptionalDouble.empty(),
            OptionalDouble.of(1.1),
            Optional.of(true),
            OptionalInt.of(16),
            OptionalInt.empty());
    SamplingParams params =
        new SamplingParamsBuilder()
            .temperature(0.2)
            .orElse(new SamplingParamsBuilder().temperature(0.4).topP(0.5))
            .orElse(SamplingParamsBuilder.of(model))
            .build();
    assertEquals(0.2, params.temperature());
    assertEquals(0.5, params.topP());
    assertEquals(20, params.topK());
    assertEquals(1.1, params.repetitionPenalty());
    assertEquals(OptionalInt.empty(), params.maxTokens());
  }

  @Test
  void testNoLogprobsGoBeforeSome() {
    SamplingParamsBuilder job = new SamplingParamsBuilder().logprobs(2);
    SamplingParams params = job.build();
    assertEquals(OptionalInt.of(2), new SamplingParamsBuilder().orElse(job).build().logprobs());
    for (SamplingParamsBuilder weaker : List.of(job, SamplingParamsBuilder.of(params))) {
      SamplingParamsBuilder row = new SamplingParamsBuilder().noLogprobs();
      assertEquals(OptionalInt.empty(), row.orElse(weaker).build().logprobs());
    }
  }

  @Test
  void testDoSampleFalseIsGreedy() {
    GenerationDefaults none = GenerationDefaults.none();
    GenerationDefaults greedy =
        new GenerationDefaults(
            OptionalDouble.of(0.6),
            none.topP(),
            none.topK(),
            none.minP(),
            none.repetitionPenalty(),
            Optional.of(false),
            none.maxNewTokens(),
            none.minNewTokens());
    assertTrue(SamplingParamsBuilder.of(greedy).build().isGreedy());
    assertEquals(
        0.3,
        new SamplingParamsBuilder()
            .temperature(0.3)
            .orElse(SamplingParamsBuilder.of(greedy))
            .build()
            .temperature());
  }

  @Test
  void testMinusOneKeepsAll() {
    assertEquals(0, new SamplingParamsBuilder().topK(-1).build().topK());
  }

  /** A penalty that is 0 in float would divide logits by 0. */
  @Test
  void testAPenaltyTooSmallToDivideBy() {
    SamplingParamsBuilder builder = new SamplingParamsBuilder().repetitionPenalty(1e-300);
    assertThrows(BulkgenException.class, builder::build);
    assertEquals(
        0.01, new SamplingParamsBuilder().repetitionPenalty(0.01).build().repetitionPenalty());
  }
}
