package dev.bulkgen.spark;

import java.nio.file.Path;
import org.apache.spark.sql.SparkSession;

/** Spark in the test's own JVM. */
public final class Sessions {
  private Sessions() {}

  /** One for all tests of a JVM. */
  public static synchronized SparkSession shared() {
    return SparkSession.builder()
        .master("local[2]")
        .appName("tests")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        // Compiling a plan takes longer than running it over a test's few rows.
        .config("spark.sql.codegen.wholeStage", "false")
        .config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
        .config("spark.sql.warehouse.dir", Path.of("target/warehouse").toAbsolutePath().toString())
        .config("spark.sql.extensions", "dev.bulkgen.spark.sql.BulkgenExtensions")
        .config("spark.sql.catalog.bulkgen", "dev.bulkgen.spark.sql.BulkgenCatalog")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate();
  }
}
