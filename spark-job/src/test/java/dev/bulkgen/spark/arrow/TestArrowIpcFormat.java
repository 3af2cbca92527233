package dev.bulkgen.spark.arrow;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bulkgen.spark.AllTypes;
import dev.bulkgen.spark.Sessions;
import java.nio.file.Path;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TestArrowIpcFormat {
  private static final SparkSession SPARK = Sessions.shared();

  @TempDir Path folder;

  private static Dataset<Row> read(Path path) {
    return SPARK.read().format("arrow-ipc").load(path.toString());
  }

  @ParameterizedTest
  @CsvSource({"file, uncompressed", "file, zstd", "stream, lz4"})
  void testEveryTypeComesBack(String layout, String compression) {
    Dataset<Row> table = AllTypes.table(SPARK);
    Path path = folder.resolve("all");
    table
        .write()
        .format("arrow-ipc")
        .option("arrow.format", layout)
        .option("compression", compression)
        .save(path.toString());
    assertEquals(table.schema().asNullable(), read(path).schema().asNullable());
    AllTypes.assertSameRows(table, read(path));
  }
}
