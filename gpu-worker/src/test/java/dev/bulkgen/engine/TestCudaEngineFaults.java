package dev.bulkgen.engine;

import static dev.bulkgen.engine.EngineFixture.greedy;
import static dev.bulkgen.engine.EngineFixture.on;
import static dev.bulkgen.engine.EngineFixture.recall;
import static dev.bulkgen.engine.EngineFixture.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.cuda.EmulatedControls;
import dev.bulkgen.config.BackendChoice;
import dev.bulkgen.config.DtypeChoice;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.error.ErrorKind;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What the engine makes of a device that fails under it: an end that everyone hears of. */
@Timeout(120)
class TestCudaEngineFaults {
  private static final int SUBMITTERS = 8;

  private EmulatedControls controls;

  @BeforeEach
  void open() {
    controls = EmulatedControls.open();
  }

  @AfterEach
  void nothingIsLeft() {
    if (controls != null) {
      controls.close();
      assertEquals(0, controls.alive());
    }
  }

  private static EngineConfig config() {
    EngineConfig config = EngineFixture.withMaxModelLen(recall("kivi2", 2), 64);
    return on(BackendChoice.CUDA, DtypeChoice.AUTO, config);
  }

  @Test
  void testALostDeviceEndsTheEngine() throws Exception {
    Engine engine = Engine.open(config());
    // Several steps of two sequences, while the others wait in the queue or for a place in it.
    controls.failLaunch(300);
    List<BulkgenException> errors = submitAll(engine);
    for (BulkgenException error : errors) {
      assertEquals(ErrorKind.DEVICE_FATAL, error.kind(), error.getMessage());
      assertEquals(ErrorCode.DEVICE_LOST, error.code());
    }
    assertTrue(engine.metrics().generatedTokens() > 1, "it failed before it generated");
    BulkgenException late =
        assertThrows(BulkgenException.class, () -> engine.submit(request("late", "a", greedy(1))));
    assertEquals(ErrorKind.DEVICE_FATAL, late.kind());
    assertEquals(errors.get(0).getMessage(), late.getMessage());
    engine.close();
    engine.close();
    assertEquals(0, controls.alive());
  }

  @Test
  void testAGraphWithoutMemoryEndsTheEngine() throws Exception {
    Engine engine = Engine.open(config());
    controls.failAllocation(1);
    for (BulkgenException error : submitAll(engine)) {
      assertEquals(ErrorCode.DEVICE_OUT_OF_MEMORY, error.code(), error.getMessage());
      assertTrue(error.getMessage().contains("bytes are free"), error.getMessage());
    }
    engine.close();
    assertEquals(0, controls.alive());
    assertAnswers();
  }

  @Test
  void testAFullDeviceAtTheStart() {
    for (int n : new int[] {1, 2, 10, 30}) {
      controls.failAllocation(n);
      BulkgenException error = assertThrows(BulkgenException.class, () -> Engine.open(config()));
      assertEquals(ErrorCode.DEVICE_OUT_OF_MEMORY, error.code());
      assertEquals(0, controls.alive());
    }
    assertAnswers();
  }

  private static void assertAnswers() {
    try (Engine engine = Engine.open(config())) {
      assertEquals(1, engine.generateAll(List.of(request("k", "a cat", greedy(2)))).size());
    }
  }

  /** From a thread each; what each of them got. */
  private static List<BulkgenException> submitAll(Engine engine) throws InterruptedException {
    ExecutorService submitters = Executors.newFixedThreadPool(SUBMITTERS);
    List<Future<List<Completion>>> all = new ArrayList<>();
    for (int i = 0; i < SUBMITTERS; i++) {
      String key = "k" + i;
      all.add(submitters.submit(() -> answer(engine, key)));
    }
    List<BulkgenException> errors = new ArrayList<>();
    for (Future<List<Completion>> one : all) {
      Throwable error = assertThrows(ExecutionException.class, one::get).getCause();
      errors.add(assertInstanceOf(BulkgenException.class, error));
    }
    submitters.shutdown();
    return errors;
  }

  private static List<Completion> answer(Engine engine, String key) {
    CompletableFuture<List<Completion>> future =
        engine.submit(request(key, "a cat", greedy(40).ignoreEos(true)));
    try {
      return future.join();
    } catch (CompletionException e) {
      throw e.getCause() instanceof BulkgenException known ? known : e;
    }
  }
}
