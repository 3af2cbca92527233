package dev.bulkgen.spark.sql;

import dev.bulkgen.config.EngineSettings;
import dev.bulkgen.config.Setting;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.api.Bulkgen;
import dev.bulkgen.spark.api.FinishedJob;
import dev.bulkgen.spark.config.DataSettings;
import dev.bulkgen.spark.config.JobSetting;
import dev.bulkgen.spark.config.SessionSettings;
import dev.bulkgen.spark.config.SettingCatalogue;
import dev.bulkgen.spark.config.TaskType;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.connector.catalog.procedures.BoundProcedure;
import org.apache.spark.sql.connector.catalog.procedures.ProcedureParameter;
import org.apache.spark.sql.connector.catalog.procedures.UnboundProcedure;
import org.apache.spark.sql.connector.read.Scan;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * {@code CALL bulkgen.system.generate(input => …, output => …, model => …)}, or {@code score}: a
 * whole job. Its parameters are the settings of the task with underscores for hyphens, by name;
 * {@code input} is a table or view, or a path where it has a slash in it. It returns one row with
 * the figures of the report, and may be called again: what is done is kept.
 */
final class JobProcedure implements UnboundProcedure, BoundProcedure {
  private static final String INPUT_NAME = "input_name";

  /** A parameter and how its value gets into a setting. */
  private record Parameter(String setting, ProcedureParameter parameter) {}

  private final TaskType task;
  private final List<Parameter> parameters;

  JobProcedure(TaskType task) {
    this.task = task;
    this.parameters = declare(task);
  }

  private static List<Parameter> declare(TaskType task) {
    Map<String, Parameter> byName = new LinkedHashMap<>();
    // Those that most calls give come first, so that they can be given without names.
    for (Setting<?> setting :
        List.of(DataSettings.INPUT, DataSettings.OUTPUT, EngineSettings.MODEL)) {
      byName.put(setting.name(), parameter(setting));
    }
    for (JobSetting setting : SettingCatalogue.of(task)) {
      if (SessionSettings.isAllowed(setting)) {
        byName.putIfAbsent(setting.name(), parameter(setting.setting()));
      }
    }
    List<Parameter> all = new ArrayList<>(byName.values());
    all.add(
        new Parameter(
            INPUT_NAME,
            ProcedureParameter.in(INPUT_NAME, DataTypes.StringType)
                .defaultValue("NULL")
                .comment("Stands for the rows of a view, which a resumed call does not run again.")
                .build()));
    return List.copyOf(all);
  }

  private static Parameter parameter(Setting<?> setting) {
    ProcedureParameter.Builder parameter =
        ProcedureParameter.in(setting.name().replace('-', '_'), type(setting))
            .comment(setting.description());
    return new Parameter(
        setting.name(),
        setting == DataSettings.INPUT ? parameter.build() : parameter.defaultValue("NULL").build());
  }

  private static DataType type(Setting<?> setting) {
    if (setting.form().startsWith("integer")) {
      return DataTypes.LongType;
    }
    if (setting.form().startsWith("number")) {
      return DataTypes.DoubleType;
    }
    return switch (setting.kind()) {
      case FLAG -> DataTypes.BooleanType;
      case LIST -> DataTypes.createArrayType(DataTypes.StringType);
      case VALUE -> DataTypes.StringType;
    };
  }

  @Override
  public String name() {
    return task.spelling();
  }

  @Override
  public String description() {
    return task == TaskType.GENERATE
        ? "Generates a completion for every row of a table, a view or files."
        : "Scores the completions of every row of a table, a view or files.";
  }

  @Override
  public BoundProcedure bind(StructType inputType) {
    return this;
  }

  @Override
  public boolean isDeterministic() {
    return false;
  }

  @Override
  public ProcedureParameter[] parameters() {
    return parameters.stream().map(Parameter::parameter).toArray(ProcedureParameter[]::new);
  }

  @Override
  public Iterator<Scan> call(InternalRow arguments) {
    Bulkgen job = Bulkgen.on(SparkSession.active());
    String input = null;
    for (int index = 0; index < parameters.size(); index++) {
      Parameter parameter = parameters.get(index);
      if (arguments.isNullAt(index)) {
        continue;
      }
      String[] values = values(arguments, index, parameter.parameter().dataType());
      switch (parameter.setting()) {
        case "input" -> input = values[0];
        case INPUT_NAME -> job = job.inputName(values[0]);
        default -> job = job.set(parameter.setting(), values);
      }
    }
    return List.<Scan>of(new ReportScan(run(job, input))).iterator();
  }

  private String[] values(InternalRow arguments, int index, DataType type) {
    if (type.equals(DataTypes.LongType)) {
      return new String[] {String.valueOf(arguments.getLong(index))};
    }
    if (type.equals(DataTypes.DoubleType)) {
      return new String[] {Setting.spell(arguments.getDouble(index))};
    }
    if (type.equals(DataTypes.BooleanType)) {
      return new String[] {String.valueOf(arguments.getBoolean(index))};
    }
    if (type.equals(DataTypes.StringType)) {
      return new String[] {arguments.getUTF8String(index).toString()};
    }
    ArrayData elements = arguments.getArray(index);
    String[] values = new String[elements.numElements()];
    for (int element = 0; element < values.length; element++) {
      UTF8String value = elements.getUTF8String(element);
      if (value == null) {
        throw BulkgenException.of(
            ErrorCode.SETTING_INVALID,
            "%s: element %d is null",
            parameters.get(index).parameter().name(),
            element);
      }
      values[element] = value.toString();
    }
    return values;
  }

  private FinishedJob run(Bulkgen job, String input) {
    if (input == null) {
      throw BulkgenException.of(
          ErrorCode.SETTING_INVALID, "input is missing: give a table, a view or a path");
    }
    if (input.contains("/")) {
      return job.run(task, input);
    }
    SparkSession session = SparkSession.active();
    if (!session.catalog().tableExists(input)) {
      throw BulkgenException.of(
          ErrorCode.INPUT_NOT_FOUND,
          "there is no table or view '%s'; a path has a slash in it, such as './%s'",
          input,
          input);
    }
    return job.run(task, session.table(input));
  }
}
