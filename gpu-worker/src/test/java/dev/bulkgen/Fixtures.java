package dev.bulkgen;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/**
 * Finds models and golden data: what the repository ships in its examples is there always; tests
 * that need more skip, counted, where it is not.
 */
public final class Fixtures {
  private Fixtures() {}

  public static Path path(String relative) {
    Path shipped = Path.of("../examples").resolve(relative);
    if (Files.exists(shipped)) {
      return shipped;
    }
    Path root = Path.of(System.getProperty("bulkgen.fixtures", "../../shared/fixtures"));
    Path file = root.resolve(relative);
    Assumptions.assumeTrue(Files.exists(file), () -> "golden data not found: " + file);
    return file;
  }
}
