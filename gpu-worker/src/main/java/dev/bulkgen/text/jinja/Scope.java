package dev.bulkgen.text.jinja;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The variables of a template, loop round, macro call or block; an inner scope sees the outer ones
 * and assigns only to itself.
 */
final class Scope {
  private final Run run;
  private final Scope parent;
  private final Map<String, Object> variables = new HashMap<>();

  Scope(Run run, Scope parent) {
    this.run = run;
    this.parent = parent;
  }

  Scope inner() {
    return new Scope(run, this);
  }

  Run run() {
    return run;
  }

  Object lookup(String name) {
    for (Scope scope = this; scope != null; scope = scope.parent) {
      Object value = scope.variables.get(name);
      if (value != null || scope.variables.containsKey(name)) {
        return value;
      }
    }
    Callable global = Globals.find(name);
    return global != null ? global : Undefined.variable(name);
  }

  void assign(String name, Object value) {
    variables.put(name, value);
  }

  void assign(Target target, Object value) {
    if (target instanceof Target.Variable variable) {
      assign(variable.name(), value);
    } else if (target instanceof Target.Attribute attribute) {
      if (!(lookup(attribute.namespace()) instanceof Namespace namespace)) {
        throw run.error(
            "'%s' is no namespace, so its attribute '%s' cannot be set",
            attribute.namespace(), attribute.name());
      }
      namespace.attributes().put(attribute.name(), value);
    } else {
      List<Target> parts = ((Target.Several) target).parts();
      Operators.checkDefined(run, value);
      List<Object> items = Values.items(run, value);
      if (items.size() != parts.size()) {
        throw run.error("%d values cannot go into %d variables", items.size(), parts.size());
      }
      for (int i = 0; i < items.size(); i++) {
        assign(parts.get(i), items.get(i));
      }
    }
  }
}
