package dev.bulkgen.spark.config;

import dev.bulkgen.config.Mistakes;
import dev.bulkgen.config.Settings;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Predicate;

/**
 * Settings that a Spark session carries as {@code spark.bulkgen.NAME}: what a call does not say
 * itself is taken from there.
 */
public final class SessionSettings {
  public static final String PREFIX = "spark.bulkgen.";

  /** What a session that is there already has decided, or a call inside Spark has no use for. */
  private static final Set<String> NOT_IN_A_SESSION =
      Set.of(
          ExecutionSettings.MASTER.name(),
          ExecutionSettings.CONF.name(),
          ExecutionSettings.DRY_RUN.name(),
          // A call is given rows, or names a table as its input.
          DataSettings.INPUT_TABLE.name());

  private SessionSettings() {}

  /** Whether a call inside a session may give the setting. */
  public static boolean isAllowed(JobSetting setting) {
    return !NOT_IN_A_SESSION.contains(setting.name());
  }

  /**
   * @param conf of the session
   */
  public static Settings of(Map<String, String> conf, Mistakes mistakes) {
    return of(conf, name -> true, mistakes);
  }

  /**
   * What of them the task knows: a session serves several tasks.
   *
   * @param conf of the session
   */
  public static Settings of(Map<String, String> conf, TaskType task, Mistakes mistakes) {
    return of(
        conf,
        name -> SettingCatalogue.find(name).map(it -> it.tasks().contains(task)).orElse(true),
        mistakes);
  }

  private static Settings of(
      Map<String, String> conf, Predicate<String> isWanted, Mistakes mistakes) {
    Map<String, List<String>> texts = new TreeMap<>();
    conf.forEach(
        (key, value) -> {
          if (key.startsWith(PREFIX) && isWanted.test(key.substring(PREFIX.length()))) {
            texts.put(key.substring(PREFIX.length()), List.of(value));
          }
        });
    return parse(texts, "spark.bulkgen", mistakes);
  }

  /**
   * Reads what a call gives.
   *
   * @param texts by name of the setting
   * @param origin of the texts, for messages
   */
  public static Settings parse(Map<String, List<String>> texts, String origin, Mistakes mistakes) {
    Map<String, List<String>> allowed = new TreeMap<>(texts);
    for (String name : NOT_IN_A_SESSION) {
      if (allowed.remove(name) != null) {
        mistakes.invalid(
            "%s: '%s' belongs to the command line; here the session decides", origin, name);
      }
    }
    return JobSettingsReader.reader().parse(allowed, origin, mistakes);
  }
}
