package dev.bulkgen.spark.packaged;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.spark.Programs;
import dev.bulkgen.spark.deploy.Documents;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The README's commands, as they stand there, with the jars of this build. */
@Tag("packaged")
class TestReadmeCommand {
  @TempDir Path folder;

  @Test
  void testGeneratesAsWritten() throws Exception {
    String said = run("bin/bulkgen generate");
    assertTrue(said.contains("answers right      200 of 200 (100.0 %)"), said);
    assertTrue(Files.exists(folder.resolve("out/kivi2/_SUCCESS")));
  }

  @Test
  void testScoresAsWritten() throws Exception {
    String said = run("bin/bulkgen score");
    assertTrue(said.contains(block("  greedy")), said);
    assertTrue(Files.exists(folder.resolve("out/scores/_SUCCESS")));
  }

  /** The first block of the README that begins so. */
  private static String block(String beginning) throws Exception {
    return Documents.blocks("README.md").stream()
        .map(Documents.Block::text)
        .filter(text -> text.startsWith(beginning))
        .findFirst()
        .orElseThrow();
  }

  private String run(String beginning) throws Exception {
    for (String name : List.of("bin", "examples")) {
      Files.createSymbolicLink(folder.resolve(name), Path.of("..", name).toRealPath());
    }
    String command = block(beginning);
    String said =
        Programs.run(
            Map.of("HOME", folder.toString()),
            List.of("bash", "-c", "cd '" + folder + "'\n" + command));
    assertTrue(said.contains("rows               200 of 200, none failed"), said);
    assertEquals(1, said.lines().filter(line -> line.equals("Memory plan")).count(), said);
    return said;
  }
}
