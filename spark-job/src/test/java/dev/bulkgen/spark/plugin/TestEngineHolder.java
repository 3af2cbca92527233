package dev.bulkgen.spark.plugin;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.spark.Sessions;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class TestEngineHolder {
  private static final Path MODEL =
      Path.of("../examples/models/recall").toAbsolutePath().normalize();

  @BeforeEach
  void needsSpark() {
    Sessions.shared();
  }

  @AfterEach
  void close() {
    EngineHolder.closeAll();
  }

  private static EngineSpec spec(String... pairs) {
    TreeMap<String, String> values = new TreeMap<>();
    values.putAll(Map.of("model", MODEL.toString(), "memory", "64MB", "max-batch", "2"));
    values.putAll(Map.of("threads", "1", "backend", "cpu"));
    for (int i = 0; i < pairs.length; i += 2) {
      values.put(pairs[i], pairs[i + 1]);
    }
    return EngineSpec.of(values, "local[2]", ModelFolder.open(MODEL).digest());
  }

  private static EngineGateway opened(EngineSpec spec) throws InterruptedException {
    return EngineHolder.use(spec, engine -> engine);
  }

  @Test
  void testASpecSurvivesTheWayThroughSparksPlugins() {
    EngineSpec spec = spec("model-cache", "/models");
    assertEquals(spec, EngineSpec.fromMap(spec.toMap()).orElseThrow());
    assertTrue(EngineSpec.fromMap(Map.of()).isEmpty());
  }

  @Test
  void testTasksShareAnEngineAndAnotherTakesItsPlace() throws Exception {
    EngineHolder.start(spec());
    EngineGateway first = opened(spec());
    assertTrue(first.isOpen());
    assertTrue(opened(spec()).isOpen());
    assertEquals(0, EngineHolder.figures().orElseThrow().generatedTokens());
    EngineGateway other = opened(spec("kv-cache", "fp16"));
    assertFalse(first.isOpen());
    assertTrue(other.isOpen());
    assertNotEquals(spec().key(), spec("kv-cache", "fp16").key());
  }

  /** A job of other settings waits for the last task of this one. */
  @Test
  void testAnEngineInUseIsNotClosed() throws Exception {
    CountDownLatch begun = new CountDownLatch(1);
    CompletableFuture<Void> release = new CompletableFuture<>();
    CompletableFuture<Boolean> openAtTheEnd =
        CompletableFuture.supplyAsync(
            () -> {
              try {
                return EngineHolder.use(
                    spec(),
                    engine -> {
                      begun.countDown();
                      release.join();
                      return engine.isOpen();
                    });
              } catch (InterruptedException e) {
                throw new IllegalStateException(e);
              }
            });
    begun.await();
    CompletableFuture<EngineGateway> other =
        CompletableFuture.supplyAsync(
            () -> {
              try {
                return opened(spec("kv-cache", "fp16"));
              } catch (InterruptedException e) {
                throw new IllegalStateException(e);
              }
            });
    assertFalse(other.isDone());
    release.complete(null);
    assertTrue(openAtTheEnd.get());
    assertTrue(other.get().isOpen());
  }

  @Test
  void testAnErrorOfLoadingIsTheTasks() throws Exception {
    EngineSpec tooSmall = spec("memory", "1k");
    EngineHolder.start(tooSmall);
    BulkgenException refused = assertThrows(BulkgenException.class, () -> opened(tooSmall));
    assertEquals(ErrorCode.MEMORY_PLAN_REFUSED, refused.code());
    assertTrue(EngineHolder.figures().isEmpty());
    assertTrue(opened(spec()).isOpen());
  }

  @Test
  void testANodeWithAnotherModelOrJarIsRefused() {
    EngineSpec spec = spec();
    EngineSpec otherModel =
        new EngineSpec(spec.values(), null, spec.modelDigest().replace('a', 'b'), spec.build());
    BulkgenException model = assertThrows(BulkgenException.class, () -> opened(otherModel));
    assertEquals(ErrorCode.NODE_DIFFERS, model.code());
    assertTrue(model.getMessage().contains(MODEL.toString()), model.getMessage());
    EngineSpec otherJar =
        new EngineSpec(spec.values(), null, spec.modelDigest(), "0.0, kernels none");
    BulkgenException jar = assertThrows(BulkgenException.class, () -> opened(otherJar));
    assertEquals(ErrorCode.NODE_DIFFERS, jar.code());
    assertTrue(jar.getMessage().contains("0.0, kernels none"), jar.getMessage());
  }

  /** An engine that was closed under its users' hands is replaced, not asked again. */
  @Test
  void testASpentEngineIsReplaced() throws Exception {
    EngineHolder.use(
        spec(),
        engine -> {
          EngineHolder.closeAll();
          assertFalse(engine.isOpen());
          return null;
        });
    assertTrue(opened(spec()).isOpen());
  }
}
