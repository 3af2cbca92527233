package dev.bulkgen.text.jinja;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A macro with the scope it was defined in. */
record Macro(Definition definition, Scope home) implements Callable {

  /** The last {@code defaults.size()} parameters have defaults. */
  record Definition(
      String name, List<String> parameters, List<Expression> defaults, List<Statement> body) {}

  String name() {
    return definition.name();
  }

  @Override
  public Object call(Run run, Arguments arguments) {
    run.enter();
    Scope scope = home.inner();
    bind(run, arguments, scope);
    String text = Statement.render(definition.body(), scope);
    run.leave();
    return text;
  }

  private void bind(Run run, Arguments arguments, Scope scope) {
    List<String> parameters = definition.parameters();
    Map<String, Object> keywords = new LinkedHashMap<>(arguments.keywords());
    List<Object> positional = arguments.positional();
    int firstDefault = parameters.size() - definition.defaults().size();
    for (int i = 0; i < parameters.size(); i++) {
      String parameter = parameters.get(i);
      if (i < positional.size()) {
        if (keywords.containsKey(parameter)) {
          throw run.error("macro '%s' gets the argument '%s' twice", name(), parameter);
        }
        scope.assign(parameter, positional.get(i));
      } else if (keywords.containsKey(parameter)) {
        scope.assign(parameter, keywords.remove(parameter));
      } else if (i >= firstDefault) {
        scope.assign(parameter, definition.defaults().get(i - firstDefault).evaluate(scope));
      } else {
        scope.assign(parameter, new Undefined("parameter '" + parameter + "' was not provided"));
      }
    }
    if (!parameters.contains("caller")) {
      Object caller = keywords.remove("caller");
      scope.assign("caller", caller != null ? caller : Undefined.variable("caller"));
    }
    List<Object> rest =
        positional.subList(Math.min(parameters.size(), positional.size()), positional.size());
    scope.assign("varargs", new Tuple(List.copyOf(rest)));
    scope.assign("kwargs", keywords);
  }

  @Override
  public boolean equals(Object other) {
    return this == other;
  }

  @Override
  public int hashCode() {
    return System.identityHashCode(this);
  }

  @Override
  public String toString() {
    return "macro " + name();
  }
}
