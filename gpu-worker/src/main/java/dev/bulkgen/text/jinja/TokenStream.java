package dev.bulkgen.text.jinja;

import dev.bulkgen.text.jinja.Token.Kind;
import java.util.List;

/** The tokens of a template with a place in them. */
final class TokenStream {
  private final String template;
  private final List<Token> tokens;
  private int position;

  TokenStream(String template, List<Token> tokens) {
    this.template = template;
    this.tokens = tokens;
  }

  Token peek() {
    return tokens.get(position);
  }

  Token peekSecond() {
    return tokens.get(Math.min(position + 1, tokens.size() - 1));
  }

  Token next() {
    Token token = peek();
    if (token.kind() != Kind.END) {
      position++;
    }
    return token;
  }

  boolean skipName(String name) {
    boolean found = peek().isName(name);
    if (found) {
      next();
    }
    return found;
  }

  boolean skipOperator(String operator) {
    boolean found = peek().isOperator(operator);
    if (found) {
      next();
    }
    return found;
  }

  void expectOperator(String operator) {
    if (!skipOperator(operator)) {
      throw unexpected("'" + operator + "'");
    }
  }

  Token expect(Kind kind, String what) {
    if (peek().kind() != kind) {
      throw unexpected(what);
    }
    return next();
  }

  String expectName() {
    return expect(Kind.NAME, "a name").text();
  }

  RuntimeException unexpected(String wanted) {
    return error("expected %s, found %s", wanted, peek().describe());
  }

  RuntimeException error(String format, Object... arguments) {
    return TemplateSyntax.error(template, peek().line(), format, arguments);
  }
}
