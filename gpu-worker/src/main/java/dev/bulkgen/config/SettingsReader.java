package dev.bulkgen.config;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigException;
import com.typesafe.config.ConfigFactory;
import com.typesafe.config.ConfigList;
import com.typesafe.config.ConfigRenderOptions;
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
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Reads settings from HOCON, all under {@code bulkgen { … }}, or from texts. An unknown key stops
 * the start and names the nearest known one; all mistakes are told at once.
 */
public final class SettingsReader {
  /** The one object that a settings file holds. */
  public static final String ROOT = "bulkgen";

  private static final long MAX_FILE_BYTES = 1 << 20;

  private final Map<String, Setting<?>> known = new LinkedHashMap<>();

  public SettingsReader(List<? extends Setting<?>> settings) {
    for (Setting<?> setting : settings) {
      if (known.put(setting.name(), setting) != null) {
        throw new IllegalArgumentException("two settings are called " + setting.name());
      }
    }
  }

  /**
   * @throws BulkgenException INPUT_NOT_FOUND if there is no such file; SETTING_UNKNOWN or
   *     SETTING_INVALID listing every mistake, with the line of each
   */
  public Settings read(Path file) {
    try {
      if (!Files.isRegularFile(file)) {
        throw BulkgenException.of(
            ErrorCode.INPUT_NOT_FOUND, "%s: there is no such settings file", file);
      }
      if (Files.size(file) > MAX_FILE_BYTES) {
        throw BulkgenException.of(
            ErrorCode.SETTING_INVALID, "%s: larger than 1 MiB; this is no settings file", file);
      }
      return parse(Files.readString(file), file.toString());
    } catch (IOException e) {
      throw new BulkgenException(
          ErrorCode.SETTING_INVALID, file + ": cannot be read as UTF-8 text (" + e + ")", e);
    }
  }

  /**
   * @param text HOCON
   * @param origin where it comes from, for messages
   * @throws BulkgenException as {@link #read}
   */
  public Settings parse(String text, String origin) {
    Config config;
    try {
      config = ConfigFactory.parseString(text).resolve();
    } catch (ConfigException e) {
      String reason = e.getMessage().replaceFirst("^String: ?", "line ");
      throw BulkgenException.of(ErrorCode.SETTING_INVALID, "%s: %s", origin, reason);
    }
    Collector collector = new Collector(origin);
    for (Map.Entry<String, ConfigValue> entry : new TreeMap<>(leaves(config)).entrySet()) {
      String place = "line " + entry.getValue().origin().lineNumber() + ": ";
      if (entry.getKey().startsWith(ROOT + ".")) {
        String name = entry.getKey().substring(ROOT.length() + 1);
        collector.add(place, name, toText(entry.getValue()));
      } else {
        collector.unknown(place + "'" + entry.getKey() + "' stands outside of " + ROOT + " { … }");
      }
    }
    return collector.settings();
  }

  /**
   * Reads values given one by one, as on a command line.
   *
   * @param texts by name; list elements stand in a list
   * @throws BulkgenException as {@link #read}
   */
  public Settings parse(Map<String, List<String>> texts, String origin) {
    Collector collector = new Collector(origin);
    texts.forEach(
        (name, values) -> collector.add("", name, String.join(Setting.LIST_SEPARATOR, values)));
    return collector.settings();
  }

  /** The known name nearest to {@code name}; empty if none is near. */
  public Optional<String> nearest(String name) {
    int allowed = Math.max(2, name.length() / 3);
    String best = null;
    int bestDistance = allowed + 1;
    for (String candidate : known.keySet()) {
      int distance = distance(name.toLowerCase(Locale.ROOT).replace('_', '-'), candidate);
      if (distance < bestDistance) {
        best = candidate;
        bestDistance = distance;
      }
    }
    return Optional.ofNullable(best);
  }

  private static Map<String, ConfigValue> leaves(Config config) {
    Map<String, ConfigValue> leaves = new LinkedHashMap<>();
    for (Map.Entry<String, ConfigValue> entry : config.entrySet()) {
      leaves.put(String.join(".", ConfigUtil.splitPath(entry.getKey())), entry.getValue());
    }
    return leaves;
  }

  private static String toText(ConfigValue value) {
    if (value.valueType() == ConfigValueType.LIST) {
      List<String> parts = new ArrayList<>();
      for (ConfigValue element : (ConfigList) value) {
        parts.add(toText(element));
      }
      return String.join(Setting.LIST_SEPARATOR, parts);
    }
    return value.valueType() == ConfigValueType.OBJECT
        ? value.render(ConfigRenderOptions.concise())
        : String.valueOf(value.unwrapped());
  }

  /** Levenshtein's edit distance: insertions, deletions and substitutions. */
  static int distance(String a, String b) {
    int[] previous = new int[b.length() + 1];
    for (int j = 0; j <= b.length(); j++) {
      previous[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      int[] current = new int[b.length() + 1];
      current[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int substituted = previous[j - 1] + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        current[j] = Math.min(substituted, 1 + Math.min(previous[j], current[j - 1]));
      }
      previous = current;
    }
    return previous[b.length()];
  }

  /** Gathers values and mistakes of one source. */
  private final class Collector {
    private final String origin;
    private final Map<Setting<?>, Object> values = new LinkedHashMap<>();
    private final List<String> mistakes = new ArrayList<>();
    private boolean onlyUnknown = true;

    Collector(String origin) {
      this.origin = origin;
    }

    void add(String place, String name, String text) {
      Setting<?> setting = known.get(name);
      if (setting == null) {
        String hint = nearest(name).map(near -> "; did you mean " + near + "?").orElse("");
        unknown(place + "there is no setting '" + name + "'" + hint);
        return;
      }
      try {
        values.put(setting, setting.reader().apply(text));
      } catch (IllegalArgumentException | BulkgenException e) {
        onlyUnknown = false;
        mistakes.add(place + name + ": " + e.getMessage());
      }
    }

    void unknown(String mistake) {
      mistakes.add(mistake);
    }

    Settings settings() {
      if (mistakes.isEmpty()) {
        return new Settings(values);
      }
      throw new BulkgenException(
          onlyUnknown ? ErrorCode.SETTING_UNKNOWN : ErrorCode.SETTING_INVALID,
          origin + ": " + String.join("\n" + origin + ": ", mistakes));
    }
  }
}
