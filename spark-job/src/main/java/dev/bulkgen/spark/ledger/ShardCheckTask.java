package dev.bulkgen.spark.ledger;

import dev.bulkgen.spark.plan.UnitSpec;
import dev.bulkgen.spark.sink.ShardIdentity;
import dev.bulkgen.spark.sink.UnitFacts;
import dev.bulkgen.spark.storage.Storage;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.hadoop.fs.Path;
import org.apache.spark.TaskContext;
import org.apache.spark.util.SerializableConfiguration;
import scala.collection.Iterator;
import scala.runtime.AbstractFunction2;

/** One Spark task: reads some shards from end to end, and says which of them are sound. */
final class ShardCheckTask extends AbstractFunction2<TaskContext, Iterator<UnitSpec>, UnitFacts[]>
    implements Serializable {
  private static final long serialVersionUID = 1L;

  private final String output;
  private final ShardIdentity identity;
  private final SerializableConfiguration configuration;

  ShardCheckTask(String output, ShardIdentity identity, SerializableConfiguration configuration) {
    this.output = output;
    this.identity = identity;
    this.configuration = configuration;
  }

  /** The facts of the sound ones. */
  @Override
  public UnitFacts[] apply(TaskContext context, Iterator<UnitSpec> units) {
    Storage storage = Storage.of(new Path(output), configuration.value());
    List<UnitFacts> sound = new ArrayList<>();
    while (units.hasNext()) {
      soundFacts(storage, units.next()).ifPresent(sound::add);
    }
    return sound.toArray(UnitFacts[]::new);
  }

  private Optional<UnitFacts> soundFacts(Storage storage, UnitSpec unit) {
    Path shard = new Path(output, identity.fileName(unit.unit()));
    return identity
        .format()
        .values(storage, shard)
        .flatMap(values -> UnitFacts.fromValues(values, identity))
        .filter(facts -> facts.unit() == unit.unit() && facts.rows() == unit.rows())
        .filter(facts -> identity.format().sound(storage, shard));
  }
}
