package dev.bulkgen.spark.cluster;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** What Spark notes of an application. */
final class EventLog {
  private EventLog() {}

  /** Settings that have it written. */
  static Map<String, String> into(Path folder) {
    return Map.of(
        "spark.eventLog.enabled",
        "true",
        "spark.eventLog.dir",
        folder.toUri().toString(),
        "spark.eventLog.rolling.enabled",
        "false",
        "spark.eventLog.compress",
        "false");
  }

  /** Spark's "Task Info" of each attempt that was started, in that order. */
  static List<JsonNode> attempts(Path folder) throws IOException {
    List<JsonNode> attempts = new ArrayList<>();
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file :
          files.filter(path -> !path.getFileName().toString().startsWith(".")).toList()) {
        for (String line : Files.readAllLines(file)) {
          JsonNode event = new ObjectMapper().readTree(line);
          if (event.get("Event").asText().equals("SparkListenerTaskStart")) {
            attempts.add(event.get("Task Info"));
          }
        }
      }
    }
    return attempts;
  }
}
