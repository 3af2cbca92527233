package dev.bulkgen.spark.storage;

import java.io.IOException;
import java.util.Map;
import java.util.Optional;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.metadata.ParquetMetadata;
import org.apache.parquet.hadoop.util.HadoopInputFile;

/**
 * What stands at the end of a Parquet file.
 *
 * @param rows counted over the row groups
 * @param values key and value pairs
 */
public record ParquetFooter(long rows, Map<String, String> values) {

  /** Empty where the file is cut off, is something else or cannot be read. */
  public static Optional<ParquetFooter> read(Storage storage, Path file) {
    try (ParquetFileReader reader =
        ParquetFileReader.open(HadoopInputFile.fromPath(file, storage.configuration()))) {
      ParquetMetadata metadata = reader.getFooter();
      return Optional.of(
          new ParquetFooter(
              reader.getRecordCount(), metadata.getFileMetaData().getKeyValueMetaData()));
    } catch (IOException | RuntimeException e) {
      return Optional.empty();
    }
  }
}
