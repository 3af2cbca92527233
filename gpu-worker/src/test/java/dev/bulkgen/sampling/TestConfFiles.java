package dev.bulkgen.sampling;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.config.EngineSettings;
import dev.bulkgen.config.Setting;
import dev.bulkgen.config.Settings;
import dev.bulkgen.config.SettingsReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class TestConfFiles {
  private static final Path CONF = Path.of("../conf");

  private static List<Setting<?>> known() {
    List<Setting<?>> known = new ArrayList<>(EngineSettings.ALL);
    known.addAll(SamplingSettings.ALL);
    return known;
  }

  @Test
  void testEveryFileParses() throws IOException {
    try (Stream<Path> files = Files.list(CONF)) {
      List<Path> found = files.filter(file -> file.toString().endsWith(".conf")).toList();
      assertFalse(found.isEmpty());
      found.forEach(new SettingsReader(known())::read);
    }
  }

  /** The commented lines are complete, readable, and say the defaults. */
  @Test
  void testDefaultFileNamesEverySetting() throws IOException {
    StringBuilder text = new StringBuilder("bulkgen {\n");
    List<String> names = known().stream().<String>map(Setting::name).toList();
    for (String line : Files.readAllLines(CONF.resolve("bulkgen.conf"))) {
      String content = line.trim().replaceFirst("^# ", "");
      if (names.contains(content.split(" = ")[0])) {
        text.append(content).append('\n');
      }
    }
    Settings settings = new SettingsReader(known()).parse(text.append("}").toString(), "defaults");
    for (Setting<?> setting : known()) {
      assertTrue(settings.given(setting).isPresent(), setting.name() + " is missing");
      if (setting.defaultValue().isPresent()) {
        assertEquals(setting.defaultValue(), settings.given(setting), setting.name());
      }
    }
    assertEquals(
        new SamplingParamsBuilder().maxTokens(256).build(),
        SamplingSettings.toBuilder(settings).build());
  }
}
