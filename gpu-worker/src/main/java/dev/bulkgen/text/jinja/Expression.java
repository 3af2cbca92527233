package dev.bulkgen.text.jinja;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A parsed expression. Grammar and meaning: Jinja 3.1, "Template Designer Documentation". */
sealed interface Expression {
  Object evaluate(Scope scope);

  record Constant(Object value) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      return value;
    }
  }

  record Name(String name) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      scope.run().charge(1);
      return scope.lookup(name);
    }
  }

  record Sequence(List<Expression> items, boolean tuple) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      List<Object> values = new ArrayList<>(items.size());
      for (Expression item : items) {
        values.add(item.evaluate(scope));
      }
      scope.run().chargeFor(values);
      return tuple ? new Tuple(values) : values;
    }
  }

  record Dict(List<Expression> keys, List<Expression> values) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      Map<Object, Object> map = new LinkedHashMap<>();
      for (int i = 0; i < keys.size(); i++) {
        Object key = Values.checkKey(scope.run(), keys.get(i).evaluate(scope));
        map.put(key, values.get(i).evaluate(scope));
      }
      scope.run().chargeFor(map);
      return map;
    }
  }

  record Conditional(Expression test, Expression then, Expression otherwise) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      scope.run().charge(1);
      if (Values.isTrue(test.evaluate(scope))) {
        return then.evaluate(scope);
      }
      return otherwise != null
          ? otherwise.evaluate(scope)
          : new Undefined("the inline 'if' has no 'else' and its test is false");
    }
  }

  record Or(Expression left, Expression right) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      Object first = left.evaluate(scope);
      return Values.isTrue(first) ? first : right.evaluate(scope);
    }
  }

  record And(Expression left, Expression right) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      Object first = left.evaluate(scope);
      return Values.isTrue(first) ? right.evaluate(scope) : first;
    }
  }

  record Not(Expression operand) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      return !Values.isTrue(operand.evaluate(scope));
    }
  }

  record Sign(boolean negative, Expression operand) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      Object value = operand.evaluate(scope);
      return negative
          ? Operators.negate(scope.run(), value)
          : Operators.binary(scope.run(), "+", 0L, value);
    }
  }

  record Binary(String operator, Expression left, Expression right) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      scope.run().charge(1);
      Object result =
          Operators.binary(scope.run(), operator, left.evaluate(scope), right.evaluate(scope));
      scope.run().chargeFor(result);
      return result;
    }
  }

  record Concatenation(List<Expression> parts) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      StringBuilder out = new StringBuilder();
      for (Expression part : parts) {
        out.append(Values.str(scope.run(), part.evaluate(scope)));
        scope.run().checkLength(out.length());
      }
      String text = out.toString();
      scope.run().chargeFor(text);
      return text;
    }
  }

  /** {@code a < b <= c}: true where every neighbouring pair compares so. */
  record Comparison(Expression first, List<String> operators, List<Expression> others)
      implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      Object left = first.evaluate(scope);
      for (int i = 0; i < operators.size(); i++) {
        Object right = others.get(i).evaluate(scope);
        if (!Operators.compare(scope.run(), operators.get(i), left, right)) {
          return false;
        }
        left = right;
      }
      return true;
    }
  }

  record Attribute(Expression owner, String name) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      scope.run().charge(1);
      return Slices.attribute(scope.run(), owner.evaluate(scope), name);
    }
  }

  record Item(Expression owner, Expression key) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      scope.run().charge(1);
      return Slices.item(scope.run(), owner.evaluate(scope), key.evaluate(scope));
    }
  }

  /** The bounds are null where they are open. */
  record Slice(Expression owner, Expression start, Expression stop, Expression step)
      implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      Object value = owner.evaluate(scope);
      return Slices.slice(
          scope.run(), value, bound(start, scope), bound(stop, scope), bound(step, scope));
    }

    private static Object bound(Expression bound, Scope scope) {
      return bound == null ? null : bound.evaluate(scope);
    }
  }

  /** Arguments as written; the last two are what {@code *} and {@code **} spread, or null. */
  record CallArguments(
      List<Expression> positional,
      Map<String, Expression> keywords,
      Expression spread,
      Expression spreadKeywords) {
    static final CallArguments NONE = new CallArguments(List.of(), Map.of(), null, null);

    Arguments evaluate(Scope scope) {
      List<Object> values = new ArrayList<>();
      for (Expression argument : positional) {
        values.add(argument.evaluate(scope));
      }
      if (spread != null) {
        values.addAll(Values.items(scope.run(), spread.evaluate(scope)));
      }
      Map<String, Object> named = new LinkedHashMap<>();
      keywords.forEach((name, argument) -> named.put(name, argument.evaluate(scope)));
      if (spreadKeywords != null) {
        if (!(spreadKeywords.evaluate(scope) instanceof Map<?, ?> map)) {
          throw scope.run().error("'**' needs a dict");
        }
        map.forEach((name, value) -> named.put(String.valueOf(name), value));
      }
      return new Arguments(values, named);
    }
  }

  record Call(Expression callee, CallArguments arguments) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      return call(scope, arguments.evaluate(scope));
    }

    Object call(Scope scope, Arguments evaluated) {
      Run run = scope.run();
      run.charge(1);
      Object function = callee.evaluate(scope);
      Operators.checkDefined(run, function);
      if (!(function instanceof Callable callable)) {
        throw run.error("'%s' cannot be called", Values.typeName(function));
      }
      Object result = callable.call(run, evaluated);
      run.chargeFor(result);
      return result;
    }
  }

  record Filter(Filters.Function function, Expression input, CallArguments arguments)
      implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      return apply(scope, input.evaluate(scope));
    }

    Object apply(Scope scope, Object value) {
      Run run = scope.run();
      run.charge(1);
      run.chargeFor(value);
      Object result = function.apply(run, value, arguments.evaluate(scope));
      run.chargeFor(result);
      return result;
    }
  }

  record Test(Tests.Function function, Expression input, CallArguments arguments)
      implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      scope.run().charge(1);
      return function.test(scope.run(), input.evaluate(scope), arguments.evaluate(scope));
    }
  }
}
