package dev.bulkgen.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.backend.StepBatch;
import dev.bulkgen.backend.cpu.CpuBackend;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.config.PrefixSharing;
import dev.bulkgen.engine.EngineGrid.Point;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.sampling.SamplingParams;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Requests, threads and memory where something fails. */
@Timeout(60)
class TestEngineFailures {
  private static final CachePolicy POLICY = new CachePolicy.Kivi(2, 2, 32, 32, 0);
  private static final Point SWAPPING = new Point(8, 1, PrefixSharing.AUTO, 64);

  /** A call of the backend. */
  private enum Call {
    SUBMIT,
    AWAIT,
    SWAP_OUT,
    SWAP_IN
  }

  /** Throws the third time that it is asked for one thing. */
  private static final class FailingBackend extends ForwardingBackend {
    private final Call failing;
    private int calls;
    private volatile int closed;

    FailingBackend(Backend backend, Call failing) {
      super(backend);
      this.failing = failing;
    }

    private void called(Call call) {
      if (call == failing && ++calls == 3) {
        throw new IllegalStateException("no " + call);
      }
    }

    @Override
    public PendingStep submit(StepBatch batch) {
      called(Call.SUBMIT);
      PendingStep step = super.submit(batch);
      return () -> {
        called(Call.AWAIT);
        return step.await();
      };
    }

    @Override
    public void swapOut(SequenceCache from, SequenceCache to) {
      called(Call.SWAP_OUT);
      super.swapOut(from, to);
    }

    @Override
    public void swapIn(SequenceCache from, SequenceCache to) {
      called(Call.SWAP_IN);
      super.swapIn(from, to);
    }

    @Override
    public void close() {
      closed++;
      super.close();
    }
  }

  private static CpuBackend cpu(ModelWeights weights, CacheLayout layout, CacheCapacity capacity) {
    return CpuBackend.open(weights, layout, capacity, 1);
  }

  @ParameterizedTest
  @EnumSource
  void testWhateverThrowsEveryRequestHearsOfIt(Call call) {
    FailingBackend[] opened = new FailingBackend[1];
    EngineGrid engines =
        new EngineGrid(
            POLICY,
            (weights, layout, capacity) ->
                opened[0] = new FailingBackend(cpu(weights, layout, capacity), call));
    List<CompletableFuture<List<Completion>>> futures = new ArrayList<>();
    try (Engine engine = engines.open(SWAPPING)) {
      for (GenerateRequest row : EngineGrid.rows(16, 1, 60)) {
        futures.add(engine.submit(row));
      }
      int failed = 0;
      for (CompletableFuture<List<Completion>> future : futures) {
        try {
          assertEquals(1, future.join().size());
        } catch (CompletionException e) {
          failed++;
          assertSays(call, assertInstanceOf(BulkgenException.class, e.getCause()));
        }
      }
      assertTrue(failed > 0, "nothing failed");
      assertFalse(engine.isOpen());
      GenerateRequest next = EngineGrid.longest();
      assertSays(call, assertThrows(BulkgenException.class, () -> engine.submit(next)));
    }
    assertEquals(1, opened[0].closed);
  }

  private static void assertSays(Call call, BulkgenException error) {
    assertEquals(ErrorCode.INTERNAL, error.code());
    assertTrue(error.getMessage().contains("no " + call), error.getMessage());
  }

  /** A process may watch over its threads and end with one that throws, as Spark's executors do. */
  @Test
  void testABackendThatDoesNotCloseEndsNoThreadByAnException() {
    Queue<Throwable> uncaught = new ConcurrentLinkedQueue<>();
    Thread.UncaughtExceptionHandler usual = Thread.getDefaultUncaughtExceptionHandler();
    Thread.setDefaultUncaughtExceptionHandler((thread, error) -> uncaught.add(error));
    try {
      EngineGrid engines =
          new EngineGrid(
              POLICY,
              (weights, layout, capacity) ->
                  new ForwardingBackend(cpu(weights, layout, capacity)) {
                    @Override
                    public void close() {
                      super.close();
                      throw new IllegalStateException("does not close");
                    }
                  });
      engines.open(SWAPPING).close();
    } finally {
      Thread.setDefaultUncaughtExceptionHandler(usual);
    }
    assertEquals(List.of(), List.copyOf(uncaught));
  }

  @Test
  void testARefusedRequestLeavesNoneOfTheOthersRunning() {
    EngineGrid engines = new EngineGrid(POLICY, TestEngineFailures::cpu);
    try (Engine engine = engines.open(new Point(1, 0, PrefixSharing.OFF, 64))) {
      List<GenerateRequest> rows = new ArrayList<>(EngineGrid.rows(2, 1, 10_000));
      Prompt prompt = new Prompt.Tokens(new int[] {5});
      Set<Integer> all = IntStream.range(0, 288).boxed().collect(Collectors.toSet());
      SamplingParams nothingLeft = EngineFixture.greedy(3).minTokens(2).stopTokenIds(all).build();
      rows.add(new GenerateRequest("bad", prompt, nothingLeft));
      BulkgenException error = assertThrows(BulkgenException.class, () -> engine.generateAll(rows));
      assertEquals(ErrorCode.SETTING_INVALID, error.code());
      engine.generateAll(
          List.of(new GenerateRequest("next", prompt, EngineFixture.greedy(1).build())));
      assertTrue(
          engine.metrics().generatedTokens() < EngineGrid.LONGEST, "the others ran to their end");
    }
  }

  /** Their outputs are short, whatever was guessed, and so more of them run at once. */
  @Test
  void testLengthsOfTextsThatStopStringsEndAreLearnedFrom() {
    EngineGrid engines = new EngineGrid(CachePolicy.FP16, TestEngineFailures::cpu);
    String[] letters = {"a", "e", "h", "i", "l", "n", "o", "r", "s", "t", "u"};
    try (Engine engine =
        engines.open(new Point(8, 2, PrefixSharing.OFF, EngineGrid.LONGEST), 200)) {
      List<GenerateRequest> rows = new ArrayList<>();
      for (int i = 0; i < 200; i++) {
        rows.add(
            EngineFixture.request(
                "row" + i,
                "the old sun",
                EngineFixture.greedy(200).ignoreEos(true).stop(Arrays.asList(letters))));
      }
      for (List<Completion> row : engine.generateAll(rows)) {
        assertEquals(FinishReason.STOP, row.get(0).finishReason());
      }
      EngineMetrics metrics = engine.metrics();
      assertTrue(metrics.sequenceSteps() > metrics.steps(), "never more than one at a time");
    }
  }
}
