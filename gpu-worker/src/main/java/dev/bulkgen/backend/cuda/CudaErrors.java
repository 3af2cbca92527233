package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.Locale;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;

/**
 * Turns the driver's result codes into exceptions; JCuda itself drops them. Meanings: CUDA driver
 * API, "Data types used by CUDA driver", CUresult.
 */
final class CudaErrors {
  private static final double MIB = 1 << 20;

  private CudaErrors() {}

  /**
   * @throws BulkgenException if {@code code} is a failure: DEVICE_OUT_OF_MEMORY; DEVICE_LOST where
   *     the context cannot be used any more; DEVICE_UNAVAILABLE where the driver or card does not
   *     fit; INTERNAL else
   */
  static void check(int code, String call) {
    if (code != CUresult.CUDA_SUCCESS) {
      throw failure(code, call, "");
    }
  }

  /** As above; {@code what} says in the message what the call was for. */
  static void check(int code, String call, String what) {
    if (code != CUresult.CUDA_SUCCESS) {
      throw failure(code, call, " of " + what);
    }
  }

  /**
   * Checks a call that gives something back. Once a context is lost its memory is gone with it, and
   * an error here would only hide the first one.
   */
  static void checkRelease(int code, String call, String what) {
    if (!isSticky(code)) {
      check(code, call, what);
    }
  }

  /** DEVICE_OUT_OF_MEMORY with the sizes that matter. */
  static BulkgenException outOfMemory(String what, long bytes, long free, long total) {
    return BulkgenException.of(
        ErrorCode.DEVICE_OUT_OF_MEMORY,
        "the device has no %,d bytes (%.1f MiB) for %s: %,d of %,d bytes are free; lower the memory"
            + " fraction or the batch, or end other programs on the device",
        bytes,
        bytes / MIB,
        what,
        free,
        total);
  }

  /** After such a failure every further call in the context fails with the same code. */
  static boolean isSticky(int code) {
    return switch (code) {
      case CUresult.CUDA_ERROR_DEINITIALIZED,
          CUresult.CUDA_ERROR_DEVICE_UNAVAILABLE,
          CUresult.CUDA_ERROR_ECC_UNCORRECTABLE,
          CUresult.CUDA_ERROR_NVLINK_UNCORRECTABLE,
          CUresult.CUDA_ERROR_ILLEGAL_ADDRESS,
          CUresult.CUDA_ERROR_LAUNCH_TIMEOUT,
          CUresult.CUDA_ERROR_CONTEXT_IS_DESTROYED,
          CUresult.CUDA_ERROR_ASSERT,
          CUresult.CUDA_ERROR_HARDWARE_STACK_ERROR,
          CUresult.CUDA_ERROR_ILLEGAL_INSTRUCTION,
          CUresult.CUDA_ERROR_MISALIGNED_ADDRESS,
          CUresult.CUDA_ERROR_INVALID_ADDRESS_SPACE,
          CUresult.CUDA_ERROR_INVALID_PC,
          CUresult.CUDA_ERROR_LAUNCH_FAILED,
          CUresult.CUDA_ERROR_MPS_CLIENT_TERMINATED,
          CUresult.CUDA_ERROR_EXTERNAL_DEVICE,
          CUresult.CUDA_ERROR_UNKNOWN ->
          true;
      default -> false;
    };
  }

  private static BulkgenException failure(int code, String call, String what) {
    String text = call + what + " failed: " + describe(code);
    if (isSticky(code)) {
      return BulkgenException.of(
          ErrorCode.DEVICE_LOST,
          "%s; the device context is lost, the process has to end. The failure may belong to an"
              + " earlier kernel: CUDA_LAUNCH_BLOCKING=1 shows which, nvidia-smi -q the card's state",
          text);
    }
    if (code == CUresult.CUDA_ERROR_OUT_OF_MEMORY) {
      long[] free = new long[1];
      long[] total = new long[1];
      boolean isKnown = JCudaDriver.cuMemGetInfo(free, total) == CUresult.CUDA_SUCCESS;
      return BulkgenException.of(
          ErrorCode.DEVICE_OUT_OF_MEMORY,
          "%s; %s; lower the memory fraction or the batch",
          text,
          isKnown
              ? String.format(Locale.ROOT, "%,d of %,d bytes are free", free[0], total[0])
              : "how much is free is unknown");
    }
    if (isMismatch(code)) {
      int[] version = new int[1];
      JCudaDriver.cuDriverGetVersion(version);
      return BulkgenException.of(
          ErrorCode.DEVICE_UNAVAILABLE,
          "%s; the driver is for CUDA %d.%d: update it, or use --backend cpu",
          text,
          version[0] / 1000,
          version[0] % 1000 / 10);
    }
    return BulkgenException.of(ErrorCode.INTERNAL, "%s", text);
  }

  private static boolean isMismatch(int code) {
    return switch (code) {
      case CUresult.CUDA_ERROR_STUB_LIBRARY,
          CUresult.CUDA_ERROR_NO_DEVICE,
          CUresult.CUDA_ERROR_INVALID_DEVICE,
          CUresult.CUDA_ERROR_NO_BINARY_FOR_GPU,
          CUresult.CUDA_ERROR_INVALID_IMAGE,
          CUresult.CUDA_ERROR_INVALID_PTX,
          CUresult.CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
          CUresult.CUDA_ERROR_JIT_COMPILER_NOT_FOUND,
          CUresult.CUDA_ERROR_SYSTEM_NOT_READY,
          CUresult.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH,
          CUresult.CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE ->
          true;
      default -> false;
    };
  }

  /** Such as {@code CUDA_ERROR_INVALID_VALUE (1, invalid argument)}. */
  static String describe(int code) {
    String[] description = new String[1];
    int known = JCudaDriver.cuGetErrorString(code, description);
    String text = known == CUresult.CUDA_SUCCESS ? description[0] : "unknown to the driver";
    return CUresult.stringFor(code) + " (" + code + ", " + text + ")";
  }
}
