package dev.bulkgen.backend.cuda;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Stream;

/** Tells the stand-in driver from a real one: by the folder that the process has it from. */
final class EmulatedDriver {
  /** Names the folder that the build leaves the emulated device in. */
  static final String FOLDER_PROPERTY = "bulkgen.emulator";

  static final String LIBRARY = "libcuda.so.1";

  private static final Path MAPPINGS = Path.of("/proc/self/maps");

  private EmulatedDriver() {}

  /** The folder, if the driver in this process comes from there. */
  static Optional<Path> folder() {
    String named = System.getProperty(FOLDER_PROPERTY);
    if (named == null) {
      return Optional.empty();
    }
    Path folder = Path.of(named).toAbsolutePath().normalize();
    String library = folder.resolve(LIBRARY).toString();
    try (Stream<String> mappings = Files.lines(MAPPINGS)) {
      return mappings.anyMatch(line -> line.endsWith(" " + library))
          ? Optional.of(folder)
          : Optional.empty();
    } catch (IOException e) {
      // No such file outside of Linux, where there is no stand-in either.
      return Optional.empty();
    }
  }
}
