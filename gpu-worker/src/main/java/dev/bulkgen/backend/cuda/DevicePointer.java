package dev.bulkgen.backend.cuda;

import jcuda.driver.CUdeviceptr;

/** JCuda's device pointer with its number, which JCuda keeps to its subclasses. */
final class DevicePointer extends CUdeviceptr {

  /** For the driver to fill. */
  DevicePointer() {}

  private DevicePointer(DevicePointer base, long offset) {
    super(base, offset);
  }

  DevicePointer plus(long bytes) {
    return new DevicePointer(this, bytes);
  }

  long address() {
    return getNativePointer() + getByteOffset();
  }
}
