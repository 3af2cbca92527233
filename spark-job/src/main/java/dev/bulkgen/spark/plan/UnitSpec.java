package dev.bulkgen.spark.plan;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.storage.ParquetFooter;
import dev.bulkgen.spark.storage.Storage;
import java.io.Serializable;
import java.util.Optional;
import org.apache.hadoop.fs.Path;

/**
 * The rows one task runs and commits.
 *
 * @param fileName in the plan's folder
 * @param cost estimated tokens, prompts and outputs
 * @param digest the checksum of the plan file: keys, contents and order
 */
public record UnitSpec(int unit, String fileName, long rows, long cost, String digest)
    implements Serializable {

  UnitSpec numbered(int number) {
    return new UnitSpec(number, fileName, rows, cost, digest);
  }

  /**
   * The plan file, once every byte of it was compared.
   *
   * @throws BulkgenException STORAGE_FAILED if it is gone or not what was planned
   */
  public Path verified(Storage storage, Path folder) {
    Path file = new Path(folder, fileName);
    if (!ParquetFooter.checksum(storage, file).equals(Optional.of(digest))) {
      throw BulkgenException.of(
          ErrorCode.STORAGE_FAILED,
          "plan file %s is damaged or gone: delete %s and run again; finished shards are kept if"
              + " the input is still the same",
          file,
          folder);
    }
    return file;
  }
}
