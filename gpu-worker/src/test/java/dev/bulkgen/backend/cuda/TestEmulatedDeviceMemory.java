package dev.bulkgen.backend.cuda;

import static dev.bulkgen.backend.cuda.RawDevice.succeed;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import jcuda.Pointer;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Mistakes with device memory are caught, by kernels written to make them. */
class TestEmulatedDeviceMemory {
  private static final int COUNT = 250;

  private RawDevice device;

  @BeforeEach
  void open() {
    device = new RawDevice("offenders");
  }

  @AfterEach
  void close() {
    if (device != null) {
      device.close();
    }
  }

  private static void assertIllegalAddress(int code, String... words) {
    assertEquals("CUDA_ERROR_ILLEGAL_ADDRESS", CUresult.stringFor(code), RawDevice::message);
    for (String word : words) {
      assertTrue(RawDevice.message().contains(word), RawDevice.message());
    }
  }

  @Test
  void testKernelWithinItsMemoryRuns() {
    DevicePointer in = device.numbers(COUNT, 3.0f);
    DevicePointer out = device.allocate(COUNT * 4);
    succeed(device.launch("copy_numbers").grid(1, 256).in(in).out(out).count(COUNT).run());
    float[] expected = new float[COUNT];
    Arrays.fill(expected, 3.0f);
    assertArrayEquals(expected, device.floats(out, COUNT));
  }

  @Test
  void testFreshMemoryIsNotANumber() {
    DevicePointer fresh = device.allocate(COUNT * 4);
    DevicePointer out = device.allocate(COUNT * 4);
    succeed(device.launch("copy_numbers").grid(1, 256).in(fresh).out(out).count(COUNT).run());
    for (float value : device.floats(out, COUNT)) {
      assertTrue(Float.isNaN(value));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {-5000, -1, COUNT, COUNT + 1, COUNT + 2, COUNT + 1000, 1 << 28})
  void testWriteOutsideIsCaught(int place) {
    DevicePointer out = device.allocate(COUNT * 4);
    assertIllegalAddress(device.launch("write_at").out(out).place(place).run(), "1000 bytes");
  }

  @Test
  void testFaultNamesKernelAndThreadAndSticks() {
    DevicePointer in = device.numbers(252, 1.0f);
    DevicePointer out = device.allocate(252 * 4);
    int code = device.launch("copy_numbers").grid(2, 128).in(in).out(out).count(256).run();
    assertIllegalAddress(
        code, "kernel copy_numbers", "block (1, 0, 0)", "0 bytes behind memory of 1008 bytes");
    assertEquals(code, JCudaDriver.cuMemAlloc(new DevicePointer(), 4));
    assertEquals(code, JCudaDriver.cuCtxSynchronize());
    device.close();
    device = new RawDevice("offenders");
    succeed(device.launch("write_at").out(device.allocate(4)).run());
  }

  @Test
  void testUseAfterFreeIsCaught() {
    DevicePointer out = device.allocate(COUNT * 4);
    succeed(JCudaDriver.cuMemFree(out));
    assertIllegalAddress(device.launch("write_at").out(out).run(), "freed memory of 1000 bytes");
  }

  @Test
  void testFreeingTwiceIsRefused() {
    DevicePointer memory = device.allocate(4);
    succeed(JCudaDriver.cuMemFree(memory));
    assertEquals(CUresult.CUDA_ERROR_INVALID_VALUE, JCudaDriver.cuMemFree(memory));
  }

  @Test
  void testNullPointerIsCaught() {
    assertIllegalAddress(device.launch("write_at").run(), "null pointer");
  }

  @Test
  void testMisalignedLoadIsCaught() {
    DevicePointer in = device.numbers(64, 1.0f);
    DevicePointer out = device.allocate(128);
    succeed(device.launch("load_four_at").in(in).out(out).place(4).run());
    int code = device.launch("load_four_at").in(in).out(out).place(5).run();
    assertEquals("CUDA_ERROR_MISALIGNED_ADDRESS", CUresult.stringFor(code));
  }

  @ParameterizedTest
  @CsvSource({"0, 1001", "1, 1000", "-1, 4", "1000, 1"})
  void testCopiesOutsideAreRefused(long offset, int bytes) {
    DevicePointer memory = device.allocate(COUNT * 4);
    byte[] host = new byte[bytes];
    int refused = CUresult.CUDA_ERROR_INVALID_VALUE;
    DevicePointer place = memory.plus(offset);
    assertEquals(refused, JCudaDriver.cuMemcpyHtoD(place, Pointer.to(host), bytes));
    assertEquals(refused, JCudaDriver.cuMemcpyDtoH(Pointer.to(host), place, bytes));
    assertEquals(refused, JCudaDriver.cuMemsetD8(place, (byte) 0, bytes));
  }

  @Test
  void testLeaksCanBeCounted() {
    final long liveBefore = RawDevice.read(RawDevice.LIVE_ALLOCATIONS);
    long[] free = new long[2];
    long[] total = new long[1];
    succeed(JCudaDriver.cuMemGetInfo(free, total));
    final long freeBefore = free[0];
    DevicePointer kept = device.allocate(12345);
    DevicePointer given = device.allocate(777);
    succeed(JCudaDriver.cuMemFree(given));
    succeed(JCudaDriver.cuMemGetInfo(free, total));
    assertEquals(12345, freeBefore - free[0]);
    assertEquals(liveBefore + 1, RawDevice.read(RawDevice.LIVE_ALLOCATIONS));
    succeed(JCudaDriver.cuMemFree(kept));
    assertEquals(liveBefore, RawDevice.read(RawDevice.LIVE_ALLOCATIONS));
  }

  @Test
  void testMemoryThatAFailureKeptFromBeingFreedIsCountedOnce() {
    final long liveBefore = RawDevice.read(RawDevice.LIVE_BYTES);
    CUstream stream = device.stream();
    DevicePointer memory = new DevicePointer();
    succeed(JCudaDriver.cuMemAllocAsync(memory, 64, stream));
    succeed(device.launch("write_at").out(memory).place(1000).on(stream).give());
    succeed(JCudaDriver.cuMemFreeAsync(memory, stream));
    assertIllegalAddress(JCudaDriver.cuStreamSynchronize(stream));
    device.close();
    device = null;
    assertEquals(liveBefore, RawDevice.read(RawDevice.LIVE_BYTES));
  }

  @Test
  void testContextThatLeaksSaysSo() {
    device.allocate(4321);
    device.close();
    assertTrue(RawDevice.message().contains("1 allocations, 4321 bytes"), RawDevice.message());
    device = null;
  }

  @Test
  void testMemoryEndsWhereItIsSetTo() {
    long before = RawDevice.read(RawDevice.MEMORY_BYTES);
    try {
      RawDevice.set(RawDevice.MEMORY_BYTES, RawDevice.read(RawDevice.LIVE_BYTES) + 1000);
      assertEquals(
          CUresult.CUDA_ERROR_OUT_OF_MEMORY, JCudaDriver.cuMemAlloc(new DevicePointer(), 1001));
      device.allocate(600);
      assertEquals(
          CUresult.CUDA_ERROR_OUT_OF_MEMORY, JCudaDriver.cuMemAlloc(new DevicePointer(), 401));
      device.allocate(400);
    } finally {
      RawDevice.set(RawDevice.MEMORY_BYTES, before);
    }
  }

  @Test
  void testAllocationsFailWhenAsked() {
    RawDevice.set(RawDevice.FAIL_ALLOCATION, 3);
    device.allocate(4);
    device.allocate(4);
    assertEquals(CUresult.CUDA_ERROR_OUT_OF_MEMORY, JCudaDriver.cuMemAlloc(new DevicePointer(), 4));
    device.allocate(4);
    RawDevice.set(RawDevice.FAIL_PINNED_ALLOCATION, 1);
    assertEquals(
        CUresult.CUDA_ERROR_OUT_OF_MEMORY, JCudaDriver.cuMemHostAlloc(new Pointer(), 4, 0));
    device.pinned(1, new Pointer());
  }

  @Test
  void testMemoryOfAnotherStreamIsNotThereYet() {
    CUstream first = device.stream();
    CUstream second = device.stream();
    DevicePointer memory = new DevicePointer();
    succeed(JCudaDriver.cuMemAllocAsync(memory, 64, first));
    succeed(device.launch("write_at").out(memory).on(first).give());
    succeed(JCudaDriver.cuStreamSynchronize(first));
    succeed(JCudaDriver.cuMemFreeAsync(memory, first));
    succeed(JCudaDriver.cuStreamSynchronize(first));
    succeed(device.launch("write_at").out(memory).on(second).give());
    assertIllegalAddress(JCudaDriver.cuStreamSynchronize(second), "freed memory of 64 bytes");
  }
}
