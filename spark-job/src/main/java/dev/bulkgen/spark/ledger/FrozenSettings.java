package dev.bulkgen.spark.ledger;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.bulkgen.config.Setting;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.config.TaskType;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What an output folder was begun with: a resumed run has to agree.
 *
 * @param values the settings that change rows, by name
 * @param begun when the first run began: chat templates may print the day, and a resumed run has to
 *     print the same (P1); not compared
 */
public record FrozenSettings(
    TaskType task,
    SortedMap<String, String> values,
    String modelDigest,
    String inputDigest,
    LocalDateTime begun) {
  private static final ObjectMapper JSON = new ObjectMapper();

  public String toJson() {
    ObjectNode root = JSON.createObjectNode();
    root.put("task", task.spelling());
    root.set("settings", JSON.valueToTree(values));
    root.put("model_digest", modelDigest);
    root.put("input_digest", inputDigest);
    root.put("begun", begun.toString());
    return root.toPrettyString() + "\n";
  }

  /**
   * @param where named in the error
   * @throws BulkgenException SETTINGS_CHANGED if the text is damaged
   */
  public static FrozenSettings fromJson(String text, String where) {
    try {
      JsonNode root = JSON.readTree(text);
      Map<String, String> values =
          JSON.convertValue(root.get("settings"), new TypeReference<Map<String, String>>() {});
      return new FrozenSettings(
          task(root),
          new TreeMap<>(values),
          root.get("model_digest").asText(),
          root.get("input_digest").asText(),
          LocalDateTime.parse(root.get("begun").asText()));
    } catch (JsonProcessingException | RuntimeException e) {
      throw new BulkgenException(
          ErrorCode.SETTINGS_CHANGED,
          where + " is damaged, so nothing says what the shards were made with",
          e);
    }
  }

  /** Folders that were begun before there were tasks name none. */
  private static TaskType task(JsonNode root) {
    String name = root.path("task").asText(TaskType.GENERATE.spelling());
    return Arrays.stream(TaskType.values())
        .filter(task -> task.spelling().equals(name))
        .findFirst()
        .orElseThrow();
  }

  /** What is not the same now, in words; empty if all is. */
  public List<String> changes(FrozenSettings now) {
    if (task != now.task()) {
      // Their settings are others too, which says nothing more.
      return List.of("task: was " + task.spelling() + ", now " + now.task().spelling());
    }
    List<String> changes = new ArrayList<>();
    TreeSet<String> names = new TreeSet<>(values.keySet());
    names.addAll(now.values().keySet());
    for (String name : names) {
      String before = values.get(name);
      String after = now.values().get(name);
      if (!java.util.Objects.equals(before, after)) {
        changes.add(name + ": was " + show(before) + ", now " + show(after));
      }
    }
    if (!modelDigest.equals(now.modelDigest())) {
      changes.add("model: the files are not those the folder was begun with");
    }
    if (!inputDigest.equals(now.inputDigest())) {
      changes.add("input: it is not what the folder was begun with");
    }
    return changes;
  }

  private static String show(String value) {
    return value == null ? "not set" : Setting.show(value);
  }
}
