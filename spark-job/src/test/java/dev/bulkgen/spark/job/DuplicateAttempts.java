package dev.bulkgen.spark.job;

import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.JobSettingsReader;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.plan.PlanFolder;
import dev.bulkgen.spark.plan.PlanSchema;
import dev.bulkgen.spark.plan.UnitPlan;
import dev.bulkgen.spark.plan.UnitSpec;
import dev.bulkgen.spark.plugin.EngineSpec;
import dev.bulkgen.spark.sink.ShardFormat;
import dev.bulkgen.spark.sink.ShardIdentity;
import dev.bulkgen.spark.storage.ParquetRowReader;
import dev.bulkgen.spark.storage.Storage;
import java.io.Serializable;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.BarrierTaskContext;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.SerializableConfiguration;
import scala.collection.Iterator;
import scala.collection.Iterator$;
import scala.reflect.ClassTag$;
import scala.runtime.AbstractFunction1;

/** Two attempts at each unit of a job that was run before, which begin together and both end. */
public final class DuplicateAttempts {
  private DuplicateAttempts() {}

  /** An attempt that waits for the other. */
  private static final class Attempt
      extends AbstractFunction1<Iterator<UnitSpec>, Iterator<UnitResult>> implements Serializable {
    private static final long serialVersionUID = 1L;

    private final UnitTask task;

    Attempt(UnitTask task) {
      this.task = task;
    }

    @Override
    public Iterator<UnitResult> apply(Iterator<UnitSpec> units) {
      BarrierTaskContext.get().barrier();
      return Iterator$.MODULE$.single(task.apply(TaskContext.get(), units).get());
    }
  }

  static TaskSettings task(SparkSession spark, JobSettings settings) {
    Path output = new Path(settings.output().path());
    Configuration configuration = spark.sparkContext().hadoopConfiguration();
    Path folder = new Path(output, "_bulkgen/plan");
    UnitPlan plan = new PlanFolder(Storage.of(output, configuration), folder).read().orElseThrow();
    String model = ModelFolder.open(settings.engine().model()).digest();
    return TaskSettings.of(
        settings,
        plan,
        folder.toString(),
        new ShardIdentity(plan.digest(), settings.digest(model), ShardFormat.of(settings)),
        EngineSpec.of(settings.values(), spark.sparkContext().master(), model),
        LocalDateTime.of(2026, 1, 2, 3, 4));
  }

  /** Results two by two. */
  static List<UnitResult> run(SparkSession spark, TaskSettings task) {
    Path folder = new Path(task.planFolder());
    Configuration configuration = spark.sparkContext().hadoopConfiguration();
    UnitPlan plan = new PlanFolder(Storage.of(folder, configuration), folder).read().orElseThrow();
    UnitTask function =
        new UnitTask(
            task,
            ParquetRowReader.create(spark, PlanSchema.of(plan.inputSchema())),
            new SerializableConfiguration(configuration),
            UnitCounters.register(spark.sparkContext(), TaskType.GENERATE));
    List<UnitResult> results = new ArrayList<>();
    for (UnitSpec unit : plan.units()) {
      results.addAll(
          JavaSparkContext.fromSparkContext(spark.sparkContext())
              .parallelize(List.of(unit, unit), 2)
              .rdd()
              .barrier()
              .mapPartitions(
                  new Attempt(function),
                  false,
                  ClassTag$.MODULE$.<UnitResult>apply(UnitResult.class))
              .toJavaRDD()
              .collect());
    }
    return results;
  }

  /** With spark-submit; settings as NAME=VALUE. Prints who has generated how many tokens. */
  public static void main(String[] arguments) {
    Map<String, String> values = new TreeMap<>();
    for (String argument : arguments) {
      String[] parts = argument.split("=", 2);
      values.put(parts[0], parts[1]);
    }
    SparkSession spark = SparkSession.builder().getOrCreate();
    try {
      Map<String, Long> tokens = new TreeMap<>();
      List<UnitResult> results =
          run(spark, task(spark, JobSettingsReader.read(TaskType.GENERATE, values)));
      for (int index = 0; index < results.size(); index++) {
        UnitResult result = results.get(index);
        if (!result.facts().equals(results.get(index ^ 1).facts())) {
          throw new IllegalStateException("attempts differ: " + results);
        }
        tokens.put(result.engine().executor(), result.engine().figures().generatedTokens());
      }
      tokens.forEach(
          (executor, count) ->
              System.out.printf(Locale.ROOT, "executor %s generated %d%n", executor, count));
    } finally {
      spark.stop();
    }
  }
}
