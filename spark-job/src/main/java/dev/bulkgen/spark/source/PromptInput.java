package dev.bulkgen.spark.source;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.storage.Storage;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;

/** What a job reads: files that stay where they are, or rows that are written down first. */
public interface PromptInput {

  /** The user's columns. */
  StructType schema();

  /** As {@link PromptTable#format()}. */
  String format();

  /** As {@link PromptTable#digest()}; may cost a pass over the rows. */
  String digest();

  /**
   * The rows as every later pass over them reads them.
   *
   * @param storage of the output folder, where rows are kept that nothing else keeps
   */
  PromptTable freeze(Storage storage);

  /** The plan holds the rows now: what {@link #freeze} kept may go. */
  void release(Storage storage);

  /**
   * The files that the settings name.
   *
   * @throws BulkgenException as {@link PromptSource#open}; SETTING_INVALID for an output in them
   */
  static PromptInput files(SparkSession session, JobSettings settings) {
    InputFiles.refuseOutputInside(
        settings.input().path(),
        settings.output().path(),
        session.sparkContext().hadoopConfiguration());
    return new Files(PromptSource.open(session, settings.input()));
  }

  /** Files are read where they lie. */
  record Files(PromptTable table) implements PromptInput {
    @Override
    public StructType schema() {
      return table.inputSchema();
    }

    @Override
    public String format() {
      return table.format();
    }

    @Override
    public String digest() {
      return table.digest();
    }

    @Override
    public PromptTable freeze(Storage storage) {
      return table;
    }

    @Override
    public void release(Storage storage) {
      // nothing was kept
    }
  }
}
