package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.kernels.KernelSignature;
import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.JCudaDriver;

/** One kernel, loaded. */
public final class Kernel {
  // What a block may use without asking, on every card.
  private static final int PLAIN_SHARED_BYTES = 48 << 10;

  private final CudaContext context;
  private final KernelSignature signature;
  private final CUfunction function;
  private int allowedSharedBytes = PLAIN_SHARED_BYTES;

  Kernel(CudaContext context, KernelSignature signature, CUfunction function) {
    this.context = context;
    this.signature = signature;
    this.function = function;
  }

  public KernelSignature signature() {
    return signature;
  }

  /** A new set of arguments, none of them set. */
  public KernelArguments arguments() {
    return new KernelArguments(signature);
  }

  /**
   * Puts the kernel into {@code stream} with the catalogue's threads a block.
   *
   * @param sharedBytes dynamic shared memory of a block
   * @throws BulkgenException INTERNAL if arguments are missing or belong to another kernel, or the
   *     device has less shared memory
   */
  public void launch(CudaStream stream, Grid grid, int sharedBytes, KernelArguments arguments) {
    stream.check();
    if (arguments.kernel() != signature) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "kernel %s is given the arguments of %s",
          signature.name(),
          arguments.kernel().name());
    }
    if (sharedBytes < 0 || sharedBytes > allowedSharedBytes) {
      allow(sharedBytes);
    }
    int code =
        JCudaDriver.cuLaunchKernel(
            function,
            grid.x(),
            grid.y(),
            grid.z(),
            signature.threads(),
            1,
            1,
            sharedBytes,
            stream.handle,
            null,
            arguments.forLaunch());
    CudaErrors.check(code, "cuLaunchKernel", signature.name());
  }

  private void allow(int sharedBytes) {
    int most = context.device().sharedBytes();
    if (sharedBytes < 0 || sharedBytes > most) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "kernel %s wants %d bytes of shared memory a block; %s has %d",
          signature.name(),
          sharedBytes,
          context.device().name(),
          most);
    }
    CudaErrors.check(
        JCudaDriver.cuFuncSetAttribute(
            function,
            CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
            sharedBytes),
        "cuFuncSetAttribute",
        signature.name());
    allowedSharedBytes = sharedBytes;
  }
}
