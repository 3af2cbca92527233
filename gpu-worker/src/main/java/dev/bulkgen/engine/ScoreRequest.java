package dev.bulkgen.engine;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/**
 * A row whose completions the model does not generate but is asked the log-likelihood of, as
 * lm-evaluation-harness defines {@code loglikelihood} and, for an empty prompt, {@code
 * loglikelihood_rolling}.
 *
 * <p>What is scored of a row: text after a text prompt is tokenized together with it, and white
 * space at the prompt's end goes to the completion; the completion's tokens are those beyond as
 * many as the prompt alone has. Text after messages is tokenized together with what the chat
 * template makes of them, in the same way, but no white space moves. Token ids stand behind a
 * prompt of any form as they are; behind token ids stand only token ids. A whole text stands behind
 * the beginning-of-sequence token, or, for a model without one, its end token.
 *
 * @param key of the row, for messages
 * @param prompt an empty text or no token ids: completions are whole texts, every token of which is
 *     scored but a beginning-of-sequence token
 * @param completions texts or token ids, at least one; an empty one after a prompt has
 *     log-likelihood 0
 * @param prefixes of the rows it belongs to, as for a {@link GenerateRequest}
 */
public record ScoreRequest(
    String key, Prompt prompt, List<Prompt> completions, Optional<CommonPrefixes> prefixes) {

  /** A row by itself. */
  public ScoreRequest(String key, Prompt prompt, List<Prompt> completions) {
    this(key, prompt, completions, Optional.empty());
  }

  /**
   * @throws BulkgenException PROMPT_INVALID without a key, or for a completion that is messages or
   *     null; PROMPT_EMPTY without a prompt (an empty one is no mistake) or without completions
   */
  public ScoreRequest {
    if (key == null) {
      throw BulkgenException.of(
          ErrorCode.PROMPT_INVALID, "a request has no key; give each row one of its own");
    }
    if (prompt == null) {
      throw BulkgenException.of(
          ErrorCode.PROMPT_EMPTY,
          "request '%s' has no prompt; give text, messages or tokens, or an empty text to score"
              + " whole texts",
          key);
    }
    if (completions == null || completions.isEmpty()) {
      throw BulkgenException.of(
          ErrorCode.PROMPT_EMPTY, "request '%s' has no completions to score", key);
    }
    for (int i = 0; i < completions.size(); i++) {
      if (completions.get(i) == null || completions.get(i) instanceof Prompt.Messages) {
        throw BulkgenException.of(
            ErrorCode.PROMPT_INVALID,
            "completion %d of request '%s' is %s; give text or tokens",
            i,
            key,
            completions.get(i) == null ? "null" : "a list of messages");
      }
    }
    completions = Collections.unmodifiableList(new ArrayList<>(completions));
  }
}
