package dev.bulkgen.text.jinja;

import java.util.LinkedHashMap;
import java.util.Map;

/** The result of {@code namespace()}: the one object whose attributes a template may set. */
record Namespace(Map<String, Object> attributes) {
  Namespace() {
    this(new LinkedHashMap<>());
  }
}
