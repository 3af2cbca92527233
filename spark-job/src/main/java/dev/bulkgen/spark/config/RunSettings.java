package dev.bulkgen.spark.config;

import java.util.Map;
import java.util.OptionalInt;

/** How the job runs; nothing here changes a row. */
public record RunSettings(
    String master,
    Map<String, String> sparkConf,
    OptionalInt unitRows,
    double maxErrorRate,
    ResumeMode resume,
    Mode mode) {

  /** {@code --resume}: what an output folder with an earlier run means. */
  public enum ResumeMode {
    /** It is refused. */
    NEVER,
    /** It is taken up where the settings are the same; an empty folder is begun. */
    IF_POSSIBLE,
    /** There has to be one. */
    ALWAYS
  }

  public enum Mode {
    GENERATE,
    DRY_RUN
  }
}
