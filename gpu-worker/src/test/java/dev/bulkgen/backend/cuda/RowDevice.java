package dev.bulkgen.backend.cuda;

import java.util.ArrayList;
import java.util.List;

/** A device with one stream, and memory that is given back at the end of a test. */
final class RowDevice implements AutoCloseable {
  final CudaContext context = EmulatedDevice.open();
  final CudaStream stream = context.newStream("rows");
  final DeviceArrays arrays = new DeviceArrays(context);
  private final List<DeviceMemory> memories = new ArrayList<>();

  KernelLibrary kernels() {
    return context.kernels();
  }

  /** Memory as the device leaves it: on the emulated one, all NaN. */
  DeviceMemory fresh(long bytes, String what) {
    return keep(context.allocate(bytes, what));
  }

  DeviceMemory upload(String what, float... values) {
    return keep(arrays.upload(what, values));
  }

  DeviceMemory upload(String what, int... values) {
    return keep(arrays.upload(what, values));
  }

  DeviceMemory upload(String what, short... values) {
    return keep(arrays.upload(what, values));
  }

  DeviceMemory upload(String what, byte... values) {
    return keep(arrays.upload(what, values));
  }

  DeviceMemory keep(DeviceMemory memory) {
    memories.add(memory);
    return memory;
  }

  @Override
  public void close() {
    context.synchronize();
    memories.forEach(DeviceMemory::close);
    stream.close();
    context.close();
  }
}
