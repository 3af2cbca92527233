package dev.bulkgen.backend.cuda;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Assumptions;

/**
 * The device that tests run on: the stand-in driver that the build leaves beside the kernels or,
 * with {@code -Dbulkgen.cuda=device}, the machine's own. Tests skip, counted, where it is missing.
 */
public final class EmulatedDevice {
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
  public static void assumePresent() {
    if (isReal()) {
      Optional<CudaDriver.Unavailable> unavailable = CudaDriver.probe();
      Assumptions.assumeTrue(unavailable.isEmpty(), () -> unavailable.get().reason());
      Assertions.assertFalse(CudaDriver.isEmulated(), "the stand-in was loaded, not a driver");
      return;
    }
    String folder = System.getProperty(EmulatedDriver.FOLDER_PROPERTY, "");
    Path library = Path.of(folder).toAbsolutePath().resolve(EmulatedDriver.LIBRARY);
    Assumptions.assumeTrue(
        Files.exists(library), () -> "the emulated device was not built: " + library);
    Assertions.assertEquals(Optional.empty(), CudaDriver.probe());
    Assertions.assertTrue(CudaDriver.isEmulated(), "another driver was loaded, not the stand-in");
  }

  /** True where tests run on a card and not on the stand-in. */
  public static boolean isReal() {
    return "device".equals(System.getProperty("bulkgen.cuda"));
  }
}
