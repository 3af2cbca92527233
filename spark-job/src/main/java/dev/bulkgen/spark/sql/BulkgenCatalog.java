package dev.bulkgen.spark.sql;

import dev.bulkgen.spark.config.TaskType;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.catalyst.analysis.NoSuchFunctionException;
import org.apache.spark.sql.connector.catalog.FunctionCatalog;
import org.apache.spark.sql.connector.catalog.Identifier;
import org.apache.spark.sql.connector.catalog.ProcedureCatalog;
import org.apache.spark.sql.connector.catalog.functions.UnboundFunction;
import org.apache.spark.sql.connector.catalog.procedures.UnboundProcedure;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * The catalog that SQL calls jobs by, set as {@code spark.sql.catalog.bulkgen}: the procedures
 * {@code bulkgen.system.generate} and {@code bulkgen.system.score}, and the function {@code
 * bulkgen.system.generate(prompt)}.
 */
public final class BulkgenCatalog implements ProcedureCatalog, FunctionCatalog {
  private static final List<String> NAMESPACE = List.of("system");

  private String name;

  @Override
  public void initialize(String catalog, CaseInsensitiveStringMap options) {
    name = catalog;
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public UnboundProcedure loadProcedure(Identifier identifier) {
    return Arrays.stream(TaskType.values())
        .filter(task -> isNamed(identifier, task))
        .findFirst()
        .map(JobProcedure::new)
        .orElseThrow(
            () ->
                new UnsupportedOperationException(
                    String.format(
                        "catalog %s has no procedure %s; it has %s.system.generate and"
                            + " %s.system.score",
                        name, identifier, name, name)));
  }

  @Override
  public Identifier[] listProcedures(String[] namespace) {
    return identifiers(namespace, TaskType.values());
  }

  @Override
  public UnboundFunction loadFunction(Identifier identifier) throws NoSuchFunctionException {
    if (!isNamed(identifier, TaskType.GENERATE)) {
      throw new NoSuchFunctionException(identifier);
    }
    return new GenerateFunction();
  }

  @Override
  public Identifier[] listFunctions(String[] namespace) {
    return identifiers(namespace, TaskType.GENERATE);
  }

  private static boolean isNamed(Identifier identifier, TaskType task) {
    return NAMESPACE.equals(List.of(identifier.namespace()))
        && task.spelling().equalsIgnoreCase(identifier.name());
  }

  private static Identifier[] identifiers(String[] namespace, TaskType... tasks) {
    boolean listed = namespace.length == 0 || NAMESPACE.equals(List.of(namespace));
    return Arrays.stream(tasks)
        .filter(task -> listed)
        .map(task -> Identifier.of(NAMESPACE.toArray(String[]::new), task.spelling()))
        .toArray(Identifier[]::new);
  }
}
