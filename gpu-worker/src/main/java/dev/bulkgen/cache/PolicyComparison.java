package dev.bulkgen.cache;

import dev.bulkgen.config.ByteSize;
import dev.bulkgen.model.ModelConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;

/** What each cache policy would make of the same budget, side by side. */
public final class PolicyComparison {
  /** The policies that tables show, the largest first. */
  public static final List<CachePolicy> POLICIES =
      List.of(
          CachePolicy.FP16,
          CachePolicy.KIVI4,
          CachePolicy.KIVI2,
          new CachePolicy.Kivi(2, 2, 32, 32, 0));

  private PolicyComparison() {}

  /**
   * A table: bytes a token, bytes of a longest sequence, and how many sequences of some lengths the
   * budget holds, whatever the batch limit.
   *
   * @param demand of a layout: workspaces differ a little
   */
  public static String render(
      ModelConfig model,
      int maxModelLen,
      List<CachePolicy> policies,
      Function<CacheLayout, MemoryDemand> demand) {
    int[] lengths = MemoryPlan.tableLengths(maxModelLen);
    String[] alignments = new String[3 + lengths.length];
    Arrays.fill(alignments, ">");
    alignments[0] = "<";
    TextTable table = new TextTable(alignments);
    List<String> head = new ArrayList<>(List.of("cache", "a token", "longest sequence"));
    for (int length : lengths) {
      head.add("at " + length);
    }
    table.row(head.toArray(String[]::new));
    for (CachePolicy policy : policies) {
      CacheLayout layout = CacheLayout.of(policy, model);
      table.row(row(layout, demand.apply(layout), lengths));
    }
    return table.render();
  }

  private static String[] row(CacheLayout layout, MemoryDemand demand, int[] lengths) {
    String[] cells = new String[3 + lengths.length];
    cells[0] = displayName(layout.policy());
    cells[1] = ByteSize.format(Math.round(MemoryPlan.bytesPerToken(layout)));
    cells[2] = ByteSize.format(layout.sequenceBytes(demand.maxModelLen()));
    for (int i = 0; i < lengths.length; i++) {
      long count = MemoryPlan.affordable(layout, demand, lengths[i]);
      cells[3 + i] = String.format(Locale.ROOT, "%,d", count);
    }
    return cells;
  }

  /**
   * A table of a plan's parts, a line a policy; one that is refused says so.
   *
   * @param plan of a layout; empty if the budget does not hold one sequence
   */
  public static String renderParts(
      List<CacheLayout> layouts, Function<CacheLayout, Optional<MemoryPlan>> plan) {
    TextTable table = new TextTable("<", ">", ">", ">", ">", ">", ">", ">", ">", ">", ">");
    table.row(
        "cache",
        "weights",
        "workspace",
        "logits",
        "reserve",
        "windows",
        "pages",
        "staging",
        "left over",
        "swap (host)",
        "longest at once");
    for (CacheLayout layout : layouts) {
      String name = displayName(layout.policy());
      table.row(
          plan.apply(layout)
              .map(fitting -> fitting.cells(name))
              .orElseGet(
                  () -> new String[] {name, "-", "-", "-", "-", "-", "-", "-", "-", "-", "0"}));
    }
    return table.render();
  }

  /** The short name where the policy has one. */
  public static String displayName(CachePolicy policy) {
    if (policy.equals(CachePolicy.KIVI2)) {
      return "kivi2";
    }
    return policy.equals(CachePolicy.KIVI4) ? "kivi4" : policy.name();
  }
}
