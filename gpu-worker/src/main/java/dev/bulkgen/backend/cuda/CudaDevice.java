package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import java.nio.charset.StandardCharsets;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.JCudaDriver;

/**
 * What the driver says of a device.
 *
 * @param capability compute capability as {@code 10 · major + minor}, so 90 for sm_90
 * @param sharedBytes most dynamic shared memory of a block, opted in
 * @param driverVersion {@code 1000 · major + 10 · minor} of the CUDA that the driver knows
 */
public record CudaDevice(
    int ordinal,
    String name,
    int capability,
    long memoryBytes,
    int multiprocessors,
    int sharedBytes,
    int driverVersion,
    boolean hasMemoryPools) {
  private static final int NAME_BYTES = 256;

  /**
   * Asks the driver.
   *
   * @throws BulkgenException DEVICE_UNAVAILABLE where there is no driver or no such device
   */
  public static CudaDevice of(int ordinal) {
    CUdevice device = handle(ordinal);
    byte[] name = new byte[NAME_BYTES];
    CudaErrors.check(JCudaDriver.cuDeviceGetName(name, name.length, device), "cuDeviceGetName");
    long[] memory = new long[1];
    CudaErrors.check(JCudaDriver.cuDeviceTotalMem(memory, device), "cuDeviceTotalMem");
    int major = attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    int minor = attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    return new CudaDevice(
        ordinal,
        terminated(name),
        10 * major + minor,
        memory[0],
        attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
        attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN),
        CudaDriver.version(),
        attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED) != 0);
  }

  static CUdevice handle(int ordinal) {
    CudaDriver.require();
    CUdevice device = new CUdevice();
    CudaErrors.check(JCudaDriver.cuDeviceGet(device, ordinal), "cuDeviceGet", "device " + ordinal);
    return device;
  }

  private static int attribute(CUdevice device, int attribute) {
    int[] value = new int[1];
    CudaErrors.check(
        JCudaDriver.cuDeviceGetAttribute(value, attribute, device),
        "cuDeviceGetAttribute",
        CUdevice_attribute.stringFor(attribute));
    return value[0];
  }

  private static String terminated(byte[] name) {
    int length = 0;
    while (length < name.length && name[length] != 0) {
      length++;
    }
    return new String(name, 0, length, StandardCharsets.UTF_8);
  }
}
