package dev.bulkgen.sampling;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TestTokenSampler {
  private static final float[] LOGITS = {1f, 3f, 2f, 3f, -1f, 0f, 2f, -4f};

  @Test
  void testGreedyTakesTheLowestIdOfEquals() {
    assertEquals(1, sampler(greedy()).sample(LOGITS.clone(), 0, LOGITS.length));
  }

  @Test
  void testReadsAtTheOffset() {
    float[] padded = new float[LOGITS.length + 6];
    Arrays.fill(padded, 99);
    System.arraycopy(LOGITS, 0, padded, 3, LOGITS.length);
    assertEquals(1, sampler(greedy()).sample(padded, 3, LOGITS.length));
    assertEquals(99, padded[2]);
    assertEquals(99, padded[LOGITS.length + 3]);
  }

  @Test
  void testRepetitionPenaltyCountsPromptAndOutput() {
    TokenSampler sampler = sampler(greedy().repetitionPenalty(2), 3, 4);
    float[] logits = LOGITS.clone();
    assertEquals(1, sampler.sample(logits, 0, logits.length));
    assertEquals(1.5f, logits[3]);
    assertEquals(-2f, logits[4]);
    // Now token 1 is in the output, 3 in the prompt: the best that is left is 2.
    assertEquals(2, sampler.sample(LOGITS.clone(), 0, LOGITS.length));
  }

  @Test
  void testPresenceAndFrequencyCountTheOutputAlone() {
    TokenSampler sampler = sampler(greedy().presencePenalty(0.25).frequencyPenalty(0.5), 1, 1);
    int[] drawn = new int[6];
    float[] logits = null;
    for (int i = 0; i < drawn.length; i++) {
      logits = LOGITS.clone();
      drawn[i] = sampler.sample(logits, 0, logits.length);
    }
    // 1 and 3 fall from 3 to 2.25, then to 1.75; then 2 and 6, which start at 2.
    assertArrayEquals(new int[] {1, 3, 1, 3, 2, 6}, drawn);
    assertEquals(3 - 0.25f - 2 * 0.5f, logits[1]);
    assertEquals(2 - 0.25f - 0.5f, logits[2]);
    assertEquals(1f, logits[0]);
  }

  @Test
  void testMinTokensHoldsEndAndStopTokensBack() {
    SamplingParams params = greedy().minTokens(2).stopTokenIds(Set.of(3)).maxTokens(9).build();
    TokenSampler sampler =
        new TokenSampler(params, new int[0], Set.of(1), new PhiloxRandom(0, "", 0));
    assertEquals(2, sampler.sample(LOGITS.clone(), 0, LOGITS.length));
    assertEquals(2, sampler.sample(LOGITS.clone(), 0, LOGITS.length));
    assertEquals(1, sampler.sample(LOGITS.clone(), 0, LOGITS.length));
  }

  @Test
  void testMinTokensLeavesIgnoredEndTokensFree() {
    SamplingParams params = greedy().minTokens(2).ignoreEos(true).build();
    TokenSampler sampler =
        new TokenSampler(params, new int[0], Set.of(1), new PhiloxRandom(0, "", 0));
    assertEquals(1, sampler.sample(LOGITS.clone(), 0, LOGITS.length));
  }

  @ParameterizedTest
  @CsvSource({
    "0, 1, 0, 0 1 2 3 4 5 6 7",
    "1, 1, 0, 1",
    "3, 1, 0, 1 2 3",
    "4, 1, 0, 1 2 3 6",
    "8, 1, 0, 0 1 2 3 4 5 6 7",
    "0, 0.000001, 0, 1",
    "0, 1e-60, 0, 1",
    "0, 0.5, 0, 1 3",
    "0, 0.7, 0, 1 2 3",
    "0, 0.8, 0, 1 2 3",
    "0, 0.85, 0, 1 2 3 6",
    "0, 1, 0.3, 1 2 3 6",
    "0, 1, 0.4, 1 3",
    "0, 1, 1, 1 3",
    "3, 0.6, 0, 1 3",
    "3, 0.9, 0, 1 2 3",
    "5, 0.99, 0.2, 1 2 3 6"
  })
  void testExactSupport(int topK, double topP, double minP, String expected) {
    SamplingParamsBuilder builder =
        new SamplingParamsBuilder().topK(topK).topP(topP).minP(minP).seed(7);
    Set<Integer> support = new TreeSet<>();
    TokenSampler sampler = sampler(builder);
    for (int i = 0; i < 20_000; i++) {
      support.add(sampler.sample(LOGITS.clone(), 0, LOGITS.length));
    }
    Set<Integer> wanted = new TreeSet<>();
    for (String id : expected.split(" ")) {
      wanted.add(Integer.parseInt(id));
    }
    assertEquals(wanted, support);
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.3, 1, 2.5})
  void testDrawsFollowTheDistribution(double temperature) {
    double[] expected = new double[LOGITS.length];
    for (int i = 0; i < expected.length; i++) {
      expected[i] = Math.exp((LOGITS[i] - 3) / temperature);
    }
    double total = Arrays.stream(expected).sum();
    int draws = 40_000;
    int[] counts = new int[LOGITS.length];
    TokenSampler sampler = sampler(new SamplingParamsBuilder().temperature(temperature).seed(11));
    for (int i = 0; i < draws; i++) {
      counts[sampler.sample(LOGITS.clone(), 0, LOGITS.length)]++;
    }
    double chiSquare = 0;
    double rareExpected = 0;
    int rareCount = 0;
    for (int i = 0; i < expected.length; i++) {
      double count = draws * expected[i] / total;
      if (count < 10) {
        rareExpected += count;
        rareCount += counts[i];
      } else {
        chiSquare += (counts[i] - count) * (counts[i] - count) / count;
      }
    }
    assertTrue(chiSquare < 24.3, "chi-square " + chiSquare + ", 7 degrees, 0.1 %");
    assertTrue(Math.abs(rareCount - rareExpected) < 5 * Math.sqrt(rareExpected + 1));
  }

  /** Against the definition, by a full sort, on vocabularies with many equal logits. */
  @ParameterizedTest
  @CsvSource({
    "1000, 50, 0.9, 0",
    "1000, 999, 0.3, 0.1",
    "5000, 0, 0.95, 0.01",
    "3000, 0, 0.999999, 0",
    "3000, 0, 0.001, 0",
    "1, 0, 0.5, 0",
    "37, 5, 0.5, 0",
    "2, 1, 0.9, 0"
  })
  void testEqualsTheDefinition(int vocab, int topK, double topP, double minP) {
    Random random = new Random(vocab + topK);
    SamplingParamsBuilder builder =
        new SamplingParamsBuilder().topK(topK).topP(topP).minP(minP).temperature(0.8).seed(5);
    TokenSampler sampler = sampler(builder);
    PhiloxRandom philox = new PhiloxRandom(5, "key", 0);
    for (int step = 0; step < 100; step++) {
      float[] logits = new float[vocab];
      for (int i = 0; i < vocab; i++) {
        logits[i] = Math.round(random.nextGaussian() * 8) / 4f;
      }
      int expected = byDefinition(logits, topK, topP, minP, 0.8, philox.uniform(step));
      assertEquals(expected, sampler.sample(logits, 0, vocab), "step " + step);
    }
  }

  @Test
  void testSameKeySameTokens() {
    SamplingParamsBuilder builder = new SamplingParamsBuilder().seed(3).temperature(1.5);
    assertArrayEquals(tokens(builder, "k", 0), tokens(builder, "k", 0));
    assertTrue(!Arrays.equals(tokens(builder, "k", 0), tokens(builder, "k", 1)));
    assertTrue(!Arrays.equals(tokens(builder, "k", 0), tokens(builder, "l", 0)));
    builder.seed(4);
    int[] other = tokens(builder, "k", 0);
    builder.seed(3);
    assertTrue(!Arrays.equals(other, tokens(builder, "k", 0)));
  }

  @ParameterizedTest
  @ValueSource(doubles = {1e-300, 1e-30, 1e-3})
  void testTinyTemperatureIsAlmostGreedy(double temperature) {
    float[] logits = {-1e30f, 2, 2.1f, 1e30f, Float.NEGATIVE_INFINITY};
    TokenSampler sampler = sampler(new SamplingParamsBuilder().temperature(temperature));
    assertEquals(3, sampler.sample(logits, 0, logits.length));
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, 1})
  void testBadNumbersFailTheSequence(double temperature) {
    SamplingParamsBuilder builder = new SamplingParamsBuilder().temperature(temperature);
    float nan = Float.NaN;
    float infinity = Float.POSITIVE_INFINITY;
    for (float[] logits :
        new float[][] {{1, nan}, {nan, 1}, {-infinity, -infinity}, {infinity, 1}, {1, infinity}}) {
      BulkgenException error =
          assertThrows(BulkgenException.class, () -> sampler(builder).sample(logits, 0, 2));
      assertEquals(ErrorCode.NUMERIC_FAILURE, error.code());
    }
  }

  @Test
  void testTokensChosenElsewhereAdvanceLikeOwn() {
    SamplingParamsBuilder builder =
        new SamplingParamsBuilder()
            .repetitionPenalty(1.3)
            .presencePenalty(0.2)
            .frequencyPenalty(0.1)
            .temperature(1.5)
            .minTokens(4)
            .stopTokenIds(Set.of(1))
            .seed(8);
    TokenSampler own = sampler(builder, 2, 3);
    TokenSampler told = sampler(builder, 2, 3);
    for (int step = 0; step < 30; step++) {
      DeviceSampling facts = told.onDevice().orElseThrow();
      assertEquals(step, facts.step());
      assertArrayEquals(step < 4 ? new int[] {1} : new int[0], facts.heldBack());
      float[] logits = LOGITS.clone();
      int token = own.sample(logits, 0, logits.length);
      if (step % 3 == 0) {
        float[] toldLogits = LOGITS.clone();
        assertEquals(token, told.sample(toldLogits, 0, toldLogits.length));
        assertArrayEquals(logits, toldLogits);
      } else {
        told.accept(token);
      }
    }
  }

  @Test
  void testManyStopTokensStayOnTheHost() {
    Set<Integer> stops = IntStream.range(0, 65).boxed().collect(Collectors.toSet());
    TokenSampler sampler = sampler(greedy().minTokens(1).stopTokenIds(stops));
    assertTrue(sampler.onDevice().isEmpty());
    sampler.accept(70);
    assertTrue(sampler.onDevice().isEmpty(), "the device would have missed a token");
  }

  @Test
  void testOtherSamplersStayOnTheHost() {
    Sampler sampler = (logits, offset, vocabSize) -> 0;
    assertTrue(sampler.onDevice().isEmpty());
    assertThrows(UnsupportedOperationException.class, () -> sampler.accept(0));
  }

  private static int byDefinition(
      float[] logits, int topK, double topP, double minP, double temperature, double uniform) {
    Integer[] order = IntStream.range(0, logits.length).boxed().toArray(Integer[]::new);
    Arrays.sort(
        order,
        Comparator.<Integer>comparingDouble(i -> -logits[i]).thenComparingInt(Integer::intValue));
    int kept = topK == 0 ? logits.length : Math.min(topK, logits.length);
    double max = logits[order[0]];
    double[] p = new double[logits.length];
    double total = 0;
    for (int i = 0; i < kept; i++) {
      p[order[i]] = Math.exp((logits[order[i]] - max) / temperature);
      total += p[order[i]];
    }
    double before = 0;
    for (int i = 0; i < kept; i++) {
      double own = p[order[i]];
      if (before >= topP * total || own < minP) {
        p[order[i]] = 0;
      }
      before += own;
    }
    double target = Arrays.stream(p).sum() * uniform;
    double cumulative = 0;
    for (int i = 0; i < p.length; i++) {
      cumulative += p[i];
      if (p[i] > 0 && cumulative > target) {
        return i;
      }
    }
    throw new AssertionError("no token drawn");
  }

  private static SamplingParamsBuilder greedy() {
    return new SamplingParamsBuilder().temperature(0);
  }

  private static TokenSampler sampler(SamplingParamsBuilder builder, int... prompt) {
    SamplingParams params = builder.build();
    return new TokenSampler(params, prompt, Set.of(), new PhiloxRandom(params.seed(), "key", 0));
  }

  private static int[] tokens(SamplingParamsBuilder builder, String key, int sample) {
    SamplingParams params = builder.build();
    PhiloxRandom random = new PhiloxRandom(params.seed(), key, sample);
    TokenSampler sampler = new TokenSampler(params, new int[0], Set.of(), random);
    int[] tokens = new int[40];
    for (int i = 0; i < tokens.length; i++) {
      tokens[i] = sampler.sample(LOGITS.clone(), 0, LOGITS.length);
    }
    return tokens;
  }
}
