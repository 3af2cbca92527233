package dev.bulkgen.spark.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.spark.JavaProcess;
import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.job.JobRun;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.datasources.v2.jdbc.JDBCTableCatalog;
import org.duckdb.DuckDBDriver;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code --input-table} with a catalog of another program's: a database behind JDBC. */
class TestInputTable {
  private static final int ROWS = 12;
  private static final String CATALOG = "spark.sql.catalog.shop";

  @TempDir Path folder;

  private String database() throws Exception {
    Path prompts = JobRun.prompts(folder.resolve("in.jsonl"), ROWS);
    return database(prompts);
  }

  private String database(Path prompts) throws SQLException {
    String url = "jdbc:duckdb:" + folder.resolve("shop.db");
    try (Connection connection = DriverManager.getConnection(url);
        Statement statement = connection.createStatement()) {
      statement.execute("create table prompts as from read_json('" + prompts + "')");
    }
    return url;
  }

  private JavaProcess run(String url, String table) throws Exception {
    Map<String, String> values = new TreeMap<>(Map.of("model", JobRun.MODEL, "memory", "64MB"));
    values.putAll(Map.of("input-table", table, "output", folder.resolve("out").toString()));
    values.putAll(Map.of("id-column", "id", "answer-column", "answer", "max-tokens", "1"));
    values.putAll(Map.of("master", "local[2]", "temperature", "0"));
    List<String> conf =
        List.of(
            CATALOG + "=" + JDBCTableCatalog.class.getName(),
            CATALOG + ".url=" + url,
            CATALOG + ".driver=" + DuckDBDriver.class.getName());
    return JavaProcess.job(TaskType.GENERATE, values, conf).start(folder.resolve("log-" + table));
  }

  @Test
  void testRowsOfATable() throws Exception {
    String url = database();
    JavaProcess none = run(url, "shop.main.none");
    assertEquals(1, none.waitFor(), none::output);
    assertTrue(none.output().contains("bulkgen: input-table shop.main.none: "), none::output);
    JavaProcess job = run(url, "shop.main.prompts");
    assertEquals(0, job.waitFor(), job::output);
    SparkSession spark = Sessions.shared();
    List<Row> rows =
        spark
            .read()
            .parquet(folder.resolve("out").toString())
            .selectExpr("id", "answer", "trim(generated_text)")
            .orderBy("id")
            .collectAsList();
    assertEquals(ROWS, rows.size());
    rows.forEach(row -> assertEquals(row.getString(1), row.getString(2), row.toString()));
    assertEquals("r000", rows.get(0).getString(0));
  }
}
