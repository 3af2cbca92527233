package dev.bulkgen.spark.deploy;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.spark.cli.Main;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.logging.log4j.core.LoggerContext;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TestLogging {
  @TempDir Path folder;

  /** The file has all that is ours, with traces. */
  @Test
  void testConfigurationWritesTheFile() throws Exception {
    Path log = folder.resolve("bulkgen.log");
    System.setProperty("bulkgen.log.file", log.toString());
    try (LoggerContext context = new LoggerContext("test")) {
      context.setConfigLocation(DeployFiles.ROOT.resolve("conf/log4j2.properties").toUri());
      context.start();
      context
          .getLogger(Main.class.getName())
          .debug("found {}", 7, new IllegalStateException("trace"));
      context.getLogger("org.apache.spark.Other").debug("not this");
      context.getLogger("org.apache.spark.Other").info("but this");
    } finally {
      System.clearProperty("bulkgen.log.file");
    }
    String text = Files.readString(log);
    assertTrue(text.contains("found 7") && text.contains("IllegalStateException: trace"), text);
    assertTrue(text.contains("but this"), text);
    assertFalse(text.contains("not this"), text);
  }
}
