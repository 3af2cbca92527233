package dev.bulkgen.spark.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.config.Mistakes;
import dev.bulkgen.config.Setting;
import dev.bulkgen.config.Settings;
import dev.bulkgen.model.GenerationDefaults;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class TestConfFiles {
  private static final Path CONF = Path.of("../conf");

  @Test
  void testEveryFileParses() throws IOException {
    try (Stream<Path> files = Files.list(CONF)) {
      List<Path> found = files.filter(file -> file.toString().endsWith(".conf")).toList();
      assertFalse(found.isEmpty());
      found.forEach(JobSettingsReader.reader()::read);
    }
  }

  /** The commented lines are complete, readable, and say the defaults. */
  @Test
  void testDefaultFileNamesEverySetting() throws IOException {
    StringBuilder text = new StringBuilder("bulkgen {\n");
    List<String> names = SettingCatalogue.settings().stream().<String>map(Setting::name).toList();
    for (String line : Files.readAllLines(CONF.resolve("bulkgen.conf"))) {
      String content = line.trim().replaceFirst("^# ", "");
      if (names.contains(content.split(" = ")[0])) {
        text.append(content).append('\n');
      }
    }
    Settings settings = JobSettingsReader.reader().parse(text.append("}").toString(), "defaults");
    for (Setting<?> setting : SettingCatalogue.settings()) {
      assertTrue(settings.given(setting).isPresent(), setting.name() + " is missing");
      if (setting.defaultValue().isPresent()) {
        assertEquals(setting.defaultValue(), settings.given(setting), setting.name());
      }
    }
    JobSettings job = read(TaskType.GENERATE, text.toString());
    assertEquals(new SamplingParamsBuilder().maxTokens(256).logprobs(5).build(), job.sampling());
    assertTrue(read(TaskType.SCORE, text.toString()).input().completions().isPresent());
  }

  /** A job takes one of the prompt forms, one input and what is of its task: the other lines go. */
  private static JobSettings read(TaskType task, String text) {
    String one =
        text.replaceAll("(messages-column|prompt-template|input-table|text-column) = .*", "");
    for (JobSetting setting : SettingCatalogue.all()) {
      one =
          setting.tasks().contains(task)
              ? one
              : one.replaceAll("(?m)^" + setting.name() + " = .*", "");
    }
    return JobSettingsReader.read(
        task,
        JobSettingsReader.reader().parse(one, "defaults"),
        GenerationDefaults.none(),
        new Mistakes());
  }
}
