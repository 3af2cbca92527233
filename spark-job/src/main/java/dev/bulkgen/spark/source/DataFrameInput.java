package dev.bulkgen.spark.source;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.xxhash64;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.config.Digest;
import dev.bulkgen.spark.config.InputSettings;
import dev.bulkgen.spark.storage.Storage;
import java.util.List;
import java.util.Optional;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.datasources.DataSource;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * Rows of a DataFrame. It is run once: its rows are written down as Parquet at the path of the
 * settings, in the output folder, and planned from there, since a second run may give them in
 * another order, or others.
 *
 * <p>A resumed job has to know that it is given the same rows. The digest is that of the content,
 * whatever the order, unless the user named the input: the name then stands for the rows.
 */
public final class DataFrameInput implements PromptInput {
  private static final String FORMAT = "parquet";

  private final Dataset<Row> rows;
  private final Optional<String> name;
  private final InputSettings settings;

  /**
   * @param name of these rows; a resumed job trusts it and does not run the DataFrame again
   * @param settings with the path where the rows are written down
   */
  public DataFrameInput(Dataset<Row> rows, Optional<String> name, InputSettings settings) {
    this.rows = rows;
    this.name = name;
    this.settings = settings;
  }

  /**
   * The rows of a table or view.
   *
   * @throws BulkgenException INPUT_NOT_FOUND if Spark's catalogs do not know it
   */
  public static DataFrameInput table(SparkSession session, String table, InputSettings settings) {
    try {
      return new DataFrameInput(session.table(table), Optional.empty(), settings);
    } catch (Exception e) {
      // Scala code throws checked exceptions unannounced, so javac lets no narrower type stand.
      throw new BulkgenException(
          ErrorCode.INPUT_NOT_FOUND, "input-table " + table + ": " + e.getMessage(), e);
    }
  }

  @Override
  public StructType schema() {
    return rows.schema();
  }

  @Override
  public String format() {
    return FORMAT;
  }

  @Override
  public String digest() {
    return digest(rows, name);
  }

  /**
   * One digest for the same rows in any order and any partitions.
   *
   * @param name if there is one, the rows are not looked at
   */
  public static String digest(Dataset<Row> rows, Optional<String> name) {
    StructType schema = rows.schema();
    Digest digest = Digest.sha256();
    for (StructField field : schema.fields()) {
      digest.add(field.name()).add(field.dataType().catalogString());
    }
    if (name.isPresent()) {
      return digest.add("name").add(name.get()).hex();
    }
    Column content =
        RowJson.of(
            List.of(schema.fields()), field -> col("`" + field.name().replace("`", "``") + "`"));
    // Sums do not depend on the order; two of them, since 64 bits collide where rows are many.
    Row sums =
        rows.select(content.as("content"))
            .agg(
                count(lit(1)),
                sum(xxhash64(col("content")).cast("decimal(20,0)")),
                sum(xxhash64(lit(1), col("content")).cast("decimal(20,0)")))
            .head();
    return digest
        .add("content")
        .add(sums.getLong(0))
        .add(String.valueOf(sums.get(1)))
        .add(String.valueOf(sums.get(2)))
        .hex();
  }

  @Override
  public PromptTable freeze(Storage storage) {
    Path folder = new Path(settings.path());
    storage.delete(folder);
    try {
      OwnSession.written(rows).write().option("compression", "zstd").parquet(folder.toString());
    } catch (Exception e) {
      // Scala code throws checked exceptions unannounced, so javac lets no narrower type stand.
      throw new BulkgenException(
          ErrorCode.INPUT_INVALID,
          "the input's rows cannot be written to " + folder + ": " + e.getMessage(),
          e);
    }
    PromptTable table = PromptSource.open(rows.sparkSession(), settings);
    SparkSession own = table.rows().sparkSession();
    Dataset<Row> written =
        own.read().option(DataSource.GLOB_PATHS_KEY(), false).parquet(folder.toString());
    return new PromptTable(
        table.rows(), table.inputSchema(), table.format(), digest(written, name));
  }

  @Override
  public void release(Storage storage) {
    storage.delete(new Path(settings.path()));
  }
}
