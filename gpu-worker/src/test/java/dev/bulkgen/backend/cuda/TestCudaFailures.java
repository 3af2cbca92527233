package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.BackendSession;
import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.RandomModels;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.error.ErrorKind;
import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.tensor.DType;
import java.util.List;
import java.util.function.IntConsumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/**
 * The whole backend on a device that fails at every moment it can: a clear error, nothing stays
 * behind, and the next backend works.
 */
class TestCudaFailures {
  private static final String SIZES =
      "the device has no [\\d,]+ bytes \\(.+ MiB\\) for .+: [\\d,]+ of [\\d,]+ bytes are free; .+";
  private static final int[] PROMPT = {3, 1, 4, 1, 5};

  // Heads so wide that decode attention asks for more shared memory than a block has unasked.
  private final ModelWeights weights =
      RandomModels.make(
          new RandomModels.Form(
              2, 1, 256, BlockForm.SEQUENTIAL, MlpForm.GELU_TANH, true, 0, DType.BF16),
          5);

  private EmulatedControls controls;

  @BeforeEach
  void open() {
    controls = EmulatedControls.open();
    controls.quiet();
  }

  @AfterEach
  void nothingIsLeft() {
    if (controls != null) {
      controls.close();
      assertEquals(0, controls.alive());
    }
  }

  @Test
  void testEachAllocationFails() {
    float[] expected = healthy();
    int count = failEach(controls::failAllocation, SIZES);
    System.out.printf("device allocations of a backend: %d%n", count);
    assertTrue(count > 40, "only " + count);
    assertArrayEquals(expected, healthy());
  }

  @Test
  void testEachPinnedAllocationFails() {
    float[] expected = healthy();
    int count = failEach(controls::failHostAllocation, "the host locks no [\\d,]+ bytes .+");
    System.out.printf("pinned allocations of a backend: %d%n", count);
    assertTrue(count >= 6, "only " + count);
    assertArrayEquals(expected, healthy());
  }

  /**
   * Opens with the first, the second ... allocation failing until none does; how many there are. A
   * context beside keeps the device's context alive, so that nothing vanishes with it, and would be
   * lost with it if work went on in memory that was given back.
   */
  private int failEach(IntConsumer failing, String message) {
    try (CudaContext beside = EmulatedDevice.open()) {
      long before = controls.alive();
      for (int n = 1; ; n++) {
        controls.seed(n);
        failing.accept(n);
        BulkgenException error = failure();
        if (error == null) {
          failing.accept(0);
          return n - 1;
        }
        assertEquals(ErrorCode.DEVICE_OUT_OF_MEMORY, error.code(), error.getMessage());
        assertTrue(error.getMessage().matches(message), error.getMessage());
        assertEquals(0, error.getSuppressed().length, () -> error.getSuppressed()[0].toString());
        assertEquals(before, controls.alive(), "after allocation " + n + " failed");
        beside.synchronize();
      }
    }
  }

  private BulkgenException failure() {
    try {
      session().close();
      return null;
    } catch (BulkgenException e) {
      return e;
    }
  }

  @Test
  void testEachLaunchFails() {
    long before = controls.launches();
    float[] expected = healthy();
    int count = (int) (controls.launches() - before);
    System.out.printf("launches of a prompt and a token: %d%n", count);
    assertTrue(count > 20, "only " + count);
    for (int n = 1; n <= count; n++) {
      BackendSession session = session();
      SequenceCache cache = session.newSequence();
      controls.failLaunch(n);
      assertFatal(() -> run(session, cache));
      // The context stays lost, and closing says nothing of it.
      assertFatal(() -> session.step(session.newSequence(), LogitsRequest.NONE, 1));
      session.close();
      assertEquals(0, controls.alive(), "after launch " + n + " failed");
    }
    controls.failLaunch(0);
    assertArrayEquals(expected, healthy());
  }

  private static void assertFatal(Executable step) {
    BulkgenException error = assertThrows(BulkgenException.class, step);
    assertEquals(ErrorCode.DEVICE_LOST, error.code());
    assertEquals(ErrorKind.DEVICE_FATAL, error.kind());
    assertTrue(error.getMessage().contains("CUDA_ERROR_LAUNCH_FAILED"), error.getMessage());
  }

  @Test
  void testAGraphFindsNoMemory() {
    float[] expected = healthy();
    try (BackendSession session = session()) {
      SequenceCache cache = session.newSequence();
      session.step(cache, LogitsRequest.NONE, PROMPT);
      controls.failAllocation(1);
      BulkgenException error =
          assertThrows(BulkgenException.class, () -> session.step(cache, LogitsRequest.LAST, 9));
      assertEquals(ErrorCode.DEVICE_OUT_OF_MEMORY, error.code());
      assertTrue(
          error.getMessage().matches("cuGraphInstantiate of decode step of 1 rows, .* are free.*"),
          error.getMessage());
      // With memory again, the same step goes well.
      assertArrayEquals(expected, session.step(cache, LogitsRequest.LAST, 9).logits()[0]);
    }
  }

  @Test
  void testOtherGraphsMakeRoom() {
    float[] expected = healthy();
    try (BackendSession session = session()) {
      SequenceCache cache = session.newSequence();
      SequenceCache other = session.newSequence();
      session.step(cache, LogitsRequest.NONE, PROMPT);
      session.step(other, LogitsRequest.NONE, PROMPT);
      session.step(other, LogitsRequest.NONE, 9);
      long before = controls.alive();
      controls.failAllocation(1);
      StepOutput.Token token =
          (StepOutput.Token)
              session
                  .step(
                      List.of(
                          new BackendSession.Feed(cache, LogitsRequest.LAST, 9),
                          new BackendSession.Feed(other, LogitsRequest.NONE, 9)))
                  .get(0);
      assertArrayEquals(expected, token.logits()[0]);
      // The graph of two rows in place of that of one.
      assertEquals(before, controls.alive());
    }
  }

  @Test
  void testACaptureFails() {
    float[] expected = healthy();
    try (BackendSession session = session()) {
      SequenceCache cache = session.newSequence();
      session.step(cache, LogitsRequest.NONE, PROMPT);
      controls.sharedBytes(50 << 10);
      BulkgenException error =
          assertThrows(BulkgenException.class, () -> session.step(cache, LogitsRequest.LAST, 9));
      assertEquals(ErrorCode.INTERNAL, error.code());
      assertTrue(error.getMessage().startsWith("cuFuncSetAttribute"), error.getMessage());
      controls.sharedBytes(227 << 10);
      assertArrayEquals(expected, session.step(cache, LogitsRequest.LAST, 9).logits()[0]);
    }
  }

  /** What a sound device gives. */
  private float[] healthy() {
    try (BackendSession session = session()) {
      return run(session, session.newSequence());
    }
  }

  private static float[] run(BackendSession session, SequenceCache cache) {
    session.step(cache, LogitsRequest.NONE, PROMPT);
    StepOutput.Token token = session.step(cache, LogitsRequest.LAST, 9);
    return token.logits()[0];
  }

  private BackendSession session() {
    return new BackendSession(
        CudaSessions.opener(Precision.ONE_PIECE), weights, layout(), 2, 40, 1, 0);
  }

  private CacheLayout layout() {
    return CacheLayout.of(CachePolicy.KIVI2, weights.config());
  }
}
