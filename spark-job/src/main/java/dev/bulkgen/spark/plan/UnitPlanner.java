package dev.bulkgen.spark.plan;

import static org.apache.spark.sql.functions.call_function;
import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.row_number;
import static org.apache.spark.sql.functions.sha2;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.to_json;
import static org.apache.spark.sql.functions.udf;
import static org.apache.spark.sql.functions.when;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.source.Columns;
import dev.bulkgen.spark.source.PromptTable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.api.java.UDF3;
import org.apache.spark.sql.expressions.UserDefinedFunction;
import org.apache.spark.sql.expressions.Window;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import scala.reflect.ClassTag$;

/** Plans the rows of an input into units; every step runs in Spark, none gathers rows. */
public final class UnitPlanner {
  private static final int DUPLICATES_NAMED = 5;

  private final SparkSession session;
  private final JobSettings settings;
  private final PromptTable table;
  private final Dataset<Row> placed;
  private final long[] starts;
  private final long rows;
  private final long cost;

  private UnitPlanner(
      SparkSession session,
      JobSettings settings,
      PromptTable table,
      Dataset<Row> placed,
      List<UnitCutter.Bin> bins) {
    this.session = session;
    this.settings = settings;
    this.table = table;
    this.placed = placed;
    this.starts = UnitCutter.cut(bins, settings.run().unitRows());
    this.rows = bins.stream().mapToLong(UnitCutter.Bin::rows).sum();
    this.cost = bins.stream().mapToLong(UnitCutter.Bin::cost).sum();
  }

  /**
   * Reads the input once for the places of its rows and once for their sizes, by one query plan.
   *
   * @throws BulkgenException INPUT_INVALID if there are no rows, or ids that are not unique;
   *     COLUMN_NOT_FOUND
   */
  public static UnitPlanner measure(SparkSession session, JobSettings settings, PromptTable table) {
    InputScan scan = InputScan.of(table, settings);
    RowPlaces places = RowPlaces.of(scan.splits());
    Broadcast<RowPlaces> shared =
        session.sparkContext().broadcast(places, ClassTag$.MODULE$.apply(RowPlaces.class));
    Dataset<Row> placed = place(table, settings, shared);
    long binRows = UnitCutter.binRows(places.rows(), settings.run().unitRows());
    List<UnitCutter.Bin> bins =
        scan.bins(places, binRows, settings.input().limit().orElse(Long.MAX_VALUE));
    if (bins.isEmpty()) {
      throw BulkgenException.of(
          ErrorCode.INPUT_INVALID, "input %s holds no rows", settings.input().path());
    }
    UnitPlanner planner = new UnitPlanner(session, settings, table, placed, bins);
    planner.refuseDuplicateIds();
    return planner;
  }

  public int units() {
    return starts.length;
  }

  public long rows() {
    return rows;
  }

  /** Estimated tokens. */
  public long cost() {
    return cost;
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
            .withColumn("cost", CostEstimate.tokens(settings, table))
            .withColumn("error", when(reason.isNotNull(), where));
    return settings.input().limit().isPresent()
        ? rows.where(col("ordinal").lt(settings.input().limit().getAsLong()))
        : rows;
  }

  private void refuseDuplicateIds() {
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
   */
  public UnitPlan freeze(String folder) {
    long[] firsts = starts;
    UserDefinedFunction unitOf =
        udf((UDF1<Long, Integer>) ordinal -> unit(firsts, ordinal), DataTypes.IntegerType);
    Dataset<Row> units =
        keyed()
            .repartitionById(starts.length, unitOf.apply(col("ordinal")))
            .sortWithinPartitions(col("cost").desc(), col("ordinal"));
    StructType schema = PlanSchema.of(table.inputSchema());
    PlanWriterTask writer =
        new PlanWriterTask(folder, schema, session.sparkContext().hadoopConfiguration());
    UnitSpec[] specs =
        (UnitSpec[])
            session
                .sparkContext()
                .runJob(
                    units.queryExecution().toRdd(),
                    writer,
                    ClassTag$.MODULE$.apply(UnitSpec.class));
    return new UnitPlan(Arrays.asList(specs), table.digest(), table.format(), table.inputSchema());
  }

  private static int unit(long[] starts, long ordinal) {
    int found = Arrays.binarySearch(starts, ordinal);
    return found >= 0 ? found : -found - 2;
  }

  /** Rows with their keys: the id, or a hash of the content and the number among equal rows. */
  private Dataset<Row> keyed() {
    List<String> names = new ArrayList<>(List.of(table.inputSchema().fieldNames()));
    // By name, so that the same columns in another order give the same key.
    names.sort(null);
    Column content =
        to_json(
            struct(
                names.stream()
                    .map(name -> col(PromptTable.ROW).getField(name).as(name))
                    .toArray(Column[]::new)),
            Map.of("ignoreNullFields", "false"));
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
        .select("ordinal", "key", "cost", "error", PromptTable.ROW);
  }
}
