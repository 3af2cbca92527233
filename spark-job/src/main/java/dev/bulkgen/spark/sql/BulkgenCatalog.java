package dev.bulkgen.spark.sql;

import java.util.List;
import org.apache.spark.sql.catalyst.analysis.NoSuchFunctionException;
import org.apache.spark.sql.connector.catalog.FunctionCatalog;
import org.apache.spark.sql.connector.catalog.Identifier;
import org.apache.spark.sql.connector.catalog.ProcedureCatalog;
import org.apache.spark.sql.connector.catalog.functions.UnboundFunction;
import org.apache.spark.sql.connector.catalog.procedures.UnboundProcedure;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * The catalog that SQL calls jobs by, set as {@code spark.sql.catalog.bulkgen}: the procedure
 * {@code bulkgen.system.generate} and the function {@code bulkgen.system.generate(prompt)}.
 */
public final class BulkgenCatalog implements ProcedureCatalog, FunctionCatalog {
  private static final List<String> NAMESPACE = List.of("system");
  private static final String GENERATE = "generate";

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
    if (!isGenerate(identifier)) {
      throw new UnsupportedOperationException(
          "catalog "
              + name
              + " has no procedure "
              + identifier
              + "; it has "
              + name
              + ".system.generate");
    }
    return new GenerateProcedure();
  }

  @Override
  public Identifier[] listProcedures(String[] namespace) {
    return generate(namespace);
  }

  @Override
  public UnboundFunction loadFunction(Identifier identifier) throws NoSuchFunctionException {
    if (!isGenerate(identifier)) {
      throw new NoSuchFunctionException(identifier);
    }
    return new GenerateFunction();
  }

  @Override
  public Identifier[] listFunctions(String[] namespace) {
    return generate(namespace);
  }

  private static boolean isGenerate(Identifier identifier) {
    return NAMESPACE.equals(List.of(identifier.namespace()))
        && GENERATE.equalsIgnoreCase(identifier.name());
  }

  private static Identifier[] generate(String[] namespace) {
    boolean listed = namespace.length == 0 || NAMESPACE.equals(List.of(namespace));
    return listed
        ? new Identifier[] {Identifier.of(NAMESPACE.toArray(String[]::new), GENERATE)}
        : new Identifier[0];
  }
}
