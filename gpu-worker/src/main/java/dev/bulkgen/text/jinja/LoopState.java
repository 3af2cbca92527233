package dev.bulkgen.text.jinja;

import java.util.List;

/** The {@code loop} variable; callable where the loop is recursive. */
final class LoopState implements Callable {
  private final List<Object> items;
  private final int depth;
  private final Callable again;
  private int index;
  private List<Object> lastSeen;

  LoopState(List<Object> items, int depth, Callable again) {
    this.items = items;
    this.depth = depth;
    this.again = again;
  }

  void moveTo(int newIndex) {
    index = newIndex;
  }

  Object attribute(Run run, String name) {
    return switch (name) {
      case "index" -> index + 1L;
      case "index0" -> (long) index;
      case "revindex" -> (long) items.size() - index;
      case "revindex0" -> (long) items.size() - index - 1;
      case "first" -> index == 0;
      case "last" -> index == items.size() - 1;
      case "length" -> (long) items.size();
      case "depth" -> depth + 1L;
      case "depth0" -> (long) depth;
      case "previtem" ->
          index > 0 ? items.get(index - 1) : new Undefined("the first round has no previous item");
      case "nextitem" ->
          index + 1 < items.size()
              ? items.get(index + 1)
              : new Undefined("the last round has no next item");
      case "cycle" -> (Callable) this::cycle;
      case "changed" -> (Callable) this::changed;
      default -> Undefined.attribute(this, name);
    };
  }

  private Object cycle(Run run, Arguments arguments) {
    List<Object> choices = arguments.positional();
    if (choices.isEmpty()) {
      throw run.error("loop.cycle needs something to choose from");
    }
    return choices.get(index % choices.size());
  }

  private Object changed(Run run, Arguments arguments) {
    boolean same = lastSeen != null && Operators.equal(run, lastSeen, arguments.positional());
    lastSeen = arguments.positional();
    return !same;
  }

  @Override
  public Object call(Run run, Arguments arguments) {
    if (again == null) {
      throw run.error("the loop is not marked 'recursive'");
    }
    return again.call(run, arguments);
  }
}
