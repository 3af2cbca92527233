package dev.bulkgen.spark.plan;

import static org.apache.spark.sql.functions.col;

import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.source.PromptTable;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import org.apache.spark.TaskContext;
import org.apache.spark.rdd.RDD;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.catalyst.InternalRow;
import scala.collection.Iterator;
import scala.reflect.ClassTag$;
import scala.runtime.AbstractFunction2;

/**
 * One pass over the input, without a shuffle: where its pieces lie, how much work it is, and
 * whether prompts begin alike. The driver gets a few numbers for each piece of a file.
 */
final class InputScan {
  private static final int FILE = 0;
  private static final int BLOCK = 1;
  private static final int POSITION = 2;
  private static final int IS_ROW = 3;
  private static final int COST = 4;
  private static final int GIVEN = 5;
  private static final int HASHES = 6;

  /** English text has about four bytes a token. */
  private static final int BYTES_A_TOKEN = 4;

  /** A piece of a file that is read in one go, and the lines or records in it. */
  record Split(String file, long block, long firstPosition, long lines) implements Serializable {}

  /**
   * Of the whole input.
   *
   * @param lines blank ones included
   * @param cost estimated tokens
   * @param textBytes of prompts, and of completions that are scored
   * @param sketches by length of the prefix
   */
  record Facts(
      List<Split> splits,
      long lines,
      long rows,
      long cost,
      long textBytes,
      List<PrefixSketch> sketches) {}

  private static final class Sums implements Serializable {
    private static final long serialVersionUID = 1L;

    private final HashMap<String, Split> splits = new HashMap<>();
    private final ArrayList<PrefixSketch> sketches = new ArrayList<>();
    private long rows;
    private long cost;
    private long givenTokens;

    Sums() {
      for (int level = 0; level < PrefixLengths.LEVELS; level++) {
        sketches.add(new PrefixSketch());
      }
    }

    void add(InternalRow row) {
      String file = row.getUTF8String(FILE).toString();
      long block = row.getLong(BLOCK);
      long position = row.getLong(POSITION);
      splits.merge(
          block + " " + file,
          new Split(file, block, position, 1),
          (first, next) -> new Split(file, block, first.firstPosition(), first.lines() + 1));
      if (!row.getBoolean(IS_ROW)) {
        return;
      }
      rows++;
      cost += row.getLong(COST);
      givenTokens += row.getLong(GIVEN);
      for (int level = 0; level < PrefixLengths.LEVELS; level++) {
        long hash = row.getLong(HASHES + level);
        if (hash != PrefixLengths.NONE) {
          sketches.get(level).add(hash);
        }
      }
    }

    void add(Sums other) {
      splits.putAll(other.splits);
      rows += other.rows;
      cost += other.cost;
      givenTokens += other.givenTokens;
      for (int level = 0; level < PrefixLengths.LEVELS; level++) {
        sketches.get(level).add(other.sketches.get(level));
      }
    }
  }

  private InputScan() {}

  static Facts run(PromptTable table, JobSettings settings) {
    Column row = col(PromptTable.ROW);
    CostEstimate.Text prompt = CostEstimate.prompt(settings.input(), table);
    List<Column> columns =
        new ArrayList<>(
            List.of(
                col(PromptTable.FILE),
                col(PromptTable.BLOCK),
                col(PromptTable.POSITION),
                row.isNotNull().or(col(PromptTable.REASON).isNotNull()),
                CostEstimate.tokens(settings, prompt, table),
                CostEstimate.given(settings.input(), prompt, table).cast("long")));
    columns.addAll(List.of(PrefixLengths.hashes(prompt)));
    RDD<InternalRow> rows =
        table.rows().select(columns.toArray(Column[]::new)).queryExecution().toRdd();
    Sums[] parts =
        (Sums[])
            rows.sparkContext().runJob(rows, new Task(), ClassTag$.MODULE$.<Sums>apply(Sums.class));
    Sums all = new Sums();
    for (Sums part : parts) {
      all.add(part);
    }
    return new Facts(
        List.copyOf(all.splits.values()),
        all.splits.values().stream().mapToLong(Split::lines).sum(),
        all.rows,
        all.cost,
        all.givenTokens * BYTES_A_TOKEN,
        all.sketches);
  }

  private static final class Task
      extends AbstractFunction2<TaskContext, Iterator<InternalRow>, Sums> implements Serializable {
    private static final long serialVersionUID = 1L;

    @Override
    public Sums apply(TaskContext context, Iterator<InternalRow> rows) {
      Sums sums = new Sums();
      while (rows.hasNext()) {
        sums.add(rows.next());
      }
      return sums;
    }
  }
}
