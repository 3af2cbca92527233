package dev.bulkgen.text.jinja;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.Fixtures;
import dev.bulkgen.error.BulkgenException;
import java.io.IOException;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Published chat templates and small templates against what Jinja2 makes of them. */
class TestJinjaFixtures {
  private static final LocalDateTime NOW = LocalDateTime.of(2024, 7, 26, 0, 0);
  private static final ObjectMapper JSON = new ObjectMapper();

  @Test
  void rendersPublishedChatTemplatesAsJinja2Does() throws IOException {
    Map<String, Object> file =
        map(JSON.readValue(Fixtures.path("chat_templates/rendered.json").toFile(), Object.class));
    Tally tally = new Tally("chat templates");
    for (Object entry : (List<?>) file.get("templates")) {
      Map<String, Object> template = map(entry);
      for (Object one : (List<?>) template.get("cases")) {
        Map<String, Object> variables = new LinkedHashMap<>(map(one));
        String expected = (String) variables.remove("expected");
        String error = (String) variables.remove("error");
        String name = template.get("name") + "/" + variables.remove("case");
        tally.compare(
            name,
            expected != null ? expected : error.replaceFirst("^TemplateError: ", ""),
            outcome((String) template.get("template"), variables));
      }
    }
    tally.report(222);
  }

  @Test
  void rendersSmallTemplatesAsJinja2Does() throws IOException {
    List<?> units =
        JSON.readValue(Fixtures.path("chat_templates/jinja_units.json").toFile(), List.class);
    Tally tally = new Tally("small templates");
    for (Object entry : units) {
      Map<String, Object> unit = map(entry);
      tally.compare(
          (String) unit.get("name"),
          (String) unit.get("expected"),
          outcome((String) unit.get("template"), map(unit.get("context"))));
    }
    tally.report(98);
  }

  @Test
  void longConversationsStayWithinTheLimits() throws IOException {
    Map<String, Object> file =
        map(JSON.readValue(Fixtures.path("chat_templates/rendered.json").toFile(), Object.class));
    List<Map<String, Object>> messages = new ArrayList<>();
    for (int turn = 0; turn < 500; turn++) {
      messages.add(Map.of("role", "user", "content", "why? ".repeat(1_000)));
      messages.add(Map.of("role", "assistant", "content", "because ".repeat(200)));
    }
    messages.add(Map.of("role", "user", "content", "and so? ".repeat(100_000)));
    for (Object entry : (List<?>) file.get("templates")) {
      String text =
          JinjaTemplate.parse("fixture", (String) map(entry).get("template"))
              .render(
                  Map.of(
                      "messages",
                      messages,
                      "add_generation_prompt",
                      true,
                      "bos_token",
                      "<s>",
                      "eos_token",
                      "</s>"),
                  NOW,
                  Limits.DEFAULT);
      assertTrue(text.length() > 800_000, () -> map(entry).get("name") + ": " + text.length());
    }
  }

  private static String outcome(String template, Map<String, Object> variables) {
    try {
      return JinjaTemplate.parse("fixture", template).render(variables, NOW, Limits.DEFAULT);
    } catch (BulkgenException e) {
      return e.getMessage();
    }
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Object> map(Object value) {
    return (Map<String, Object>) value;
  }

  private static final class Tally {
    private final String what;
    private final List<String> failed = new ArrayList<>();
    private int count;

    Tally(String what) {
      this.what = what;
    }

    void compare(String name, String expected, String actual) {
      count++;
      if (!expected.equals(actual)) {
        failed.add(name + "\n  expected: " + expected + "\n  rendered: " + actual);
      }
    }

    void report(int atLeast) {
      int exact = count - failed.size();
      System.out.printf("%s rendered exactly: %d of %d%n", what, exact, count);
      assertTrue(count >= atLeast, () -> "only " + count + " cases were compared");
      assertTrue(exact >= 0.95 * count, () -> String.join("\n", failed));
      failed.forEach(System.out::println);
    }
  }
}
