package dev.bulkgen.sampling;

/**
 * How a device draws a sequence's next token as {@link TokenSampler} would. What tokens the
 * sequence has had so far, for penalties, the device counts by {@link Sampler#forEachSeen}.
 *
 * @param random the sequence's stream, of which the draw is that of {@code step}
 * @param heldBack token ids that cannot be drawn in this step, at most {@value #MOST_HELD_BACK};
 *     not to be changed
 * @param step tokens generated so far
 */
public record DeviceSampling(SamplingParams params, PhiloxRandom random, int[] heldBack, int step) {

  /** Most ids in {@code heldBack}, so that the room for a batch of them is known. */
  public static final int MOST_HELD_BACK = 64;
}
