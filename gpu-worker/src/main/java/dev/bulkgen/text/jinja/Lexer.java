package dev.bulkgen.text.jinja;

import dev.bulkgen.text.jinja.Token.Kind;
import java.util.ArrayList;
import java.util.List;

/**
 * Cuts a template into tokens, with the white-space rules of Jinja2 under {@code trim_blocks} and
 * {@code lstrip_blocks}: the newline after a statement or comment goes, and so does the indentation
 * before one; {@code -} strips all white space on its side and {@code +} none.
 *
 * <p>Line ends become {@code \n} and one newline at the very end of the template is dropped, as
 * Jinja2 does.
 */
final class Lexer {
  private static final int MAX_NESTED_BRACKETS = 200;
  private static final String[] OPERATORS = {
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    ">", "<", "=", ".", ":", "|", ",", ";"
  };

  private final String template;
  private final String source;
  private final List<Token> tokens = new ArrayList<>();
  private int position;
  private int line = 1;
  private boolean lineStarts = true;

  private Lexer(String template, String source) {
    this.template = template;
    String unified = source.replace("\r\n", "\n").replace('\r', '\n');
    this.source = unified.endsWith("\n") ? unified.substring(0, unified.length() - 1) : unified;
  }

  static List<Token> tokens(String template, String source) {
    Lexer lexer = new Lexer(template, source);
    lexer.run();
    return lexer.tokens;
  }

  private void run() {
    while (position < source.length()) {
      int tag = nextTag();
      if (tag < 0) {
        addText(source.substring(position));
        advanceTo(source.length());
        break;
      }
      addText(textBefore(tag));
      advanceTo(tag);
      switch (source.charAt(tag + 1)) {
        case '#' -> skipComment();
        case '{' -> lexOutput();
        default -> lexStatement();
      }
    }
    tokens.add(new Token(Kind.END, "", line));
  }

  private int nextTag() {
    for (int i = position; i + 1 < source.length(); i++) {
      if (source.charAt(i) == '{') {
        char next = source.charAt(i + 1);
        if (next == '{' || next == '%' || next == '#') {
          return i;
        }
      }
    }
    return -1;
  }

  private String textBefore(int tag) {
    String text = source.substring(position, tag);
    char sign = charAt(tag + 2);
    if (sign == '-') {
      return text.stripTrailing();
    }
    if (sign == '+' || source.charAt(tag + 1) == '{') {
      return text;
    }
    int lineStart = text.lastIndexOf('\n') + 1;
    boolean atLineStart = lineStart > 0 || lineStarts;
    return atLineStart && text.substring(lineStart).isBlank() ? text.substring(0, lineStart) : text;
  }

  private void addText(String text) {
    if (!text.isEmpty()) {
      tokens.add(new Token(Kind.TEXT, text, line));
    }
  }

  private void skipComment() {
    int end = source.indexOf("#}", position + 2);
    if (end < 0) {
      throw error("the comment has no end '#}'");
    }
    char sign = end > position + 2 ? source.charAt(end - 1) : 0;
    closeTag(end + 2, sign);
  }

  private void lexOutput() {
    tokens.add(new Token(Kind.OUTPUT_BEGIN, "", line));
    skipSign();
    lexExpression("}}");
    tokens.add(new Token(Kind.OUTPUT_END, "", line));
    boolean strips = source.charAt(position) == '-';
    advanceTo(position + (strips ? 3 : 2));
    if (strips) {
      skipWhitespace();
    }
    lineStarts = charAt(position - 1) == '\n';
  }

  private void lexStatement() {
    if (lexRaw()) {
      return;
    }
    tokens.add(new Token(Kind.STATEMENT_BEGIN, "", line));
    skipSign();
    lexExpression("%}");
    tokens.add(new Token(Kind.STATEMENT_END, "", line));
    char sign = source.charAt(position);
    closeTag(position + (sign == '%' ? 2 : 3), sign);
  }

  /** Steps over the end of a statement or comment and over the white space its sign takes. */
  private void closeTag(int end, char sign) {
    advanceTo(end);
    if (sign == '-') {
      skipWhitespace();
    } else if (sign != '+' && charAt(position) == '\n') {
      advanceTo(position + 1);
    }
    lineStarts = charAt(position - 1) == '\n';
  }

  private boolean lexRaw() {
    int afterName = wordEnd(position + 2, "raw");
    if (afterName < 0) {
      return false;
    }
    boolean strips = charAt(afterName) == '-';
    int bodyStart = afterName + (strips ? 1 : 0);
    if (!source.startsWith("%}", bodyStart)) {
      return false;
    }
    advanceTo(bodyStart + 2);
    if (strips) {
      skipWhitespace();
    }
    lineStarts = false;
    for (int i = source.indexOf("{%", position); i >= 0; i = source.indexOf("{%", i + 2)) {
      int end = wordEnd(i + 2, "endraw");
      if (end >= 0) {
        char sign = charAt(end);
        int close = sign == '-' || sign == '+' ? end + 1 : end;
        if (source.startsWith("%}", close)) {
          addText(textBefore(i));
          closeTag(close + 2, sign);
          return true;
        }
      }
    }
    throw error("'{%% raw %%}' has no '{%% endraw %%}'");
  }

  /** Where white space after {@code word} ends, or -1 where another word stands. */
  private int wordEnd(int from, String word) {
    int i = charAt(from) == '-' || charAt(from) == '+' ? from + 1 : from;
    while (Character.isWhitespace(charAt(i))) {
      i++;
    }
    if (!source.startsWith(word, i) || isNamePart(charAt(i + word.length()))) {
      return -1;
    }
    i += word.length();
    while (Character.isWhitespace(charAt(i))) {
      i++;
    }
    return i;
  }

  private void lexExpression(String end) {
    int startLine = line;
    int depth = 0;
    while (true) {
      skipWhitespace();
      if (position >= source.length()) {
        line = startLine;
        throw error("no end '%s'", end);
      }
      if (depth == 0 && atEnd(end)) {
        return;
      }
      char c = source.charAt(position);
      if (c == '"' || c == '\'') {
        lexString(c);
      } else if (isDigit(c)) {
        lexNumber();
      } else if (Character.isLetter(c) || c == '_') {
        int stop = position;
        while (isNamePart(charAt(stop))) {
          stop++;
        }
        add(Kind.NAME, stop);
      } else {
        depth += lexOperator();
        if (depth < 0 || depth > MAX_NESTED_BRACKETS) {
          throw error(depth < 0 ? "unexpected '%s'" : "brackets nest too deep at '%s'", c);
        }
      }
    }
  }

  private boolean atEnd(String end) {
    char c = source.charAt(position);
    boolean signed = c == '-' || (c == '+' && end.equals("%}"));
    return source.startsWith(end, signed ? position + 1 : position);
  }

  private int lexOperator() {
    for (String operator : OPERATORS) {
      if (source.startsWith(operator, position)) {
        add(Kind.OPERATOR, position + operator.length());
        return switch (operator) {
          case "(", "[", "{" -> 1;
          case ")", "]", "}" -> -1;
          default -> 0;
        };
      }
    }
    throw error("unexpected character '%s'", source.charAt(position));
  }

  private void lexNumber() {
    int stop = digitsEnd(position);
    Kind kind = Kind.INTEGER;
    if (charAt(stop) == '.' && isDigit(charAt(stop + 1))) {
      stop = digitsEnd(stop + 1);
      kind = Kind.FLOAT;
    }
    if (charAt(stop) == 'e' || charAt(stop) == 'E') {
      int digits = charAt(stop + 1) == '-' || charAt(stop + 1) == '+' ? stop + 2 : stop + 1;
      if (isDigit(charAt(digits))) {
        stop = digitsEnd(digits);
        kind = Kind.FLOAT;
      }
    }
    tokens.add(new Token(kind, source.substring(position, stop).replace("_", ""), line));
    advanceTo(stop);
  }

  private int digitsEnd(int from) {
    int i = from;
    while (isDigit(charAt(i)) || (charAt(i) == '_' && isDigit(charAt(i + 1)))) {
      i++;
    }
    return i;
  }

  private void lexString(char quote) {
    int i = position + 1;
    while (i < source.length() && source.charAt(i) != quote) {
      i += source.charAt(i) == '\\' ? 2 : 1;
    }
    if (i >= source.length()) {
      throw error("the string has no end %s", quote);
    }
    String raw = source.substring(position + 1, i);
    String value = StringEscapes.decode(raw);
    if (value == null) {
      throw error("the string %s%s%s has a malformed escape", quote, raw, quote);
    }
    tokens.add(new Token(Kind.STRING, value, line));
    advanceTo(i + 1);
  }

  private void add(Kind kind, int end) {
    tokens.add(new Token(kind, source.substring(position, end), line));
    advanceTo(end);
  }

  private void skipSign() {
    char sign = charAt(position + 2);
    advanceTo(
        position + (sign == '-' || sign == '+' && source.charAt(position + 1) == '%' ? 3 : 2));
  }

  private void skipWhitespace() {
    int i = position;
    while (Character.isWhitespace(charAt(i))) {
      i++;
    }
    advanceTo(i);
  }

  private void advanceTo(int end) {
    for (int i = position; i < end; i++) {
      if (source.charAt(i) == '\n') {
        line++;
      }
    }
    position = end;
  }

  private char charAt(int index) {
    return index >= 0 && index < source.length() ? source.charAt(index) : 0;
  }

  private static boolean isDigit(char c) {
    return c >= '0' && c <= '9';
  }

  private static boolean isNamePart(char c) {
    return Character.isLetterOrDigit(c) || c == '_';
  }

  private RuntimeException error(String format, Object... arguments) {
    return TemplateSyntax.error(template, line, format, arguments);
  }
}
