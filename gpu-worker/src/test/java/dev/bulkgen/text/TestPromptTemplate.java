package dev.bulkgen.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TestPromptTemplate {
  private static final List<String> COLUMNS = List.of("question", "count", "hint");

  @Test
  void fillsColumnsAndKeepsEscapedBraces() {
    PromptTemplate template =
        PromptTemplate.parse("{{json}}: {question} x{count}{question}{{}}", COLUMNS);
    assertEquals(List.of("question", "count"), template.columns());
    Map<String, Object> row = Map.of("question", "why {count}?", "count", 3);
    assertEquals("{json}: why {count}? x3why {count}?{}", template.render(row::get));
  }

  @Test
  void listsAllUnknownColumnsAndTheOnesThereAre() {
    BulkgenException error =
        assertThrows(
            BulkgenException.class,
            () -> PromptTemplate.parse("{answer} {question} {Count}", COLUMNS));
    assertEquals(ErrorCode.COLUMN_NOT_FOUND, error.code());
    assertTrue(error.getMessage().contains("Count, answer"), error.getMessage());
    assertTrue(error.getMessage().contains("question, count, hint"), error.getMessage());
  }

  @ParameterizedTest
  @ValueSource(strings = {"{question", "question}", "a { b", "{question}}"})
  void refusesABraceWithoutItsPair(String template) {
    BulkgenException error =
        assertThrows(BulkgenException.class, () -> PromptTemplate.parse(template, COLUMNS));
    assertEquals(ErrorCode.SETTING_INVALID, error.code());
  }

  @Test
  void aNullColumnIsAnErrorOfTheRow() {
    PromptTemplate template = PromptTemplate.parse("{hint}", COLUMNS);
    Map<String, Object> row = new HashMap<>();
    row.put("hint", null);
    BulkgenException error = assertThrows(BulkgenException.class, () -> template.render(row::get));
    assertEquals(ErrorCode.PROMPT_INVALID, error.code());
    assertTrue(error.getMessage().contains("'hint'"), error.getMessage());
  }
}
