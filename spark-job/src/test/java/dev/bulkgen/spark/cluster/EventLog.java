package dev.bulkgen.spark.cluster;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
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

  /**
   * Spark's "Task Info" of each attempt that was started, in that order.
   *
   * @param description that the jobs' own begins with
   */
  static List<JsonNode> attempts(Path folder, String description) throws IOException {
    Set<Integer> stages = new HashSet<>();
    List<JsonNode> attempts = new ArrayList<>();
    for (JsonNode event : events(folder)) {
      String said = event.at("/Properties/spark.job.description").asText();
      switch (event.get("Event").asText()) {
        case "SparkListenerStageSubmitted" -> {
          if (said.startsWith(description)) {
            stages.add(event.at("/Stage Info/Stage ID").asInt());
          }
        }
        case "SparkListenerTaskStart" -> {
          if (stages.contains(event.get("Stage ID").asInt())) {
            attempts.add(event.get("Task Info"));
          }
        }
        default -> {
          // nothing of tasks
        }
      }
    }
    return attempts;
  }

  private static List<JsonNode> events(Path folder) throws IOException {
    List<JsonNode> events = new ArrayList<>();
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file :
          files.filter(path -> !path.getFileName().toString().startsWith(".")).toList()) {
        for (String line : Files.readAllLines(file)) {
          events.add(new ObjectMapper().readTree(line));
        }
      }
    }
    return events;
  }
}
