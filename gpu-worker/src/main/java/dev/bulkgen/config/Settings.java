package dev.bulkgen.config;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Optional;

/** Values of known settings from one source, or from several merged by {@link #orElse}. */
public final class Settings {
  public static final Settings NONE = new Settings(Map.of());

  private final Map<Setting<?>, Object> values;

  Settings(Map<Setting<?>, Object> values) {
    this.values = new LinkedHashMap<>(values);
  }

  /** The value given; empty if none is, whatever the default. */
  public <T> Optional<T> given(Setting<T> setting) {
    @SuppressWarnings("unchecked") // the reader of the setting made it
    T value = (T) values.get(setting);
    return Optional.ofNullable(value);
  }

  /** The value given, else the default; empty where the default depends on model or machine. */
  public <T> Optional<T> find(Setting<T> setting) {
    return given(setting).or(setting::defaultValue);
  }

  /**
   * @throws NoSuchElementException if nothing is given and there is no fixed default
   */
  public <T> T value(Setting<T> setting) {
    return find(setting).orElseThrow(() -> new NoSuchElementException(setting.name()));
  }

  /** These, and from {@code weaker} what these do not have. */
  public Settings orElse(Settings weaker) {
    Map<Setting<?>, Object> merged = new LinkedHashMap<>(weaker.values);
    merged.putAll(values);
    return new Settings(merged);
  }
}
