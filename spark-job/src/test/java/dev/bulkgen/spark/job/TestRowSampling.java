package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.spark.Sessions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A column of sampling settings goes before the job's. */
class TestRowSampling {
  private static final SparkSession SPARK = Sessions.shared();

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "named_struct('max_tokens', n, 'stop', array('~'))",
        "map('max_tokens', cast(n as string), 'stop', '[', 'stop_token_ids', '[3, 4]')",
        "concat('{\"max_tokens\":', n, ',\"top_p\":null}')"
      })
  void testARowsOwnSettingsGoFirst(String params) throws Exception {
    Path input = folder.resolve("in");
    SPARK
        .range(0, 4, 1, 1)
        .selectExpr("cast(id as int) as n", "'ada 11 . bob 12 . ada' as prompt")
        .selectExpr("n", "prompt", "if(n = 3, null, " + params + ") as sampling_params")
        .write()
        .parquet(input.toString());
    Path output = folder.resolve("out");
    JobReport report =
        new JobRun(SPARK, input, output)
            .with("sampling-params-column", "sampling_params", "max-tokens", "5")
            .with("max-error-rate", "1")
            .run();
    assertTrue(Files.exists(output.resolve("_SUCCESS")));
    List<Row> rows = JobRun.read(SPARK, output);
    assertEquals(1, report.failedRows());
    Row refused = rows.get(0);
    assertNull(refused.getAs("generated_text"));
    assertEquals("REQUEST_INVALID", refused.<Row>getAs("error").getString(0));
    assertEquals("max-tokens: 0 is less than 1", refused.<Row>getAs("error").getString(1));
    assertEquals(1, tokens(rows.get(1)));
    assertEquals(2, tokens(rows.get(2)));
    assertEquals(5, tokens(rows.get(3)));
  }

  private static int tokens(Row row) {
    return row.<Row>getAs("usage").<Integer>getAs("completion_tokens");
  }
}
