package dev.bulkgen.engine;

import dev.bulkgen.text.Detokenizer;
import dev.bulkgen.text.StopMatcher;
import java.util.Optional;

/**
 * The text of one sample as its tokens come, and whether a stop string has ended it. Text of the
 * tokens before {@code minTokens} is not searched.
 */
final class CompletionText {
  private final Detokenizer detokenizer;
  private final StopMatcher stops;
  private final int minTokens;
  private final StringBuilder text = new StringBuilder();
  private int tokens;

  /**
   * @param detokenizer null for a model without tokenizer: the text stays empty
   */
  CompletionText(Detokenizer detokenizer, StopMatcher stops, int minTokens) {
    this.detokenizer = detokenizer;
    this.stops = stops;
    this.minTokens = minTokens;
  }

  void push(int token) {
    tokens++;
    if (detokenizer != null) {
      add(detokenizer.push(token));
    }
  }

  /** The stop string that has ended the text. */
  Optional<String> stopString() {
    return stops.matched();
  }

  /** Ends the text; what was held back of it may still show a stop string. */
  String finish() {
    if (detokenizer != null && stops.matched().isEmpty()) {
      add(detokenizer.finish());
      text.append(stops.finish());
    }
    return text.toString();
  }

  private void add(String part) {
    text.append(tokens > minTokens ? stops.push(part) : part);
  }
}
