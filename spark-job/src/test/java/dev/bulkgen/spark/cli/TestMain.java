package dev.bulkgen.spark.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.spark.config.JobSetting;
import dev.bulkgen.spark.config.SettingCatalogue;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.job.JobConsole;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class TestMain {
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  private int run(String... arguments) {
    JobConsole console =
        new JobConsole(
            new PrintStream(out, true, StandardCharsets.UTF_8),
            new PrintStream(err, true, StandardCharsets.UTF_8),
            JobConsole.Kind.FILE);
    return Main.run(console, arguments);
  }

  private String said() {
    String text = err.toString(StandardCharsets.UTF_8);
    assertFalse(text.contains("\tat "), text);
    return text;
  }

  @ParameterizedTest
  @EnumSource
  void testHelpHasEverySettingOfTheTask(TaskType task) {
    assertEquals(0, run(task.spelling(), "--help"));
    String help = out.toString(StandardCharsets.UTF_8);
    for (JobSetting setting : SettingCatalogue.all()) {
      assertEquals(
          setting.tasks().contains(task),
          help.contains(" --" + setting.name() + " ")
              || help.contains(" --" + setting.name() + "="),
          setting.name() + " in " + help);
    }
    assertEquals(task == TaskType.GENERATE, help.contains("Sampling"), help);
  }

  @Test
  void testScoringRefusesSamplingByName() {
    assertEquals(1, run("score", "--model", "m", "--temperature", "0", "--ignore-eos"));
    for (String part :
        new String[] {"temperature: bulkgen score draws no", "ignore-eos: ", "completion-column"}) {
      assertTrue(said().contains(part), part + " in " + said());
    }
  }

  @ParameterizedTest
  @CsvSource({
    "--temprature, --temperature",
    "--promt-column, --prompt-column",
    "--kvcache, --kv-cache"
  })
  void testUnknownOptionSuggestsTheNearest(String typed, String nearest) {
    assertEquals(1, run("generate", typed, "1"));
    assertTrue(said().contains("did you mean " + nearest + "?"), said());
  }

  @Test
  void testAllMistakesAtOnce() {
    assertEquals(1, run("generate", "--temperature", "-1", "--top-p=2", "--model", "m"));
    for (String part : new String[] {"temperature: -1", "top-p: 2", "--input", "--output"}) {
      assertTrue(said().contains(part), part + " in " + said());
    }
  }

  @Test
  void testUnknownCommand() {
    assertEquals(1, run("generat"));
    assertTrue(said().contains("did you mean generate?"), said());
  }

  @Test
  void testVersion() {
    assertEquals(0, run("--version"));
    assertTrue(out.toString(StandardCharsets.UTF_8).startsWith("bulkgen"));
  }
}
