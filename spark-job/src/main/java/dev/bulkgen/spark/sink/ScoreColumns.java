package dev.bulkgen.spark.sink;

import dev.bulkgen.engine.Score;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.catalyst.util.GenericArrayData;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * Of scored completions, one row a choice, by the names of lm-evaluation-harness.
 *
 * @param tokens whether {@code token_ids} and {@code token_logprobs} are among them
 */
public record ScoreColumns(boolean tokens) implements OutcomeColumns {
  private static final int CHOICE_INDEX = 3;

  @Override
  public StructType type() {
    StructType columns =
        new StructType()
            .add("loglikelihood", DataTypes.DoubleType)
            .add("is_greedy", DataTypes.BooleanType)
            .add("num_tokens", DataTypes.IntegerType)
            .add("choice_index", DataTypes.IntegerType)
            .add("usage", USAGE);
    return tokens
        ? columns
            .add("token_ids", DataTypes.createArrayType(DataTypes.IntegerType))
            .add("token_logprobs", DataTypes.createArrayType(DataTypes.FloatType))
        : columns;
  }

  @Override
  public List<Object[]> rows(RowOutcome outcome) {
    List<Score> scores = ((RowOutcome.Scored) outcome).scores();
    List<Object[]> rows = new ArrayList<>();
    for (int choice = 0; choice < scores.size(); choice++) {
      rows.add(values(scores.get(choice), choice));
    }
    return rows;
  }

  private Object[] values(Score score, int choice) {
    Object[] values = failed();
    values[0] = score.logLikelihood();
    values[1] = score.isGreedy();
    values[2] = score.tokenIds().length;
    values[CHOICE_INDEX] = choice;
    values[4] = OutcomeColumns.row(score.usage());
    if (tokens) {
      values[5] = new GenericArrayData(score.tokenIds());
      values[6] = new GenericArrayData(score.logProbs());
    }
    return values;
  }

  @Override
  public Object[] failed() {
    Object[] values = new Object[tokens ? 7 : 5];
    values[CHOICE_INDEX] = 0;
    return values;
  }
}
