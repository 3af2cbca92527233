package dev.bulkgen.spark.ledger;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.storage.Storage;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.hadoop.fs.Path;

/**
 * Keeps a second driver out of an output folder, on any file system.
 *
 * <p>A file {@code lock-EPOCH.json} says who holds the folder; of several the highest epoch counts.
 * The holder writes it anew in every {@link Timing#beat}. Who finds one whose holder ran on the
 * same machine asks for the process; any other is watched for one {@link Timing#lease}, by content
 * and so without comparing clocks: if it does not change, the holder is gone and the next epoch is
 * taken. Taking an epoch is an exclusive creation, so of two who come at once one is refused. A
 * holder that was held up for longer than its lease finds the higher epoch, and stops. Even if both
 * went on for a moment, results are the same bytes (P1).
 */
public final class OutputLock implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Pattern NAME = Pattern.compile("lock-(\\d{6})\\.json");

  private static final int LOOKS = 40;

  /**
   * How often a holder gives a sign of life, how long one may go without, and how long two puts
   * that cross each other take to settle on a store without exclusive creation.
   */
  record Timing(Duration beat, Duration lease, Duration settle) {
    static final Timing USUAL =
        new Timing(Duration.ofSeconds(10), Duration.ofSeconds(40), Duration.ofSeconds(2));
  }

  private record Found(Path file, int epoch, String text) {
    JsonNode holder() {
      try {
        return JSON.readTree(text);
      } catch (JsonProcessingException e) {
        // A holder killed while it wrote the file; only silence can speak for it.
        return JSON.createObjectNode();
      }
    }
  }

  private final Storage storage;
  private final Path folder;

  /** Counts the drivers that took the folder from one that was gone. */
  private final int epoch;

  private final String token;
  private final ScheduledExecutorService heart;
  private int beats;
  private volatile boolean lost;

  private OutputLock(Storage storage, Path folder, int epoch, String token, Timing timing) {
    this.storage = storage;
    this.folder = folder;
    this.epoch = epoch;
    this.token = token;
    this.heart =
        Executors.newSingleThreadScheduledExecutor(
            task -> {
              Thread thread = new Thread(task, "bulkgen-lock");
              thread.setDaemon(true);
              return thread;
            });
    long every = timing.beat().toMillis();
    heart.scheduleWithFixedDelay(this::beat, every, every, TimeUnit.MILLISECONDS);
  }

  /**
   * @param notice is told of a wait
   * @throws BulkgenException OUTPUT_LOCKED naming the holder
   */
  static OutputLock acquire(Storage storage, Path folder, Timing timing, Consumer<String> notice) {
    Optional<Found> before = newest(storage, folder);
    if (before.isPresent() && isAlive(storage, folder, before.get(), timing, notice)) {
      throw locked(folder, before.get());
    }
    int epoch = before.map(found -> found.epoch() + 1).orElse(1);
    String token = UUID.randomUUID().toString();
    boolean first = storage.createExclusively(file(folder, epoch), describe(epoch, token, 0));
    if (storage.putsWhole(folder)) {
      sleep(timing.settle());
    }
    Optional<Found> now = newest(storage, folder);
    if (!first || now.filter(found -> isOf(found, token)).isEmpty()) {
      throw locked(folder, now.or(() -> before).orElseThrow(() -> unreadable(folder)));
    }
    before.ifPresent(found -> storage.delete(found.file()));
    return new OutputLock(storage, folder, epoch, token, timing);
  }

  private static BulkgenException unreadable(Path folder) {
    return BulkgenException.of(
        ErrorCode.STORAGE_FAILED, "the lock in %s is gone as soon as it is written", folder);
  }

  private static BulkgenException locked(Path folder, Found found) {
    JsonNode holder = found.holder();
    return BulkgenException.of(
        ErrorCode.OUTPUT_LOCKED,
        "%s is in use by process %s on %s; wait for it to end (or delete %s if it has)",
        folder.getParent(),
        holder.path("pid").asText("?"),
        holder.path("host").asText("?"),
        found.file());
  }

  private static boolean isAlive(
      Storage storage, Path folder, Found found, Timing timing, Consumer<String> notice) {
    Optional<Boolean> known = ThisProcess.knows(found.holder());
    if (known.isPresent()) {
      return known.get();
    }
    notice.accept(
        String.format(
            Locale.ROOT,
            "output %s is held by process %s on %s; looking for up to %d s whether it is alive",
            folder.getParent(),
            found.holder().path("pid").asText("?"),
            found.holder().path("host").asText("?"),
            timing.lease().toSeconds()));
    long step = Math.max(1, timing.lease().toMillis() / LOOKS);
    for (long waited = 0; waited < timing.lease().toMillis(); waited += step) {
      sleep(Duration.ofMillis(step));
      Optional<Found> now = newest(storage, folder);
      if (now.isEmpty()) {
        return false;
      }
      if (!now.get().equals(found)) {
        return true;
      }
    }
    return false;
  }

  private static Optional<Found> newest(Storage storage, Path folder) {
    List<String> names =
        storage.list(folder).stream()
            .map(entry -> entry.getPath().getName())
            .filter(name -> NAME.matcher(name).matches())
            .toList();
    if (names.isEmpty()) {
      return Optional.empty();
    }
    String name = names.get(names.size() - 1);
    Matcher matcher = NAME.matcher(name);
    int epoch = matcher.matches() ? Integer.parseInt(matcher.group(1)) : 0;
    Path file = new Path(folder, name);
    // A holder that ends deletes its file, maybe now.
    return storage.find(file).map(text -> new Found(file, epoch, text));
  }

  private static Path file(Path folder, int epoch) {
    return new Path(folder, String.format(Locale.ROOT, "lock-%06d.json", epoch));
  }

  private static String describe(int epoch, String token, int beats) {
    return ThisProcess.describe().put("epoch", epoch).put("token", token).put("beats", beats)
        + "\n";
  }

  private static boolean isOf(Found found, String token) {
    return found.holder().path("token").asText().equals(token);
  }

  private static void sleep(Duration time) {
    try {
      Thread.sleep(time.toMillis());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new BulkgenException(
          ErrorCode.OUTPUT_LOCKED, "interrupted while it waited for the output's lock", e);
    }
  }

  private void beat() {
    try {
      if (!isHeld()) {
        lost = true;
        heart.shutdown();
        return;
      }
      beats++;
      storage.replaceText(file(folder, epoch), describe(epoch, token, beats));
    } catch (BulkgenException e) {
      // The next beat tries again; the lease covers several.
    }
  }

  /** Whether no other driver has taken the folder; asks the storage. */
  boolean isHeld() {
    return newest(storage, folder).filter(found -> isOf(found, token)).isPresent();
  }

  /**
   * Throws if a beat found that another driver has taken the folder; cheap.
   *
   * @throws BulkgenException OUTPUT_LOCKED
   */
  public void check() {
    if (lost) {
      throw BulkgenException.of(
          ErrorCode.OUTPUT_LOCKED,
          "another driver has taken %s over, because this one gave no sign of life for too long;"
              + " finished units are kept",
          folder.getParent());
    }
  }

  /**
   * Looks at the folder: to be called before what only one driver may do.
   *
   * @throws BulkgenException OUTPUT_LOCKED
   */
  public void verify() {
    lost = lost || !isHeld();
    check();
  }

  @Override
  public void close() {
    heart.shutdownNow();
    try {
      heart.awaitTermination(Timing.USUAL.lease().toSeconds(), TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    if (storage.find(file(folder, epoch)).filter(text -> text.contains(token)).isPresent()) {
      storage.delete(file(folder, epoch));
    }
  }
}
