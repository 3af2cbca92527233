package dev.bulkgen.engine;

import dev.bulkgen.sampling.TokenLogProbs;
import java.util.List;

/**
 * One sample of a row.
 *
 * @param text without special tokens and without the stop string; empty for a model without
 *     tokenizer
 * @param stopReason the stop string or stop token id that matched; null for an end token or length
 * @param logProbs of each of the tokens, if the request asks for them; else empty
 */
public record Completion(
    int sampleIndex,
    String text,
    int[] tokenIds,
    FinishReason finishReason,
    String stopReason,
    Usage usage,
    List<TokenLogProbs> logProbs) {

  /** Without log-probabilities. */
  public Completion(
      int sampleIndex,
      String text,
      int[] tokenIds,
      FinishReason finishReason,
      String stopReason,
      Usage usage) {
    this(sampleIndex, text, tokenIds, finishReason, stopReason, usage, List.of());
  }
}
