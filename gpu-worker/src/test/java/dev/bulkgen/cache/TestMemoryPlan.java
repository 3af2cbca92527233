package dev.bulkgen.cache;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.cache.MemoryDemand.WeightPlacement;
import dev.bulkgen.config.PrefixSharing;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class TestMemoryPlan {
  private static final long MIB = 1 << 20;

  static Stream<CachePolicy> policies() {
    return PolicyComparison.POLICIES.stream();
  }

  private static CacheLayout layout(CachePolicy policy) {
    return new CacheLayout(policy, 30, 3, 64);
  }

  private static MemoryDemand demand(long budget, int maxBatch, int maxModelLen) {
    return new MemoryDemand(
        budget,
        270 * MIB,
        WeightPlacement.MAPPED,
        10 * MIB + maxModelLen * 4096L,
        3 * MIB,
        5 * MIB,
        maxBatch,
        maxModelLen,
        maxModelLen,
        0,
        PrefixSharing.OFF);
  }

  private static MemoryPlan plan(CacheLayout layout, long budget, int maxBatch, int maxModelLen) {
    return MemoryPlan.of(
        layout, maxModelLen, maxBatch, (length, batch) -> demand(budget, batch, length));
  }

  @ParameterizedTest
  @MethodSource("policies")
  void testNeverTakesMoreThanTheBudget(CachePolicy policy) {
    CacheLayout layout = layout(policy);
    for (long budget = 150 * MIB; budget < 12_000 * MIB; budget = budget * 5 / 4) {
      for (int maxBatch : new int[] {1, 7, 64, 4096}) {
        MemoryPlan plan = plan(layout, budget, maxBatch, 2048);
        assertTrue(plan.takenBytes() + 5 * MIB <= budget);
        assertTrue(plan.slots() >= 1 && plan.slots() <= maxBatch);
        assertTrue(plan.sequences(2048) >= 1, "one longest sequence fits");
        assertTrue(plan.pages() <= plan.slots() * MemoryPlan.pagesOf(layout, 2048));
        long held = plan.sequences(700) * MemoryPlan.pagesOf(layout, 700);
        assertTrue(held <= plan.pages());
      }
    }
  }

  @ParameterizedTest
  @MethodSource("policies")
  void testASmallModelTakesWhatItNeeds(CachePolicy policy) {
    CacheLayout layout = layout(policy);
    MemoryPlan plan = plan(layout, 1L << 40, 8, 2048);
    assertEquals(8 * layout.sequenceBytes(2048), plan.cacheBytes());
    assertEquals(8, plan.sequences(2048));
  }

  @ParameterizedTest
  @MethodSource("policies")
  void testRefusalNamesWhatWouldFit(CachePolicy policy) {
    CacheLayout layout = layout(policy);
    BulkgenException error =
        assertThrows(BulkgenException.class, () -> plan(layout, 40 * MIB, 8, 4096));
    assertEquals(ErrorCode.MEMORY_PLAN_REFUSED, error.code());
    String message = error.getMessage();
    long needed = number(message, "raise memory to .* \\((\\d+) bytes\\)");
    assertEquals(1, plan(layout, needed, 8, 4096).sequences(4096));
    assertThrows(BulkgenException.class, () -> plan(layout, needed - 1, 8, 4096));
    int longest = (int) number(message, "max-model-len to (\\d+)");
    assertDoesNotThrow(() -> plan(layout, 40 * MIB, 8, longest));
    assertThrows(BulkgenException.class, () -> plan(layout, 40 * MIB, 8, longest + 1));
  }

  @Test
  void testWindowsOfShortSequencesMayTakeMoreThanHalf() {
    CacheLayout layout = layout(CachePolicy.KIVI2);
    MemoryPlan plan = plan(layout, 4_000 * MIB, 4096, 256);
    long fitting = plan.demand().cacheBudget() / layout.sequenceBytes(256);
    assertEquals(fitting, plan.sequences(256));
    assertTrue(plan.slots() * layout.windowBytes() > plan.demand().cacheBudget() / 2);
  }

  @Test
  void testRefusesWhereTheWorkspaceAloneIsTooLarge() {
    BulkgenException error =
        assertThrows(BulkgenException.class, () -> plan(layout(CachePolicy.FP16), 10 * MIB, 1, 16));
    assertTrue(!error.getMessage().contains("max-model-len"), error.getMessage());
  }

  @Test
  void testResidentWeightsCount() {
    CacheLayout layout = layout(CachePolicy.FP16);
    MemoryDemand resident =
        new MemoryDemand(
            600 * MIB,
            270 * MIB,
            WeightPlacement.RESIDENT,
            20 * MIB,
            0,
            0,
            1000,
            2048,
            2048,
            0,
            PrefixSharing.OFF);
    MemoryPlan plan = MemoryPlan.of(layout, 2048, resident.maxBatch(), (length, batch) -> resident);
    assertTrue(plan.takenBytes() <= 600 * MIB);
    assertTrue(plan.cacheBytes() <= 310 * MIB && plan.cacheBytes() > 309 * MIB);
  }

  @Test
  void testFewerBitsHoldMoreSequences() {
    MemoryDemand demand = demand(4096 * MIB, 4096, 8192);
    List<Long> counts =
        PolicyComparison.POLICIES.stream()
            .map(policy -> MemoryPlan.affordable(layout(policy), demand, 8192))
            .toList();
    for (int i = 1; i < counts.size(); i++) {
      assertTrue(counts.get(i) > counts.get(i - 1), counts.toString());
    }
  }

  @Test
  void testRenderAddsUp() {
    MemoryPlan plan = plan(layout(CachePolicy.KIVI2), 1024 * MIB, 16, 2048);
    String text = plan.render();
    assertTrue(text.contains("budget           1.00 GiB"), text);
    assertTrue(text.contains("sequences of 2048 tokens"), text);
    assertTrue(text.lines().noneMatch(line -> line.endsWith(" ")), text);
  }

  private static long number(String message, String pattern) {
    Matcher matcher = Pattern.compile(pattern).matcher(message);
    assertTrue(matcher.find(), message);
    return Long.parseLong(matcher.group(1));
  }
}
