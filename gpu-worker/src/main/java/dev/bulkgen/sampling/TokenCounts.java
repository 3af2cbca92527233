package dev.bulkgen.sampling;

import java.util.Arrays;

/**
 * How often each token has been generated, 0 for one that only the prompt has. Open addressing over
 * primitive arrays: a sequence pays for the tokens it has seen, not for the vocabulary.
 */
final class TokenCounts {
  private static final int EMPTY = -1;

  private int[] tokens = new int[16]; // a power of two long, at most half full
  private int[] counts = new int[16];
  private int size;

  TokenCounts() {
    Arrays.fill(tokens, EMPTY);
  }

  void add(int token, int count) {
    if (2 * size >= tokens.length) {
      enlarge();
    }
    int slot = slot(token);
    if (tokens[slot] == EMPTY) {
      tokens[slot] = token;
      size++;
    }
    counts[slot] += count;
  }

  /** Tells {@code visitor} of every token seen. */
  void forEach(Sampler.SeenToken visitor) {
    for (int slot = 0; slot < tokens.length; slot++) {
      if (tokens[slot] != EMPTY) {
        visitor.accept(tokens[slot], counts[slot]);
      }
    }
  }

  private int slot(int token) {
    int mask = tokens.length - 1;
    int slot = token * 0x9E3779B9 >>> 7 & mask;
    while (tokens[slot] != EMPTY && tokens[slot] != token) {
      slot = slot + 1 & mask;
    }
    return slot;
  }

  private void enlarge() {
    int[] oldTokens = tokens;
    int[] oldCounts = counts;
    tokens = new int[2 * oldTokens.length];
    counts = new int[tokens.length];
    Arrays.fill(tokens, EMPTY);
    for (int i = 0; i < oldTokens.length; i++) {
      if (oldTokens[i] != EMPTY) {
        int slot = slot(oldTokens[i]);
        tokens[slot] = oldTokens[i];
        counts[slot] = oldCounts[i];
      }
    }
  }
}
