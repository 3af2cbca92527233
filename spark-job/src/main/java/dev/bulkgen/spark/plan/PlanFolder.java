package dev.bulkgen.spark.plan;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.storage.Storage;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.StructType;

/**
 * Where a plan is frozen: a file a unit, and {@code plan.json}, written last. Without that file a
 * plan is not there.
 */
public final class PlanFolder {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int FORMAT = 2;

  private final Storage storage;
  private final Path folder;

  public PlanFolder(Storage storage, Path folder) {
    this.storage = storage;
    this.folder = folder;
  }

  public Path path() {
    return folder;
  }

  /** Measures were taken; this writes the files. What an earlier, broken try left is removed. */
  public UnitPlan freeze(UnitPlanner planner) {
    storage.delete(folder);
    storage.makeFolder(folder);
    UnitPlan plan = planner.freeze(folder.toString());
    storage.replaceText(description(), describe(plan));
    return plan;
  }

  /**
   * @throws BulkgenException STORAGE_FAILED if the description is damaged
   */
  public Optional<UnitPlan> read() {
    if (!storage.exists(description())) {
      return Optional.empty();
    }
    try {
      JsonNode root = JSON.readTree(storage.readText(description()));
      List<UnitSpec> units = new ArrayList<>();
      for (JsonNode unit : root.withArray("units")) {
        units.add(
            new UnitSpec(
                units.size(),
                unit.get(0).asText(),
                unit.get(1).asLong(),
                unit.get(2).asLong(),
                unit.get(3).asText()));
      }
      UnitPlan plan =
          new UnitPlan(
              units,
              root.get("input_digest").asText(),
              root.get("format").asText(),
              (StructType) DataType.fromJson(root.get("schema").toString()));
      if (!plan.digest().equals(root.get("plan_digest").asText())) {
        throw new IllegalArgumentException("its digest is not that of its units");
      }
      return Optional.of(plan);
    } catch (JsonProcessingException | RuntimeException e) {
      throw new BulkgenException(
          ErrorCode.STORAGE_FAILED,
          description()
              + " is damaged: delete "
              + folder
              + " and run again; finished shards are kept if the input is still the same",
          e);
    }
  }

  private Path description() {
    return new Path(folder, "plan.json");
  }

  private static String describe(UnitPlan plan) {
    ObjectNode root = JSON.createObjectNode();
    root.put("version", FORMAT);
    root.put("plan_digest", plan.digest());
    root.put("input_digest", plan.inputDigest());
    root.put("format", plan.format());
    root.put("rows", plan.rows());
    ArrayNode units = root.putArray("units");
    for (UnitSpec unit : plan.units()) {
      units.addArray().add(unit.fileName()).add(unit.rows()).add(unit.cost()).add(unit.digest());
    }
    try {
      root.set("schema", JSON.readTree(plan.inputSchema().json()));
      return JSON.writeValueAsString(root) + "\n";
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("Spark's schema is always JSON", e);
    }
  }
}
