package dev.bulkgen.spark.ledger;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.engine.Completion;
import dev.bulkgen.engine.FinishReason;
import dev.bulkgen.engine.Usage;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.config.JobSettingsReader;
import dev.bulkgen.spark.config.RunSettings.ResumeMode;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.plan.UnitPlan;
import dev.bulkgen.spark.plan.UnitSpec;
import dev.bulkgen.spark.sink.CompletionColumns;
import dev.bulkgen.spark.sink.CompletionColumns.Tokens;
import dev.bulkgen.spark.sink.ResultSchema;
import dev.bulkgen.spark.sink.RowOutcome;
import dev.bulkgen.spark.sink.ShardFormat;
import dev.bulkgen.spark.sink.ShardIdentity;
import dev.bulkgen.spark.sink.ShardWriter;
import dev.bulkgen.spark.sink.TokenTexts;
import dev.bulkgen.spark.sink.UnitFacts;
import dev.bulkgen.spark.storage.Faults;
import dev.bulkgen.spark.storage.Storage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A ledger's whole life without an engine: every act of it may be the last one of a driver. */
class TestLedger {
  private static final SparkSession SPARK = Sessions.shared();
  private static final StructType INPUT = new StructType().add("prompt", DataTypes.StringType);
  private static final int ROWS = 3;
  private static final String DIGEST = "0123456789abcdef".repeat(4);
  private static final ShardIdentity IDENTITY =
      new ShardIdentity(
          DIGEST,
          DIGEST,
          ShardFormat.of(
              JobSettingsReader.read(
                  TaskType.GENERATE, Map.of("model", "m", "input", "in", "output", "unused"))));
  private static final UnitPlan PLAN =
      new UnitPlan(
          List.of(
              new UnitSpec(0, "unit-0", ROWS, 9, "a"),
              new UnitSpec(1, "unit-1", ROWS, 9, "b"),
              new UnitSpec(2, "unit-2", ROWS, 9, "c")),
          DIGEST,
          "jsonl",
          INPUT);

  private static final OutputLock.Timing QUICK =
      new OutputLock.Timing(Duration.ofDays(1), Duration.ofMillis(80), Duration.ofMillis(1));

  @TempDir Path folder;

  /** One driver on an output, from start to end; what it writes follows from the plan alone. */
  private static final class Driver {
    private final String output;
    private final Configuration configuration = Faults.configuration();
    private final List<Integer> made = new ArrayList<>();
    private List<String> damaged = List.of();

    Driver(String scheme, Path folder) {
      this.output = scheme + "://" + name(folder) + folder.resolve("out");
    }

    static String name(Path folder) {
      return folder.getFileName().toString();
    }

    /** Without the close of a driver that lives on: a dead one closes nothing. */
    Ledger run() throws IOException {
      Ledger ledger =
          Ledger.open(output, ResumeMode.IF_POSSIBLE, configuration, QUICK, notice -> {});
      FrozenSettings settings =
          new FrozenSettings(
              TaskType.GENERATE,
              new TreeMap<>(Map.of("n", "1")),
              DIGEST,
              DIGEST,
              LocalDateTime.of(2026, 1, 2, 3, 4));
      ledger.earlierRun(settings);
      ledger.begin(settings);
      Ledger.Recovery found = ledger.recover(SPARK.sparkContext(), PLAN, IDENTITY);
      damaged = found.damaged();
      for (UnitSpec unit : PLAN.units()) {
        if (!found.committed().containsKey(unit.unit())) {
          ledger.commit(write(unit));
          made.add(unit.unit());
        }
      }
      ledger.writeUnits();
      ledger.writeReport("{}");
      ledger.succeed(PLAN, IDENTITY);
      return ledger;
    }

    void runToTheEnd() throws IOException {
      run().close();
    }

    private UnitFacts write(UnitSpec unit) throws IOException {
      org.apache.hadoop.fs.Path path = new org.apache.hadoop.fs.Path(output);
      try (ShardWriter writer =
          new ShardWriter(
              path,
              Storage.of(path, configuration),
              ResultSchema.of(INPUT, new CompletionColumns("generated_text", Tokens.NOTHING)),
              IDENTITY,
              OptionalInt.empty(),
              unit.unit(),
              "1")) {
        for (int row = 0; row < unit.rows(); row++) {
          writer.write(outcome("unit " + unit.unit() + " row " + row));
        }
        return writer.commit();
      }
    }

    private static RowOutcome outcome(String text) {
      InternalRow input = new GenericInternalRow(new Object[] {UTF8String.fromString(text)});
      Completion completion =
          new Completion(0, "to " + text, new int[0], FinishReason.STOP, null, new Usage(4, 2, 0));
      return new RowOutcome.Generated(
          text, input, List.of(completion), new TokenTexts(Optional.empty()));
    }
  }

  private Path output() {
    return folder.resolve("out");
  }

  /** What a reader of the dataset takes, by name. */
  private Map<String, byte[]> visible() throws IOException {
    Map<String, byte[]> files = new TreeMap<>();
    if (Files.isDirectory(output())) {
      try (Stream<Path> entries = Files.list(output())) {
        for (Path entry : entries.toList()) {
          String name = entry.getFileName().toString();
          if (!name.startsWith("_") && !name.startsWith(".")) {
            files.put(name, Files.readAllBytes(entry));
          }
        }
      }
    }
    return files;
  }

  private Map<String, byte[]> undisturbed(String scheme) throws IOException {
    Driver driver = new Driver(scheme, folder);
    driver.runToTheEnd();
    assertEquals(List.of(0, 1, 2), driver.made);
    Map<String, byte[]> files = visible();
    assertEquals(3, files.size());
    assertTrue(Files.exists(output().resolve("_SUCCESS")));
    assertNoTemporaries();
    return files;
  }

  private void assertNoTemporaries() throws IOException {
    for (Path place : List.of(output(), output().resolve("_bulkgen"))) {
      try (Stream<Path> entries = Files.list(place)) {
        assertEquals(
            List.of(),
            entries
                .map(entry -> entry.getFileName().toString())
                .filter(name -> name.startsWith("_temporary-") || name.startsWith("lock-"))
                .toList());
      }
    }
  }

  private static void assertSame(Map<String, byte[]> expected, Map<String, byte[]> actual) {
    assertEquals(expected.keySet(), actual.keySet());
    expected.forEach((name, bytes) -> assertArrayEquals(bytes, actual.get(name), name));
  }

  /** The lock of a driver that died is that of a process that is no more. */
  private void bury() throws IOException {
    Path own = output().resolve("_bulkgen");
    if (Files.isDirectory(own)) {
      try (Stream<Path> entries = Files.list(own)) {
        for (Path lock : entries.filter(e -> e.toString().contains("lock-")).toList()) {
          Files.writeString(
              lock,
              Files.readString(lock)
                  .replaceFirst("\"started\":\"[^\"]*\"", "\"started\":\"2001\""));
        }
      }
    }
  }

  private static void clear(Path path) throws IOException {
    try (Stream<Path> all = Files.walk(path)) {
      for (Path entry : all.sorted(java.util.Comparator.reverseOrder()).toList()) {
        Files.delete(entry);
      }
    }
  }

  @TestFactory
  Stream<DynamicTest> testADriverThatDiesAtAnyActIsTakenUp() throws Exception {
    List<DynamicTest> tests = new ArrayList<>();
    for (String scheme : List.of("faulty", "faultystore")) {
      Faults faults = Faults.named(Driver.name(folder));
      faults.heal();
      Map<String, byte[]> expected = undisturbed(scheme);
      List<String> acts = faults.acts();
      clear(output());
      for (int act = 0; act < acts.size(); act++) {
        if (act > 0 && acts.get(act).equals(acts.get(act - 1))) {
          // One of many writes to a file is like another.
          continue;
        }
        int number = act;
        String name =
            scheme + " " + act + " " + acts.get(act).replaceAll("-1-[0-9a-f]{8}-", "-ATTEMPT-");
        tests.add(
            DynamicTest.dynamicTest(
                "before " + name, () -> die(scheme, () -> faults.crashBefore(number), expected)));
        tests.add(
            DynamicTest.dynamicTest(
                "after " + name, () -> die(scheme, () -> faults.crashAfter(number), expected)));
      }
    }
    return tests.stream();
  }

  private void die(String scheme, Runnable crash, Map<String, byte[]> expected) throws IOException {
    Faults faults = Faults.named(Driver.name(folder));
    faults.heal();
    if (Files.exists(output())) {
      clear(output());
    }
    crash.run();
    Driver first = new Driver(scheme, folder);
    assertThrows(Exception.class, first::runToTheEnd);
    Map<String, byte[]> seen = visible();
    seen.forEach((name, bytes) -> assertArrayEquals(expected.get(name), bytes, name));
    if (Files.exists(output().resolve("_SUCCESS"))) {
      assertEquals(expected.keySet(), seen.keySet());
    }
    faults.heal();
    bury();
    Driver second = new Driver(scheme, folder);
    second.runToTheEnd();
    assertEquals(expected.size() - seen.size(), second.made.size(), "nothing is made twice");
    assertEquals(List.of(), second.damaged);
    assertSame(expected, visible());
    assertTrue(Files.exists(output().resolve("_SUCCESS")));
    assertNoTemporaries();
  }

  @ParameterizedTest
  @ValueSource(strings = {"faulty", "faultystore"})
  void testAFinishedDatasetIsLeftAsItIs(String scheme) throws Exception {
    Map<String, byte[]> expected = undisturbed(scheme);
    Faults faults = Faults.named(Driver.name(folder));
    faults.heal();
    Driver again = new Driver(scheme, folder);
    again.runToTheEnd();
    assertEquals(List.of(), again.made);
    assertSame(expected, visible());
    assertFalse(faults.acts().contains("DELETE _SUCCESS"), faults.acts().toString());
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3})
  void testADamagedShardIsSetAsideAndMadeAgain(int damage) throws Exception {
    Map<String, byte[]> expected = undisturbed("faulty");
    String name = IDENTITY.fileName(1);
    Path shard = output().resolve(name);
    byte[] bytes = damage(Files.readAllBytes(shard), damage);
    Files.write(shard, bytes);
    Driver again = new Driver("faulty", folder);
    again.runToTheEnd();
    assertEquals(List.of(1), again.made);
    assertEquals(List.of(name), again.damaged);
    assertSame(expected, visible());
    assertArrayEquals(
        bytes, Files.readAllBytes(output().resolve("_bulkgen/set-aside").resolve(name)));
  }

  private static byte[] damage(byte[] bytes, int how) {
    switch (how) {
      case 0:
        return new byte[0];
      case 1:
        return java.util.Arrays.copyOf(bytes, bytes.length / 2);
      case 2:
        bytes[20] ^= 1;
        return bytes;
      default:
        return "somebody else's file".getBytes(java.nio.charset.StandardCharsets.UTF_8);
    }
  }

  @Test
  void testAFileThatReadersWouldTakeForResultsIsRefusedAndKept() throws Exception {
    undisturbed("faulty");
    Path foreign = Files.writeString(output().resolve("part-9.parquet"), "mine");
    BulkgenException e =
        assertThrows(BulkgenException.class, () -> new Driver("faulty", folder).run());
    assertEquals(ErrorCode.OUTPUT_NOT_EMPTY, e.code());
    assertTrue(e.getMessage().contains("part-9.parquet"), e.getMessage());
    assertEquals("mine", Files.readString(foreign));
  }

  @Test
  void testAFullDiskFailsTheRunAndTheNextOneEndsIt() throws Exception {
    Map<String, byte[]> expected = undisturbed("faulty");
    clear(output());
    Faults faults = Faults.named(Driver.name(folder));
    faults.heal();
    faults.once(Faults.Act.WRITE, IDENTITY.fileName(1), Faults.Effect.NO_SPACE);
    Driver first = new Driver("faulty", folder);
    Exception e = assertThrows(BulkgenException.class, first::run);
    assertTrue(e.getMessage().contains("No space left on device"), e.getMessage());
    bury();
    Driver second = new Driver("faulty", folder);
    second.runToTheEnd();
    assertEquals(List.of(1, 2), second.made);
    assertSame(expected, visible());
    assertNoTemporaries();
  }

  @Test
  void testADriverThatLostTheFolderStops() throws Exception {
    Path lock = output().resolve("_bulkgen/lock-000001.json");
    Path next = output().resolve("_bulkgen/lock-000002.json");
    Ledger ledger = new Driver("faulty", folder).run();
    Files.writeString(next, Files.readString(lock).replaceFirst("\"token\":\"", "\"token\":\"x"));
    BulkgenException e = assertThrows(BulkgenException.class, () -> ledger.succeed(PLAN, IDENTITY));
    assertEquals(ErrorCode.OUTPUT_LOCKED, e.code());
    ledger.close();
    assertTrue(Files.exists(next));
  }

  @Test
  void testASoundShardIsFoundByALaterAttempt() throws Exception {
    undisturbed("faulty");
    org.apache.hadoop.fs.Path path = new org.apache.hadoop.fs.Path(output().toString());
    Storage storage = Storage.of(path, new Configuration(false));
    Optional<UnitFacts> facts = CommittedShard.find(storage, path, IDENTITY, PLAN.units().get(2));
    assertEquals(ROWS, facts.orElseThrow().rows());
    assertEquals(
        Optional.empty(),
        CommittedShard.find(storage, path, IDENTITY, new UnitSpec(2, "unit-2", ROWS + 1, 9, "c")));
  }
}
