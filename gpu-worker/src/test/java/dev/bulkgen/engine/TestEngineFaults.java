package dev.bulkgen.engine;

import static dev.bulkgen.engine.EngineFixture.greedy;
import static dev.bulkgen.engine.EngineFixture.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.Fixtures;
import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.StepBatch;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.MemoryDemand;
import dev.bulkgen.cache.MemoryDemand.WeightPlacement;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.config.PrefixSharing;
import dev.bulkgen.config.PromptOverflow;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What the engine makes of a backend that fails. */
@Timeout(60)
class TestEngineFaults {
  /** Faults that a sound backend does not have. */
  private enum Fault {
    STEP_FAILS,
    SEQUENCE_FAILS
  }

  @ParameterizedTest
  @EnumSource(Fault.class)
  void testBackendFailures(Fault fault) {
    Path model = Fixtures.path("models/recall");
    CacheLayout layout = new CacheLayout(CachePolicy.FP16, 3, 2, 64);
    MemoryDemand demand =
        new MemoryDemand(
            1L << 30, 0, WeightPlacement.MAPPED, 0, 0, 0, 4, 64, 64, 0, PrefixSharing.AUTO);
    PromptEncoder encoder =
        PromptEncoder.open(
            model, 288, 64, PromptOverflow.ERROR, LocalDateTime.of(2025, 1, 1, 0, 0));
    FaultyBackend backend = new FaultyBackend(fault);
    try (Engine engine =
        new Engine(
            MemoryPlan.of(layout, 64, demand.maxBatch(), (length, batch) -> demand),
            encoder,
            Set.of(2),
            backend)) {
      var failed = engine.submit(request("k", "the", greedy(9).n(2)));
      BulkgenException error = error(failed);
      if (fault == Fault.SEQUENCE_FAILS) {
        assertEquals(ErrorCode.NUMERIC_FAILURE, error.code());
        assertFalse(backend.closed);
        assertEquals(
            ErrorCode.NUMERIC_FAILURE, error(engine.submit(request("l", "the", greedy(9)))).code());
      } else {
        assertEquals(ErrorCode.INTERNAL, error.code());
        BulkgenException again =
            assertThrows(
                BulkgenException.class, () -> engine.submit(request("l", "the", greedy(1))));
        assertEquals(ErrorCode.INTERNAL, again.code());
        assertTrue(again.getMessage().contains("out of order"), again.getMessage());
      }
    }
    assertTrue(backend.closed);
  }

  private static final class FaultyBackend implements Backend {
    private final Fault fault;
    private volatile boolean closed;

    FaultyBackend(Fault fault) {
      this.fault = fault;
    }

    @Override
    public String description() {
      return "faulty";
    }

    @Override
    public PendingStep submit(StepBatch batch) {
      if (fault == Fault.STEP_FAILS) {
        throw new IllegalStateException("out of order");
      }
      BulkgenException error = BulkgenException.of(ErrorCode.NUMERIC_FAILURE, "not finite");
      List<StepOutput.SequenceOutput> outputs = new ArrayList<>();
      batch.sequences().forEach(sequence -> outputs.add(new StepOutput.Failure(error)));
      return () -> new StepOutput(outputs);
    }

    @Override
    public void copyCache(SequenceCache from, SequenceCache to) {
      throw new AssertionError("nothing to copy");
    }

    @Override
    public void swapOut(SequenceCache from, SequenceCache to) {
      throw new AssertionError("nothing to swap");
    }

    @Override
    public void swapIn(SequenceCache from, SequenceCache to) {
      throw new AssertionError("nothing to swap");
    }

    @Override
    public long cacheBytes() {
      return 0;
    }

    @Override
    public void close() {
      closed = true;
    }
  }

  private static BulkgenException error(CompletableFuture<?> future) {
    ExecutionException error =
        assertThrows(ExecutionException.class, () -> future.get(30, TimeUnit.SECONDS));
    return assertInstanceOf(BulkgenException.class, error.getCause());
  }
}
