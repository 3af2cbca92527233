package dev.bulkgen.spark.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.GenerationDefaults;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TestSettingsReader {
  private static Map<String, String> with(String... pairs) {
    Map<String, String> values =
        new HashMap<>(Map.of("model", "m", "input", "in.jsonl", "output", "out"));
    for (int index = 0; index < pairs.length; index += 2) {
      values.put(pairs[index], pairs[index + 1]);
    }
    return values;
  }

  @Test
  void testDefaultsAreGreedyToTheEnd() {
    JobSettings settings = SettingsReader.read(with());
    assertTrue(settings.sampling().isGreedy());
    assertTrue(settings.sampling().maxTokens().isEmpty());
    assertEquals(0.01, settings.run().maxErrorRate());
    assertEquals("auto", settings.engine().kvCache());
    assertEquals(64, settings.engine().maxBatch());
  }

  @Test
  void testEveryMistakeIsToldAtOnce() {
    Map<String, String> wrong =
        with(
            "temperature",
            "-1",
            "top-p",
            "1.5",
            "top-k",
            "many",
            "memory",
            "big",
            "stop",
            "[\"\"]",
            "temprature",
            "1",
            "resume",
            "perhaps",
            "conf",
            "[\"x\"]");
    BulkgenException e = assertThrows(BulkgenException.class, () -> SettingsReader.read(wrong));
    assertEquals(ErrorCode.SETTING_INVALID, e.code());
    for (String part :
        List.of(
            "8 settings",
            "temperature is -1",
            "top-p is 1.5",
            "top-k is 'many'",
            "memory is 'big'",
            "stop:",
            "did you mean temperature?",
            "resume 'perhaps'",
            "conf: 'x'")) {
      assertTrue(e.getMessage().contains(part), part + " in " + e.getMessage());
    }
  }

  @Test
  void testMissingPathsAreNamed() {
    BulkgenException e = assertThrows(BulkgenException.class, () -> SettingsReader.read(Map.of()));
    assertTrue(e.getMessage().contains("--model"), e.getMessage());
    assertTrue(e.getMessage().contains("--input"), e.getMessage());
    assertTrue(e.getMessage().contains("--output"), e.getMessage());
  }

  @Test
  void testTwoPromptFormsAreRefused() {
    assertThrows(
        BulkgenException.class,
        () -> SettingsReader.read(with("prompt-column", "a", "messages-column", "b")));
  }

  @Test
  void testOnlyRowSettingsChangeTheDigest() {
    String base = SettingsReader.read(with()).digest("model");
    assertEquals(
        base, SettingsReader.read(with("max-batch", "7", "master", "local[1]")).digest("model"));
    assertEquals(base, SettingsReader.read(with("output", "elsewhere")).digest("model"));
    assertFalse(base.equals(SettingsReader.read(with("seed", "1")).digest("model")));
    assertFalse(base.equals(SettingsReader.read(with()).digest("other model")));
  }

  @Test
  void testValuesTravel() {
    JobSettings settings =
        SettingsReader.read(
            with("stop", "[\"a\\nb\",\"c\"]", "stop-token-id", "[\"5\"]", "n", "3"));
    JobSettings again = SettingsReader.read(settings.values());
    assertEquals(settings, again);
    assertEquals(List.of("a\nb", "c"), again.sampling().stop());
  }

  @Test
  void testSettingsFile(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("job.conf");
    Files.writeString(file, "bulkgen { max-tokens = 7, stop = [\"x\", \"y\"], ignore-eos = true }");
    Map<String, String> values = SettingSources.readFile(file);
    assertEquals("7", values.get("max-tokens"));
    assertEquals("[\"x\",\"y\"]", values.get("stop"));
    JobSettings settings =
        SettingsReader.read(
            with(
                values.entrySet().stream()
                    .flatMap(e -> java.util.stream.Stream.of(e.getKey(), e.getValue()))
                    .toArray(String[]::new)));
    assertTrue(settings.sampling().ignoreEos());
  }

  @Test
  void testModelDefaultsCountOnlyWhereItSamples() {
    assertTrue(SettingSources.modelDefaults(defaults(Optional.empty())).isEmpty());
    assertTrue(SettingSources.modelDefaults(defaults(Optional.of(false))).isEmpty());
    assertEquals(
        Map.of("temperature", "0.6", "top-p", "0.9"),
        SettingSources.modelDefaults(defaults(Optional.of(true))));
  }

  private static GenerationDefaults defaults(Optional<Boolean> doSample) {
    return new GenerationDefaults(
        OptionalDouble.of(0.6),
        OptionalDouble.of(0.9),
        OptionalInt.empty(),
        OptionalDouble.empty(),
        OptionalDouble.empty(),
        doSample,
        OptionalInt.empty(),
        OptionalInt.empty());
  }

  @ParameterizedTest
  @CsvSource({"1,1", "512MB,536870912", "1.5g,1610612736", "4 GiB,4294967296", "2k,2048"})
  void testSizes(String text, long bytes) {
    assertEquals(OptionalLong.of(bytes), ByteSize.parse(text));
  }

  @ParameterizedTest
  @CsvSource({"local,1", "local[3],3", "'local[2,4]',2"})
  void testLocalThreads(String master, int threads) {
    assertEquals(threads, LocalMaster.threads(master));
  }
}
