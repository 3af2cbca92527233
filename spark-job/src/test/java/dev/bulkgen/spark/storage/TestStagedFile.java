package dev.bulkgen.spark.storage;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.storage.Faults.Act;
import dev.bulkgen.spark.storage.Faults.Effect;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TestStagedFile {
  private static final byte[] BYTES = "the bytes of a shard".getBytes(StandardCharsets.UTF_8);

  @TempDir Path folder;

  private Faults faults;
  private Path target;

  @BeforeEach
  void name() {
    faults = Faults.named(folder.getFileName().toString());
    target = folder.resolve("part-0");
  }

  @AfterEach
  void heal() {
    faults.heal();
  }

  private StagedFile open(String scheme) {
    org.apache.hadoop.fs.Path parent =
        new org.apache.hadoop.fs.Path(scheme + "://" + folder.getFileName() + folder);
    Storage storage = Storage.of(parent, Faults.configuration());
    return new StagedFile(storage, parent, "part-0", "7");
  }

  private CommitOutcome write(String scheme) throws IOException {
    return write(open(scheme));
  }

  private static CommitOutcome write(StagedFile file) throws IOException {
    try {
      try (OutputStream out = file.create()) {
        out.write(BYTES);
      }
      return file.publish();
    } finally {
      file.discard();
    }
  }

  /** All there is; a reader sees the target's name alone. */
  private List<String> left() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  private void assertWhole() throws IOException {
    assertEquals(List.of("part-0"), left());
    assertArrayEquals(BYTES, Files.readAllBytes(target));
  }

  @ParameterizedTest
  @ValueSource(strings = {"faulty", "faultystore"})
  void testCommit(String scheme) throws Exception {
    assertEquals(CommitOutcome.COMMITTED, write(scheme));
    assertWhole();
  }

  @ParameterizedTest
  @ValueSource(strings = {"faulty", "faultystore"})
  void testDiscardLeavesNothing(String scheme) throws Exception {
    StagedFile file = open(scheme);
    try (OutputStream out = file.create()) {
      out.write(BYTES);
    }
    file.discard();
    assertEquals(List.of(), left());
  }

  /** Acts of a commit: create, write, close, rename; on a store create, write, close. */
  @ParameterizedTest
  @CsvSource({
    "faulty,0,false", "faulty,0,true", "faulty,1,false", "faulty,1,true", "faulty,2,false",
    "faulty,2,true", "faulty,3,false", "faulty,3,true", "faultystore,0,false", "faultystore,0,true",
    "faultystore,1,false", "faultystore,1,true", "faultystore,2,false", "faultystore,2,true"
  })
  void testCrashLeavesAllOrNothingAndASecondAttemptEnds(String scheme, int act, boolean after)
      throws Exception {
    if (after) {
      faults.crashAfter(act);
    } else {
      faults.crashBefore(act);
    }
    boolean last = act == (scheme.equals("faulty") ? 3 : 2);
    assertThrows(Exception.class, () -> requireKnown(write(scheme)));
    assertEquals(last && after, Files.exists(target));
    if (last && after) {
      assertArrayEquals(BYTES, Files.readAllBytes(target));
    }
    for (String name : left()) {
      assertTrue(
          name.equals("part-0") || StagedFile.isTemporary(name) || name.startsWith(".put-"), name);
    }
    faults.heal();
    assertEquals(
        last && after && scheme.equals("faulty")
            ? CommitOutcome.ALREADY_COMMITTED
            : CommitOutcome.COMMITTED,
        write(scheme));
    assertArrayEquals(BYTES, Files.readAllBytes(target));
  }

  private static void requireKnown(CommitOutcome outcome) {
    if (outcome == CommitOutcome.UNKNOWN) {
      throw new IllegalStateException("not known");
    }
  }

  @ParameterizedTest
  @CsvSource({"faulty,RENAME", "faultystore,CLOSE"})
  void testDoneButReportedAsFailedIsCommitted(String scheme, Act act) throws Exception {
    faults.once(act, "part-0", Effect.DONE_BUT_FAIL);
    assertEquals(CommitOutcome.COMMITTED, write(scheme));
    assertWhole();
  }

  @Test
  void testRenameReportedAsDoneThatWasNotIsAFailure() throws Exception {
    faults.once(Act.RENAME, "part-0", Effect.CLAIM);
    assertEquals(
        ErrorCode.STORAGE_FAILED,
        assertThrows(BulkgenException.class, () -> write("faulty")).code());
    assertEquals(List.of(), left());
  }

  @ParameterizedTest
  @CsvSource({"faulty,RENAME", "faultystore,CLOSE"})
  void testAStorageThatFallsSilentIsUnknownAndNothingIsDeleted(String scheme, Act act)
      throws Exception {
    // Create, write, then close and on a file system rename: the answer to the last never comes.
    faults.crashAfter(act == Act.CLOSE ? 2 : 3);
    assertEquals(CommitOutcome.UNKNOWN, write(scheme));
    assertArrayEquals(BYTES, Files.readAllBytes(target));
  }

  @ParameterizedTest
  @CsvSource({"faulty,WRITE", "faulty,CLOSE", "faultystore,WRITE", "faultystore,CLOSE"})
  void testFullDisk(String scheme, Act act) throws Exception {
    faults.once(act, "part-0", Effect.NO_SPACE);
    Exception e = assertThrows(Exception.class, () -> write(scheme));
    assertTrue(e.getMessage().contains("No space left on device"), e.getMessage());
    assertEquals(List.of(), left().stream().filter(name -> !name.startsWith(".put-")).toList());
    assertEquals(CommitOutcome.COMMITTED, write(scheme));
  }

  @Test
  void testLostTemporaryFileIsAFailureAndARetryEnds() throws Exception {
    StagedFile file = open("faulty");
    try (OutputStream out = file.create()) {
      out.write(BYTES);
    }
    Files.delete(folder.resolve(left().get(0)));
    assertThrows(BulkgenException.class, file::publish);
    file.discard();
    assertEquals(CommitOutcome.COMMITTED, write("faulty"));
  }

  @Test
  void testTwoAttemptsThatEndAtOnceAreOneFile() throws Exception {
    CommitOutcome[] second = new CommitOutcome[1];
    faults.during(Act.RENAME, () -> second[0] = write("faulty"));
    write("faulty");
    assertEquals(CommitOutcome.COMMITTED, second[0]);
    assertWhole();
  }

  @Test
  void testALaterAttemptFindsTheFirst() throws Exception {
    StagedFile late = open("faulty");
    try (OutputStream out = late.create()) {
      out.write(BYTES);
    }
    write("faulty");
    assertEquals(CommitOutcome.ALREADY_COMMITTED, late.publish());
    assertWhole();
  }

  @Test
  void testAnotherFileUnderTheNameIsRefusedAndKept() throws Exception {
    Files.writeString(target, "somebody else's");
    BulkgenException e = assertThrows(BulkgenException.class, () -> write("faulty"));
    assertTrue(e.getMessage().contains("other bytes"), e.getMessage());
    assertEquals("somebody else's", Files.readString(target));
    assertEquals(List.of("part-0"), left());
  }

  @ParameterizedTest
  @CsvSource({"faulty,RENAME", "faultystore,CLOSE"})
  void testReaderDuringASlowCommitSeesNothingOrAll(String scheme, Act act) throws Exception {
    faults.during(act, () -> assertEquals(0, visible()));
    write(scheme);
    assertEquals(1, visible());
    faults.during(act, () -> assertEquals(1, visible()));
    write(scheme);
    assertEquals(1, visible());
  }

  /** Whole files that a reader of the dataset takes. */
  private long visible() throws IOException {
    long count = 0;
    for (String name : left()) {
      if (!name.startsWith("_") && !name.startsWith(".")) {
        assertArrayEquals(BYTES, Files.readAllBytes(folder.resolve(name)));
        count++;
      }
    }
    return count;
  }
}
