package dev.bulkgen.spark.source;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.expr;
import static org.apache.spark.sql.functions.from_json;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.make_valid_utf8;
import static org.apache.spark.sql.functions.monotonically_increasing_id;
import static org.apache.spark.sql.functions.not;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.udf;
import static org.apache.spark.sql.functions.when;

import dev.bulkgen.config.Setting;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.arrow.ArrowIpcFormat;
import dev.bulkgen.spark.config.InputFormat;
import dev.bulkgen.spark.config.InputSettings;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.apache.spark.SparkThrowable;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.DataFrameReader;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.execution.datasources.DataSource;
import org.apache.spark.sql.expressions.UserDefinedFunction;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * Opens an input as a {@link PromptTable}, in an {@link OwnSession}. A row that cannot be read
 * stays a row, with the reason; only an input that is wrong as a whole is an error.
 */
public final class PromptSource {
  private static final UserDefinedFunction LINE_PROBLEM =
      udf((UDF1<byte[], String>) JsonLine::problem, DataTypes.StringType);
  private static final UserDefinedFunction ENCODING_PROBLEM =
      udf((UDF1<byte[], String>) JsonLine::encodingProblem, DataTypes.StringType);
  private static final UserDefinedFunction REQUEST_PROBLEM =
      udf((UDF1<byte[], String>) PromptSource::requestProblem, DataTypes.StringType);
  private static final UserDefinedFunction REQUEST_COLUMNS =
      udf(
          (UDF1<byte[], String[]>) line -> BatchRequest.columns(text(line)),
          DataTypes.createArrayType(DataTypes.StringType));
  private static final String CORRUPT = "_bulkgen_corrupt";
  private static final String TEXT = "text";

  /** A name that no folder gives: Spark would put the folder's value in place of the line. */
  private static final String LINE = "_bulkgen_line";

  /** Columns by the names of folders, as {@code day=2026-11-30}. */
  private static final String FOLDERS = "_bulkgen_folders";

  private final SparkSession session;
  private final InputSettings settings;
  private final InputFiles files;
  private final String format;

  private PromptSource(SparkSession session, InputSettings settings) {
    this.session = OwnSession.of(session);
    this.settings = settings;
    this.files = InputFiles.find(settings.path(), session.sparkContext().hadoopConfiguration());
    this.format =
        settings.format() == InputFormat.AUTO
            ? files.format()
            : Setting.spelling(settings.format());
  }

  /**
   * @throws BulkgenException INPUT_NOT_FOUND, INPUT_INVALID naming the path
   */
  public static PromptTable open(SparkSession session, InputSettings settings) {
    PromptSource source = new PromptSource(session, settings);
    try {
      return source.open();
    } catch (Exception e) {
      // Scala code throws checked exceptions unannounced, so javac lets no narrower type stand.
      throw source.unreadable(e);
    }
  }

  private PromptTable open() {
    Dataset<Row> rows =
        switch (format) {
          case "jsonl" -> jsonLines();
          case "csv" -> csv();
          case "text" -> textLines();
          case "openai-batch" -> requests();
          case "arrow" -> records(reader().format(ArrowIpcFormat.NAME).load(settings.path()));
          default -> records(reader().parquet(settings.path()));
        };
    StructType inputSchema = (StructType) rows.schema().apply(PromptTable.ROW).dataType();
    refuseAmbiguousNames(inputSchema);
    PlannedTypes.require(inputSchema, settings.path());
    return new PromptTable(rows, inputSchema, format, files.digest());
  }

  private static String requestProblem(byte[] line) {
    String problem = JsonLine.problem(line);
    return problem == null ? BatchRequest.problem(text(line)) : problem;
  }

  private static String text(byte[] line) {
    return new String(line, StandardCharsets.UTF_8);
  }

  private BulkgenException unreadable(Exception e) {
    if (e instanceof BulkgenException ours) {
      return ours;
    }
    Throwable cause = e;
    while (cause.getCause() != null && !(cause instanceof SparkThrowable)) {
      cause = cause.getCause();
    }
    return new BulkgenException(
        ErrorCode.INPUT_INVALID,
        "input " + settings.path() + " cannot be read as " + format + ": " + cause.getMessage(),
        e);
  }

  private Dataset<Row> jsonLines() {
    Dataset<Row> lines =
        lines()
            .withColumn("blank", expr("length(trim(cast(bytes as string))) = 0"))
            .withColumn(
                PromptTable.REASON, when(not(col("blank")), LINE_PROBLEM.apply(col("bytes"))));
    Dataset<String> good =
        lines
            .where(col(PromptTable.REASON).isNull().and(not(col("blank"))))
            .select(col("bytes").cast("string"))
            .as(Encoders.STRING());
    List<String> first = good.takeAsList(1);
    if (first.isEmpty()) {
      throw noJsonObject(lines);
    }
    StructType schema =
        inFileOrder(session.read().json(good).schema(), JsonLine.names(first.get(0)));
    Map<String, String> options = new HashMap<>();
    options.put("mode", "PERMISSIVE");
    options.put("columnNameOfCorruptRecord", CORRUPT);
    Column parsed =
        from_json(
            when(
                col(PromptTable.REASON).isNull().and(not(col("blank"))),
                col("bytes").cast("string")),
            schema.add(CORRUPT, DataTypes.StringType),
            options);
    Dataset<Row> rows = lines.withColumn("parsed", parsed);
    Column misfit = col("parsed." + CORRUPT).isNotNull();
    Column reason =
        when(col(PromptTable.REASON).isNotNull(), col(PromptTable.REASON))
            .when(misfit, lit("a value does not fit its column's type"));
    return assemble(
        rows, reason, col("bytes").cast("string"), withFolders("parsed", schema, lines));
  }

  /** One request a line; what its body asks is looked at where it is answered. */
  private Dataset<Row> requests() {
    Dataset<Row> lines =
        lines()
            .withColumn("blank", expr("length(trim(cast(bytes as string))) = 0"))
            .withColumn(
                PromptTable.REASON, when(not(col("blank")), REQUEST_PROBLEM.apply(col("bytes"))))
            .withColumn(
                "request",
                when(
                    col(PromptTable.REASON).isNull().and(not(col("blank"))),
                    REQUEST_COLUMNS.apply(col("bytes"))));
    List<Column> columns = new ArrayList<>();
    for (String name : BatchRequest.SCHEMA.fieldNames()) {
      columns.add(col("request").getItem(columns.size()).as(name));
    }
    return assemble(lines, col(PromptTable.REASON), col("bytes").cast("string"), columns);
  }

  private Dataset<Row> lines() {
    StructType line = new StructType().add(LINE, DataTypes.StringType);
    Dataset<Row> scan = reader().schema(line).text(settings.path());
    Column bytes = col(LINE).cast("binary").as("bytes");
    StructType folders =
        new StructType(Arrays.copyOfRange(scan.schema().fields(), 1, scan.schema().size()));
    return folders.isEmpty()
        ? placed(scan, bytes)
        : placed(scan, bytes, struct(quoted(folders)).as(FOLDERS));
  }

  private BulkgenException noJsonObject(Dataset<Row> lines) {
    List<Row> bad = lines.where(not(col("blank"))).select(PromptTable.REASON).takeAsList(1);
    if (bad.isEmpty()) {
      return BulkgenException.of(
          ErrorCode.INPUT_INVALID, "input %s holds no rows", settings.path());
    }
    return BulkgenException.of(
        ErrorCode.INPUT_INVALID,
        "no line of %s is a JSON object (first line: %s); give one object a line",
        settings.path(),
        bad.get(0).getString(0));
  }

  /** Spark sorts inferred columns by name; people expect them as the first line has them. */
  private static StructType inFileOrder(StructType inferred, List<String> names) {
    StructType ordered = new StructType();
    Set<String> placed = new HashSet<>(names);
    for (String name : names) {
      // A column that is an empty object everywhere is left out by the inference.
      if (List.of(inferred.fieldNames()).contains(name)) {
        ordered = ordered.add(inferred.apply(name));
      }
    }
    for (StructField field : inferred.fields()) {
      if (!placed.contains(field.name())) {
        ordered = ordered.add(field);
      }
    }
    return ordered;
  }

  private Dataset<Row> textLines() {
    Dataset<Row> lines = lines().withColumn("blank", expr("length(bytes) = 0"));
    Column reason = ENCODING_PROBLEM.apply(col("bytes"));
    Column text = make_valid_utf8(col("bytes").cast("string"));
    StructType schema = new StructType().add(TEXT, DataTypes.StringType);
    lines = lines.withColumn("parsed", struct(text.as(TEXT)));
    return assemble(
        lines, reason, col("bytes").cast("string"), withFolders("parsed", schema, lines));
  }

  /** All columns are text: a reader that guesses would turn the id 007 into 7. */
  private Dataset<Row> csv() {
    // Spark looks for headers of several lines by Hadoop's patterns, whatever it is told.
    StructType header =
        csvReader().option("multiLine", !files.havePatterns()).load(settings.path()).schema();
    StructType schema = header.add(CORRUPT, DataTypes.StringType);
    Dataset<Row> records =
        csvReader()
            .option("columnNameOfCorruptRecord", CORRUPT)
            .schema(schema)
            .load(settings.path());
    Dataset<Row> rows =
        placed(records, struct(quoted(schema)).as("record")).withColumn("blank", lit(false));
    Column corrupt = col("record." + CORRUPT);
    Column reason =
        when(corrupt.isNotNull(), lit("the number of fields is not that of the header"));
    return assemble(rows, reason, corrupt, columns("record", header));
  }

  /** The files were found by the path as it is spelled, so that brackets are no pattern. */
  private DataFrameReader reader() {
    return session.read().option(DataSource.GLOB_PATHS_KEY(), false);
  }

  private DataFrameReader csvReader() {
    return reader()
        .format("csv")
        .option("header", "true")
        .option("multiLine", "true")
        .option("escape", "\"")
        .option("enforceSchema", "true")
        .option("mode", "PERMISSIVE");
  }

  private Dataset<Row> records(Dataset<Row> records) {
    StructType schema = records.schema();
    Dataset<Row> rows =
        placed(records, struct(quoted(schema)).as("record")).withColumn("blank", lit(false));
    return assemble(
        rows, lit(null).cast("string"), lit(null).cast("string"), columns("record", schema));
  }

  /** Adds where each row stands; right above the scan, where the order is still the file's. */
  private static Dataset<Row> placed(Dataset<Row> scan, Column... content) {
    List<Column> columns = new ArrayList<>(List.of(content));
    columns.add(col("_metadata.file_path").as(PromptTable.FILE));
    columns.add(col("_metadata.file_block_start").as(PromptTable.BLOCK));
    columns.add(monotonically_increasing_id().as(PromptTable.POSITION));
    return scan.select(columns.toArray(Column[]::new));
  }

  private static Dataset<Row> assemble(
      Dataset<Row> rows, Column reason, Column raw, List<Column> columns) {
    Column row = struct(columns.toArray(Column[]::new));
    return rows.withColumn(PromptTable.REASON, reason)
        .withColumn(PromptTable.RAW, when(col(PromptTable.REASON).isNotNull(), raw))
        .withColumn(
            PromptTable.ROW, when(col(PromptTable.REASON).isNull().and(not(col("blank"))), row))
        .select(PromptTable.COLUMNS.stream().map(c -> col(c)).toArray(Column[]::new));
  }

  private static List<Column> columns(String parent, StructType schema) {
    List<Column> columns = new ArrayList<>();
    for (String name : schema.fieldNames()) {
      columns.add(col(parent).getField(name).as(name));
    }
    return columns;
  }

  /** As Spark's own readers: a folder's value goes before a field of its name, in its place. */
  private static List<Column> withFolders(String parent, StructType schema, Dataset<Row> lines) {
    if (!List.of(lines.columns()).contains(FOLDERS)) {
      return columns(parent, schema);
    }
    Map<String, Column> byName = new LinkedHashMap<>();
    StructType folders = (StructType) lines.schema().apply(FOLDERS).dataType();
    for (String name : folders.fieldNames()) {
      byName.put(name.toLowerCase(Locale.ROOT), col(FOLDERS).getField(name).as(name));
    }
    List<Column> columns = new ArrayList<>();
    for (String name : schema.fieldNames()) {
      Column folder = byName.remove(name.toLowerCase(Locale.ROOT));
      columns.add(folder == null ? col(parent).getField(name).as(name) : folder);
    }
    columns.addAll(byName.values());
    return columns;
  }

  private static Column[] quoted(StructType schema) {
    return List.of(schema.fieldNames()).stream()
        .map(name -> col("`" + name.replace("`", "``") + "`"))
        .toArray(Column[]::new);
  }

  private void refuseAmbiguousNames(StructType schema) {
    Map<String, String> seen = new HashMap<>();
    for (String name : schema.fieldNames()) {
      String before = seen.put(name.toLowerCase(Locale.ROOT), name);
      if (before != null) {
        throw BulkgenException.of(
            ErrorCode.INPUT_INVALID,
            "input %s has the columns '%s' and '%s', which Spark takes for one: rename one",
            settings.path(),
            before,
            name);
      }
    }
  }
}
