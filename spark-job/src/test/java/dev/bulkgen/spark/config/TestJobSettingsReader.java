package dev.bulkgen.spark.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.config.Mistakes;
import dev.bulkgen.config.Settings;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.GenerationDefaults;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TestJobSettingsReader {
  private static final GenerationDefaults SILENT = GenerationDefaults.none();

  private static Map<String, List<String>> with(String... pairs) {
    Map<String, List<String>> values = new LinkedHashMap<>();
    values.put("model", List.of("m"));
    values.put("input", List.of("in.jsonl"));
    values.put("output", List.of("out"));
    for (int index = 0; index < pairs.length; index += 2) {
      values.computeIfAbsent(pairs[index], absent -> new ArrayList<>()).add(pairs[index + 1]);
    }
    return values;
  }

  private static JobSettings read(Map<String, List<String>> given) {
    return read(given, SILENT);
  }

  private static JobSettings read(Map<String, List<String>> given, GenerationDefaults model) {
    return read(TaskType.GENERATE, given, model);
  }

  private static JobSettings read(
      TaskType task, Map<String, List<String>> given, GenerationDefaults model) {
    Mistakes mistakes = new Mistakes();
    Settings settings = JobSettingsReader.reader().parse(given, "test", mistakes);
    return JobSettingsReader.read(task, settings, model, mistakes);
  }

  private static JobSettings score(String... pairs) {
    return read(TaskType.SCORE, with(pairs), SILENT);
  }

  @Test
  void testScoringRefusesWhatItHasNoUseForAtOnce() {
    BulkgenException e =
        assertThrows(
            BulkgenException.class,
            () ->
                score(
                    "temperature", "0",
                    "n", "1",
                    "stop", "x",
                    "answer-column", "a",
                    "output-format", "openai-batch",
                    "top-k", "many"));
    assertEquals(ErrorCode.SETTING_INVALID, e.code());
    assertEquals(7, e.getMessage().lines().count(), e.getMessage());
    for (String part :
        List.of(
            "temperature: bulkgen score draws no tokens",
            "n: bulkgen score draws no tokens",
            "stop: bulkgen score draws no tokens",
            "answer-column: bulkgen score has no use for it, bulkgen generate has",
            "output-format: openai-batch has no form for scores",
            "top-k: 'many' is not an integer",
            "give one of completion-column")) {
      assertTrue(e.getMessage().contains(part), part + " in " + e.getMessage());
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "text-column=t completion-column=c | give only one of completion-column",
        "text-column=t prompt-column=p | prompt-column: the texts of text-column have no prompt",
        "text-column=t system-prompt=p | system-prompt: the texts of text-column",
        "text-column=t chat=true | chat: the texts of text-column",
        "completion-column=c input-format=openai-batch | input-format: the requests",
        "completion-column=c prompt-column=p messages-column=m | give one of prompt-column"
      })
  void testWhatDoesNotGoTogetherInScoringIsTold(String given, String message) {
    String[] pairs = given.split("[ =]");
    BulkgenException e = assertThrows(BulkgenException.class, () -> score(pairs));
    assertTrue(e.getMessage().contains(message), e.getMessage());
  }

  @Test
  void testGenerationRefusesWhatScoringKnows() {
    BulkgenException e =
        assertThrows(BulkgenException.class, () -> read(with("completion-column", "c")));
    assertTrue(e.getMessage().contains("bulkgen score has"), e.getMessage());
  }

  @Test
  void testScoringTravelsAndHasADigestOfItsOwn() {
    JobSettings settings = score("completion-column", "c", "token-logprobs", "true");
    assertFalse(settings.values().containsKey("temperature"), settings.values().toString());
    JobSettings again = JobSettingsReader.read(TaskType.SCORE, settings.values());
    assertEquals(settings, again);
    assertEquals(settings.digest("m"), again.digest("m"));
    JobSettings whole = score("text-column", "c", "chat", "false");
    assertEquals(new InputSettings.PromptForm.None(), whole.input().form());
    assertEquals(whole, JobSettingsReader.read(TaskType.SCORE, whole.values()));
    JobSettings other =
        new JobSettings(
            TaskType.GENERATE,
            settings.input(),
            settings.output(),
            settings.run(),
            settings.sampling(),
            settings.engine(),
            settings.values());
    assertNotEquals(settings.digest("m"), other.digest("m"));
  }

  @Test
  void testDefaults() {
    JobSettings settings = read(with());
    assertEquals(1, settings.sampling().temperature());
    assertTrue(settings.sampling().maxTokens().isEmpty());
    assertEquals(0.01, settings.run().maxErrorRate());
    assertEquals("auto", settings.engine().kvCache());
    assertEquals(64, settings.engine().maxBatch());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "output-format=arrow compression=snappy | arrow takes uncompressed, zstd, lz4, not snappy",
        "input-table=t | give one of input and input-table",
        "input-format=openai-batch prompt-column=p chat=true | prompt-column: the requests",
        "input-format=openai-batch sampling-params-column=p | sampling-params-column: the requests"
      })
  void testWhatDoesNotGoTogetherIsTold(String given, String message) {
    Map<String, List<String>> values = with();
    for (String pair : given.split(" ")) {
      values.put(pair.split("=")[0], List.of(pair.split("=")[1]));
    }
    BulkgenException e = assertThrows(BulkgenException.class, () -> read(values));
    assertEquals(ErrorCode.SETTING_INVALID, e.code());
    assertTrue(e.getMessage().contains(message), e.getMessage());
  }

  @Test
  void testCompressionFollowsTheFormat() {
    assertEquals(OutputSettings.Compression.ZSTD, read(with()).output().compression());
    assertEquals(
        OutputSettings.Compression.UNCOMPRESSED,
        read(with("output-format", "arrow")).output().compression());
  }

  @Test
  void testEveryMistakeIsToldAtOnce() {
    Map<String, List<String>> wrong =
        with(
            "temperature", "-1",
            "top-p", "1.5",
            "top-k", "many",
            "memory", "big",
            "memory-fraction", "0",
            "stop", "",
            "temprature", "1",
            "resume", "perhaps",
            "conf", "x",
            "logprobs", "101",
            "master", "local[x]");
    BulkgenException e = assertThrows(BulkgenException.class, () -> read(wrong));
    assertEquals(ErrorCode.SETTING_INVALID, e.code());
    assertEquals(11, e.getMessage().lines().count(), e.getMessage());
    for (String part :
        List.of(
            "temperature: -1 is outside",
            "top-p: 1.5 is outside",
            "top-k: 'many' is not an integer",
            "memory: 'big' is not a size",
            "memory-fraction: '0' is not a number above 0 and up to 1",
            "stop: a stop string is empty",
            "did you mean temperature?",
            "resume: 'perhaps' is not one of never, if-possible, always",
            "conf: 'x'",
            "logprobs: 101 is outside [0, 100]",
            "master: 'local[x]' is not local")) {
      assertTrue(e.getMessage().contains(part), part + " in " + e.getMessage());
    }
  }

  @Test
  void testMissingPathsAreNamed() {
    BulkgenException e =
        assertThrows(
            BulkgenException.class, () -> JobSettingsReader.read(TaskType.GENERATE, Map.of()));
    assertTrue(e.getMessage().contains("--model"), e.getMessage());
    assertTrue(e.getMessage().contains("--input"), e.getMessage());
    assertTrue(e.getMessage().contains("--output"), e.getMessage());
  }

  @Test
  void testTwoPromptFormsAreRefused() {
    assertThrows(
        BulkgenException.class, () -> read(with("prompt-column", "a", "messages-column", "b")));
  }

  @Test
  void testOnlyRowSettingsChangeTheDigest() {
    String base = read(with()).digest("model");
    assertEquals(base, read(with("max-batch", "7", "master", "local[1]")).digest("model"));
    assertEquals(base, read(with("temperature", "1.0", "chat", "no")).digest("model"));
    assertFalse(base.equals(read(with("seed", "1")).digest("model")));
    assertFalse(base.equals(read(with("logprobs", "0")).digest("model")));
    assertFalse(base.equals(read(with()).digest("other model")));
  }

  @Test
  void testValuesTravel() {
    JobSettings settings =
        read(
            with(
                "stop", "a\nb",
                "stop", "c, d",
                "stop-token-ids", "5",
                "n", "3",
                "logprobs", "0",
                "memory", "2GB"),
            defaults(Optional.of(true)));
    JobSettings again = JobSettingsReader.read(TaskType.GENERATE, settings.values());
    assertEquals(settings, again);
    assertEquals(List.of("a\nb", "c, d"), again.sampling().stop());
    assertEquals(0.6, again.sampling().temperature());
    assertEquals(OptionalInt.of(0), again.sampling().logprobs());
  }

  @Test
  void testSettingsFile(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("job.conf");
    Files.writeString(
        file,
        "bulkgen { max-tokens = 7, stop = [\"x\", \"y\"], ignore-eos = true, seed = 3, logprobs = 4 }");
    Settings line = JobSettingsReader.reader().parse(with("seed", "4"), "command line");
    Settings given = line.orElse(JobSettingsReader.reader().read(file));
    JobSettings settings = JobSettingsReader.read(TaskType.GENERATE, given, SILENT, new Mistakes());
    assertEquals(OptionalInt.of(7), settings.sampling().maxTokens());
    assertEquals(List.of("x", "y"), settings.sampling().stop());
    assertTrue(settings.sampling().ignoreEos());
    assertEquals(4, settings.sampling().seed());
    assertEquals(OptionalInt.of(4), settings.sampling().logprobs());
    Files.writeString(file, "bulkgen { promt-column = x }");
    BulkgenException e =
        assertThrows(BulkgenException.class, () -> JobSettingsReader.reader().read(file));
    assertTrue(e.getMessage().contains("did you mean prompt-column?"), e.getMessage());
  }

  @Test
  void testTheModelsAdviceCountsUnlessItIsGreedy() {
    assertTrue(read(with(), defaults(Optional.of(false))).sampling().isGreedy());
    assertEquals(0.6, read(with(), defaults(Optional.of(true))).sampling().temperature());
    Map<String, List<String>> given = with("temperature", "0.2");
    assertEquals(0.2, read(given, defaults(Optional.of(false))).sampling().temperature());
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
  @CsvSource({"local,1", "local[3],3", "'local[2,4]',2"})
  void testLocalThreads(String master, int threads) {
    assertEquals(threads, LocalMaster.threads(master));
  }
}
