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

/** The README's main command, as it stands there, with the jars of this build. */
@Tag("packaged")
class TestReadmeCommand {
  @TempDir Path folder;

  @Test
  void testRunsAsWritten() throws Exception {
    for (String name : List.of("bin", "examples")) {
      Files.createSymbolicLink(folder.resolve(name), Path.of("..", name).toRealPath());
    }
    String command =
        Documents.blocks("README.md").stream()
            .filter(block -> block.text().startsWith("bin/bulkgen generate"))
            .findFirst()
            .orElseThrow()
            .text();
    String said =
        Programs.run(
            Map.of("HOME", folder.toString()),
            List.of("bash", "-c", "cd '" + folder + "'\n" + command));
    assertTrue(said.contains("rows               200 of 200, none failed"), said);
    assertTrue(said.contains("answers right      200 of 200 (100.0 %)"), said);
    assertEquals(1, said.lines().filter(line -> line.equals("Memory plan")).count(), said);
    assertTrue(Files.exists(folder.resolve("out/kivi2/_SUCCESS")));
  }
}
