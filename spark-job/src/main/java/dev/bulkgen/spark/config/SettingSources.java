package dev.bulkgen.spark.config;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.typesafe.config.Config;
import com.typesafe.config.ConfigException;
import com.typesafe.config.ConfigFactory;
import com.typesafe.config.ConfigUtil;
import com.typesafe.config.ConfigValue;
import com.typesafe.config.ConfigValueType;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Values that stand behind the command line: a settings file, then the model's own defaults. */
public final class SettingSources {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final long MOST_BYTES = 1 << 20;

  private SettingSources() {}

  /**
   * Reads a HOCON file whose keys are setting names, at the top or under {@code bulkgen}.
   *
   * @throws BulkgenException SETTING_INVALID if the file is missing or is no HOCON
   */
  public static Map<String, String> readFile(Path file) {
    if (!Files.isRegularFile(file)) {
      throw BulkgenException.of(ErrorCode.SETTING_INVALID, "settings file %s is not there", file);
    }
    try {
      Config config = ConfigFactory.parseFile(file.toFile()).resolve();
      Config root = config.hasPath("bulkgen") ? config.getConfig("bulkgen") : config;
      Map<String, String> values = new LinkedHashMap<>();
      for (Map.Entry<String, ConfigValue> entry : root.entrySet()) {
        String name = String.join(".", ConfigUtil.splitPath(entry.getKey()));
        values.put(name, text(entry.getValue()));
      }
      return values;
    } catch (ConfigException e) {
      throw new BulkgenException(
          ErrorCode.SETTING_INVALID, "settings file " + file + ": " + e.getMessage(), e);
    }
  }

  private static String text(ConfigValue value) {
    if (value.valueType() != ConfigValueType.LIST) {
      return String.valueOf(value.unwrapped());
    }
    List<String> items = new ArrayList<>();
    for (Object item : (List<?>) value.unwrapped()) {
      items.add(String.valueOf(item));
    }
    return list(items);
  }

  /** Spells a list as settings do. */
  public static String list(List<String> items) {
    try {
      return JSON.writeValueAsString(items);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("a list of texts is always JSON", e);
    }
  }

  /**
   * What the model's authors advise in {@code generation_config.json}. A model that does not say
   * {@code do_sample} is meant to be greedy, whatever temperature stands beside it.
   *
   * @throws BulkgenException MODEL_CORRUPT if the file is no JSON object
   */
  public static Map<String, String> modelDefaults(Path model) {
    Path file = model.resolve("generation_config.json");
    Map<String, String> values = new LinkedHashMap<>();
    if (!Files.isRegularFile(file)) {
      return values;
    }
    JsonNode root = readJson(file);
    if (root.path("do_sample").asBoolean(false)) {
      values.put("temperature", root.path("temperature").asText("1"));
      copy(root, "top_p", values, "top-p");
      copy(root, "top_k", values, "top-k");
      copy(root, "min_p", values, "min-p");
    }
    copy(root, "repetition_penalty", values, "repetition-penalty");
    return values;
  }

  private static JsonNode readJson(Path file) {
    try {
      if (Files.size(file) > MOST_BYTES) {
        throw BulkgenException.of(ErrorCode.MODEL_CORRUPT, "%s is larger than 1 MiB", file);
      }
      JsonNode root = JSON.readTree(file.toFile());
      if (root == null || !root.isObject()) {
        throw BulkgenException.of(ErrorCode.MODEL_CORRUPT, "%s is not a JSON object", file);
      }
      return root;
    } catch (IOException e) {
      throw new BulkgenException(
          ErrorCode.MODEL_CORRUPT, file + " cannot be read: " + e.getMessage(), e);
    }
  }

  private static void copy(JsonNode root, String key, Map<String, String> values, String name) {
    if (root.path(key).isNumber()) {
      values.put(name, root.path(key).asText());
    }
  }
}
