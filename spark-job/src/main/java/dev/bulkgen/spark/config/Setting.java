package dev.bulkgen.spark.config;

import java.util.List;

/**
 * One option of the job: the command line, the settings file and the folder's {@code settings.json}
 * all spell it alike.
 *
 * @param choices the values allowed; empty where any value of the kind is
 * @param defaultValue null where nothing is assumed
 */
public record Setting(
    String name,
    Kind kind,
    Group group,
    Effect effect,
    String placeholder,
    List<String> choices,
    String defaultValue,
    String help) {

  /** How a value is spelled. */
  public enum Kind {
    TEXT,
    INTEGER,
    NUMBER,
    BYTES,
    CHOICE,
    FLAG,
    /** May be given several times; kept as a JSON array of strings. */
    LIST
  }

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
}
