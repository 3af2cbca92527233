package dev.bulkgen.engine;

import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.config.PrefixSharing;
import dev.bulkgen.config.SchedulingConfig;
import dev.bulkgen.sampling.SamplingParams;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Random;

/**
 * What sharing saves: rows with a common prefix of 1,000 tokens and 50 of their own through the
 * recall model, with sharing and without, after a comparison of their texts. A program, no test.
 */
final class PrefixBenchmark {
  private static final int COMMON = 1000;
  private static final int OWN = 50;

  private PrefixBenchmark() {}

  /**
   * @param arguments rows, and the cache policy
   */
  public static void main(String[] arguments) {
    int rows = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 2000;
    String policy = arguments.length > 1 ? arguments[1] : "kivi2";
    List<GenerateRequest> requests = requests(rows);
    double shared = run(policy, PrefixSharing.AUTO, requests);
    double alone = run(policy, PrefixSharing.OFF, requests);
    System.out.printf(Locale.ROOT, "with sharing %.1f times as fast%n", alone / shared);
  }

  private static List<String> expected;

  private static double run(String policy, PrefixSharing sharing, List<GenerateRequest> requests) {
    EngineConfig config =
        EngineFixture.withScheduling(
            EngineFixture.recall(policy, 64),
            new SchedulingConfig(OptionalInt.empty(), OptionalLong.empty(), sharing));
    try (Engine engine = Engine.open(config)) {
      engine.generateAll(requests.subList(0, 20)); // compiles what runs often
      long start = System.nanoTime();
      List<String> texts =
          engine.generateAll(requests).stream().map(row -> row.get(0).text()).toList();
      double seconds = (System.nanoTime() - start) / 1e9;
      if (expected != null && !expected.equals(texts)) {
        throw new IllegalStateException("sharing changed a text");
      }
      expected = texts;
      EngineMetrics metrics = engine.metrics();
      System.out.printf(
          Locale.ROOT,
          "%s, sharing %s: %,d rows in %.1f s, %,d tokens prefilled, %,d shared%n",
          policy,
          sharing,
          requests.size(),
          seconds,
          metrics.promptTokens(),
          metrics.cachedTokens());
      return seconds;
    }
  }

  private static List<GenerateRequest> requests(int rows) {
    Random random = new Random(4);
    SamplingParams params = EngineFixture.greedy(2).ignoreEos(true).build();
    int[] common = random.ints(COMMON, 3, 288).toArray();
    List<GenerateRequest> requests = new ArrayList<>();
    for (int i = 0; i < rows; i++) {
      int[] prompt = Arrays.copyOf(common, COMMON + OWN);
      for (int t = COMMON; t < prompt.length; t++) {
        prompt[t] = 3 + random.nextInt(285);
      }
      requests.add(new GenerateRequest("row-" + i, new Prompt.Tokens(prompt), params));
    }
    return requests;
  }
}
