package dev.bulkgen.spark.plugin;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.function.Supplier;

/**
 * The engines of this JVM, one for each set of engine settings, shared by all task slots. An engine
 * loads on a thread of its own; whoever waits for it gets its error, so that a bad model fails
 * tasks, which Spark reports, and not an executor, which Spark would start again for ever.
 */
public final class EngineHolder {
  private static final ConcurrentHashMap<String, CompletableFuture<EngineGateway>> ENGINES =
      new ConcurrentHashMap<>();

  private EngineHolder() {}

  /** Begins to load, if no one has; returns at once. */
  public static void start(String key, Supplier<EngineGateway> loader) {
    ENGINES.computeIfAbsent(key, absent -> load(loader));
  }

  private static CompletableFuture<EngineGateway> load(Supplier<EngineGateway> loader) {
    CompletableFuture<EngineGateway> engine = new CompletableFuture<>();
    Thread thread =
        new Thread(
            () -> {
              try {
                engine.complete(loader.get());
              } catch (Throwable e) {
                // Also errors such as a missing native library: the waiting task is to report it.
                engine.completeExceptionally(e);
              }
            },
            "bulkgen-engine-load");
    thread.setDaemon(true);
    thread.start();
    return engine;
  }

  /**
   * Waits for the engine.
   *
   * @throws BulkgenException what its loading threw
   */
  public static EngineGateway await(String key, Supplier<EngineGateway> loader)
      throws InterruptedException {
    start(key, loader);
    try {
      return ENGINES.get(key).get();
    } catch (ExecutionException e) {
      // A later task may find the machine in a better state.
      ENGINES.remove(key);
      if (e.getCause() instanceof BulkgenException known) {
        throw known;
      }
      throw new BulkgenException(
          ErrorCode.INTERNAL, "the engine failed to load: " + e.getCause(), e.getCause());
    }
  }

  /** Figures of an engine of this JVM that is loaded. */
  public static Optional<EngineFigures> figures(String key) {
    CompletableFuture<EngineGateway> engine = ENGINES.get(key);
    return engine == null || !engine.isDone() || engine.isCompletedExceptionally()
        ? Optional.empty()
        : Optional.of(engine.join().figures());
  }

  /** Closes the engine; one that is still loading is closed as soon as it is there. */
  public static void close(String key) {
    CompletableFuture<EngineGateway> engine = ENGINES.remove(key);
    if (engine != null) {
      engine.thenAccept(EngineGateway::close);
    }
  }
}
