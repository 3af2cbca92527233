package dev.bulkgen.spark.storage;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.bulkgen.config.ByteSize;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.spark.config.Digest;
import dev.bulkgen.spark.config.JobSettings;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.ToLongFunction;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;

/**
 * Model folders of this node: one that lies on a shared or object store is fetched once, for all
 * processes. A fetch goes into a folder of its own under a file lock and gets its name when it is
 * whole; before each use the copy is compared with what was fetched, and made again if it is not
 * that. Weights are mapped from these files.
 */
public final class ModelCache {
  private static final Logger LOG = LogManager.getLogger(ModelCache.class);
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Pattern REMOTE = Pattern.compile("[A-Za-z][A-Za-z0-9+.-]*:/.*");
  private static final Pattern MODEL_FILE =
      Pattern.compile(".*\\.(json|jinja|safetensors|model|txt)");
  private static final String RECORD = "bulkgen-fetched.json";
  private static final int NAME_DIGITS = 24;
  private static final int BUFFER = 4 << 20;

  private final Path root;
  private final ToLongFunction<Path> freeBytes;

  private ModelCache(Path root, ToLongFunction<Path> freeBytes) {
    this.root = root.toAbsolutePath();
    this.freeBytes = freeBytes;
  }

  /**
   * @param folder empty: {@code bulkgen-models} in the folder for temporary files
   */
  public static ModelCache in(Optional<String> folder) {
    Path root =
        folder
            .map(Path::of)
            .orElseGet(() -> Path.of(System.getProperty("java.io.tmpdir"), "bulkgen-models"));
    return new ModelCache(root, ModelCache::usableSpace);
  }

  /** A job's model as a folder of this machine; throws as {@link #fetch}. */
  public static Path folderOf(JobSettings job, Configuration configuration) {
    return in(job.run().modelCache()).fetch(job.model(), configuration);
  }

  /** On a disk with as much room as {@code freeBytes} says. */
  static ModelCache in(Path root, ToLongFunction<Path> freeBytes) {
    return new ModelCache(root, freeBytes);
  }

  private static long usableSpace(Path folder) {
    try {
      return Files.getFileStore(folder).getUsableSpace();
    } catch (IOException e) {
      throw failure("look at the disk of", folder.toString(), e);
    }
  }

  /** Whether a name leads elsewhere: {@code hdfs://…}, {@code s3a://…}; not a path, nor file:. */
  public static boolean isRemote(String model) {
    return REMOTE.matcher(model).matches() && !model.startsWith("file:");
  }

  /**
   * The model as a folder of this machine.
   *
   * @param model a local path, used in place, or a folder on any file system Hadoop knows
   * @throws BulkgenException MODEL_NOT_FOUND, DISK_FULL with the sizes, STORAGE_FAILED
   */
  public Path fetch(String model, Configuration configuration) {
    if (!isRemote(model)) {
      return model.startsWith("file:") ? Path.of(URI.create(model).getPath()) : Path.of(model);
    }
    Source source = Source.list(model, configuration);
    Path target = root.resolve(source.name());
    try {
      Files.createDirectories(root);
      // A lock of the system is the process's: the slots of one executor need one of their own.
      synchronized (ModelCache.class) {
        try (FileChannel channel =
                FileChannel.open(
                    root.resolve(source.name() + ".lock"),
                    StandardOpenOption.CREATE,
                    StandardOpenOption.WRITE);
            FileLock held = channel.lock()) {
          if (!held.isValid() || !isWhole(target)) {
            fetch(source, target);
          }
        }
      }
      return target;
    } catch (IOException e) {
      throw failure("fetch " + model + " into", target.toString(), e);
    }
  }

  /** Whether a copy is there and is still what was fetched. */
  private static boolean isWhole(Path target) throws IOException {
    if (!Files.exists(target)) {
      return false;
    }
    try {
      JsonNode record = JSON.readTree(target.resolve(RECORD).toFile());
      if (record.get("digest").asText().equals(ModelFolder.open(target).digest())) {
        return true;
      }
      LOG.warn("{}: is not what was fetched; it is fetched again", target);
    } catch (IOException | RuntimeException e) {
      LOG.warn("{}: is torn or damaged ({}); it is fetched again", target, e.getMessage());
    }
    return false;
  }

  private void fetch(Source source, Path target) throws IOException {
    deleteLeftOvers(source.name());
    long free = freeBytes.applyAsLong(root);
    if (free < source.bytes()) {
      throw BulkgenException.of(
          ErrorCode.DISK_FULL,
          "the model %s takes %s, %s has %s free: make room, or name a folder on a larger disk by"
              + " --model-cache",
          source.model(),
          ByteSize.format(source.bytes()),
          root,
          ByteSize.format(free));
    }
    Path partial = root.resolve(source.name() + ".partial-" + ProcessHandle.current().pid());
    Files.createDirectories(partial);
    LOG.info("fetching {} ({}) into {}", source.model(), ByteSize.format(source.bytes()), target);
    for (FileStatus file : source.files()) {
      source.copy(file, partial.resolve(file.getPath().getName()));
    }
    ObjectNode record = JSON.createObjectNode();
    record.put("model", source.model());
    record.put("digest", ModelFolder.open(partial).digest());
    Files.writeString(partial.resolve(RECORD), record.toPrettyString());
    Files.move(partial, target, StandardCopyOption.ATOMIC_MOVE);
  }

  /** Under the lock nobody else fetches this model, so a partial copy belongs to a dead process. */
  private void deleteLeftOvers(String name) throws IOException {
    List<Path> old;
    try (Stream<Path> entries = Files.list(root)) {
      old =
          entries
              .filter(entry -> entry.getFileName().toString().startsWith(name))
              .filter(Files::isDirectory)
              .toList();
    }
    for (Path folder : old) {
      try (Stream<Path> content = Files.walk(folder)) {
        for (Path path : content.sorted(Comparator.reverseOrder()).toList()) {
          Files.delete(path);
        }
      }
    }
  }

  private static BulkgenException failure(String act, String what, IOException e) {
    String reason = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    ErrorCode code =
        reason.contains("No space left") ? ErrorCode.DISK_FULL : ErrorCode.STORAGE_FAILED;
    return new BulkgenException(code, "cannot " + act + " " + what + ": " + reason, e);
  }

  /** What is to be fetched. */
  private record Source(String model, FileSystem system, List<FileStatus> files, String name) {

    static Source list(String model, Configuration configuration) {
      try {
        org.apache.hadoop.fs.Path folder = new org.apache.hadoop.fs.Path(model);
        FileSystem system = folder.getFileSystem(configuration);
        List<FileStatus> files = new ArrayList<>();
        Digest name = Digest.sha256().add(model);
        FileStatus[] entries = system.listStatus(folder);
        Stream.of(entries)
            .filter(entry -> entry.isFile())
            .filter(entry -> MODEL_FILE.matcher(entry.getPath().getName()).matches())
            .sorted(Comparator.comparing(entry -> entry.getPath().getName()))
            .forEach(
                entry -> {
                  files.add(entry);
                  name.add(entry.getPath().getName())
                      .add(entry.getLen())
                      .add(entry.getModificationTime());
                });
        requireConfig(model, files);
        return new Source(model, system, files, name.hex().substring(0, NAME_DIGITS));
      } catch (FileNotFoundException e) {
        throw BulkgenException.of(
            ErrorCode.MODEL_NOT_FOUND, "%s: there is no such model folder; check the path", model);
      } catch (IOException | IllegalArgumentException e) {
        throw new BulkgenException(
            ErrorCode.STORAGE_FAILED,
            "model " + model + ": its file system does not answer: " + e.getMessage(),
            e);
      }
    }

    private static void requireConfig(String model, List<FileStatus> files) {
      if (files.stream().noneMatch(file -> file.getPath().getName().equals("config.json"))) {
        throw BulkgenException.of(
            ErrorCode.MODEL_NOT_FOUND,
            "%s: holds no config.json; name the folder with config.json and the weights",
            model);
      }
    }

    long bytes() {
      return files.stream().mapToLong(FileStatus::getLen).sum();
    }

    void copy(FileStatus file, Path target) throws IOException {
      byte[] buffer = new byte[BUFFER];
      long bytes = 0;
      try (InputStream in = system.open(file.getPath());
          FileChannel out =
              FileChannel.open(target, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
        for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
          ByteBuffer chunk = ByteBuffer.wrap(buffer, 0, read);
          while (chunk.hasRemaining()) {
            out.write(chunk);
          }
          bytes += read;
        }
        out.force(true);
      }
      if (bytes != file.getLen()) {
        throw new IOException(
            file.getPath() + " gave " + bytes + " bytes of " + file.getLen() + "; did it change?");
      }
    }
  }
}
