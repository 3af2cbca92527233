package dev.bulkgen.spark.ledger;

import dev.bulkgen.spark.plan.UnitSpec;
import dev.bulkgen.spark.sink.ShardIdentity;
import dev.bulkgen.spark.sink.UnitFacts;
import dev.bulkgen.spark.storage.Storage;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
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
      CommittedShard.find(storage, new Path(output), identity, units.next()).ifPresent(sound::add);
    }
    return sound.toArray(UnitFacts[]::new);
  }
}
