package dev.bulkgen.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TestSettingsReader {
  private static final Setting<Duration> WAIT = Setting.duration("wait", "How long.");
  private static final Setting<List<String>> WORDS = Setting.texts("words", "Some words.");
  private static final Setting<List<Integer>> IDS = Setting.integers("ids", 0, 9, "Some ids.");
  private static final Setting<Boolean> FAST = Setting.flag("fast", "Hurry.").withDefault("off");
  private static final SettingsReader ENGINE = new SettingsReader(EngineSettings.ALL);
  private static final SettingsReader OTHER = new SettingsReader(List.of(WAIT, WORDS, IDS, FAST));

  @Test
  void testDefaults() {
    Settings settings = ENGINE.parse("bulkgen { model = m }", "test");
    int processors = Runtime.getRuntime().availableProcessors();
    assertEquals(
        new EngineConfig(
            Path.of("m"),
            "auto",
            BackendChoice.AUTO,
            DtypeChoice.AUTO,
            GemmChoice.OWN,
            OptionalLong.empty(),
            0.9,
            64,
            OptionalInt.empty(),
            PromptOverflow.ERROR,
            processors,
            0,
            SchedulingConfig.DEFAULT),
        EngineSettings.toConfig(settings));
  }

  @Test
  void testEveryEngineSettingIsMapped() {
    String text =
        """
        bulkgen {
          model = "/m", kv-cache = "kivi:k=4,v=2", backend = cpu, memory = 8GB
          memory-fraction = 0.5, max-batch = 7, max-model-len = 100, prompt-overflow = keep-end
          threads = 3, device = 5, max-prefill-tokens = 64, swap-memory = 1GB, prefix-sharing = off
        }
        """;
    EngineConfig config = EngineSettings.toConfig(ENGINE.parse(text, "test"));
    assertEquals(
        new EngineConfig(
            Path.of("/m"),
            "kivi:k=4,v=2",
            BackendChoice.CPU,
            DtypeChoice.AUTO,
            GemmChoice.OWN,
            OptionalLong.of(8_000_000_000L),
            0.5,
            7,
            OptionalInt.of(100),
            PromptOverflow.KEEP_END,
            3,
            5,
            new SchedulingConfig(
                OptionalInt.of(64), OptionalLong.of(1_000_000_000L), PrefixSharing.OFF)),
        config);
    int components =
        EngineConfig.class.getRecordComponents().length
            - 1 // the nested one
            + SchedulingConfig.class.getRecordComponents().length;
    assertEquals(components, EngineSettings.ALL.size());
  }

  @Test
  void testOtherTypes() {
    String text = "bulkgen { wait = 30s, words = [a, \"b c\", \"\"], ids = [1, 9] }";
    Settings settings = OTHER.parse(text, "test");
    assertEquals(Duration.ofSeconds(30), settings.value(WAIT));
    assertEquals(List.of("a", "b c", ""), settings.value(WORDS));
    assertEquals(List.of(1, 9), settings.value(IDS));
    assertEquals(false, settings.value(FAST));
    assertEquals(Optional.empty(), settings.given(FAST));
  }

  @Test
  void testAllMistakesAtOnce() {
    String text =
        """
        bulkgen {
          max-batch = 0
          thread = 2
          backend = gpu
          memory = lots
          max-model-len = 12.5
          nested { x = 1 }
        }
        stray = 1
        """;
    BulkgenException error =
        assertThrows(BulkgenException.class, () -> ENGINE.parse(text, "my.conf"));
    assertEquals(ErrorCode.SETTING_INVALID, error.code());
    List<String> lines = error.getMessage().lines().toList();
    assertEquals(7, lines.size(), error.getMessage());
    assertHas(lines, "my.conf: line 2: max-batch: '0' is not an integer from 1 to 65536");
    assertHas(lines, "my.conf: line 3: there is no setting 'thread'; did you mean threads?");
    assertHas(lines, "my.conf: line 4: backend: 'gpu' is not one of auto, cuda, cpu");
    assertHas(lines, "my.conf: line 5: memory: 'lots' is not a size");
    assertHas(lines, "my.conf: line 6: max-model-len: '12.5' is not an integer");
    assertHas(lines, "my.conf: line 7: there is no setting 'nested.x'");
    assertHas(lines, "my.conf: line 9: 'stray' stands outside of bulkgen");
  }

  @ParameterizedTest
  @CsvSource({
    "max_batch, max-batch",
    "MAX-BATCH, max-batch",
    "kvcache, kv-cache",
    "tread, threads",
    "completely-else, ''"
  })
  void testSuggestsTheNearest(String name, String nearest) {
    assertEquals(nearest, ENGINE.nearest(name).orElse(""));
    Map<String, List<String>> texts = Map.of(name, List.of("1"));
    BulkgenException error =
        assertThrows(BulkgenException.class, () -> ENGINE.parse(texts, "command line"));
    assertEquals(ErrorCode.SETTING_UNKNOWN, error.code());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"bulkgen {", "bulkgen { a = ${nowhere.to.be.found} }", "= 3", "bulkgen = 3"})
  void testMalformed(String text) {
    BulkgenException error = assertThrows(BulkgenException.class, () -> ENGINE.parse(text, "f"));
    assertTrue(error.getMessage().startsWith("f: "), error.getMessage());
  }

  @Test
  void testFiles(@TempDir Path folder) throws IOException {
    Path missing = folder.resolve("none.conf");
    BulkgenException error = assertThrows(BulkgenException.class, () -> ENGINE.read(missing));
    assertEquals(ErrorCode.INPUT_NOT_FOUND, error.code());
    Path binary = Files.write(folder.resolve("b.conf"), new byte[] {(byte) 0xff, (byte) 0xfe, 0});
    assertThrows(BulkgenException.class, () -> ENGINE.read(binary));
    Path large = Files.write(folder.resolve("l.conf"), new byte[(1 << 20) + 1]);
    assertThrows(BulkgenException.class, () -> ENGINE.read(large));
  }

  @Test
  void testStrongerSourceWins() {
    Settings file = OTHER.parse("bulkgen { wait = 1s, fast = true }", "file");
    Settings line = OTHER.parse(Map.of("wait", List.of("2s")), "command line");
    Settings merged = line.orElse(file);
    assertEquals(Duration.ofSeconds(2), merged.value(WAIT));
    assertEquals(true, merged.value(FAST));
  }

  private static void assertHas(List<String> lines, String start) {
    assertTrue(lines.stream().anyMatch(line -> line.startsWith(start)), start + " in " + lines);
  }
}
