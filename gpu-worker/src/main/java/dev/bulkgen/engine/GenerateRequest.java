package dev.bulkgen.engine;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.sampling.SamplingParams;
import java.util.Optional;

/**
 * A row to generate for.
 *
 * @param key of the row: with the seed and the sample index it fixes the random numbers (P1)
 * @param prefixes of the rows it belongs to, for cached tokens that do not depend on timing; empty:
 *     those that the engine really saved
 */
public record GenerateRequest(
    String key, Prompt prompt, SamplingParams params, Optional<CommonPrefixes> prefixes) {

  /** A row by itself. */
  public GenerateRequest(String key, Prompt prompt, SamplingParams params) {
    this(key, prompt, params, Optional.empty());
  }

  /**
   * @throws BulkgenException PROMPT_INVALID without a key, PROMPT_EMPTY without a prompt,
   *     SETTING_INVALID without sampling settings
   */
  public GenerateRequest {
    if (key == null) {
      throw BulkgenException.of(
          ErrorCode.PROMPT_INVALID,
          "a request has no key, which fixes its random numbers; give each row one of its own");
    }
    if (prompt == null) {
      throw BulkgenException.of(
          ErrorCode.PROMPT_EMPTY, "request '%s' has no prompt; give text, messages or tokens", key);
    }
    if (params == null) {
      throw BulkgenException.of(
          ErrorCode.SETTING_INVALID,
          "request '%s' has no sampling settings; SamplingParams.GREEDY are the plainest",
          key);
    }
  }
}
