package dev.bulkgen.spark.sink;

import dev.bulkgen.spark.storage.StagedFile;
import dev.bulkgen.spark.storage.Storage;
import org.apache.hadoop.fs.Path;

/**
 * Where a shard is written.
 *
 * @param folder of the output
 * @param name the same for every attempt
 * @param attempt tells this attempt's temporary files from another's
 */
public record ShardPlace(Storage storage, Path folder, String name, String attempt) {

  /** The shard's own file. */
  StagedFile file() {
    return new StagedFile(storage, folder, name, attempt);
  }
}
