package dev.bulkgen.text.jinja;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.time.LocalDateTime;
import java.util.List;
import java.util.Map;

/**
 * A Jinja template in the dialect of chat templates: Jinja 3.1 in its immutable sandbox with {@code
 * trim_blocks}, {@code lstrip_blocks}, loop controls, {@code generation} blocks, {@code tojson},
 * {@code raise_exception} and {@code strftime_now}.
 *
 * <p>Templates come with models and are not trusted: they see the given data and nothing else, and
 * run within {@link Limits}. Immutable and safe to share between threads.
 */
public final class JinjaTemplate {
  private static final int MAX_SOURCE_CHARACTERS = 1 << 20;

  private final String name;
  private final List<Statement> body;

  private JinjaTemplate(String name, List<Statement> body) {
    this.name = name;
    this.body = body;
  }

  /**
   * Parses a template.
   *
   * @param name where it comes from, for messages
   * @throws BulkgenException CHAT_TEMPLATE_INVALID, with the line
   */
  public static JinjaTemplate parse(String name, String source) {
    if (source.length() > MAX_SOURCE_CHARACTERS) {
      throw TemplateSyntax.error(
          name, 1, "it has %d characters, more than %d", source.length(), MAX_SOURCE_CHARACTERS);
    }
    return new JinjaTemplate(name, TemplateParser.parse(name, source));
  }

  /**
   * Renders with variables made of null, booleans, numbers, strings, and lists and maps of them.
   *
   * @param now what {@code strftime_now} formats
   * @throws BulkgenException TEMPLATE_FAILED: the template's own message where it calls {@code
   *     raise_exception}, else what went wrong and the line
   */
  public String render(Map<String, ?> variables, LocalDateTime now, Limits limits) {
    Run run = new Run(name, limits, now);
    Scope globals = new Scope(run, null);
    variables.forEach((key, value) -> globals.assign(key, Values.fromJava(run, value, 0)));
    try {
      return Statement.render(body, globals.inner());
    } catch (StackOverflowError e) {
      throw BulkgenException.of(
          ErrorCode.TEMPLATE_FAILED, "Chat template %s nests too deep to be rendered.", name);
    }
  }
}
