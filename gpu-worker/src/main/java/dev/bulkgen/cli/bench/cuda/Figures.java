package dev.bulkgen.cli.bench.cuda;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** Shows figures as they come: a row of a table each, and a line of JSON in a file. */
final class Figures {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final PrintWriter out;
  private final Path file;

  /**
   * @param file that lines of JSON are appended to; null for none
   */
  Figures(PrintWriter out, Path file) {
    this.out = out;
    this.file = file;
  }

  void add(Figure figure) {
    String roof =
        Double.isNaN(figure.roof())
            ? ""
            : String.format(
                Locale.ROOT, "%6.1f %% of %s", 100 * figure.ofRoof(), figure.roofName());
    String settings =
        figure.settings().entrySet().stream()
            .map(entry -> entry.getKey() + " " + entry.getValue())
            .collect(Collectors.joining(", "));
    print(
        "%-24s %-84s %12.4g %-9s%s", figure.name(), settings, figure.value(), figure.unit(), roof);
    append(figure);
  }

  /** A line for people alone. */
  void print(String format, Object... values) {
    out.println(String.format(Locale.ROOT, format, values).stripTrailing());
    out.flush();
  }

  private void append(Figure figure) {
    if (file == null) {
      return;
    }
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("name", figure.name());
    line.putAll(figure.settings());
    line.put("value", figure.value());
    line.put("unit", figure.unit());
    if (!Double.isNaN(figure.roof())) {
      line.put("roof", figure.roof());
      line.put("roof_name", figure.roofName());
      line.put("of_roof", figure.ofRoof());
    }
    try {
      Files.writeString(
          file,
          JSON.writeValueAsString(line) + "\n",
          StandardOpenOption.CREATE,
          StandardOpenOption.APPEND);
    } catch (JsonProcessingException e) {
      throw new BulkgenException(ErrorCode.INTERNAL, "a figure is no JSON: " + line, e);
    } catch (IOException e) {
      throw new BulkgenException(
          ErrorCode.OUTPUT_NOT_WRITABLE, file + ": cannot be written (" + e + ")", e);
    }
  }
}
