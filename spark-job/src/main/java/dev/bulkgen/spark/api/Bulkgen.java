package dev.bulkgen.spark.api;

import dev.bulkgen.config.EngineSettings;
import dev.bulkgen.config.Setting;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.sampling.SamplingSettings;
import dev.bulkgen.spark.config.DataSettings;
import dev.bulkgen.spark.config.TaskType;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.spark.SparkException;
import org.apache.spark.api.java.function.VoidFunction2;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/**
 * Bulk generation and scoring over a DataFrame or over files, from a program that has a Spark
 * session:
 *
 * <pre>{@code
 * Dataset<Row> answers =
 *     Bulkgen.on(spark).model("/models/m").kvCache("kivi2").output("/data/answers").generate(questions);
 * }</pre>
 *
 * <p>{@code generate} and {@code score} are actions, not transformations: when they return, the
 * results lie in the output folder, and the Dataset they return reads them from there. Spark
 * recomputes what is lazy, and would do all again. The folder is a ledger: the same call again runs
 * only what is missing, and nothing where all is done; other settings, another model or other rows
 * are refused.
 *
 * <p>Without an {@code output} the folder is {@code bulkgen/DIGEST} below {@code
 * spark.sql.warehouse.dir}; the digest is that of model, settings and rows, so that the same call
 * finds it again. That costs a pass over the DataFrame, and rows that differ from run to run get a
 * folder each.
 *
 * <p>What a call does not set is taken from the session's {@code spark.bulkgen.NAME}, then from
 * what the model's authors advise, then from the defaults. Objects are immutable: every setter
 * returns another one. Not for Spark Connect, whose client has no driver in its process: use {@code
 * CALL bulkgen.system.generate} and {@code score}.
 */
public final class Bulkgen {
  private final SparkSession session;
  private final TreeMap<String, List<String>> given;
  private final Optional<String> inputName;

  private Bulkgen(
      SparkSession session, TreeMap<String, List<String>> given, Optional<String> inputName) {
    this.session = session;
    this.given = given;
    this.inputName = inputName;
  }

  public static Bulkgen on(SparkSession session) {
    return new Bulkgen(session, new TreeMap<>(), Optional.empty());
  }

  /** The model, a folder in the layout of Hugging Face. */
  public Bulkgen model(String folder) {
    return set(EngineSettings.MODEL.name(), folder);
  }

  /** {@code auto}, {@code fp16}, {@code kivi2}, {@code kivi4} or {@code kivi:k=4,v=2,…}. */
  public Bulkgen kvCache(String policy) {
    return set(EngineSettings.KV_CACHE.name(), policy);
  }

  public Bulkgen promptColumn(String column) {
    return set(DataSettings.PROMPT_COLUMN.name(), column);
  }

  /** A column of array&lt;struct&lt;role,content&gt;&gt; or of JSON text. */
  public Bulkgen messagesColumn(String column) {
    return set(DataSettings.MESSAGES_COLUMN.name(), column);
  }

  /** Text with {@code {column}} places. */
  public Bulkgen promptTemplate(String template) {
    return set(DataSettings.PROMPT_TEMPLATE.name(), template);
  }

  public Bulkgen systemPrompt(String text) {
    return set(DataSettings.SYSTEM_PROMPT.name(), text);
  }

  /** A column with what is scored after the prompt: one completion, or an array of choices. */
  public Bulkgen completionColumn(String column) {
    return set(DataSettings.COMPLETION_COLUMN.name(), column);
  }

  /** A column with whole texts to score. */
  public Bulkgen textColumn(String column) {
    return set(DataSettings.TEXT_COLUMN.name(), column);
  }

  public Bulkgen idColumn(String column) {
    return set(DataSettings.ID_COLUMN.name(), column);
  }

  public Bulkgen maxTokens(int tokens) {
    return set(SamplingSettings.MAX_TOKENS.name(), String.valueOf(tokens));
  }

  public Bulkgen temperature(double temperature) {
    return set(SamplingSettings.TEMPERATURE.name(), Setting.spell(temperature));
  }

  public Bulkgen seed(long seed) {
    return set(SamplingSettings.SEED.name(), String.valueOf(seed));
  }

  /** The folder of the results: a path of any file system that Spark reaches. */
  public Bulkgen output(String folder) {
    return set(DataSettings.OUTPUT.name(), folder);
  }

  /**
   * A name that stands for the rows: a resumed run compares it in place of the rows' content, and
   * does not run the DataFrame again. For rows that are dear to compute, or differ from run to run;
   * whoever gives other rows the same name gets the results of the first ones.
   */
  public Bulkgen inputName(String name) {
    return new Bulkgen(session, given, Optional.of(name));
  }

  /**
   * Any setting by its name on the command line; names and values are checked when the job starts.
   *
   * @param values several for a setting that takes a list, such as {@code stop}
   */
  public Bulkgen set(String name, String... values) {
    TreeMap<String, List<String>> more = new TreeMap<>(given);
    more.put(name, List.of(values));
    return new Bulkgen(session, more, inputName);
  }

  public Bulkgen set(Map<String, String> settings) {
    TreeMap<String, List<String>> more = new TreeMap<>(given);
    settings.forEach((name, value) -> more.put(name, List.of(value)));
    return new Bulkgen(session, more, inputName);
  }

  /**
   * Generates for every row.
   *
   * @return the results: the columns of {@code rows}, then those of the result
   * @throws BulkgenException SETTING_UNKNOWN, SETTING_INVALID, SETTINGS_CHANGED, and whatever else
   *     stops a job; TOO_MANY_ROW_ERRORS if more rows failed than {@code max-error-rate}
   */
  public Dataset<Row> generate(Dataset<Row> rows) {
    return call(TaskType.GENERATE).over(rows, inputName).read();
  }

  /**
   * Generates for every row of a file or folder.
   *
   * @throws BulkgenException as {@link #generate(Dataset)}
   */
  public Dataset<Row> generate(String input) {
    return call(TaskType.GENERATE).over(input).read();
  }

  /**
   * Scores the completions or texts of every row: {@code loglikelihood}, {@code is_greedy}, {@code
   * num_tokens} and more, one row a choice.
   *
   * @throws BulkgenException as {@link #generate(Dataset)}
   */
  public Dataset<Row> score(Dataset<Row> rows) {
    return call(TaskType.SCORE).over(rows, inputName).read();
  }

  /**
   * Scores every row of a file or folder.
   *
   * @throws BulkgenException as {@link #generate(Dataset)}
   */
  public Dataset<Row> score(String input) {
    return call(TaskType.SCORE).over(input).read();
  }

  /** As {@link #generate(Dataset)}, for whoever wants the figures and not the rows. */
  public FinishedJob run(Dataset<Row> rows) {
    return run(TaskType.GENERATE, rows);
  }

  /** As {@link #generate(String)}, for whoever wants the figures and not the rows. */
  public FinishedJob run(String input) {
    return run(TaskType.GENERATE, input);
  }

  /** Does the task with every row, for whoever wants the figures and not the rows. */
  public FinishedJob run(TaskType task, Dataset<Row> rows) {
    return call(task).over(rows, inputName).run();
  }

  /** Does the task with every row of a file or folder. */
  public FinishedJob run(TaskType task, String input) {
    return call(task).over(input).run();
  }

  /**
   * For {@code writeStream().foreachBatch(…)}: each micro-batch goes to {@code batch=ID} below the
   * output folder, which {@code spark.read().parquet(output)} reads as one dataset with a column
   * {@code batch}. Spark gives a batch again after a crash: its finished units are kept, and one
   * that was done before costs a pass over its rows. With {@code Trigger.AvailableNow()} a
   * scheduled query generates for what is new and ends.
   */
  public VoidFunction2<Dataset<Row>, Long> foreachBatch() {
    return foreachBatch(TaskType.GENERATE);
  }

  /** The same for a task: {@code foreachBatch(TaskType.SCORE)} scores what is new. */
  public VoidFunction2<Dataset<Row>, Long> foreachBatch(TaskType task) {
    return (rows, batchId) -> runBatch(task, rows, batchId);
  }

  /**
   * One micro-batch, as {@link #foreachBatch()} does it; an empty one is left out.
   *
   * @throws BulkgenException SETTING_INVALID without an output folder; SETTINGS_CHANGED if the
   *     folder of the batch was made of other rows, as after a lost checkpoint
   * @throws InterruptedException if the query was stopped; SparkException if its job group was
   *     cancelled
   */
  public void generateBatch(Dataset<Row> rows, long batchId)
      throws InterruptedException, SparkException {
    runBatch(TaskType.GENERATE, rows, batchId);
  }

  /** One micro-batch, as {@link #foreachBatch(TaskType)} scores it. */
  public void scoreBatch(Dataset<Row> rows, long batchId)
      throws InterruptedException, SparkException {
    runBatch(TaskType.SCORE, rows, batchId);
  }

  private void runBatch(TaskType task, Dataset<Row> rows, long batchId)
      throws InterruptedException, SparkException {
    if (rows.isEmpty()) {
      return;
    }
    try {
      call(task).batch(rows, batchId).run();
    } catch (BulkgenException e) {
      // Spark tells a stopped query from a failed one by these as they are, not as causes of ours.
      if (e.getCause() instanceof InterruptedException stopped) {
        throw stopped;
      }
      if (e.getCause() instanceof SparkException cancelled
          && "SPARK_JOB_CANCELLED".equals(cancelled.getCondition())) {
        throw cancelled;
      }
      throw e;
    }
  }

  private JobCall call(TaskType task) {
    return new JobCall(task, session, given);
  }
}
