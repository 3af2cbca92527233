package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.error.ErrorKind;
import dev.bulkgen.kernels.Catalogue;
import dev.bulkgen.model.ModelWeights.Linear;
import dev.bulkgen.model.WeightMatrix;
import dev.bulkgen.tensor.DType;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** What happens when the device fails: a clear error, and nothing stays behind. */
class TestDeviceFaults {
  private EmulatedControls controls;
  private CudaContext context;
  private CudaStream stream;
  private DeviceArrays arrays;

  @BeforeEach
  void open() {
    controls = EmulatedControls.open();
    context = EmulatedDevice.open();
    stream = context.newStream("steps");
    arrays = new DeviceArrays(context);
  }

  @AfterEach
  void close() {
    if (controls == null) {
      return;
    }
    controls.close();
    stream.close();
    context.close();
    assertEquals(0, controls.alive());
  }

  @Test
  void testFullDeviceWhileLoading() {
    Linear linear = new Linear(WeightMatrix.whole(weight()), new float[64]);
    for (int failing = 1; failing <= 3; failing++) {
      try (WeightUploader uploader = new WeightUploader(context)) {
        if (failing == 3) {
          controls.failHostAllocation(1);
        } else {
          controls.failAllocation(failing);
        }
        BulkgenException error =
            assertThrows(BulkgenException.class, () -> uploader.upload("layer 0 output", linear));
        assertEquals(ErrorCode.DEVICE_OUT_OF_MEMORY, error.code());
        String size = List.of("256 bytes", "8,192 bytes", "8,388,608 bytes").get(failing - 1);
        assertTrue(error.getMessage().contains(size), error.getMessage());
        String advice = failing == 3 ? "ulimit -l" : "are free";
        assertTrue(error.getMessage().contains(advice), error.getMessage());
        // The next one finds all as it was.
        DeviceWeight weight = uploader.upload("layer 0 output", linear);
        uploader.finish();
        weight.close();
      }
    }
  }

  @Test
  void testFullDeviceWhileGrowing() {
    controls.memoryBytes(1 << 20);
    List<DeviceMemory> pages = new ArrayList<>();
    BulkgenException error =
        assertThrows(
            BulkgenException.class,
            () -> {
              for (int i = 0; i < 100; i++) {
                pages.add(context.allocate(100_000, "pages " + i));
              }
            });
    assertEquals(ErrorCode.DEVICE_OUT_OF_MEMORY, error.code());
    assertEquals(10, pages.size());
    assertEquals(
        "the device has no 100,000 bytes (0.1 MiB) for pages 10: 48,576 of 1,048,576 bytes are"
            + " free; lower the memory fraction or the batch, or end other programs on the device",
        error.getMessage());
    pages.forEach(DeviceMemory::close);
    assertEquals(1 << 20, context.freeBytes());
  }

  @Test
  void testFullDeviceWhileCapturing() {
    try (DeviceMemory table = arrays.upload("table", 1, 2, 3)) {
      controls.failAllocation(1);
      BulkgenException error =
          assertThrows(
              BulkgenException.class,
              () ->
                  stream.capture(
                      "decode of 8",
                      () -> {
                        stream.fillInts(table, 0);
                        context.allocate(1000, "workspace");
                      }));
      assertEquals(ErrorCode.DEVICE_OUT_OF_MEMORY, error.code());
      assertTrue(error.getMessage().contains("1,000 bytes"), error.getMessage());
      assertArrayEquals(new int[] {1, 2, 3}, arrays.ints(table));
      CudaGraph graph = stream.capture("decode of 8", () -> stream.fillInts(table, 4));
      graph.launch(stream);
      stream.synchronize();
      assertArrayEquals(new int[] {4, 4, 4}, arrays.ints(table));
      graph.close();
    }
  }

  @Test
  void testFailedLaunchIsFatal() {
    DeviceMemory table = arrays.upload("table", 0, 0, 0);
    DeviceMemory values = arrays.upload("values", 5, 6, 7);
    CudaEvent done = context.newEvent("done");
    Kernel kernel = context.kernels().kernel("scatter_ints");
    KernelArguments arguments =
        kernel
            .arguments()
            .set("table", table)
            .set("indices", table)
            .set("values", values)
            .set("count", 1);
    CudaGraph graph = stream.capture("step", () -> kernel.launch(stream, Grid.of(1), 0, arguments));
    controls.failLaunch(2);
    graph.launch(stream);
    stream.record(done);
    stream.synchronize();
    graph.launch(stream);
    assertFatal(stream::synchronize);
    // From now on everything is refused with the same reason, and closing stays quiet.
    assertFatal(() -> graph.launch(stream));
    assertFatal(() -> kernel.launch(stream, Grid.of(1), 0, arguments));
    assertFatal(() -> stream.fillInts(table, 0));
    assertFatal(() -> arrays.ints(table));
    assertFatal(() -> context.allocate(10, "more"));
    assertFatal(() -> context.allocatePinned(10, "more"));
    assertFatal(() -> context.newStream("more"));
    assertFatal(context::synchronize);
    graph.close();
    done.close();
    values.close();
    table.close();
  }

  @Test
  void testOldCardsAreRefused() {
    controls.capability(75);
    BulkgenException error = assertThrows(BulkgenException.class, () -> CudaContext.open(0));
    assertEquals(ErrorCode.DEVICE_UNAVAILABLE, error.code());
    assertTrue(error.getMessage().contains("7.5, the kernels need 8.0"), error.getMessage());
  }

  @Test
  void testMissingEventIsFound() {
    try (CudaStream other = context.newStream("copies");
        PinnedMemory pinned = context.allocatePinned(4, "token");
        DeviceMemory table = arrays.upload("table", 0)) {
      boolean isFound = false;
      for (int seed = 1; seed <= 20 && !isFound; seed++) {
        controls.seed(seed);
        arrays.write(table, 0);
        stream.fillInts(table, 1);
        other.download(pinned, 0, table, 0, 4);
        context.synchronize();
        isFound = pinned.buffer().getInt(0) == 0;
      }
      assertTrue(isFound, "work of two streams always ran in the order in which it was given");
    }
  }

  @Test
  void testWrongArgumentSizeIsRefused(@TempDir Path folder) throws Exception {
    ModuleImages built = ModuleImages.ofDriver();
    Files.write(folder.resolve("copy.so"), built.image("copy").orElseThrow());
    String header =
        new String(
            Catalogue.class.getResourceAsStream("cuda/arguments.h").readAllBytes(),
            StandardCharsets.UTF_8);
    String longer =
        header.replace("struct ScatterArguments {", "struct ScatterArguments {\n  long long x;");
    assertFalse(header.equals(longer));
    Catalogue other = Catalogue.parse("arguments.h", longer.getBytes(StandardCharsets.UTF_8));
    KernelLibrary library = KernelLibrary.load(context, other, ModuleImages.ofFolder(folder));
    Kernel kernel = library.kernel("scatter_ints");
    KernelArguments arguments =
        kernel
            .arguments()
            .set("x", 0L)
            .setAddress("table", 0)
            .setAddress("indices", 0)
            .setAddress("values", 0)
            .set("count", 0);
    BulkgenException error =
        assertThrows(BulkgenException.class, () -> kernel.launch(stream, Grid.of(1), 0, arguments));
    assertEquals(ErrorCode.INTERNAL, error.code());
    assertTrue(
        error
            .getMessage()
            .startsWith("cuLaunchKernel of scatter_ints failed: CUDA_ERROR_INVALID_VALUE"));
    library.close();
  }

  private static void assertFatal(Executable call) {
    BulkgenException error = assertThrows(BulkgenException.class, call);
    assertEquals(ErrorCode.DEVICE_LOST, error.code());
    assertEquals(ErrorKind.DEVICE_FATAL, error.kind());
    assertTrue(error.getMessage().contains("CUDA_ERROR_LAUNCH_FAILED"), error.getMessage());
  }

  private static HostTensor weight() {
    float[] values = new float[64 * 60];
    for (int i = 0; i < values.length; i++) {
      values[i] = i;
    }
    return new HostTensor("w", DType.BF16, 64, 60, values);
  }
}
