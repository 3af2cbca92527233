package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.error.ErrorKind;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import jcuda.driver.CUcontext;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

class TestCudaContext {

  @Test
  void testDeviceFacts() {
    try (CudaContext context = EmulatedDevice.open()) {
      CudaDevice device = context.device();
      assertEquals(0, device.ordinal());
      assertFalse(device.name().isBlank());
      assertTrue(device.capability() >= 80, device::toString);
      assertTrue(device.memoryBytes() > 0, device::toString);
      assertTrue(device.multiprocessors() > 0, device::toString);
      assertTrue(device.sharedBytes() >= 99 << 10, device::toString);
      assertTrue(device.driverVersion() >= 12000, device::toString);
    }
    assertTrue(CudaDriver.deviceCount() >= 1);
    BulkgenException error = assertThrows(BulkgenException.class, () -> CudaContext.open(99));
    assertEquals(ErrorCode.DEVICE_UNAVAILABLE, error.code());
    assertTrue(error.getMessage().contains("device 99"), error.getMessage());
  }

  @Test
  void testWhatIsNotClosedIsNamed() {
    CudaContext context = EmulatedDevice.open();
    context.newStream("steps");
    context.newStream("closed").close();
    context.newEvent("step done");
    context.allocatePinned(100, "tokens");
    context.allocate(100, "logits");
    BulkgenException error = assertThrows(BulkgenException.class, context::close);
    assertEquals(ErrorCode.INTERNAL, error.code());
    assertEquals(
        "device 0: not closed: [CudaStream steps, CudaEvent step done, PinnedMemory tokens]",
        error.getMessage());
    assertTrue(error.getSuppressed()[0].getMessage().contains("logits"));
  }

  @Test
  void testOnlyTheOwnerMayCall() throws Exception {
    ExecutorService other = Executors.newSingleThreadExecutor();
    CudaContext context = EmulatedDevice.open();
    CudaStream stream = context.newStream("steps");
    DeviceMemory memory = context.allocate(16, "table");
    Executable[] calls = {
      context::synchronize,
      context::close,
      () -> context.allocate(16, "x"),
      memory::close,
      stream::synchronize,
      () -> stream.fill(memory, (byte) 0),
      stream::close,
    };
    for (Executable call : calls) {
      Future<BulkgenException> refused =
          other.submit(() -> assertThrows(BulkgenException.class, call));
      assertEquals(ErrorCode.INTERNAL, refused.get().code());
      assertTrue(refused.get().getMessage().contains("belongs to the thread"));
    }
    // Handed over, it works there and not here; a call from here left no trace.
    other.submit(context::attach).get();
    assertThrows(BulkgenException.class, context::synchronize);
    other.submit(stream::close).get();
    other.submit(memory::close).get();
    other.submit(context::close).get();
    other.shutdown();
  }

  @Test
  void testDetachedItBelongsToNobody() {
    CudaContext context = EmulatedDevice.open();
    context.detach();
    CUcontext current = new CUcontext();
    assertEquals(CUresult.CUDA_SUCCESS, JCudaDriver.cuCtxGetCurrent(current));
    assertEquals(new CUcontext(), current);
    BulkgenException error = assertThrows(BulkgenException.class, context::synchronize);
    assertTrue(error.getMessage().contains("belongs to no thread"), error.getMessage());
    context.attach();
    context.synchronize();
    context.close();
  }

  @Test
  void testSeveralContextsOfOneThread() {
    try (CudaContext first = EmulatedDevice.open();
        DeviceMemory table = new DeviceArrays(first).upload("table", 1, 2)) {
      CudaContext second = EmulatedDevice.open();
      DeviceMemory other = new DeviceArrays(second).upload("table", 3, 4);
      assertEquals(2, new DeviceArrays(first).ints(table)[1]);
      assertEquals(4, new DeviceArrays(second).ints(other)[1]);
      other.close();
      second.close();
      assertEquals(2, new DeviceArrays(first).ints(table)[1]);
    }
  }

  @Test
  void testClosedContextIsRefused() {
    CudaContext context = EmulatedDevice.open();
    context.close();
    context.close();
    assertThrows(BulkgenException.class, context::synchronize);
    assertThrows(BulkgenException.class, () -> context.allocate(16, "x"));
    assertThrows(BulkgenException.class, () -> context.newStream("x"));
  }

  @Test
  void testPinnedMemory() {
    try (CudaContext context = EmulatedDevice.open()) {
      PinnedMemory memory = context.allocatePinned(64, "tokens");
      assertEquals(64, memory.buffer().capacity());
      memory.buffer().putInt(0, 0x01020304);
      assertEquals(0x01020304, memory.buffer().getInt(0));
      assertThrows(BulkgenException.class, () -> memory.at(61, 4));
      assertThrows(BulkgenException.class, () -> memory.at(-1, 4));
      memory.close();
      memory.close();
      assertThrows(BulkgenException.class, memory::buffer);
      assertThrows(BulkgenException.class, () -> context.allocatePinned(0, "nothing"));
    }
  }

  @Test
  void testBrokenDeviceIsFatalAndClosesQuietly() {
    EmulatedDevice.assumePresent();
    Assumptions.assumeFalse(EmulatedDevice.isReal(), "would end this process's use of the card");
    CudaContext context = EmulatedDevice.open();
    CudaStream stream = context.newStream("steps");
    DeviceArrays arrays = new DeviceArrays(context);
    DeviceMemory table = arrays.upload("table", 1, 2, 3);
    DeviceMemory index = arrays.upload("index", 1 << 28);
    DeviceMemory value = arrays.upload("value", 5);
    Kernel kernel = context.kernels().kernel("scatter_ints");
    KernelArguments arguments =
        kernel
            .arguments()
            .set("table", table)
            .set("indices", index)
            .set("values", value)
            .set("count", 1);
    BulkgenException error =
        assertThrows(
            BulkgenException.class,
            () -> {
              kernel.launch(stream, Grid.of(1), 0, arguments);
              stream.synchronize();
            });
    assertEquals(ErrorCode.DEVICE_LOST, error.code());
    assertEquals(ErrorKind.DEVICE_FATAL, error.kind());
    assertTrue(error.getMessage().contains("CUDA_ERROR_"), error.getMessage());
    BulkgenException again = assertThrows(BulkgenException.class, context::synchronize);
    assertEquals(ErrorKind.DEVICE_FATAL, again.kind());
    table.close();
    index.close();
    value.close();
    stream.close();
    context.close();
    EmulatedDevice.open().close();
  }
}
