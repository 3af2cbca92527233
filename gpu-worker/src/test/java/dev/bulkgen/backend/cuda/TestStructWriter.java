package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.kernels.Catalogue;
import dev.bulkgen.kernels.StructLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

class TestStructWriter {
  private static final Catalogue CATALOGUE =
      Catalogue.parse(
          "x.h",
          """
          struct Inner {
            const float* x;
            int rows;
          };
          struct Outer {
            int before;
            Inner inner;
            float after;
            unsigned seed;
            long long bytes;
          };
          """
              .getBytes(StandardCharsets.UTF_8));

  private static final StructLayout OUTER = CATALOGUE.struct("Outer").orElseThrow();
  private static final StructLayout INNER = CATALOGUE.struct("Inner").orElseThrow();

  private final ByteBuffer buffer = nativeBuffer(3 * OUTER.bytes());
  private final StructWriter writer = new StructWriter(OUTER, buffer);

  @Test
  void testFieldsLieWhereTheLayoutSays() {
    setAll(writer.at(1));
    writer.checkComplete();
    assertEquals(7, buffer.getInt(40));
    assertEquals(0x1234567890L, buffer.getLong(48));
    assertEquals(-3, buffer.getInt(56));
    assertEquals(0.5f, buffer.getFloat(64));
    assertEquals(-1, buffer.getInt(68));
    assertEquals(1L << 40, buffer.getLong(72));
    for (int i = 0; i < 40; i++) {
      assertEquals(0, buffer.get(i));
      assertEquals(0, buffer.get(80 + i));
    }
  }

  @Test
  void testUnsetFieldsAreNamed() {
    writer.set("before", 1).set("inner.rows", 2).set("bytes", 3L);
    refused("Outer: not set: inner.x, after, seed", writer::checkComplete);
    setAll(writer);
    writer.checkComplete();
    // The next entry starts from nothing.
    refused("not set: before, inner.x", writer.at(1)::checkComplete);
  }

  @Test
  void testNestedStructIsSetAtOnce() {
    StructWriter inner = new StructWriter(INNER, nativeBuffer(INNER.bytes()));
    refused("Inner: not set: x, rows", () -> writer.set("inner", inner));
    inner.setAddress("x", 0xabcdefL).set("rows", 12);
    writer.set("before", 1).set("inner", inner).set("after", 1f).set("seed", 2).set("bytes", 3L);
    writer.checkComplete();
    assertEquals(0xabcdefL, buffer.getLong(8));
    assertEquals(12, buffer.getInt(16));
    refused("Outer has no struct before", () -> writer.set("before", inner));
    refused("Outer has no struct inner of type Outer", () -> writer.set("inner", writer));
  }

  @Test
  void testWrongNamesAndTypesAreRefused() {
    refused("Outer has no field behind", () -> writer.set("behind", 1));
    refused("Outer has no field inner", () -> writer.set("inner", 1));
    refused("Outer.before is INT, not a float", () -> writer.set("before", 1f));
    refused("Outer.before is INT, not a long", () -> writer.set("before", 1L));
    refused("Outer.bytes is LONG, not an int", () -> writer.set("bytes", 1));
    refused("Outer.after is FLOAT, not an int", () -> writer.set("after", 1));
    refused("Outer.bytes is LONG, not a pointer", () -> writer.setAddress("bytes", 1));
    refused("Outer.inner.x is POINTER, not a long", () -> writer.set("inner.x", 1L));
    refused("not set: before, inner.x, inner.rows, after, seed, bytes", writer::checkComplete);
  }

  @Test
  void testNullPointer() {
    setAll(writer);
    writer.set("inner.x", (DeviceMemory) null);
    assertEquals(0, buffer.getLong(8));
    writer.checkComplete();
  }

  @Test
  void testEntriesStayInTheBuffer() {
    refused("entry 3 of Outer", () -> writer.at(3));
    refused("entry -1 of Outer", () -> writer.at(-1));
    refused("entry 0 of Outer", () -> new StructWriter(OUTER, nativeBuffer(OUTER.bytes() - 1)));
    ByteOrder foreign =
        ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN
            ? ByteOrder.BIG_ENDIAN
            : ByteOrder.LITTLE_ENDIAN;
    refused("byte order", () -> new StructWriter(OUTER, ByteBuffer.allocate(64).order(foreign)));
  }

  private static void setAll(StructWriter writer) {
    writer
        .set("before", 7)
        .setAddress("inner.x", 0x1234567890L)
        .set("inner.rows", -3)
        .set("after", 0.5f)
        .set("seed", -1)
        .set("bytes", 1L << 40);
  }

  private static void refused(String part, Executable action) {
    BulkgenException error = assertThrows(BulkgenException.class, action);
    assertEquals(ErrorCode.INTERNAL, error.code());
    assertTrue(error.getMessage().contains(part), error.getMessage());
  }

  private static ByteBuffer nativeBuffer(int bytes) {
    return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
  }
}
