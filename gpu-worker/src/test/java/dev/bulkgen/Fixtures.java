package dev.bulkgen;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/** Finds the golden data; tests that need it skip, counted, where it is not there. */
public final class Fixtures {
  private Fixtures() {}

  public static Path path(String relative) {
    Path root = Path.of(System.getProperty("bulkgen.fixtures", "../../shared/fixtures"));
    Path file = root.resolve(relative);
    Assumptions.assumeTrue(Files.exists(file), () -> "golden data not found: " + file);
    return file;
  }
}
