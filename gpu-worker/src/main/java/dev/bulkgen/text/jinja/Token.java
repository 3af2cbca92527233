package dev.bulkgen.text.jinja;

/**
 * A piece of a template.
 *
 * @param text the characters of a name or operator, the decoded value of a string, the digits of a
 *     number, or plain template text
 * @param line 1-based line in the template
 */
record Token(Kind kind, String text, int line) {
  enum Kind {
    TEXT,
    OUTPUT_BEGIN,
    OUTPUT_END,
    STATEMENT_BEGIN,
    STATEMENT_END,
    NAME,
    STRING,
    INTEGER,
    FLOAT,
    OPERATOR,
    END
  }

  boolean isName(String name) {
    return kind == Kind.NAME && text.equals(name);
  }

  boolean isOperator(String operator) {
    return kind == Kind.OPERATOR && text.equals(operator);
  }

  String describe() {
    return switch (kind) {
      case TEXT -> "text";
      case OUTPUT_BEGIN -> "'{{'";
      case OUTPUT_END -> "'}}'";
      case STATEMENT_BEGIN -> "'{%'";
      case STATEMENT_END -> "'%}'";
      case END -> "the end of the template";
      default -> "'" + text + "'";
    };
  }
}
