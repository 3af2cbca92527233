package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.sampling.DeviceSampling;
import dev.bulkgen.sampling.LogProbs;
import dev.bulkgen.sampling.PhiloxRandom;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import dev.bulkgen.sampling.TokenSampler;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TestSamplingKernels {
  private static final float INFINITY = Float.POSITIVE_INFINITY;

  /** Random settings, prompts and logits of all kinds: every token is the host's. */
  @ParameterizedTest
  @CsvSource({
    "1, 40, 6",
    "2, 60, 6",
    "31, 90, 8",
    "512, 90, 8",
    "1000, 90, 8",
    "5000, 60, 8",
    "151939, 5, 2"
  })
  void testTokensEqualTheHosts(int vocabulary, int rows, int steps) {
    Random random = new Random(vocabulary);
    TokenSampler[] hosts = new TokenSampler[rows];
    int[][] prompts = new int[rows][];
    for (int row = 0; row < rows; row++) {
      prompts[row] = random.ints(random.nextInt(20), 0, vocabulary).toArray();
      SamplingParams params = params(random, vocabulary);
      PhiloxRandom stream = new PhiloxRandom(params.seed(), "row " + row, row % 3);
      Set<Integer> ends = Set.of(random.nextInt(vocabulary), vocabulary + 7);
      hosts[row] = new TokenSampler(params, prompts[row], ends, stream);
    }
    try (SamplerRig rig = new SamplerRig(vocabulary, rows)) {
      rig.begin(prompts);
      for (int step = 0; step < steps; step++) {
        float[][] logits = new float[rows][];
        int[] expected = new int[rows];
        DeviceSampling[] how = new DeviceSampling[rows];
        for (int row = 0; row < rows; row++) {
          logits[row] = logits(random, vocabulary);
          how[row] = hosts[row].onDevice().orElseThrow();
          expected[row] = onHost(hosts[row], logits[row]);
        }
        int[] tokens = rig.sample(logits, how);
        for (int row = 0; row < rows; row++) {
          String where = "step " + step + " row " + row + ": " + how[row].params();
          assertEquals(expected[row], tokens[row], where);
        }
      }
    }
  }

  private static int onHost(TokenSampler host, float[] logits) {
    try {
      return host.sample(logits.clone(), 0, logits.length);
    } catch (BulkgenException e) {
      assertEquals(ErrorCode.NUMERIC_FAILURE, e.code());
      return StepOutput.NO_TOKEN;
    }
  }

  private static SamplingParams params(Random random, int vocabulary) {
    SamplingParamsBuilder builder =
        new SamplingParamsBuilder()
            .temperature(pick(random, 0, 1e-300, 0.01, 0.3, 0.8, 1, 1, 1.7, 100))
            .topK(
                (int)
                    pick(random, 0, 0, 0, 1, 2, 50, vocabulary / 2, vocabulary - 1, vocabulary + 1))
            .topP(pick(random, 1, 1, 1, 0.999999, 0.95, 0.7, 0.5, 0.25, 0.01, 1e-60))
            .minP(pick(random, 0, 0, 0, 1e-6, 0.05, 0.5, 1))
            .minTokens((int) pick(random, 0, 0, 2, 4))
            .stopTokenIds(Set.of(random.nextInt(vocabulary)))
            .seed(random.nextLong());
    if (random.nextBoolean()) {
      builder
          .repetitionPenalty(pick(random, 1, 0.7, 1.1, 1.5, 3))
          .presencePenalty(pick(random, 0, 0.3, -0.7, 2))
          .frequencyPenalty(pick(random, 0, 0.1, -0.2, 1.3));
    }
    return builder.build();
  }

  private static double pick(Random random, double... values) {
    return values[random.nextInt(values.length)];
  }

  private static float[] logits(Random random, int vocabulary) {
    float[] logits = new float[vocabulary];
    int kind = random.nextInt(7);
    float scale = (float) pick(random, 0.1, 1, 3, 10);
    for (int i = 0; i < vocabulary; i++) {
      float normal = (float) random.nextGaussian();
      logits[i] =
          switch (kind) {
            case 0 -> (float) Math.rint(normal * 2) / 4; // many equal ones, zeros of both signs
            case 1 -> 1.25f; // all equal: half of the mass is half of the tokens
            case 2 -> normal * 1e30f;
            case 3 -> random.nextInt(3) == 0 ? -INFINITY : normal * scale;
            case 4 -> normal * 1e-40f; // denormal
            default -> normal * scale;
          };
    }
    return logits;
  }

  @Test
  void testCountsFollowPromptsAndTokens() {
    SamplingParams params =
        new SamplingParamsBuilder().temperature(0).repetitionPenalty(1.5).build();
    DeviceSampling penalized = sampling(params, 0);
    DeviceSampling plain = sampling(SamplingParams.GREEDY, 0);
    float[] logits = {0, 0, 4, 0, 0};
    try (SamplerRig rig = new SamplerRig(5, 3)) {
      rig.writeCounts(new short[15]);
      rig.begin(new int[][] {{3, 3, -1, 5, 0}, null, {1}});
      rig.begin(new int[][] {null, {4}, null});
      for (int step = 0; step < 2; step++) {
        float[][] rows = {logits, logits, logits};
        assertArrayEquals(
            new int[] {2, 2, 2}, rig.sample(rows, new DeviceSampling[] {penalized, plain, plain}));
      }
      short prompt = (short) 0x8000;
      assertArrayEquals(new short[] {prompt, 0, 2, prompt, 0}, rig.counts(0));
      assertArrayEquals(new short[] {0, 0, 0, 0, prompt}, rig.counts(1), "no penalties, no counts");
      assertArrayEquals(new short[] {0, prompt, 0, 0, 0}, rig.counts(2));
      rig.begin(new int[][] {{2}, null, null});
      assertArrayEquals(new short[] {0, 0, prompt, 0, 0}, rig.counts(0), "a new sequence");
    }
  }

  @Test
  void testCountsStopAtTheirLargest() {
    SamplingParams params = new SamplingParamsBuilder().temperature(0).presencePenalty(0.1).build();
    try (SamplerRig rig = new SamplerRig(2, 2)) {
      rig.writeCounts((short) 0x7FFF, (short) 0xFFFE, (short) 0x7FFF, (short) 0x8000);
      float[][] logits = {{5, 0}, {0, 5}};
      DeviceSampling[] how = {sampling(params, 0), sampling(params, 0)};
      for (int step = 0; step < 2; step++) {
        assertArrayEquals(new int[] {0, 1}, rig.sample(logits, how));
      }
      assertArrayEquals(new short[] {0x7FFF, (short) 0x8000}, rig.counts(0));
      assertArrayEquals(new short[] {0x7FFF, (short) 0xFFFF}, rig.counts(1));
    }
  }

  @Test
  void testBadNumbersGiveNoTokenAndSpareTheOthers() {
    float nan = Float.NaN;
    float[][] logits = {
      {1, 2, 3},
      {1, nan, 3},
      {nan, nan, nan},
      {INFINITY, 0, 0},
      {-INFINITY, -INFINITY, -INFINITY},
      {-INFINITY, -3, -INFINITY},
      {3, 2, nan},
      {9, 9, 9}
    };
    for (double temperature : new double[] {0, 1}) {
      SamplingParams params =
          new SamplingParamsBuilder().temperature(temperature).topK(2).topP(0.1).build();
      PhiloxRandom random = new PhiloxRandom(0, "", 0);
      DeviceSampling[] how = new DeviceSampling[logits.length];
      Arrays.fill(how, sampling(params, 0));
      how[6] = new DeviceSampling(params, random, new int[] {2, 5}, 0); // holds the NaN back
      how[7] = null;
      try (SamplerRig rig = new SamplerRig(3, logits.length)) {
        assertArrayEquals(new int[] {2, -1, -1, -1, -1, 1, 0, -1}, rig.sample(logits, how));
        SamplerRig.Result result = rig.sampleWithTop(logits, how, 2);
        // A NaN that is held back has no log-probability, nor has any other token then.
        assertArrayEquals(new int[] {2, -1, -1, -1, -1, 1, -1, -1}, result.tokens());
        assertTrue(Float.isNaN(result.logprobs()[1]) && Float.isNaN(result.logprobs()[4]));
        assertEquals(0, result.logprobs()[5]);
        assertArrayEquals(new float[] {3, 2, -INFINITY}, rig.logits(6));
        assertArrayEquals(logits[7], rig.logits(7));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"1, 1", "1, 0", "3, 5", "19, 20", "37, 3", "777, 100", "5001, 20"})
  void testLogProbabilities(int vocabulary, int topCount) {
    Random random = new Random(topCount);
    int rows = 5;
    float[][] logits = new float[rows][];
    DeviceSampling[] how = new DeviceSampling[rows];
    for (int row = 0; row < rows; row++) {
      logits[row] = new float[vocabulary];
      for (int i = 0; i < vocabulary; i++) {
        double normal = random.nextGaussian() * 4;
        logits[row][i] = (float) (row % 2 == 0 ? normal : Math.rint(normal));
      }
      how[row] =
          sampling(
              new SamplingParamsBuilder().temperature(row / 2.0).repetitionPenalty(2).build(), row);
    }
    try (SamplerRig rig = new SamplerRig(vocabulary, rows)) {
      int[][] prompts = new int[rows][];
      Arrays.fill(prompts, new int[] {0, vocabulary / 2});
      rig.begin(prompts);
      SamplerRig.Result result = rig.sampleWithTop(logits, how, topCount);
      for (int row = 0; row < rows; row++) {
        LogProbs expected = LogProbs.of(logits[row], 0, vocabulary);
        int token = result.tokens()[row];
        assertEquals(expected.of(logits[row][token]), result.logprobs()[row]);
        int[] order = likeliest(logits[row]);
        for (int i = 0; i < topCount; i++) {
          int at = row * topCount + i;
          assertEquals(i < vocabulary ? order[i] : -1, result.topTokens()[at], "place " + i);
          float logprob = i < vocabulary ? expected.of(logits[row][order[i]]) : -INFINITY;
          assertEquals(logprob, result.topLogprobs()[at]);
        }
      }
    }
  }

  /** Beside rows that draw: the bits of the host, whatever the row's logits. */
  @ParameterizedTest
  @CsvSource({"1, 3", "2, 6", "700, 30", "5001, 12", "151939, 3"})
  void testScoresEqualTheHosts(int vocabulary, int rows) {
    Random random = new Random(vocabulary + 1L);
    float[][] logits = new float[rows][];
    DeviceSampling[] how = new DeviceSampling[rows];
    int[] targets = new int[rows];
    for (int row = 0; row < rows; row++) {
      logits[row] = logits(random, vocabulary);
      how[row] = row % 5 == 4 ? sampling(SamplingParams.GREEDY, 0) : null;
      targets[row] = random.nextInt(vocabulary);
    }
    try (SamplerRig rig = new SamplerRig(vocabulary, rows)) {
      SamplerRig.Result result = rig.score(logits, how, targets);
      for (int row = 0; row < rows; row++) {
        float[] own = logits[row];
        try {
          LogProbs expected = LogProbs.of(own, 0, vocabulary);
          assertEquals(expected.likeliest(), result.tokens()[row], "row " + row);
          if (how[row] == null) {
            assertEquals(expected.of(own[targets[row]]), result.logprobs()[row], "row " + row);
          }
        } catch (BulkgenException e) {
          assertEquals(StepOutput.NO_TOKEN, result.tokens()[row]);
          assertTrue(how[row] != null || Float.isNaN(result.logprobs()[row]));
        }
      }
    }
  }

  /** P1: a row alone gives the bits that it gives among others, at another place. */
  @Test
  void testRowsDependOnThemselvesAlone() {
    Random random = new Random(3);
    int vocabulary = 1003;
    int rows = 9;
    float[][] logits = new float[rows][];
    DeviceSampling[] how = new DeviceSampling[rows];
    for (int row = 0; row < rows; row++) {
      logits[row] = logits(random, vocabulary);
      how[row] = sampling(params(random, vocabulary), row);
    }
    int[][] prompts = new int[rows][];
    Arrays.fill(prompts, new int[] {4});
    SamplerRig.Result all;
    try (SamplerRig rig = new SamplerRig(vocabulary, rows)) {
      rig.begin(prompts);
      all = rig.sampleWithTop(logits, how, 4);
    }
    for (int row = 0; row < rows; row++) {
      try (SamplerRig rig = new SamplerRig(vocabulary, 1)) {
        rig.begin(new int[][] {prompts[row]});
        float[][] one = {logits[row]};
        SamplerRig.Result alone = rig.sampleWithTop(one, new DeviceSampling[] {how[row]}, 4);
        assertEquals(all.tokens()[row], alone.tokens()[0]);
        assertEquals(all.logprobs()[row], alone.logprobs()[0]);
        for (int i = 0; i < 4; i++) {
          assertEquals(all.topTokens()[4 * row + i], alone.topTokens()[i]);
          assertEquals(all.topLogprobs()[4 * row + i], alone.topLogprobs()[i]);
        }
      }
    }
  }

  @Test
  void testRefusesWhatTheKernelDoesNotTake() {
    try (RowDevice device = new RowDevice()) {
      KernelLibrary kernels = device.kernels();
      assertInternal(() -> new SamplingKernels(kernels, 0, 4));
      assertInternal(() -> new SamplingKernels(kernels, 5, 6));
      assertInternal(() -> new SamplingKernels(kernels, 5, 4));
      assertInternal(() -> new SamplingKernels(kernels, (1 << 22) + 1, 1 << 23));
      SamplingKernels sampler = new SamplingKernels(kernels, 5, 8);
      SamplingKernels.Results tokens = new SamplingKernels.Results(0, 0, 0, 0, 0);
      SamplingKernels.Rows shifted = new SamplingKernels.Rows(1, 8, 0, 0, 0);
      assertInternal(() -> sampler.sample(device.stream, shifted, tokens));
      SamplingKernels.Rows rows = new SamplingKernels.Rows(1, 16, 0, 0, 0);
      SamplingKernels.Results many = new SamplingKernels.Results(0, 0, 0, 0, 101);
      assertInternal(() -> sampler.sample(device.stream, rows, many));
    }
  }

  private static void assertInternal(Runnable call) {
    assertEquals(ErrorCode.INTERNAL, assertThrows(BulkgenException.class, call::run).code());
  }

  private static DeviceSampling sampling(SamplingParams params, int step) {
    return new DeviceSampling(params, new PhiloxRandom(params.seed(), "key", 0), new int[0], step);
  }

  /** Token ids, the likeliest first, equal ones (0 and −0, too) in their order. */
  private static int[] likeliest(float[] logits) {
    Integer[] order = IntStream.range(0, logits.length).boxed().toArray(Integer[]::new);
    Arrays.sort(order, Comparator.comparingDouble(i -> -(logits[i] + 0f)));
    return Arrays.stream(order).mapToInt(Integer::intValue).toArray();
  }
}
