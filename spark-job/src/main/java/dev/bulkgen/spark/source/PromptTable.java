package dev.bulkgen.spark.source;

import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.StructType;

/**
 * An opened input.
 *
 * @param rows with the columns below
 * @param inputSchema of the user's columns, all of them nullable
 * @param format jsonl, parquet, arrow, csv, text or openai-batch
 * @param digest of the input files' names, sizes and times: tells a changed input on a resume
 */
public record PromptTable(Dataset<Row> rows, StructType inputSchema, String format, String digest) {
  /**
   * struct: the user's columns; null for a row that could not be read (it has a reason) and for a
   * blank line (it has none): those only count for the lines after them.
   */
  public static final String ROW = "row";

  /** string: what is wrong with the row, else null. */
  public static final String REASON = "reason";

  /** string: a bad row as it stands in the file, else null. */
  public static final String RAW = "raw";

  /** string: the file. */
  public static final String FILE = "file";

  /** long: where in the file the split begins that the row was read with. */
  public static final String BLOCK = "block";

  /** long: rises within a split. */
  public static final String POSITION = "position";

  public static final List<String> COLUMNS = List.of(ROW, REASON, RAW, FILE, BLOCK, POSITION);

  /** Whether a row's place in its file is a line number. */
  public boolean hasLines() {
    return List.of("jsonl", "text", "openai-batch").contains(format);
  }
}
