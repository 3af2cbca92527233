package dev.bulkgen.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Programs of the machine that tests start. */
public final class Programs {
  private static final long LIMIT_SECONDS = 900;

  private Programs() {}

  /** How a program ended and all it said. */
  public record Ended(int status, String said) {}

  /** Skips the test where the program is not installed. */
  public static void require(String program) {
    boolean found =
        List.of(System.getenv("PATH").split(File.pathSeparator)).stream()
            .anyMatch(folder -> Files.isExecutable(Path.of(folder, program)));
    assumeTrue(found, program + " is not installed");
  }

  /** What the program said; fails the test if it ended with an error. */
  public static String run(Map<String, String> environment, List<String> command)
      throws IOException, InterruptedException {
    Ended ended = end(environment, command);
    assertEquals(0, ended.status(), command + ": " + ended.said());
    return ended.said();
  }

  public static Ended end(Map<String, String> environment, List<String> command)
      throws IOException, InterruptedException {
    Path output = Files.createTempFile("program", ".log");
    try {
      ProcessBuilder builder =
          new ProcessBuilder(command)
              .redirectErrorStream(true)
              .redirectInput(new File("/dev/null"))
              .redirectOutput(output.toFile());
      builder.environment().putAll(environment);
      Process process = builder.start();
      boolean done = process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS);
      if (!done) {
        process.destroyForcibly();
      }
      assertTrue(done, command + " did not end");
      return new Ended(process.exitValue(), Files.readString(output, StandardCharsets.UTF_8));
    } finally {
      Files.delete(output);
    }
  }
}
