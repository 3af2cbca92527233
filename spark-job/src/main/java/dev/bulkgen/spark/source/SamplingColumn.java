package dev.bulkgen.spark.source;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import java.io.StringWriter;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.json.JSONOptions;
import org.apache.spark.sql.catalyst.json.JacksonGenerator;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.StructType;
import scala.collection.immutable.Map$;

/** A column with sampling settings of each row: a struct, a map, or JSON text. */
record SamplingColumn(int index, String name, DataType type) {
  private static final ObjectMapper JSON = new ObjectMapper();

  /**
   * @throws BulkgenException COLUMN_NOT_FOUND, INPUT_INVALID for another type
   */
  static SamplingColumn of(Columns columns, String name) {
    int index = columns.require(name, "sampling-params-column");
    DataType type = columns.type(index);
    boolean map = type instanceof MapType found && found.keyType().equals(DataTypes.StringType);
    if (!map && !(type instanceof StructType) && !type.equals(DataTypes.StringType)) {
      throw BulkgenException.of(
          ErrorCode.INPUT_INVALID,
          "sampling-params column '%s' is %s: it has to be a struct, a map by name, or JSON text",
          name,
          type.simpleString());
    }
    return new SamplingColumn(index, columns.name(index), type);
  }

  /**
   * @throws BulkgenException REQUEST_INVALID naming the setting
   */
  SamplingParamsBuilder read(InternalRow row) {
    if (row.isNullAt(index)) {
      return new SamplingParamsBuilder();
    }
    JsonNode object = parse(json(row));
    if (!object.isObject()) {
      throw invalid("column '" + name + "' is no JSON object", null);
    }
    Map<String, JsonNode> settings = new LinkedHashMap<>();
    object
        .properties()
        .forEach(entry -> settings.put(entry.getKey(), value(entry.getKey(), entry.getValue())));
    return RowSampling.read(settings);
  }

  private String json(InternalRow row) {
    if (type.equals(DataTypes.StringType)) {
      return row.getUTF8String(index).toString();
    }
    StringWriter text = new StringWriter();
    JacksonGenerator generator =
        new JacksonGenerator(type, text, new JSONOptions(Map$.MODULE$.empty(), "UTC", ""));
    if (type instanceof StructType struct) {
      generator.write(row.getStruct(index, struct.size()));
    } else {
      generator.write(row.getMap(index));
    }
    generator.flush();
    return text.toString();
  }

  /** The values of a map of texts are numbers and lists too, as JSON spells them. */
  private JsonNode value(String setting, JsonNode value) {
    boolean texts = type instanceof MapType map && map.valueType().equals(DataTypes.StringType);
    if (!texts || !value.isTextual() || setting.equals("stop")) {
      return value;
    }
    return parse(value.asText());
  }

  private JsonNode parse(String json) {
    try {
      return JSON.readTree(json);
    } catch (JsonProcessingException e) {
      throw invalid("column '" + name + "' is not JSON: " + e.getOriginalMessage(), e);
    }
  }

  private static BulkgenException invalid(String message, Throwable cause) {
    return new BulkgenException(ErrorCode.REQUEST_INVALID, message, cause);
  }
}
