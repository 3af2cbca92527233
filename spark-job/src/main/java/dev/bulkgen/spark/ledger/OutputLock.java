package dev.bulkgen.spark.ledger;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.storage.Storage;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;

/**
 * Keeps a second driver out of an output folder. The file says who holds it; a holder on this
 * machine is asked for by its process, one elsewhere counts as gone when it has not touched the
 * file for {@link #STALE}. Not proof against two drivers that start within the same blink on a file
 * system without exclusive creation; even then results are the same bytes (P1).
 */
public final class OutputLock implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Duration BEAT = Duration.ofSeconds(20);
  private static final Duration STALE = Duration.ofMinutes(3);

  private final Storage storage;
  private final Path file;

  /** Counts the drivers that have worked on the folder; stands in the lock file. */
  private final long epoch;

  private final ScheduledExecutorService heart;

  private OutputLock(Storage storage, Path file, long epoch) {
    this.storage = storage;
    this.file = file;
    this.epoch = epoch;
    this.heart =
        Executors.newSingleThreadScheduledExecutor(
            task -> {
              Thread thread = new Thread(task, "bulkgen-lock");
              thread.setDaemon(true);
              return thread;
            });
    heart.scheduleWithFixedDelay(this::beat, BEAT.toSeconds(), BEAT.toSeconds(), TimeUnit.SECONDS);
  }

  /**
   * @throws BulkgenException OUTPUT_LOCKED naming the holder
   */
  public static OutputLock acquire(Storage storage, Path file) {
    long epoch = 1;
    Optional<FileStatus> held = storage.status(file);
    if (held.isPresent()) {
      JsonNode holder = read(storage, file);
      if (isAlive(holder, held.get())) {
        throw locked(file, holder);
      }
      epoch = holder.path("epoch").asLong(0) + 1;
      storage.delete(file);
    }
    if (!storage.createExclusively(file, describe(epoch))) {
      throw locked(file, read(storage, file));
    }
    return new OutputLock(storage, file, epoch);
  }

  private static BulkgenException locked(Path file, JsonNode holder) {
    return BulkgenException.of(
        ErrorCode.OUTPUT_LOCKED,
        "%s is in use by process %s on %s; wait for it to end (or delete %s if it has)",
        file.getParent().getParent(),
        holder.path("pid").asText("?"),
        holder.path("host").asText("?"),
        file);
  }

  private static boolean isAlive(JsonNode holder, FileStatus status) {
    if (holder.path("host").asText().equals(host())) {
      Optional<ProcessHandle> process =
          ProcessHandle.of(holder.path("pid").asLong(-1)).filter(ProcessHandle::isAlive);
      // A process id comes back one day; the time it started does not.
      return process
          .map(found -> started(found).equals(holder.path("started").asText()))
          .orElse(false);
    }
    Instant touched = Instant.ofEpochMilli(status.getModificationTime());
    return touched.plus(STALE).isAfter(Instant.now());
  }

  private static JsonNode read(Storage storage, Path file) {
    try {
      return JSON.readTree(storage.readText(file));
    } catch (JsonProcessingException e) {
      // A holder killed while it wrote the file; only its age can speak for it.
      return JSON.createObjectNode();
    }
  }

  private static String describe(long epoch) {
    ProcessHandle self = ProcessHandle.current();
    return JSON.createObjectNode()
            .put("epoch", epoch)
            .put("pid", self.pid())
            .put("host", host())
            .put("started", started(self))
            .toString()
        + "\n";
  }

  private static String started(ProcessHandle process) {
    return process.info().startInstant().map(Instant::toString).orElse("unknown");
  }

  private static String host() {
    try {
      return InetAddress.getLocalHost().getHostName();
    } catch (UnknownHostException e) {
      return "localhost";
    }
  }

  private void beat() {
    try {
      storage.replaceText(file, describe(epoch));
    } catch (BulkgenException e) {
      // The next beat tries again; the lock only goes stale after several.
    }
  }

  @Override
  public void close() {
    heart.shutdownNow();
    try {
      heart.awaitTermination(BEAT.toSeconds(), TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    storage.delete(file);
  }
}
