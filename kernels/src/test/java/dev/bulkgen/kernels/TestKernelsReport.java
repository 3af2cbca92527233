package dev.bulkgen.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * What the compiler made of the kernels, where it was there: the report beside the fat binaries.
 */
class TestKernelsReport {
  private static final Path REPORT = Path.of("target/kernels-report.txt");
  private static final Set<String> CARDS = Set.of("sm_80", "sm_86", "sm_89", "sm_90");

  private final List<Line> lines = new ArrayList<>();

  private record Line(String kernel, String card, int spilled, int mma, int wideCopies) {}

  @BeforeEach
  void read() throws IOException {
    Assumptions.assumeTrue(Files.exists(REPORT), "no nvcc compiled the kernels here");
    for (String line : Files.readAllLines(REPORT)) {
      String[] cells = line.trim().split("\\s+");
      if (cells.length == 9 && cells[1].startsWith("sm_")) {
        lines.add(
            new Line(cells[0], cells[1], number(cells[4]), number(cells[6]), number(cells[8])));
      }
    }
  }

  private static int number(String cell) {
    return Integer.parseInt(cell);
  }

  @Test
  void everyKernelOfTheCatalogueIsCompiledForEveryCard() {
    Map<String, Set<String>> cards = new TreeMap<>();
    lines.forEach(
        line -> cards.computeIfAbsent(line.kernel, kernel -> new TreeSet<>()).add(line.card));
    assertEquals(new TreeSet<>(Catalogue.load().kernels().keySet()), cards.keySet());
    cards.forEach((kernel, found) -> assertEquals(CARDS, found, kernel));
  }

  @Test
  void nothingSpillsRegisters() {
    lines.forEach(line -> assertEquals(0, line.spilled, line.toString()));
  }

  @Test
  void productsRunOnTensorCoresAndReadSixteenBytesAtOnce() {
    List<Line> products =
        lines.stream()
            .filter(line -> line.kernel.matches("(matmul|prefill_attention|decode_attention)_.*"))
            .toList();
    assertTrue(products.size() > 100, products.size() + " lines");
    products.forEach(line -> assertTrue(line.mma > 0 && line.wideCopies > 0, line.toString()));
  }
}
