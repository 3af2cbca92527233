package dev.bulkgen.model;

import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;

/**
 * What generation_config.json recommends; each empty where it says nothing. A user's setting goes
 * before.
 *
 * @param temperature ≥ 0
 * @param topP in (0, 1]
 * @param topK ≥ 0; 0 keeps all tokens
 * @param minP in [0, 1]
 * @param repetitionPenalty &gt; 0; 1 is none
 * @param doSample false asks for greedy decoding whatever the others say
 * @param maxNewTokens ≥ 1
 * @param minNewTokens ≥ 0
 */
public record GenerationDefaults(
    OptionalDouble temperature,
    OptionalDouble topP,
    OptionalInt topK,
    OptionalDouble minP,
    OptionalDouble repetitionPenalty,
    Optional<Boolean> doSample,
    OptionalInt maxNewTokens,
    OptionalInt minNewTokens) {

  private static final double MAX_PENALTY = 100;
  private static final double MAX_TEMPERATURE = 1000;

  /** No recommendation at all: generation_config.json is not there. */
  public static GenerationDefaults none() {
    return new GenerationDefaults(
        OptionalDouble.empty(),
        OptionalDouble.empty(),
        OptionalInt.empty(),
        OptionalDouble.empty(),
        OptionalDouble.empty(),
        Optional.empty(),
        OptionalInt.empty(),
        OptionalInt.empty());
  }

  static GenerationDefaults read(JsonFields fields) {
    return new GenerationDefaults(
        fields.optionalNumber("temperature", 0, MAX_TEMPERATURE),
        fields.optionalNumber("top_p", Double.MIN_VALUE, 1),
        fields.optionalInteger("top_k", 0, Integer.MAX_VALUE),
        fields.optionalNumber("min_p", 0, 1),
        fields.optionalNumber("repetition_penalty", Double.MIN_VALUE, MAX_PENALTY),
        fields.optionalFlag("do_sample"),
        fields.optionalInteger("max_new_tokens", 1, Integer.MAX_VALUE),
        fields.optionalInteger("min_new_tokens", 0, Integer.MAX_VALUE));
  }
}
