package dev.bulkgen.schedule;

/**
 * What outputs of this job have been like, and so how much longer one that runs will become: the
 * mean of the ended ones that were longer than it is now. Begins with a guess that the first ends
 * outweigh.
 */
final class LengthForecast {
  /** Buckets a factor of two apart are cut into this many. */
  private static final int STEPS = 8;

  private static final int BUCKETS = 32 * STEPS;

  /** The guess counts like this many ends. */
  private static final int GUESS_WEIGHT = 4;

  /** Means are made anew after this share more ends. */
  private static final double STALE = 1.02;

  private final double[] ends = new double[BUCKETS];
  private final double[] tokens = new double[BUCKETS];
  private final double[] meanBeyond = new double[BUCKETS]; // of outputs in this bucket or later
  private double total;
  private double fresh;

  /**
   * @param guess tokens of an output, before any is known
   */
  LengthForecast(int guess) {
    add(guess, GUESS_WEIGHT);
    refresh();
  }

  /** An output ended by itself with {@code length} tokens. */
  void ended(int length) {
    add(Math.max(1, length), 1);
    if (total > fresh * STALE) {
      refresh();
    }
  }

  /** Tokens still to come of an output of {@code length} so far that may have {@code most}. */
  int remaining(int length, int most) {
    double mean = meanBeyond[bucket(length + 1)];
    // Beyond all that has been seen, as much again.
    double expected = mean > length ? mean - length : Math.max(1, length);
    return (int) Math.max(0, Math.min(Math.ceil(expected), most - length));
  }

  private void add(int length, double weight) {
    int bucket = bucket(length);
    ends[bucket] += weight;
    tokens[bucket] += weight * length;
    total += weight;
  }

  private void refresh() {
    double count = 0;
    double sum = 0;
    for (int i = BUCKETS - 1; i >= 0; i--) {
      count += ends[i];
      sum += tokens[i];
      meanBeyond[i] = count == 0 ? 0 : sum / count;
    }
    fresh = total;
  }

  static int bucket(int length) {
    int exponent = 31 - Integer.numberOfLeadingZeros(length);
    int step = exponent < 3 ? 0 : (length >>> (exponent - 3)) & (STEPS - 1);
    return exponent * STEPS + step;
  }
}
