package dev.bulkgen.spark.sink;

import dev.bulkgen.engine.Completion;
import dev.bulkgen.engine.Usage;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.spark.storage.Storage;
import java.io.Closeable;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.types.DataTypes;

/**
 * Writes a unit's shard. Called by the task, rows in the order of the input; the file appears whole
 * at {@link #commit} or not at all.
 */
public final class ShardWriter implements Closeable {
  private final ShardIdentity identity;
  private final OptionalInt answerColumn;
  private final int unit;
  private final OutcomeWriter writer;
  private final TreeMap<String, Long> errors = new TreeMap<>();
  private long rows;
  private long outputRows;
  private long promptTokens;
  private long completionTokens;
  private long answersRight;
  private long answersKnown;
  private ScoreSums scores = ScoreSums.NONE;
  private UnitFacts facts;

  /**
   * @param attempt tells this attempt's temporary file from another's
   * @param answerColumn among the input columns, text
   * @throws BulkgenException STORAGE_FAILED
   */
  public ShardWriter(
      Path folder,
      Storage storage,
      ResultSchema schema,
      ShardIdentity identity,
      OptionalInt answerColumn,
      int unit,
      String attempt) {
    this.identity = identity;
    this.answerColumn = answerColumn;
    this.unit = unit;
    this.writer =
        identity
            .format()
            .open(
                new ShardPlace(storage, folder, identity.fileName(unit), attempt, identity),
                schema,
                this::values);
  }

  private Map<String, String> values() {
    facts =
        new UnitFacts(
            unit,
            rows,
            outputRows,
            errors,
            promptTokens,
            completionTokens,
            answersRight,
            answersKnown,
            scores,
            "");
    return facts.toValues(identity);
  }

  public void write(RowOutcome outcome) {
    rows++;
    writer.write(outcome);
    List<Usage> usages = outcome.usages();
    // An error is a row of the result too.
    outputRows += Math.max(1, usages.size());
    promptTokens += usages.isEmpty() ? 0 : usages.get(0).promptTokens();
    completionTokens += usages.stream().mapToLong(Usage::completionTokens).sum();
    if (outcome instanceof RowOutcome.Failed failed) {
      errors.merge(failed.code(), 1L, Long::sum);
    } else if (outcome instanceof RowOutcome.Scored scored) {
      scored.scores().forEach(score -> scores = scores.plus(ScoreSums.of(score)));
    } else {
      compareAnswer(outcome.input(), ((RowOutcome.Generated) outcome).completions().get(0));
    }
  }

  private void compareAnswer(InternalRow input, Completion completion) {
    if (answerColumn.isEmpty() || input.isNullAt(answerColumn.getAsInt())) {
      return;
    }
    answersKnown++;
    String answer = input.getUTF8String(answerColumn.getAsInt()).toString();
    if (ExpectedAnswer.begins(completion.text(), answer)) {
      answersRight++;
    }
  }

  /** Whether an answer column can be compared: it has to be text. */
  public static boolean comparable(org.apache.spark.sql.types.DataType type) {
    return type.equals(DataTypes.StringType);
  }

  /**
   * Ends the shard and gives it its name; where another attempt was faster, its like is replaced by
   * the same bytes.
   */
  public UnitFacts commit() {
    String checksum = writer.commit();
    return facts.withChecksum(checksum);
  }

  @Override
  public void close() {
    writer.close();
  }
}
