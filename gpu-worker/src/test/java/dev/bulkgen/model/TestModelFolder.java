package dev.bulkgen.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.bulkgen.Fixtures;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.tensor.DType;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class TestModelFolder {
  @TempDir Path folder;

  private static BulkgenException refusal(Path path) {
    BulkgenException e = assertThrows(BulkgenException.class, () -> ModelFolder.open(path));
    assertEquals(ErrorCode.MODEL_NOT_FOUND, e.code());
    assertTrue(e.getMessage().contains(path.toString()), e.getMessage());
    return e;
  }

  @Test
  void refusesWhatIsNoModelFolder() throws IOException {
    assertTrue(refusal(folder.resolve("missing")).getMessage().contains("no such"));
    assertTrue(refusal(folder).getMessage().contains("empty"));
    Path file = Files.writeString(folder.resolve("file"), "x");
    assertTrue(refusal(file).getMessage().contains("is a file"));
    BulkgenException noConfig =
        assertThrows(BulkgenException.class, () -> ModelFolder.open(folder));
    assertTrue(noConfig.getMessage().contains("config.json"), noConfig.getMessage());
  }

  static Stream<Arguments> goldenModels() {
    RopeConfig plain = new RopeConfig(10_000, new RopeConfig.None());
    RopeConfig linear = new RopeConfig(10_000, new RopeConfig.Linear(8));
    RopeConfig llama3 = new RopeConfig(500_000, new RopeConfig.Llama3(8, 1, 4, 64));
    RopeConfig million = new RopeConfig(1_000_000, new RopeConfig.None());
    return Stream.of(
        Arguments.of("golden/llama2-mha", "llama", shape(4, 4, 32), plain, 734_080L),
        Arguments.of("golden/llama3-gqa", "llama", shape(4, 2, 32), llama3, 619_392L),
        Arguments.of("golden/longchat-linear", "llama", shape(4, 4, 32), linear, 734_080L),
        Arguments.of(
            "golden/mistral-window",
            "mistral",
            new AttentionShape(4, 2, 32, OptionalInt.of(96), false),
            plain,
            684_928L),
        Arguments.of("golden/qwen2-bias", "qwen2", shape(4, 2, 32), million, 620_160L),
        Arguments.of("golden/falcon-mqa", "falcon", shape(4, 1, 32), plain, 582_656L),
        Arguments.of("models/recall", "llama", shape(4, 2, 64), plain, 627_584L),
        Arguments.of("models/stories260k", "llama", shape(8, 4, 8), plain, 260_032L));
  }

  private static AttentionShape shape(int heads, int kvHeads, int headDim) {
    return new AttentionShape(heads, kvHeads, headDim, OptionalInt.empty(), false);
  }

  @ParameterizedTest
  @MethodSource("goldenModels")
  void goldenModelsLoad(
      String name, String family, AttentionShape attention, RopeConfig rope, long parameters) {
    ModelFolder model = ModelFolder.open(Fixtures.path(name));
    ModelConfig config = model.config();
    assertEquals(family, config.family());
    assertEquals(attention, config.attention());
    assertEquals(rope, config.rope());
    assertEquals(name.contains("stories") ? Set.of(1) : Set.of(2), config.eosTokenIds());
    assertEquals(1, config.bosTokenId());
    assertEquals(parameters, model.description().parameterCount());
    assertEquals(
        parameters, model.checkpoint().elementCount(), "the file holds these and no others");
    ModelWeights weights = model.weights();
    assertSame(weights, model.weights());
    assertEquals(config.layerCount(), weights.layers().size());
    assertEquals(config.vocabSize(), weights.head().weight().rows());
    assertEquals(
        config.tiedEmbeddings(), weights.head().weight() == weights.embedding(), "tied head");
    ModelWeights.Layer layer = weights.layers().get(config.layerCount() - 1);
    assertEquals(attention.queryWidth(), layer.query().weight().rows());
    assertEquals(attention.kvWidth(), layer.key().weight().rows());
    assertEquals(attention.kvWidth(), layer.value().weight().rows());
    assertEquals(family.equals("qwen2"), layer.key().bias() != null);
    assertEquals(family.equals("falcon"), layer.gate() == null);
    assertEquals(family.equals("falcon"), layer.mlpNorm() == null);
    assertEquals(family.equals("falcon"), layer.attentionNorm().bias() != null);
    assertEquals(name.contains("stories") ? DType.F32 : DType.BF16, layer.query().weight().dtype());
  }

  @Test
  void digestFollowsTheContentAndNotThePlace(@TempDir Path other) throws IOException {
    TinyCheckpoint.llama().write(folder);
    TinyCheckpoint.llama().write(other);
    String digest = ModelFolder.open(folder).digest();
    assertTrue(digest.matches("[0-9a-f]{64}"), digest);
    assertEquals(digest, ModelFolder.open(other).digest());

    TinyCheckpoint.llama().seed(2).write(other);
    assertNotEquals(digest, ModelFolder.open(other).digest(), "other weights");
    TinyCheckpoint.llama().set("rope_theta", 20_000).write(other);
    assertNotEquals(digest, ModelFolder.open(other).digest(), "another config");
    TinyCheckpoint.llama().write(other);
    for (String name : new String[] {"tokenizer.json", "generation_config.json"}) {
      TinyCheckpoint.writeText(other, name, "{}");
      assertNotEquals(digest, ModelFolder.open(other).digest(), name);
      Files.delete(other.resolve(name));
    }
    TinyCheckpoint.writeText(other, "README.md", "of no meaning");
    assertEquals(digest, ModelFolder.open(other).digest());
  }

  @Test
  void digestSeesOneChangedBitOfASmallModel(@TempDir Path other) throws IOException {
    TinyCheckpoint.llama().write(folder);
    TinyCheckpoint.llama().write(other);
    Path weights = other.resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    bytes[bytes.length - 1000] ^= 1;
    Files.write(weights, bytes);
    assertNotEquals(ModelFolder.open(folder).digest(), ModelFolder.open(other).digest());
  }

  @Test
  void aModelOfGigabytesLoadsWithoutHeapOfItsSize() throws IOException {
    // Untied, with one embedding of 2.6 GB and as large a head: sparse, so no disk is taken.
    int vocabulary = 1_280_000;
    int hidden = 1024;
    TinyCheckpoint.llama()
        .set("vocab_size", vocabulary)
        .set("hidden_size", hidden)
        .set("num_hidden_layers", 1)
        .set("num_attention_heads", 8)
        .set("num_key_value_heads", 8)
        .set("head_dim", 8)
        .set("intermediate_size", 8)
        .writeConfig(folder);
    long fileBytes = writeSparse(ModelFolder.describe(folder), folder);
    assertTrue(fileBytes > 5_000_000_000L);
    long before = allocatedBytes();
    long start = System.nanoTime();
    ModelFolder model = ModelFolder.open(folder);
    ModelWeights weights = model.weights();
    String digest = model.digest();
    long millis = (System.nanoTime() - start) / 1_000_000;
    long allocated = allocatedBytes() - before;
    float[] row = new float[hidden];
    WeightMatrix head = weights.head().weight();
    head.tensor().readFloats(head.element(vocabulary - 1), row, 0, hidden);
    float[] expected = new float[hidden];
    expected[hidden - 1] = 1;
    assertTrue(Arrays.equals(expected, row), "the last row of the last tensor");
    assertEquals(64, digest.length());
    assertTrue(allocated < 16_000_000, allocated + " bytes of heap for " + fileBytes);
    System.out.printf(
        "mapped a model of %.1f GB in %d ms with %d kB of heap%n",
        fileBytes / 1e9, millis, allocated / 1000);
    Files.delete(folder.resolve("model.safetensors"));
  }

  /** A file of zeros, but for a one as its last element. */
  private static long writeSparse(ModelDescription description, Path folder) throws IOException {
    StringBuilder header = new StringBuilder("{");
    long end = 0;
    for (WeightMap.Expected tensor : WeightMap.of(description).expected().values()) {
      long begin = end;
      end += tensor.elementCount() * 2;
      header.append(
          String.format(
              "%s\"%s\":{\"dtype\":\"BF16\",\"shape\":%s,\"data_offsets\":[%d,%d]}",
              begin == 0 ? "" : ",", tensor.name(), Arrays.toString(tensor.shape()), begin, end));
    }
    byte[] json = header.append("}").toString().getBytes(StandardCharsets.UTF_8);
    Path file = folder.resolve("model.safetensors");
    try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
      sparse.writeLong(Long.reverseBytes(json.length));
      sparse.write(json);
      sparse.setLength(8 + json.length + end);
      sparse.seek(8 + json.length + end - 2);
      sparse.write(new byte[] {(byte) 0x80, 0x3f});
    }
    return 8 + json.length + end;
  }

  private static long allocatedBytes() {
    return ((ThreadMXBean) ManagementFactory.getThreadMXBean()).getCurrentThreadAllocatedBytes();
  }

  @Test
  void configAloneIsEnoughForAPlan(@TempDir Path elsewhere) throws IOException {
    TinyCheckpoint.llama().writeConfig(folder);
    assertEquals("llama", ModelFolder.readConfig(folder).family());
    Path config = elsewhere.resolve("renamed.json");
    Files.copy(folder.resolve("config.json"), config, StandardCopyOption.REPLACE_EXISTING);
    assertEquals("llama", ModelFolder.readConfig(config).family());
    ModelDescription described = ModelFolder.describe(folder);
    // 2 layers of 2·32 norms, q and o 32·32, k and v 16·32, MLP 3·40·32; norm; embedding and head.
    long parameters = 2 * (64 + 2 * 1024 + 2 * 512 + 3 * 1280) + 32 + 2 * 48 * 32;
    assertEquals(parameters, described.parameterCount());
    assertEquals(2 * parameters, described.weightBytes());
    BulkgenException e =
        assertThrows(BulkgenException.class, () -> ModelFolder.open(folder).weights());
    assertEquals(ErrorCode.MODEL_NOT_FOUND, e.code());
  }
}
