package dev.bulkgen.backend.cuda;

import static dev.bulkgen.backend.cuda.RawDevice.succeed;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.FloatBuffer;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;
import jcuda.Pointer;
import jcuda.driver.CUevent;
import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Work on streams runs in any order that the program allows, so that a missing event shows. */
class TestEmulatedDeviceStreams {
  private static final int COUNT = 100;
  private static final int SEEDS = 24;

  private RawDevice device;
  private CUstream writer;
  private CUstream reader;

  @BeforeEach
  void open() {
    device = new RawDevice("offenders");
    writer = device.stream();
    reader = device.stream();
  }

  @AfterEach
  void close() {
    if (device != null) {
      device.close();
    }
  }

  private void give(DevicePointer numbers, int repeats, CUstream stream) {
    succeed(
        device
            .launch("add_one")
            .grid(1, 128)
            .out(numbers)
            .count(COUNT)
            .repeats(repeats)
            .on(stream)
            .give());
  }

  /** One stream adds 1, the other reads; whether it read the sum. */
  private boolean readsTheSum(int seed, Runnable between) {
    RawDevice.set(RawDevice.SEED, seed);
    DevicePointer numbers = device.numbers(COUNT, 1.0f);
    give(numbers, 1, writer);
    between.run();
    Pointer host = new Pointer();
    FloatBuffer copy = device.pinned(COUNT, host);
    succeed(JCudaDriver.cuMemcpyDtoHAsync(host, numbers, COUNT * 4, reader));
    succeed(JCudaDriver.cuStreamSynchronize(reader));
    return copy.get(COUNT - 1) == 2.0f;
  }

  private static long seedsWith(IntPredicate outcome) {
    return IntStream.rangeClosed(1, SEEDS).filter(outcome).count();
  }

  @Test
  void testMissingEventShows() {
    long right = seedsWith(seed -> readsTheSum(seed, () -> {}));
    assertTrue(right > 0 && right < SEEDS, right + " of " + SEEDS);
  }

  @Test
  void testEventOrdersStreams() {
    CUevent event = device.event();
    Runnable order =
        () -> {
          succeed(JCudaDriver.cuEventRecord(event, writer));
          succeed(JCudaDriver.cuStreamWaitEvent(reader, event, 0));
        };
    assertEquals(SEEDS, seedsWith(seed -> readsTheSum(seed, order)));
  }

  @Test
  void testEventThatTheHostWaitsForOrdersStreams() {
    CUevent event = device.event();
    Runnable order =
        () -> {
          succeed(JCudaDriver.cuEventRecord(event, writer));
          succeed(JCudaDriver.cuEventSynchronize(event));
        };
    assertEquals(SEEDS, seedsWith(seed -> readsTheSum(seed, order)));
  }

  @Test
  void testWithoutSeedWorkRunsAsGiven() {
    assertTrue(readsTheSum(0, () -> {}));
  }

  @Test
  void testPinnedMemoryReusedTooEarlyShows() {
    Pointer host = new Pointer();
    FloatBuffer source = device.pinned(COUNT, host);
    DevicePointer numbers = device.allocate(COUNT * 4);
    source.put(0, 1.0f);
    succeed(JCudaDriver.cuMemcpyHtoDAsync(numbers, host, COUNT * 4, writer));
    source.put(0, 2.0f);
    succeed(JCudaDriver.cuStreamSynchronize(writer));
    assertEquals(2.0f, device.floats(numbers, 1)[0]);
  }

  @Test
  void testQueryGetsOn() {
    DevicePointer numbers = device.numbers(COUNT, 0.0f);
    give(numbers, 1, writer);
    give(numbers, 1, writer);
    int asked = 0;
    while (asked < 10 && JCudaDriver.cuStreamQuery(writer) == CUresult.CUDA_ERROR_NOT_READY) {
      ++asked;
    }
    assertTrue(asked > 0 && asked < 10, asked + " times");
    assertEquals(2.0f, device.floats(numbers, 1)[0]);
  }

  /** Two branches between a fork and a join: the graph runs right under every seed. */
  @Test
  void testGraphRepeatsForkAndJoin() {
    DevicePointer left = device.numbers(COUNT, 0.0f);
    DevicePointer right = device.numbers(COUNT, 0.0f);
    DevicePointer sum = device.allocate(COUNT * 4);
    final CUevent fork = device.event();
    final CUevent join = device.event();
    succeed(
        JCudaDriver.cuStreamBeginCapture(
            writer, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    succeed(JCudaDriver.cuEventRecord(fork, writer));
    succeed(JCudaDriver.cuStreamWaitEvent(reader, fork, 0));
    give(left, 1, writer);
    give(right, 2, reader);
    succeed(JCudaDriver.cuEventRecord(join, reader));
    succeed(JCudaDriver.cuStreamWaitEvent(writer, join, 0));
    succeed(JCudaDriver.cuMemcpyDtoDAsync(sum, right, COUNT * 4, writer));
    CUgraph graph = new CUgraph();
    succeed(JCudaDriver.cuStreamEndCapture(writer, graph));
    assertEquals(0.0f, device.floats(right, 1)[0]);
    CUgraphExec executable = new CUgraphExec();
    succeed(JCudaDriver.cuGraphInstantiate(executable, graph, 0));
    succeed(JCudaDriver.cuGraphDestroy(graph));
    for (int round = 1; round <= SEEDS; ++round) {
      RawDevice.set(RawDevice.SEED, round);
      succeed(JCudaDriver.cuGraphLaunch(executable, writer));
      succeed(JCudaDriver.cuStreamSynchronize(writer));
      assertEquals(round, device.floats(left, COUNT)[COUNT - 1]);
      assertEquals(2.0f * round, device.floats(sum, COUNT)[COUNT - 1]);
    }
    succeed(JCudaDriver.cuGraphExecDestroy(executable));
    assertEquals(CUresult.CUDA_ERROR_INVALID_HANDLE, JCudaDriver.cuGraphLaunch(executable, writer));
  }

  @Test
  void testCaptureThatDoesNotJoinIsRefused() {
    DevicePointer numbers = device.numbers(COUNT, 0.0f);
    CUevent fork = device.event();
    succeed(
        JCudaDriver.cuStreamBeginCapture(
            writer, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    succeed(JCudaDriver.cuEventRecord(fork, writer));
    succeed(JCudaDriver.cuStreamWaitEvent(reader, fork, 0));
    give(numbers, 1, reader);
    int code = JCudaDriver.cuStreamEndCapture(writer, new CUgraph());
    assertEquals("CUDA_ERROR_STREAM_CAPTURE_UNJOINED", CUresult.stringFor(code));
    give(numbers, 1, reader);
    succeed(JCudaDriver.cuStreamSynchronize(reader));
    assertEquals(1.0f, device.floats(numbers, 1)[0]);
  }

  @Test
  void testWaitingInACaptureIsRefused() {
    succeed(
        JCudaDriver.cuStreamBeginCapture(
            writer, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    assertEquals(
        "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
        CUresult.stringFor(JCudaDriver.cuStreamSynchronize(writer)));
    assertEquals(
        "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
        CUresult.stringFor(JCudaDriver.cuStreamEndCapture(writer, new CUgraph())));
    succeed(JCudaDriver.cuStreamSynchronize(writer));
  }

  @Test
  void testInstantiationFindsNoMemoryWhenAsked() {
    succeed(
        JCudaDriver.cuStreamBeginCapture(
            writer, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    CUgraph graph = new CUgraph();
    succeed(JCudaDriver.cuStreamEndCapture(writer, graph));
    RawDevice.set(RawDevice.FAIL_ALLOCATION, 1);
    assertEquals(
        CUresult.CUDA_ERROR_OUT_OF_MEMORY,
        JCudaDriver.cuGraphInstantiate(new CUgraphExec(), graph, 0));
    succeed(JCudaDriver.cuGraphInstantiate(new CUgraphExec(), graph, 0));
  }

  @Test
  void testDestroyedHandlesAreRefused() {
    CUevent event = device.event();
    succeed(JCudaDriver.cuEventDestroy(event));
    assertEquals(CUresult.CUDA_ERROR_INVALID_HANDLE, JCudaDriver.cuEventRecord(event, writer));
    succeed(JCudaDriver.cuStreamDestroy(reader));
    assertEquals(CUresult.CUDA_ERROR_INVALID_HANDLE, JCudaDriver.cuStreamSynchronize(reader));
  }
}
