package dev.bulkgen.spark.sink;

import java.io.Closeable;

/** Lays down how the rows of a unit ended, in one {@link ShardFormat}. */
interface OutcomeWriter extends Closeable {
  void write(RowOutcome outcome);

  /**
   * Ends the shard and gives it its name.
   *
   * @return the digits of its checksum
   */
  String commit();

  /** Without a commit before, nothing stays behind. */
  @Override
  void close();
}
