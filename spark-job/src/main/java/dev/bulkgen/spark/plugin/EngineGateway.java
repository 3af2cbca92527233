package dev.bulkgen.spark.plugin;

import dev.bulkgen.engine.Completion;
import dev.bulkgen.engine.GenerateRequest;
import dev.bulkgen.engine.Score;
import dev.bulkgen.engine.ScoreRequest;
import dev.bulkgen.text.Tokenizer;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/** What tasks see of the engine they share. */
public interface EngineGateway extends AutoCloseable {

  /**
   * Queues a row, waiting while the queue is full; cancelling the future frees its sequences. The
   * future fails with a BulkgenException of kind DATA where only this row cannot be done.
   */
  CompletableFuture<List<Completion>> submit(GenerateRequest request);

  /** Queues a row whose completions are scored, as {@link #submit} does. */
  CompletableFuture<List<Score>> score(ScoreRequest request);

  /** Of the model; empty where it has none. */
  Optional<Tokenizer> tokenizer();

  EngineFigures figures();

  /** When it was opened, in milliseconds of this machine's clock: tells engines apart. */
  long opened();

  /** False once it is closed or has failed for good. */
  boolean isOpen();

  @Override
  void close();
}
