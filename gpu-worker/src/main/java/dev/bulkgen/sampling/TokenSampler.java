package dev.bulkgen.sampling;

import dev.bulkgen.tensor.ExactMath;
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalInt;
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
 * Equal logits at a cut: lower ids stay. Probabilities come from {@link ExactMath} and become whole
 * numbers, multiples of 2^−{@value #MASS_BITS} of the largest (what is less likely is never drawn):
 * whole numbers have the same sum in every order, so the token is the same on every CPU, and on
 * devices that add in parallel and count in histograms (P1).
 */
public final class TokenSampler implements Sampler {
  /** The mass of the largest probability is 2 to this; 2^22 tokens then add up to 2^61. */
  private static final int MASS_BITS = 39;

  private static final float MASS_UNIT = 0x1p39f;
  private static final int BUCKET_SHIFT = 19;
  private static final int BUCKETS =
      (Float.floatToRawIntBits(Float.POSITIVE_INFINITY) >>> BUCKET_SHIFT) + 1;
  private static final int[] NONE = {};
  private static final ThreadLocal<Scratch> SCRATCH = ThreadLocal.withInitial(Scratch::new);

  private final SamplingParams params;
  private final int[] heldBack;
  private final TokenCounts seen;
  private final PhiloxRandom random;
  private final float inverseTemperature;
  private final float topP;
  private int generated;

  /**
   * @param prompt token ids, for the repetition penalty
   * @param endTokens held back with the stop tokens until {@code minTokens} are there
   */
  public TokenSampler(
      SamplingParams params, int[] prompt, Set<Integer> endTokens, PhiloxRandom random) {
    this.params = params;
    this.random = random;
    this.seen = params.isPenalized() ? new TokenCounts() : null;
    if (seen != null) {
      for (int token : prompt) {
        seen.add(token, 0);
      }
    }
    this.heldBack = heldBack(params, endTokens);
    this.inverseTemperature = params.inverseTemperature();
    this.topP = (float) params.topP();
  }

  /** Bytes of buffers per sampling thread, for the memory plan. */
  public static long scratchBytes(int vocabSize) {
    return (long) vocabSize * (2 * Float.BYTES + Long.BYTES);
  }

  @Override
  public int sample(float[] logits, int offset, int vocabSize) {
    penalize(logits, offset, vocabSize);
    int best = LogProbs.largest(logits, offset, vocabSize);
    int token = params.isGreedy() ? best : draw(logits, offset, vocabSize, logits[offset + best]);
    accept(token);
    return token;
  }

  @Override
  public OptionalInt logProbs() {
    return params.logprobs();
  }

  /** Empty where more tokens are held back, now or earlier, than a device takes. */
  @Override
  public Optional<DeviceSampling> onDevice(int pending) {
    if (heldBack.length > DeviceSampling.MOST_HELD_BACK) {
      return Optional.empty();
    }
    int step = generated + pending;
    int[] heldBackNow = step < params.minTokens() ? heldBack : NONE;
    return Optional.of(new DeviceSampling(params, random, heldBackNow, step));
  }

  @Override
  public void forEachSeen(SeenToken visitor) {
    if (seen != null) {
      seen.forEach(visitor);
    }
  }

  @Override
  public void accept(int token) {
    generated++;
    if (seen != null) {
      seen.add(token, 1);
    }
  }

  private static int[] heldBack(SamplingParams params, Set<Integer> endTokens) {
    if (params.minTokens() == 0) {
      return NONE;
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
          // Fused, because device compilers fuse where they are not told.
          logits[offset + token] = Math.fma(-frequency, count, logit) - (count > 0 ? presence : 0);
        });
  }

  private int draw(float[] logits, int offset, int vocabSize, float max) {
    Scratch scratch = SCRATCH.get();
    float[] weights = scratch.weights(vocabSize);
    boolean topK = params.topK() > 0 && params.topK() < vocabSize;
    long cut = topK ? kthLargest(scratch, logits, offset, vocabSize, params.topK()) : 0;
    long total = 0;
    for (int i = 0; i < vocabSize; i++) {
      float logit = logits[offset + i];
      boolean kept = !topK || key(logit, i) >= cut;
      weights[i] = kept ? ExactMath.exp((logit - max) * inverseTemperature) : 0;
      total += mass(weights[i]);
    }
    if (topP < 1) {
      total = keepTopP(scratch, logits, offset, vocabSize, max, total);
    }
    if (params.minP() > 0) {
      total = keepMinP(weights, vocabSize, (float) params.minP());
    }
    long target = random.below(generated, total);
    int token = 0;
    while (true) {
      target -= mass(weights[token]);
      if (target < 0) {
        return token;
      }
      token++;
    }
  }

  private static long mass(float weight) {
    return (long) (weight * MASS_UNIT);
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

  /** The k tokens with the largest logits, the largest first, equal ones in the order of ids. */
  static int[] likeliest(float[] logits, int offset, int vocabSize, int k) {
    int[] tokens = new int[k];
    if (k > 0) {
      Scratch scratch = SCRATCH.get();
      kthLargest(scratch, logits, offset, vocabSize, k);
      long[] keys = scratch.keys(vocabSize);
      Arrays.sort(keys, 0, k);
      Arrays.setAll(tokens, i -> token(keys[k - 1 - i]));
    }
    return tokens;
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

  /** Cuts all but the smallest set of likeliest tokens that has the mass; the mass that stays. */
  private long keepTopP(
      Scratch scratch, float[] logits, int offset, int vocabSize, float max, long total) {
    float[] weights = scratch.weights(vocabSize);
    long limit = Math.max(1, (long) Math.ceil((double) topP * total));
    // Only the bucket that the cut goes through is sorted.
    long[] masses = scratch.clearedMasses();
    for (int i = 0; i < vocabSize; i++) {
      masses[bucket(logits[offset + i], max)] += mass(weights[i]);
    }
    int bucket = 0;
    long before = 0;
    while (before + masses[bucket] < limit) {
      before += masses[bucket++];
    }
    long cut = cutInBucket(scratch, logits, offset, vocabSize, max, bucket, limit - before);
    long kept = 0;
    for (int i = 0; i < vocabSize; i++) {
      int own = bucket(logits[offset + i], max);
      if (own > bucket || own == bucket && key(logits[offset + i], i) < cut) {
        weights[i] = 0;
      }
      kept += mass(weights[i]);
    }
    return kept;
  }

  /** The last key of a bucket that stays while the mass before it is below {@code limit}. */
  private static long cutInBucket(
      Scratch scratch,
      float[] logits,
      int offset,
      int vocabSize,
      float max,
      int bucket,
      long limit) {
    float[] weights = scratch.weights(vocabSize);
    long[] keys = scratch.keys(vocabSize);
    int count = 0;
    for (int i = 0; i < vocabSize; i++) {
      if (bucket(logits[offset + i], max) == bucket) {
        keys[count++] = key(logits[offset + i], i);
      }
    }
    Arrays.sort(keys, 0, count);
    long cut = Long.MAX_VALUE;
    long before = 0;
    for (int i = count - 1; i >= 0 && before < limit; i--) {
      cut = keys[i];
      before += mass(weights[token(keys[i])]);
    }
    return cut;
  }

  /**
   * Orders logits coarsely, the largest first: 16 buckets for every power of two of the distance
   * from {@code max}.
   */
  private static int bucket(float logit, float max) {
    return Float.floatToRawIntBits(max - logit + 0f) >>> BUCKET_SHIFT;
  }

  private static long keepMinP(float[] weights, int vocabSize, float floor) {
    long kept = 0;
    for (int i = 0; i < vocabSize; i++) {
      if (weights[i] < floor) { // the largest weight is exp(0) = 1
        weights[i] = 0;
      }
      kept += mass(weights[i]);
    }
    return kept;
  }

  /** Buffers of a thread, shared by all its samplers. */
  private static final class Scratch {
    private float[] weights = new float[0];
    private long[] keys = new long[0];
    private final long[] masses = new long[BUCKETS];

    long[] clearedMasses() {
      Arrays.fill(masses, 0);
      return masses;
    }

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
