package dev.bulkgen.spark.plan;

import dev.bulkgen.spark.config.Digest;
import java.util.List;
import org.apache.spark.sql.types.StructType;

/**
 * A frozen plan.
 *
 * @param inputDigest of the input files it was made from
 * @param inputSchema of the user's columns
 */
public record UnitPlan(
    List<UnitSpec> units, String inputDigest, String format, StructType inputSchema) {

  public UnitPlan {
    units = List.copyOf(units);
  }

  public long rows() {
    return units.stream().mapToLong(UnitSpec::rows).sum();
  }

  public long cost() {
    return units.stream().mapToLong(UnitSpec::cost).sum();
  }

  /** SHA-256 of every unit's digest and of the schema: the same rows in the same units. */
  public String digest() {
    Digest digest = Digest.sha256().add(inputSchema.json());
    units.forEach(unit -> digest.add(unit.unit()).add(unit.rows()).add(unit.digest()));
    return digest.hex();
  }
}
