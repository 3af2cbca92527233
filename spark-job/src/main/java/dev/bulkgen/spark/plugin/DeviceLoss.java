package dev.bulkgen.spark.plugin;

import dev.bulkgen.error.BulkgenException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskKilledException;

/**
 * The end of an executor whose device is lost: a context that is broken stays so until its process
 * ends, and every task that comes would fail on it. So the process ends, with a code of its own,
 * and the cluster manager starts another. A driver's process, as of {@code local[*]}, goes on: the
 * job fails with the cause.
 */
public final class DeviceLoss {
  /** Exit code of an executor that lost its device. */
  public static final int EXIT_CODE = 20;

  private static final Logger LOG = LogManager.getLogger(DeviceLoss.class);
  private static final long ORDERLY_MILLIS = 30_000;
  private static final long STATE_SECONDS = 10;

  private static final AtomicBoolean ENDING = new AtomicBoolean();

  private static volatile Consumer<String> driver = cause -> {};

  private DeviceLoss() {}

  /**
   * @param told takes the cause to the driver before the process ends
   */
  static void tell(Consumer<String> told) {
    driver = told;
  }

  /** Returns in a driver's process only. */
  static void endExecutor(BulkgenException cause) {
    if (SparkEnv.get() == null || SparkEnv.get().executorId().equals("driver")) {
      return;
    }
    if (ENDING.compareAndSet(false, true)) {
      LOG.error(
          "the device is lost, this executor ends with exit code {}: {}",
          EXIT_CODE,
          cause.getMessage());
      start("bulkgen-halt", DeviceLoss::haltInTime);
      start("bulkgen-exit", () -> exit(cause));
    }
    waitIfEnding();
  }

  /** What begins now would meet the same device; it waits for the end of the process instead. */
  static void waitIfEnding() {
    while (ENDING.get()) {
      try {
        Thread.sleep(ORDERLY_MILLIS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new TaskKilledException("the executor ends: its device is lost");
      }
    }
  }

  private static void exit(BulkgenException cause) {
    try {
      driver.accept(cause.getMessage());
      LOG.error("nvidia-smi -q says:\n{}", deviceState());
    } finally {
      System.exit(EXIT_CODE);
    }
  }

  /** Shutdown hooks may wait for a device that answers nothing any more. */
  private static void haltInTime() {
    try {
      Thread.sleep(ORDERLY_MILLIS);
    } catch (InterruptedException e) {
      LOG.error("interrupted while waiting for an orderly exit");
    }
    System.err.println("bulkgen: the orderly exit hangs; the process halts");
    Runtime.getRuntime().halt(EXIT_CODE);
  }

  private static String deviceState() {
    try {
      Process process = new ProcessBuilder("nvidia-smi", "-q").redirectErrorStream(true).start();
      try {
        if (!process.waitFor(STATE_SECONDS, TimeUnit.SECONDS)) {
          return "nothing within " + STATE_SECONDS + " s";
        }
        return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      } finally {
        process.destroyForcibly();
      }
    } catch (IOException e) {
      return "it is not here";
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return "nothing, for the process ends";
    }
  }

  private static void start(String name, Runnable work) {
    Thread thread = new Thread(work, name);
    thread.setDaemon(true);
    thread.start();
  }
}
