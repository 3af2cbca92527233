package dev.bulkgen.text.jinja;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import java.io.InputStream;
import java.time.LocalDateTime;
import java.util.Map;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class TestJinjaTemplate {
  private static final LocalDateTime NOW = LocalDateTime.of(2024, 7, 6, 9, 5, 3);
  private static final Limits SMALL = new Limits(100_000, 10_000, 50);
  private static final ObjectMapper JSON = new ObjectMapper();

  private static JsonNode semantics() throws IOException {
    try (InputStream in =
        TestJinjaTemplate.class.getResourceAsStream("/text/jinja_semantics.json")) {
      return JSON.readTree(in);
    }
  }

  static Stream<Arguments> cases() throws IOException {
    return StreamSupport.stream(semantics().path("cases").spliterator(), false)
        .map(
            one ->
                Arguments.of(
                    one.path("template").textValue(),
                    one.path("expected").textValue(),
                    one.path("error").textValue()));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void meansWhatJinja2Means(String template, String expected, String error) throws IOException {
    Map<?, ?> context = JSON.convertValue(semantics().path("context"), Map.class);
    JinjaTemplate parsed = JinjaTemplate.parse("test", template);
    @SuppressWarnings("unchecked")
    Map<String, ?> variables = (Map<String, ?>) context;
    if (error == null) {
      assertEquals(expected, parsed.render(variables, NOW, Limits.DEFAULT));
    } else {
      BulkgenException thrown =
          assertThrows(BulkgenException.class, () -> parsed.render(variables, NOW, Limits.DEFAULT));
      assertEquals(ErrorCode.TEMPLATE_FAILED, thrown.code());
      assertEquals(error, thrown.getMessage());
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '#',
      quoteCharacter = '`',
      value = {
        "`a\n{% if %}`# 2",
        "`\n\n{{ 1 + }}`# 3",
        "`{% for x in y %}`# 1",
        "`{% endif %}`# 1",
        "`\n{% include 'x' %}`# 2",
        "`{{ 'open }}`# 1",
        "`{{ a`# 1",
        "`{# never ends`# 1",
        "`{% raw %} never ends`# 1",
        "`{% break %}`# 1",
        "`{{ (1, 2 }}`# 1",
        "`{{ a b }}`# 1",
        "`{% if a %}{% else %}{% elif b %}{% endif %}`# 1",
        "`{% macro m(a=1, b) %}{% endmacro %}`# 1",
        "`{{ '\\xZZ' }}`# 1",
        "`{{ 99999999999999999999 }}`# 1"
      })
  void mistakesNameTheirLine(String template, int line) {
    BulkgenException error =
        assertThrows(BulkgenException.class, () -> JinjaTemplate.parse("model/x", template));
    assertEquals(ErrorCode.CHAT_TEMPLATE_INVALID, error.code());
    assertTrue(
        error.getMessage().startsWith("Chat template model/x, line " + line + ": "),
        error.getMessage());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{% for i in range(1000000000) %}{% endfor %}",
        "{% for i in range(1000) %}{% for j in range(1000) %}x{% endfor %}{% endfor %}",
        "{{ 'x' * 1000000000 }}",
        "{{ [0] * 4000000000 }}",
        "{{ 'ab'.ljust(2000000000) }}",
        "{{ 'x' | center(2000000000) }}",
        "{{ 'a\nb' | indent(2000000000) }}",
        "{{ [[1]] | tojson(indent=2000000000) }}",
        "{{ '%9999s' % 1 ~ '%9999s' % 1 }}",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}"
            + "{% endfor %}",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}"
            + "{% set ns.s = ns.s.replace('x', 'xx') %}{% endfor %}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}"
            + "{% endfor %}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(40) %}{% set ns.l = [ns.l, ns.l] %}"
            + "{% endfor %}{{ ns.l }}",
        "{% set a = namespace(l=[1]) %}{% set b = namespace(l=[1]) %}{% for i in range(40) %}"
            + "{% set a.l = [a.l, a.l] %}{% set b.l = [b.l, b.l] %}{% endfor %}{{ a.l == b.l }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(2000) %}{% set ns.l = [ns.l] %}"
            + "{% endfor %}{{ ns.l | tojson }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "{% for i in [[1]] recursive %}{{ loop([i]) }}{% endfor %}",
        "{{ 10 ** 100 }}",
        "{{ 1 // 0 }}",
        "{{ 9223372036854775807 + 1 }}",
        "{{ l.append(1) }}",
        "{{ d.update({'a': 1}) }}",
        "{{ missing.attribute }}",
        "{{ missing() }}",
        "{{ 'x'.nothing() }}",
        "{{ x.getClass() }}",
        "{{ x.class.forName('java.lang.Runtime') }}",
        "{{ 1 + 'a' }}",
        "{{ 'a' + 1 }}",
        "{{ {}['a'].b }}",
        "{{ {[1]: 2} }}",
        "{{ x | nofilter }}",
        "{{ x is notest }}",
        "{% set a.b = 1 %}",
        "{% set a, b = [1] %}",
        "{% for a, b in [1] %}{% endfor %}",
        "{{ 'x'.split('') }}",
        "{{ range(1, 2, 0) }}",
        "{{ l[::0] }}",
        "{{ 'x' | tojson(separators=['a']) }}",
        "{{ ['a', 1] | sort }}",
        "{{ '%d' % 'a' }}",
        "{{ '%y' % 1 }}",
        "{{ '{0.__class__}'.format(1) }}"
      })
  void excessAndMisuseFailTheRowOnly(String template) {
    JinjaTemplate parsed = JinjaTemplate.parse("test", template);
    BulkgenException error =
        assertThrows(
            BulkgenException.class,
            () ->
                parsed.render(
                    Map.of("x", "text", "l", java.util.List.of(1), "d", Map.of()), NOW, SMALL));
    assertEquals(ErrorCode.TEMPLATE_FAILED, error.code());
    assertTrue(error.getMessage().contains("line 1"), error.getMessage());
  }

  @Test
  void foreignObjectsNeverGetIn() {
    JinjaTemplate parsed = JinjaTemplate.parse("test", "{{ x }}");
    BulkgenException error =
        assertThrows(
            BulkgenException.class,
            () -> parsed.render(Map.of("x", new StringBuilder("y")), NOW, SMALL));
    assertEquals(ErrorCode.TEMPLATE_FAILED, error.code());
  }

  @ParameterizedTest
  @ValueSource(strings = {"(", "[", "{% if a %}", "-", "not ", "a["})
  void deepNestingIsRefusedOrRenderedButNeverOverflows(String opening) {
    boolean tag = opening.startsWith("{%");
    String source = tag ? opening.repeat(5_000) : "{{ " + opening.repeat(5_000) + " }}";
    BulkgenException error =
        assertThrows(BulkgenException.class, () -> JinjaTemplate.parse("test", source));
    assertEquals(ErrorCode.CHAT_TEMPLATE_INVALID, error.code());
  }

  @Test
  void longChainsAreRefusedRatherThanOverflowing() {
    String sum = "{{ 1" + " + 1".repeat(100_000) + " }}";
    try {
      String text = JinjaTemplate.parse("test", sum).render(Map.of(), NOW, Limits.DEFAULT);
      assertEquals("100001", text);
    } catch (BulkgenException e) {
      assertEquals(ErrorCode.TEMPLATE_FAILED, e.code());
    }
  }

  @Test
  void generationBlocksPrintTheirBody() {
    assertEquals(
        "a b c",
        JinjaTemplate.parse("test", "a {% generation %}b{% endgeneration %} c")
            .render(Map.of(), NOW, SMALL));
  }
}
