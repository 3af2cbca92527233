package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.error.ErrorKind;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TestDeviceAllocator {

  @Test
  void testLimitCountsWhatIsOut() {
    try (CudaContext context = EmulatedDevice.open(memory -> memory.limited(1000))) {
      DeviceMemory first = context.allocate(600, "first");
      refused("500 bytes for second", "1,000", "600", () -> context.allocate(500, "second"));
      DeviceMemory third = context.allocate(400, "third");
      refused("1 bytes for fourth", "1,000", "1,000", () -> context.allocate(1, "fourth"));
      first.close();
      context.allocate(600, "fifth").close();
      third.close();
    }
  }

  @Test
  void testNthAllocationFails() {
    try (CudaContext context = EmulatedDevice.open(memory -> memory.failing(2))) {
      context.allocate(10, "first").close();
      refused(
          "2,000,000 bytes (1.9 MiB) for second",
          "free",
          "",
          () -> {
            context.allocate(2_000_000, "second");
          });
      context.allocate(10, "third").close();
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void testDriverWithAndWithoutPools(boolean isPooled) {
    try (CudaContext context = EmulatedDevice.open()) {
      Assumptions.assumeTrue(!isPooled || context.device().hasMemoryPools());
      DriverAllocator allocator =
          isPooled ? DriverAllocator.pooled(context) : DriverAllocator.plain(context);
      DeviceArrays arrays = new DeviceArrays(context);
      for (int round = 0; round < 3; round++) {
        DeviceMemory first = allocator.allocate(1200, "first");
        DeviceMemory second = allocator.allocate(8, "second");
        arrays.write(first, 1, 2, 3);
        arrays.write(second, 4, 5);
        assertEquals(3, arrays.ints(first.slice(0, 12, "part"))[2]);
        assertEquals(5, arrays.ints(second)[1]);
        first.close();
        second.close();
      }
      allocator.close();
    }
  }

  @Test
  void testLeakIsNamed() {
    CudaContext context = EmulatedDevice.open();
    context.allocate(1234, "a forgotten table");
    context.allocate(1000, "what was given back").close();
    context.allocate(66, "another one");
    BulkgenException error = assertThrows(BulkgenException.class, context::close);
    assertEquals(ErrorCode.INTERNAL, error.code());
    assertEquals(
        List.of(
            "2 device allocations of 1,300 bytes were not given back:",
            "  a forgotten table: 1234",
            "  another one: 66"),
        error.getMessage().lines().toList());
    // What leaked is gone with the context, and closing it again says nothing more.
    assertDoesNotThrow(context::close);
    EmulatedDevice.open().close();
  }

  @Test
  void testMemoryGivenBackIsRefused() {
    try (CudaContext context = EmulatedDevice.open()) {
      DeviceMemory memory = context.allocate(64, "table");
      DeviceMemory part = memory.slice(16, 32, "part of the table");
      assertEquals(memory.address() + 16, part.address());
      assertEquals(memory.address() + 24, part.slice(8, 8, "part of the part").address());
      part.close();
      assertEquals(memory.address() + 16, part.address());
      memory.close();
      memory.close();
      assertInternal("table is used after", memory::address);
      assertInternal("part of the table is used after", part::address);
      assertInternal("part of the table is used after", () -> part.slice(0, 1, "x"));
    }
  }

  @Test
  void testViewsStayInside() {
    try (CudaContext context = EmulatedDevice.open();
        DeviceMemory memory = context.allocate(64, "table")) {
      assertInternal("65 bytes from 0 on leave table of 64", () -> memory.slice(0, 65, "x"));
      assertInternal("leave table", () -> memory.slice(64, 1, "x"));
      assertInternal("leave table", () -> memory.slice(-1, 1, "x"));
      assertInternal("leave table", () -> memory.slice(1, Long.MAX_VALUE, "x"));
      assertInternal("leave table", () -> memory.slice(1, -1, "x"));
      assertEquals(0, memory.slice(64, 0, "end").bytes());
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {0, -1, Long.MIN_VALUE})
  void testSizesAreChecked(long bytes) {
    try (CudaContext context = EmulatedDevice.open()) {
      assertInternal("table", () -> context.allocate(bytes, "table"));
    }
  }

  @Test
  void testFullDeviceSaysItsSizes() {
    try (CudaContext context = EmulatedDevice.open()) {
      long total = context.device().memoryBytes();
      String wanted = String.format("%,d bytes", total + 1);
      refused(
          wanted,
          "for everything",
          "bytes are free",
          () -> {
            context.allocate(total + 1, "everything");
          });
      assertTrue(context.freeBytes() <= total);
      context.allocate(1 << 20, "what fits").close();
    }
  }

  private static void refused(String part, String second, String third, Executable action) {
    BulkgenException error = assertThrows(BulkgenException.class, action);
    assertEquals(ErrorCode.DEVICE_OUT_OF_MEMORY, error.code());
    assertEquals(ErrorKind.RESOURCE, error.kind());
    for (String expected : List.of(part, second, third)) {
      assertTrue(error.getMessage().contains(expected), error.getMessage());
    }
  }

  private static void assertInternal(String part, Executable action) {
    BulkgenException error = assertThrows(BulkgenException.class, action);
    assertEquals(ErrorCode.INTERNAL, error.code());
    assertTrue(error.getMessage().contains(part), error.getMessage());
  }
}
