package dev.bulkgen.spark.config;

import dev.bulkgen.config.Setting;
import java.util.Set;

/**
 * A setting as the job sees it.
 *
 * @param tasks that know it; the others refuse it by name
 * @param placeholder stands for a value in the help; empty for a flag
 */
public record JobSetting(
    Setting<?> setting, Group group, Effect effect, Set<TaskType> tasks, String placeholder) {

  /** The heading it stands under in the help. */
  public enum Group {
    DATA("Data"),
    SAMPLING("Sampling"),
    ENGINE("Engine"),
    JOB("Job");

    private final String title;

    Group(String title) {
      this.title = title;
    }

    public String title() {
      return title;
    }
  }

  /** Whether a value changes the rows, so that a resumed run must agree on it. */
  public enum Effect {
    ROWS,
    RUN
  }

  public String name() {
    return setting.name();
  }
}
