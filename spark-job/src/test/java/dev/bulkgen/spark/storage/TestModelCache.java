package dev.bulkgen.spark.storage;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.spark.JavaProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model behind another file system than this machine's: Hadoop's mount table, a real one. */
class TestModelCache {
  private static final String MODEL = "viewfs://shelf/models/recall";

  @TempDir Path folder;

  private Path shelf;
  private Path root;

  @BeforeEach
  void putTheModelOnTheShelf() throws IOException {
    shelf = Files.createDirectories(folder.resolve("shelf/recall"));
    root = folder.resolve("cache");
    try (Stream<Path> files = Files.list(Path.of("../examples/models/recall"))) {
      for (Path file : files.toList()) {
        Files.copy(file, shelf.resolve(file.getFileName()));
      }
    }
  }

  private static Configuration mounted(Path shelf) {
    Configuration configuration = new Configuration();
    configuration.set("fs.viewfs.mounttable.shelf.link./models", shelf.toUri().toString());
    // Hadoop keeps file systems by name, and each test has a shelf of its own.
    configuration.set("fs.viewfs.impl.disable.cache", "true");
    return configuration;
  }

  private Path fetch() {
    return ModelCache.in(Optional.of(root.toString())).fetch(MODEL, mounted(shelf.getParent()));
  }

  private ErrorCode refused(String model) {
    return assertThrows(
            BulkgenException.class,
            () ->
                ModelCache.in(Optional.of(root.toString()))
                    .fetch(model, mounted(shelf.getParent())))
        .code();
  }

  private static FileTime written(Path file) throws IOException {
    return Files.getLastModifiedTime(file);
  }

  @Test
  void testALocalModelStaysWhereItIs() {
    ModelCache cache = ModelCache.in(Optional.of(root.toString()));
    assertEquals(shelf, cache.fetch(shelf.toString(), new Configuration()));
    assertEquals(shelf, cache.fetch("file://" + shelf, new Configuration()));
    assertFalse(Files.exists(root));
  }

  @Test
  void testFetchedOnce() throws IOException {
    Path copy = fetch();
    assertEquals(ModelFolder.open(shelf).digest(), ModelFolder.open(copy).digest());
    FileTime first = written(copy.resolve("bulkgen-fetched.json"));
    assertEquals(copy, fetch());
    assertEquals(first, written(copy.resolve("bulkgen-fetched.json")));
  }

  @Test
  void testAnotherModelAtThePlaceIsAnotherCopy() throws IOException {
    Path copy = fetch();
    Path config = shelf.resolve("generation_config.json");
    Files.writeString(config, Files.readString(config) + "\n\n");
    assertNotEquals(copy, fetch());
  }

  @Test
  void testATornCopyIsMadeAgain() throws IOException {
    Path copy = fetch();
    Path weights = copy.resolve("model.safetensors");
    byte[] whole = Files.readAllBytes(weights);
    Files.write(weights, java.util.Arrays.copyOf(whole, whole.length / 2));
    assertEquals(whole.length, Files.size(fetch().resolve("model.safetensors")));
    Files.delete(copy.resolve("bulkgen-fetched.json"));
    fetch();
    assertTrue(Files.exists(copy.resolve("bulkgen-fetched.json")));
  }

  @Test
  void testWhatADeadProcessLeftIsSwept() throws IOException {
    Path copy = fetch();
    Path left = Files.createDirectory(root.resolve(copy.getFileName() + ".partial-1"));
    Files.write(left.resolve("model.safetensors"), new byte[10]);
    Files.delete(copy.resolve("config.json"));
    fetch();
    assertFalse(Files.exists(left));
    assertTrue(Files.exists(copy.resolve("config.json")));
  }

  @Test
  void testWhatIsNotThereIsSaid() throws IOException {
    assertEquals(ErrorCode.MODEL_NOT_FOUND, refused("viewfs://shelf/models/none"));
    assertEquals(ErrorCode.STORAGE_FAILED, refused("nosuch://shelf/models/recall"));
    Files.delete(shelf.resolve("config.json"));
    assertEquals(ErrorCode.MODEL_NOT_FOUND, refused(MODEL));
  }

  @Test
  void testNoRoomIsSaidWithTheSizes() {
    BulkgenException full =
        assertThrows(
            BulkgenException.class,
            () -> ModelCache.in(root, disk -> 1000).fetch(MODEL, mounted(shelf.getParent())));
    assertEquals(ErrorCode.DISK_FULL, full.code());
    assertTrue(full.getMessage().contains("1000 B free"), full.getMessage());
    assertTrue(full.getMessage().contains("--model-cache"), full.getMessage());
  }

  /** Fetches in a process of its own, and says which copy it found. */
  static final class Fetch {
    public static void main(String[] arguments) throws IOException {
      Path copy =
          ModelCache.in(Optional.of(arguments[0]))
              .fetch(MODEL, mounted(Path.of(arguments[1]).getParent()));
      Path record = copy.resolve("bulkgen-fetched.json");
      System.out.println("copy " + Files.getAttribute(record, "unix:ino") + " " + written(record));
    }
  }

  @Test
  void testProcessesThatStartTogetherShareOneCopy() throws Exception {
    List<JavaProcess> processes = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      processes.add(
          JavaProcess.of(Fetch.class.getName(), root.toString(), shelf.toString())
              .start(folder.resolve("log" + i)));
    }
    Set<String> copies = new HashSet<>();
    for (JavaProcess process : processes) {
      assertEquals(0, process.waitFor(), process.output());
      process.output().lines().filter(line -> line.startsWith("copy ")).forEach(copies::add);
    }
    assertEquals(1, copies.size(), copies.toString());
    try (Stream<Path> entries = Files.list(root)) {
      assertEquals(1, entries.filter(Files::isDirectory).count());
    }
  }
}
