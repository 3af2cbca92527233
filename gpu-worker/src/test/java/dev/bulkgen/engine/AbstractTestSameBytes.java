package dev.bulkgen.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.config.PrefixSharing;
import dev.bulkgen.engine.EngineGrid.Point;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** P1 at full load: whatever the engine does with its rows, each has one set of bytes. */
@Timeout(300)
abstract class AbstractTestSameBytes {
  protected abstract EngineGrid.Opener opener();

  /** How much this backend does in a few seconds. */
  protected abstract int rows();

  protected abstract int tokens();

  protected abstract List<Point> grid();

  protected abstract int streams();

  static Stream<CachePolicy> policies() {
    return Stream.of(
        CachePolicy.FP16,
        new CachePolicy.Kivi(2, 2, 32, 32, 0),
        new CachePolicy.Kivi(4, 2, 16, 48, 32));
  }

  /** Batch limit, pages down to constant swapping, sharing, cut prompts, order, 1 and 4 samples. */
  @ParameterizedTest
  @MethodSource("policies")
  void testOneSetOfBytesForEachRow(CachePolicy policy) {
    EngineGrid engines = new EngineGrid(policy, opener());
    Random random = new Random(7);
    long swaps = 0;
    long cached = 0;
    for (int n : new int[] {1, 4}) {
      List<GenerateRequest> rows = EngineGrid.rows(rows() / n, n, tokens());
      Map<String, String> expected = expected(engines, rows);
      for (Point point : grid()) {
        Collections.shuffle(rows, random);
        try (Engine engine = engines.open(point)) {
          List<List<Completion>> completions = engine.generateAll(rows);
          for (int i = 0; i < rows.size(); i++) {
            String key = rows.get(i).key();
            String bytes = EngineGrid.bytes(completions.get(i));
            assertEquals(expected.get(key), bytes, () -> key + " at " + point);
          }
          swaps += engine.metrics().swapOuts();
          cached += engine.metrics().cachedTokens();
        }
      }
    }
    assertTrue(swaps > 0, "some sequences were swapped out");
    assertTrue(cached > 0, "some beginnings were shared");
  }

  /** Each row alone, in an engine with room for it. */
  private static Map<String, String> expected(EngineGrid engines, List<GenerateRequest> rows) {
    Map<String, String> expected = new HashMap<>();
    try (Engine engine = engines.open(new Point(1, 0, PrefixSharing.OFF, EngineGrid.LONGEST))) {
      for (GenerateRequest row : rows) {
        expected.put(row.key(), EngineGrid.bytes(engine.generateAll(List.of(row)).get(0)));
      }
    }
    return expected;
  }

  /** With exact pages and with coded ones, beside which K and V are staged. */
  static Stream<CachePolicy> scoredPolicies() {
    return policies().limit(2);
  }

  /** Scores, in whatever order rows come, beside rows that generate. */
  @ParameterizedTest
  @MethodSource("scoredPolicies")
  void testOneSetOfScoresForEachRow(CachePolicy policy) {
    EngineGrid engines = new EngineGrid(policy, opener());
    List<ScoreRequest> rows = EngineGrid.scoreRows(rows() / 2);
    Map<String, String> expected = new HashMap<>();
    try (Engine engine = engines.open(new Point(1, 0, PrefixSharing.OFF, EngineGrid.LONGEST))) {
      for (ScoreRequest row : rows) {
        expected.put(row.key(), EngineGrid.scoreBytes(engine.score(row).join()));
      }
      assertEquals(0, engine.metrics().cachedTokens());
    }
    Random random = new Random(8);
    long cached = 0;
    for (Point point : grid()) {
      Collections.shuffle(rows, random);
      try (Engine engine = engines.open(point)) {
        CompletableFuture<List<Completion>> beside =
            engine.submit(EngineGrid.rows(1, 4, tokens()).get(0));
        List<CompletableFuture<List<Score>>> scores = rows.stream().map(engine::score).toList();
        for (int i = 0; i < rows.size(); i++) {
          String bytes = EngineGrid.scoreBytes(scores.get(i).join());
          String key = rows.get(i).key();
          assertEquals(expected.get(key), bytes, () -> key + " at " + point);
        }
        assertEquals(4, beside.join().size());
        cached += engine.metrics().cachedTokens();
        if (point.equals(grid().get(grid().size() - 1))) {
          assertEquals(1, engine.generateAll(List.of(EngineGrid.longest())).size(), "pages back");
        }
      }
    }
    assertTrue(cached > 0, "some beginnings were shared");
  }

  /** Random points, orders and cancellations; a failure prints the seed that repeats it. */
  @ParameterizedTest
  @MethodSource("policies")
  void testRandomStreamsWithCancellations(CachePolicy policy) {
    EngineGrid engines = new EngineGrid(policy, opener());
    List<GenerateRequest> rows = EngineGrid.rows(rows(), 1, tokens());
    Map<String, String> expected = expected(engines, rows);
    Long chosen = Long.getLong("bulkgen.test.seed");
    for (int stream = 0; stream < streams(); stream++) {
      long seed = chosen != null ? chosen : 77L * stream + policy.name().hashCode();
      try {
        runStream(engines, rows, expected, new Random(seed));
      } catch (RuntimeException | AssertionError e) {
        throw new AssertionError("repeat with -Dbulkgen.test.seed=" + seed, e);
      }
    }
  }

  private static void runStream(
      EngineGrid engines, List<GenerateRequest> rows, Map<String, String> expected, Random random) {
    Point point =
        new Point(
            1 + random.nextInt(8),
            random.nextInt(8),
            random.nextInt(4) > 0 ? PrefixSharing.AUTO : PrefixSharing.OFF,
            random.nextBoolean() ? 64 : EngineGrid.LONGEST);
    List<GenerateRequest> order = new ArrayList<>(rows);
    Collections.shuffle(order, random);
    try (Engine engine = engines.open(point)) {
      Map<String, CompletableFuture<List<Completion>>> futures = new HashMap<>();
      for (GenerateRequest row : order) {
        futures.put(row.key(), engine.submit(row));
        if (random.nextInt(3) == 0) {
          futures.get(order.get(random.nextInt(futures.size())).key()).cancel(false);
        }
      }
      futures.forEach(
          (key, future) -> {
            if (!future.isCancelled()) {
              assertEquals(expected.get(key), EngineGrid.bytes(future.join()), key);
            }
          });
      // The longest needs all pages but the spare ones: whoever was cancelled has left his.
      assertEquals(1, engine.generateAll(List.of(EngineGrid.longest())).size());
    }
  }
}
