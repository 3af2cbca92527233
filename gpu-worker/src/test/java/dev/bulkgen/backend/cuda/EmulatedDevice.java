package dev.bulkgen.backend.cuda;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Assumptions;

/**
 * The device that tests run on: the stand-in driver that the build leaves beside the kernels or,
 * with {@code -Dbulkgen.cuda=device}, the machine's own. Tests skip, counted, where it is missing.
 */
public final class EmulatedDevice {
  private static boolean loaded;

  private EmulatedDevice() {}

  /** A context on device 0 for the calling thread. */
  public static CudaContext open() {
    return open(UnaryOperator.identity());
  }

  /** As above, with a decorated allocator. */
  public static CudaContext open(UnaryOperator<DeviceAllocator> memory) {
    assumePresent();
    return CudaContext.open(0, memory);
  }

  /** Skips the test where there is no device to run on. */
  public static synchronized void assumePresent() {
    if (!isReal()) {
      Path library = library();
      Assumptions.assumeTrue(
          Files.exists(library), () -> "the emulated device was not built: " + library);
      if (!loaded) {
        // Before the binding loads: by the equal name the linker takes this for the driver.
        System.load(library.toString());
        loaded = true;
      }
    }
    Optional<CudaDriver.Unavailable> unavailable = CudaDriver.probe();
    if (isReal()) {
      Assumptions.assumeTrue(unavailable.isEmpty(), () -> unavailable.get().reason());
    } else if (unavailable.isPresent()) {
      throw new AssertionError(unavailable.get().reason());
    }
  }

  /** True where tests run on a card and not on the stand-in. */
  public static boolean isReal() {
    return "device".equals(System.getProperty("bulkgen.cuda"));
  }

  private static Path library() {
    String folder =
        System.getProperty(EmulatedDriver.FOLDER_PROPERTY, "../kernels/target/emulator");
    return Path.of(folder).toAbsolutePath().normalize().resolve(EmulatedDriver.LIBRARY);
  }
}
