package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.Fixtures;
import dev.bulkgen.spark.Sessions;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The 1,319 questions of GSM8K's test set: each ends as an answer or, if too long, as an error. */
class TestQuestions {
  private static final int QUESTIONS = 1319;

  @TempDir Path folder;

  @Test
  void testEveryQuestionEndsAsAnAnswerOrATypedError() throws Exception {
    SparkSession spark = Sessions.shared();
    Path input = Fixtures.path("prompts/gsm8k/test.jsonl");
    Path output = folder.resolve("out");
    JobRun run =
        new JobRun(spark, input, output)
            .with("model", Fixtures.path("models/stories260k").toString())
            .with("prompt-column", "question", "kv-cache", "kivi2", "max-tokens", "64")
            .with("max-batch", "64", "max-error-rate", "1");
    JobReport report = run.run();
    assertEquals(JobReport.Outcome.DONE, report.outcome());
    assertEquals(QUESTIONS, report.rows());
    Set<String> questions = new TreeSet<>();
    int failed = 0;
    List<Row> rows = JobRun.read(spark, output);
    for (Row row : rows) {
      questions.add(row.getAs("question"));
      Row error = row.getAs("error");
      failed += error == null ? 0 : 1;
      if (error == null) {
        assertTrue(List.of("stop", "length").contains(row.<String>getAs("finish_reason")));
        int tokens = row.<Row>getAs("usage").getAs("completion_tokens");
        assertTrue(tokens >= 1 && tokens <= 64, row.toString());
      } else {
        assertEquals("PROMPT_TOO_LONG", error.getAs("code"));
        assertEquals("error", row.getAs("finish_reason"));
      }
    }
    assertEquals(QUESTIONS, rows.size());
    assertEquals(questions(spark, input), questions);
    assertEquals(failed, report.failedRows());
    JsonNode engine =
        new ObjectMapper().readTree(output.resolve("_bulkgen/report.json").toFile()).get("engine");
    long peak = engine.get("cache_bytes_peak").asLong();
    long planned = engine.get("cache_bytes_planned").asLong();
    assertTrue(peak > 0 && peak < planned, peak + " of " + planned);
    System.out.printf(
        Locale.ROOT,
        "GSM8K: %d answered, %d too long, cache peak %d of %d bytes planned%n%s",
        QUESTIONS - failed,
        failed,
        peak,
        planned,
        report.render());
  }

  private static Set<String> questions(SparkSession spark, Path input) {
    Set<String> questions = new TreeSet<>();
    spark
        .read()
        .json(input.toString())
        .select("question")
        .collectAsList()
        .forEach(row -> questions.add(row.getString(0)));
    return questions;
  }
}
