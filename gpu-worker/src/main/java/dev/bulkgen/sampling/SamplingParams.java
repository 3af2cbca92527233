package dev.bulkgen.sampling;

import java.util.List;
import java.util.OptionalInt;
import java.util.Set;

/**
 * How the next token is chosen, by the field's names (vLLM's SamplingParams; peers accept the
 * same).
 *
 * @param maxTokens tokens to generate at the most; empty: to the end token or the model's length
 * @param minTokens end tokens and stops are held back until so many tokens are there
 * @param temperature 0 is greedy
 * @param topK 0 keeps all
 * @param seed of the job; a row's stream also depends on its key and sample index
 * @param stop strings that end the text and are left out of it
 * @param ignoreEos generate on after an end token
 * @param n samples per prompt
 * @param logprobs how many of the likeliest tokens to report beside the chosen one; empty: none
 */
public record SamplingParams(
    OptionalInt maxTokens,
    int minTokens,
    double temperature,
    double topP,
    int topK,
    double minP,
    double repetitionPenalty,
    double presencePenalty,
    double frequencyPenalty,
    long seed,
    List<String> stop,
    Set<Integer> stopTokenIds,
    boolean ignoreEos,
    int n,
    OptionalInt logprobs) {

  /** Greedy, to the end token. */
  public static final SamplingParams GREEDY =
      new SamplingParams(
          OptionalInt.empty(),
          0,
          0,
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
          OptionalInt.empty());

  public SamplingParams {
    stop = List.copyOf(stop);
    stopTokenIds = Set.copyOf(stopTokenIds);
  }

  public boolean isGreedy() {
    return temperature == 0;
  }

  /** True if the next token depends on how often tokens have been there. */
  public boolean isPenalized() {
    return repetitionPenalty != 1 || presencePenalty != 0 || frequencyPenalty != 0;
  }

  /**
   * What logits are multiplied by; of greedy sampling it means nothing. At the most the largest
   * float, as a temperature close to 0 must not turn 0 · (1 / temperature) into NaN.
   */
  public float inverseTemperature() {
    return (float) Math.min(Float.MAX_VALUE, 1 / temperature);
  }
}
