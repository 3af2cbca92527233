package dev.bulkgen.engine;

import java.util.Arrays;

/**
 * A text of which an end is scored.
 *
 * @param tokens of context and what is scored
 * @param first the first that is scored, at least 1 where any is
 */
record ScoredTokens(int[] tokens, int first) {

  /** How many are scored. */
  int count() {
    return tokens.length - first;
  }

  int[] context() {
    return Arrays.copyOf(tokens, first);
  }

  int[] scored() {
    return Arrays.copyOfRange(tokens, first, tokens.length);
  }
}
