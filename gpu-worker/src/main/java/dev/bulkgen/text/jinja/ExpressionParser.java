package dev.bulkgen.text.jinja;

import dev.bulkgen.text.jinja.Token.Kind;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Parses expressions. From loose to tight: inline if, or, and, not, comparison, sum, {@code ~},
 * product, power, sign, then attributes, calls, filters and tests behind their operand.
 */
final class ExpressionParser {
  private static final int MAX_DEPTH = 200;
  private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");

  private final TokenStream tokens;
  private int depth;

  ExpressionParser(TokenStream tokens) {
    this.tokens = tokens;
  }

  /** One expression, or a tuple of several with commas between them. */
  Expression tupleOrExpression() {
    return tupleOrExpression(true, false);
  }

  /** What a {@code for} runs over: an {@code if} behind it belongs to the loop. */
  Expression loopItems() {
    return tupleOrExpression(false, false);
  }

  private Expression tupleOrExpression(boolean withConditional, boolean parenthesised) {
    List<Expression> items = new ArrayList<>();
    boolean tuple = false;
    while (!atTupleEnd()) {
      items.add(withConditional ? expression() : or());
      if (!tokens.skipOperator(",")) {
        break;
      }
      tuple = true;
    }
    if (!tuple && items.size() == 1) {
      return items.get(0);
    }
    if (items.isEmpty() && !parenthesised) {
      throw tokens.unexpected("an expression");
    }
    return new Expression.Sequence(items, true);
  }

  private boolean atTupleEnd() {
    Token token = tokens.peek();
    return token.kind() == Kind.OUTPUT_END
        || token.kind() == Kind.STATEMENT_END
        || token.isOperator(")");
  }

  Expression expression() {
    if (++depth > MAX_DEPTH) {
      throw tokens.error("the expression nests deeper than %d", MAX_DEPTH);
    }
    Expression then = or();
    while (tokens.skipName("if")) {
      Expression test = or();
      Expression otherwise = tokens.skipName("else") ? expression() : null;
      then = new Expression.Conditional(test, then, otherwise);
    }
    depth--;
    return then;
  }

  private Expression or() {
    Expression left = and();
    while (tokens.skipName("or")) {
      left = new Expression.Or(left, and());
    }
    return left;
  }

  private Expression and() {
    Expression left = not();
    while (tokens.skipName("and")) {
      left = new Expression.And(left, not());
    }
    return left;
  }

  private Expression not() {
    int count = 0;
    while (tokens.skipName("not")) {
      count++;
    }
    Expression operand = comparison();
    if (count == 0) {
      return operand;
    }
    Expression negated = new Expression.Not(operand);
    return count % 2 == 1 ? negated : new Expression.Not(negated);
  }

  private Expression comparison() {
    Expression first = sum();
    List<String> operators = new ArrayList<>();
    List<Expression> others = new ArrayList<>();
    while (true) {
      Token token = tokens.peek();
      String operator;
      if (token.kind() == Kind.OPERATOR && COMPARISONS.contains(token.text())) {
        operator = tokens.next().text();
      } else if (tokens.skipName("in")) {
        operator = "in";
      } else if (token.isName("not") && tokens.peekSecond().isName("in")) {
        tokens.next();
        tokens.next();
        operator = "not in";
      } else {
        break;
      }
      operators.add(operator);
      others.add(sum());
    }
    return operators.isEmpty() ? first : new Expression.Comparison(first, operators, others);
  }

  private Expression sum() {
    Expression left = concatenation();
    while (tokens.peek().isOperator("+") || tokens.peek().isOperator("-")) {
      String operator = tokens.next().text();
      left = new Expression.Binary(operator, left, concatenation());
    }
    return left;
  }

  private Expression concatenation() {
    List<Expression> parts = new ArrayList<>(List.of(product()));
    while (tokens.skipOperator("~")) {
      parts.add(product());
    }
    return parts.size() == 1 ? parts.get(0) : new Expression.Concatenation(parts);
  }

  private Expression product() {
    Expression left = power();
    while (tokens.peek().kind() == Kind.OPERATOR
        && Set.of("*", "/", "//", "%").contains(tokens.peek().text())) {
      String operator = tokens.next().text();
      left = new Expression.Binary(operator, left, power());
    }
    return left;
  }

  private Expression power() {
    Expression left = unary(true);
    while (tokens.skipOperator("**")) {
      left = new Expression.Binary("**", left, unary(true));
    }
    return left;
  }

  private Expression unary(boolean withFilters) {
    if (++depth > MAX_DEPTH) {
      throw tokens.error("the expression nests deeper than %d", MAX_DEPTH);
    }
    Expression operand;
    if (tokens.skipOperator("-")) {
      operand = new Expression.Sign(true, unary(false));
    } else if (tokens.skipOperator("+")) {
      operand = new Expression.Sign(false, unary(false));
    } else {
      operand = primary();
    }
    operand = postfix(operand);
    depth--;
    return withFilters ? filtersAndTests(operand) : operand;
  }

  private Expression primary() {
    Token token = tokens.peek();
    switch (token.kind()) {
      case NAME:
        tokens.next();
        return switch (token.text()) {
          case "true", "True" -> new Expression.Constant(true);
          case "false", "False" -> new Expression.Constant(false);
          case "none", "None" -> new Expression.Constant(null);
          default -> new Expression.Name(token.text());
        };
      case STRING:
        StringBuilder text = new StringBuilder();
        while (tokens.peek().kind() == Kind.STRING) {
          text.append(tokens.next().text());
        }
        return new Expression.Constant(text.toString());
      case INTEGER:
        try {
          return new Expression.Constant(Long.parseLong(tokens.next().text()));
        } catch (NumberFormatException e) {
          throw tokens.error("the number %s does not fit 64 bits", token.text());
        }
      case FLOAT:
        return new Expression.Constant(Double.parseDouble(tokens.next().text()));
      default:
        return bracketed();
    }
  }

  private Expression bracketed() {
    if (tokens.skipOperator("(")) {
      Expression inner = tupleOrExpression(true, true);
      tokens.expectOperator(")");
      return inner;
    }
    if (tokens.skipOperator("[")) {
      List<Expression> items = new ArrayList<>();
      while (!tokens.peek().isOperator("]")) {
        items.add(expression());
        if (!tokens.skipOperator(",")) {
          break;
        }
      }
      tokens.expectOperator("]");
      return new Expression.Sequence(items, false);
    }
    if (tokens.skipOperator("{")) {
      List<Expression> keys = new ArrayList<>();
      List<Expression> values = new ArrayList<>();
      while (!tokens.peek().isOperator("}")) {
        keys.add(expression());
        tokens.expectOperator(":");
        values.add(expression());
        if (!tokens.skipOperator(",")) {
          break;
        }
      }
      tokens.expectOperator("}");
      return new Expression.Dict(keys, values);
    }
    throw tokens.unexpected("an expression");
  }

  private Expression postfix(Expression start) {
    Expression operand = start;
    while (true) {
      if (tokens.skipOperator(".")) {
        if (tokens.peek().kind() == Kind.INTEGER) {
          operand = new Expression.Item(operand, primary());
        } else {
          operand = new Expression.Attribute(operand, tokens.expectName());
        }
      } else if (tokens.skipOperator("[")) {
        operand = subscript(operand);
      } else if (tokens.peek().isOperator("(")) {
        operand = new Expression.Call(operand, callArguments());
      } else {
        return operand;
      }
    }
  }

  private Expression subscript(Expression owner) {
    Expression start = tokens.peek().isOperator(":") ? null : expression();
    if (tokens.skipOperator("]")) {
      return new Expression.Item(owner, start);
    }
    tokens.expectOperator(":");
    Expression stop = sliceBound();
    Expression step = tokens.skipOperator(":") ? sliceBound() : null;
    tokens.expectOperator("]");
    return new Expression.Slice(owner, start, stop, step);
  }

  private Expression sliceBound() {
    return tokens.peek().isOperator(":") || tokens.peek().isOperator("]") ? null : expression();
  }

  Expression.CallArguments callArguments() {
    tokens.expectOperator("(");
    List<Expression> positional = new ArrayList<>();
    Map<String, Expression> keywords = new LinkedHashMap<>();
    Expression spread = null;
    Expression spreadKeywords = null;
    while (!tokens.peek().isOperator(")")) {
      if (tokens.skipOperator("*")) {
        spread = expression();
      } else if (tokens.skipOperator("**")) {
        spreadKeywords = expression();
      } else if (tokens.peek().kind() == Kind.NAME && tokens.peekSecond().isOperator("=")) {
        String name = tokens.next().text();
        tokens.next();
        if (keywords.put(name, expression()) != null) {
          throw tokens.error("the argument '%s' is given twice", name);
        }
      } else if (keywords.isEmpty()) {
        positional.add(expression());
      } else {
        throw tokens.error("an argument without a name stands behind one with a name");
      }
      if (!tokens.skipOperator(",")) {
        break;
      }
    }
    tokens.expectOperator(")");
    return new Expression.CallArguments(positional, keywords, spread, spreadKeywords);
  }

  private Expression filtersAndTests(Expression start) {
    Expression operand = start;
    while (true) {
      if (tokens.skipOperator("|")) {
        operand = filter(operand);
      } else if (tokens.skipName("is")) {
        operand = test(operand);
      } else if (tokens.peek().isOperator("(")) {
        operand = new Expression.Call(operand, callArguments());
      } else {
        return operand;
      }
    }
  }

  /** A chain {@code name(...) | name ...} whose first input is what a block rendered. */
  List<Expression.Filter> blockFilters() {
    List<Expression.Filter> filters = new ArrayList<>();
    do {
      filters.add(filter(null));
    } while (tokens.skipOperator("|"));
    return filters;
  }

  private Expression.Filter filter(Expression input) {
    String name = tokens.expectName();
    Filters.Function known = Filters.find(name);
    Filters.Function function = known != null ? known : (run, value, none) -> missing(run, name);
    return new Expression.Filter(function, input, optionalArguments());
  }

  /**
   * Fails only when reached: templates guard what newer renderers offer behind branches that never
   * run elsewhere.
   */
  private static boolean missing(Run run, String name) {
    throw run.error("there is no filter or test '%s'", name);
  }

  private Expression.CallArguments optionalArguments() {
    return tokens.peek().isOperator("(") ? callArguments() : Expression.CallArguments.NONE;
  }

  private Expression test(Expression input) {
    boolean negated = tokens.skipName("not");
    String name = tokens.expectName();
    Tests.Function known = Tests.find(name);
    Tests.Function function = known != null ? known : (run, value, none) -> missing(run, name);
    Expression.CallArguments arguments = optionalArguments();
    if (arguments == Expression.CallArguments.NONE && bareTestArgumentFollows()) {
      List<Expression> argument = List.of(postfix(primary()));
      arguments = new Expression.CallArguments(argument, Map.of(), null, null);
    }
    Expression test = new Expression.Test(function, input, arguments);
    return negated ? new Expression.Not(test) : test;
  }

  private boolean bareTestArgumentFollows() {
    Token token = tokens.peek();
    return switch (token.kind()) {
      case NAME -> !Set.of("else", "or", "and", "is", "if", "not", "in").contains(token.text());
      case STRING, INTEGER, FLOAT -> true;
      case OPERATOR -> token.text().equals("[") || token.text().equals("{");
      default -> false;
    };
  }
}
