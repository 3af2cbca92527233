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
public record ShardPlace(
    Storage storage, Path folder, String name, String attempt, ShardIdentity identity) {

  /** The shard's own file. */
  StagedFile file() {
    return file(name);
  }

  /** Another file of the shard's, below the output folder. */
  StagedFile file(String other) {
    return new StagedFile(storage, folder, other, attempt);
  }
}
