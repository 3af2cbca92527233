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
import java.util.LinkedHashMap;
import java.util.List;
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
    Mistakes mistakes = new Mistakes();
    Settings settings = read(file, mistakes);
    mistakes.throwIfAny();
    return settings;
  }

  /**
   * Reads what can be read and puts the rest down.
   *
   * @throws BulkgenException INPUT_NOT_FOUND if there is no such file; SETTING_INVALID if it is no
   *     HOCON
   */
  public Settings read(Path file, Mistakes mistakes) {
    try {
      if (!Files.isRegularFile(file)) {
        throw BulkgenException.of(
            ErrorCode.INPUT_NOT_FOUND, "%s: there is no such settings file", file);
      }
      if (Files.size(file) > MAX_FILE_BYTES) {
        throw BulkgenException.of(
            ErrorCode.SETTING_INVALID, "%s: larger than 1 MiB; this is no settings file", file);
      }
      return parse(Files.readString(file), file.toString(), mistakes);
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
    Mistakes mistakes = new Mistakes();
    Settings settings = parse(text, origin, mistakes);
    mistakes.throwIfAny();
    return settings;
  }

  private Settings parse(String text, String origin, Mistakes mistakes) {
    Config config;
    try {
      config = ConfigFactory.parseString(text).resolve();
    } catch (ConfigException e) {
      String reason = e.getMessage().replaceFirst("^String: ?", "line ");
      throw BulkgenException.of(ErrorCode.SETTING_INVALID, "%s: %s", origin, reason);
    }
    Collector collector = new Collector(origin, mistakes);
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
    Mistakes mistakes = new Mistakes();
    Settings settings = parse(texts, origin, mistakes);
    mistakes.throwIfAny();
    return settings;
  }

  /** Reads what can be read and puts the rest down. */
  public Settings parse(Map<String, List<String>> texts, String origin, Mistakes mistakes) {
    Collector collector = new Collector(origin, mistakes);
    texts.forEach(
        (name, values) -> {
          Setting<?> setting = known.get(name);
          boolean list = setting != null && setting.kind() == Setting.Kind.LIST;
          collector.add("", name, list ? Setting.join(values) : String.join(" ", values));
        });
    return collector.settings();
  }

  /**
   * Reads what {@link Setting#spell} wrote.
   *
   * @throws BulkgenException as {@link #read}
   */
  public Settings parseSpelled(Map<String, String> spelled, String origin) {
    Mistakes mistakes = new Mistakes();
    Collector collector = new Collector(origin, mistakes);
    spelled.forEach((name, text) -> collector.add("", name, text));
    mistakes.throwIfAny();
    return collector.settings();
  }

  /** The known name nearest to {@code name}; empty if none is near. */
  public Optional<String> nearest(String name) {
    return Suggestion.nearest(name, known.keySet());
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
      return Setting.join(((ConfigList) value).stream().map(SettingsReader::toText).toList());
    }
    return value.valueType() == ConfigValueType.OBJECT
        ? value.render(ConfigRenderOptions.concise())
        : String.valueOf(value.unwrapped());
  }

  /** Gathers the values of one source. */
  private final class Collector {
    private final String origin;
    private final Mistakes mistakes;
    private final Map<Setting<?>, Object> values = new LinkedHashMap<>();

    Collector(String origin, Mistakes mistakes) {
      this.origin = origin + ": ";
      this.mistakes = mistakes;
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
        mistakes.invalid(origin + place + name + ": " + e.getMessage());
      }
    }

    void unknown(String mistake) {
      mistakes.unknown(origin + mistake);
    }

    Settings settings() {
      return new Settings(values);
    }
  }
}
