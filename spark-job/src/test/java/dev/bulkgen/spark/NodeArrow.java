package dev.bulkgen.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;

/**
 * Arrow's own reader in JavaScript. Tests that ask for it are skipped, and counted, where node is
 * not there or its package cannot be had.
 */
public final class NodeArrow {
  private static final Path HOME = Path.of("target/node-arrow").toAbsolutePath();
  private static final List<String> FILES = List.of("package.json", "package-lock.json", "read.js");
  private static final int MINUTES = 3;

  private NodeArrow() {}

  /** The rows of Arrow IPC files, as JSON; whole numbers of 64 bits are texts. */
  public static synchronized List<JsonNode> rows(List<Path> files) throws Exception {
    install();
    List<String> command = new ArrayList<>(List.of("node", "read.js"));
    files.forEach(file -> command.add(file.toAbsolutePath().toString()));
    Output output = run(command);
    assertEquals(0, output.status(), output.text());
    List<JsonNode> rows = new ArrayList<>();
    for (String line : output.text().lines().toList()) {
      rows.add(new ObjectMapper().readTree(line));
    }
    return rows;
  }

  private static void install() throws Exception {
    Files.createDirectories(HOME);
    boolean same = Files.exists(HOME.resolve("node_modules/apache-arrow/package.json"));
    for (String name : FILES) {
      Path file = HOME.resolve(name);
      try (InputStream in = NodeArrow.class.getResourceAsStream("/node-arrow/" + name)) {
        byte[] bytes = in.readAllBytes();
        same &= Files.exists(file) && Arrays.equals(bytes, Files.readAllBytes(file));
        Files.write(file, bytes);
      }
    }
    if (same) {
      return;
    }
    try {
      run(List.of("node", "--version"));
      Output installed = run(List.of("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"));
      assumeTrue(installed.status() == 0, "npm ci: " + installed.text());
    } catch (IOException e) {
      Assumptions.abort("no node here: " + e.getMessage());
    }
  }

  private record Output(int status, String text) {}

  private static Output run(List<String> command) throws Exception {
    Path text = Files.createTempFile("node", ".txt");
    try {
      Process process =
          new ProcessBuilder(command)
              .directory(HOME.toFile())
              .redirectErrorStream(true)
              .redirectOutput(text.toFile())
              .start();
      if (!process.waitFor(MINUTES, TimeUnit.MINUTES)) {
        process.destroyForcibly();
        return new Output(-1, "no answer in " + MINUTES + " minutes");
      }
      return new Output(process.exitValue(), Files.readString(text, StandardCharsets.UTF_8));
    } finally {
      Files.delete(text);
    }
  }
}
