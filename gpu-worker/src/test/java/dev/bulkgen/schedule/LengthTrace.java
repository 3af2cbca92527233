package dev.bulkgen.schedule;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * Lengths of prompts and outputs as a service saw them: the Azure LLM inference traces of 2023
 * (Patel et al., "Splitwise", ISCA 2024), columns {@code ContextTokens} and {@code
 * GeneratedTokens}.
 *
 * @param prompts tokens of each prompt
 * @param outputs tokens of each output, in the same order
 */
record LengthTrace(int[] prompts, int[] outputs) {

  static LengthTrace read(Path file) throws IOException {
    List<String> lines = Files.readAllLines(file);
    List<String> head = List.of(lines.get(0).split(","));
    int prompt = column(head, "ContextTokens", file);
    int output = column(head, "GeneratedTokens", file);
    String[][] rows = lines.stream().skip(1).map(l -> l.split(",")).toArray(String[][]::new);
    return new LengthTrace(column(rows, prompt), column(rows, output));
  }

  private static int column(List<String> head, String name, Path file) {
    if (!head.contains(name)) {
      throw new IllegalArgumentException(file + " has no column " + name + ", but " + head);
    }
    return head.indexOf(name);
  }

  private static int[] column(String[][] rows, int index) {
    return Arrays.stream(rows).mapToInt(row -> Integer.parseInt(row[index].trim())).toArray();
  }

  /** So many requests: the trace again and again, each time in another order. */
  LengthTrace repeated(int requests, long seed) {
    Random random = new Random(seed);
    int[] order = new int[prompts.length];
    Arrays.setAll(order, i -> i);
    int[] p = new int[requests];
    int[] o = new int[requests];
    for (int i = 0; i < requests; i++) {
      int at = i % order.length;
      // Fisher and Yates, a step a request: what stands before has been given out in this round.
      int chosen = at + random.nextInt(order.length - at);
      int row = order[chosen];
      order[chosen] = order[at];
      order[at] = row;
      p[i] = prompts[row];
      o[i] = outputs[row];
    }
    return new LengthTrace(p, o);
  }

  int requests() {
    return prompts.length;
  }

  int longest() {
    int longest = 0;
    for (int i = 0; i < prompts.length; i++) {
      longest = Math.max(longest, prompts[i] + outputs[i]);
    }
    return longest;
  }
}
