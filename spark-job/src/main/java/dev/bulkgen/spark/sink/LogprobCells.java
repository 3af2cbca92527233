package dev.bulkgen.spark.sink;

import dev.bulkgen.engine.Completion;
import dev.bulkgen.sampling.TokenLogProbs;
import java.util.Arrays;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.catalyst.util.GenericArrayData;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** The column {@code logprobs}: OpenAI's names for chats, and the token ids beside them. */
final class LogprobCells {
  private static final StructType TOKEN =
      new StructType()
          .add("token_id", DataTypes.IntegerType)
          .add("token", DataTypes.StringType)
          .add("logprob", DataTypes.FloatType);

  /** Of the column. */
  static final DataType TYPE =
      DataTypes.createArrayType(TOKEN.add("top_logprobs", DataTypes.createArrayType(TOKEN)));

  private LogprobCells() {}

  /** Added in the order of the tokens, as a score's log-likelihood is. */
  static double sum(Completion completion) {
    double sum = 0;
    for (TokenLogProbs token : completion.logProbs()) {
      sum += token.logProb();
    }
    return sum;
  }

  static GenericArrayData of(Completion completion, TokenTexts texts) {
    Object[] tokens = new Object[completion.tokenIds().length];
    for (int index = 0; index < tokens.length; index++) {
      TokenLogProbs told = completion.logProbs().get(index);
      Object[] values = values(completion.tokenIds()[index], told.logProb(), texts);
      Object[] all = Arrays.copyOf(values, values.length + 1);
      all[values.length] = top(told, texts);
      tokens[index] = new GenericInternalRow(all);
    }
    return new GenericArrayData(tokens);
  }

  private static GenericArrayData top(TokenLogProbs told, TokenTexts texts) {
    InternalRow[] top = new InternalRow[told.topTokens().length];
    Arrays.setAll(
        top,
        rank ->
            new GenericInternalRow(
                values(told.topTokens()[rank], told.topLogProbs()[rank], texts)));
    return new GenericArrayData(top);
  }

  private static Object[] values(int token, float logProb, TokenTexts texts) {
    return new Object[] {token, texts.bytes(token).map(TokenTexts::text).orElse(null), logProb};
  }
}
