package dev.bulkgen.sampling;

import java.util.Optional;

/**
 * A token that was drawn, with its log-probabilities where its sampler asks for them.
 *
 * @param logProbs empty where nobody asks
 */
public record DrawnToken(int token, Optional<TokenLogProbs> logProbs) {
  private static final ThreadLocal<float[]> SPENT = ThreadLocal.withInitial(() -> new float[0]);

  /**
   * Draws a sequence's next token on the host, from raw logits [vocabSize] at {@code offset}, whose
   * content is spent afterwards.
   *
   * @throws dev.bulkgen.error.BulkgenException NUMERIC_FAILURE as {@link Sampler#sample}, or where
   *     the raw logits have no log-probabilities
   */
  public static DrawnToken of(Sampler sampler, float[] logits, int offset, int vocabSize) {
    if (sampler.logProbs().isEmpty()) {
      return new DrawnToken(sampler.sample(logits, offset, vocabSize), Optional.empty());
    }
    LogProbs logProbs = LogProbs.of(logits, offset, vocabSize);
    int count = Math.min(sampler.logProbs().getAsInt(), vocabSize);
    int[] top = TokenSampler.likeliest(logits, offset, vocabSize, count);
    float[] topLogProbs = new float[count];
    for (int i = 0; i < count; i++) {
      topLogProbs[i] = logProbs.of(logits[offset + top[i]]);
    }
    float[] spent = SPENT.get();
    if (spent.length < vocabSize) {
      spent = new float[vocabSize];
      SPENT.set(spent);
    }
    System.arraycopy(logits, offset, spent, 0, vocabSize);
    int token = sampler.sample(spent, 0, vocabSize);
    float logProb = logProbs.of(logits[offset + token]);
    return new DrawnToken(token, Optional.of(new TokenLogProbs(logProb, top, topLogProbs)));
  }
}
