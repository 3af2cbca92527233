package dev.bulkgen.spark.config;

import java.nio.file.Path;

/** Paths as they are typed on this machine. */
public final class LocalPaths {
  private LocalPaths() {}

  /** A path without a scheme is one of this machine, seen from where the process was started. */
  public static String absolute(String path) {
    boolean hasScheme = path.matches("[A-Za-z][A-Za-z0-9+.-]*:/.*");
    return hasScheme || path.isBlank()
        ? path
        : Path.of(path).toAbsolutePath().normalize().toString();
  }
}
