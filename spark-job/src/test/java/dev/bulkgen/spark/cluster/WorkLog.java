package dev.bulkgen.spark.cluster;

import dev.bulkgen.spark.plugin.EngineFigures;
import dev.bulkgen.spark.plugin.EngineHolder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.apache.spark.api.plugin.SparkPlugin;

/**
 * Notes in a mapped file for each executor process how many tokens its engine has seen: what a
 * killed process had done is known to the tenth of a second.
 */
public final class WorkLog implements SparkPlugin {
  static final String FOLDER = "spark.test.worklog";
  private static final long MILLIS = 50;

  @Override
  public DriverPlugin driverPlugin() {
    return null;
  }

  @Override
  public ExecutorPlugin executorPlugin() {
    return new ExecutorPlugin() {
      @Override
      public void init(PluginContext context, Map<String, String> nothing) {
        Path file =
            Path.of(context.conf().get(FOLDER), String.valueOf(ProcessHandle.current().pid()));
        Thread thread = new Thread(() -> write(file), "work-log");
        thread.setDaemon(true);
        thread.start();
      }
    };
  }

  private static void write(Path file) {
    try (FileChannel channel =
        FileChannel.open(
            file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      MappedByteBuffer tokens = channel.map(MapMode.READ_WRITE, 0, Long.BYTES);
      while (true) {
        // What a closed engine had done stays.
        EngineHolder.figures().map(WorkLog::tokens).ifPresent(count -> tokens.putLong(0, count));
        Thread.sleep(MILLIS);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static long tokens(EngineFigures figures) {
    return figures.promptTokens() + figures.cachedTokens() + figures.generatedTokens();
  }

  /** Tokens by process, dead ones among them. */
  static Map<Long, Long> read(Path folder) throws IOException {
    Map<Long, Long> tokens = new TreeMap<>();
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.toList()) {
        byte[] bytes = Files.readAllBytes(file);
        long count = bytes.length < Long.BYTES ? 0 : java.nio.ByteBuffer.wrap(bytes).getLong();
        tokens.put(Long.parseLong(file.getFileName().toString()), count);
      }
    }
    return tokens;
  }
}
