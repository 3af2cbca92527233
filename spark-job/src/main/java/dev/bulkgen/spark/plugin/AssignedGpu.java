package dev.bulkgen.spark.plugin;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.Map;
import java.util.OptionalInt;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.resource.ResourceInformation;

/**
 * The GPU that Spark gave this executor. Known from the executor's resources where the plugin is
 * there, else from those of a task.
 */
final class AssignedGpu {
  private static final String AMOUNT = "spark.executor.resource.gpu.amount";

  private static volatile Map<String, ResourceInformation> executor = Map.of();

  private AssignedGpu() {}

  /** What the plugin was told when the executor began. */
  static void know(Map<String, ResourceInformation> resources) {
    executor = Map.copyOf(resources);
  }

  /**
   * To be called by the plugin or in a task.
   *
   * @return empty where Spark was asked for none
   * @throws BulkgenException SETTING_INVALID for several, or for an address that is no number
   */
  static OptionalInt device() {
    String amount = SparkEnv.get() == null ? "1" : SparkEnv.get().conf().get(AMOUNT, "1");
    if (!amount.equals("1")) {
      throw severalGpus(amount + " GPUs");
    }
    Map<String, ResourceInformation> resources = executor;
    if (!resources.containsKey("gpu") && TaskContext.get() != null) {
      resources = TaskContext.get().resourcesJMap();
    }
    ResourceInformation gpu = resources.get("gpu");
    return gpu == null ? OptionalInt.empty() : OptionalInt.of(number(gpu.addresses()));
  }

  static int number(String... addresses) {
    if (addresses.length != 1) {
      throw severalGpus("the GPUs " + String.join(", ", addresses));
    }
    try {
      return Integer.parseUnsignedInt(addresses[0].trim());
    } catch (NumberFormatException e) {
      throw BulkgenException.of(
          ErrorCode.SETTING_INVALID,
          "the GPU's address '%s' is no device number: let the script behind"
              + " spark.executor.resource.gpu.discoveryScript or the worker's resources file print"
              + " numbers, such as deploy/ has one",
          addresses[0]);
    }
  }

  private static BulkgenException severalGpus(String what) {
    return BulkgenException.of(
        ErrorCode.SETTING_INVALID,
        "this executor was given %s, and runs one engine on one of them: set %s=1, spark.executor"
            + ".cores to the task slots that share a GPU, spark.task.resource.gpu.amount to 1 divided"
            + " by these, and start one executor a GPU",
        what,
        AMOUNT);
  }
}
