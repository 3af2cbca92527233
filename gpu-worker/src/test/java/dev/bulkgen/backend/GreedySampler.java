package dev.bulkgen.backend;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.sampling.Sampler;
import java.util.Arrays;

/** The likeliest token, of equals the first; spoils the logits, as a sampler may. */
final class GreedySampler implements Sampler {
  @Override
  public int sample(float[] logits, int offset, int vocabSize) {
    int best = 0;
    for (int i = 0; i < vocabSize; i++) {
      if (logits[offset + i] != logits[offset + i]) {
        throw BulkgenException.of(ErrorCode.NUMERIC_FAILURE, "logit %d is NaN", i);
      }
      best = logits[offset + i] > logits[offset + best] ? i : best;
    }
    Arrays.fill(logits, offset, offset + vocabSize, Float.NaN);
    return best;
  }
}
