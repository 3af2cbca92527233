package dev.bulkgen.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.Fixtures;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.error.ErrorKind;
import dev.bulkgen.tensor.DType;
import dev.bulkgen.tensor.MappedTensor;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class TestSafetensorsFile {
  @TempDir Path folder;

  private Path file(long headerLength, String header, int dataBytes) throws IOException {
    byte[] json = header.getBytes(StandardCharsets.UTF_8);
    ByteBuffer buffer =
        ByteBuffer.allocate(8 + json.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN);
    buffer.putLong(headerLength).put(json);
    return Files.write(folder.resolve("model.safetensors"), buffer.array());
  }

  private Path file(String header, int dataBytes) throws IOException {
    return file(header.getBytes(StandardCharsets.UTF_8).length, header, dataBytes);
  }

  private static String refusal(ErrorCode code, Path file) {
    BulkgenException e = assertThrows(BulkgenException.class, () -> SafetensorsFile.open(file));
    assertEquals(code, e.code(), e.getMessage());
    assertTrue(e.getMessage().contains(file.toString()), e.getMessage());
    return e.getMessage();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        // header | data bytes | what the message says
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}} | 4 | truncated",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}} | 12 | 4 bytes after a",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[4,12]}} | 12 | 4 bytes between",
        "{'a':{'dtype':'U8','shape':[4],'data_offsets':[0,4]},'b':{'dtype':'U8','shape':[4],'data_offsets':[2,6]}} | 6 | a and b overlap",
        "{'a':{'dtype':'U8','shape':[4],'data_offsets':[0,4]},'b':{'dtype':'U8','shape':[4],'data_offsets':[0,4]}} | 4 | overlap",
        "{'a':{'dtype':'U8','shape':[4],'data_offsets':[0,4]},'b':{'dtype':'U8','shape':[2],'data_offsets':[6,8]}} | 8 | 2 bytes between a and tensor b",
        "{'a':{'dtype':'F32','shape':[3],'data_offsets':[0,8]}} | 8 | takes 12 bytes",
        "{'a':{'dtype':'F32','shape':[-2],'data_offsets':[0,8]}} | 8 | shape of tensor a holds -2",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[8,0]}} | 8 | not [begin, end]",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[-8,0]}} | 8 | holds -8",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0]}} | 8 | not [begin, end]",
        "{'a':{'dtype':'F32','shape':[4294967296,4294967296,4294967296],'data_offsets':[0,8]}} | 8 | more than any file holds",
        "{'a':{'dtype':'F32','shape':[18446744073709551618],'data_offsets':[0,8]}} | 8 | holds 18446744073709551618",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,9223372036854775807]}} | 8 | truncated",
        "{'a':{'dtype':'F32','shape':[1,1,1,1,1,1,1,1,2],'data_offsets':[0,8]}} | 8 | more than 8 numbers",
        "{'a':{'dtype':'F32','shape':[2.0],'data_offsets':[0,8]}} | 8 | VALUE_NUMBER_FLOAT",
        "{'a':{'dtype':'F32','shape':2,'data_offsets':[0,8]}} | 8 | shape of tensor a",
        "{'a':{'dtype':'F32','shape':[2]}} | 8 | lacks",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8],'x':1}} | 8 | unknown field 'x'",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]},'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}} | 8 | Duplicate field 'a'",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}} {} | 8 | more than one JSON value",
        "{'a':[[[[[[1]]]]]]} | 8 | START_ARRAY",
        "{'__metadata__':{'format':3}} | 0 | __metadata__.format",
        "[1] | 0 | START_OBJECT",
        "{'a':{'dtype' | 0 | not valid near byte",
      })
  void refusesAHeaderThatDoesNotFitTheFile(String header, int dataBytes, String message)
      throws IOException {
    String told = refusal(ErrorCode.MODEL_CORRUPT, file(header.replace('\'', '"'), dataBytes));
    assertTrue(told.contains(message), told);
    assertTrue(told.contains("again"), told);
  }

  @Test
  void namesTheBytesOfAnOverlap() throws IOException {
    String header =
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
            + "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}";
    String told = refusal(ErrorCode.MODEL_CORRUPT, file(header, 6));
    int dataStart = 8 + header.length();
    assertTrue(told.contains("ends at byte " + (dataStart + 4)), told);
    assertTrue(told.contains("begins at " + (dataStart + 2)), told);
  }

  @Test
  void refusesAnUnknownElementTypeByName() throws IOException {
    Path file = file("{\"w\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4);
    String told = refusal(ErrorCode.MODEL_UNSUPPORTED, file);
    assertTrue(told.contains("tensor w") && told.contains("F8_E4M3"), told);
  }

  @Test
  void refusesTenGigabytesClaimedInAMegabyteWithoutAllocating() throws IOException {
    Path file = file(10_000_000_000L, "{}", 1_000_000);
    String told = refusal(ErrorCode.MODEL_CORRUPT, file);
    assertTrue(told.contains("10000000000"), told);
    Path tensor =
        file(
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[2500000000],\"data_offsets\":[0,10000000000]}}",
            1_000_000);
    told = refusal(ErrorCode.MODEL_CORRUPT, tensor);
    assertTrue(told.contains("tensor a") && told.contains("truncated"), told);
  }

  @ParameterizedTest
  @CsvSource({"-1", "-9223372036854775808", "3", "9223372036854775807"})
  void refusesAHeaderLengthBeyondTheFile(long length) throws IOException {
    String told = refusal(ErrorCode.MODEL_CORRUPT, file(length, "{}", 0));
    assertTrue(told.contains(Long.toUnsignedString(length)), told);
  }

  @Test
  void refusesAHeaderBeyondTheLimitOfTheFormat() throws IOException {
    Path file = folder.resolve("sparse.safetensors");
    try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
      sparse.setLength(SafetensorsFile.MAX_HEADER_BYTES + 1000);
      sparse.writeLong(Long.reverseBytes(SafetensorsFile.MAX_HEADER_BYTES + 1));
    }
    assertTrue(refusal(ErrorCode.MODEL_CORRUPT, file).contains("limit"));
  }

  @Test
  void refusesFilesTooShortAndMissingOnes() throws IOException {
    Path few = Files.write(folder.resolve("few.safetensors"), new byte[7]);
    assertTrue(refusal(ErrorCode.MODEL_CORRUPT, few).contains("7 bytes"));
    Path empty = Files.write(folder.resolve("empty.safetensors"), new byte[0]);
    assertTrue(refusal(ErrorCode.MODEL_CORRUPT, empty).contains("0 bytes"));
    refusal(ErrorCode.MODEL_NOT_FOUND, folder.resolve("missing.safetensors"));
    refusal(ErrorCode.MODEL_NOT_FOUND, folder);
  }

  @Test
  void everyTruncationIsRefused() throws IOException {
    Path whole = folder.resolve("whole.safetensors");
    SafetensorsWriter.write(
        whole,
        List.of(
            SafetensorsWriter.Entry.of("a", DType.F32, new long[] {2}, new float[] {1, 2}),
            SafetensorsWriter.Entry.of("b", DType.BF16, new long[] {3}, new float[3])));
    byte[] bytes = Files.readAllBytes(whole);
    Path cut = folder.resolve("cut.safetensors");
    for (int length = 0; length < bytes.length; length++) {
      Files.write(cut, Arrays.copyOf(bytes, length));
      refusal(ErrorCode.MODEL_CORRUPT, cut);
    }
    assertEquals(2, SafetensorsFile.open(whole).tensors().size());
  }

  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"BF16", "F16", "F32"})
  void readsWhatTheWriterWrote(DType dtype) {
    Path path = folder.resolve("model.safetensors");
    float[] values = new float[40_000];
    for (int i = 0; i < values.length; i++) {
      values[i] = (i % 255 - 127) / 64f; // exact in all three types
    }
    SafetensorsWriter.write(
        path,
        List.of(
            SafetensorsWriter.Entry.of("scalar", dtype, new long[0], new float[] {0.5f}),
            SafetensorsWriter.Entry.of("empty", dtype, new long[] {0, 7}, new float[0]),
            SafetensorsWriter.Entry.of("matrix", dtype, new long[] {200, 200}, values)));
    SafetensorsFile file = SafetensorsFile.open(path);
    assertEquals(List.of("scalar", "empty", "matrix"), List.copyOf(file.tensors().keySet()));
    assertEquals("pt", file.metadata().get("format"));
    MappedTensor matrix = file.tensor("matrix").orElseThrow();
    assertArrayEquals(new long[] {200, 200}, matrix.shape());
    assertEquals(dtype, matrix.dtype());
    assertArrayEquals(values, matrix.toFloats());
    assertArrayEquals(new float[] {0.5f}, file.tensor("scalar").orElseThrow().toFloats());
    assertEquals(0, file.tensor("empty").orElseThrow().elementCount());
  }

  @Test
  void readsGoldenTensors() {
    SafetensorsFile file = SafetensorsFile.open(Fixtures.path("golden/quantizer.safetensors"));
    MappedTensor codes = file.tensor("key_b2_g32.codes").orElseThrow();
    MappedTensor scale = file.tensor("key_b2_g32.scale").orElseThrow();
    MappedTensor zero = file.tensor("key_b2_g32.zero").orElseThrow();
    MappedTensor dequantized = file.tensor("key_b2_g32.dequantized").orElseThrow();
    byte[] code = new byte[32];
    codes.readBytes(5 * 128, code, 0, 32); // head 0, channel 5, first group
    float s = scale.toFloats()[5 * 4];
    float z = zero.toFloats()[5 * 4];
    for (int token = 0; token < 32; token++) {
      assertEquals(
          code[token] * s + z, dequantized.toFloats()[token * 128 + 5], 1e-6, "token " + token);
    }
  }

  @Test
  void damagedHeadersGiveAnErrorOfOurs() throws IOException {
    Path whole = TinyCheckpoint.llama().write(folder).resolve("model.safetensors");
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(whole)).order(ByteOrder.LITTLE_ENDIAN);
    byte[] header = new byte[(int) bytes.getLong()];
    bytes.get(header);
    assertEquals(21, SafetensorsHeader.parse(whole, header, bytes.remaining()).entries().size());
    SplittableRandom random = new SplittableRandom(5);
    int refused = 0;
    for (int i = 0; i < 20_000; i++) {
      byte[] damaged = header.clone();
      for (int flips = 1 + random.nextInt(3); flips > 0; flips--) {
        damaged[random.nextInt(damaged.length)] = (byte) random.nextInt(256);
      }
      try {
        SafetensorsHeader.parse(whole, damaged, bytes.remaining());
      } catch (BulkgenException e) {
        assertEquals(ErrorKind.USER, e.kind(), e.getMessage());
        refused++;
      }
    }
    assertTrue(refused > 10_000, refused + " refused");
  }
}
