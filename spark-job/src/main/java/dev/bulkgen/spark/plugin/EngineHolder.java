package dev.bulkgen.spark.plugin;

import dev.bulkgen.engine.Completion;
import dev.bulkgen.engine.GenerateRequest;
import dev.bulkgen.engine.Score;
import dev.bulkgen.engine.ScoreRequest;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.error.ErrorKind;
import dev.bulkgen.text.Tokenizer;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.function.Function;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkEnv;
import org.apache.spark.deploy.SparkHadoopUtil;

/**
 * The engine of this JVM, shared by all task slots, with the plugin or without. It loads on a
 * thread of its own; whoever waits for it gets its error, so that a bad model fails tasks, which
 * Spark reports, and not an executor, which Spark would start again for ever. There is one at a
 * time: who asks for another waits until nobody uses this one, which is then closed.
 */
public final class EngineHolder {
  private static final Object LOCK = new Object();

  // Guarded by LOCK.
  private static Loaded current;

  private EngineHolder() {}

  /** An engine, loaded or loading, and how many use it. */
  private static final class Loaded {
    final String key;
    final CompletableFuture<EngineGateway> engine;
    int users;

    Loaded(String key, CompletableFuture<EngineGateway> engine) {
      this.key = key;
      this.engine = engine;
    }

    boolean isReady() {
      return engine.isDone() && !engine.isCompletedExceptionally();
    }

    boolean isSpent() {
      return engine.isDone() && !(isReady() && engine.join().isOpen());
    }
  }

  /** Begins to load if there is no engine; returns at once. */
  static void start(EngineSpec spec) {
    synchronized (LOCK) {
      if (current == null) {
        current = load(spec);
      }
    }
  }

  /** The device is asked for here: on the loading thread there is no task to ask. */
  private static Loaded load(EngineSpec spec) {
    try {
      return new Loaded(spec.key(), load(spec, AssignedGpu.device()));
    } catch (BulkgenException e) {
      return new Loaded(spec.key(), CompletableFuture.failedFuture(e));
    }
  }

  private static CompletableFuture<EngineGateway> load(EngineSpec spec, OptionalInt device) {
    CompletableFuture<EngineGateway> engine = new CompletableFuture<>();
    Configuration configuration = SparkHadoopUtil.get().newConfiguration(SparkEnv.get().conf());
    Thread thread =
        new Thread(
            () -> {
              try {
                engine.complete(EngineLoader.open(spec, device, configuration));
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
   * Runs work with the engine, which it waits for.
   *
   * @throws BulkgenException what loading or the work threw. Does not return where the device is
   *     lost and this process is an executor: the process ends, and Spark replaces it.
   */
  public static <T> T use(EngineSpec spec, Function<EngineGateway, T> work)
      throws InterruptedException {
    try (Lease lease = acquire(spec)) {
      return work.apply(lease);
    } catch (BulkgenException e) {
      if (e.kind() == ErrorKind.DEVICE_FATAL) {
        DeviceLoss.endExecutor(e);
      }
      throw e;
    }
  }

  private static Lease acquire(EngineSpec spec) throws InterruptedException {
    DeviceLoss.waitIfEnding();
    Loaded mine;
    synchronized (LOCK) {
      while (current != null && !current.key.equals(spec.key()) && current.users > 0) {
        LOCK.wait();
      }
      if (current != null && (current.isSpent() || !current.key.equals(spec.key()))) {
        close(current);
        current = null;
      }
      if (current == null) {
        current = load(spec);
      }
      mine = current;
      mine.users++;
    }
    try {
      return new Lease(mine, mine.engine.get());
    } catch (ExecutionException e) {
      release(mine);
      if (e.getCause() instanceof BulkgenException known) {
        throw known;
      }
      throw new BulkgenException(
          ErrorCode.INTERNAL, "the engine failed to load: " + e.getCause(), e.getCause());
    } catch (InterruptedException e) {
      release(mine);
      throw e;
    }
  }

  private static void release(Loaded engine) {
    synchronized (LOCK) {
      engine.users--;
      LOCK.notifyAll();
    }
  }

  /** Figures of this JVM's engine once it is loaded. */
  public static Optional<EngineFigures> figures() {
    return report().map(EngineReport::figures);
  }

  /** The same, with whose they are. */
  public static Optional<EngineReport> report() {
    Loaded loaded;
    synchronized (LOCK) {
      loaded = current;
    }
    return loaded != null && loaded.isReady()
        ? Optional.of(EngineReport.of(loaded.engine.join()))
        : Optional.empty();
  }

  /** Closes the engine if it is this one and nobody uses it. */
  public static void close(EngineSpec spec) {
    synchronized (LOCK) {
      if (current != null && current.key.equals(spec.key()) && current.users == 0) {
        close(current);
        current = null;
      }
    }
  }

  /** Closes the engine whoever uses it: the process ends. */
  static void closeAll() {
    Loaded last;
    synchronized (LOCK) {
      last = current;
      current = null;
    }
    if (last != null) {
      close(last);
    }
  }

  /** One that is still loading is closed as soon as it is there. */
  private static void close(Loaded engine) {
    engine.engine.thenAccept(EngineGateway::close);
  }

  /** The engine in the hands of one task; closing gives it back. */
  private static final class Lease implements EngineGateway {
    private final Loaded loaded;
    private final EngineGateway engine;

    Lease(Loaded loaded, EngineGateway engine) {
      this.loaded = loaded;
      this.engine = engine;
    }

    @Override
    public CompletableFuture<List<Completion>> submit(GenerateRequest request) {
      return engine.submit(request);
    }

    @Override
    public CompletableFuture<List<Score>> score(ScoreRequest request) {
      return engine.score(request);
    }

    @Override
    public Optional<Tokenizer> tokenizer() {
      return engine.tokenizer();
    }

    @Override
    public EngineFigures figures() {
      return engine.figures();
    }

    @Override
    public long opened() {
      return engine.opened();
    }

    @Override
    public boolean isOpen() {
      return engine.isOpen();
    }

    @Override
    public void close() {
      release(loaded);
    }
  }
}
