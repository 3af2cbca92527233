package dev.bulkgen.spark.cluster;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** The shipped example's prompts, each cut to a few of its facts, as many rows as asked for. */
public final class RecallRows {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String FACT_END = " . ";

  private RecallRows() {}

  public static Path write(Path file, int rows, int facts) throws IOException {
    Path shipped = Path.of("examples/prompts.jsonl");
    // Tests run in the module's folder.
    List<String> examples =
        Files.readAllLines(Files.exists(shipped) ? shipped : Path.of("..").resolve(shipped));
    List<String> lines = new ArrayList<>();
    for (int row = 0; row < rows; row++) {
      JsonNode example = JSON.readTree(examples.get(row % examples.size()));
      ObjectNode line = JSON.createObjectNode();
      line.put("id", String.format(Locale.ROOT, "row-%05d", row));
      line.put("prompt", cut(example.get("prompt").asText(), row / examples.size(), facts));
      line.set("answer", example.get("answer"));
      lines.add(line.toString());
    }
    return Files.write(file, lines);
  }

  /** Another window of facts each time round, and the one that is asked for. */
  private static String cut(String prompt, int round, int facts) {
    List<String> parts = List.of(prompt.split(" \\. "));
    String asked = parts.get(parts.size() - 1);
    List<String> kept = new ArrayList<>();
    for (int index = 0; index + 1 < parts.size(); index++) {
      boolean isAsked = List.of(parts.get(index).split(" ")).contains(asked);
      if (isAsked || (index >= round && index < round + facts)) {
        kept.add(parts.get(index));
      }
    }
    kept.add(asked);
    return String.join(FACT_END, kept);
  }
}
