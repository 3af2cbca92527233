package dev.bulkgen.text.jinja;

/** Something a template can call: a global function, a method bound to its value, a macro. */
@FunctionalInterface
interface Callable {
  Object call(Run run, Arguments arguments);
}
