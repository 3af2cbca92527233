package dev.bulkgen.spark.plan;

import static org.apache.spark.sql.functions.call_function;
import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.row_number;
import static org.apache.spark.sql.functions.sha2;
import static org.apache.spark.sql.functions.udf;
import static org.apache.spark.sql.functions.when;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.source.Columns;
import dev.bulkgen.spark.source.PromptTable;
import dev.bulkgen.spark.source.RowJson;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF2;
import org.apache.spark.sql.api.java.UDF3;
import org.apache.spark.sql.expressions.UserDefinedFunction;
import org.apache.spark.sql.expressions.Window;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import scala.reflect.ClassTag$;

/** Plans the rows of an input into units; every step runs in Spark, none gathers rows. */
public final class UnitPlanner {
  private static final int DUPLICATES_NAMED = 5;
  private static final String PREFIX = "prefix";
  private static final long NONE = PrefixLengths.NONE;
  private static final double SECONDS_A_MINUTE = 60;

  private final SparkSession session;
  private final JobSettings settings;
  private final PromptTable table;
  private final Dataset<Row> placed;
  private final InputScan.Facts facts;
  private final RowOrder order;
  private final UnitCutter cutter;

  private UnitPlanner(
      SparkSession session,
      JobSettings settings,
      PromptTable table,
      Dataset<Row> placed,
      InputScan.Facts facts) {
    this.session = session;
    this.settings = settings;
    this.table = table;
    this.placed = placed;
    this.facts = facts;
    this.order = RowOrder.of(facts, settings.run().unitRows());
    boolean cards = session.sparkContext().conf().contains("spark.executor.resource.gpu.amount");
    double second = DevicePace.tokensPerSecond(settings, cards);
    long minutes = Math.max(1, (long) (settings.run().unitMinutes() * SECONDS_A_MINUTE * second));
    this.cutter =
        UnitCutter.of(
            settings.run().unitRows(), facts.cost(), minutes, settings.engine().maxBatch());
  }

  /**
   * Reads the input once: the places of its rows and their sizes.
   *
   * @throws BulkgenException INPUT_INVALID if there are no rows; COLUMN_NOT_FOUND
   */
  public static UnitPlanner measure(SparkSession session, JobSettings settings, PromptTable table) {
    InputScan.Facts facts = InputScan.run(table, settings);
    if (facts.rows() == 0) {
      throw BulkgenException.of(
          ErrorCode.INPUT_INVALID, "input %s holds no rows", settings.input().path());
    }
    Broadcast<RowPlaces> shared =
        session
            .sparkContext()
            .broadcast(RowPlaces.of(facts.splits()), ClassTag$.MODULE$.apply(RowPlaces.class));
    return new UnitPlanner(session, settings, table, place(table, settings, shared), facts);
  }

  /** About how many units there will be. */
  public long units() {
    return cutter.units(rows(), cost());
  }

  /** With a limit, as many as it lets through if no line is blank. */
  public long rows() {
    return Math.min(facts.rows(), settings.input().limit().orElse(Long.MAX_VALUE));
  }

  /** Estimated tokens. */
  public long cost() {
    return Math.round((double) facts.cost() * rows() / facts.rows());
  }

  private static Dataset<Row> place(
      PromptTable table, JobSettings settings, Broadcast<RowPlaces> places) {
    UserDefinedFunction ordinal =
        udf(
            (UDF3<String, Long, Long, Long>)
                (file, block, position) -> places.value().ordinal(file, block, position),
            DataTypes.LongType);
    UserDefinedFunction line =
        udf(
            (UDF3<String, Long, Long, Long>)
                (file, block, position) -> places.value().line(file, block, position),
            DataTypes.LongType);
    CostEstimate.Text prompt = CostEstimate.prompt(settings.input(), table);
    Column[] place = {col(PromptTable.FILE), col(PromptTable.BLOCK), col(PromptTable.POSITION)};
    Column reason = col(PromptTable.REASON);
    Column where =
        concat(
            call_function("url_decode", col(PromptTable.FILE)),
            lit(table.hasLines() ? ", line " : ", row "),
            line.apply(place).cast("string"),
            lit(": "),
            reason,
            coalesce(concat(lit(": "), col(PromptTable.RAW).substr(1, 200)), lit("")));
    Dataset<Row> rows =
        table
            .rows()
            .where(col(PromptTable.ROW).isNotNull().or(reason.isNotNull()))
            .withColumn("ordinal", ordinal.apply(place))
            .withColumn("cost", CostEstimate.tokens(settings, prompt, table))
            .withColumn("error", when(reason.isNotNull(), where));
    Column[] hashes = PrefixLengths.hashes(prompt);
    for (int level = 0; level < hashes.length; level++) {
      rows = rows.withColumn(PREFIX + level, hashes[level]);
    }
    return settings.input().limit().isPresent()
        ? rows.where(col("ordinal").lt(settings.input().limit().getAsLong()))
        : rows;
  }

  /**
   * Looks at all ids; freezing finds the same by the way.
   *
   * @throws BulkgenException INPUT_INVALID naming ids that are there more than once
   */
  public void refuseDuplicateIds() {
    if (settings.input().idColumn().isEmpty()) {
      return;
    }
    List<Row> duplicates =
        placed
            .where(id().isNotNull())
            .groupBy(id().as("id"))
            .agg(count(lit(1)).as("times"))
            .where("times > 1")
            .orderBy("id")
            .takeAsList(DUPLICATES_NAMED);
    if (!duplicates.isEmpty()) {
      List<String> named =
          duplicates.stream()
              .map(row -> row.getString(0) + " (" + row.getLong(1) + " times)")
              .toList();
      throw BulkgenException.of(
          ErrorCode.INPUT_INVALID,
          "ids in column '%s' are not unique: %s",
          settings.input().idColumn().get(),
          String.join(", ", named));
    }
  }

  private Column id() {
    Columns columns = new Columns(table.inputSchema());
    int index = columns.require(settings.input().idColumn().orElseThrow(), "id-column");
    return col(PromptTable.ROW).getField(columns.name(index)).cast("string");
  }

  /**
   * Writes the plan files and returns what was planned.
   *
   * @param folder an empty one
   * @throws BulkgenException INPUT_INVALID naming ids that are there more than once
   */
  public UnitPlan freeze(String folder) {
    RowOrder rowOrder = order;
    UserDefinedFunction partOf =
        udf(
            (UDF2<Long, Long, Integer>) (ordinal, prefix) -> rowOrder.part(ordinal, prefix),
            DataTypes.IntegerType);
    Dataset<Row> ordered =
        keyed()
            .repartitionById(order.parts(), partOf.apply(col("ordinal"), col(PREFIX)))
            .sortWithinPartitions(sorting());
    PlanWriterTask writer =
        new PlanWriterTask(
            folder,
            PlanSchema.of(table.inputSchema()),
            cutter,
            session.sparkContext().hadoopConfiguration());
    PlanWriterTask.Part[] parts =
        (PlanWriterTask.Part[])
            session
                .sparkContext()
                .runJob(
                    ordered.queryExecution().toRdd(),
                    writer,
                    ClassTag$.MODULE$.<PlanWriterTask.Part>apply(PlanWriterTask.Part.class));
    List<UnitSpec> units = new ArrayList<>();
    long repeated = 0;
    for (PlanWriterTask.Part part : parts) {
      part.units().forEach(unit -> units.add(unit.numbered(units.size())));
      repeated += part.repeatedIds();
    }
    if (repeated > 0) {
      refuseDuplicateIds();
    }
    return new UnitPlan(units, table.digest(), table.format(), table.inputSchema());
  }

  private Column[] sorting() {
    List<Column> columns = new ArrayList<>();
    for (int level = 0; order.isGrouped() && level <= order.level(); level++) {
      columns.add(col(PREFIX + level));
    }
    columns.add(col("ordinal"));
    return columns.toArray(Column[]::new);
  }

  /** Rows with their keys: the id, or a hash of the content and the number among equal rows. */
  private Dataset<Row> keyed() {
    List<StructField> fields = new ArrayList<>(List.of(table.inputSchema().fields()));
    // By name, so that the same columns in another order give the same key.
    fields.sort(Comparator.comparing(StructField::name));
    Column content = RowJson.of(fields, field -> col(PromptTable.ROW).getField(field.name()));
    Column hash =
        sha2(
            coalesce(when(col(PromptTable.ROW).isNotNull(), content), col(PromptTable.RAW), lit(""))
                .cast("binary"),
            256);
    Column base =
        settings.input().idColumn().isPresent() ? coalesce(concat(lit("id:"), id()), hash) : hash;
    Column number = row_number().over(Window.partitionBy("base").orderBy("ordinal"));
    return placed
        .withColumn("base", base)
        .withColumn("number", number)
        .withColumn("key", concat(col("base"), lit("#"), col("number").minus(1).cast("string")))
        .withColumn(PREFIX, order.isGrouped() ? col(PREFIX + order.level()) : lit(NONE))
        .select(
            "ordinal",
            "key",
            "cost",
            "error",
            PromptTable.ROW,
            PREFIX,
            PREFIX + 0,
            PREFIX + 1,
            PREFIX + 2);
  }
}
