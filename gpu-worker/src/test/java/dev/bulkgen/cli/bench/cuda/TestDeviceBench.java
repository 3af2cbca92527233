package dev.bulkgen.cli.bench.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.backend.cuda.EmulatedDevice;
import dev.bulkgen.error.BulkgenException;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TestDeviceBench {
  @TempDir Path folder;

  private String run(double budgetSeconds) {
    StringWriter text = new StringWriter();
    DeviceBench.Options options =
        new DeviceBench.Options(
            0, DeviceBench.Extent.TINY, 0, budgetSeconds, folder.resolve("figures.jsonl"));
    new DeviceBench(options, new PrintWriter(text)).run();
    return text.toString();
  }

  private List<JsonNode> lines() throws IOException {
    List<JsonNode> lines = new ArrayList<>();
    for (String line : Files.readAllLines(folder.resolve("figures.jsonl"))) {
      lines.add(new ObjectMapper().readTree(line));
    }
    return lines;
  }

  @Test
  void testChecksAndMeasuresEverything() throws IOException {
    EmulatedDevice.assumePresent();
    String text = run(1e9);
    Set<String> names = new TreeSet<>();
    for (JsonNode line : lines()) {
      names.add(line.get("name").textValue());
      assertTrue(line.get("value").doubleValue() > 0, line.toString());
      assertTrue(text.contains(line.get("unit").textValue()), line.toString());
    }
    assertTrue(
        names.containsAll(
            Set.of(
                "roof: copy",
                "roof: tensor cores",
                "decode attention",
                "store prompts",
                "flush of windows",
                "decode product",
                "prefill product",
                "prefill attention",
                "generation",
                "  step over its floor",
                "  beside fp16")),
        names.toString());
    assertFalse(text.contains("left out"), text);
  }

  @Test
  void testStopsWhereTheTimeIsSpent() throws IOException {
    EmulatedDevice.assumePresent();
    String text = run(0);
    assertTrue(text.contains("products: left out, the time budget is spent"), text);
    assertFalse(Files.exists(folder.resolve("figures.jsonl")));
  }

  @Test
  void testRefusesWhatIsNotNear() {
    Check.near("a number", 1.5, 1, 0.5);
    assertThrows(BulkgenException.class, () -> Check.near("a number", 1.6, 1, 0.5));
    assertThrows(BulkgenException.class, () -> Check.near("a number", Double.NaN, 1, 0.5));
  }

  @Test
  void testAttentionOfTwoPositions() {
    ExactAttention exact = new ExactAttention(2);
    float[] query = {1, 0};
    exact.attend(query, d -> d == 0 ? 3 : 0, d -> d);
    exact.attend(query, d -> d == 0 ? 4 : 0, d -> 1 - d);
    assertEquals(2.0 / 3, exact.result(0), 1e-12);
    assertEquals(1.0 / 3, exact.result(1), 1e-12);
  }
}
