package dev.bulkgen.text.jinja;

/**
 * What a missing name, attribute or item gives: empty when printed, false when tested, an error
 * when used further.
 *
 * @param problem what is missing, for the message
 */
record Undefined(String problem) {
  static Undefined variable(String name) {
    return new Undefined("'" + name + "' is undefined");
  }

  static Undefined attribute(Object owner, Object name) {
    return new Undefined("'" + Values.typeName(owner) + "' has no attribute '" + name + "'");
  }
}
