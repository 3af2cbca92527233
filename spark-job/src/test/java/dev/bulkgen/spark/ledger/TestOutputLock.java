package dev.bulkgen.spark.ledger;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.storage.Faults;
import dev.bulkgen.spark.storage.Storage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TestOutputLock {
  private static final OutputLock.Timing QUICK =
      new OutputLock.Timing(Duration.ofMillis(200), Duration.ofMillis(1500), Duration.ofMillis(50));

  /** A holder that never gives a sign of life. */
  private static final OutputLock.Timing DEAD =
      new OutputLock.Timing(Duration.ofDays(1), Duration.ofMillis(600), Duration.ofMillis(50));

  @TempDir Path folder;

  private final List<String> notices = new ArrayList<>();

  private OutputLock acquire(String scheme, OutputLock.Timing timing) {
    String authority = scheme.equals("file") ? "" : folder.getFileName().toString();
    org.apache.hadoop.fs.Path own =
        new org.apache.hadoop.fs.Path(scheme + "://" + authority + folder);
    return OutputLock.acquire(Storage.of(own, Faults.configuration()), own, timing, notices::add);
  }

  private static ErrorCode refused(Callable<OutputLock> second) {
    return assertThrows(BulkgenException.class, second::call).code();
  }

  private List<String> left() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  /** As another machine's process would have written it. */
  private void foreign(String name) throws IOException {
    Path file = folder.resolve(name);
    String text = Files.readString(file);
    Files.writeString(file, text.replaceFirst("\"machine\":\"[^\"]*\"", "\"machine\":\"other\""));
  }

  @ParameterizedTest
  @ValueSource(strings = {"file", "faulty", "faultystore"})
  void testASecondDriverIsRefusedUntilTheFirstEnds(String scheme) throws Exception {
    OutputLock first = acquire(scheme, QUICK);
    BulkgenException e = assertThrows(BulkgenException.class, () -> acquire(scheme, QUICK));
    assertEquals(ErrorCode.OUTPUT_LOCKED, e.code());
    assertTrue(e.getMessage().contains("process " + ProcessHandle.current().pid()), e.getMessage());
    first.close();
    acquire(scheme, QUICK).close();
    assertEquals(List.of(), left());
  }

  @ParameterizedTest
  @ValueSource(strings = {"file", "faultystore"})
  void testOfManyAtOnceOneGetsIn(String scheme) throws Exception {
    int drivers = 6;
    CyclicBarrier start = new CyclicBarrier(drivers);
    ExecutorService threads = Executors.newFixedThreadPool(drivers);
    try {
      List<Future<Boolean>> results = new ArrayList<>();
      for (int driver = 0; driver < drivers; driver++) {
        results.add(
            threads.submit(
                () -> {
                  start.await();
                  try {
                    acquire(scheme, QUICK);
                    return true;
                  } catch (BulkgenException e) {
                    assertEquals(ErrorCode.OUTPUT_LOCKED, e.code());
                    return false;
                  }
                }));
      }
      int in = 0;
      for (Future<Boolean> result : results) {
        in += result.get() ? 1 : 0;
      }
      assertEquals(1, in);
    } finally {
      threads.shutdownNow();
    }
  }

  @Test
  void testAHolderElsewhereThatGivesSignsOfLifeHolds() throws Exception {
    OutputLock first = acquire("file", QUICK);
    foreign("lock-000001.json");
    // Its next beats say who it is, and that it lives.
    assertEquals(ErrorCode.OUTPUT_LOCKED, refused(() -> acquire("file", QUICK)));
    assertTrue(notices.get(0).contains("looking for up to"), notices.toString());
    first.verify();
    first.close();
  }

  @Test
  void testASilentHolderElsewhereIsFollowedByTheNextEpochAndFindsOut() throws Exception {
    OutputLock dead = acquire("file", DEAD);
    foreign("lock-000001.json");
    OutputLock next = acquire("file", DEAD);
    assertEquals(List.of("lock-000002.json"), left());
    next.verify();
    BulkgenException e = assertThrows(BulkgenException.class, dead::verify);
    assertEquals(ErrorCode.OUTPUT_LOCKED, e.code());
    assertTrue(e.getMessage().contains("taken"), e.getMessage());
    // Whoever lost the folder leaves the other's lock alone.
    dead.close();
    assertEquals(List.of("lock-000002.json"), left());
    next.close();
    assertEquals(List.of(), left());
  }

  @Test
  void testAProcessThatEndedHoldsNothing() throws Exception {
    acquire("file", DEAD);
    Path file = folder.resolve("lock-000001.json");
    // The same process id, but of a process that ended before.
    Files.writeString(
        file,
        Files.readString(file)
            .replaceFirst("\"started\":\"[^\"]*\"", "\"started\":\"2001-01-01T00:00:00Z\""));
    acquire("file", DEAD).close();
    assertEquals(List.of(), notices);
  }

  @Test
  void testAHalfWrittenLockHoldsForOneLease() throws Exception {
    Files.writeString(folder.resolve("lock-000004.json"), "{\"pid\":");
    OutputLock lock = acquire("file", DEAD);
    assertEquals(List.of("lock-000005.json"), left());
    lock.close();
  }
}
