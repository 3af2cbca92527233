package dev.bulkgen.spark.arrow;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Random;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.TimeStampNanoVector;
import org.apache.arrow.vector.UInt8Vector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.dictionary.Dictionary;
import org.apache.arrow.vector.dictionary.DictionaryEncoder;
import org.apache.arrow.vector.dictionary.DictionaryProvider;
import org.apache.arrow.vector.ipc.ArrowFileWriter;
import org.apache.arrow.vector.ipc.ArrowStreamWriter;
import org.apache.arrow.vector.ipc.ArrowWriter;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.DictionaryEncoding;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.ArrowUtils;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What other writers of Arrow use, and what nobody should. */
class TestArrowInput {
  private static final Configuration CONFIGURATION = new Configuration();

  @TempDir Path folder;

  /** Dictionary, unsigned, nanoseconds: as pandas and Polars write them. */
  private Path foreign(ArrowLayout layout) throws IOException {
    Path file = folder.resolve("in" + layout.extension());
    try (BufferAllocator allocator = new RootAllocator();
        VarCharVector words = new VarCharVector("word", allocator);
        VarCharVector distinct = new VarCharVector("distinct", allocator);
        UInt8Vector large = new UInt8Vector("large", allocator);
        TimeStampNanoVector at = new TimeStampNanoVector("at", allocator)) {
      set(words, "b", null, "a");
      set(distinct, "a", "b");
      large.setSafe(0, -1L);
      large.setSafe(1, 1L);
      large.setNull(2);
      large.setValueCount(3);
      at.setSafe(0, 1_999L);
      at.setSafe(1, -1L);
      at.setNull(2);
      at.setValueCount(3);
      Dictionary dictionary =
          new Dictionary(distinct, new DictionaryEncoding(7, false, new ArrowType.Int(32, true)));
      DictionaryProvider provider = new DictionaryProvider.MapDictionaryProvider(dictionary);
      FieldVector coded = (FieldVector) DictionaryEncoder.encode(words, dictionary);
      VectorSchemaRoot root = new VectorSchemaRoot(List.of(coded, large, at));
      try (coded;
          var out = Files.newOutputStream(file);
          ArrowWriter writer =
              layout == ArrowLayout.FILE
                  ? new ArrowFileWriter(root, provider, Channels.newChannel(out))
                  : new ArrowStreamWriter(root, provider, Channels.newChannel(out))) {
        writer.start();
        writer.writeBatch();
        writer.end();
      }
    }
    return file;
  }

  private static void set(VarCharVector vector, String... texts) {
    for (int index = 0; index < texts.length; index++) {
      if (texts[index] != null) {
        vector.setSafe(index, texts[index].getBytes(StandardCharsets.UTF_8));
      }
    }
    vector.setValueCount(texts.length);
  }

  private static String read(Path file) {
    StringBuilder text = new StringBuilder();
    try (ArrowInput input =
        ArrowInput.open(new org.apache.hadoop.fs.Path(file.toUri()), CONFIGURATION)) {
      StructType schema = input.schema();
      Iterator<InternalRow> rows = input.rows(schema);
      while (rows.hasNext()) {
        text.append(rows.next().toSeq(schema).mkString("", ",", ";"));
      }
    }
    return text.toString();
  }

  @ParameterizedTest
  @EnumSource(ArrowLayout.class)
  void testForeignTypesAreRead(ArrowLayout layout) throws Exception {
    Path file = foreign(layout);
    long before = ArrowUtils.rootAllocator().getAllocatedMemory();
    assertEquals("b,18446744073709551615,1;null,1,-1;a,null,null;", read(file));
    assertEquals(before, ArrowUtils.rootAllocator().getAllocatedMemory());
  }

  @ParameterizedTest
  @EnumSource(ArrowLayout.class)
  void testCutOffFilesAreToldByName(ArrowLayout layout) throws Exception {
    byte[] bytes = Files.readAllBytes(foreign(layout));
    Path file = folder.resolve("cut" + layout.extension());
    Files.write(file, Arrays.copyOf(bytes, bytes.length / 2));
    BulkgenException e = assertThrows(BulkgenException.class, () -> read(file));
    assertEquals(ErrorCode.INPUT_INVALID, e.code());
    assertTrue(e.getMessage().contains("cut" + layout.extension()), e.getMessage());
  }

  /** Taken for the length of a message, these bytes ask for more memory than there is. */
  @ParameterizedTest
  @ValueSource(
      strings = {"{\"prompt\":\"ada\"}\n", "\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u007f"})
  void testWhatIsNoArrowTakesNoMemory(String start) throws Exception {
    Path file = folder.resolve("in.jsonl");
    Files.write(file, start.getBytes(StandardCharsets.ISO_8859_1));
    BulkgenException e = assertThrows(BulkgenException.class, () -> read(file));
    assertEquals(ErrorCode.INPUT_INVALID, e.code());
    assertTrue(e.getMessage().contains("in.jsonl is no sound Arrow IPC file"), e.getMessage());
    assertTrue(e.getMessage().contains("are left"), e.getMessage());
  }

  /** Every byte may be anything: values may change, and nothing else may happen than an error. */
  @ParameterizedTest
  @EnumSource(ArrowLayout.class)
  void testHostileBytesEndInValuesOrInAnError(ArrowLayout layout) throws Exception {
    byte[] bytes = Files.readAllBytes(foreign(layout));
    Path file = folder.resolve("hostile" + layout.extension());
    Random random = new Random(11);
    int errors = 0;
    for (int round = 0; round < 100; round++) {
      byte[] broken = bytes.clone();
      broken[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
      Files.write(file, broken);
      try {
        read(file);
      } catch (BulkgenException e) {
        errors++;
      }
    }
    assertTrue(errors > 5, errors + " errors");
  }

  @Test
  void testOldFeatherIsToldApart() throws Exception {
    Path file = Files.writeString(folder.resolve("old.feather"), "FEA1............FEA1");
    BulkgenException e = assertThrows(BulkgenException.class, () -> read(file));
    assertTrue(e.getMessage().contains("Feather version 1"), e.getMessage());
  }

  @Test
  void testIntegersStayWhatTheyAre() throws Exception {
    Path file = folder.resolve("one.arrow");
    try (BufferAllocator allocator = new RootAllocator();
        IntVector vector = new IntVector("n", allocator);
        var out = Files.newOutputStream(file)) {
      vector.setSafe(0, 5);
      vector.setValueCount(1);
      VectorSchemaRoot root = VectorSchemaRoot.of(vector);
      try (ArrowFileWriter writer = new ArrowFileWriter(root, null, Channels.newChannel(out))) {
        writer.start();
        writer.writeBatch();
        writer.end();
      }
    }
    assertEquals("5;", read(file));
  }
}
