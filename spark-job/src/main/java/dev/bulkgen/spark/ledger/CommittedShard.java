package dev.bulkgen.spark.ledger;

import dev.bulkgen.spark.plan.UnitSpec;
import dev.bulkgen.spark.sink.ShardIdentity;
import dev.bulkgen.spark.sink.UnitFacts;
import dev.bulkgen.spark.storage.Storage;
import java.util.Optional;
import org.apache.hadoop.fs.Path;

/** Tells whether a unit is committed: whether its shard is there, its own, and sound. */
public final class CommittedShard {
  private CommittedShard() {}

  /** Reads the whole shard; empty where it is not there, cut off, damaged or another's. */
  public static Optional<UnitFacts> find(
      Storage storage, Path output, ShardIdentity identity, UnitSpec unit) {
    Path shard = new Path(output, identity.fileName(unit.unit()));
    return identity
        .format()
        .values(storage, shard)
        .flatMap(values -> UnitFacts.fromValues(values, identity))
        .filter(facts -> facts.unit() == unit.unit() && facts.rows() == unit.rows())
        .filter(facts -> identity.format().sound(storage, shard));
  }
}
