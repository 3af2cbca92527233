package dev.bulkgen.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.bulkgen.error.BulkgenException;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TestByteSize {

  @ParameterizedTest
  @CsvSource({
    "0, 0",
    "17, 17",
    "1 kB, 1000",
    "1K, 1024",
    "8GB, 8000000000",
    "8g, 8589934592",
    "1.5GiB, 1610612736",
    "512 MiB, 536870912",
    "9223372036854775807, 9223372036854775807"
  })
  void testParse(String text, long bytes) {
    assertEquals(bytes, ByteSize.parse(text));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "GB", "-1GB", "8 gigs", "1e9", "9999999999TB", "NaN", "8GB8", "1..5G"})
  void testRejects(String text) {
    assertThrows(BulkgenException.class, () -> ByteSize.parse(text));
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0 B",
    "1023, 1023 B",
    "1024, 1.00 KiB",
    "1610612736, 1.50 GiB",
    "134217728, 128.0 MiB"
  })
  void testFormat(long bytes, String text) {
    assertEquals(text, ByteSize.format(bytes));
  }
}
