package dev.bulkgen.spark.config;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.typesafe.config.Config;
import com.typesafe.config.ConfigException;
import com.typesafe.config.ConfigFactory;
import com.typesafe.config.ConfigUtil;
import com.typesafe.config.ConfigValue;
import com.typesafe.config.ConfigValueType;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.GenerationDefaults;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Values that stand behind the command line: a settings file, then the model's own defaults. */
public final class SettingSources {
  private static final ObjectMapper JSON = new ObjectMapper();

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
   * What the model's authors advise. A model that does not say {@code do_sample} is meant to be
   * greedy, whatever temperature stands beside it.
   */
  public static Map<String, String> modelDefaults(GenerationDefaults defaults) {
    Map<String, String> values = new LinkedHashMap<>();
    if (defaults.doSample().orElse(false)) {
      values.put("temperature", String.valueOf(defaults.temperature().orElse(1)));
      defaults.topP().ifPresent(value -> values.put("top-p", String.valueOf(value)));
      defaults.topK().ifPresent(value -> values.put("top-k", String.valueOf(value)));
      defaults.minP().ifPresent(value -> values.put("min-p", String.valueOf(value)));
    }
    defaults
        .repetitionPenalty()
        .ifPresent(value -> values.put("repetition-penalty", String.valueOf(value)));
    return values;
  }
}
