package dev.bulkgen.text.jinja;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The filters over lists and dicts. What Jinja yields lazily is a list here. */
final class CollectionFilters {
  private CollectionFilters() {}

  static void addTo(Map<String, Filters.Function> filters) {
    filters.put("list", (run, value, arguments) -> Values.items(run, value));
    filters.put("items", (run, value, arguments) -> items(run, value));
    filters.put("first", (run, value, arguments) -> edge(run, value, true));
    filters.put("last", (run, value, arguments) -> edge(run, value, false));
    filters.put("reverse", (run, value, arguments) -> reverse(run, value));
    filters.put("sort", CollectionFilters::sort);
    filters.put("dictsort", CollectionFilters::dictSort);
    filters.put("unique", CollectionFilters::unique);
    filters.put("map", CollectionFilters::map);
    filters.put("select", (run, value, a) -> select(run, value, a, true, false));
    filters.put("reject", (run, value, a) -> select(run, value, a, false, false));
    filters.put("selectattr", (run, value, a) -> select(run, value, a, true, true));
    filters.put("rejectattr", (run, value, a) -> select(run, value, a, false, true));
    filters.put("sum", CollectionFilters::sum);
    filters.put("min", (run, value, arguments) -> extreme(run, value, arguments, -1));
    filters.put("max", (run, value, arguments) -> extreme(run, value, arguments, 1));
    filters.put("batch", CollectionFilters::batch);
    filters.put("groupby", CollectionFilters::groupBy);
    filters.put(
        "attr",
        (run, value, arguments) ->
            Slices.attribute(run, value, arguments.bind(run, "attr", "name").requiredText("name")));
  }

  /** Follows a path such as {@code details.priority}, with numbers for list items. */
  static Object attribute(Run run, Object item, Object path) {
    if (!(path instanceof String text)) {
      return Slices.item(run, item, path);
    }
    Object value = item;
    for (String part : text.split("\\.")) {
      boolean index = !part.isEmpty() && part.chars().allMatch(c -> c >= '0' && c <= '9');
      Object key = index && part.length() < 10 ? (Object) Long.parseLong(part) : part;
      value = Slices.item(run, value, key);
    }
    return value;
  }

  private static Object items(Run run, Object value) {
    if (value instanceof Undefined) {
      return new ArrayList<>();
    }
    if (value instanceof Map<?, ?> map) {
      return Methods.entries(map);
    }
    throw run.error("'%s' has no items", Values.typeName(value));
  }

  private static Object edge(Run run, Object value, boolean first) {
    List<Object> items = Values.items(run, value);
    if (items.isEmpty()) {
      return new Undefined("the sequence is empty");
    }
    return items.get(first ? 0 : items.size() - 1);
  }

  private static Object reverse(Run run, Object value) {
    if (value instanceof String text) {
      return new StringBuilder(text).reverse().toString();
    }
    List<Object> items = Values.items(run, value);
    Collections.reverse(items);
    return items;
  }

  private static Object folded(Object value, boolean caseSensitive) {
    return !caseSensitive && value instanceof String text ? text.toLowerCase(Locale.ROOT) : value;
  }

  private static Comparator<Object> order(Run run, Object path, boolean caseSensitive) {
    return (left, right) ->
        Operators.order(
            run, key(run, left, path, caseSensitive), key(run, right, path, caseSensitive));
  }

  private static Object key(Run run, Object item, Object path, boolean caseSensitive) {
    return folded(path == null ? item : attribute(run, item, path), caseSensitive);
  }

  private static Object sort(Run run, Object value, Arguments arguments) {
    Arguments.Bound bound = arguments.bind(run, "sort", "reverse", "case_sensitive", "attribute");
    List<Object> items = Values.items(run, value);
    Comparator<Object> order =
        order(run, bound.optional("attribute", null), bound.flag("case_sensitive"));
    items.sort(bound.flag("reverse") ? order.reversed() : order);
    return items;
  }

  private static Object dictSort(Run run, Object value, Arguments arguments) {
    Arguments.Bound bound = arguments.bind(run, "dictsort", "case_sensitive", "by", "reverse");
    if (!(value instanceof Map<?, ?> map)) {
      throw run.error("dictsort needs a dict, not '%s'", Values.typeName(value));
    }
    String by = bound.text("by", "key");
    if (!by.equals("key") && !by.equals("value")) {
      throw run.error("dictsort sorts by 'key' or by 'value'");
    }
    List<Object> entries = Methods.entries(map);
    Comparator<Object> order = order(run, by.equals("key") ? 0L : 1L, bound.flag("case_sensitive"));
    entries.sort(bound.flag("reverse") ? order.reversed() : order);
    return entries;
  }

  private static Object unique(Run run, Object value, Arguments arguments) {
    Arguments.Bound bound = arguments.bind(run, "unique", "case_sensitive", "attribute");
    List<Object> seen = new ArrayList<>();
    List<Object> kept = new ArrayList<>();
    for (Object item : Values.items(run, value)) {
      Object key = key(run, item, bound.optional("attribute", null), bound.flag("case_sensitive"));
      if (!Operators.contains(run, seen, key)) {
        seen.add(key);
        kept.add(item);
      }
    }
    return kept;
  }

  private static Object map(Run run, Object value, Arguments arguments) {
    List<Object> out = new ArrayList<>();
    if (arguments.positional().isEmpty()) {
      Arguments.Bound bound = arguments.bind(run, "map", "attribute", "default");
      Object path = bound.required("attribute");
      for (Object item : Values.items(run, value)) {
        Object found = attribute(run, item, path);
        boolean absent = found instanceof Undefined && bound.has("default");
        out.add(absent ? bound.required("default") : found);
      }
      return out;
    }
    String name = Values.str(run, arguments.positional().get(0));
    Filters.Function filter = Filters.find(name);
    if (filter == null) {
      throw run.error("there is no filter '%s'", name);
    }
    for (Object item : Values.items(run, value)) {
      run.charge(1);
      run.chargeFor(item);
      out.add(filter.apply(run, item, arguments.skip(1)));
    }
    return out;
  }

  private static Object select(
      Run run, Object value, Arguments arguments, boolean wanted, boolean byAttribute) {
    Object path = null;
    Arguments rest = arguments;
    if (byAttribute) {
      if (arguments.positional().isEmpty()) {
        throw run.error("selectattr and rejectattr need the name of an attribute");
      }
      path = arguments.positional().get(0);
      rest = arguments.skip(1);
    }
    Tests.Function test = (inner, item, none) -> Values.isTrue(item);
    if (!rest.positional().isEmpty()) {
      String name = Values.str(run, rest.positional().get(0));
      test = Tests.find(name);
      if (test == null) {
        throw run.error("there is no test '%s'", name);
      }
      rest = rest.skip(1);
    }
    List<Object> out = new ArrayList<>();
    for (Object item : Values.items(run, value)) {
      run.charge(1);
      Object subject = byAttribute ? attribute(run, item, path) : item;
      if (test.test(run, subject, rest) == wanted) {
        out.add(item);
      }
    }
    return out;
  }

  private static Object sum(Run run, Object value, Arguments arguments) {
    Arguments.Bound bound = arguments.bind(run, "sum", "attribute", "start");
    Object total = bound.optional("start", 0L);
    for (Object item : Values.items(run, value)) {
      total =
          Operators.binary(
              run, "+", total, key(run, item, bound.optional("attribute", null), true));
      run.chargeFor(total);
    }
    return total;
  }

  private static Object extreme(Run run, Object value, Arguments arguments, int sign) {
    Arguments.Bound bound = arguments.bind(run, "min or max", "case_sensitive", "attribute");
    Comparator<Object> order =
        order(run, bound.optional("attribute", null), bound.flag("case_sensitive"));
    Object best = new Undefined("the sequence is empty");
    for (Object item : Values.items(run, value)) {
      if (best instanceof Undefined || sign * order.compare(item, best) > 0) {
        best = item;
      }
    }
    return best;
  }

  private static Object batch(Run run, Object value, Arguments arguments) {
    Arguments.Bound bound = arguments.bind(run, "batch", "linecount", "fill_with");
    int size = (int) Math.max(1, Math.min(1 << 20, bound.number("linecount", 1)));
    List<Object> batches = new ArrayList<>();
    List<Object> items = Values.items(run, value);
    for (int from = 0; from < items.size(); from += size) {
      List<Object> batch =
          new ArrayList<>(items.subList(from, Math.min(items.size(), from + size)));
      while (bound.optional("fill_with", null) != null && batch.size() < size) {
        run.charge(1);
        batch.add(bound.required("fill_with"));
      }
      batches.add(batch);
    }
    return batches;
  }

  private static Object groupBy(Run run, Object value, Arguments arguments) {
    Arguments.Bound bound =
        arguments.bind(run, "groupby", "attribute", "default", "case_sensitive");
    Object path = bound.required("attribute");
    Map<Object, List<Object>> groups = new LinkedHashMap<>();
    List<Object> items = Values.items(run, value);
    items.sort(order(run, path, bound.flag("case_sensitive")));
    for (Object item : items) {
      Object key = Values.checkKey(run, attribute(run, item, path));
      groups.computeIfAbsent(key, none -> new ArrayList<>()).add(item);
    }
    List<Object> out = new ArrayList<>();
    groups.forEach((key, members) -> out.add(Tuple.of(key, members)));
    return out;
  }
}
