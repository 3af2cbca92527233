package dev.bulkgen.spark.sink;

import dev.bulkgen.engine.Completion;
import dev.bulkgen.engine.Score;
import dev.bulkgen.engine.Usage;
import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;

/** How an input row ended (P2): with its samples or scores, or with one error. */
public sealed interface RowOutcome {
  /** What the row is called, whatever run it is in. */
  String key();

  /** The user's columns; null for a row that could not be read. */
  InternalRow input();

  /** Token counts of each row of the result; none for an error. */
  List<Usage> usages();

  /**
   * @param completions by sample index
   * @param tokens of the model that gave them
   */
  record Generated(String key, InternalRow input, List<Completion> completions, TokenTexts tokens)
      implements RowOutcome {
    public Generated {
      completions = List.copyOf(completions);
    }

    @Override
    public List<Usage> usages() {
      return completions.stream().map(Completion::usage).toList();
    }
  }

  /**
   * @param scores of each choice, or one
   */
  record Scored(String key, InternalRow input, List<Score> scores) implements RowOutcome {
    public Scored {
      scores = List.copyOf(scores);
    }

    @Override
    public List<Usage> usages() {
      return scores.stream().map(Score::usage).toList();
    }
  }

  /**
   * @param code an {@code ErrorCode}'s name
   */
  record Failed(String key, InternalRow input, String code, String message) implements RowOutcome {
    @Override
    public List<Usage> usages() {
      return List.of();
    }
  }
}
