package dev.bulkgen.spark.sink;

import dev.bulkgen.engine.Completion;
import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;

/** How an input row ended (P2): with its samples, or with one error. */
public sealed interface RowOutcome {
  /** What the row is called, whatever run it is in. */
  String key();

  /** The user's columns; null for a row that could not be read. */
  InternalRow input();

  /**
   * @param completions by sample index
   */
  record Generated(String key, InternalRow input, List<Completion> completions)
      implements RowOutcome {
    public Generated {
      completions = List.copyOf(completions);
    }
  }

  /**
   * @param code an {@code ErrorCode}'s name
   */
  record Failed(String key, InternalRow input, String code, String message) implements RowOutcome {}
}
