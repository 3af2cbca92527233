package dev.bulkgen.spark.plan;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.JobSettingsReader;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.source.DataFrameInput;
import dev.bulkgen.spark.source.OwnSession;
import dev.bulkgen.spark.source.PromptSource;
import dev.bulkgen.spark.storage.Storage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A row's key is that of its content: of all of it, and of nothing else. */
class TestRowKeys {
  private static final String ZONE = "spark.sql.session.timeZone";

  /** Two values of each type, as near to each other as the type has them. */
  private static final List<String> PAIRS =
      List.of(
          "false | true",
          "1Y | 2Y",
          "1S | 2S",
          "1 | 2",
          "9007199254740992L | 9007199254740993L",
          "cast(0.1 as float) | cast(0.10000001 as float)",
          "0.1D | 0.10000000000000002D",
          "cast('NaN' as double) | cast('Infinity' as double)",
          "1.00000000000000000000000000000000000BD | 1.00000000000000000000000000000000001BD",
          "'a' | 'a '",
          "'null' | null",
          "X'00' | X'0000'",
          "date'2026-01-01' | date'2026-01-02'",
          "timestamp'2026-01-01 00:00:00.000001Z' | timestamp'2026-01-01 00:00:00.000002Z'",
          "timestamp'2026-10-25 00:30:00Z' | timestamp'2026-10-25 01:30:00Z'",
          "timestamp_ntz'2026-01-01 00:00:00.000001' | timestamp_ntz'2026-01-01 00:00:00.000002'",
          "time'00:00:00.000001' | time'00:00:00.000002'",
          "interval '1-1' year to month | interval '1-2' year to month",
          "interval '0.000001' second | interval '0.000002' second",
          "array(1, 2) | array(2, 1)",
          "cast(array() as array<int>) | null",
          "array(timestamp'2026-01-01 00:00:00.000001Z') | array(timestamp'2026-01-01 00:00:00.000002Z')",
          "map('k', timestamp_ntz'2026-01-01 00:00:00.000001') | map('k', timestamp_ntz'2026-01-01 00:00:00.000002')",
          "map(timestamp'2026-01-01 00:00:00.000001Z', 1) | map(timestamp'2026-01-01 00:00:00.000002Z', 1)",
          "map(X'01', 1) | map(X'02', 1)",
          "map(array(1), 1) | map(array(2), 1)",
          "map(named_struct('x', 1), 1) | map(named_struct('x', 2), 1)",
          "named_struct('x', named_struct('t', timestamp'2026-01-01 00:00:00.000001Z')) | named_struct('x', named_struct('t', timestamp'2026-01-01 00:00:00.000002Z'))",
          "parse_json('{\"a\":1}') | parse_json('{\"a\":\"1\"}')");

  private static final SparkSession SPARK = Sessions.shared().newSession();

  @TempDir static Path folder;

  private static Path input;

  /** A row, the same again, and for each column one that differs from it in that column alone. */
  @BeforeAll
  static void writeInput() {
    SPARK.conf().set("spark.sql.timeType.enabled", "true");
    SPARK.conf().set(ZONE, "UTC");
    List<String> columns = new ArrayList<>(List.of("'a' as prompt"));
    for (int column = 0; column < PAIRS.size(); column++) {
      String[] pair = PAIRS.get(column).split(" \\| ");
      columns.add("if(id = " + column + ", " + pair[1] + ", " + pair[0] + ") as c" + column);
    }
    input = folder.resolve("in.parquet");
    SPARK
        .range(0, PAIRS.size() + 2, 1, 1)
        .selectExpr(columns.toArray(String[]::new))
        .write()
        .parquet(input.toString());
  }

  private static Map<Long, String> keys(Path file, String name) {
    return keys(file, name, Map.of());
  }

  private static Map<Long, String> keys(Path file, String name, Map<String, String> more) {
    Map<String, String> given = new TreeMap<>(more);
    given.putAll(Map.of("model", "none", "input", file.toString(), "output", folder + "/none"));
    JobSettings settings = JobSettingsReader.read(TaskType.GENERATE, given);
    org.apache.hadoop.fs.Path plan = new org.apache.hadoop.fs.Path(folder.resolve(name).toString());
    new PlanFolder(Storage.of(plan, new Configuration()), plan)
        .freeze(UnitPlanner.measure(SPARK, settings, PromptSource.open(SPARK, settings.input())));
    Map<Long, String> keys = new TreeMap<>();
    for (Row row : SPARK.read().parquet(plan + "/*.parquet").collectAsList()) {
      keys.put(row.getLong(PlanSchema.ORDINAL), row.getString(PlanSchema.KEY));
    }
    return keys;
  }

  @Test
  void testEveryDifferenceIsSeenAndNothingElse() {
    Map<Long, String> keys = keys(input, "plan");
    Map<String, Long> first = new TreeMap<>();
    List<String> same = new ArrayList<>();
    keys.forEach(
        (ordinal, key) -> {
          String content = key.substring(0, key.indexOf('#'));
          Long before = first.putIfAbsent(content, ordinal);
          if (before != null) {
            same.add(before + " and " + ordinal);
          }
        });
    int rows = PAIRS.size();
    assertEquals(List.of(rows + " and " + (rows + 1)), same);
    String digest = DataFrameInput.digest(SPARK.read().parquet(input.toString()), Optional.empty());
    SPARK.conf().set(ZONE, "Europe/Berlin");
    try {
      assertEquals(keys, keys(input, "again"));
      assertEquals(
          digest, DataFrameInput.digest(SPARK.read().parquet(input.toString()), Optional.empty()));
    } finally {
      SPARK.conf().set(ZONE, "UTC");
    }
  }

  @Test
  void testATimestampsIdIsThatOfUtc() {
    Path file = folder.resolve("timed.parquet");
    SPARK
        .sql("select 'a' as prompt, timestamp'2026-01-01 00:00:00Z' as at")
        .write()
        .parquet("" + file);
    SPARK.conf().set(ZONE, "Europe/Berlin");
    try {
      Map<Long, String> keys = keys(file, "timed", Map.of("id-column", "at"));
      assertEquals(Map.of(0L, "id:2026-01-01 00:00:00#0"), keys);
    } finally {
      SPARK.conf().set(ZONE, "UTC");
    }
  }

  @Test
  void testSettingsOfAQueryAroundTheCallReachNoTask() {
    SparkContext spark = SPARK.sparkContext();
    String policy = "spark.sql.legacy.timeParserPolicy";
    spark.setLocalProperty(policy, "LEGACY");
    try {
      String seen = OwnSession.within(OwnSession.of(SPARK), () -> spark.getLocalProperty(policy));
      assertEquals("CORRECTED", seen);
      assertEquals("LEGACY", spark.getLocalProperty(policy));
    } finally {
      spark.setLocalProperty(policy, null);
    }
  }

  /** What a key has been stays: a text that was drawn with it is drawn again. */
  @Test
  void testAKeyIsTheHashOfTheRowAsJson() throws Exception {
    Path file =
        Files.writeString(
            folder.resolve("in.jsonl"), "{\"prompt\":\"a\",\"n\":1.50,\"m\":null,\"l\":[true]}\n");
    String json = "{\"l\":[true],\"m\":null,\"n\":1.5,\"prompt\":\"a\"}";
    byte[] hash = MessageDigest.getInstance("SHA-256").digest(json.getBytes(UTF_8));
    assertEquals(HexFormat.of().formatHex(hash) + "#0", keys(file, "one").get(0L));
  }
}
