package dev.bulkgen.backend.cuda;

import static dev.bulkgen.backend.cuda.RawDevice.succeed;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.stream.IntStream;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Mistakes with barriers, shared memory and launches are caught. */
class TestEmulatedDeviceBlocks {
  private RawDevice device;
  private DevicePointer in;
  private DevicePointer out;

  @BeforeEach
  void open() {
    device = new RawDevice("offenders");
    in = device.numbers(256, 1.0f);
    out = device.allocate(1024);
  }

  @AfterEach
  void close() {
    if (device != null) {
      device.close();
    }
  }

  private RawDevice.Launch launch(String kernel) {
    return device.launch(kernel).in(in).out(out);
  }

  private static void assertFails(String name, int code, String words) {
    assertEquals(name, CUresult.stringFor(code), RawDevice::message);
    assertTrue(RawDevice.message().contains(words), RawDevice.message());
  }

  @Test
  void testBarrierThatSomeSkipIsADeadlock() {
    assertFails(
        "CUDA_ERROR_LAUNCH_FAILED",
        launch("skip_barrier").grid(3, 64).run(),
        "deadlock: 32 threads wait (thread 0 and on at __syncthreads in line ");
  }

  @Test
  void testDifferentBarriersDoNotMeet() {
    assertFails(
        "CUDA_ERROR_LAUNCH_FAILED",
        launch("part_at_barriers").grid(1, 64).run(),
        "different barriers");
  }

  @Test
  void testShuffleWithoutALaneIsADeadlock() {
    assertFails(
        "CUDA_ERROR_LAUNCH_FAILED", launch("leave_shuffle").run(), "31 threads wait (thread 0");
  }

  @Test
  void testFreshSharedMemoryIsNotANumber() {
    succeed(launch("read_fresh_shared").shared(128).run());
    for (float value : device.floats(out, 32)) {
      assertTrue(Float.isNaN(value));
    }
  }

  @ParameterizedTest
  @CsvSource({"64, 16", "64, 31", "64, 40", "0, 0", "64, -200", "101376, 25344"})
  void testSharedMemoryEndsWhereTheLaunchSays(int bytes, int place) {
    // The largest takes more than a block has without asking, so it is refused at once.
    int code = launch("write_shared_at").shared(bytes).place(place).run();
    String expected = bytes > 49152 ? "CUDA_ERROR_INVALID_VALUE" : "CUDA_ERROR_ILLEGAL_ADDRESS";
    assertFails(expected, code, "shared memory");
  }

  @Test
  void testMissingBarrierShows() {
    succeed(launch("forget_barrier").grid(1, 256).shared(1024).run());
    float[] values = device.floats(out, 256);
    assertTrue(IntStream.range(0, 256).anyMatch(i -> Float.isNaN(values[i])));
  }

  @Test
  void testCopyReadTooEarlyIsNotANumber() {
    succeed(launch("read_copy").shared(512).place(0).run());
    assertTrue(Float.isNaN(device.floats(out, 1)[0]));
    succeed(launch("read_copy").shared(512).place(1).run());
    assertEquals(1.0f, device.floats(out, 1)[0]);
  }

  @Test
  void testKernelWithoutEndIsStopped() {
    RawDevice.set(RawDevice.LAUNCH_MILLISECONDS, 500);
    try {
      // The number it waits for lies in fresh memory.
      int code = device.launch("never_end").grid(4, 32).in(out).out(out).run();
      assertFails("CUDA_ERROR_LAUNCH_TIMEOUT", code, "kernel never_end");
    } finally {
      RawDevice.set(RawDevice.LAUNCH_MILLISECONDS, 300_000);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 31, 33, 40})
  void testArgumentsOfAnotherSizeAreRefused(int bytes) {
    int code = launch("add_one").grid(1, 32).count(1).argumentBytes(bytes).run();
    assertFails("CUDA_ERROR_INVALID_VALUE", code, "takes 32 bytes of arguments, not " + bytes);
  }

  @ParameterizedTest
  @CsvSource({"1, 257", "1, 0", "0, 32", "1, 1025"})
  void testShapesThatDoNotFitAreRefused(int blocks, int threads) {
    int code = launch("add_one").grid(blocks, threads).count(1).run();
    assertEquals("CUDA_ERROR_INVALID_VALUE", CUresult.stringFor(code));
    succeed(launch("add_one").grid(1, 256).count(1).run());
  }

  @Test
  void testLaunchesFailForGoodWhenAsked() {
    RawDevice.set(RawDevice.FAIL_LAUNCH, 2);
    succeed(launch("add_one").count(1).run());
    int code = launch("add_one").count(1).run();
    assertEquals("CUDA_ERROR_LAUNCH_FAILED", CUresult.stringFor(code));
    assertEquals(code, launch("add_one").count(1).run());
    assertEquals(code, JCudaDriver.cuMemAlloc(new DevicePointer(), 4));
  }

  @Test
  void testUnsupportedCallSaysSo() {
    int code = JCudaDriver.cuMemPoolDestroy(new jcuda.driver.CUmemoryPool());
    assertFails("CUDA_ERROR_NOT_SUPPORTED", code, "cuMemPoolDestroy");
  }

  /** The virtual machine finds null pointers by the same signals as the device. */
  @Test
  void testFaultsOfTheVirtualMachineAreItsOwn() throws InterruptedException {
    int[] found = new int[1];
    Thread faulting =
        new Thread(
            () -> {
              String[] texts = {"a", null};
              for (int i = 0; i < 200_000; ++i) {
                try {
                  found[0] += texts[i & 1].length();
                } catch (NullPointerException e) {
                  found[0] += 1;
                }
              }
            });
    faulting.start();
    while (faulting.isAlive()) {
      succeed(launch("add_one").grid(8, 256).count(256).repeats(20).run());
    }
    faulting.join();
    assertEquals(200_000, found[0]);
    String none = device == null ? "" : null;
    assertThrows(NullPointerException.class, () -> none.length());
    assertEquals(
        "CUDA_ERROR_ILLEGAL_ADDRESS",
        CUresult.stringFor(device.launch("write_at").out(out).place(1 << 20).run()));
  }
}
