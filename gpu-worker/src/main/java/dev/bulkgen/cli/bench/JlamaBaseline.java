package dev.bulkgen.cli.bench;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.File;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Jlama on the same model in the same process, as the yardstick among engines in Java. It needs
 * Java 20 or later while this project is built for 17, and its dependencies are not ours: so it
 * stays in a class loader of its own and is called by name.
 */
final class JlamaBaseline implements AutoCloseable {
  private static final int NEEDED_JAVA = 20;
  private static final String PACKAGE = "com.github.tjake.jlama.";

  private final URLClassLoader loader;
  private final Object model;
  private final Object logits;

  private JlamaBaseline(URLClassLoader loader, Object model, Object logits) {
    this.loader = loader;
    this.model = model;
    this.logits = logits;
  }

  /** Why it cannot run here; empty if it can. */
  static Optional<String> unavailable(Path classPathFile) {
    if (Runtime.version().feature() < NEEDED_JAVA) {
      return Optional.of("Jlama needs Java 20 or later; run with such a JAVA_HOME to compare");
    }
    if (classPathFile == null || !Files.exists(classPathFile)) {
      return Optional.of(
          "give --jlama-classpath; make it with: mvn -q -f gpu-worker/src/bench/jlama process-resources");
    }
    return Optional.empty();
  }

  static JlamaBaseline load(Path classPathFile, Path modelFolder, int vocabulary) {
    // Its template engine looks for its own classes through the thread.
    Thread thread = Thread.currentThread();
    ClassLoader before = thread.getContextClassLoader();
    try {
      String[] parts = Files.readString(classPathFile).trim().split(File.pathSeparator);
      URL[] urls = new URL[parts.length];
      for (int i = 0; i < parts.length; i++) {
        urls[i] = Path.of(parts[i]).toUri().toURL();
      }
      URLClassLoader loader =
          new URLClassLoader("jlama", urls, ClassLoader.getPlatformClassLoader());
      thread.setContextClassLoader(loader);
      Class<?> support = loader.loadClass(PACKAGE + "model.ModelSupport");
      Class<?> dtype = loader.loadClass(PACKAGE + "safetensors.DType");
      Object f32 = dtype.getField("F32").get(null);
      Method load = support.getMethod("loadModel", File.class, dtype, dtype);
      Object model = load.invoke(null, modelFolder.toFile(), f32, f32);
      Object logits =
          model
              .getClass()
              .getMethod("makeDenseTensor", int[].class)
              .invoke(model, (Object) new int[] {vocabulary});
      return new JlamaBaseline(loader, model, logits);
    } catch (IOException | ReflectiveOperationException e) {
      throw failure(e);
    } finally {
      thread.setContextClassLoader(before);
    }
  }

  /** Tokens/s of a prompt of {@code ids} alone. */
  double promptTokensPerSecond(int[] ids) {
    try (AutoCloseable buffer = kvBuffer()) {
      long start = System.nanoTime();
      prefill(ids, buffer);
      return ids.length / seconds(start);
    } catch (Exception e) {
      throw failure(e);
    }
  }

  /** Tokens/s of one stream after {@code ids}, over {@code steps} greedy steps. */
  double decodeTokensPerSecond(int[] ids, int steps) {
    try (AutoCloseable buffer = kvBuffer()) {
      prefill(ids, buffer);
      Class<?> kv = bufferClass();
      Method forward =
          model.getClass().getMethod("forward", int.class, int.class, kv, Optional.class);
      Class<?> tensor = loader.loadClass(PACKAGE + "tensor.AbstractTensor");
      Method sample =
          model.getClass().getMethod("sample", tensor, float.class, float.class, tensor);
      int token = 1;
      long start = System.nanoTime();
      for (int i = 0; i < steps; i++) {
        Object hidden = forward.invoke(model, token, ids.length + i, buffer, Optional.empty());
        token = (int) sample.invoke(model, hidden, 0f, 0.5f, logits);
      }
      return steps / seconds(start);
    } catch (Exception e) {
      throw failure(e);
    }
  }

  private void prefill(int[] ids, Object buffer) throws ReflectiveOperationException {
    model
        .getClass()
        .getMethod("batchForward", int[].class, int.class, bufferClass())
        .invoke(model, ids, 0, buffer);
  }

  private Class<?> bufferClass() throws ClassNotFoundException {
    return loader.loadClass(PACKAGE + "tensor.KvBufferCache$KvBuffer");
  }

  private AutoCloseable kvBuffer() throws ReflectiveOperationException {
    Field field =
        loader.loadClass(PACKAGE + "model.AbstractModel").getDeclaredField("kvBufferCache");
    field.setAccessible(true);
    Object cache = field.get(model);
    return (AutoCloseable) cache.getClass().getMethod("getEphemeralKvBuffer").invoke(cache);
  }

  @Override
  public void close() {
    try {
      model.getClass().getMethod("close").invoke(model);
      loader.close();
    } catch (IOException | ReflectiveOperationException e) {
      throw failure(e);
    }
  }

  private static double seconds(long start) {
    return (System.nanoTime() - start) / 1e9;
  }

  private static BulkgenException failure(Exception e) {
    Throwable cause = e instanceof InvocationTargetException ? e.getCause() : e;
    return new BulkgenException(
        ErrorCode.INTERNAL, "the Jlama baseline failed: " + cause + "; leave it out", cause);
  }
}
