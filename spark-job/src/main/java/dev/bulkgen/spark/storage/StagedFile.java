package dev.bulkgen.spark.storage;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.Path;

/** A file that appears under its name when it is committed: whole, or not at all. */
public final class StagedFile {
  private final Storage storage;
  private final Path target;
  private final Path temporary;

  /**
   * @param name below {@code folder}, where the temporary file lies too
   * @param attempt makes the temporary name one's own, so that two attempts never share a file
   */
  public StagedFile(Storage storage, Path folder, String name, String attempt) {
    this.storage = storage;
    this.target = new Path(folder, name);
    this.temporary = new Path(folder, "_temporary-" + attempt + "-" + name.replace('/', '-'));
  }

  /** Replaces what an attempt of the same name may have left. */
  public FSDataOutputStream create() throws IOException {
    return storage.create(temporary);
  }

  /** Gives the file its name; what bears it already is replaced. */
  public void commit() {
    storage.moveOver(temporary, target);
  }

  public void discard() {
    storage.delete(temporary);
  }

  /** For an error while the file is written. */
  public BulkgenException failure(IOException e) {
    return new BulkgenException(
        ErrorCode.STORAGE_FAILED, "cannot write " + temporary + ": " + e.getMessage(), e);
  }
}
