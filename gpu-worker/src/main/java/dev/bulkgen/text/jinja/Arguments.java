package dev.bulkgen.text.jinja;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The evaluated arguments of a call, filter or test. */
record Arguments(List<Object> positional, Map<String, Object> keywords) {
  static final Arguments NONE = new Arguments(List.of(), Map.of());

  static Arguments of(Object... positional) {
    return new Arguments(Arrays.asList(positional), Map.of());
  }

  /** Puts the arguments into the named places of a signature; what is not given is absent. */
  Bound bind(Run run, String function, String... names) {
    if (positional.size() > names.length) {
      throw run.error(
          "%s takes at most %d arguments, not %d", function, names.length, positional.size());
    }
    Map<String, Object> values = new LinkedHashMap<>();
    for (int i = 0; i < positional.size(); i++) {
      values.put(names[i], positional.get(i));
    }
    keywords.forEach(
        (name, value) -> {
          if (!Arrays.asList(names).contains(name) || values.containsKey(name)) {
            throw run.error("%s does not take the argument '%s' here", function, name);
          }
          values.put(name, value);
        });
    return new Bound(run, function, values);
  }

  /** The arguments without the first {@code count} positional ones. */
  Arguments skip(int count) {
    return new Arguments(new ArrayList<>(positional.subList(count, positional.size())), keywords);
  }

  /** Arguments by name. */
  record Bound(Run run, String function, Map<String, Object> values) {
    boolean has(String name) {
      return values.containsKey(name);
    }

    Object required(String name) {
      if (!values.containsKey(name)) {
        throw run.error("%s needs the argument '%s'", function, name);
      }
      return values.get(name);
    }

    Object optional(String name, Object otherwise) {
      return values.containsKey(name) ? values.get(name) : otherwise;
    }

    String text(String name, String otherwise) {
      Object value = values.get(name);
      if (value == null) {
        return otherwise;
      }
      if (value instanceof String text) {
        return text;
      }
      throw run.error("%s needs a string as '%s', not %s", function, name, Values.typeName(value));
    }

    String requiredText(String name) {
      required(name);
      return text(name, null);
    }

    long number(String name, long otherwise) {
      Object value = values.get(name);
      if (value == null) {
        return otherwise;
      }
      if (value instanceof Long || value instanceof Boolean) {
        return Values.toLong(value);
      }
      throw run.error(
          "%s needs a whole number as '%s', not %s", function, name, Values.typeName(value));
    }

    boolean flag(String name) {
      return values.containsKey(name) && Values.isTrue(values.get(name));
    }
  }
}
