package dev.bulkgen.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.Fixtures;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TestNativeTokenizers {
  /** Run by the tests in a process of its own. */
  static final class Main {
    private Main() {}

    public static void main(String[] arguments) {
      Tokenizer tokenizer = Tokenizer.load(Path.of(arguments[0]));
      System.out.println(tokenizer.decode(tokenizer.encodePrompt("the old sun")));
    }
  }

  private static Process start(Path home, Path temporary) throws IOException {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+IgnoreUnrecognizedVMOptions",
                "--enable-native-access=ALL-UNNAMED",
                "-Xshare:auto",
                "-Duser.home=" + home,
                "-Djava.io.tmpdir=" + temporary,
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName(),
                Fixtures.path("models/recall").toAbsolutePath().toString()));
    return new ProcessBuilder(command).redirectErrorStream(true).start();
  }

  private static void assertQuietSuccess(Process process) throws IOException, InterruptedException {
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertTrue(process.waitFor(60, TimeUnit.SECONDS));
    assertEquals("the old sun\n", output);
    assertEquals(0, process.exitValue());
  }

  @Test
  void processesRaceForOneCopyAndPrintNothing(@TempDir Path folder) throws Exception {
    List<Process> processes = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      processes.add(start(folder, folder));
    }
    for (Process process : processes) {
      assertQuietSuccess(process);
    }
    try (Stream<Path> files = Files.walk(folder.resolve(".bulkgen/native"))) {
      assertEquals(1, files.filter(Files::isRegularFile).count());
    }
  }

  @Test
  void aHomeThatCannotHoldTheLibraryIsPassedBy(@TempDir Path folder) throws Exception {
    Path home = Files.writeString(folder.resolve("home"), "a file, not a folder");
    assertQuietSuccess(start(home, folder));
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(List.of(home), left.toList());
    }
  }

  @Test
  void aCopyThatWasCutOffIsReplaced(@TempDir Path folder) throws Exception {
    assertQuietSuccess(start(folder, folder));
    Path library;
    try (Stream<Path> files = Files.walk(folder.resolve(".bulkgen/native"))) {
      library = files.filter(Files::isRegularFile).findFirst().orElseThrow();
    }
    long size = Files.size(library);
    Files.writeString(library, "cut off");
    assertQuietSuccess(start(folder, folder));
    assertEquals(size, Files.size(library));
  }
}
