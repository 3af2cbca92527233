package dev.bulkgen.sampling;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.tensor.ExactMath;
import java.util.Arrays;
import java.util.Set;
import java.util.TreeSet;

/**
 * The sampler of one sequence. What is done to the logits l, in this order:
 *
 * <ol>
 *   <li>end tokens and stop tokens become −∞ until {@code minTokens} are generated;
 *   <li>repetition penalty r over tokens of prompt and output: l / r if l > 0, else l · r (Keskar
 *       et al. 2019 §4.1, in the sign-aware form of Hugging Face and vLLM);
 *   <li>over tokens of the output: l − frequency · count − presence (OpenAI's definition);
 *   <li>temperature 0: the largest, the lowest id among equals. Else p = exp((l − max) /
 *       temperature);
 *   <li>top-k: the k largest;
 *   <li>top-p over what is left: a token stays while the mass of those before it, in descending
 *       order, is below p (Holtzman et al. 2020 §3.1); min-p: a token stays if its p is at least
 *       {@code minP} times the largest;
 *   <li>the draw by inverse cumulative distribution in the order of token ids.
 * </ol>
 *
 * Equal logits at a cut: lower ids stay. Probabilities come from {@link ExactMath} and are added in
 * double, in the order of token ids, so the token is the same on every CPU (P1).
 */
public final class TokenSampler implements Sampler {
  private static final ThreadLocal<Scratch> SCRATCH = ThreadLocal.withInitial(Scratch::new);

  private final SamplingParams params;
  private final int[] heldBack;
  private final TokenCounts seen;
  private final PhiloxRandom random;
  private final float inverseTemperature;
  private int generated;

  /**
   * @param prompt token ids, for the repetition penalty
   * @param endTokens held back with the stop tokens until {@code minTokens} are there
   */
  public TokenSampler(
      SamplingParams params, int[] prompt, Set<Integer> endTokens, PhiloxRandom random) {
    this.params = params;
    this.random = random;
    boolean penalized =
        params.repetitionPenalty() != 1
            || params.presencePenalty() != 0
            || params.frequencyPenalty() != 0;
    this.seen = penalized ? new TokenCounts() : null;
    if (penalized) {
      for (int token : prompt) {
        seen.add(token, 0);
      }
    }
    this.heldBack = heldBack(params, endTokens);
    // A temperature close to 0 must not turn 0 · (1 / temperature) into NaN.
    this.inverseTemperature = (float) Math.min(Float.MAX_VALUE, 1 / params.temperature());
  }

  /** Bytes of buffers per sampling thread, for the memory plan. */
  public static long scratchBytes(int vocabSize) {
    return (long) vocabSize * (Float.BYTES + Long.BYTES);
  }

  @Override
  public int sample(float[] logits, int offset, int vocabSize) {
    penalize(logits, offset, vocabSize);
    int best = largest(logits, offset, vocabSize);
    int token = params.isGreedy() ? best : draw(logits, offset, vocabSize, logits[offset + best]);
    generated++;
    if (seen != null) {
      seen.add(token, 1);
    }
    return token;
  }

  private static int[] heldBack(SamplingParams params, Set<Integer> endTokens) {
    if (params.minTokens() == 0) {
      return new int[0];
    }
    Set<Integer> all = new TreeSet<>(params.stopTokenIds());
    if (!params.ignoreEos()) {
      all.addAll(endTokens);
    }
    return all.stream().mapToInt(Integer::intValue).toArray();
  }

  private void penalize(float[] logits, int offset, int vocabSize) {
    if (generated < params.minTokens()) {
      for (int token : heldBack) {
        if (token < vocabSize) {
          logits[offset + token] = Float.NEGATIVE_INFINITY;
        }
      }
    }
    if (seen == null) {
      return;
    }
    float repetition = (float) params.repetitionPenalty();
    float frequency = (float) params.frequencyPenalty();
    float presence = (float) params.presencePenalty();
    seen.forEach(
        (token, count) -> {
          float logit = logits[offset + token];
          logit = logit > 0 ? logit / repetition : logit * repetition;
          logits[offset + token] = logit - frequency * count - (count > 0 ? presence : 0);
        });
  }

  private static int largest(float[] logits, int offset, int vocabSize) {
    int best = 0;
    float max = Float.NEGATIVE_INFINITY;
    for (int i = 0; i < vocabSize; i++) {
      float logit = logits[offset + i];
      if (logit > max) {
        max = logit;
        best = i;
      } else if (Float.isNaN(logit)) {
        throw numericFailure("the logit of token %d is NaN", i);
      }
    }
    if (Float.isInfinite(max)) {
      throw numericFailure(
          "the largest of %d logits is %s", vocabSize, max > 0 ? "infinite" : "-infinity");
    }
    return best;
  }

  private static BulkgenException numericFailure(String format, Object... arguments) {
    return BulkgenException.of(
        ErrorCode.NUMERIC_FAILURE,
        format + "; the model's numbers overflow on this prompt: check the weights, or shorten it",
        arguments);
  }

  private int draw(float[] logits, int offset, int vocabSize, float max) {
    Scratch scratch = SCRATCH.get();
    float[] weights = scratch.weights(vocabSize);
    boolean topK = params.topK() > 0 && params.topK() < vocabSize;
    long cut = topK ? kthLargest(scratch, logits, offset, vocabSize, params.topK()) : 0;
    float floor = (float) params.minP();
    double total = 0;
    for (int i = 0; i < vocabSize; i++) {
      float logit = logits[offset + i];
      boolean kept = !topK || key(logit, i) >= cut;
      weights[i] = kept ? ExactMath.exp((logit - max) * inverseTemperature) : 0;
      total += weights[i];
    }
    if (params.topP() < 1) {
      total = keepTopP(scratch, logits, offset, vocabSize, total);
    }
    if (floor > 0) {
      total = keepMinP(weights, vocabSize, floor);
    }
    double target = random.uniform(generated) * total;
    double cumulative = 0;
    int last = 0;
    for (int i = 0; i < vocabSize; i++) {
      if (weights[i] > 0) {
        cumulative += weights[i];
        last = i;
        if (cumulative > target) {
          break;
        }
      }
    }
    return last;
  }

  /** Orders tokens by logit, and by descending id among equals; larger is likelier. */
  private static long key(float logit, int token) {
    int bits = Float.floatToRawIntBits(logit + 0f); // −0 becomes 0
    int ordered = bits ^ bits >> 31 & 0x7FFFFFFF;
    return (long) ordered << 32 | 0xFFFFFFFFL - token;
  }

  private static int token(long key) {
    return (int) (0xFFFFFFFFL - (key & 0xFFFFFFFFL));
  }

  /** The k-th largest key, by a min-heap of the k largest so far. */
  private static long kthLargest(
      Scratch scratch, float[] logits, int offset, int vocabSize, int k) {
    long[] heap = scratch.keys(vocabSize);
    for (int i = 0; i < k; i++) {
      heap[i] = key(logits[offset + i], i);
    }
    Arrays.sort(heap, 0, k); // ascending order is a heap
    float smallest = logits[offset + token(heap[0])];
    for (int i = k; i < vocabSize; i++) {
      // An equal logit of a higher id never displaces.
      if (logits[offset + i] > smallest) {
        replaceSmallest(heap, k, key(logits[offset + i], i));
        smallest = logits[offset + token(heap[0])];
      }
    }
    return heap[0];
  }

  private static void replaceSmallest(long[] heap, int size, long key) {
    int hole = 0;
    while (true) {
      int child = 2 * hole + 1;
      if (child >= size) {
        break;
      }
      if (child + 1 < size && heap[child + 1] < heap[child]) {
        child++;
      }
      if (heap[child] >= key) {
        break;
      }
      heap[hole] = heap[child];
      hole = child;
    }
    heap[hole] = key;
  }

  private double keepTopP(
      Scratch scratch, float[] logits, int offset, int vocabSize, double total) {
    float[] weights = scratch.weights(vocabSize);
    long[] keys = scratch.keys(vocabSize);
    // Tokens lighter than the tail's share of a flat tail are all cut: their sum is below it.
    double negligible = (1 - params.topP()) * total / vocabSize;
    int candidates = 0;
    for (int i = 0; i < vocabSize; i++) {
      if (weights[i] > 0 && weights[i] >= negligible) {
        keys[candidates++] = key(logits[offset + i], i);
      }
    }
    Arrays.sort(keys, 0, candidates);
    double before = 0;
    double limit = params.topP() * total;
    long cut = keys[candidates - 1];
    for (int i = candidates - 1; i >= 0 && before < limit; i--) {
      cut = keys[i];
      before += weights[token(keys[i])];
    }
    double kept = 0;
    for (int i = 0; i < vocabSize; i++) {
      if (key(logits[offset + i], i) < cut) {
        weights[i] = 0;
      }
      kept += weights[i];
    }
    return kept;
  }

  private static double keepMinP(float[] weights, int vocabSize, float floor) {
    double kept = 0;
    for (int i = 0; i < vocabSize; i++) {
      if (weights[i] < floor) { // the largest weight is exp(0) = 1
        weights[i] = 0;
      }
      kept += weights[i];
    }
    return kept;
  }

  /** Buffers of a thread, shared by all its samplers. */
  private static final class Scratch {
    private float[] weights = new float[0];
    private long[] keys = new long[0];

    float[] weights(int size) {
      if (weights.length < size) {
        weights = new float[size];
      }
      return weights;
    }

    long[] keys(int size) {
      if (keys.length < size) {
        keys = new long[size];
      }
      return keys;
    }
  }
}
