package dev.bulkgen.backend.cuda;

import dev.bulkgen.kernels.KernelSignature;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import jcuda.Pointer;
import jcuda.driver.JCudaDriver;

/**
 * The argument struct of one kernel. Fields keep their values from launch to launch, so a launcher
 * keeps one of these and sets what changes; a launch takes a copy.
 */
public final class KernelArguments {
  private final KernelSignature kernel;
  private final StructWriter fields;
  private final Pointer launch;

  KernelArguments(KernelSignature kernel) {
    this.kernel = kernel;
    int bytes = kernel.arguments().bytes();
    ByteBuffer struct = direct(bytes);
    this.fields = new StructWriter(kernel.arguments(), struct);
    // Passed with its size, which the driver compares with the kernel's own.
    ByteBuffer size = direct(Long.BYTES);
    size.putLong(0, bytes);
    this.launch =
        Pointer.to(
            JCudaDriver.CU_LAUNCH_PARAM_BUFFER_POINTER,
            Pointer.to(struct),
            JCudaDriver.CU_LAUNCH_PARAM_BUFFER_SIZE,
            Pointer.to(size),
            JCudaDriver.CU_LAUNCH_PARAM_END);
  }

  private static ByteBuffer direct(int bytes) {
    return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
  }

  /** Sets a field of type int or unsigned. */
  public KernelArguments set(String field, int value) {
    fields.set(field, value);
    return this;
  }

  /** Sets a field of type float. */
  public KernelArguments set(String field, float value) {
    fields.set(field, value);
    return this;
  }

  /** Sets a field of type long long. */
  public KernelArguments set(String field, long value) {
    fields.set(field, value);
    return this;
  }

  /** Sets a pointer; null is the null pointer. */
  public KernelArguments set(String field, DeviceMemory memory) {
    fields.set(field, memory);
    return this;
  }

  /** Sets a pointer to a device address, such as one within an allocation. */
  public KernelArguments setAddress(String field, long address) {
    fields.setAddress(field, address);
    return this;
  }

  /** Sets a nested struct to what {@code struct} has written at its place. */
  public KernelArguments set(String field, StructWriter struct) {
    fields.set(field, struct);
    return this;
  }

  KernelSignature kernel() {
    return kernel;
  }

  /** As cuLaunchKernel takes it in {@code extra}; refused while fields are not set. */
  Pointer forLaunch() {
    fields.checkComplete();
    return launch;
  }
}
