package dev.bulkgen.text.jinja;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A parsed part of a template's body. */
sealed interface Statement {
  /** What a loop does after a statement. */
  enum Flow {
    NEXT,
    BREAK,
    CONTINUE
  }

  Flow execute(Scope scope, StringBuilder out);

  static Flow executeAll(List<Statement> body, Scope scope, StringBuilder out) {
    for (Statement statement : body) {
      Flow flow = statement.execute(scope, out);
      if (flow != Flow.NEXT) {
        return flow;
      }
    }
    return Flow.NEXT;
  }

  static String render(List<Statement> body, Scope scope) {
    StringBuilder out = new StringBuilder();
    executeAll(body, scope, out);
    scope.run().charge(out.length() >> 4);
    return out.toString();
  }

  private static void append(Scope scope, StringBuilder out, String text) {
    scope.run().checkLength((long) out.length() + text.length());
    scope.run().charge(text.length() >> 4);
    out.append(text);
  }

  record Text(String text) implements Statement {
    @Override
    public Flow execute(Scope scope, StringBuilder out) {
      scope.run().charge(1);
      append(scope, out, text);
      return Flow.NEXT;
    }
  }

  record Output(Expression expression, int line) implements Statement {
    @Override
    public Flow execute(Scope scope, StringBuilder out) {
      scope.run().at(line);
      append(scope, out, Values.str(scope.run(), expression.evaluate(scope)));
      return Flow.NEXT;
    }
  }

  /** {@code tests.get(i)} guards {@code bodies.get(i)}; one more body is the {@code else}. */
  record If(List<Expression> tests, List<List<Statement>> bodies, int line) implements Statement {
    @Override
    public Flow execute(Scope scope, StringBuilder out) {
      scope.run().at(line);
      for (int i = 0; i < tests.size(); i++) {
        if (Values.isTrue(tests.get(i).evaluate(scope))) {
          return executeAll(bodies.get(i), scope, out);
        }
      }
      return bodies.size() > tests.size()
          ? executeAll(bodies.get(tests.size()), scope, out)
          : Flow.NEXT;
    }
  }

  /** {@code condition} is null where every item counts. */
  record For(
      Target target,
      Expression items,
      Expression condition,
      boolean recursive,
      List<Statement> body,
      List<Statement> otherwise,
      int line)
      implements Statement {
    @Override
    public Flow execute(Scope scope, StringBuilder out) {
      scope.run().at(line);
      iterate(items.evaluate(scope), scope, out, 0);
      return Flow.NEXT;
    }

    private void iterate(Object value, Scope scope, StringBuilder out, int depth) {
      List<Object> kept = select(Values.items(scope.run(), value), scope);
      Callable again =
          (run, arguments) -> {
            Object inner = arguments.bind(run, "loop", "items").required("items");
            StringBuilder nested = new StringBuilder();
            run.enter();
            iterate(inner, scope, nested, depth + 1);
            run.leave();
            return nested.toString();
          };
      LoopState loop = new LoopState(kept, depth, recursive ? again : null);
      for (int i = 0; i < kept.size(); i++) {
        scope.run().at(line);
        loop.moveTo(i);
        Scope round = scope.inner();
        round.assign("loop", loop);
        round.assign(target, kept.get(i));
        if (executeAll(body, round, out) == Flow.BREAK) {
          return;
        }
      }
      if (kept.isEmpty()) {
        executeAll(otherwise, scope.inner(), out);
      }
    }

    private List<Object> select(List<Object> all, Scope scope) {
      if (condition == null) {
        return all;
      }
      List<Object> kept = new ArrayList<>();
      for (Object item : all) {
        Scope trial = scope.inner();
        trial.assign(target, item);
        if (Values.isTrue(condition.evaluate(trial))) {
          kept.add(item);
        }
      }
      return kept;
    }
  }

  record Assign(Target target, Expression value, int line) implements Statement {
    @Override
    public Flow execute(Scope scope, StringBuilder out) {
      scope.run().at(line);
      scope.assign(target, value.evaluate(scope));
      return Flow.NEXT;
    }
  }

  /** {@code filters} run one after another over the rendered body. */
  record AssignBlock(Target target, List<Expression.Filter> filters, List<Statement> body, int line)
      implements Statement {
    @Override
    public Flow execute(Scope scope, StringBuilder out) {
      scope.run().at(line);
      scope.assign(target, filtered(filters, body, scope));
      return Flow.NEXT;
    }
  }

  record FilterBlock(List<Expression.Filter> filters, List<Statement> body, int line)
      implements Statement {
    @Override
    public Flow execute(Scope scope, StringBuilder out) {
      scope.run().at(line);
      append(scope, out, Values.str(scope.run(), filtered(filters, body, scope)));
      return Flow.NEXT;
    }
  }

  private static Object filtered(
      List<Expression.Filter> filters, List<Statement> body, Scope scope) {
    Object value = render(body, scope.inner());
    for (Expression.Filter filter : filters) {
      value = filter.apply(scope, value);
    }
    return value;
  }

  record With(List<Target> targets, List<Expression> values, List<Statement> body, int line)
      implements Statement {
    @Override
    public Flow execute(Scope scope, StringBuilder out) {
      scope.run().at(line);
      Scope inner = scope.inner();
      for (int i = 0; i < targets.size(); i++) {
        inner.assign(targets.get(i), values.get(i).evaluate(scope));
      }
      return executeAll(body, inner, out);
    }
  }

  /** A body in a scope of its own that changes nothing else: {@code generation}. */
  record Scoped(List<Statement> body) implements Statement {
    @Override
    public Flow execute(Scope scope, StringBuilder out) {
      return executeAll(body, scope.inner(), out);
    }
  }

  record DefineMacro(Macro.Definition definition, int line) implements Statement {
    @Override
    public Flow execute(Scope scope, StringBuilder out) {
      scope.run().at(line);
      scope.assign(definition.name(), new Macro(definition, scope));
      return Flow.NEXT;
    }
  }

  record CallBlock(Expression.Call call, Macro.Definition caller, int line) implements Statement {
    @Override
    public Flow execute(Scope scope, StringBuilder out) {
      scope.run().at(line);
      Arguments arguments = call.arguments().evaluate(scope);
      Map<String, Object> keywords = new LinkedHashMap<>(arguments.keywords());
      keywords.put("caller", new Macro(caller, scope));
      Object result = call.call(scope, new Arguments(arguments.positional(), keywords));
      append(scope, out, Values.str(scope.run(), result));
      return Flow.NEXT;
    }
  }

  record Jump(Flow flow) implements Statement {
    @Override
    public Flow execute(Scope scope, StringBuilder out) {
      return flow;
    }
  }
}
