package dev.bulkgen.spark.sql;

import java.util.List;
import org.apache.spark.sql.SparkSessionExtensions;
import org.apache.spark.sql.catalyst.FunctionIdentifier;
import org.apache.spark.sql.catalyst.expressions.ApplyFunctionExpression;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.ExpressionInfo;
import org.apache.spark.sql.connector.catalog.functions.ScalarFunction;
import org.apache.spark.sql.types.StructType;
import scala.Tuple3;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;
import scala.runtime.AbstractFunction1;
import scala.runtime.BoxedUnit;

/**
 * {@code spark.sql.extensions=dev.bulkgen.spark.sql.BulkgenExtensions}: the function {@code
 * bulkgen_generate} in every session, without a catalog before its name.
 */
public final class BulkgenExtensions extends AbstractFunction1<SparkSessionExtensions, BoxedUnit> {

  @Override
  public BoxedUnit apply(SparkSessionExtensions extensions) {
    extensions.injectFunction(
        new Tuple3<>(
            new FunctionIdentifier(GenerateFunction.NAME),
            new ExpressionInfo(GenerateFunction.class.getName(), GenerateFunction.NAME),
            new Builder()));
    return BoxedUnit.UNIT;
  }

  private static final class Builder extends AbstractFunction1<Seq<Expression>, Expression> {
    @Override
    public Expression apply(Seq<Expression> arguments) {
      StructType types = new StructType();
      List<Expression> given = CollectionConverters.asJava(arguments);
      for (Expression argument : given) {
        types = types.add("argument" + types.size(), argument.dataType());
      }
      ScalarFunction<?> function = (ScalarFunction<?>) new GenerateFunction().bind(types);
      return new ApplyFunctionExpression(function, arguments);
    }
  }
}
