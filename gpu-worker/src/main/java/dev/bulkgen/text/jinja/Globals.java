package dev.bulkgen.text.jinja;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The functions every template can call: Jinja's own and those chat templates expect. */
final class Globals {
  private static final Map<String, Callable> FUNCTIONS =
      Map.of(
          "range", Globals::range,
          "dict", Globals::dict,
          "namespace", Globals::namespace,
          "raise_exception", Globals::raiseException,
          "strftime_now", Globals::strftimeNow,
          "joiner", Globals::joiner,
          "cycler", Globals::cycler);

  private Globals() {}

  static Callable find(String name) {
    return FUNCTIONS.get(name);
  }

  private static Object range(Run run, Arguments arguments) {
    List<Object> given = arguments.positional();
    if (given.isEmpty() || given.size() > 3 || !given.stream().allMatch(Values::isInteger)) {
      throw run.error("range takes one to three whole numbers");
    }
    long start = given.size() == 1 ? 0 : Values.toLong(given.get(0));
    long stop = Values.toLong(given.get(given.size() == 1 ? 0 : 1));
    long step = given.size() == 3 ? Values.toLong(given.get(2)) : 1;
    if (step == 0) {
      throw run.error("the step of range is zero");
    }
    List<Object> items = new ArrayList<>();
    for (long i = start; step > 0 ? i < stop : i > stop; i += step) {
      run.charge(1);
      items.add(i);
    }
    return items;
  }

  private static Object dict(Run run, Arguments arguments) {
    Map<Object, Object> map = new LinkedHashMap<>();
    for (Object source : arguments.positional()) {
      if (source instanceof Map<?, ?> other) {
        run.chargeFor(other);
        map.putAll(other);
      } else {
        for (Object pair : Values.items(run, source)) {
          List<Object> keyAndValue = Values.items(run, pair);
          if (keyAndValue.size() != 2) {
            throw run.error("dict needs pairs");
          }
          map.put(Values.checkKey(run, keyAndValue.get(0)), keyAndValue.get(1));
        }
      }
    }
    map.putAll(arguments.keywords());
    return map;
  }

  private static Object namespace(Run run, Arguments arguments) {
    Namespace namespace = new Namespace();
    Map<?, ?> initial = (Map<?, ?>) dict(run, arguments);
    initial.forEach((name, value) -> namespace.attributes().put(String.valueOf(name), value));
    return namespace;
  }

  private static Object raiseException(Run run, Arguments arguments) {
    Object message = arguments.bind(run, "raise_exception", "message").required("message");
    throw new BulkgenException(ErrorCode.TEMPLATE_FAILED, Values.str(run, message));
  }

  private static Object strftimeNow(Run run, Arguments arguments) {
    String format = arguments.bind(run, "strftime_now", "format").requiredText("format");
    return TextFormat.strftime(run, run.now(), format);
  }

  private static Object joiner(Run run, Arguments arguments) {
    String separator = arguments.bind(run, "joiner", "sep").text("sep", ", ");
    boolean[] used = {false};
    return (Callable)
        (inner, none) -> {
          String text = used[0] ? separator : "";
          used[0] = true;
          return text;
        };
  }

  private static Object cycler(Run run, Arguments arguments) {
    List<Object> choices = arguments.positional();
    if (choices.isEmpty()) {
      throw run.error("cycler needs something to choose from");
    }
    int[] position = {0};
    Namespace cycler = new Namespace();
    cycler.attributes().put("current", choices.get(0));
    cycler
        .attributes()
        .put(
            "next",
            (Callable)
                (inner, none) -> {
                  Object value = choices.get(position[0]);
                  position[0] = (position[0] + 1) % choices.size();
                  cycler.attributes().put("current", choices.get(position[0]));
                  return value;
                });
    return cycler;
  }
}
