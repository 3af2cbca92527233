package dev.bulkgen.spark.deploy;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Compares a document with a schema in the form that custom resources have: type, properties,
 * required, enum, minimum, items, additionalProperties. What a schema does not name is a mistake.
 */
final class SchemaCheck {
  private final List<String> mistakes = new ArrayList<>();

  private SchemaCheck() {}

  static List<String> mistakes(Object document, Map<String, Object> schema) {
    SchemaCheck check = new SchemaCheck();
    check.check("", document, schema);
    return check.mistakes;
  }

  @SuppressWarnings("unchecked") // YAML's maps have texts for keys
  private void check(String place, Object value, Map<String, Object> schema) {
    if (schema.isEmpty()) {
      return;
    }
    boolean fits =
        switch ((String) schema.get("type")) {
          case "object" -> value instanceof Map;
          case "array" -> value instanceof List;
          case "string" -> value instanceof String;
          case "integer" -> value instanceof Integer;
          case "boolean" -> value instanceof Boolean;
          default -> throw new IllegalArgumentException("unknown type in the schema at " + place);
        };
    if (!fits) {
      mistakes.add(place + ": '" + value + "' is no " + schema.get("type"));
      return;
    }
    if (schema.get("enum") instanceof List<?> allowed && !allowed.contains(value)) {
      mistakes.add(place + ": '" + value + "' is none of " + allowed);
    }
    if (schema.get("minimum") instanceof Integer least && (Integer) value < least) {
      mistakes.add(place + ": " + value + " is below " + least);
    }
    if (value instanceof List<?> elements) {
      for (int index = 0; index < elements.size(); index++) {
        check(place + "/" + index, elements.get(index), (Map<String, Object>) schema.get("items"));
      }
    }
    if (value instanceof Map<?, ?> fields) {
      checkFields(place, (Map<String, Object>) fields, schema);
    }
  }

  @SuppressWarnings("unchecked") // YAML's maps have texts for keys
  private void checkFields(String place, Map<String, Object> fields, Map<String, Object> schema) {
    Map<String, Object> known = (Map<String, Object>) schema.getOrDefault("properties", Map.of());
    Map<String, Object> others = (Map<String, Object>) schema.get("additionalProperties");
    fields.forEach(
        (name, field) -> {
          Map<String, Object> one = (Map<String, Object>) known.getOrDefault(name, others);
          if (one == null) {
            mistakes.add(place + "/" + name + ": there is no such field");
          } else {
            check(place + "/" + name, field, one);
          }
        });
    for (Object name : (List<Object>) schema.getOrDefault("required", List.of())) {
      if (!fields.containsKey(name)) {
        mistakes.add(place + "/" + name + ": is missing");
      }
    }
  }
}
