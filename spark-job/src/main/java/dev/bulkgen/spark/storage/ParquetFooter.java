package dev.bulkgen.spark.storage;

import java.io.IOException;
import java.util.Map;
import java.util.Optional;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.util.HadoopInputFile;

/** What stands at the end of a Parquet file. */
public final class ParquetFooter {
  private ParquetFooter() {}

  /** Key and value pairs; empty where the file is cut off, is something else or cannot be read. */
  public static Optional<Map<String, String>> read(Storage storage, Path file) {
    try (ParquetFileReader reader =
        ParquetFileReader.open(HadoopInputFile.fromPath(file, storage.configuration()))) {
      return Optional.of(reader.getFooter().getFileMetaData().getKeyValueMetaData());
    } catch (IOException | RuntimeException e) {
      return Optional.empty();
    }
  }
}
