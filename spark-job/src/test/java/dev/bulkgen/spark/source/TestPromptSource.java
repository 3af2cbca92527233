package dev.bulkgen.spark.source;

import static org.apache.spark.sql.functions.col;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.config.JobSettingsReader;
import dev.bulkgen.spark.config.TaskType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TestPromptSource {
  private static final SparkSession SPARK = Sessions.shared();

  @TempDir Path folder;

  private Path write(String name, String... lines) throws Exception {
    Path file = folder.resolve(name);
    Files.createDirectories(file.getParent());
    return Files.write(file, List.of(lines));
  }

  private PromptTable open(Path input) {
    Map<String, String> values =
        Map.of("model", "none", "input", input.toString(), "output", folder + "/out");
    return PromptSource.open(SPARK, JobSettingsReader.read(TaskType.GENERATE, values).input());
  }

  private static List<String> rows(PromptTable table) {
    return table
        .rows()
        .where(col(PromptTable.ROW).isNotNull())
        .select(col(PromptTable.ROW + ".*"))
        .toJSON()
        .collectAsList()
        .stream()
        .sorted()
        .toList();
  }

  @Test
  void testFoldersOfJsonLinesAreColumns() throws Exception {
    write("in/day=2026-11-29/value=x/a.jsonl", "{\"prompt\":\"ada\",\"n\":1}", "", "{broken");
    write("in/day=2026-11-30/value=y/b.jsonl", "{\"prompt\":\"ben\",\"n\":2}");
    PromptTable table = open(folder.resolve("in"));
    assertEquals(
        List.of(
            "{\"prompt\":\"ada\",\"n\":1,\"day\":\"2026-11-29\",\"value\":\"x\"}",
            "{\"prompt\":\"ben\",\"n\":2,\"day\":\"2026-11-30\",\"value\":\"y\"}"),
        rows(table));
    assertEquals(
        SPARK.read().parquet(asParquet()).schema().apply("day").dataType(),
        table.inputSchema().apply("day").dataType());
  }

  private String asParquet() {
    String copy = folder.resolve("copy").toString();
    SPARK.sql("select 'ada' prompt, '2026-11-29' day").write().partitionBy("day").parquet(copy);
    return copy;
  }

  @Test
  void testAFolderGoesBeforeAFieldOfItsNameAsInSpark() throws Exception {
    write("in/N=7/a.jsonl", "{\"n\":1,\"prompt\":\"ada\"}");
    List<String> rows = rows(open(folder.resolve("in")));
    assertEquals(List.of("{\"N\":7,\"prompt\":\"ada\"}"), rows);
    assertEquals(SPARK.read().json(folder + "/in").toJSON().collectAsList(), rows);
  }

  @Test
  void testFoldersOfTextAreColumns() throws Exception {
    write("in/day=1/a.txt", "ada 11");
    write("in/day=2/b.txt", "ben 12");
    assertEquals(
        List.of("{\"text\":\"ada 11\",\"day\":1}", "{\"text\":\"ben 12\",\"day\":2}"),
        rows(open(folder.resolve("in"))));
  }

  /** As patterns they would name the file beside them, or none. */
  @ParameterizedTest
  @ValueSource(strings = {"p[1]", "{p1}", "p*", "p?"})
  void testPathsAreNoPatterns(String name) throws Exception {
    write("p1.jsonl", "{\"prompt\":\"other\"}");
    List<String> expected = List.of("{\"prompt\":\"ada\"}");
    assertEquals(expected, rows(open(write(name + ".jsonl", expected.get(0)))));
    assertEquals(expected, rows(open(write(name + ".csv", "prompt", "ada"))));
    for (String format : List.of("parquet", "arrow-ipc")) {
      Path copy = folder.resolve(name + "-" + format);
      SPARK.sql("select 'ada' prompt").write().format(format).save(copy.toString());
      assertEquals(expected, rows(open(copy)));
    }
  }
}
