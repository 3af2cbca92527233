package dev.bulkgen.cache;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * A block of prompt tokens behind the blocks before it, what is kept of it, and who wants it: a
 * node of {@link PrefixIndex}.
 */
final class PrefixBlock {
  /** ABSENT → PENDING (a sequence prefills it) → READY → ABSENT (its pages were needed). */
  enum State {
    ABSENT,
    PENDING,
    READY
  }

  /** Compares tokens, so that two beginnings with the same hash are still two. */
  static final class Key {
    private final int[] prompt;
    private final int from;
    private final int to;
    private final int hash;

    Key(int[] prompt, int from, int to) {
      this.prompt = prompt;
      this.from = from;
      this.to = to;
      int sum = 1;
      for (int i = from; i < to; i++) {
        sum = 31 * sum + prompt[i];
      }
      hash = sum;
    }

    @Override
    public int hashCode() {
      return hash;
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Key key
          && key.hash == hash
          && Arrays.equals(prompt, from, to, key.prompt, key.from, key.to);
    }
  }

  final PrefixBlock parent;
  final Key key;
  final int depth;
  final Map<Key, PrefixBlock> children = new HashMap<>();
  State state = State.ABSENT;

  /** Sequences, waiting or in prefill, whose prompts have the block. */
  int wanted;

  /** Sequences in flight that hold pages of the block without having filled them. */
  int readers;

  /** Exact K and V, while ready or pending: [layers][staging pages]; null for an exact policy. */
  int[][] staging;

  /** Complete pages that end in the block, once somebody had them: [layers][pages], or null. */
  int[][] pages;

  PrefixBlock(PrefixBlock parent, Key key) {
    this.parent = parent;
    this.key = key;
    this.depth = parent == null ? -1 : parent.depth + 1;
  }
}
