package dev.bulkgen.spark.config;

import dev.bulkgen.config.Setting;
import dev.bulkgen.spark.config.RunSettings.ResumeMode;
import java.util.List;

/** The settings of how a job runs; none of them changes a row. */
public final class ExecutionSettings {
  private static final int MOST_UNIT_ROWS = 1_000_000;
  private static final int MOST_GPU_SLOTS = 1024;

  public static final Setting<String> MASTER =
      Setting.text("master", "url", "Spark master.").withDefault("local[*]");
  public static final Setting<List<String>> CONF =
      Setting.texts("conf", "Spark setting KEY=VALUE; may be repeated.")
          .withDescribedDefault("none");
  public static final Setting<Integer> UNIT_ROWS =
      Setting.integer("unit-rows", 1, MOST_UNIT_ROWS, "Rows a work unit.")
          .withDescribedDefault("by estimated cost");
  public static final Setting<Double> UNIT_MINUTES =
      Setting.number(
              "unit-minutes", 0.1, 1440, "About how long a device should take for a work unit.")
          .withDefault("2");
  public static final Setting<Double> MAX_ERROR_RATE =
      Setting.number(
              "max-error-rate", 0, 1, "Stop once more than this share of the rows has failed.")
          .withDefault("0.01");
  public static final Setting<ResumeMode> RESUME =
      Setting.choice(
              "resume", ResumeMode.class, "What to do with an output folder that was begun before.")
          .withDefault("if-possible");
  public static final Setting<Boolean> DRY_RUN =
      Setting.flag("dry-run", "Print the memory plan and the unit plan, write nothing.")
          .withDefault("false");

  public static final Setting<String> MODEL_CACHE =
      Setting.text(
              "model-cache",
              "path",
              "Folder on each node for models that lie elsewhere, such as hdfs:// or s3a://; each"
                  + " is fetched once a node.")
          .withDescribedDefault("bulkgen-models in the folder for temporary files");
  public static final Setting<Integer> GPU_SLOTS =
      Setting.integer(
              "gpu-slots",
              1,
              MOST_GPU_SLOTS,
              "Ask for GPUs in the generation stage alone, each shared by so many tasks (stage-level"
                  + " scheduling).")
          .withDescribedDefault("as spark.task.resource.gpu.amount says, in all stages");
  public static final Setting<Double> PRICE_PER_HOUR =
      Setting.number(
              "price-per-hour", 0, 1e6, "Price of an executor's hour, for the cost in the report.")
          .withDescribedDefault("none");

  /** In the order of the help. */
  public static final List<Setting<?>> ALL =
      List.of(
          MASTER,
          CONF,
          UNIT_ROWS,
          UNIT_MINUTES,
          MAX_ERROR_RATE,
          RESUME,
          DRY_RUN,
          MODEL_CACHE,
          GPU_SLOTS,
          PRICE_PER_HOUR);

  private ExecutionSettings() {}
}
