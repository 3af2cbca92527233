package dev.bulkgen.cli.bench;

import java.util.SplittableRandom;

/** Random token ids, the same in every run. */
record BenchPrompts(int vocabulary) {
  int[] ids(int number, int tokens) {
    return new SplittableRandom(number).ints(tokens, 0, vocabulary).toArray();
  }
}
