package dev.bulkgen.spark.config;

import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;

/**
 * How the job runs; nothing here changes a row.
 *
 * @param gpuSlots tasks that share a GPU where only the generation stage asks for GPUs; empty: as
 *     Spark's configuration says, for all stages
 * @param pricePerHour of one executor with its device
 */
public record RunSettings(
    String master,
    Map<String, String> sparkConf,
    OptionalInt unitRows,
    double unitMinutes,
    double maxErrorRate,
    ResumeMode resume,
    Mode mode,
    Optional<String> modelCache,
    OptionalInt gpuSlots,
    OptionalDouble pricePerHour) {

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
    RUN,
    DRY_RUN
  }
}
