package dev.bulkgen.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.Fixtures;
import dev.bulkgen.config.EngineSettings;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.RandomAccessFile;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;

class TestCommands {

  /** What a command printed; its exception comes through as it is. */
  private static String run(Object command, String... arguments) {
    StringWriter text = new StringWriter();
    BulkgenException[] thrown = new BulkgenException[1];
    IExecutionExceptionHandler handler =
        (e, commandLine, result) -> {
          thrown[0] = (BulkgenException) e;
          return 1;
        };
    int code =
        new CommandLine(command)
            .setOut(new PrintWriter(text))
            .setExecutionExceptionHandler(handler)
            .execute(arguments);
    if (thrown[0] != null) {
      throw new BulkgenException(thrown[0].code(), text + thrown[0].getMessage());
    }
    assertEquals(0, code);
    return text.toString();
  }

  private static void copy(Path source, Path target) throws IOException {
    try (Stream<Path> files = Files.list(source)) {
      for (Path file : files.toList()) {
        Files.copy(file, target.resolve(file.getFileName()));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"models/recall", "models/stories260k", "golden/falcon-mqa"})
  void testInspect(String model) {
    String text = run(new InspectCommand(), "--values", Fixtures.path(model).toString());
    assertTrue(text.contains("all there and of the right shape"), text);
    assertTrue(text.contains("all finite"), text);
  }

  @Test
  void testInspectSaysWhatAModelIs() {
    String text = run(new InspectCommand(), Fixtures.path("models/recall").toString());
    for (String line :
        List.of(
            "family         llama",
            "attention      4 query heads, 2 K/V heads, head size 64",
            "positions      2,048, rotary base 10000",
            "end tokens     [2]",
            "cache          auto takes kivi4",
            "chat template  none")) {
      assertTrue(text.contains(line), line + " in\n" + text);
    }
    assertFalse(text.contains("all finite"));
  }

  @Test
  void testInspectFindsDamage(@TempDir Path folder) throws IOException {
    copy(Fixtures.path("models/recall"), folder);
    Path weights = folder.resolve("model.safetensors");
    try (RandomAccessFile file = new RandomAccessFile(weights.toFile(), "rw")) {
      file.seek(file.length() - 2);
      file.write(new byte[] {(byte) 0xC0, 0x7F}); // a NaN in bfloat16
    }
    String sound = run(new InspectCommand(), folder.toString());
    assertTrue(sound.contains("right shape"));
    BulkgenException error =
        assertThrows(
            BulkgenException.class, () -> run(new InspectCommand(), "--values", folder.toString()));
    assertEquals(ErrorCode.MODEL_CORRUPT, error.code());
    try (RandomAccessFile file = new RandomAccessFile(weights.toFile(), "rw")) {
      file.setLength(file.length() - 1);
    }
    assertThrows(BulkgenException.class, () -> run(new InspectCommand(), folder.toString()));
  }

  @Test
  void testPlanNeedsConfigAlone(@TempDir Path folder) throws IOException {
    Path config = folder.resolve("config.json");
    Files.copy(Fixtures.path("models/recall/config.json"), config);
    String text =
        run(
            new PlanCommand(EngineSettings.ALL),
            "--model",
            config.toString(),
            "--memory",
            "64MiB",
            "--threads",
            "1");
    for (String policy :
        List.of("fp16", "kivi4", "kivi2", "kivi:k=2,v=2,group=32,window=32,sink=0")) {
      assertTrue(text.lines().anyMatch(line -> line.strip().startsWith(policy + " ")), text);
    }
    assertTrue(text.contains(" 64.00 MiB\n"), text);
    assertTrue(text.contains("sequences of 2048 tokens"), text);
    assertEquals(
        text,
        run(
            new PlanCommand(EngineSettings.ALL),
            "--model",
            folder.toString(),
            "--memory",
            "64MiB",
            "--threads",
            "1"));
  }

  @Test
  void testPlanForADeviceThatIsElsewhere() {
    String model = Fixtures.path("models/recall").toString();
    String text =
        run(new PlanCommand(EngineSettings.ALL), "--model", model, "--device", "A100_40G");
    assertTrue(text.contains("for a100-40g, by estimate: 39.30 GiB"), text);
    assertTrue(text.contains("compute capability 8.0"), text);
    assertTrue(text.contains("budget          34.92 GiB"), text); // 0.9 of 38.8
    assertTrue(text.contains("where the memory goes"), text);
    assertFalse(text.contains("mapped"), "weights lie on the device: " + text);
    String given =
        run(
            new PlanCommand(EngineSettings.ALL),
            "--model",
            model,
            "--device",
            "l4",
            "--memory",
            "1GiB");
    assertTrue(given.contains("budget           1.00 GiB"), given);
  }

  @Test
  void testPlanForADeviceThatNobodyKnows() {
    String model = Fixtures.path("models/recall").toString();
    BulkgenException error =
        assertThrows(
            BulkgenException.class,
            () -> run(new PlanCommand(EngineSettings.ALL), "--model", model, "--device", "l40z"));
    assertEquals(ErrorCode.SETTING_INVALID, error.code());
    assertTrue(error.getMessage().contains("unknown: use l40"), error.getMessage());
    assertTrue(error.getMessage().contains("h200-141g"), error.getMessage());
  }

  @Test
  void testPlanForADeviceIsNeverOneForTheHost() {
    String model = Fixtures.path("models/recall").toString();
    for (String device : new String[] {"l4", "0"}) {
      PlanCommand plan = new PlanCommand(EngineSettings.ALL);
      BulkgenException error =
          assertThrows(
              BulkgenException.class,
              () -> run(plan, "--model", model, "--device", device, "--backend", "cpu"));
      assertTrue(error.getMessage().contains("is a GPU, but backend is cpu"), error.getMessage());
    }
    String text =
        run(
            new PlanCommand(EngineSettings.ALL),
            "--model",
            model,
            "--device",
            "0",
            "--memory",
            "1GiB");
    assertFalse(text.contains("mapped"), "weights lie on the device: " + text);
  }

  @Test
  void testPlanRefusesAndStillCompares() {
    String model = Fixtures.path("models/recall").toString();
    BulkgenException error =
        assertThrows(
            BulkgenException.class,
            () -> run(new PlanCommand(EngineSettings.ALL), "--model", model, "--memory", "1MB"));
    assertEquals(ErrorCode.MEMORY_PLAN_REFUSED, error.code());
    assertTrue(error.getMessage().contains("kivi2"), error.getMessage());
    assertTrue(error.getMessage().contains("raise memory to"), error.getMessage());
  }

  @Test
  void testPlanListsAllMistakes(@TempDir Path folder) throws IOException {
    BulkgenException error =
        assertThrows(
            BulkgenException.class,
            () ->
                run(new PlanCommand(EngineSettings.ALL), "--memory", "much", "--max-batch", "-3"));
    assertEquals(2, error.getMessage().lines().count(), error.getMessage());
    Path file = folder.resolve("my.conf");
    String model = Fixtures.path("models/recall").toString();
    Files.writeString(file, "bulkgen { model = \"" + model + "\", max-batch = 3 }");
    String text =
        run(
            new PlanCommand(EngineSettings.ALL),
            "--settings",
            file.toString(),
            "--memory",
            "1GB",
            "--threads",
            "1");
    assertTrue(text.contains("3 x "), text);
    assertThrows(BulkgenException.class, () -> run(new PlanCommand(EngineSettings.ALL)));
  }
}
