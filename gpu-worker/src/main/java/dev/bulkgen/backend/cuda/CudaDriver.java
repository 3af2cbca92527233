package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.Locale;
import java.util.Optional;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;

/**
 * The way to the driver: JCuda's library, which links the driver's own. Where one of them is
 * missing this is a reason to print, not a crash.
 */
public final class CudaDriver {
  private static final String DRIVER_LIBRARY = "libcuda.so.1";

  private static boolean tried;
  private static Unavailable unavailable;

  /** Why there is no CUDA here, in words for the user. */
  public record Unavailable(String reason) {}

  private CudaDriver() {}

  /** Empty where the driver is loaded and has a device. Tries once per process. */
  public static synchronized Optional<Unavailable> probe() {
    if (!tried) {
      tried = true;
      unavailable = tryToLoad();
    }
    return Optional.ofNullable(unavailable);
  }

  /**
   * @throws BulkgenException DEVICE_UNAVAILABLE with the reason where there is no CUDA
   */
  public static void require() {
    probe()
        .ifPresent(
            found -> {
              throw BulkgenException.of(
                  ErrorCode.DEVICE_UNAVAILABLE, "%s; or use --backend cpu", found.reason());
            });
  }

  /** True where the device is the stand-in of tests, which nobody should choose for its speed. */
  public static boolean isEmulated() {
    return probe().isEmpty() && EmulatedDriver.folder().isPresent();
  }

  /** Devices of the driver; 0 where there is no driver. */
  public static int deviceCount() {
    if (probe().isPresent()) {
      return 0;
    }
    int[] count = new int[1];
    CudaErrors.check(JCudaDriver.cuDeviceGetCount(count), "cuDeviceGetCount");
    return count[0];
  }

  /** The version of CUDA that the driver knows, as {@code 1000 · major + 10 · minor}. */
  public static int version() {
    require();
    int[] version = new int[1];
    CudaErrors.check(JCudaDriver.cuDriverGetVersion(version), "cuDriverGetVersion");
    return version[0];
  }

  // Whatever goes wrong while foreign libraries load is an answer here, errors included.
  private static Unavailable tryToLoad() {
    try {
      EmulatedDriver.loadIfNamed();
      int code = PrivateLibraryFolder.during(() -> JCudaDriver.cuInit(0));
      int[] count = new int[1];
      if (code == CUresult.CUDA_SUCCESS) {
        code = JCudaDriver.cuDeviceGetCount(count);
      }
      if (code == CUresult.CUDA_SUCCESS && count[0] > 0) {
        return null;
      }
      String answer =
          code == CUresult.CUDA_SUCCESS ? "it finds no device" : CudaErrors.describe(code);
      return new Unavailable(
          "the CUDA driver is there, but "
              + answer
              + "; check nvidia-smi and CUDA_VISIBLE_DEVICES");
    } catch (Throwable failure) {
      return new Unavailable(reason(failure));
    }
  }

  private static String reason(Throwable failure) {
    String text = String.valueOf(failure.getMessage());
    if (text.contains(DRIVER_LIBRARY)) {
      return "no CUDA driver: " + DRIVER_LIBRARY + " cannot be loaded; install NVIDIA's driver";
    }
    String platform = System.getProperty("os.name") + " " + System.getProperty("os.arch");
    String first = text.lines().findFirst().orElse("").toLowerCase(Locale.ROOT);
    return "the CUDA binding has no library that loads on " + platform + " (" + first + ")";
  }
}
