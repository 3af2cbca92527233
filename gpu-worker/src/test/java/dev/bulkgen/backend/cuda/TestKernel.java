package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

class TestKernel {
  private CudaContext context;
  private CudaStream stream;
  private DeviceMemory table;
  private DeviceMemory indices;
  private DeviceMemory values;
  private Kernel kernel;
  private KernelArguments arguments;

  @BeforeEach
  void open() {
    context = EmulatedDevice.open();
    DeviceArrays arrays = new DeviceArrays(context);
    stream = context.newStream("steps");
    table = arrays.upload("table", new int[8]);
    indices = arrays.upload("indices", 1, 6, 3);
    values = arrays.upload("values", 10, 60, 30);
    kernel = context.kernels().kernel("scatter_ints");
    arguments =
        kernel.arguments().set("table", table).set("indices", indices).set("values", values);
  }

  @AfterEach
  void close() {
    if (context != null) {
      stream.close();
      table.close();
      indices.close();
      values.close();
      context.close();
    }
  }

  @Test
  void testArgumentsStayFromLaunchToLaunch() {
    kernel.launch(stream, Grid.of(1), 0, arguments.set("count", 2));
    // A launch has its own copy: what follows does not reach it.
    kernel.launch(stream, Grid.of(1), 0, arguments.set("count", 0));
    assertTable(0, 10, 0, 0, 0, 0, 60, 0);
    kernel.launch(stream, Grid.of(1), 0, arguments.set("count", 3));
    assertTable(0, 10, 0, 30, 0, 0, 60, 0);
  }

  @Test
  void testCapturedLaunchKeepsItsArguments() {
    arguments.set("count", 3);
    CudaGraph graph =
        stream.capture("scatter", () -> kernel.launch(stream, Grid.of(1), 0, arguments));
    arguments.set("count", 0);
    assertTable(0, 0, 0, 0, 0, 0, 0, 0);
    graph.launch(stream);
    assertTable(0, 10, 0, 30, 0, 0, 60, 0);
    graph.close();
  }

  @Test
  void testMistakesAreRefused() {
    refused("not set: count", () -> kernel.launch(stream, Grid.of(1), 0, arguments));
    refused("no field counts", () -> arguments.set("counts", 1));
    refused("count is INT, not a pointer", () -> arguments.set("count", table));
    arguments.set("count", 1);
    KernelArguments others = context.kernels().kernel("copy_blocks").arguments();
    refused(
        "scatter_ints is given the arguments of copy_blocks",
        () -> kernel.launch(stream, Grid.of(1), 0, others));
    int tooMuch = context.device().sharedBytes() + 1;
    refused(
        "wants " + tooMuch + " bytes", () -> kernel.launch(stream, Grid.of(1), tooMuch, arguments));
    refused("shared", () -> kernel.launch(stream, Grid.of(1), -1, arguments));
    refused("grid of 0 x 1 x 1", () -> Grid.of(0));
    refused("grid of 1 x 65536 x 1", () -> Grid.of(1, 65536));
    refused("grid of 1 x 1 x 65536", () -> Grid.of(1, 1, 65536));
    refused("no kernel scatter", () -> context.kernels().kernel("scatter"));
    stream.synchronize();
    assertTable(0, 0, 0, 0, 0, 0, 0, 0);
  }

  @Test
  void testMoreSharedMemoryIsAskedForOnce() {
    arguments.set("count", 3);
    for (int bytes : new int[] {48 << 10, (48 << 10) + 1, 99 << 10, 64 << 10}) {
      kernel.launch(stream, Grid.of(1), bytes, arguments);
    }
    assertTable(0, 10, 0, 30, 0, 0, 60, 0);
  }

  private void assertTable(int... expected) {
    stream.synchronize();
    assertArrayEquals(expected, new DeviceArrays(context).ints(table));
  }

  private static void refused(String part, Executable action) {
    BulkgenException error = assertThrows(BulkgenException.class, action);
    assertEquals(ErrorCode.INTERNAL, error.code());
    assertTrue(error.getMessage().contains(part), error.getMessage());
  }
}
