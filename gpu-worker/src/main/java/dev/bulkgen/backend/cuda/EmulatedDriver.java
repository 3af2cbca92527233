package dev.bulkgen.backend.cuda;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The stand-in driver, which serves processes that are asked to use it: tests. It is told from a
 * real one by the folder that the process has it from.
 */
final class EmulatedDriver {
  /** Names the folder that the build leaves the emulated device in; blank or missing: not used. */
  static final String FOLDER_PROPERTY = "bulkgen.emulator";

  static final String LIBRARY = "libcuda.so.1";

  private static final Path MAPPINGS = Path.of("/proc/self/maps");

  private EmulatedDriver() {}

  /**
   * Loads the stand-in where one is named and there. To be called before the binding loads: by the
   * equal name the linker then takes this for the driver.
   */
  static void loadIfNamed() {
    Optional<Path> library = named().map(folder -> folder.resolve(LIBRARY));
    if (library.isPresent() && Files.exists(library.get())) {
      System.load(library.get().toString());
    }
  }

  private static Optional<Path> named() {
    String named = System.getProperty(FOLDER_PROPERTY, "");
    return named.isBlank()
        ? Optional.empty()
        : Optional.of(Path.of(named).toAbsolutePath().normalize());
  }

  /** The folder, if the driver in this process comes from there. */
  static Optional<Path> folder() {
    return named().filter(EmulatedDriver::isMapped);
  }

  private static boolean isMapped(Path folder) {
    String library = folder.resolve(LIBRARY).toString();
    try (Stream<String> mappings = Files.lines(MAPPINGS)) {
      return mappings.anyMatch(line -> line.endsWith(" " + library));
    } catch (IOException e) {
      // No such file outside of Linux, where there is no stand-in either.
      return false;
    }
  }
}
