package dev.bulkgen.spark.plan;

import dev.bulkgen.config.BackendChoice;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.spark.config.JobSettings;
import java.nio.file.Files;

/**
 * About how many tokens a device does in a second, prompts and outputs together: two operations a
 * weight and token, at a rate that a full batch reaches. Right within a factor of a few, which is
 * what cutting units needs.
 */
final class DevicePace {
  private static final double CORE_RATE = 15e9;
  private static final double CARD_RATE = 4e13;
  private static final double OPERATIONS_A_WEIGHT = 2;

  /** Where there is no model to ask. */
  private static final double USUAL = 1000;

  private DevicePace() {}

  /**
   * @param cards whether executors are given GPUs
   */
  static double tokensPerSecond(JobSettings settings, boolean cards) {
    EngineConfig engine = settings.engine();
    if (!Files.exists(engine.model().resolve("config.json"))) {
      return USUAL;
    }
    boolean card =
        engine.backend() == BackendChoice.CUDA || engine.backend() == BackendChoice.AUTO && cards;
    double rate = card ? CARD_RATE : CORE_RATE * engine.threads();
    long weights = ModelFolder.describe(engine.model()).parameterCount();
    return rate / (OPERATIONS_A_WEIGHT * weights);
  }
}
