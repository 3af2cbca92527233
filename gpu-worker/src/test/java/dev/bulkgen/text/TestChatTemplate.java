package dev.bulkgen.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TestChatTemplate {
  private static final LocalDateTime NOW = LocalDateTime.of(2024, 7, 26, 0, 0);
  private static final String TEMPLATE =
      "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}"
          + "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
          + "{% if tools is not none or pad_token is defined %}!{% endif %}";
  private static final List<Map<String, Object>> MESSAGES =
      List.of(Map.of("role", "user", "content", "Hi", "name", "ann"));

  @TempDir Path folder;

  private void config(Object chatTemplate) throws IOException {
    new ObjectMapper()
        .writeValue(
            folder.resolve("tokenizer_config.json").toFile(),
            Map.of(
                "bos_token",
                "<s>",
                "eos_token",
                Map.of("content", "</s>"),
                "chat_template",
                chatTemplate));
  }

  @Test
  void rendersPromptsAndConversations() throws IOException {
    config(TEMPLATE);
    ChatTemplate template = ChatTemplate.load(folder, NOW);
    assertTrue(ChatTemplate.exists(folder));
    assertEquals("<s>[user]Hi</s>[assistant]", template.renderPrompt(MESSAGES));
    assertEquals("<s>[user]Hi</s>", template.renderConversation(MESSAGES));
    assertEquals("B[user]Hi</s>", template.render(MESSAGES, Map.of("bos_token", "B")));
  }

  @Test
  void ofSeveralTemplatesTheDefaultIsTaken() throws IOException {
    config(
        List.of(
            Map.of("name", "tool_use", "template", "tools"),
            Map.of("name", "default", "template", TEMPLATE)));
    assertEquals(
        "<s>[user]Hi</s>[assistant]", ChatTemplate.load(folder, NOW).renderPrompt(MESSAGES));
  }

  @Test
  void aFileOfItsOwnWins() throws IOException {
    config("from the config");
    Files.writeString(
        folder.resolve("chat_template.jinja"), "{{ strftime_now('%d %b %Y') }}{{ eos_token }}\n");
    assertEquals("26 Jul 2024</s>", ChatTemplate.load(folder, NOW).renderPrompt(MESSAGES));
  }

  @Test
  void withoutATemplateItSaysWhatToDo() throws IOException {
    assertFalse(ChatTemplate.exists(folder));
    BulkgenException none =
        assertThrows(BulkgenException.class, () -> ChatTemplate.load(folder, NOW));
    assertEquals(ErrorCode.CHAT_TEMPLATE_INVALID, none.code());
    assertTrue(none.getMessage().contains("plain prompts"), none.getMessage());

    config(List.of(Map.of("name", "rag", "template", "x")));
    BulkgenException other =
        assertThrows(BulkgenException.class, () -> ChatTemplate.load(folder, NOW));
    assertTrue(other.getMessage().contains("only ones named rag"), other.getMessage());
  }

  @Test
  void aMistakeNamesFolderAndLine() throws IOException {
    config("{% for m in messages %}\n{{ m. }}{% endfor %}");
    BulkgenException error =
        assertThrows(BulkgenException.class, () -> ChatTemplate.load(folder, NOW));
    assertEquals(ErrorCode.CHAT_TEMPLATE_INVALID, error.code());
    assertTrue(error.getMessage().contains(folder + ", line 2"), error.getMessage());
  }

  @Test
  void theTemplatesOwnRefusalIsTheErrorOfTheRow() throws IOException {
    config("{{ raise_exception('Roles must alternate: ' ~ messages[0].role) }}");
    ChatTemplate template = ChatTemplate.load(folder, NOW);
    BulkgenException error =
        assertThrows(BulkgenException.class, () -> template.renderPrompt(MESSAGES));
    assertEquals(ErrorCode.TEMPLATE_FAILED, error.code());
    assertEquals("Roles must alternate: user", error.getMessage());
    BulkgenException empty =
        assertThrows(BulkgenException.class, () -> template.renderPrompt(List.of()));
    assertEquals(ErrorCode.PROMPT_EMPTY, empty.code());
  }
}
