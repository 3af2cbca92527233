package dev.bulkgen.spark.sink;

import dev.bulkgen.engine.Completion;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.spark.storage.ParquetRowWriter;
import dev.bulkgen.spark.storage.Storage;
import java.io.Closeable;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.catalyst.expressions.JoinedRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeProjection;
import org.apache.spark.sql.catalyst.expressions.UnsafeRow;
import org.apache.spark.sql.catalyst.util.GenericArrayData;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * Writes a unit's shard. Called by the task, rows in the order of the input; the file appears whole
 * at {@link #commit} or not at all.
 */
public final class ShardWriter implements Closeable {
  private final ResultSchema schema;
  private final ShardIdentity identity;
  private final OptionalInt answerColumn;
  private final int unit;
  private final ParquetRowWriter writer;
  private final UnsafeProjection projection;
  private final TreeMap<String, Long> errors = new TreeMap<>();
  private long rows;
  private long outputRows;
  private long promptTokens;
  private long completionTokens;
  private long answersRight;
  private long answersKnown;
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
      String compression,
      OptionalInt answerColumn,
      int unit,
      String attempt) {
    this.schema = schema;
    this.identity = identity;
    this.answerColumn = answerColumn;
    this.unit = unit;
    this.projection = UnsafeProjection.create(schema.type());
    this.writer =
        ParquetRowWriter.open(
            storage,
            new Path(folder, identity.fileName(unit)),
            attempt,
            schema.type(),
            compression,
            this::footer);
  }

  private Map<String, String> footer() {
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
            "");
    return facts.toFooter(identity);
  }

  public void write(RowOutcome outcome) {
    rows++;
    InternalRow input =
        outcome.input() == null ? new GenericInternalRow(schema.inputColumns()) : outcome.input();
    if (outcome instanceof RowOutcome.Failed failed) {
      errors.merge(failed.code(), 1L, Long::sum);
      writeRow(input, errorColumns(failed));
      return;
    }
    RowOutcome.Generated generated = (RowOutcome.Generated) outcome;
    for (Completion completion : generated.completions()) {
      writeRow(input, columns(completion));
      completionTokens += completion.usage().completionTokens();
    }
    promptTokens += generated.completions().get(0).usage().promptTokens();
    compareAnswer(input, generated.completions().get(0));
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

  private void writeRow(InternalRow input, GenericInternalRow ours) {
    UnsafeRow row = projection.apply(new JoinedRow(input, ours));
    writer.write(row);
    outputRows++;
  }

  private GenericInternalRow columns(Completion completion) {
    Object[] columns = empty();
    columns[0] = UTF8String.fromString(completion.text());
    columns[1] = UTF8String.fromString(completion.finishReason().name().toLowerCase(Locale.ROOT));
    columns[2] = UTF8String.fromString(completion.stopReason());
    columns[3] =
        new GenericInternalRow(
            new Object[] {
              completion.usage().promptTokens(),
              completion.usage().completionTokens(),
              completion.usage().cachedTokens()
            });
    columns[4] = completion.sampleIndex();
    if (schema.tokenIds()) {
      columns[5] = new GenericArrayData(completion.tokenIds());
    }
    return new GenericInternalRow(columns);
  }

  private GenericInternalRow errorColumns(RowOutcome.Failed failed) {
    Object[] columns = empty();
    columns[1] = UTF8String.fromString("error");
    columns[4] = 0;
    columns[columns.length - 1] =
        new GenericInternalRow(
            new Object[] {
              UTF8String.fromString(failed.code()), UTF8String.fromString(failed.message())
            });
    return new GenericInternalRow(columns);
  }

  private Object[] empty() {
    return new Object[schema.type().size() - schema.inputColumns()];
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
