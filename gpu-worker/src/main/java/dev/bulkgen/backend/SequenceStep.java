package dev.bulkgen.backend;

import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.sampling.Sampler;

/**
 * What one sequence does in a step: tokens at the positions from {@code cache.length()} on. The
 * pages that {@code cache.length() + tokens.length} tokens take are there.
 *
 * <p>A prompt comes whole or in parts. Its rows attend, in full precision, to all tokens before
 * them: to those of earlier parts, and of a prefix that another sequence has prefilled, through the
 * exact float16 K and V that were kept of them (see {@link SequenceCache}). A part begins at a
 * multiple of a staging page's 32 tokens. Bits do not depend on where a prompt is cut or what of it
 * is shared (P1).
 *
 * @param tokens of the prompt or the newest token; none in a DECODE step whose token the step
 *     before it draws, which need not have been waited for
 * @param sampler draws the next token; null for a sequence that is scored, which is a prompt alone
 * @param targets of a sequence that is scored, the tokens that come next after each of the last
 *     {@code targets.length} of {@code tokens}; none for others
 */
public record SequenceStep(
    SequenceCache cache,
    int[] tokens,
    Sampler sampler,
    LogitsRequest logits,
    Kind kind,
    int[] targets) {
  private static final int[] NO_TARGETS = {};

  /** What the tokens of a step are to their sequence. */
  public enum Kind {
    /** A part of the prompt that others follow: no token is drawn. */
    PROMPT_PART,
    /** A whole prompt or its last part: the cache is filled and a token is drawn, if one is. */
    PROMPT_END,
    /** One token, after which another is drawn. */
    DECODE
  }

  /** The whole prompt where nothing is cached yet, one token afterwards. */
  public SequenceStep(SequenceCache cache, int[] tokens, Sampler sampler, LogitsRequest logits) {
    this(cache, tokens, sampler, logits, cache.length() == 0 ? Kind.PROMPT_END : Kind.DECODE);
  }

  /** A sequence that generates. */
  public SequenceStep(
      SequenceCache cache, int[] tokens, Sampler sampler, LogitsRequest logits, Kind kind) {
    this(cache, tokens, sampler, logits, kind, NO_TARGETS);
  }

  /** A sequence that is scored: a whole prompt or a part of one. */
  public static SequenceStep scored(SequenceCache cache, int[] tokens, int[] targets, Kind kind) {
    return new SequenceStep(cache, tokens, null, LogitsRequest.NONE, kind, targets);
  }

  /** Whether the sequence's next token is drawn from the last row. */
  public boolean draws() {
    return sampler != null && kind != Kind.PROMPT_PART;
  }

  public boolean isPrefill() {
    return kind != Kind.DECODE;
  }

  /** Tokens cached after the step. */
  public int lengthAfter() {
    return cache.length() + (isPrefill() ? tokens.length : 1);
  }
}
