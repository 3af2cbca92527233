package dev.bulkgen.spark.job;

import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.JobSettingsReader;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.plan.UnitPlan;
import dev.bulkgen.spark.plugin.EngineSpec;
import dev.bulkgen.spark.sink.ResultSchema;
import dev.bulkgen.spark.sink.ShardIdentity;
import dev.bulkgen.spark.source.Columns;
import dev.bulkgen.spark.source.PromptReader;
import java.io.Serializable;
import java.time.LocalDateTime;
import java.util.OptionalInt;
import java.util.TreeMap;
import org.apache.spark.sql.types.StructType;

/**
 * What the driver sends to every task.
 *
 * @param type what is done with each row
 * @param values the job's settings by name
 * @param answerColumn among the input columns, -1 for none
 * @param engine that all executors are to have
 * @param begun what chat templates may print as today
 */
record TaskSettings(
    TaskType type,
    TreeMap<String, String> values,
    String planFolder,
    String format,
    StructType inputSchema,
    ResultSchema resultSchema,
    ShardIdentity identity,
    int answerColumn,
    EngineSpec engine,
    LocalDateTime begun)
    implements Serializable {

  static TaskSettings of(
      JobSettings settings,
      UnitPlan plan,
      String planFolder,
      ShardIdentity identity,
      EngineSpec engine,
      LocalDateTime begun) {
    StructType input = plan.inputSchema();
    PromptReader prompts = PromptReader.create(settings.input(), plan.format(), input);
    return new TaskSettings(
        settings.task(),
        new TreeMap<>(settings.values()),
        planFolder,
        plan.format(),
        input,
        ResultColumns.of(settings, prompts, input),
        identity,
        settings.input().answerColumn().map(name -> answer(name, input)).orElse(-1),
        engine,
        begun);
  }

  private static int answer(String name, StructType input) {
    return ResultColumns.requireText(new Columns(input), name);
  }

  JobSettings settings() {
    return JobSettingsReader.read(type, values);
  }

  OptionalInt answer() {
    return answerColumn < 0 ? OptionalInt.empty() : OptionalInt.of(answerColumn);
  }

  /** Names the job to what counts its rows. */
  String job() {
    return identity.planDigest();
  }
}
