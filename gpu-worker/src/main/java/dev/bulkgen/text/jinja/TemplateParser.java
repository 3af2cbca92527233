package dev.bulkgen.text.jinja;

import dev.bulkgen.text.jinja.Token.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Parses the body of a template into statements. */
final class TemplateParser {
  private static final int MAX_DEPTH = 100;

  private final TokenStream tokens;
  private final ExpressionParser expressions;
  private int depth;
  private int loops;

  private TemplateParser(TokenStream tokens) {
    this.tokens = tokens;
    this.expressions = new ExpressionParser(tokens);
  }

  static List<Statement> parse(String template, String source) {
    TemplateParser parser =
        new TemplateParser(new TokenStream(template, Lexer.tokens(template, source)));
    List<Statement> body = parser.body(Set.of());
    if (parser.tokens.peek().kind() != Kind.END) {
      throw parser.tokens.error("'%s' ends nothing", parser.tokens.peekSecond().text());
    }
    return body;
  }

  /** Statements up to a tag whose name is in {@code ends}; that tag's begin is still to come. */
  private List<Statement> body(Set<String> ends) {
    if (++depth > MAX_DEPTH) {
      throw tokens.error("the blocks nest deeper than %d", MAX_DEPTH);
    }
    List<Statement> body = new ArrayList<>();
    while (tokens.peek().kind() != Kind.END) {
      Token token = tokens.peek();
      if (token.kind() == Kind.TEXT) {
        body.add(new Statement.Text(tokens.next().text()));
      } else if (token.kind() == Kind.OUTPUT_BEGIN) {
        tokens.next();
        body.add(new Statement.Output(expressions.tupleOrExpression(), token.line()));
        tokens.expect(Kind.OUTPUT_END, "'}}'");
      } else {
        String name = tokens.peekSecond().text();
        if (ends.contains(name) || name.startsWith("end") || isBranch(name)) {
          break;
        }
        tokens.next();
        body.add(statement());
      }
    }
    depth--;
    return body;
  }

  private static boolean isBranch(String name) {
    return name.equals("else") || name.equals("elif");
  }

  private Statement statement() {
    int line = tokens.peek().line();
    String name = tokens.expect(Kind.NAME, "the name of a statement").text();
    return switch (name) {
      case "if" -> ifStatement(line);
      case "for" -> forStatement(line);
      case "set" -> setStatement(line);
      case "macro" -> macroStatement(line);
      case "call" -> callStatement(line);
      case "filter" -> filterStatement(line);
      case "with" -> withStatement(line);
      case "generation" -> {
        endTag();
        yield new Statement.Scoped(bodyTo("endgeneration"));
      }
      case "break" -> jump(Statement.Flow.BREAK);
      case "continue" -> jump(Statement.Flow.CONTINUE);
      default ->
          throw tokens.error(
              "the statement '%s' is not supported (there are if, for, set, macro, call, filter,"
                  + " with, raw, generation, break, continue)",
              name);
    };
  }

  private void endTag() {
    tokens.expect(Kind.STATEMENT_END, "'%}'");
  }

  /** A body and its end tag. */
  private List<Statement> bodyTo(String end) {
    List<Statement> body = body(Set.of(end));
    expectTag(end);
    endTag();
    return body;
  }

  private void expectTag(String name) {
    if (tokens.peek().kind() != Kind.STATEMENT_BEGIN || !tokens.peekSecond().isName(name)) {
      String found =
          tokens.peek().kind() == Kind.STATEMENT_BEGIN
              ? tokens.peekSecond().describe()
              : tokens.peek().describe();
      throw tokens.error("expected '%s', found %s", name, found);
    }
    tokens.next();
    tokens.next();
  }

  private boolean atTag(String name) {
    return tokens.peek().kind() == Kind.STATEMENT_BEGIN && tokens.peekSecond().isName(name);
  }

  private Statement ifStatement(int line) {
    List<Expression> tests = new ArrayList<>();
    List<List<Statement>> bodies = new ArrayList<>();
    do {
      tests.add(expressions.tupleOrExpression());
      endTag();
      bodies.add(body(Set.of("endif")));
    } while (skipTag("elif"));
    if (skipTag("else")) {
      endTag();
      bodies.add(body(Set.of("endif")));
    }
    expectTag("endif");
    endTag();
    return new Statement.If(tests, bodies, line);
  }

  private boolean skipTag(String name) {
    boolean found = atTag(name);
    if (found) {
      tokens.next();
      tokens.next();
    }
    return found;
  }

  private Statement forStatement(int line) {
    Target target = target();
    if (!tokens.skipName("in")) {
      throw tokens.unexpected("'in'");
    }
    Expression items = expressions.loopItems();
    Expression condition = tokens.skipName("if") ? expressions.expression() : null;
    boolean recursive = tokens.skipName("recursive");
    endTag();
    loops++;
    List<Statement> body = body(Set.of("endfor"));
    loops--;
    List<Statement> otherwise = List.of();
    if (skipTag("else")) {
      endTag();
      otherwise = body(Set.of("endfor"));
    }
    expectTag("endfor");
    endTag();
    return new Statement.For(target, items, condition, recursive, body, otherwise, line);
  }

  private Statement jump(Statement.Flow flow) {
    if (loops == 0) {
      throw tokens.error("'break' and 'continue' stand only in a loop");
    }
    endTag();
    return new Statement.Jump(flow);
  }

  private Statement setStatement(int line) {
    Target target = target();
    if (tokens.skipOperator("=")) {
      Expression value = expressions.tupleOrExpression();
      endTag();
      return new Statement.Assign(target, value, line);
    }
    List<Expression.Filter> filters =
        tokens.skipOperator("|") ? expressions.blockFilters() : List.of();
    endTag();
    return new Statement.AssignBlock(target, filters, bodyTo("endset"), line);
  }

  private Target target() {
    List<Target> parts = new ArrayList<>();
    boolean several = false;
    do {
      if (tokens.skipOperator("(")) {
        parts.add(target());
        tokens.expectOperator(")");
      } else {
        String name = tokens.expectName();
        parts.add(
            tokens.skipOperator(".")
                ? new Target.Attribute(name, tokens.expectName())
                : new Target.Variable(name));
      }
      if (!tokens.skipOperator(",")) {
        break;
      }
      several = true;
    } while (tokens.peek().kind() == Kind.NAME || tokens.peek().isOperator("("));
    return several || parts.size() > 1 ? new Target.Several(parts) : parts.get(0);
  }

  private Statement macroStatement(int line) {
    String name = tokens.expectName();
    Signature signature = signature();
    endTag();
    return new Statement.DefineMacro(signature.define(name, macroBody("endmacro")), line);
  }

  private record Signature(List<String> parameters, List<Expression> defaults) {
    Macro.Definition define(String name, List<Statement> body) {
      return new Macro.Definition(name, parameters, defaults, body);
    }
  }

  private Signature signature() {
    List<String> parameters = new ArrayList<>();
    List<Expression> defaults = new ArrayList<>();
    if (tokens.skipOperator("(")) {
      while (!tokens.peek().isOperator(")")) {
        parameters.add(tokens.expectName());
        if (tokens.skipOperator("=")) {
          defaults.add(expressions.expression());
        } else if (!defaults.isEmpty()) {
          throw tokens.error("a parameter without default stands behind one with a default");
        }
        if (!tokens.skipOperator(",")) {
          break;
        }
      }
      tokens.expectOperator(")");
    }
    return new Signature(parameters, defaults);
  }

  private List<Statement> macroBody(String end) {
    int outerLoops = loops;
    loops = 0;
    List<Statement> body = bodyTo(end);
    loops = outerLoops;
    return body;
  }

  private Statement callStatement(int line) {
    Signature signature = signature();
    if (!(expressions.expression() instanceof Expression.Call call)) {
      throw tokens.error("'call' needs the call of a macro");
    }
    endTag();
    return new Statement.CallBlock(call, signature.define("caller", macroBody("endcall")), line);
  }

  private Statement filterStatement(int line) {
    List<Expression.Filter> filters = expressions.blockFilters();
    endTag();
    return new Statement.FilterBlock(filters, macroBody("endfilter"), line);
  }

  private Statement withStatement(int line) {
    List<Target> targets = new ArrayList<>();
    List<Expression> values = new ArrayList<>();
    while (tokens.peek().kind() == Kind.NAME) {
      targets.add(new Target.Variable(tokens.expectName()));
      tokens.expectOperator("=");
      values.add(expressions.expression());
      if (!tokens.skipOperator(",")) {
        break;
      }
    }
    endTag();
    return new Statement.With(targets, values, bodyTo("endwith"), line);
  }
}
